"""An engine that repeats recorded replies, so that a resumed run does not ask the model twice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from fusar_gpt.engine.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never
from fusar_gpt.engine.prefixes import prefix_key


def request_key(request: DecodeRequest, checkpoint_hash: str) -> bytes:
    """SHA-256 of everything that decides a reply: the chip, its prior, the question and the checkpoint."""
    asked = (request.prompt, request.grammar, request.max_tokens, request.temperature, request.seed)
    return hashlib.sha256(prefix_key(request, checkpoint_hash) + repr(asked).encode()).digest()


class ReplayEngine(EngineWrapper):
    """Repeats recorded replies; the wrapped engine answers the other requests."""

    def __init__(
        self,
        engine: Engine,
        recall: Callable[[bytes], Reply | None],
        record: Callable[[bytes, Reply], None],
    ) -> None:
        """An engine over another one.

        Args:
            engine: Answers what is not recorded yet.
            recall: The recorded reply of a request's key, if any.
            record: Called with the key of each new reply and the reply, unless it was aborted.
        """
        super().__init__(engine)
        self._recall = recall
        self._record = record

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`; ``on_text`` gets a recorded reply in one piece."""
        keys = [request_key(request, self.hash) for request in requests]
        replies = {i: reply for i, key in enumerate(keys) if (reply := self._recall(key)) is not None}
        fresh = [i for i in range(len(requests)) if i not in replies]

        def report(place: int, piece: str) -> None:
            if on_text is not None:
                on_text(fresh[place], piece)

        if on_text is not None:
            for i, reply in replies.items():
                on_text(i, reply.text)
        if fresh:
            answered = self._engine.answer(
                [requests[i] for i in fresh], cancelled, report if on_text is not None else None
            )
            for i, reply in zip(fresh, answered, strict=True):
                replies[i] = reply
                if not requests[i].aborted():
                    self._record(keys[i], reply)
        return [replies[i] for i in range(len(requests))]

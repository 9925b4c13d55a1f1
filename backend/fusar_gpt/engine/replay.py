"""An engine that is not asked twice: for a run that begins again after its process was killed."""

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
    """Repeats the replies that were given before and lets another engine answer the rest."""

    def __init__(
        self,
        engine: Engine,
        recall: Callable[[bytes], Reply | None],
        remember: Callable[[bytes, Reply], None],
    ) -> None:
        """An engine over another one.

        Args:
            engine: Who answers what is new.
            recall: The reply that was given to the request of a key, if any.
            remember: Takes in each new reply with its key.
        """
        super().__init__(engine)
        self._recall = recall
        self._remember = remember

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """Answer all, in their order; raises what the engine raises. ``on_text`` hears old replies as one."""
        keys = [request_key(request, self.hash) for request in requests]
        replies = {i: reply for i, key in enumerate(keys) if (reply := self._recall(key)) is not None}
        if on_text is not None:
            for i, reply in replies.items():
                on_text(i, reply.text)
        fresh = [i for i in range(len(requests)) if i not in replies]
        if fresh:
            for i, reply in zip(fresh, self._ask(requests, fresh, cancelled, on_text), strict=True):
                replies[i] = reply
                if not requests[i].aborted():  # an answer that was cut short is none
                    self._remember(keys[i], reply)
        return [replies[i] for i in range(len(requests))]

    def _ask(
        self,
        requests: Sequence[DecodeRequest],
        places: Sequence[int],
        cancelled: Callable[[], bool],
        on_text: OnText | None,
    ) -> list[Reply]:
        """The engine's replies to the requests at some places."""
        asked = [requests[i] for i in places]
        if on_text is None:
            return self._engine.answer(asked, cancelled)
        tell = on_text
        return self._engine.answer(asked, cancelled, lambda place, piece: tell(places[place], piece))

"""An engine that lets a conversation listen in: free text as it grows, and how many tokens it all took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fusar_gpt.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never


@dataclass(frozen=True)
class Freedom:
    """How free text is made; None leaves the length to the task. Numbers, cells and boxes are never drawn."""

    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0


class Listening(EngineWrapper):
    """The engine of one conversation's turn, over the one that all share.

    Attributes:
        hear: Takes free text as it grows.
        prompt_tokens: Visual tokens of the chips asked about and, one a word, their prompts.
        completion_tokens: Tokens the model made.
        cut: An answer in words ran into its limit.
    """

    def __init__(self, engine: Engine, freedom: Freedom, hear: Callable[[str], None]) -> None:
        super().__init__(engine)
        self._freedom, self.hear = freedom, hear
        self.in_words = False
        self.prompt_tokens = self.completion_tokens = 0
        self.cut = False

    @property
    def batch_size(self) -> int:
        """One chip after the other while words are wanted, so that they can be read as they are made."""
        return 1 if self.in_words else self._engine.batch_size

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`."""
        if self.in_words:
            requests = [self._freed(request) for request in requests]
            replies = self._engine.answer(requests, cancelled, lambda _, piece: self.hear(piece))
            self.cut |= not all(reply.finished for reply in replies)
        else:
            replies = self._engine.answer(requests, cancelled)
        seen = self.card.token_rows * self.card.token_cols
        self.prompt_tokens += sum(seen + len(request.prompt.split()) for request in requests)
        self.completion_tokens += sum(len(reply.token_ends) for reply in replies)
        return replies

    def _freed(self, request: DecodeRequest) -> DecodeRequest:
        freedom = self._freedom
        most = min(request.max_tokens, freedom.max_tokens or request.max_tokens)
        return replace(request, max_tokens=most, temperature=freedom.temperature, seed=freedom.seed)

"""The engine's interface: requests about chips in, replies with the probability of every token out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.model import Card


def never() -> bool:
    """The default of ``cancelled`` and ``aborted``: always False."""
    return False


@dataclass(frozen=True, eq=False)
class DecodeRequest:
    """One question about one chip.

    ``image`` is uint8 [H, W] at the card's size. ``values`` float32 [S, 64] and ``positions`` float32 [S, 2],
    normalised (y, x), are its prior; S may be 0. ``grammar`` is an xgrammar EBNF with the rule ``root``, or
    None for free text. ``max_tokens`` is at least 1.

    ``temperature`` 0 takes the likeliest token. Above 0 tokens are sampled with a generator seeded by ``seed``, so
    other requests of the batch do not change them. Once ``aborted()`` is true, this answer ends unfinished where it
    is; other requests go on.
    """

    image: NDArray[np.uint8]
    values: NDArray[np.float32]
    positions: NDArray[np.float32]
    prompt: str
    grammar: str | None
    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    aborted: Callable[[], bool] = never

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or not 0 <= self.temperature < float("inf"):
            raise ValueError(
                f"max_tokens must be at least 1 and temperature finite and at least 0, not {self.max_tokens} and "
                f"{self.temperature}"
            )


@dataclass(frozen=True, eq=False)
class Reply:
    """The text of one answer and the T tokens it is made of, without the end token.

    ``token_ends`` are the offsets in ``text`` where each token ends; ``logprobs`` float64 [T] are the tokens'
    natural log probabilities among those the grammar allowed at that step (among all text tokens without a
    grammar), at temperature 1. ``finished`` is False when ``max_tokens`` cut the answer off.
    """

    text: str
    token_ends: tuple[int, ...]
    logprobs: NDArray[np.float64]
    finished: bool

    def probability(self, *spans: tuple[int, int]) -> float:
        """Geometric mean probability of the tokens that overlap any text[start:end]; 0 when none does."""
        ends = np.array(self.token_ends, dtype=np.int64)
        begins = np.concatenate([[0], ends])[:-1]
        hit = np.zeros(len(ends), dtype=bool)
        for start, end in spans:
            # A token may hold only a part of a character's bytes; it then counts as that character.
            hit |= (start < end) & (begins < end) & (np.maximum(ends, begins + 1) > start)
        # The logarithm of a probability of 1 may come out a hair above 0.
        return float(np.exp(min(self.logprobs[hit].mean(), 0.0))) if hit.any() else 0.0


OnText = Callable[[int, str], None]
"""Called with a request's index in the list and the next piece of its answer, always whole characters."""


class Engine(Protocol):
    """Executes the model."""

    @property
    def card(self) -> Card:
        """The checkpoint's card."""

    @property
    def hash(self) -> str:
        """SHA-256 of the checkpoint."""

    @property
    def device(self) -> str:
        """Where the model runs, such as "cpu" or "cuda:0"."""

    @property
    def batch_size(self) -> int:
        """How many requests are best given to one call of ``answer``."""

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """The replies to all requests, in their order.

        ``on_text`` gets every answer in pieces while it is made. Raises Cancelled at the next token once
        ``cancelled()`` is true.
        """


class EngineWrapper:
    """Base of engines that wrap another one, ``self._engine``, and override how it answers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.card, self.hash, self.device = engine.card, engine.hash, engine.device

    @property
    def batch_size(self) -> int:
        """How many requests are best given to one call of ``answer``."""
        return self._engine.batch_size

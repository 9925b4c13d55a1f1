"""Bounded, even samples of streams of unknown length, so that pages and pictures do not grow with a corpus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class EvenSample(Generic[T]):
    """Every 2^n-th item of a stream: all of them up to ``limit``, never more than that.

    Attributes:
        kept: The sample, in the stream's order.
        seen: How many items were offered.
    """

    def __init__(self, limit: int) -> None:
        self.kept: list[T] = []
        self.seen = 0
        self._limit = limit
        self._step = 1

    def offer(self, make: Callable[[], T]) -> None:
        """The stream's next item; it is made only if it is kept for now."""
        if self.seen % self._step == 0 and len(self.kept) == self._limit:
            self.kept, self._step = self.kept[::2], 2 * self._step
        if self.seen % self._step == 0:
            self.kept.append(make())
        self.seen += 1


def fair_shares(sizes: Sequence[int], total: int) -> list[int]:
    """How many to take of each group, ``total`` at most: small groups whole, large ones alike."""
    shares = [0] * len(sizes)
    order = sorted(range(len(sizes)), key=lambda i: sizes[i])
    for done, i in enumerate(order):
        shares[i] = min(sizes[i], total // (len(sizes) - done))
        total -= shares[i]
    return shares


def evenly(items: Sequence[T], count: int) -> list[T]:
    """``count`` of the items, spread evenly; all where there are no more."""
    return [items[i * len(items) // count] for i in range(count)] if count < len(items) else list(items)

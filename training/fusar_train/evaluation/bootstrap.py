"""Percentile bootstrap over images: how far a figure might lie off had other images of the kind been drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
LEVEL = 0.95
_CHUNK = 50
_DIGITS = 6  # figures are the same on machines whose sums differ in the last bits

Weights = NDArray[np.float64]
"""How often each image was drawn: float64 [resamples, images]."""


@dataclass(frozen=True)
class Statistic:
    """A figure as a function of how often each image counts, ``of``: [R, images] -> [R]; NaN where undefined.

    ``n`` is how many cases (questions, boxes or texts) it is measured on.
    """

    n: int
    of: Callable[[Weights], NDArray[np.float64]]


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval; None where it is undefined. ``n``: see ``Statistic``."""

    value: float | None
    low: float | None
    high: float | None
    n: int


def ratio(
    numerator: NDArray[np.float64], denominator: NDArray[np.float64], n: int | None = None
) -> Statistic:
    """A sum over images, [images], over another; ``n`` defaults to the denominator's sum."""

    def of(weights: Weights) -> NDArray[np.float64]:
        below = weights @ denominator
        unknown = np.full(len(weights), np.nan)
        return np.asarray(np.divide(weights @ numerator, below, out=unknown, where=below > 0))

    return Statistic(int(denominator.sum()) if n is None else n, of)


def mean(statistics: Sequence[Statistic], n: int | None = None) -> Statistic:
    """The mean of figures, leaving out those that a resample leaves undefined."""

    def of(weights: Weights) -> NDArray[np.float64]:
        values = np.stack([statistic.of(weights) for statistic in statistics])
        there = np.isfinite(values)
        total, count = np.where(there, values, 0).sum(0), there.sum(0)
        unknown = np.full(len(weights), np.nan)
        return np.asarray(np.divide(total, count, out=unknown, where=count > 0))

    return Statistic(sum(s.n for s in statistics) if n is None else n, of)


def difference(a: Statistic, b: Statistic) -> Statistic:
    """One figure minus another on the same images: the draws are paired."""
    return Statistic(min(a.n, b.n), lambda weights: a.of(weights) - b.of(weights))


def draws(images: int, seed: int) -> Iterator[Weights]:
    """The resamples in chunks [R, images]: as many images as there are, drawn with replacement."""
    rng = np.random.default_rng(seed)
    offsets = images * np.arange(_CHUNK)[:, None]
    for _ in range(RESAMPLES // _CHUNK):
        picked = rng.integers(images, size=(_CHUNK, images)) + offsets
        yield np.bincount(picked.ravel(), minlength=_CHUNK * images).reshape(_CHUNK, images).astype(float)


def estimate(statistics: Sequence[Statistic], images: int, seed: int) -> list[Estimate]:
    """Every figure with the 2.5th and 97.5th percentile of its values over the resamples.

    Resamples that leave a figure undefined (no image with a plane among them) are left out of its percentiles.
    """
    if not statistics:
        return []
    found = np.concatenate([[s.of(np.ones((1, images))) for s in statistics]])[:, 0]
    drawn = np.concatenate([[s.of(weights) for s in statistics] for weights in draws(images, seed)], axis=1)
    return [_interval(value, row, s.n) for value, row, s in zip(found, drawn, statistics, strict=True)]


def _interval(value: float, drawn: NDArray[np.float64], n: int) -> Estimate:
    drawn = drawn[np.isfinite(drawn)]
    if not (np.isfinite(value) and len(drawn)):
        return Estimate(None, None, None, n)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(round(float(value), _DIGITS), round(float(low), _DIGITS), round(float(high), _DIGITS), n)

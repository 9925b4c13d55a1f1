"""Which slices are most like a query: cosine, percentile, and one place where several overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

APART = 0.2
"""The most of a place's area that a better place may cover."""


@dataclass(frozen=True)
class Place:
    """A slice that was found.

    Attributes:
        number: Of the slice.
        similarity: Cosine.
        percentile: The share of all slices searched that are less like the query, in percent.
    """

    number: int
    similarity: float
    percentile: float


def percentiles(similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share in percent of the finite values that lie below each; NaN stays NaN. [N]."""
    there = np.isfinite(similarities)
    ordered = np.sort(similarities[there])
    found = np.full(len(similarities), np.nan, np.float32)
    found[there] = 100 * np.searchsorted(ordered, similarities[there]) / max(len(ordered), 1)
    return found


def best_places(
    similarities: NDArray[np.float32], boxes: NDArray[np.float64], top: int, apart: float = APART
) -> list[Place]:
    """The places most like the query, the best first, none of which covers much of another.

    Args:
        similarities: Cosines [N]; NaN is never found.
        boxes: Left, top, right and bottom of each, [N, 4].
        top: The most places.
        apart: The most of a place's area that a better one may cover.
    """
    ranks = percentiles(similarities)
    order = np.argsort(-similarities, kind="stable")[: int(np.isfinite(similarities).sum())]
    kept: list[int] = []
    for number in order:
        if len(kept) == top:
            break
        if not kept or _covered(boxes[number], boxes[kept]) <= apart:
            kept.append(int(number))
    return [Place(number, float(similarities[number]), float(ranks[number])) for number in kept]


def _covered(box: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The largest share of a box's area that one of the others covers."""
    width = np.minimum(box[2], others[:, 2]) - np.maximum(box[0], others[:, 0])
    height = np.minimum(box[3], others[:, 3]) - np.maximum(box[1], others[:, 1])
    shared = width.clip(0) * height.clip(0)
    return float(shared.max() / ((box[2] - box[0]) * (box[3] - box[1])))

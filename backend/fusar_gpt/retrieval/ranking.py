"""Which slices are most like a query: cosine, percentile, and one place where several overlap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

APART = 0.2
"""The most that two places may share, of the smaller one's area."""
_BLOCK = 4096
_AT_ONCE = 256


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


def cosines(vectors: NDArray[np.float16], query: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cosines float32 [N] of unit vectors [N, E], which may be a memory map, and one [E].

    Block by block in float32: numpy takes some ten times as long to multiply float16, or to make float32 of it.
    """
    found, wanted = np.empty(len(vectors), np.float32), torch.from_numpy(query)
    for at in range(0, len(vectors), _BLOCK):
        block = torch.from_numpy(np.array(vectors[at : at + _BLOCK]))  # a copy: a map may be read-only
        found[at : at + _BLOCK] = torch.mv(block.float(), wanted).numpy()
    return found


def percentiles(similarities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The share in percent of the finite values that lie below each; NaN stays NaN. [N]."""
    there = np.flatnonzero(np.isfinite(similarities))
    order = there[np.argsort(similarities[there])]
    ordered = similarities[order]
    first = np.arange(len(order))
    first[1:][ordered[1:] == ordered[:-1]] = 0
    found = np.full(len(similarities), np.nan, np.float32)
    found[order] = 100 * np.maximum.accumulate(first) / max(len(order), 1)
    return found


def best_places(
    similarities: NDArray[np.float32], boxes: NDArray[np.float64], top: int, apart: float = APART
) -> list[Place]:
    """The places most like the query, the best first, no two of which share much of the smaller one.

    Args:
        similarities: Cosines [N]; NaN is never found.
        boxes: Left, top, right and bottom of each, [N, 4].
        top: The most places.
        apart: The most that two places may share, of the smaller one's area.
    """
    ranks = percentiles(similarities)
    order = np.argsort(-similarities, kind="stable")[: int(np.isfinite(similarities).sum())]
    kept: list[int] = []
    for at in range(0, len(order), _AT_ONCE):
        some = order[at : at + _AT_ONCE]
        if kept:
            some = some[(_shared(boxes[some], boxes[kept]) <= apart).all(axis=1)]
        clash = _shared(boxes[some], boxes[some]) > apart
        free = np.ones(len(some), bool)
        for place, number in enumerate(some.tolist()):
            if free[place]:
                kept.append(number)
                free &= ~clash[place]
        if len(kept) >= top:
            break
    return [Place(number, float(similarities[number]), float(ranks[number])) for number in kept[:top]]


def _shared(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """What each pair of boxes [N, 4] and [M, 4] shares, of the smaller one's area, [N, M]."""
    (left, top, right, bottom), one = boxes.T[:, :, None], others.T[:, None]
    width = np.minimum(right, one[2]) - np.maximum(left, one[0])
    height = np.minimum(bottom, one[3]) - np.maximum(top, one[1])
    smaller = np.minimum((right - left) * (bottom - top), (one[2] - one[0]) * (one[3] - one[1]))
    found: NDArray[np.float64] = width.clip(0) * height.clip(0) / smaller
    return found

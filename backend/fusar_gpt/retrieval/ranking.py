"""Which slices are most like a query: cosine, percentile, and one place where several overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from fusar_gpt.imagery import Scene, read_chip
from fusar_gpt.retrieval.index import SceneIndex
from fusar_gpt.retrieval.slicing import square_chip

APART = 0.2
"""The most that two places may share, of the smaller one's area."""
_BLOCK = 4096
_AT_ONCE = 256


@dataclass(frozen=True)
class Slices:
    """All slices of a search, of one ground size or of several.

    Attributes:
        similarities: Cosines float32 [N]; NaN where there is too little data, or outside the area.
        boxes: Left, top, right and bottom in scene pixels, [N, 4].
        data: Share with data in percent, uint8 [N].
        numbers: Of each in its own index, int64 [N].
        image_px: Side of the images that they become.
        data_share: Share of the ground of the slices asked about that has data, in [0, 1]; ground that several see
            counts as often.
    """

    similarities: NDArray[np.float32]
    boxes: NDArray[np.float64]
    data: NDArray[np.uint8]
    numbers: NDArray[np.int64]
    image_px: int
    data_share: float

    def image(self, number: int, scene: Scene) -> NDArray[np.uint8]:
        """What the encoder sees of one, [image_px, image_px]."""
        left, top, right, _ = map(round, self.boxes[number].tolist())
        chip = square_chip(number, left, top, right - left, self.image_px)
        return read_chip(scene, chip, scene.stretch()).grey


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


def compared(
    indexes: Sequence[SceneIndex],
    wanted: Sequence[NDArray[np.bool_]],
    query: NDArray[np.float32],
    width: int,
    height: int,
) -> Slices:
    """All slices of some indexes of a scene beside a query.

    Args:
        indexes: Filled as far as wanted.
        wanted: Which slices of each are searched, [slices].
        query: A unit vector [E].
        width: Of the scene in pixels.
        height: Of the scene in pixels.
    """
    boxes = np.concatenate([index.lattice.boxes(np.arange(len(index.lattice))) for index in indexes])
    data = np.concatenate([index.data for index in indexes])
    asked = np.concatenate(wanted)
    searched = asked & np.concatenate([index.searchable for index in indexes])
    found = np.concatenate([cosines(index.vectors, query) for index in indexes])
    on_scene = np.minimum(boxes[:, 2:], [width, height]) - np.maximum(boxes[:, :2], 0)
    seen = data / 100 * np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return Slices(
        similarities=np.where(searched, found, np.float32(np.nan)),
        boxes=boxes,
        data=data,
        numbers=np.concatenate([np.arange(len(index.lattice)) for index in indexes]),
        image_px=indexes[0].lattice.image_px,
        data_share=min(float(seen[asked].sum() / np.prod(on_scene[asked], axis=1).sum()), 1.0),
    )


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

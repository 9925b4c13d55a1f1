"""Which slices of a scene are indexed: squares of equal ground, evenly spread over the whole scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry.base import BaseGeometry

from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import Chip, ChipFormat, ResizePlan, Scene
from fusar_gpt.imagery.chips import chip_starts, window_size

OVERLAP = 0.5
"""Share of a slice's side that its neighbour sees too, by default: what one edge cuts is whole in another slice."""


@dataclass(frozen=True)
class Lattice:
    """The slices of a scene, row by row; slice n is at row n // columns, column n % columns.

    Attributes:
        side: Of a slice's window in scene pixels, a multiple of ``factor``.
        lefts, tops: First pixels of the columns and rows, int64 [columns] and [rows].
        image_px: Side of the image that a slice becomes.
    """

    side: int
    lefts: NDArray[np.int64]
    tops: NDArray[np.int64]
    image_px: int

    def __len__(self) -> int:
        return len(self.lefts) * len(self.tops)

    @property
    def factor(self) -> int:
        """How many scene pixels a side are averaged before a slice is resized, as ``read_chip`` does."""
        return averaged(self.side, self.image_px)

    def boxes(self, numbers: NDArray[np.int64]) -> NDArray[np.float64]:
        """Left, top, right and bottom of slices in scene pixels, [N, 4]."""
        rows, columns = np.divmod(numbers, len(self.lefts))
        left, top = self.lefts[columns], self.tops[rows]
        return np.stack([left, top, left + self.side, top + self.side], axis=1).astype(np.float64)

    def chip(self, number: int) -> Chip:
        """A slice as a chip that can be read."""
        row, column = divmod(number, len(self.lefts))
        return square_chip(number, int(self.lefts[column]), int(self.tops[row]), self.side, self.image_px)

    def touching(self, area_px: BaseGeometry) -> NDArray[np.bool_]:
        """Which slices touch an area in scene pixels, [slices]."""
        ends = *self.lefts[[0, -1]] + (0.5, self.side - 0.5), *self.tops[[0, -1]] + (0.5, self.side - 0.5)
        if shapely.covers(area_px, shapely.box(ends[0], ends[2], ends[1], ends[3])):
            return np.ones(len(self), np.bool_)
        left, top, right, bottom = area_px.bounds
        columns = np.flatnonzero((self.lefts <= right) & (self.lefts + self.side >= left))
        rows = np.flatnonzero((self.tops <= bottom) & (self.tops + self.side >= top))
        numbers = (rows[:, None] * len(self.lefts) + columns).ravel()
        shapely.prepare(area_px)
        found = np.zeros(len(self), np.bool_)
        found[numbers] = shapely.intersects(area_px, shapely.box(*self.boxes(numbers).T))
        return found


def lattice(scene: Scene, image_px: int, ground_m: float | None = None, overlap: float = OVERLAP) -> Lattice:
    """The slices of a whole scene; a scene that is smaller than one gets one that reaches beyond it.

    Args:
        scene: Only its size and pixel size are used.
        image_px: Side of the encoder's images.
        ground_m: Ground side of a slice in metres; None takes scene pixels as they are. On a coarse scene a slice
            shows more, as a scene pixel never becomes more than one of the image's.
        overlap: Least share of a slice's side that its neighbour sees again.
    """
    side, _ = window_size(scene.pixel_size_m, ChipFormat(image_px, image_px, image_px), ground_m)
    side -= side % averaged(side, image_px)  # at most 0.5 / image_px of it
    lefts, tops = (
        slice_starts(length, side, overlap, averaged(side, image_px))
        for length in (scene.width, scene.height)
    )
    return Lattice(side, lefts, tops, image_px)


def averaged(side: int, image_px: int) -> int:
    """The factor by which ``read_chip`` averages a window of ``side`` pixels."""
    return max(side // (2 * image_px), 1)


def slice_starts(length: int, side: int, overlap: float, factor: int) -> NDArray[np.int64]:
    """First pixels of the slices along one axis of a scene, evenly spread from end to end.

    All but the last begin at multiples of ``factor``, so that neighbours share what is averaged; they overlap by at
    least as much as without it.
    """
    if side - math.ceil(overlap * side) <= factor or overlap == 0 or length <= side:
        return chip_starts(0, length, side, overlap, length)
    starts = chip_starts(0, length, side, overlap + (factor - 1) / side, length)
    starts[:-1] -= starts[:-1] % factor
    return np.unique(starts)


def square_chip(index: int, left: int, top: int, side: int, image_px: int) -> Chip:
    """A square window of a scene as a chip without a token grid."""
    plan = ResizePlan(SceneWindow(left, top, side, side), image_px, image_px, 1, 1)
    return Chip(index, plan, shapely.box(left, top, left + side, top + side))

"""A chip with its truth in memory, simulated or cut from a real image; ``corpus.record`` is what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import ChipBox

LABELS = ("ship", "plane")
MIN_VISIBLE = 0.4
"""An object cut by the chip's edge is kept when at least this share of its box lies inside."""


@dataclass(frozen=True)
class LabelledBox:
    """One object: its box in chip pixels and its class, one of ``LABELS``."""

    box: ChipBox
    label: str


@dataclass(frozen=True)
class Looks:
    """What an image shows, whatever the ground really is.

    Attributes:
        objects: Everything that looks like a ship or a plane.
        open: The classes of which the image leaves open whether an object is what it looks like.
        cover: The land cover as far as the image tells it, in the form of ``Cover.to_json``.
    """

    objects: tuple[LabelledBox, ...]
    open: tuple[str, ...]
    cover: Mapping[str, Any]


@dataclass(frozen=True)
class LabelledChip:
    """One chip with everything that is known about it.

    Attributes:
        image: uint8 [H, W], quantised as the backend quantises.
        objects: every ship and plane on the chip.
        values: float32 [S, 64], unit-length AEF vectors; S may be 0.
        positions: float32 [S, 2], normalised (y, x) of each vector on the chip.
        place: the kind of place ("port", "airfield", ...), None when unknown.
        cover: int64 [rows, cols] of the token grid, the land cover under each token, -1 when unknown.
        source: "simulated" or the data set's name.
        looks: What the image shows; None where nothing but the truth is known.
    """

    image: NDArray[np.uint8]
    objects: tuple[LabelledBox, ...]
    values: NDArray[np.float32]
    positions: NDArray[np.float32]
    place: str | None
    cover: NDArray[np.int64]
    source: str
    looks: Looks | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.image.shape[1], self.image.shape[0]

    def boxes(self, label: str) -> list[ChipBox]:
        """The boxes of one class, or of all classes for "any"."""
        return [item.box for item in self.objects if label in (item.label, "any")]


def no_prior() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The values [0, 64] and positions [0, 2] of a chip without a prior."""
    return np.zeros((0, 64), np.float32), np.zeros((0, 2), np.float32)


def clip_objects(
    boxes: Sequence[tuple[float, float, float, float]], labels: Sequence[str], width: float, height: float
) -> tuple[tuple[LabelledBox, ...], bool]:
    """Clips (left, top, right, bottom) boxes to the chip.

    Returns:
        The objects that remain visible enough, and whether the chip is clean: False when a sliver of a
        dropped object (5 to 40 % of its box) can still be seen, so that the truth would be doubtful.
    """
    kept: list[LabelledBox] = []
    clean = True
    for (left, top, right, bottom), label in zip(boxes, labels, strict=True):
        x0, y0, x1, y1 = max(left, 0.0), max(top, 0.0), min(right, width), min(bottom, height)
        if x1 <= x0 or y1 <= y0:
            continue
        share = (x1 - x0) * (y1 - y0) / ((right - left) * (bottom - top))
        if share >= MIN_VISIBLE:
            kept.append(LabelledBox(ChipBox(x0, y0, x1, y1), label))
        elif share > 0.05:
            clean = False
    return tuple(kept), clean

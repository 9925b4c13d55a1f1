"""Coordinate frames as types, so that a chip pixel can never be passed where a scene pixel is expected.

Every pixel frame is continuous: x runs right along columns, y runs down along rows, and (0, 0) is the outer
corner of the top-left pixel, so the centre of that pixel is (0.5, 0.5), as in GDAL's geotransform.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fusar_gpt.contract import Box as Box
from fusar_gpt.contract import SceneBox as SceneBox

P = TypeVar("P", bound="Points")


@dataclass(frozen=True, eq=False)
class Points:
    """N points of one frame: ``x`` and ``y`` are float64 arrays of shape [N]. Use a subclass, never this."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]

    def __post_init__(self) -> None:
        for field in fields(self):
            array = np.array(getattr(self, field.name), dtype=np.float64, ndmin=1).ravel()
            array.flags.writeable = False
            object.__setattr__(self, field.name, array)
        if self.x.shape != self.y.shape:
            raise ValueError(f"x has {self.x.size} values and y has {self.y.size}")

    def __len__(self) -> int:
        return int(self.x.size)

    @classmethod
    def of(cls: type[P], xy: ArrayLike) -> P:
        """Points from an array of shape [N, 2] in (x, y) order."""
        array = np.asarray(xy, dtype=np.float64).reshape(-1, 2)
        return cls(array[:, 0], array[:, 1])

    def xy(self) -> NDArray[np.float64]:
        """The points as an array of shape [N, 2] in (x, y) order."""
        return np.stack([self.x, self.y], axis=1)


class GroundPoints(Points):
    """Ground coordinates in the scene's CRS, easting or longitude first whatever its own axis order."""


class LonLatPoints(Points):
    """WGS84 degrees: x is longitude, y is latitude."""


class ScenePoints(Points):
    """Pixels of the scene's raster."""


class ChipPoints(Points):
    """Pixels of the image as the model sees it, after the resize."""


class TokenPoints(Points):
    """Positions on the visual token grid: token (row i, column j) covers [j, j+1] x [i, i+1]."""


class ChipBox(Box):
    """A box in chip pixels."""


def corner_array(box: Box) -> NDArray[np.float64]:
    """The corners [4, 2] as (x, y), from the top-left on, along the top edge first."""
    xs = (box.left, box.right, box.right, box.left)
    return np.stack([xs, (box.top, box.top, box.bottom, box.bottom)], axis=1)


def chip_corners(box: ChipBox) -> ChipPoints:
    """The four corners, as :func:`corner_array`."""
    return ChipPoints.of(corner_array(box))


def scene_corners(box: SceneBox) -> ScenePoints:
    """The four corners, as :func:`corner_array`."""
    return ScenePoints.of(corner_array(box))


@dataclass(frozen=True)
class SceneWindow:
    """Whole scene pixels: columns [col, col + width), rows [row, row + height); may lie outside the scene."""

    col: int
    row: int
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"empty window: {self}")

    def box(self) -> SceneBox:
        """The same rectangle in continuous scene pixels."""
        return SceneBox(self.col, self.row, self.col + self.width, self.row + self.height)

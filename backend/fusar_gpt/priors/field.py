"""The prior of one chip, the footprint it is asked for (FUSAR-GPT eq. 1-3), and AEF vectors as files store them."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_gpt import lonlat
from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ChipPoints, LonLatPoints, ScenePoints

DIMENSIONS = 64
"""Length of an AlphaEarth Foundations (AEF) vector."""

NODATA_CODE = -128
"""The int8 code that stands for no data in every AEF file."""

STORED_AS = ("int8", "float16", "float32", "float64")
"""The types an AEF vector may be stored in."""

_LENGTH_LEEWAY = 0.25
"""How far the usual length may be from 1: codes are rounded, and vectors that were resampled are shorter."""
_LARGEST = 1.5
_ENOUGH = 16
"""Different places that cannot all have the same vector."""
_EDGE = 1e-6  # the outermost nodes lie exactly on the chip's edge, up to rounding


@dataclass(frozen=True)
class Origin:
    """Where vectors come from.

    Attributes:
        source: What a user calls it, for example ``file:harbour.tif``.
        version: Version of the AEF data set, where known.
        year: The year the vectors describe, where known.
        attribution: What their licence asks to be said.
        simulated: True when no satellite ever saw them.
    """

    source: str
    version: str | None = None
    year: int | None = None
    attribution: str | None = None
    simulated: bool = False

    @classmethod
    def stated(
        cls, source: str, year: object = None, version: object = None, attribution: object = None,
        simulated: object = None,
    ) -> Origin:  # fmt: skip
        """From what a file states, as text or numbers; None is what it does not state."""
        return cls(
            source,
            None if version is None else str(version),
            int(str(year)) if re.fullmatch("[0-9]{4}", str(year)) else None,
            None if attribution is None else str(attribution),
            str(simulated).upper() in ("YES", "TRUE", "1"),
        )


@dataclass(frozen=True, eq=False)
class PriorField:
    """F(B, y) of one chip (FUSAR-GPT eq. 3): the S nodes that lie on the chip and have data; S may be 0.

    Attributes:
        values: AEF vectors of unit length, float32 [S, 64].
        positions: (y, x) as fractions 0..1 of the chip's height and width, float32 [S, 2].
        lonlat: The nodes in WGS84 degrees, NaN where the source gives none.
        source: See ``Origin``, as for the fields that follow.
    """

    values: NDArray[np.float32]
    positions: NDArray[np.float32]
    lonlat: LonLatPoints
    source: str
    version: str | None = None
    year: int | None = None
    attribution: str | None = None
    simulated: bool = False

    def __post_init__(self) -> None:
        for name, array, width in (("values", self.values, DIMENSIONS), ("positions", self.positions, 2)):
            if array.dtype != np.float32 or array.shape != (len(self.lonlat), width):
                raise ValueError(f"{name} is {array.dtype} {array.shape}, not float32 [S, {width}]")

    def __len__(self) -> int:
        return len(self.lonlat)

    @classmethod
    def empty(cls, source: str) -> PriorField:
        """No nodes."""
        values, positions = np.empty((0, DIMENSIONS), np.float32), np.empty((0, 2), np.float32)
        return cls(values, positions, LonLatPoints.of([]), source)


class PriorSource(ABC):
    """Gives the prior of a chip. A source belongs to one run: ask it from one thread at a time.

    Attributes:
        name: What the provenance of a run calls it.
        missing: Why it gave no prior where it last gave none and went on without.
    """

    name: str
    missing: str = ""

    @abstractmethod
    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip, of ``year`` where the source has several; empty where there are none.

        Raises:
            PriorError: The source cannot be read; Unavailable if it may be readable later.
            Cancelled: The user stopped waiting.
        """

    def prefetch(self, footprint: Footprint, year: int | None) -> None:  # noqa: B027 - for sources that fetch
        """Start to fetch what ``prior`` will need, and return at once. It never fails: ``prior`` will."""

    def close(self) -> None:  # noqa: B027
        """Stop what is being fetched."""


@dataclass(frozen=True)
class Footprint:
    """One chip on the ground.

    Attributes:
        west: lon_min of B (FUSAR-GPT eq. 1), WGS84 degrees; greater than ``east`` across the antimeridian.
        south: lat_min.
        east: lon_max.
        north: lat_max.
        width: Width of the chip in pixels.
        height: Height of the chip in pixels.
        lonlat_to_chip: The real mapping of eq. 3, on a north-up geographic scene the paper's linear one.
        scene_to_chip: Scene pixels to chip pixels.
        scene_width: Width of the scene in pixels.
        scene_height: Height of the scene in pixels.
    """

    west: float
    south: float
    east: float
    north: float
    width: int
    height: int
    lonlat_to_chip: Callable[[LonLatPoints], ChipPoints]
    scene_to_chip: Callable[[ScenePoints], ChipPoints]
    scene_width: int
    scene_height: int

    @classmethod
    def of_box(cls, west: float, south: float, east: float, north: float) -> Footprint:
        """A box of degrees as a chip of one pixel; positions on it are fractions of the box."""
        wide = lonlat.span(west, east)

        def lonlat_to_chip(points: LonLatPoints) -> ChipPoints:
            x = (lonlat.around(points.x, west + wide / 2) - west) / wide
            return ChipPoints(x, (north - points.y) / (north - south))

        return cls(
            west,
            south,
            east,
            north,
            1,
            1,
            lonlat_to_chip,
            lambda points: ChipPoints(points.x, points.y),
            1,
            1,
        )

    @property
    def span(self) -> tuple[float, float]:
        """Width and height of B in degrees."""
        return lonlat.span(self.west, self.east), self.north - self.south

    def nodes(self, shape: tuple[int, int]) -> LonLatPoints:
        """The regular N_lon x N_lat grid over B, end points included (FUSAR-GPT eq. 2), longitude fastest."""
        lon, lat = np.meshgrid(
            np.linspace(self.west, self.west + self.span[0], shape[0]),
            np.linspace(self.south, self.north, shape[1]),
        )
        return LonLatPoints(lonlat.wrap(lon), lat)

    def holds(self, chip: ChipPoints) -> NDArray[np.bool_]:
        """Which of N points lie on the chip, its edge included."""
        x, y = chip.x / self.width, chip.y / self.height
        return (x >= -_EDGE) & (x <= 1 + _EDGE) & (y >= -_EDGE) & (y <= 1 + _EDGE)

    def field(
        self, values: NDArray[np.floating], chip: ChipPoints, lonlat: LonLatPoints, origin: Origin
    ) -> PriorField:
        """The nodes that lie on this chip and have data, at unit length.

        Args:
            values: Vectors [N, 64] of any length; a row that is not finite, or all zero, has no data.
            chip: The N nodes in chip pixels, not finite where there is no such place.
            lonlat: The N nodes in WGS84 degrees.
            origin: Where the vectors come from.
        """
        with np.errstate(over="ignore"):
            length = np.sqrt(np.einsum("ij,ij->i", values, values))
        keep = np.isfinite(length) & (length > 0) & self.holds(chip)
        kept = values[keep]
        kept /= length[keep, None]
        positions = np.stack([chip.y[keep] / self.height, chip.x[keep] / self.width], axis=1)
        return PriorField(
            kept.astype(np.float32, copy=False),
            positions.clip(0, 1).astype(np.float32),
            LonLatPoints(lonlat.x[keep], lonlat.y[keep]),
            **vars(origin),
        )


def check_lengths(values: NDArray[np.float64], file: str) -> None:
    """Refuse vectors [N, 64] that are not AlphaEarth's, whose length is 1; rows that are not finite are not looked at.

    Raises:
        PriorError: Their usual length is far from 1, or all of them are the same.
    """
    values = values[np.isfinite(values).all(axis=1) & values.any(axis=1)]
    if not len(values):
        return
    usual = float(np.median(np.linalg.norm(values, axis=1)))
    if abs(usual - 1) > _LENGTH_LEEWAY:
        squared = float(np.median(np.linalg.norm(values**2, axis=1)))
        if np.abs(values).max() > _LARGEST and (values == np.rint(values)).all():
            why = "they look like codes: store them as int8, or take (v / 127.5)^2 with the sign of v"
        elif abs(squared - 1) <= _LENGTH_LEEWAY:
            why = "they look like codes that were only divided by 127: square them, with their sign"
        else:
            why = "export the bands A00 to A63 as they are"
        raise PriorError(
            f"{file} holds vectors of length {usual:.3g}, and AlphaEarth's have length 1: {why}."
        )
    if len(values) >= _ENOUGH and (values == values[0]).all():
        raise PriorError(
            f"{file} holds the same vector at all {len(values)} places looked at: export it again."
        )


def dequantise(stored: NDArray[Any], nodata: float | None = None) -> NDArray[np.float64]:
    """The vectors of stored rows [N, 64], NaN for rows without data.

    int8 codes v are de-quantised as AEF defines it, (v / 127.5)^2 with the sign of v; floats are left alone.

    Args:
        stored: int8 codes or floats.
        nodata: The file's own value for no data. One that a vector may hold too, such as 0, counts only where
            it fills a whole row.
    """
    values = stored.astype(np.float64)
    missing = np.zeros(len(values), dtype=bool)
    limit = 1.0
    if stored.dtype == np.int8:
        limit = 127.0
        missing = (stored == NODATA_CODE).any(axis=1)
    if nodata is not None:
        equal = values == nodata
        missing |= equal.any(axis=1) if abs(nodata) > limit else equal.all(axis=1)
    if stored.dtype == np.int8:
        values = (values / 127.5) ** 2 * np.sign(values)
    values[missing] = np.nan
    return values

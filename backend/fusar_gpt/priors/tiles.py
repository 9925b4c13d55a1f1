"""The fixed grid of tiles over UTM in which AEF pixels are fetched and kept; boxes in degrees; sources of tiles."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.warp import transform_bounds
from shapely.geometry.base import BaseGeometry

from fusar_gpt import lonlat
from fusar_gpt.errors import PriorError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors.field import Footprint
from fusar_gpt.priors.retry import RetryPolicy

PIXEL_M = 10.0
"""Side of an AEF pixel."""
TILE_PX = 128
TILE_M = TILE_PX * PIXEL_M

AEF_ATTRIBUTION = (
    "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind."
)
"""What the licence (CC-BY 4.0) asks to be said."""

MOST_TILES = 4096
"""Tiles of the largest box: about 80 km x 80 km, and 4 GB of codes."""
LONGEST_M = 200_000.0
"""Longest side of a box; a longer one leaves its UTM zone too far behind."""

Codes = NDArray[np.int8]
"""int8 [64, 128, 128]: AEF codes of a tile, north up; -128 in all bands where there is no data."""

Bounds = tuple[float, float, float, float]
"""(left, bottom, right, top)."""

_PARTS = 128  # pieces of an edge, which is bent in UTM
_LEAST = 1e-9  # degrees; a narrower part is rounding, or lies on the border of a zone


@dataclass(frozen=True, order=True)
class Tile:
    """A square of 1280 m of one UTM zone; its edges are multiples of 1280 m.

    Attributes:
        zone: 1 to 60.
        south: South of the equator, with northings from 10,000 km.
        col: Easting of the left edge in tiles.
        row: Northing of the lower edge in tiles, counted upward.
    """

    zone: int
    south: bool
    col: int
    row: int

    @classmethod
    def of(cls, zone: int, col: int = 0, row: int = 0) -> Tile:
        """A tile by the signed number of its zone, as ``utm_zones`` gives it."""
        return cls(abs(zone), zone < 0, col, row)

    @property
    def signed_zone(self) -> int:
        """The zone's number, negative south of the equator."""
        return -self.zone if self.south else self.zone

    def corner(self, side: int) -> Tile:
        """The lower left tile of the square of ``side`` x ``side`` tiles, aligned to multiples, that it lies in."""
        return replace(self, col=self.col // side * side, row=self.row // side * side)

    @property
    def epsg(self) -> int:
        """The zone's CRS on WGS84."""
        return (32700 if self.south else 32600) + self.zone

    @property
    def bounds(self) -> Bounds:
        """In metres of the zone's CRS."""
        left, bottom = self.col * TILE_M, self.row * TILE_M
        return left, bottom, left + TILE_M, bottom + TILE_M

    @property
    def transform(self) -> Affine:
        """Pixels (col, row) to easting and northing, north up."""
        left, _, _, top = self.bounds
        return Affine(PIXEL_M, 0.0, left, 0.0, -PIXEL_M, top)

    def pixel_centres(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Easting and northing of the pixels, row by row from the top left, float64 [128 * 128] each."""
        row, col = np.indices((TILE_PX, TILE_PX)).reshape(2, -1) + 0.5
        x, y = self.transform @ (col, row)
        return x, y


@lru_cache(maxsize=4096)
def bounds_in_degrees(tile: Tile) -> Bounds:
    """The rectangle of WGS84 degrees around a tile; left > right across the antimeridian."""
    west, south, east, north = transform_bounds(f"EPSG:{tile.epsg}", "EPSG:4326", *tile.bounds)
    return west, south, east, north


def utm_zones(points: LonLatPoints) -> NDArray[np.int_]:
    """The UTM zone of each point, six degrees wide without exceptions, int [N]; negative south of the equator."""
    number = np.floor((points.x + 180.0) / 6.0).astype(int) % 60 + 1
    return np.where(points.y < 0, -number, number)


@lru_cache(maxsize=120)
def degrees_to_utm(zone: int) -> Transformer:
    """WGS84 degrees, longitude first, to easting and northing in a zone, negative south of the equator."""
    return Transformer.from_crs("EPSG:4326", Tile.of(zone).epsg, always_xy=True)


def overlap(one: Bounds, other: Bounds) -> bool:
    """Whether two rectangles share any ground."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def overlap_on_earth(one: Bounds, other: Bounds) -> bool:
    """The same in degrees, where a rectangle may reach across the antimeridian."""

    def eastward(bounds: Bounds, turn: int = 0) -> Bounds:
        left, bottom, right, top = bounds
        return left + turn, bottom, left + turn + lonlat.span(left, right), top

    return any(overlap(eastward(one, turn), eastward(other)) for turn in (-360, 0, 360))


@dataclass(frozen=True)
class BoundingBox:
    """B of FUSAR-GPT eq. 1 without its year, WGS84 degrees; ``west > east`` across the antimeridian.

    Longitudes may be given from -180 or from 0; they are kept from -180.

    Raises:
        PriorError: It is empty, not on Earth, or larger than ``MOST_TILES``.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        west, east = (float(lonlat.wrap(side)) for side in (self.west, self.east))
        on_earth = min(self.west, self.east) >= -180 and max(self.west, self.east) <= 360
        if not (on_earth and west != east and -90 <= self.south < self.north <= 90):
            raise PriorError(
                f"Invalid bounding box {self.west:g},{self.south:g},{self.east:g},{self.north:g}: "
                "expected west,south,east,north in degrees with south < north."
            )
        object.__setattr__(self, "west", west)
        object.__setattr__(self, "east", east)
        flattest = min(abs(self.south), abs(self.north)) if self.south * self.north > 0 else 0.0
        width_m = self.span * 111_320 * math.cos(math.radians(flattest))
        height_m = (self.north - self.south) * 111_320
        if width_m * height_m > MOST_TILES * TILE_M**2 or max(width_m, height_m) > LONGEST_M:
            raise PriorError(
                f"{width_m / 1000:.0f} km x {height_m / 1000:.0f} km is too much at once: "
                "ask for 80 km x 80 km at most."
            )

    @classmethod
    def around(cls, points: LonLatPoints) -> BoundingBox:
        """The least box that holds the points."""
        west, east = lonlat.extent(points.x)
        return cls(west, float(points.y.min()), east, float(points.y.max()))

    @property
    def span(self) -> float:
        """Degrees from west to east."""
        return lonlat.span(self.west, self.east)

    @property
    def zone(self) -> int:
        """The UTM zone of the middle, negative south of the equator."""
        lon = self.west + self.span / 2
        return int(utm_zones(LonLatPoints.of([(lon, (self.south + self.north) / 2)]))[0])

    def footprint(self) -> Footprint:
        """The box as a chip of one pixel; positions on it are fractions of the box."""
        return Footprint.of_box(self.west, self.south, self.east, self.north)

    def in_utm(self, zone: int) -> BaseGeometry:
        """The box in metres of a zone's CRS, the bent edges in short straight pieces, a pixel wider all around."""
        ring = shapely.box(self.west, self.south, self.west + self.span, self.north)
        ring = shapely.segmentize(ring, max(self.span, self.north - self.south) / _PARTS)
        to_utm = degrees_to_utm(zone)
        outline = shapely.transform(ring, lambda xy: np.stack(to_utm.transform(*xy.T), axis=1))
        return shapely.buffer(outline, PIXEL_M)

    def tiles(self) -> Iterator[Tile]:
        """The tiles of each zone that have a part of the box, south to north."""
        for part in self._parts():
            outline = part.in_utm(part.zone)
            shapely.prepare(outline)
            for tile in tiles_within(part.zone, outline.bounds):
                if shapely.intersects(outline, shapely.box(*tile.bounds)):
                    yield tile

    def _parts(self) -> Iterator[BoundingBox]:
        """The box cut along the borders of the zones and the equator."""
        first, last = math.floor(self.west / 6), math.ceil((self.west + self.span) / 6)
        for number in range(first, last):
            west, east = max(self.west, 6.0 * number), min(self.west + self.span, 6.0 * (number + 1))
            for south, north in ((self.south, min(self.north, 0.0)), (max(self.south, 0.0), self.north)):
                if south < north and east - west > _LEAST:
                    middle = float(lonlat.wrap((west + east) / 2))
                    left, right = lonlat.around([west, east], middle).tolist()
                    yield BoundingBox(left, south, right, north)


def tiles_within(zone: int, bounds: Sequence[float]) -> Iterator[Tile]:
    """The tiles of a zone that touch (left, bottom, right, top) in metres, row by row from the south."""
    left, bottom, right, top = (edge / TILE_M for edge in bounds)
    for row in range(math.floor(bottom), math.ceil(top)):
        for col in range(math.floor(left), math.ceil(right)):
            yield Tile.of(zone, col, row)


CodesOf = Callable[[Tile], Codes]
"""Gives the codes of a tile."""


class TileSource(ABC):
    """Gives tiles. It may be asked from several threads at once.

    Attributes:
        name: What a user calls it: ``earth-engine``, ``cog``.
        key: What tells its data from others' in the cache: data set version and where it comes from, a short
            word of letters, digits, dots and dashes.
        version: Version of the AEF data set.
        attribution: What the licence asks to be said.
        parallel: How many fetches may run at a time.
        block: Tiles a side that come with one fetch, aligned to multiples of it; 1 if none but the one asked for.
        address: URL of the server that is asked; None where no network is needed.
        not_configured: Why it cannot be asked as it is set up; None where it may answer.
    """

    name: str
    key: str
    version: str | None = "V1"
    attribution = AEF_ATTRIBUTION
    parallel: int
    block: int
    address: str | None = None
    not_configured: str | None = None

    @abstractmethod
    def years(self, tile: Tile, retry: RetryPolicy) -> Sequence[int]:
        """The years it holds there, rising; empty where it has nothing at all. Raises as ``fetch``."""

    def known_years(self, tile: Tile) -> Sequence[int]:
        """The same as far as it is known without asking anybody; empty where it is not."""
        return ()

    @abstractmethod
    def fetch(self, tile: Tile, year: int, retry: RetryPolicy) -> Mapping[Tile, Codes]:
        """The tile, and whole neighbours that came with it at no further cost.

        Raises:
            Unavailable: It does not answer in time or refuses; the message says what to do.
            PriorError: What it gives is not AEF.
            Cancelled: ``retry.cancelled()`` became true.
        """

    @abstractmethod
    def describe(self, retry: RetryPolicy) -> Iterator[str]:
        """For ``fusar prior doctor``: line by line what was found. Raises as ``fetch``."""

"""A rectangle of longitude and latitude, and the tiles that lie on it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely
from pyproj import Transformer
from shapely.geometry.base import BaseGeometry

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.priors.field import Footprint
from fusar_gpt.priors.tiles import PIXEL_M, TILE_M, Tile, zones

MOST_TILES = 4096
"""About 80 km x 80 km, and 4 GB of codes."""
LONGEST_M = 200_000.0
"""A longer side leaves the UTM zone too far behind."""

_PARTS = 128  # pieces of an edge, which is bent in UTM
_LEAST = 1e-9  # degrees; a narrower part is rounding, or lies on the border of a zone


@dataclass(frozen=True)
class Place:
    """B of FUSAR-GPT eq. 1 without its year, WGS84 degrees; ``west > east`` across the antimeridian.

    Raises:
        PriorError: It is empty, not on Earth, or larger than ``MOST_TILES``.
    """

    west: float
    south: float
    east: float
    north: float

    def __post_init__(self) -> None:
        on_earth = -180 <= self.west <= 180 and -180 <= self.east <= 180
        if not (on_earth and -90 <= self.south < self.north <= 90 and self.west != self.east):
            raise PriorError(
                f"{self.west:g},{self.south:g},{self.east:g},{self.north:g} is no place: "
                "give west,south,east,north in degrees."
            )
        middle = min(abs(self.south), abs(self.north)) if self.south * self.north > 0 else 0.0
        width_m = self.span * 111_320 * math.cos(math.radians(middle))
        height_m = (self.north - self.south) * 111_320
        if width_m * height_m > MOST_TILES * TILE_M**2 or max(width_m, height_m) > LONGEST_M:
            raise PriorError(
                f"{width_m / 1000:.0f} km x {height_m / 1000:.0f} km is too much at once: "
                "ask for 80 km x 80 km at most."
            )

    @classmethod
    def around(cls, points: LonLatPoints) -> Place:
        """The least place that holds the points, which lie within 180 degrees of each other."""
        lon, lat = points.x, points.y
        if np.ptp(lon) > 180:  # the antimeridian
            return cls(
                float(lon[lon > 0].min()), float(lat.min()), float(lon[lon < 0].max()), float(lat.max())
            )
        return cls(float(lon.min()), float(lat.min()), float(lon.max()), float(lat.max()))

    @property
    def span(self) -> float:
        """Degrees from west to east."""
        return self.east - self.west + (360 if self.east < self.west else 0)

    def footprint(self) -> Footprint:
        """The place as a chip of one pixel; positions on it are fractions of the place."""

        def lonlat_to_chip(points: LonLatPoints) -> ChipPoints:
            beyond = points.x < self.west - 1e-9 if self.east < self.west else np.zeros(len(points), bool)
            x = (np.where(beyond, points.x + 360, points.x) - self.west) / self.span
            return ChipPoints(x, (self.north - points.y) / (self.north - self.south))

        return Footprint(
            west=self.west,
            south=self.south,
            east=self.east,
            north=self.north,
            width=1,
            height=1,
            lonlat_to_chip=lonlat_to_chip,
            scene_to_chip=lambda points: ChipPoints(points.x, points.y),
            scene_width=1,
            scene_height=1,
        )

    def zone(self) -> Tile:
        """The first tile of the UTM zone of its middle."""
        lon = self.west + self.span / 2
        middle = LonLatPoints.of([(lon - 360 if lon > 180 else lon, (self.south + self.north) / 2)])
        number = int(zones(middle)[0])
        return Tile(abs(number), number < 0, 0, 0)

    def outline(self, zone: Tile) -> BaseGeometry:
        """The place in metres of a zone's CRS, the bent edges in short straight pieces."""
        ring = shapely.box(self.west, self.south, self.west + self.span, self.north)
        ring = shapely.segmentize(ring, max(self.span, self.north - self.south) / _PARTS)
        to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{zone.epsg}", always_xy=True)
        outline = shapely.transform(ring, lambda xy: np.stack(to_utm.transform(*xy.T), axis=1))
        return shapely.buffer(outline, PIXEL_M)

    def tiles(self) -> Iterator[Tile]:
        """The tiles of each zone that have a part of the place, south to north."""
        for part in self._parts():
            yield from _touching(part.outline(part.zone()), part.zone())

    def _parts(self) -> Iterator[Place]:
        """The place cut along the borders of the zones and the equator."""
        first, last = math.floor(self.west / 6), math.ceil((self.west + self.span) / 6)
        for number in range(first, last):
            west, east = max(self.west, 6.0 * number), min(self.west + self.span, 6.0 * (number + 1))
            around = 360 if west >= 180 else 0
            for south, north in ((self.south, min(self.north, 0.0)), (max(self.south, 0.0), self.north)):
                if south < north and east - west > _LEAST:
                    yield Place(west - around, south, east - around, north)


def _touching(outline: BaseGeometry, zone: Tile) -> Iterator[Tile]:
    left, bottom, right, top = (number / TILE_M for number in outline.bounds)
    shapely.prepare(outline)
    for row in range(math.floor(bottom), math.ceil(top)):
        for col in range(math.floor(left), math.ceil(right)):
            tile = Tile(zone.zone, zone.south, col, row)
            if shapely.intersects(outline, shapely.box(*tile.bounds)):
                yield tile

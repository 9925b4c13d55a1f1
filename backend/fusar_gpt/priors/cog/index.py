"""Which COGs lie where, asked a square degree at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from rasterio.warp import transform_bounds

from fusar_gpt.priors.cog.files import Bounds, CogFile, overlap, overlap_on_earth
from fusar_gpt.priors.cog.turn import Turn
from fusar_gpt.priors.tiles import Tile

_MARGIN = 0.02  # degrees of latitude; a tile is 0.012 high


@dataclass(frozen=True)
class Area:
    """The tiles whose middle lies in one square degree, and their surroundings.

    Attributes:
        lon: Its western edge.
        lat: Its southern edge.
    """

    lon: int
    lat: int

    @property
    def name(self) -> str:
        """What it is called on disk."""
        return f"{self.lon},{self.lat}"

    @property
    def bounds(self) -> Bounds:
        """WGS84 degrees, with a margin that holds all of its tiles."""
        across = _MARGIN / max(0.05, math.cos(math.radians(max(abs(self.lat), abs(self.lat + 1)))))
        return self.lon - across, self.lat - _MARGIN, self.lon + 1 + across, self.lat + 1 + _MARGIN


class Finder(Protocol):
    """Finds COGs, in a folder or on a server.

    Attributes:
        key: Short word for where they come from, and for their state where that can change.
        host: What an error calls it.
    """

    key: str
    host: str

    def near(self, area: Area, turn: Turn) -> Sequence[CogFile]:
        """The COGs that touch an area."""
        ...

    def describe(self, turn: Turn) -> tuple[list[str], CogFile | None]:
        """Lines that say where COGs are and how they are found, and one COG where that is cheap."""
        ...

    def url(self, file: CogFile) -> str:
        """Where a COG is, a URL or a path."""
        ...


class CogIndex:
    """The COGs of a tile.

    Args:
        finder: Who knows them.
    """

    def __init__(self, finder: Finder) -> None:
        self._finder = finder
        self._near: dict[Area, Sequence[CogFile]] = {}

    def at_hand(self, tile: Tile) -> bool:
        """Whether the tile's COGs are known already."""
        return _area(tile) in self._near

    def years(self, tile: Tile, turn: Turn) -> list[int]:
        """The years in which there is a COG there, rising."""
        return sorted({file.year for file in self._around(tile, turn)})

    def files(self, tile: Tile, year: int, turn: Turn) -> list[CogFile]:
        """The COGs of a year that touch a tile, those of its own zone first, then by path."""
        files = [file for file in self._around(tile, turn) if file.year == year]
        return sorted(files, key=lambda file: (file.crs != f"EPSG:{tile.epsg}", file.path))

    def _around(self, tile: Tile, turn: Turn) -> list[CogFile]:
        area = _area(tile)
        if area not in self._near:
            self._near[area] = self._finder.near(area, turn)
        own, lonlat = f"EPSG:{tile.epsg}", degrees(tile)
        return [
            file
            for file in self._near[area]
            if (
                overlap(file.bounds, tile.bounds)
                if file.crs == own
                else overlap_on_earth(file.lonlat, lonlat)
            )
        ]


@lru_cache(maxsize=4096)
def degrees(tile: Tile) -> Bounds:
    """The rectangle of WGS84 degrees around a tile; left > right across the antimeridian."""
    west, south, east, north = transform_bounds(f"EPSG:{tile.epsg}", "EPSG:4326", *tile.bounds)
    return west, south, east, north


def _area(tile: Tile) -> Area:
    west, south, east, north = degrees(tile)
    middle = (west + east + (360 if east < west else 0)) / 2
    return Area(math.floor((middle + 180) % 360 - 180), math.floor((south + north) / 2))

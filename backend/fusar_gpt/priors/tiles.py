"""A fixed grid of tiles over UTM, in which AEF pixels are fetched and kept, and who they are fetched from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from rasterio.transform import Affine

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors.patience import Patience

PIXEL_M = 10.0
"""Side of an AEF pixel."""
TILE_PX = 128
TILE_M = TILE_PX * PIXEL_M

AEF_ATTRIBUTION = (
    "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind."
)
"""What the licence (CC-BY 4.0) asks to be said."""

Codes = NDArray[np.int8]
"""int8 [64, 128, 128]: AEF codes of a tile, north up; -128 in all bands where there is no data."""


class Unavailable(PriorError):  # noqa: N818 - a state, not a fault
    """A source cannot give its data now: no network, no credentials, too many requests, too slow."""


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

    @property
    def epsg(self) -> int:
        """The zone's CRS on WGS84."""
        return (32700 if self.south else 32600) + self.zone

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """(left, bottom, right, top) in metres."""
        left, bottom = self.col * TILE_M, self.row * TILE_M
        return left, bottom, left + TILE_M, bottom + TILE_M

    @property
    def transform(self) -> Affine:
        """Pixels (col, row) to easting and northing, north up."""
        left, _, _, top = self.bounds
        return Affine(PIXEL_M, 0.0, left, 0.0, -PIXEL_M, top)


def zones(points: LonLatPoints) -> NDArray[np.int_]:
    """The UTM zone of each point, six degrees wide without exceptions, int [N]; negative south of the equator."""
    number = np.floor((points.x + 180.0) / 6.0).astype(int) % 60 + 1
    return np.where(points.y < 0, -number, number)


class TileSource(Protocol):
    """Gives tiles. It may be asked from several threads at once.

    Attributes:
        name: What a user calls it: ``earth-engine``, ``cog``.
        key: What tells its data from others' in the cache: data set version and where it comes from, a short
            word of letters, digits, dots and dashes.
        version: Version of the AEF data set, where known.
        attribution: What the licence asks to be said.
        parallel: How many fetches it likes at a time.
        block: Tiles a side that come with one fetch, aligned to multiples of it; 1 if none but the one asked for.
    """

    name: str
    key: str
    version: str | None
    attribution: str
    parallel: int
    block: int

    def years(self, tile: Tile, patience: Patience) -> Sequence[int]:
        """The years it holds there, rising; empty where it has nothing at all. Unavailable as for ``fetch``."""
        ...

    def fetch(self, tile: Tile, year: int, patience: Patience) -> Mapping[Tile, Codes]:
        """The tile, and whole neighbours that came with it at no further cost.

        Raises:
            Unavailable: It does not answer in time or refuses; the message says what to do.
            PriorError: What it gives is no AEF.
            Cancelled: ``patience.cancelled()`` became true.
        """
        ...

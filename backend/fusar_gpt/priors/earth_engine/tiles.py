"""Tiles of the AEF collection, computed by Earth Engine."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.earth_engine.access import Access
from fusar_gpt.priors.earth_engine.pixels import BANDS, NOWHERE, SIDE_PX, doubles, quantised
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.tiles import AEF_ATTRIBUTION, PIXEL_M, TILE_M, TILE_PX, Codes, Tile

COLLECTION = "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"
BLOCK = SIDE_PX // TILE_PX
"""Tiles a side of one request."""
AREA = 64
"""Tiles a side of the square whose years are asked at once: half an image of the collection."""


class EarthEngineTiles:
    """The collection on Earth Engine, one request for 2 x 2 tiles. The arguments are those of ``Access.of``.

    Raises:
        Unavailable: earthengine-api is not installed, or a setting cannot be used.
    """

    name = "earth-engine"
    version: str | None = "V1"
    attribution = AEF_ATTRIBUTION
    parallel = 4
    block = BLOCK

    def __init__(
        self,
        project: str | None = None,
        credentials: Path | None = None,
        url: str | None = None,
        high_volume: bool = False,
    ) -> None:
        self.access = Access.of(project, credentials, url, high_volume)
        self.key = "aef-v1-ee"
        if not self.access.official:  # another server may hold other data
            self.key += "-" + re.sub(r"[^a-z0-9.]+", "-", self.access.host.lower())
        self._years: dict[Tile, tuple[int, ...]] = {}
        self._asking = threading.Lock()

    def years(self, tile: Tile, patience: Patience) -> Sequence[int]:
        """The years of the images around the tile, rising; asked once for 82 x 82 km and remembered.

        Raises:
            Unavailable: As for ``fetch``.
            PriorError: The answer is no list of years.
            Cancelled: ``patience.cancelled()`` became true.
        """
        from fusar_gpt.priors.earth_engine.session import ask

        corner = _corner(tile, AREA)
        if (known := self._years.get(corner)) is not None:
            return known
        return ask(self.access, lambda: self._ask_years(corner), patience)

    def _ask_years(self, corner: Tile) -> tuple[int, ...]:
        import ee

        with self._asking:
            if corner not in self._years:
                images = ee.ImageCollection(COLLECTION).filterBounds(_square(corner, AREA))
                times = images.aggregate_array("system:time_start").distinct()
                self._years[corner] = _years(times)
            return self._years[corner]

    def fetch(self, tile: Tile, year: int, patience: Patience) -> Mapping[Tile, Codes]:
        """The tile and the three that share its block of 2 x 2.

        Raises:
            Unavailable: Earth Engine does not answer in time or refuses; the message says what to do.
            PriorError: What it gives is no AEF.
            Cancelled: ``patience.cancelled()`` became true.
        """
        from fusar_gpt.priors.earth_engine.session import ask

        corner = _corner(tile, BLOCK)
        codes = quantised(ask(self.access, lambda: doubles(_compute(corner, year)), patience))
        tiles = {}
        for right in range(BLOCK):
            for up in range(BLOCK):
                top, left = (BLOCK - 1 - up) * TILE_PX, right * TILE_PX
                part = codes[:, top : top + TILE_PX, left : left + TILE_PX]
                tiles[replace(corner, col=corner.col + right, row=corner.row + up)] = part.copy()
        return tiles


def _corner(tile: Tile, side: int) -> Tile:
    """The lower left tile of the square of ``side`` tiles that a tile lies in."""
    return replace(tile, col=tile.col // side * side, row=tile.row // side * side)


def _square(corner: Tile, side: int) -> Any:
    """The ground of the square."""
    import ee

    left, bottom, _, _ = corner.bounds
    right, top = left + side * TILE_M, bottom + side * TILE_M
    return ee.Geometry.Rectangle([left, bottom, right, top], ee.Projection(f"EPSG:{corner.epsg}"), False)


def _compute(corner: Tile, year: int) -> bytes:
    """The NPY of the block, north up."""
    import ee

    left, bottom, _, _ = corner.bounds
    grid = {
        "dimensions": {"width": SIDE_PX, "height": SIDE_PX},
        "affineTransform": {
            "scaleX": PIXEL_M,
            "shearX": 0,
            "translateX": left,
            "shearY": 0,
            "scaleY": -PIXEL_M,
            "translateY": bottom + BLOCK * TILE_M,
        },
        "crsCode": f"EPSG:{corner.epsg}",
    }
    asked = {"expression": _mosaic(corner, year), "fileFormat": "NPY", "grid": grid}
    content: bytes = ee.data.computePixels(asked)
    return content


def _mosaic(corner: Tile, year: int) -> Any:
    """The images on the block, the zone's own on top: a neighbour's pixels lie across the zone's grid.

    At the bottom lies "no data", so that a block without any image is no error.
    """
    import ee

    images = ee.ImageCollection(COLLECTION).filterDate(f"{year}-01-01", f"{year + 1}-01-01")
    images = images.filterBounds(_square(corner, BLOCK))
    own = ee.Filter.eq("UTM_ZONE", f"{corner.zone}{'S' if corner.south else 'N'}")
    nowhere = ee.ImageCollection([ee.Image.constant([NOWHERE] * len(BANDS)).rename(BANDS)])
    return nowhere.merge(images.filter(own.Not())).merge(images.filter(own)).mosaic().toDouble()


def _years(times: Any) -> tuple[int, ...]:
    """The years in which images start, of an expression for milliseconds since 1970."""
    import ee

    try:
        starts = [datetime.fromtimestamp(time / 1000, timezone.utc) for time in ee.data.computeValue(times)]
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise PriorError("Earth Engine's list of years makes no sense: try another source.") from error
    return tuple(sorted({start.year for start in starts}))

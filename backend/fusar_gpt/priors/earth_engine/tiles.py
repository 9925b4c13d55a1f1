"""Tiles of the AEF collection, computed by Earth Engine, and its answers as int8 codes."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.earth_engine.config import EarthEngineConfig
from fusar_gpt.priors.failures import NO_ACCOUNT
from fusar_gpt.priors.field import DIMENSIONS, NODATA_CODE
from fusar_gpt.priors.retry import RetryPolicy, TransientError
from fusar_gpt.priors.tiles import PIXEL_M, TILE_M, TILE_PX, Codes, Tile, TileSource

COLLECTION = "GOOGLE/SATELLITE_EMBEDDING/V1/ANNUAL"
BANDS = [f"A{band:02d}" for band in range(DIMENSIONS)]
SIDE_PX = 256
"""Side of an answer. At 64 doubles and 64 mask bytes a pixel, Earth Engine's 48 MB allow 295."""
BLOCK = SIDE_PX // TILE_PX
"""Tiles a side of one request."""
AREA = 64
"""Tiles a side of the square whose years are asked at once: half an image of the collection."""
NOWHERE = 2.0
"""Asked for in place of no data: no coordinate of a unit vector is that large."""

_PIXEL = np.dtype([(band, "<f8") for band in BANDS])
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

_ROUNDING = 1e-6  # Earth Engine's doubles are the codes' values exactly; the closest two differ by 6e-5
_UNIT = 0.02  # how far quantising may move a length from 1; 0.006 among 2,560 real vectors
_ROWS = 32  # rows quantised at a time, so that fetches side by side need little memory
_SOMEWHERE = Tile(zone=10, south=False, col=430, row=3263)  # San Francisco
_OVER_QUOTA = (
    "Quota: the project has used up its non-commercial quota and is slowed down, see "
    "https://developers.google.com/earth-engine/guides/noncommercial_tiers."
)


class EarthEngineTiles(TileSource):
    """The collection on Earth Engine, one request for 2 x 2 tiles. Arguments: see ``EarthEngineConfig.of``.

    Raises:
        Unavailable: earthengine-api is not installed, or a setting cannot be used.
    """

    name = "earth-engine"
    parallel = 4
    block = BLOCK

    def __init__(
        self,
        project: str | None = None,
        credentials: Path | None = None,
        url: str | None = None,
        high_volume: bool = False,
    ) -> None:
        self.config = EarthEngineConfig.of(project, credentials, url, high_volume)
        self.address = self.config.url
        self.not_configured = None if self.config.has_account else NO_ACCOUNT
        self.key = "aef-v1-ee"
        if not self.config.official:  # another server may hold other data
            self.key += "-" + re.sub(r"[^a-z0-9.]+", "-", self.config.host.lower())
        self._years: dict[Tile, tuple[int, ...]] = {}
        self._asking = threading.Lock()

    def years(self, tile: Tile, retry: RetryPolicy) -> Sequence[int]:
        """The years of the images around the tile, rising; asked once for 82 x 82 km and remembered."""
        from fusar_gpt.priors.earth_engine.session import ask

        corner = tile.corner(AREA)
        if (known := self._years.get(corner)) is not None:
            return known
        return ask(self.config, lambda: self._ask_years(corner), retry)

    def known_years(self, tile: Tile) -> Sequence[int]:
        """The years that were asked for before."""
        return self._years.get(tile.corner(AREA), ())

    def _ask_years(self, corner: Tile) -> tuple[int, ...]:
        import ee

        with self._asking:
            if corner not in self._years:
                images = ee.ImageCollection(COLLECTION).filterBounds(_square(corner, AREA))
                times = images.aggregate_array("system:time_start").distinct()
                try:
                    found = ee.data.computeValue(times)  # milliseconds since 1970
                    starts = [datetime.fromtimestamp(time / 1000, timezone.utc) for time in found]
                except (TypeError, ValueError, LookupError, OverflowError) as error:
                    raise PriorError(
                        "Earth Engine's list of years is invalid: try another source."
                    ) from error
                self._years[corner] = tuple(sorted({start.year for start in starts}))
            return self._years[corner]

    def fetch(self, tile: Tile, year: int, retry: RetryPolicy) -> Mapping[Tile, Codes]:
        """The tile and the three that share its block of 2 x 2. Raises as ``TileSource.fetch``."""
        from fusar_gpt.priors.earth_engine.session import ask

        corner = tile.corner(BLOCK)
        codes = quantise(ask(self.config, lambda: read_npy(_compute(corner, year)), retry))
        tiles = {}
        for right in range(BLOCK):
            for up in range(BLOCK):
                top, left = (BLOCK - 1 - up) * TILE_PX, right * TILE_PX
                part = codes[:, top : top + TILE_PX, left : left + TILE_PX]
                tiles[replace(corner, col=corner.col + right, row=corner.row + up)] = part.copy()
        return tiles

    def describe(self, retry: RetryPolicy) -> Iterator[str]:
        """Line by line: the credentials, the project, whether Earth Engine answers, its years, the quota."""
        from fusar_gpt.priors.earth_engine.session import credentials_found, restricted

        kind, own_project = credentials_found(self.config, retry)
        yield f"Credentials: {kind}."
        yield f"Project: {self.config.project or own_project or 'none'}."
        years = self.years(_SOMEWHERE, retry)
        yield f"Earth Engine answers at {self.config.host}."
        yield f"AEF at San Francisco: {years[0]} to {years[-1]}." if years else "AEF: no images found."
        yield _OVER_QUOTA if restricted() else "Quota: no complaint."


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


def read_npy(content: bytes) -> NDArray[np.float64]:
    """The values of an NPY with the fields A00 to A63, float64 [256, 256, 64].

    Raises:
        PriorError: It is no NPY, or of another form.
        TransientError: It ends too early.
    """
    stream = io.BytesIO(content)
    try:
        shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    except (ValueError, KeyError) as error:
        raise PriorError(
            "What answers in Earth Engine's place sends no pixels: a proxy or a login page may be in between."
        ) from error
    if dtype != _PIXEL or fortran or shape != (SIDE_PX, SIDE_PX):
        raise PriorError(
            "Earth Engine's answer is not AEF: expected 256 x 256 pixels of 64 doubles. Try another source."
        )
    if len(content) - stream.tell() != SIDE_PX * SIDE_PX * _PIXEL.itemsize:
        raise TransientError("Earth Engine's answers break off: try again later, or another source.")
    return np.frombuffer(content, "<f8", offset=stream.tell()).reshape(SIDE_PX, SIDE_PX, DIMENSIONS)


def quantise(values: NDArray[np.float64]) -> Codes:
    """The int8 codes that the values stand for, exactly: the inverse of ``priors.field.dequantise``.

    Args:
        values: [H, W, 64]; ``NOWHERE`` in any band, or 0 in all as masked pixels are filled, is no data.

    Returns:
        int8 [64, H, W], -128 in all bands where there is no data.

    Raises:
        PriorError: A value is no code's, or a vector is not of unit length: this is not AEF.
    """
    codes = np.empty((DIMENSIONS, *values.shape[:2]), np.int8)
    for top in range(0, len(values), _ROWS):
        part = values[top : top + _ROWS]
        codes[:, top : top + _ROWS] = _quantise_rows(part).transpose(2, 0, 1)
    return codes


def _quantise_rows(values: NDArray[np.float64]) -> NDArray[np.int8]:
    missing = (values == NOWHERE).any(axis=2) | (values == 0).all(axis=2)
    values = np.where(missing[..., None], 0.0, values)
    steps = np.rint(np.sqrt(np.abs(values)) * 127.5)
    back = np.copysign((steps / 127.5) ** 2, values)
    with np.errstate(invalid="ignore"):  # a value that is not finite is no code's
        exact = (steps <= 127).all() and (np.abs(back - values) <= _ROUNDING).all()
    if not exact or (np.abs(np.linalg.norm(back[~missing], axis=1) - 1) > _UNIT).any():
        raise PriorError(
            "Earth Engine's vectors are not AEF, quantised and of unit length: try another source."
        )
    codes = np.copysign(steps, values).astype(np.int8)
    codes[missing] = NODATA_CODE
    return codes

"""Priors as files that this program and any GIS can read."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine
from rasterio.windows import Window

from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors.field import DIMENSIONS, Origin, PriorField
from fusar_gpt.priors.place import Place
from fusar_gpt.priors.reading import CodesOf
from fusar_gpt.priors.tiles import PIXEL_M, TILE_M, TILE_PX, Codes, Tile, zones
from fusar_gpt.priors.vectors import NODATA_CODE


def write_points(path: Path, field: PriorField) -> None:
    """The nodes as ``.npz``, in the form of the FUSAR-GPT authors with the places on the ground beside it.

    ``features`` float32 [S, 64], ``positions`` float32 [S, 2] as (y, x) fractions, ``lon`` and ``lat`` float64
    [S], and, where they are known, ``year``, ``version`` and ``attribution``.
    """
    arrays = {
        "features": field.values,
        "positions": field.positions,
        "lon": field.lonlat.x,
        "lat": field.lonlat.y,
        "year": field.year,
        "version": field.version,
        "attribution": field.attribution,
    }
    known = {name: np.asarray(value) for name, value in arrays.items() if value is not None}
    np.savez_compressed(path, **known)  # type: ignore[arg-type]  # none is called allow_pickle


def write_raster(path: Path, place: Place, codes_of: CodesOf, origin: Origin) -> float:
    """The pixels of a place as a cloud-optimised GeoTIFF of int8 codes in the UTM zone of its middle.

    Pixels of a neighbouring zone are the nearest ones. Overviews hold real pixels too: codes cannot be averaged.

    Args:
        path: The file; a larger temporary one appears beside it.
        place: What it must cover.
        codes_of: Gives the codes of a tile.
        origin: Goes into the tags ``AEF_YEAR``, ``AEF_VERSION`` and ``AEF_ATTRIBUTION``.

    Returns:
        The share of pixels that have data.
    """
    zone = place.zone()
    left, bottom, right, top = _bounds(place)
    profile = {
        "driver": "GTiff",
        "dtype": "int8",
        "count": DIMENSIONS,
        "width": right - left,
        "height": top - bottom,
        "nodata": NODATA_CODE,
        "crs": f"EPSG:{zone.epsg}",
        "transform": Affine(PIXEL_M, 0, left * PIXEL_M, 0, -PIXEL_M, top * PIXEL_M),
        "tiled": True,
        "blockxsize": TILE_PX,
        "blockysize": TILE_PX,
        "interleave": "pixel",
        "bigtiff": "if_safer",
    }
    plain = path.with_name(path.name + ".plain.tif")
    filled = 0
    with rasterio.open(plain, "w", **profile) as raster:
        raster.update_tags(**_tags(origin))
        raster.descriptions = tuple(f"A{band:02d}" for band in range(DIMENSIONS))
        for tile in raster_tiles(place):
            codes = _in_one_zone(tile, codes_of)
            col, row = tile.col * TILE_PX - left, top - (tile.row + 1) * TILE_PX
            across = slice(max(-col, 0), min(right - left - col, TILE_PX))
            down = slice(max(-row, 0), min(top - bottom - row, TILE_PX))
            part = codes[:, down, across]
            window = Window(col + across.start, row + down.start, part.shape[2], part.shape[1])
            raster.write(part, window=window)
            filled += int((part[0] != NODATA_CODE).sum())
    rasterio.shutil.copy(
        plain, path, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=TILE_PX, OVERVIEW_RESAMPLING="NEAREST",
        BIGTIFF="IF_SAFER",
    )  # fmt: skip
    plain.unlink()
    return filled / ((right - left) * (top - bottom))


def raster_tiles(place: Place) -> list[Tile]:
    """The tiles that ``write_raster`` writes, row by row from the north."""
    zone = place.zone()
    left, bottom, right, top = _bounds(place)
    rows = range((top - 1) // TILE_PX, bottom // TILE_PX - 1, -1)
    cols = range(left // TILE_PX, (right - 1) // TILE_PX + 1)
    return [Tile(zone.zone, zone.south, col, row) for row in rows for col in cols]


def _bounds(place: Place) -> tuple[int, int, int, int]:
    """Left, bottom, right and top of the place in whole pixels of its zone."""
    left, bottom, right, top = (edge / PIXEL_M for edge in place.outline(place.zone()).bounds)
    return math.floor(left), math.floor(bottom), math.ceil(right), math.ceil(top)


def _tags(origin: Origin) -> dict[str, str]:
    said = {"AEF_YEAR": origin.year, "AEF_VERSION": origin.version, "AEF_ATTRIBUTION": origin.attribution}
    tags = {name: str(value) for name, value in said.items() if value is not None}
    return tags | ({"FUSAR_SIMULATED": "YES"} if origin.simulated else {})


def _in_one_zone(tile: Tile, codes_of: CodesOf) -> Codes:
    """The codes on a tile's grid; where it reaches into another zone, that zone's nearest pixels."""
    lonlat = _pixel_centres(tile)
    number = zones(lonlat)
    own = -tile.zone if tile.south else tile.zone
    if (number == own).all():
        return codes_of(tile)
    codes = np.full((DIMENSIONS, TILE_PX * TILE_PX), NODATA_CODE, np.int8)
    for zone in np.unique(number):
        here = number == zone
        if zone == own:
            codes[:, here] = codes_of(tile).reshape(DIMENSIONS, -1)[:, here]
        else:
            codes[:, here] = _nearest(LonLatPoints(lonlat.x[here], lonlat.y[here]), int(zone), codes_of)
    return codes.reshape(DIMENSIONS, TILE_PX, TILE_PX)


def _pixel_centres(tile: Tile) -> LonLatPoints:
    rows, cols = np.mgrid[:TILE_PX, :TILE_PX] + 0.5
    x, y = tile.transform @ (cols.ravel(), rows.ravel())
    return LonLatPoints(
        *Transformer.from_crs(f"EPSG:{tile.epsg}", "EPSG:4326", always_xy=True).transform(x, y)
    )


def _nearest(points: LonLatPoints, zone: int, codes_of: CodesOf) -> NDArray[np.int8]:
    """The codes [64, N] of the pixels of one zone (negative in the south) that the points fall in."""
    first = Tile(abs(zone), zone < 0, 0, 0)
    to_utm = Transformer.from_crs("EPSG:4326", f"EPSG:{first.epsg}", always_xy=True)
    x, y = to_utm.transform(points.x, points.y)
    at = np.stack([np.floor(x / TILE_M), np.floor(y / TILE_M)], axis=1).astype(int)
    codes = np.empty((DIMENSIONS, len(points)), np.int8)
    for col, row in np.unique(at, axis=0):
        here = (at == (col, row)).all(axis=1)
        tile = Tile(first.zone, first.south, int(col), int(row))
        cols, rows = ~tile.transform @ (x[here], y[here])
        down, across = (np.clip(axis.astype(int), 0, TILE_PX - 1) for axis in (rows, cols))
        codes[:, here] = codes_of(tile)[:, down, across]
    return codes

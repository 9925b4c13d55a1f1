"""The COGs that an index lists, or that lie in a folder."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from rasterio.warp import transform_bounds

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.field import DIMENSIONS
from fusar_gpt.priors.tiles import Bounds

COLUMNS = ("path", "year", "crs", *(f"{frame}_{side}" for frame in ("utm", "wgs84") for side in
           ("west", "south", "east", "north")))  # fmt: skip
"""What is read of an index; the outlines, nearly all of its bytes, are not."""

_MOST_FILES = 20_000
_MOST_ROWS = 100_000  # of one square degree; the published index has some 30
_LONGEST_FIELD = 2**24  # outlines are long
_PUBLISHED = re.compile(r"(?:^|/)([0-9]{4}/[0-9]{1,2}[NS]/[\w.-]+\.tiff?)$")
_YEAR = re.compile(r"(?<![0-9])(20[0-9]{2})(?![0-9])")


@dataclass(frozen=True)
class CogFile:
    """One COG.

    Attributes:
        path: Where it is below the root of all of them.
        year: The year it describes.
        crs: Its CRS, ``EPSG:<code>`` where there is one.
        bounds: Of its pixels, in units of its CRS.
        lonlat: Around its data, WGS84 degrees; left > right across the antimeridian.
    """

    path: str
    year: int
    crs: str
    bounds: Bounds
    lonlat: Bounds


def parse_row(record: Mapping[str, Any]) -> CogFile | None:
    """The file of one row of an index, None for an invalid row.

    The mirror's index may still hold the bucket's addresses. Of an address only year/zone/name counts, so that
    an index can never lead to another server or out of a folder.
    """
    try:
        path, crs, year = str(record["path"]), str(record["crs"]), int(record["year"])
        left, bottom, right, top, west, south, east, north = (float(record[name]) for name in COLUMNS[3:])
    except (KeyError, TypeError, ValueError):
        return None
    if published := _PUBLISHED.search(path):
        path = published[1]
    elif "://" in path or "\\" in path or PurePosixPath(path).is_absolute() or ".." in path.split("/"):
        return None
    if not math.isfinite(left + bottom + right + top + west + south + east + north):
        return None
    return CogFile(path, year, crs, (left, bottom, right, top), (west, south, east, north))


def read_csv(path: Path) -> Iterator[CogFile]:
    """The files of ``aef_index.csv``. PriorError when it is not such an index."""
    csv.field_size_limit(_LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = csv.DictReader(lines)
            if missing := set(COLUMNS) - set(rows.fieldnames or ()):
                raise PriorError(f"aef_index.csv has no column {min(missing)}: fetch the index again.")
            yield from filter(None, map(parse_row, rows))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise PriorError("aef_index.csv cannot be read: fetch the index again.") from error


class NotAtHandError(LookupError):
    """It would have to be fetched, and may not be."""


class UnreadableError(PriorError):
    """An index cannot be read."""


def read_gpkg(address: str, around: Bounds | None, most: int = _MOST_ROWS) -> list[CogFile]:
    """The files of ``aef_index.gpkg`` that touch a rectangle of degrees, found by its spatial index.

    Args:
        address: As GDAL reads it; on a web server a few pages of the file are fetched, not the file.
        around: WGS84 degrees; None for anywhere.
        most: Rows to read at most.

    Raises:
        UnreadableError: It cannot be read.
        PriorError: It is no such index.
    """
    table = _query_gpkg(address, bbox=around, max_features=most, columns=list(COLUMNS))
    if missing := set(COLUMNS) - set(table):
        raise PriorError(f"aef_index.gpkg has no column {min(missing)}: fetch the index again.")
    rows = (dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True))
    return list(filter(None, map(parse_row, rows)))


def has_spatial_index(address: str) -> bool:
    """Whether a GeoPackage has a spatial index, so that it can be searched where it lies. UnreadableError."""
    question = "SELECT COUNT(*) AS n FROM sqlite_master WHERE name LIKE 'rtree%'"
    return bool(_query_gpkg(address, sql=question)["n"][0])


def _query_gpkg(address: str, **asked: Any) -> dict[str, Sequence[Any]]:
    """Columns by name."""
    import pyogrio

    pyogrio.set_gdal_config_options({"CPL_VSIL_CURL_NON_CACHED": "/vsicurl"})  # else a failure is remembered
    failures = (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError, pyogrio.errors.FeatureError)
    try:
        meta, _, _, columns = pyogrio.raw.read(address, read_geometry=False, IMMUTABLE="YES", **asked)
    except failures:  # their text names the address, which may hold a token
        raise UnreadableError("aef_index.gpkg cannot be read: fetch the index again.") from None
    return dict(zip(meta["fields"], columns, strict=True))


def scan_folder(folder: Path) -> list[CogFile]:
    """The COGs below a folder without an index, by their headers.

    The year is that of the tag ``AEF_YEAR``; else that of the closest folder named as a year; else the first
    four digits in the name that can be one (2000 to 2099). Other TIFFs are passed over.

    Raises:
        PriorError: There are none, too many, or one without a year.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".tif", ".tiff"))
    if len(paths) > _MOST_FILES:
        raise PriorError(f"{folder} has {len(paths)} TIFFs: put aef_index.gpkg beside them.")
    if found := [file for path in paths if (file := _scanned(path, folder))]:
        return found
    raise PriorError(f"{folder} has no AEF files, TIFFs with 64 int8 bands and a CRS: give another folder.")


def _scanned(path: Path, folder: Path) -> CogFile | None:
    try:
        with rasterio.open(path, driver="GTiff") as raster:
            if raster.count != DIMENSIONS or set(raster.dtypes) != {"int8"} or raster.crs is None:
                return None
            simulated = raster.tags().get("FUSAR_SIMULATED", "").upper() == "YES"
            year = _year(raster.tags().get("AEF_YEAR", ""), path.relative_to(folder))
            corners = [raster.transform @ (x, y) for x in (0, raster.width) for y in (0, raster.height)]
            (left, bottom), (right, top) = np.min(corners, axis=0), np.max(corners, axis=0)
            lonlat = transform_bounds(raster.crs, "EPSG:4326", left, bottom, right, top)
            epsg = raster.crs.to_epsg()
    except RasterioError:
        return None
    if simulated:  # tiles carry no such mark, and nothing simulated may pass as real
        raise PriorError(f"{path} is simulated: give it as a file, --prior {path.name}, or move it away.")
    if year is None:
        raise PriorError(f"{path} does not say its year: put it into a folder named after it, such as 2024.")
    crs = f"EPSG:{epsg}" if epsg else "other"
    name = path.relative_to(folder).as_posix()
    return CogFile(name, year, crs, (float(left), float(bottom), float(right), float(top)), lonlat)


def _year(tag: str, path: Path) -> int | None:
    named = [part for part in (tag, *reversed(path.parts[:-1])) if _YEAR.fullmatch(part)]
    found = named or _YEAR.findall(path.name)
    return int(found[0]) if found else None

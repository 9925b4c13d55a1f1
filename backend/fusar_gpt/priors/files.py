"""Priors in files: rasters and points that are read, and those that ``fusar prior fetch`` writes."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import ProjError
from rasterio.errors import CRSError, NotGeoreferencedWarning, RasterioError
from rasterio.transform import Affine
from rasterio.windows import Window

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ChipPoints, LonLatPoints, ScenePoints
from fusar_gpt.lonlat import around, transformer, turn_of, wrap
from fusar_gpt.priors.field import (
    DIMENSIONS,
    NODATA_CODE,
    STORED_AS,
    Footprint,
    Origin,
    PriorField,
    PriorSource,
    check_lengths,
    dequantise,
)
from fusar_gpt.priors.tiles import (
    PIXEL_M,
    TILE_PX,
    BoundingBox,
    Codes,
    CodesOf,
    Tile,
    degrees_to_utm,
    tiles_within,
    utm_zones,
)

POINT_FILES = (".npz", ".npy")

_WINDOW_LIMIT = 256 * 256  # pixels up to which one window is read faster than its nodes one by one
_STATED = ("year", "version", "attribution", "simulated")
_BEFORE_VECTOR = 6  # columns of a .npy: lon, lat, row, col, x, y
_BANDS = tuple(f"A{band:02d}" for band in range(DIMENSIONS))
_FARTHEST = 2.0  # a fraction beyond this is a position in pixels


class FilePrior(PriorSource):
    """The prior in a file. It describes the file's own year, whatever year is asked for.

    A raster has 64 bands of int8 AEF codes or of floats, any CRS, and a transform of any direction. Its tags
    say the rest: ``AEF_YEAR``, ``AEF_VERSION``, ``AEF_ATTRIBUTION``; ``FUSAR_SIMULATED=YES`` if simulated.

    A ``.npz`` holds ``features`` [S, 64] and ``positions`` [S, 2], which are (y, x) as fractions of the whole
    scene, or ``lon`` and ``lat`` [S] in WGS84 degrees, which take precedence and may be counted from -180 or from
    0. Single values ``year``, ``version``, ``attribution`` and ``simulated`` may be given too. A ``.npy`` is
    [S, 70]: lon, lat, row, col, x, y, A00 to A63, of which lon and lat are used.

    Args:
        path: The file.
        nodes: N_lon and N_lat of the grid that a raster is sampled on (FUSAR-GPT eq. 2).
        drivers: Those of GDAL that may open a raster; None is any.

    Raises:
        PriorError: The file is missing, unreadable or of another form.
    """

    def __init__(
        self,
        path: str | Path,
        nodes: tuple[int, int] = (16, 16),
        drivers: tuple[str, ...] | None = None,
    ) -> None:
        path = Path(path)
        if not path.is_file():
            raise PriorError(f"There is no prior file {path}: give the path of a file, or none.")
        self.name = f"file:{path.name}"
        self._file: _Points | _Raster
        if path.suffix.lower() in POINT_FILES:
            self._file = _Points(path, self.name)
        else:
            self._file = _Raster(path, self.name, nodes, drivers)

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on one chip. PriorError when the file breaks while it is read, or they are not AEF's."""
        return self._file.field_on(footprint)

    def share(self, footprint: Footprint) -> float:
        """The share of a chip that the file reaches, with data or without; for points all of it or nothing."""
        return self._file.share_of(footprint)


class _Points:
    """N vectors with a place each, all in memory: the ``.npz`` and ``.npy`` forms of the FUSAR-GPT authors."""

    def __init__(self, path: Path, source: str) -> None:
        self._path = path
        arrays = _load_points(path)
        stated = {name: arrays[name].item() for name in _STATED if name in arrays and arrays[name].size == 1}
        self._origin = Origin.stated(source, **stated)
        self._values = dequantise(self._array(arrays, "features", DIMENSIONS))
        check_lengths(self._values, str(path))
        self._on_ground = "lon" in arrays and "lat" in arrays
        if self._on_ground:
            places = [wrap(self._array(arrays, "lon", None)), self._array(arrays, "lat", None)]
        else:
            places = list(self._array(arrays, "positions", 2).T)
        if any(len(place) != len(self._values) for place in places):
            raise PriorError(f"{path} has not as many places as features: export it again.")
        self._places = np.array(places, dtype=np.float64)
        self._places[~np.isfinite(self._places)] = np.nan  # nowhere, and quiet in any mapping
        if not self._on_ground and (np.abs(self._places) > _FARTHEST).any():
            raise PriorError(
                f"{path}: positions must be (y, x) as fractions 0 to 1 of the scene: divide by its size."
            )

    def _array(self, arrays: Mapping[str, NDArray[Any]], name: str, columns: int | None) -> NDArray[Any]:
        array = arrays.get(name)
        form = "[S]" if columns is None else f"[S, {columns}]"
        if array is None:
            raise PriorError(f"{self._path} has no {name}: it must hold {name} {form}.")
        wanted = (columns,) if columns else ()
        if array.ndim != 1 + len(wanted) or array.shape[1:] != wanted or str(array.dtype) not in STORED_AS:
            raise PriorError(
                f"{self._path}: {name} is {array.dtype} {list(array.shape)}, it must be floats {form}."
            )
        return array

    def field_on(self, footprint: Footprint) -> PriorField:
        """The points that fall on the chip."""
        lonlat, chip = self._on_chip(footprint)
        return footprint.field(self._values, chip, lonlat, self._origin)

    def share_of(self, footprint: Footprint) -> float:
        """1 if any point falls on the chip, else 0."""
        return float(footprint.holds(self._on_chip(footprint)[1]).any())

    def _on_chip(self, footprint: Footprint) -> tuple[LonLatPoints, ChipPoints]:
        if self._on_ground:
            lonlat = LonLatPoints(*self._places)
            return lonlat, footprint.lonlat_to_chip(lonlat)
        y, x = self._places
        nowhere = LonLatPoints(np.full(len(x), np.nan), np.full(len(x), np.nan))
        scene = ScenePoints(x * footprint.scene_width, y * footprint.scene_height)
        return nowhere, footprint.scene_to_chip(scene)


def _load_points(path: Path) -> Mapping[str, NDArray[Any]]:
    """The arrays of the file by name; the columns of a ``.npy`` by the names that a ``.npz`` would have."""
    try:
        with path.open("rb") as stream:
            content = np.load(stream, allow_pickle=False)
            if not isinstance(content, np.ndarray):
                return {name: content[name] for name in content.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise PriorError(
            f"{path} is damaged, or holds Python objects, which are never loaded: export plain arrays."
        ) from error
    if content.ndim != 2 or content.shape[1] != _BEFORE_VECTOR + DIMENSIONS:
        raise PriorError(
            f"{path} is {list(content.shape)}, it must be [S, 70]: lon, lat, row, col, x, y, A00 to A63."
        )
    return {"lon": content[:, 0], "lat": content[:, 1], "features": content[:, _BEFORE_VECTOR:]}


class _Raster:
    """A raster kept open, so that neighbouring chips share its decoded blocks. It may be south-up or rotated."""

    def __init__(
        self, path: Path, source: str, nodes: tuple[int, int], drivers: tuple[str, ...] | None
    ) -> None:
        self._path = path
        self._nodes = nodes
        try:
            with warnings.catch_warnings(), rasterio.Env():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # refused below, in our words
                self._raster = rasterio.DatasetReader(
                    path.absolute(), driver=list(drivers) if drivers else None
                )
        except RasterioError as error:
            raise PriorError(
                f"{path} is not a prior: give a 64-band AEF raster, or AEF points as .npz or .npy."
            ) from error
        self._check()
        tags = self._raster.tags()
        self._origin = Origin.stated(
            source,
            tags.get("AEF_YEAR"),
            tags.get("AEF_VERSION"),
            tags.get("AEF_ATTRIBUTION"),
            tags.get("FUSAR_SIMULATED"),
        )
        try:
            # WKT1 would leave out what no code says.
            crs = CRS.from_wkt(self._raster.crs.to_wkt(version="WKT2_2019")).to_2d()
            self._to_raster = transformer("OGC:CRS84", crs)
            self._turn = turn_of(crs)
            self._middle, _ = self._raster.transform @ (self._raster.width / 2, self._raster.height / 2)
        except (ProjError, CRSError) as error:
            raise PriorError(f"{path} has a CRS that is not on Earth: warp it to a UTM zone.") from error

    def _check(self) -> None:
        raster = self._raster
        if raster.count != DIMENSIONS:
            raise PriorError(
                f"{self._path} has {raster.count} bands and AEF has {DIMENSIONS}: export bands A00 to A63."
            )
        if not set(raster.dtypes) <= set(STORED_AS):
            raise PriorError(f"{self._path} holds {raster.dtypes[0]}: give AEF as int8 codes or as floats.")
        if raster.crs is None or not _is_placed(raster.transform):
            raise PriorError(
                f"{self._path} is not georeferenced: give a raster with a CRS and a geotransform."
            )

    def field_on(self, footprint: Footprint) -> PriorField:
        """The nodes of eq. 2 with the vector of the pixel that each falls in."""
        lonlat = footprint.nodes(self._nodes)
        col, row, inside = self._places(lonlat)
        values = np.full((len(lonlat), DIMENSIONS), np.nan)
        if inside.any():
            pixels = np.stack([col[inside].astype(int), row[inside].astype(int)])
            values[inside] = dequantise(self._read(*pixels), self._raster.nodata)
            _, different = np.unique(pixels, axis=1, return_index=True)
            check_lengths(values[inside][different], str(self._path))
        return footprint.field(values, footprint.lonlat_to_chip(lonlat), lonlat, self._origin)

    def share_of(self, footprint: Footprint) -> float:
        """The share of the nodes on the chip that lie on the raster."""
        lonlat = footprint.nodes(self._nodes)
        on_chip = footprint.holds(footprint.lonlat_to_chip(lonlat))
        return float(self._places(lonlat)[2][on_chip].mean()) if on_chip.any() else 0.0

    def _places(
        self, lonlat: LonLatPoints
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
        """Column and row of the nodes, and which lie on the raster."""
        x, y = self._to_raster.transform(lonlat.x, lonlat.y)
        if self._turn is not None:  # its longitudes may be counted from 0, or past 180
            x = around(np.asarray(x), self._middle, self._turn)
        with np.errstate(invalid="ignore"):  # a place that the raster's CRS cannot express is infinite
            col, row = ~self._raster.transform @ (np.asarray(x), np.asarray(y))
            inside = (col >= 0) & (col < self._raster.width) & (row >= 0) & (row < self._raster.height)
        return col, row, inside

    def _read(self, col: NDArray[np.int_], row: NDArray[np.int_]) -> NDArray[np.generic]:
        """The stored values [N, 64] of N pixels."""
        left, top = int(col.min()), int(row.min())
        width, height = int(np.ptp(col)) + 1, int(np.ptp(row)) + 1
        try:
            if width * height <= _WINDOW_LIMIT:
                block = self._raster.read(window=Window(left, top, width, height))
                return np.asarray(block[:, row - top, col - left].T)
            centres = zip(*(self._raster.transform @ (col + 0.5, row + 0.5)), strict=True)
            return np.stack(list(self._raster.sample(centres)))
        except RasterioError as error:
            raise PriorError(
                f"{self._path} cannot be read, it is damaged or gone: fetch it again."
            ) from error


def _is_placed(transform: Affine) -> bool:
    return bool(np.isfinite(transform[:6]).all()) and not (transform.is_identity or transform.is_degenerate)


def write_points(path: Path, field: PriorField) -> None:
    """Write the nodes as ``.npz``, in the form of the FUSAR-GPT authors with their coordinates added.

    ``features`` float32 [S, 64], ``positions`` float32 [S, 2] as (y, x) fractions, ``lon`` and ``lat`` float64
    [S], and, where they are known, ``year``, ``version`` and ``attribution``.
    """
    arrays: dict[str, NDArray[Any]] = {"features": field.values, "positions": field.positions}
    arrays |= {"lon": field.lonlat.x, "lat": field.lonlat.y}
    origin = {"year": field.year, "version": field.version, "attribution": field.attribution}
    known = {name: np.asarray(value) for name, value in origin.items() if value is not None}
    np.savez_compressed(path, **arrays, **known)  # type: ignore[arg-type]  # none is called allow_pickle


def is_written_prior(path: Path) -> bool:
    """Whether a file has the form of those that :func:`write_points` and :func:`write_raster` write."""
    try:
        if path.suffix.lower() in POINT_FILES:
            return {"features", "positions", "lon", "lat"} <= set(_load_points(path))
        with warnings.catch_warnings(), rasterio.open(path.absolute()) as raster:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return bool(raster.descriptions == _BANDS)
    except (PriorError, RasterioError):
        return False


def write_raster(path: Path, box: BoundingBox, codes_of: CodesOf, origin: Origin) -> float:
    """Write the pixels of a box as a cloud-optimised GeoTIFF of int8 codes in the UTM zone of its middle.

    Pixels of a neighbouring zone are the nearest ones. Overviews hold real pixels too: codes cannot be averaged.

    Args:
        path: The file; a larger temporary one appears beside it.
        box: What it must cover.
        codes_of: Gives the codes of a tile.
        origin: Goes into the tags ``AEF_YEAR``, ``AEF_VERSION`` and ``AEF_ATTRIBUTION``.

    Returns:
        The share of pixels that have data.
    """
    edges = np.array(box.in_utm(box.zone).bounds) / PIXEL_M
    (left, bottom), (right, top) = np.floor(edges[:2]).astype(int), np.ceil(edges[2:]).astype(int)
    width, height = int(right - left), int(top - bottom)
    layout = {"dtype": "int8", "count": DIMENSIONS, "width": width, "height": height, "nodata": NODATA_CODE}
    layout |= {"tiled": True, "blockxsize": TILE_PX, "blockysize": TILE_PX, "interleave": "pixel"}
    transform = Affine(PIXEL_M, 0, left * PIXEL_M, 0, -PIXEL_M, top * PIXEL_M)
    crs = f"EPSG:{Tile.of(box.zone).epsg}"
    plain = path.with_name(path.name + ".plain.tif")
    filled = 0
    with rasterio.open(
        plain, "w", driver="GTiff", bigtiff="if_safer", crs=crs, transform=transform, **layout
    ) as raster:
        raster.update_tags(**_tags(origin))
        raster.descriptions = _BANDS
        for tile in raster_tiles(box):
            col, row = tile.col * TILE_PX - left, top - (tile.row + 1) * TILE_PX
            across = slice(max(-col, 0), min(width - col, TILE_PX))
            down = slice(max(-row, 0), min(height - row, TILE_PX))
            part = _in_one_zone(tile, codes_of)[:, down, across]
            window = Window(col + across.start, row + down.start, part.shape[2], part.shape[1])
            raster.write(part, window=window)
            filled += int((part[0] != NODATA_CODE).sum())
    rasterio.shutil.copy(
        plain, path, driver="COG", COMPRESS="DEFLATE", BLOCKSIZE=TILE_PX, OVERVIEW_RESAMPLING="NEAREST",
        BIGTIFF="IF_SAFER",
    )  # fmt: skip
    plain.unlink()
    return filled / (width * height)


def raster_tiles(box: BoundingBox) -> list[Tile]:
    """The tiles that ``write_raster`` writes, in its order."""
    return list(tiles_within(box.zone, box.in_utm(box.zone).bounds))


def _tags(origin: Origin) -> dict[str, str]:
    given = {"AEF_YEAR": origin.year, "AEF_VERSION": origin.version, "AEF_ATTRIBUTION": origin.attribution}
    tags = {name: str(value) for name, value in given.items() if value is not None}
    return tags | ({"FUSAR_SIMULATED": "YES"} if origin.simulated else {})


def _in_one_zone(tile: Tile, codes_of: CodesOf) -> Codes:
    """The codes on a tile's grid; where it reaches into another zone, that zone's nearest pixels."""
    x, y = tile.pixel_centres()
    lonlat = LonLatPoints(*degrees_to_utm(tile.signed_zone).transform(x, y, direction="INVERSE"))
    zones = utm_zones(lonlat)
    if (zones == tile.signed_zone).all():
        return codes_of(tile)
    codes = np.empty((DIMENSIONS, TILE_PX * TILE_PX), np.int8)
    for zone in np.unique(zones).tolist():
        here = zones == zone
        codes[:, here] = _codes_at(LonLatPoints(lonlat.x[here], lonlat.y[here]), zone, codes_of)
    return codes.reshape(DIMENSIONS, TILE_PX, TILE_PX)


def _codes_at(points: LonLatPoints, zone: int, codes_of: CodesOf) -> NDArray[np.int8]:
    """The codes [64, N] of the pixels of one zone that the points fall in."""
    x, y = degrees_to_utm(zone).transform(points.x, points.y)
    col, up = np.floor(x / PIXEL_M).astype(int), np.floor(y / PIXEL_M).astype(int)
    tiles = np.stack([col // TILE_PX, up // TILE_PX], axis=1)
    codes = np.empty((DIMENSIONS, len(points)), np.int8)
    for left, bottom in np.unique(tiles, axis=0).tolist():
        here = (tiles == (left, bottom)).all(axis=1)
        tile = codes_of(Tile.of(zone, left, bottom))
        codes[:, here] = tile[:, TILE_PX - 1 - up[here] % TILE_PX, col[here] % TILE_PX]
    return codes

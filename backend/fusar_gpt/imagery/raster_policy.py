"""Untrusted rasters: which of GDAL's drivers may open them, and what is refused before any pixel is read.

GDAL opens what a file refers to: a VRT's sources, a sidecar's overviews, an overview file that a TIFF's metadata names,
even by HTTP. So only drivers whose files contain their own pixels are allowed, files beside an upload are never read,
and a file that still refers to another one is refused before the first pixel is read. The same holds for the sidecars
of a scene, and for theirs: GDAL opens those with any driver. Their names and metadata are compared without case, as
GDAL compares them.
"""

from __future__ import annotations

import html
import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from fusar_gpt.contract.crs_text import check_crs_text
from fusar_gpt.errors import SceneError

DRIVERS = ("GTiff", "PNG", "JPEG", "JP2OpenJPEG", "HFA", "NITF", "ENVI")
"""Not netCDF and HDF5: such a file may take its pixels from any other. Not SAFE, which is a folder."""

FORMATS = "GeoTIFF, JPEG 2000, ERDAS, NITF, ENVI, PNG, JPEG"

NO_NETWORK = {"CPL_VSIL_CURL_ALLOWED_FILENAME": "none", "GDAL_HTTP_PROXY": "none://none"}
"""No address has this name, and curl knows no such proxy, so it gives up before it connects."""
_NOTHING_BESIDE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}

MAX_PIXELS = 2**32
MAX_BANDS = 512
_MAX_DECODED_WHOLE = 2**28
_DECODED_WHOLE = ("PNG", "JPEG")
_MAX_BLOCK_BYTES = 2**27

_RASTER_SIDECAR = re.compile(r"\.(ovr|msk|aux|rrd|rset|r[0-9])", re.IGNORECASE)
"""What GDAL opens beside a raster, with any driver."""
_TEXT_SIDECAR = re.compile(r"\.(xml|hdr|prj|qpj|tab)", re.IGNORECASE)
_NAMES_FILES = re.compile(r"OVERVIEW_FILE|PROJ4_GRIDS|PARAMETERFILE|grids\s*=(?!\s*@null)", re.IGNORECASE)
_MAX_TEXT = 2**24
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"EHFA")
"""How a TIFF or ERDAS file begins. No other driver takes such a file for its own."""


@dataclass(frozen=True)
class RasterPolicy:
    """What an untrusted raster may do.

    Attributes:
        alone: Only the file itself is read, no sidecar beside it.
        max_pixels: Pixels of the largest raster that is opened.
    """

    alone: bool = False
    max_pixels: int = MAX_PIXELS
    drivers: ClassVar[tuple[str, ...]] = DRIVERS

    @property
    def environment(self) -> dict[str, str]:
        """GDAL's configuration options for every access to the file."""
        return NO_NETWORK | (_NOTHING_BESIDE if self.alone else {})

    def open(self, path: Path) -> rasterio.DatasetReader:
        """Open the file, or refuse it before any pixel is decoded.

        Raises:
            SceneError: No allowed driver opens it, it refers to other files, or it is too large.
        """
        if not path.is_file():
            raise SceneError(f"'{path.name}' is not a file: name the raster itself, not its folder")
        for sidecar in () if self.alone else _sidecars(path):
            self._open(sidecar).close()
        return self._open(path)

    def _open(self, path: Path) -> rasterio.DatasetReader:
        with warnings.catch_warnings(), rasterio.Env(**self.environment):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                dataset = rasterio.DatasetReader(path, driver=list(self.drivers))
            except RasterioError as error:
                raise SceneError(
                    f"'{path.name}' is not a raster that this server opens ({FORMATS}), or it is damaged: "
                    "convert it to GeoTIFF"
                ) from error
            try:
                self._check_size(dataset, path.name)
                self._check_references(dataset, path)
            except SceneError:
                dataset.close()
                raise
        return dataset

    def check(self, path: Path) -> None:
        """Open the file, read a pixel with all that GDAL opens for it, and close it.

        Raises:
            SceneError: As :meth:`open`. That its pixels are damaged is left to those who need them.
        """
        with self.open(path) as dataset, rasterio.Env(**self.environment), suppress(RasterioError):
            dataset.overviews(1)
            dataset.read(1, window=Window(0, 0, 1, 1), masked=True)

    def _check_size(self, dataset: rasterio.DatasetReader, name: str) -> None:
        most = min(self.max_pixels, _MAX_DECODED_WHOLE if dataset.driver in _DECODED_WHOLE else MAX_PIXELS)
        if dataset.width * dataset.height > most or dataset.count > MAX_BANDS:
            raise SceneError(
                f"'{name}' has {dataset.width} x {dataset.height} pixels and {dataset.count} bands; at most "
                f"{most:,} pixels and {MAX_BANDS} bands are opened: cut it down first"
            )
        for (rows, columns), dtype in zip(dataset.block_shapes, dataset.dtypes, strict=True):
            item = np.dtype(dtype.replace("complex_int16", "complex64")).itemsize
            if rows * columns * item > _MAX_BLOCK_BYTES:
                raise SceneError(
                    f"'{name}' is stored in too large blocks: tile it (gdal_translate -co TILED=YES)"
                )

    def _check_references(self, dataset: rasterio.DatasetReader, path: Path) -> None:
        """Refuse a file that makes GDAL or PROJ open another one. The metadata first: reading it opens nothing."""
        if _names_overviews(dataset) or self._has_files_elsewhere(dataset, path):
            raise SceneError(
                f"'{path.name}' refers to other files or addresses, which are not followed: "
                "export it to a plain GeoTIFF"
            )
        try:
            for crs in (dataset.crs, dataset.gcps[1]):
                for version in (None, "WKT2_2019") if crs else ():
                    check_crs_text(crs.to_wkt(version=version))
        except (RasterioError, ValueError) as error:
            raise SceneError(
                f"the CRS of '{path.name}' is damaged, or refers to grids or other files, which are not followed: "
                "assign one by its EPSG code"
            ) from error

    def _has_files_elsewhere(self, dataset: rasterio.DatasetReader, path: Path) -> bool:
        folder, files = path.resolve().parent, [Path(file) for file in dataset.files]
        return any(file.resolve().parent != folder for file in files) or (
            self.alone and [file.name for file in files] != [path.name]
        )


def _names_overviews(dataset: rasterio.DatasetReader) -> bool:
    """Whether metadata of any domain names a file of overviews. GDAL compares domains and keys without case."""
    return any(
        key.upper() == "OVERVIEW_FILE"
        for band in (0, *dataset.indexes)
        for domain in ("OVERVIEWS", *dataset.tag_namespaces(band))
        for key in dataset.tags(band, ns=domain)
    )


def _sidecars(path: Path) -> Iterator[Path]:
    """The rasters beside a scene that GDAL would open: all have to be TIFF or ERDAS by their first bytes.

    Raises:
        SceneError: One is not, or a file whose name begins like the scene's is a pipe, socket or device.
    """
    stem = path.stem.lower()
    for beside in os.scandir(path.parent):
        name = beside.name
        if not re.match(re.escape(stem) + r"([._]|$)", name.lower()) or name == path.name:
            continue
        try:
            mode = beside.stat().st_mode
        except OSError:  # a link to nothing, or deleted meanwhile
            continue
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise SceneError(f"'{name}' beside the scene is no plain file: delete it")
        suffix = os.path.splitext(name)[1]  # noqa: PTH122
        if stat.S_ISREG(mode) and _TEXT_SIDECAR.fullmatch(suffix):
            _check_text(Path(beside))
        elif stat.S_ISREG(mode) and _RASTER_SIDECAR.fullmatch(suffix):
            _check_magic(Path(beside))
            yield Path(beside)


def _check_text(sidecar: Path) -> None:
    """Refuse metadata or a CRS that names files, before GDAL and PROJ read it: they would open a pipe at once."""
    text = _first_bytes(sidecar, _MAX_TEXT + 1)
    if len(text) > _MAX_TEXT or _NAMES_FILES.search(html.unescape(text.decode("utf-8", "replace"))):
        raise SceneError(f"'{sidecar.name}' beside the scene names other files, or is no text: delete it")


def _check_magic(sidecar: Path) -> None:
    if _first_bytes(sidecar, 4) not in _MAGIC:
        raise SceneError(f"'{sidecar.name}' beside the scene is neither TIFF nor ERDAS: delete it")


def _first_bytes(sidecar: Path, count: int) -> bytes:
    try:
        with sidecar.open("rb") as file:
            return file.read(count)
    except OSError as error:
        raise SceneError(f"'{sidecar.name}' beside the scene cannot be read: delete it") from error

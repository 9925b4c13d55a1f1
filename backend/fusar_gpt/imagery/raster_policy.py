"""Untrusted rasters: which of GDAL's drivers may open them, and what is refused before any pixel is read.

GDAL opens what a file refers to: a VRT's sources, a sidecar's overviews, an overview file that a TIFF's metadata names,
even by HTTP. So only drivers whose files contain their own pixels are allowed, files beside an upload are never read,
and a file that still refers to another one is refused before the first pixel is read.
"""

from __future__ import annotations

import glob
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from fusar_gpt.errors import SceneError

DRIVERS = ("GTiff", "PNG", "JPEG", "JP2OpenJPEG", "HFA", "NITF", "ENVI")
"""Not netCDF and HDF5: such a file may take its pixels from any other. Not SAFE, which is a folder."""

FORMATS = "GeoTIFF, JPEG 2000, ERDAS, NITF, ENVI, PNG, JPEG"

NO_NETWORK = {"CPL_VSIL_CURL_ALLOWED_EXTENSIONS": "none"}
_NOTHING_BESIDE = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}

MAX_PIXELS = 2**32
MAX_BANDS = 512
_MAX_DECODED_WHOLE = 2**28
_DECODED_WHOLE = ("PNG", "JPEG")
_MAX_BLOCK_BYTES = 2**27

_RASTER_SIDECARS = (".ovr", ".msk", ".aux", ".rrd")
_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+", b"EHFA")


@dataclass(frozen=True)
class RasterPolicy:
    """What an untrusted raster may do.

    Attributes:
        alone: Only the file itself is read, no sidecar beside it.
        max_pixels: Pixels of the largest raster that is opened.
    """

    alone: bool = False
    max_pixels: int = MAX_PIXELS

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
        if not self.alone:
            _check_sidecars(path)
        with warnings.catch_warnings(), rasterio.Env(**self.environment):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            try:
                dataset = rasterio.DatasetReader(path, driver=list(DRIVERS))
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
        """Open and close the file. Raises SceneError like :meth:`open`."""
        self.open(path).close()

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
        """Refuse a file that makes GDAL open another one. The metadata first: reading it opens nothing."""
        outside = "OVERVIEW_FILE" in dataset.tags(ns="OVERVIEWS")
        outside = outside or (dataset.crs is not None and "grids=" in dataset.crs.to_wkt().lower())
        if not outside:
            folder, files = path.resolve().parent, [Path(file) for file in dataset.files]
            outside = any(file.resolve().parent != folder for file in files) or (
                self.alone and [file.name for file in files] != [path.name]
            )
        if outside:
            raise SceneError(
                f"'{path.name}' refers to other files or addresses, which are not followed: "
                "export it to a plain GeoTIFF"
            )


def _check_sidecars(path: Path) -> None:
    """Sidecars must be TIFF or ERDAS by their first bytes, since GDAL opens overviews and masks with any driver."""
    for beside in path.parent.glob(f"{glob.escape(path.stem)}.*"):
        if beside == path or beside.suffix.lower() not in _RASTER_SIDECARS:
            continue
        try:
            with beside.open("rb") as file:
                start = file.read(4)
        except OSError as error:
            raise SceneError(f"'{beside.name}' beside the scene cannot be read: delete it") from error
        if start not in _MAGIC:
            raise SceneError(f"'{beside.name}' beside the scene is neither TIFF nor ERDAS: delete it")

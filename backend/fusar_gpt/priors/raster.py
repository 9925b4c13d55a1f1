"""AEF vectors from a 64-band raster."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from pyproj.exceptions import ProjError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import LonLatPoints
from fusar_gpt.priors.field import DIMENSIONS, Footprint, Origin, PriorField
from fusar_gpt.priors.vectors import STORED_AS, vectors

_WINDOW_LIMIT = 256 * 256  # pixels up to which one window is read faster than its nodes one by one


class RasterVectors:
    """A raster kept open, so that neighbouring chips share its decoded blocks. It may be south-up or rotated.

    Args:
        path: The raster.
        source: What the provenance calls it.
        nodes: N_lon and N_lat (FUSAR-GPT eq. 2).

    Raises:
        PriorError: No raster, not 64 bands, or not on the ground.
    """

    def __init__(self, path: Path, source: str, nodes: tuple[int, int]) -> None:
        self._path = path
        self._nodes = nodes
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", NotGeoreferencedWarning)  # refused below, in our words
                self._raster = rasterio.open(path)
        except RasterioError as error:
            raise PriorError(
                f"{path} is no prior: give a 64-band AEF raster, or AEF points as .npz or .npy."
            ) from error
        self._check()
        tags = self._raster.tags()
        year = tags.get("AEF_YEAR", "")
        self._origin = Origin(
            source,
            version=tags.get("AEF_VERSION"),
            year=int(year) if re.fullmatch("[0-9]{4}", year) else None,
            attribution=tags.get("AEF_ATTRIBUTION"),
            simulated=tags.get("FUSAR_SIMULATED", "").upper() == "YES",
        )
        try:
            self._to_raster = Transformer.from_crs("EPSG:4326", self._raster.crs.to_wkt(), always_xy=True)
        except ProjError as error:
            raise PriorError(f"{path} has a CRS that is not on Earth: warp it to a UTM zone.") from error

    def _check(self) -> None:
        raster = self._raster
        if raster.count != DIMENSIONS:
            raise PriorError(
                f"{self._path} has {raster.count} bands and AEF has {DIMENSIONS}: export bands A00 to A63."
            )
        if not set(raster.dtypes) <= set(STORED_AS):
            raise PriorError(f"{self._path} holds {raster.dtypes[0]}: give AEF as int8 codes or as floats.")
        if raster.crs is None or raster.transform.is_identity or raster.transform.is_degenerate:
            raise PriorError(
                f"{self._path} has no place on the ground: give a raster with a CRS and a geotransform."
            )

    def on(self, footprint: Footprint) -> PriorField:
        """The nodes of eq. 2 with the vector of the pixel that each falls in."""
        lonlat = footprint.nodes(self._nodes)
        values = self._at(lonlat)
        return footprint.field(values, footprint.lonlat_to_chip(lonlat), lonlat, self._origin)

    def _at(self, lonlat: LonLatPoints) -> NDArray[np.float64]:
        x, y = self._to_raster.transform(lonlat.x, lonlat.y)
        with np.errstate(invalid="ignore"):  # a place that the raster's CRS cannot express is infinite
            col, row = ~self._raster.transform @ (np.asarray(x), np.asarray(y))
            inside = (col >= 0) & (col < self._raster.width) & (row >= 0) & (row < self._raster.height)
        values = np.full((len(lonlat), DIMENSIONS), np.nan)
        if inside.any():
            stored = self._read(col[inside].astype(int), row[inside].astype(int))
            values[inside] = vectors(stored, self._raster.nodata)
        return values

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

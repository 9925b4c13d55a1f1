"""The prior of a run as a picture, where its pixels are a file at hand: A01, A16, A09 as red, green, blue."""

from __future__ import annotations

from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal
from qgis.PyQt.QtGui import QImage

from ..contract import NO_PRIOR, PRIOR_SOURCES
from ..core.request import LayerRequest
from ..translation import translate
from .sar_file import SarFile

_BANDS = (2, 17, 10)
_DIMENSIONS = 64
_LIMIT = 0.3  # what the backend's previews show: -0.3 to 0.3
_NO_DATA = -128
_EMPTY = (13, 18, 26)
_MOST = 512  # pixels of a side that are read: more are not seen in a small picture


class PriorError(Exception):
    """There is no picture of a prior; the message says why, in a whole sentence."""


class PriorFile:
    """A raster of 64 bands of AlphaEarth vectors, as int8 codes or floats."""

    def __init__(self, path: Path) -> None:
        """Open the file; raises PriorError."""
        try:
            dataset = gdal.Open(str(path))
        except RuntimeError:
            dataset = None
        if dataset is None or dataset.RasterCount != _DIMENSIONS:
            text = translate("Prior", "“{file}” is no raster of 64 bands: its prior is not drawn here.")
            raise PriorError(text.format(file=path.name))
        self._dataset: Any = dataset
        self.year = str(dataset.GetMetadataItem("AEF_YEAR") or "")

    def picture(self, scene: SarFile, window: tuple[int, int, int, int], side: int) -> QImage:
        """Return what lies under ``window`` (col, row, width, height) of ``scene``, as the scene lies.

        It is at most ``side`` by ``side`` pixels. For any thread, one at a time. Raises PriorError.
        """
        col, row, width, height = window
        scale = side / max(width, height)
        across, down = max(round(width * scale), 1), max(round(height * scale), 1)
        x = col + (np.arange(across) + 0.5) * width / across
        y = row + (np.arange(down) + 0.5) * height / down
        points = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2).tolist()
        try:
            at, good = scene.pixels_in(self._dataset, points)
            colours = self._colours(at, good)
        except RuntimeError as error:
            text = translate("Prior", "The file of the prior cannot be read. It is damaged or gone.")
            raise PriorError(text) from error
        data = np.ascontiguousarray(colours.reshape(down, across, 3))
        return QImage(data.tobytes(), across, down, 3 * across, QImage.Format.Format_RGB888).copy()

    def _colours(self, at: Any, good: Any) -> Any:
        """Return the colours uint8 [n, 3] at pixels ``at`` [n, 2], x and y; what is not ``good`` is nowhere."""
        raster = self._dataset
        size = np.array([raster.RasterXSize, raster.RasterYSize])
        inside = good.copy()
        inside[good] = ((at[good] >= 0) & (at[good] < size)).all(axis=1)
        colours = np.full((len(at), 3), _EMPTY, dtype=np.uint8)
        if inside.any():
            pixels = at[inside].astype(int)
            start = pixels.min(axis=0)
            span = pixels.max(axis=0) - start + 1
            read = np.minimum(span, _MOST)
            places = ((pixels - start) * read // span).T
            values = [self._band(number, start, span, read)[places[1], places[0]] for number in _BANDS]
            there = np.isfinite(values).all(axis=0)
            shown = np.rint(((np.stack(values, axis=1)[there] + _LIMIT) / (2 * _LIMIT)).clip(0, 1) * 255)
            inside[inside] = there
            colours[inside] = shown.astype(np.uint8)
        if not inside.any():
            raise PriorError(translate("Prior", "The prior's file has no data at this place."))
        return colours

    def _band(self, number: int, start: Any, span: Any, read: Any) -> Any:
        """Return a window of a band as numbers of the vectors, float [rows, columns]; NaN without data."""
        band = self._dataset.GetRasterBand(number)
        stored = band.ReadAsArray(*map(int, (*start, *span, *read)))
        if stored is None:
            raise RuntimeError(gdal.GetLastErrorMsg())
        # GDAL before 3.7 gives signed bytes as unsigned ones.
        if stored.dtype == np.uint8 and band.GetMetadataItem("PIXELTYPE", "IMAGE_STRUCTURE") == "SIGNEDBYTE":
            stored = stored.view(np.int8)
        values = stored.astype(float)
        if stored.dtype == np.int8:
            values = (values / 127.5) ** 2 * np.sign(values)
            values[stored == _NO_DATA] = np.nan
        return values


def open_prior(source: str, run: dict[str, Any], scene: str, request: LayerRequest | None) -> PriorFile:
    """Return the file that gave a finding its prior.

    Args:
        source: What the finding says, such as ``file:harbour_prior.tif``, ``cog`` or ``none``.
        run: The provenance of its run.
        scene: The source of the scene, for GDAL: a prior that is automatic lies beside it.
        request: What was asked.

    Raises:
        PriorError: There was none, it was fetched and not kept, or the file is another one by now.
    """
    if source in ("", NO_PRIOR):
        raise PriorError(translate("Prior", "There was no prior at this place."))
    kind, _, name = source.partition(":")
    if kind != "file":
        text = translate(
            "Prior", "The prior was fetched ({source}), and its pixels are not kept with the run."
        )
        raise PriorError(text.format(source=source))
    named = Path(request.prior) if request is not None and request.prior not in PRIOR_SOURCES else None
    beside = Path(scene.split("|")[0]).with_name(name)
    path = named if named is not None and named.name == name else beside
    if not path.is_file():
        text = translate("Prior", "The prior's file “{file}” is not there any more.")
        raise PriorError(text.format(file=name))
    if _is_newer(path, str(run.get("started") or "")):
        text = translate(
            "Prior", "The prior's file “{file}” is newer than the run: it may be another one by now."
        )
        raise PriorError(text.format(file=name))
    opened = PriorFile(path)
    year = str(run.get("prior_year") or "")
    if year and opened.year and opened.year != year and str(run.get("prior") or "") == source:
        text = translate("Prior", "The prior's file “{file}” is of another year than the run's prior.")
        raise PriorError(text.format(file=name))
    return opened


def _is_newer(path: Path, started: str) -> bool:
    """Return whether a file was written after a run began."""
    try:
        began = datetime.fromisoformat(started.replace("Z", "+00:00"))
    except ValueError:
        return False
    if began.tzinfo is None:
        began = began.replace(tzinfo=timezone.utc)
    return datetime.fromtimestamp(path.stat().st_mtime, timezone.utc) > began

"""The heat map of a search as a GeoTIFF, and as a layer through which the scene is seen."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from osgeo import gdal, osr
from qgis.core import (
    QgsColorRampShader,
    QgsCoordinateReferenceSystem,
    QgsDataProvider,
    QgsRasterLayer,
    QgsRasterShader,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.PyQt.QtGui import QColor

from ..contract import NO_HEAT, HeatMap
from ..translation import translate
from .scene import crs_of, open_raster

_FINE_PX = 1024
"""The longer side of a heat map that does not lie north-up."""
_SHOWN_FROM = 90
"""The least percentile that is seen: 9 of 10 slices are less like the query than what has a colour."""
# Purple to pink, as in ColorBrewer's "RdPu", from which the yellow of the places stands out; ever less transparent.
_COLOURS = ((90, "#7a0177", 0), (94, "#ae017e", 75), (97, "#dd3497", 100), (100, "#f768a1", 120))


def write_first(heat: HeatMap, paths: Sequence[Path]) -> tuple[str, str]:
    """Write a heat map to the first of ``paths`` that can be written, else keep it in memory; no file is replaced.

    Returns:
        What GDAL opens; and, where it is in memory though there are paths, why the first of them cannot be written.
    """
    reason = ""
    for path in paths:
        names = (path, *(path.with_name(f"{path.stem}_{n}{path.suffix}") for n in range(2, 1000)))
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            free = next(name for name in names if not name.exists())
            write_heat(heat, free)
        except OSError as error:
            reason = reason or error.strerror or type(error).__name__
        else:
            return str(free), ""
    return _in_memory(heat), reason


def write_heat(heat: HeatMap, path: Path) -> None:
    """Write percentiles, uint8 with 255 for no data, as a GeoTIFF, whole or not at all. Raises OSError."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        _write(heat, str(partial))
        partial.replace(path)
    except RuntimeError as error:  # where somebody has set GDAL to raise
        raise OSError(str(error)) from error
    finally:
        partial.unlink(missing_ok=True)


def _in_memory(heat: HeatMap) -> str:
    """Return the name of a GeoTIFF in GDAL's memory."""
    name = f"/vsimem/fusar-heat-{uuid.uuid4().hex}.tif"
    _write(heat, name)
    return name


def _write(heat: HeatMap, name: str) -> None:
    """Write what GDAL calls ``name``. Raises OSError or RuntimeError."""
    # What does not lie north-up QGIS resamples, cell by cell: cells of many pixels stay in their place.
    times = 1 if _is_north_up(heat) else max(_FINE_PX // max(heat.width, heat.height), 1)
    cells = np.frombuffer(heat.values, np.uint8).reshape(heat.height, heat.width)
    pixels = cells.repeat(times, axis=0).repeat(times, axis=1)
    height, width = pixels.shape
    made = gdal.GetDriverByName("GTiff").Create(name, width, height, 1, gdal.GDT_Byte, ["COMPRESS=DEFLATE"])
    if made is None:
        raise OSError(gdal.GetLastErrorMsg())
    wkt = crs_of(heat.crs).toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
    if heat.transform is not None:
        x, right_x, down_x, y, right_y, down_y = heat.transform
        made.SetGeoTransform((x, right_x / times, down_x / times, y, right_y / times, down_y / times))
        made.SetSpatialRef(osr.SpatialReference(wkt))
    else:
        points = [gdal.GCP(x, y, 0, column * times, row * times) for column, row, x, y in heat.gcps]
        made.SetGCPs(points, wkt)
    band = made.GetRasterBand(1)
    band.SetNoDataValue(NO_HEAT)
    band.WriteArray(pixels)
    del band, made  # writes what it holds, and does not tell of a full disk
    kept = open_raster(name)
    if kept is None or not np.array_equal(kept.ReadAsArray(), pixels):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_north_up(heat: HeatMap) -> bool:
    return heat.transform is not None and not heat.transform[2] and not heat.transform[4]


def heat_layer(source: str, crs: str) -> QgsRasterLayer:
    """Return the styled layer of what :func:`write_first` has written; ``crs`` is that of the heat map."""
    layer = QgsRasterLayer(source, translate("HeatMap", "Heat map (percentile)"), "gdal")
    layer.setCrs(crs_of(crs))  # a GeoTIFF does not give back every one as it is
    style_heat(layer)
    return layer


def style_heat(layer: QgsRasterLayer) -> None:
    """Colour only what is most like the query, half transparent, so that the scene stays visible."""
    ramp = QgsColorRampShader(_SHOWN_FROM, 100)
    ramp.setColorRampType(QgsColorRampShader.Type.Interpolated)
    items = []
    for percentile, colour, alpha in _COLOURS:
        shade = QColor(colour)
        shade.setAlpha(alpha)
        items.append(QgsColorRampShader.ColorRampItem(percentile, shade, f"{percentile} %"))
    ramp.setColorRampItemList(items)
    shader = QgsRasterShader(_SHOWN_FROM, 100)
    shader.setRasterShaderFunction(ramp)
    layer.setRenderer(QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1, shader))


def move_heat(layer: QgsRasterLayer, path: Path) -> None:
    """Have a heat map read a copy of its file at ``path``. Raises OSError: it reads its own file then."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        shutil.copyfile(layer.source(), partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    renderer, crs = layer.renderer().clone(), layer.crs()
    layer.setDataSource(str(path), layer.name(), "gdal", QgsDataProvider.ProviderOptions())
    layer.setCrs(crs)
    layer.setRenderer(renderer)

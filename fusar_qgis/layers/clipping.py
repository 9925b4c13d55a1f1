"""Cuts the part of a raster that an area needs into a GeoTIFF, with the stored values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsCsException,
    QgsGeometry,
    QgsProject,
    QgsRasterBlockFeedback,
    QgsRasterDataProvider,
    QgsRasterFileWriter,
    QgsRasterLayer,
    QgsRasterPipe,
    QgsRectangle,
)

from ..translation import translate
from .scene import open_raster

LIMIT_BYTES = 2 * 2**30
_MARGIN_PX = 512  # a chip reaches beyond the area
_SERVICE_PX = 2048  # along the longer side, where a service has no pixels of its own
_BENDS = 20  # points added to each edge, which may be bent in the other CRS


class ClipError(Exception):
    """The area cannot be cut out; the message says what to do."""


@dataclass(frozen=True)
class Source:
    """A raster layer for another thread; made by :func:`source_of`.

    ``uri`` is what GDAL opens itself, empty where only QGIS can. ``pipe`` holds a clone of the layer's provider;
    it is used once, because a clone of a clone may read nothing.
    """

    name: str
    uri: str
    crs: QgsCoordinateReferenceSystem
    pipe: QgsRasterPipe
    context: QgsCoordinateTransformContext

    @property
    def provider(self) -> QgsRasterDataProvider:
        """What reads the raster."""
        return self.pipe.provider()


def source_of(layer: QgsRasterLayer) -> Source:
    """Return what a thread needs of ``layer``; call it in the layer's own."""
    uri = layer.source() if layer.providerType() == "gdal" else ""
    context = QgsProject.instance().transformContext()
    pipe = QgsRasterPipe()
    pipe.set(layer.dataProvider().clone())
    return Source(layer.name(), uri, layer.crs(), pipe, context)


def clip(
    source: Source,
    area: QgsGeometry,
    area_crs: QgsCoordinateReferenceSystem,
    out: Path,
    feedback: QgsRasterBlockFeedback,
) -> Path:
    """Write the window of ``area`` and a margin as GeoTIFF, in any thread.

    Data type, bands, tags and georeferencing stay as they are, control points too. Where QGIS places the raster
    otherwise than the file does, what QGIS shows is written instead.

    Args:
        source: The raster.
        area: Polygons in ``area_crs``.
        area_crs: Any CRS with a way to the raster's.
        out: The file to write.
        feedback: Takes the progress in percent; cancels.

    Returns:
        ``out``.

    Raises:
        ClipError: The area is off the raster or too large, the raster cannot be read, or it was cancelled.
    """
    outline = _outline_on(source, area, area_crs)
    dataset = open_raster(source.uri) if source.uri else None
    done = dataset is not None and _cut(dataset, source, outline, out, feedback)
    if not done:
        _write(source, outline.boundingBox(), out, feedback)
    if feedback.isCanceled():
        raise ClipError(translate("Clipping", "Cancelled."))
    return out


def _outline_on(source: Source, area: QgsGeometry, area_crs: QgsCoordinateReferenceSystem) -> QgsGeometry:
    """The part of the area that lies on the raster, in the raster's CRS."""
    there = QgsCoordinateTransform(area_crs, source.crs, source.context)
    back = QgsCoordinateTransform(source.crs, area_crs, source.context)
    try:
        # Only what lies near the raster: far away a transformation may fail.
        near = QgsGeometry.fromRect(back.transformBoundingBox(source.provider.extent()))
        outline = area.intersection(near).densifyByCount(_BENDS)
        outline.transform(there)
    except QgsCsException as error:
        raise ClipError(_off(source.name)) from error
    if outline.isEmpty() or not outline.boundingBox().intersects(source.provider.extent()):
        raise ClipError(_off(source.name))
    return outline


def _cut(
    dataset: gdal.Dataset, source: Source, outline: QgsGeometry, out: Path, feedback: QgsRasterBlockFeedback
) -> bool:
    """Cut pixels out as they are stored; False where the dataset does not lie where QGIS shows it."""
    window = _window(dataset, source, outline)
    if window is None:
        return False
    left, top, width, height = window
    band = dataset.GetRasterBand(1)
    bits = gdal.GetDataTypeSize(band.DataType)
    _check_size(width * height * dataset.RasterCount * bits // 8)
    options = {
        "format": "GTiff",
        "srcWin": [left, top, width, height],
        "creationOptions": ["TILED=YES", "BIGTIFF=IF_SAFER"],
        "callback": lambda share, *_: _go_on(share, feedback),
    }
    if not dataset.GetGCPCount():
        options["outputSRS"] = source.crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT_PREFERRED)
    try:
        written = gdal.Translate(str(out), dataset, **options)
    except RuntimeError:
        written = None
    if written is None and not feedback.isCanceled():
        raise ClipError(_unreadable(source.name))
    return True


def _window(dataset: gdal.Dataset, source: Source, outline: QgsGeometry) -> tuple[int, int, int, int] | None:
    """The pixels that the outline and a margin cover: left, top, width, height."""
    transform = dataset.GetGeoTransform(can_return_null=True)
    points = [(vertex.x(), vertex.y(), 0.0) for vertex in outline.vertices()]
    if not dataset.RasterCount:
        return None
    if transform is not None:
        inverse = gdal.InvGeoTransform(transform)
        pixels = [gdal.ApplyGeoTransform(inverse, x, y) for x, y, _ in points]
    elif dataset.GetGCPCount() and _same(dataset.GetGCPProjection(), source.crs):
        placing = gdal.Transformer(dataset, None, ["METHOD=GCP_POLYNOMIAL"])
        pixels = [(x, y) for x, y, _ in placing.TransformPoints(1, points)[0]]
    else:
        return None
    columns, rows = [x for x, _ in pixels], [y for _, y in pixels]
    left, right = max(math.floor(min(columns)) - _MARGIN_PX, 0), math.ceil(max(columns)) + _MARGIN_PX
    top, bottom = max(math.floor(min(rows)) - _MARGIN_PX, 0), math.ceil(max(rows)) + _MARGIN_PX
    width, height = min(right, dataset.RasterXSize) - left, min(bottom, dataset.RasterYSize) - top
    return (left, top, width, height) if min(width, height) > 0 else None


def _same(wkt: str, crs: QgsCoordinateReferenceSystem) -> bool:
    return bool(QgsCoordinateReferenceSystem.fromWkt(wkt) == crs)


def _go_on(share: float, feedback: QgsRasterBlockFeedback) -> int:
    feedback.setProgress(100 * share)
    return 0 if feedback.isCanceled() else 1


def _write(source: Source, box: QgsRectangle, out: Path, feedback: QgsRasterBlockFeedback) -> None:
    """Write what QGIS's own provider gives: warped as on the map, or a service's picture."""
    provider, extent = source.provider, source.provider.extent()
    if provider.xSize() > 0:
        across, down = extent.width() / provider.xSize(), extent.height() / provider.ySize()
    else:
        across = down = max(box.width(), box.height()) / _SERVICE_PX
    left = max(math.floor((box.xMinimum() - extent.xMinimum()) / across) - _MARGIN_PX, 0)
    top = max(math.floor((extent.yMaximum() - box.yMaximum()) / down) - _MARGIN_PX, 0)
    right = math.ceil((min(box.xMaximum(), extent.xMaximum()) - extent.xMinimum()) / across) + _MARGIN_PX
    bottom = math.ceil((extent.yMaximum() - max(box.yMinimum(), extent.yMinimum())) / down) + _MARGIN_PX
    columns = min(right, math.ceil(extent.width() / across - 1e-6)) - left
    rows = min(bottom, math.ceil(extent.height() / down - 1e-6)) - top
    _check_size(columns * rows * sum(_bytes(provider, band) for band in range(1, provider.bandCount() + 1)))
    x, y = extent.xMinimum() + left * across, extent.yMaximum() - top * down
    window = QgsRectangle(x, y - rows * down, x + columns * across, y)
    writer = QgsRasterFileWriter(str(out))
    writer.setOutputProviderKey("gdal")
    writer.setOutputFormat("GTiff")
    error = writer.writeRaster(source.pipe, columns, rows, window, source.crs, source.context, feedback)
    if error != QgsRasterFileWriter.WriterError.NoError and not feedback.isCanceled():
        raise ClipError(_unreadable(source.name))


def _bytes(provider: QgsRasterDataProvider, band: int) -> int:
    return int(provider.dataTypeSize(band))


def _check_size(size: int) -> None:
    if size > LIMIT_BYTES:
        raise ClipError(
            translate(
                "Clipping",
                "The area takes {size:.1f} GB to send, at most {limit:.0f} are sent. Draw a smaller one.",
            ).format(size=size / 2**30, limit=LIMIT_BYTES / 2**30)
        )


def _off(name: str) -> str:
    text = translate("Clipping", "The area lies outside “{name}”. Draw it on the layer.")
    return str(text.format(name=name))


def _unreadable(name: str) -> str:
    return translate(
        "Clipping", "“{name}” cannot be read there, or the disk is full. Look at QGIS's log."
    ).format(name=name)

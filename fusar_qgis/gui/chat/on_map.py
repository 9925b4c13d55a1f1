"""Where a turn of a conversation lies, and a small picture of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsJsonUtils,
    QgsMapRendererParallelJob,
    QgsMapSettings,
    QgsProject,
)
from qgis.PyQt.QtCore import QBuffer, QByteArray, QIODevice, QObject, QSize, pyqtSignal
from qgis.PyQt.QtGui import QColor, QImage, QImageReader, QPainter, QPen, QPolygonF

from ...core.chat import ChatTarget, SeenChip, Turn
from ...layers.features import geometry_of
from ...layers.scene import crs_of
from ..areas import Area, ground_m2

_WIDE_PX, _FLATTEST, _TALLEST = 320, 0.35, 0.9
_MARGIN = 1.1
_QUALITY = 80
_LARGEST_PX = 4096
_FOUND, _ASKED = QColor("#e69f00"), QColor("#56b4e9")


def area_of(target: ChatTarget) -> Area:
    """Return the area that was asked about; an empty one where a project file held nonsense."""
    return _area(target.area, target.area_crs)


def chip_area_of(turn: Turn, chip: SeenChip | None = None) -> Area:
    """Return where a chip lies, or the one that is pictured; the area that was asked about where that is not known."""
    if chip is not None:
        return _area(chip.footprint, chip.crs)
    return area_of(turn.target) if turn.chip_area is None else _area(turn.chip_area, turn.chip_crs)


def square_kilometres(target: ChatTarget) -> float:
    """Return how large the area is on the ground."""
    try:
        return ground_m2(area_of(target)) / 1e6
    except QgsCsException:
        return float("nan")


class AreaPicture(QObject):
    """Draws a turn's scene around its area, in the background; ``drawn`` once it can be :meth:`finished`."""

    drawn = pyqtSignal()

    def __init__(self, turn: Turn, parent: QObject) -> None:
        super().__init__(parent)
        self._turn = turn
        self._image: QImage | None = None
        self._job: QgsMapRendererParallelJob | None = None
        self._settings = QgsMapSettings()
        self._stopped = False

    def start(self) -> None:
        """Begin to draw; without a layer or an area there is no picture."""
        layer = QgsProject.instance().mapLayer(self._turn.target.layer)
        area = area_of(self._turn.target)
        box = area.outline.boundingBox()
        if layer is None or box.isEmpty():
            return
        shape = min(max(box.height() / box.width(), _FLATTEST), _TALLEST)
        box.scale(_MARGIN)
        self._settings.setLayers([layer])
        self._settings.setDestinationCrs(area.crs)
        self._settings.setTransformContext(QgsProject.instance().transformContext())
        self._settings.setOutputSize(QSize(_WIDE_PX, round(_WIDE_PX * shape)))
        self._settings.setExtent(box)
        self._settings.setBackgroundColor(QColor("black"))
        self._job = QgsMapRendererParallelJob(self._settings)
        self._job.finished.connect(self._on_finished)
        self._job.start()

    def stop(self) -> None:
        """Draw no further."""
        if self._job is not None and self._image is None:
            self._job.finished.disconnect(self._on_finished)
            self._job.cancelWithoutBlocking()
            self._stopped = True

    @property
    def is_busy(self) -> bool:
        """Whether the scene is still being drawn."""
        return self._job is not None and self._image is None and not self._stopped

    def finished(self) -> bytes:
        """Return the picture with the area and what was found in it, as a JPEG; empty where there is none yet."""
        if self._image is None:
            return b""
        image = QImage(self._image)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = area_of(self._turn.target)
        self._outline(painter, [area.outline], area.crs, _ASKED)
        findings = [mention.finding for mention in self._turn.rests_on.mentions]
        found = [one for one in findings if one.layer == "detections" or one.properties.get("hit")]
        if found:
            self._outline(painter, [geometry_of(finding) for finding in found], crs_of(found[0].crs), _FOUND)
        painter.end()
        return jpeg(image)

    def _on_finished(self) -> None:
        # The job itself must outlive its signal.
        self._image = self._job.renderedImage() if self._job is not None else None
        self.drawn.emit()

    def _outline(
        self,
        painter: QPainter,
        shapes: Sequence[QgsGeometry],
        crs: QgsCoordinateReferenceSystem,
        colour: QColor,
    ) -> None:
        to_picture = QgsCoordinateTransform(crs, self._settings.destinationCrs(), QgsProject.instance())
        to_pixel = self._settings.mapToPixel()
        for pen in (QPen(QColor(0, 0, 0, 160), 3), QPen(colour, 1.5)):
            painter.setPen(pen)
            for shape in shapes:
                here = QgsGeometry(shape)
                try:
                    here.transform(to_picture)
                except QgsCsException:
                    continue
                for polygon in here.asMultiPolygon() if here.isMultipart() else [here.asPolygon()]:
                    for ring in polygon:
                        painter.drawPolyline(QPolygonF([to_pixel.transform(p).toQPointF() for p in ring]))


def _area(geometry: dict[str, Any], crs: str) -> Area:
    outline = json.dumps({"type": "Feature", "properties": {}, "geometry": geometry})
    features = QgsJsonUtils.stringToFeatureList(outline)
    return Area(QgsGeometry(features[0].geometry()) if features else QgsGeometry(), crs_of(crs))


def jpeg(image: QImage) -> bytes:
    """Return an image as a JPEG of moderate quality."""
    content = QByteArray()
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.convertToFormat(QImage.Format.Format_RGB32).save(buffer, "JPEG", _QUALITY)
    return bytes(content)


def read_picture(data: bytes, kind: str) -> QImage:
    """Return a picture of ``kind``, ``JPEG`` or ``PNG``; null where it is none, or far too large."""
    content = QByteArray(data)
    buffer = QBuffer(content)
    buffer.open(QIODevice.OpenModeFlag.ReadOnly)
    reader = QImageReader(buffer, QByteArray(kind.encode()))
    reader.setDecideFormatFromContent(False)
    size = reader.size()
    return reader.read() if size.isValid() and max(size.width(), size.height()) <= _LARGEST_PX else QImage()

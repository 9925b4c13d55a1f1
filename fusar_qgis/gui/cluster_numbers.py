"""How many findings fall together where the map is too small for their boxes: numbers over their dots."""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from qgis.core import QgsMapLayer, QgsPointXY, QgsProject, QgsVectorLayer
from qgis.gui import QgsMapCanvas, QgsMapCanvasItem
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QRectF, Qt, QTimer
from qgis.PyQt.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen

from ..background import BackgroundTask
from ..layers.clusters import Places, PlacesReader, clusters, shows_dots
from ..layers.styles import DOT_MM

_APART_MM = 7.0  # about the size of a number's disc
_LEAST = 3  # two dots are seen as two
_SOON_MS = 300  # a run writes several times a second
_RESTS = 4  # times as long as reading takes
_MM_PER_INCH = 25.4
_TEXT_SIZE = 8.5
_DISC, _RING, _TEXT = QColor(20, 20, 20, 225), QColor(255, 255, 255, 230), QColor("white")


class ClusterNumbers(QObject):
    """Draws the numbers on ``canvas`` while layers of detections are visible there; they are in no print."""

    def __init__(self, canvas: QgsMapCanvas, parent: QObject) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self._item = _Discs(canvas)
        self._places: dict[str, Places] = {}
        self._watched: dict[str, tuple[QgsVectorLayer, list[Any]]] = {}
        self._stale: set[str] = set()
        self._task: BackgroundTask | None = None
        self._began = 0.0
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SOON_MS)
        self._timer.timeout.connect(self._read)
        canvas.extentsChanged.connect(self._show)
        canvas.layersChanged.connect(self._watch)
        canvas.destinationCrsChanged.connect(self._read_all)
        QgsProject.instance().layersWillBeRemoved.connect(self._forget_all)
        self._watch()

    def remove(self) -> None:
        """Take everything off the map."""
        self._timer.stop()
        self._canvas.extentsChanged.disconnect(self._show)
        self._canvas.layersChanged.disconnect(self._watch)
        self._canvas.destinationCrsChanged.disconnect(self._read_all)
        QgsProject.instance().layersWillBeRemoved.disconnect(self._forget_all)
        self._forget_all(list(self._watched))
        if self._task is not None:
            self._task.over.disconnect()
            self._task = None
        self._canvas.scene().removeItem(self._item)
        self.deleteLater()

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be read."""
        return self._timer.isActive() or self._task is not None

    @property
    def numbers(self) -> list[int]:
        """The numbers that are drawn, the largest first."""
        return [int(one) for one in self._item.counts]

    def _visible(self) -> list[QgsMapLayer]:
        return [layer for layer in self._canvas.layers() if shows_dots(layer)]

    def _watch(self) -> None:
        """Listen to the layers that are visible; others may change unseen and are read when they are back."""
        there = {layer.id(): layer for layer in self._visible()}
        self._forget_all([name for name in self._watched if name not in there])
        for name, layer in there.items():
            if name not in self._watched:
                slot = partial(self._on_changed, name)
                signals = [layer.repaintRequested, layer.dataChanged, layer.rendererChanged]
                for signal in signals:
                    signal.connect(slot)
                self._watched[name] = layer, [(signal, slot) for signal in signals]
                self._on_changed(name)
        self._show()

    def _forget_all(self, names: list[str]) -> None:
        for name in names:
            layer, connections = self._watched.pop(name, (None, []))
            self._places.pop(name, None)
            self._stale.discard(name)
            for signal, slot in connections:
                if not sip.isdeleted(layer):
                    signal.disconnect(slot)
        self._show()

    def _on_changed(self, name: str, *_: object) -> None:
        self._stale.add(name)
        if not self._timer.isActive():
            self._timer.start()

    def _read_all(self) -> None:
        for name in self._watched:
            self._on_changed(name)

    def _read(self) -> None:
        """Read one layer that has changed; the next follows."""
        if self._task is not None or not self._stale:
            return
        name = self._stale.pop()
        layer, _ = self._watched[name]
        if not shows_dots(layer):  # it has got another style
            self._forget_all([name])
        else:
            reader = PlacesReader(layer, self._canvas.mapSettings().destinationCrs())
            self._began = time.monotonic()
            self._task = BackgroundTask(self.tr("Places of findings"), reader.read, quiet=True)
            self._task.over.connect(partial(self._take, name))
            self._task.start()

    def _take(self, name: str) -> None:
        task, self._task = self._task, None
        taken_ms = 1000 * (time.monotonic() - self._began)
        self._timer.setInterval(max(_SOON_MS, round(_RESTS * taken_ms)))
        if name in self._watched and task is not None and task.result is not None:
            self._places[name] = task.result
            self._show()
        if self._stale:
            self._timer.start()

    def _show(self) -> None:
        """Count anew what falls together at this scale."""
        settings = self._canvas.mapSettings()
        extent, scale = settings.visibleExtent(), settings.scale()
        parts = [np.zeros((0, 2))]
        for name, places in self._places.items():
            if not self._watched[name][0].isInScaleRange(scale):
                continue
            x, y = places.points.T
            is_dot = places.lengths * 1000 < DOT_MM * scale
            is_dot &= (x >= extent.xMinimum()) & (x <= extent.xMaximum())
            is_dot &= (y >= extent.yMinimum()) & (y <= extent.yMaximum())
            parts.append(places.points[is_dot])
        apart = _APART_MM * settings.outputDpi() / _MM_PER_INCH * settings.mapUnitsPerPixel()
        self._item.show_numbers(*clusters(np.concatenate(parts), apart, _LEAST))


class _Discs(QgsMapCanvasItem):
    """Dark discs with numbers, readable on dark and light ground.

    Attributes:
        counts: The numbers, int64 [k].
    """

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self._centres, self.counts = np.zeros((0, 2)), np.zeros(0, np.int64)

    def show_numbers(self, centres: Any, counts: Any) -> None:
        """Draw ``counts`` [k] at ``centres`` [k, 2], which are in the map's CRS."""
        self._centres, self.counts = centres, counts
        self.updatePosition()

    def updatePosition(self) -> None:  # noqa: N802 - as QGIS has it
        """Follow the map; called by QGIS."""
        self.prepareGeometryChange()
        self.update()

    def boundingRect(self) -> QRectF:  # noqa: N802 - as Qt has it
        """Return the whole view, in which every point of the map has its place."""
        return QRectF(self._canvas.viewport().rect())

    def paint(self, painter: QPainter, *_: object) -> None:
        """Paint all of them; called by Qt."""
        font = QFont(self._canvas.font())
        font.setPointSizeF(_TEXT_SIZE)
        font.setBold(True)
        painter.setFont(font)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(_DISC)
        metrics = QFontMetricsF(font)
        for (x, y), count in zip(self._centres[::-1], self.counts[::-1]):  # noqa: B905 - Python 3.9
            text = str(count)
            side = max(metrics.height() + 6, metrics.horizontalAdvance(text) + 10)
            disc = QRectF(0, 0, side, side)
            disc.moveCenter(self.toCanvasCoordinates(QgsPointXY(x, y)))
            painter.setPen(QPen(_RING, 1.2))
            painter.drawEllipse(disc)
            painter.setPen(_TEXT)
            painter.drawText(disc, Qt.AlignmentFlag.AlignCenter, text)

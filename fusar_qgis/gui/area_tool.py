"""The map tools that draw the area: a rectangle by dragging, a polygon by clicking its corners."""

from __future__ import annotations

from qgis.core import Qgis, QgsGeometry, QgsPointXY
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, QRect, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeyEvent
from qgis.PyQt.QtWidgets import QApplication

from .. import compat


class DrawingTool(QgsMapTool):
    """Draws a polygon in map coordinates.

    ``drawn`` brings it when it is complete; it stays visible until ``clear``.
    """

    drawn = pyqtSignal(QgsGeometry)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._band = QgsRubberBand(canvas, compat.POLYGON)
        self._band.setStrokeColor(QColor("#0072b2"))
        self._band.setSecondaryStrokeColor(QColor(255, 255, 255, 200))
        self._band.setFillColor(QColor(0, 114, 178, 30))
        self._band.setWidth(2)

    def clear(self) -> None:
        """Take what is drawn off the map."""
        self._band.reset(compat.POLYGON)

    def show(self, area: QgsGeometry) -> None:
        """Show an area, a polygon in map coordinates, that was not drawn."""
        self._band.setToGeometry(area, None)

    def remove(self) -> None:
        """Take everything of the tool off the canvas; the tool is not used again."""
        self.canvas().unsetMapTool(self)
        self.canvas().scene().removeItem(self._band)
        self.deleteLater()

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Drop what is drawn on Escape."""
        if event.key() == Qt.Key.Key_Escape:
            self.clear()

    def deactivate(self) -> None:
        """Drop what is half drawn when another tool takes over."""
        self.clear()
        super().deactivate()


class AreaTool(DrawingTool):
    """Draws a rectangle as the analyst sees it, so that it stays one on a rotated map: press, drag, release."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._corner: QPoint | None = None

    def clear(self) -> None:
        """Take the rectangle off the map."""
        self._corner = None
        super().clear()

    def canvasPressEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Set the first corner."""
        if event.button() == Qt.MouseButton.LeftButton:
            self.clear()
            self._corner = event.pixelPoint()

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Show the rectangle so far."""
        if self._corner is not None:
            self._band.setToGeometry(self._rectangle(event.pixelPoint()), None)

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Hand the rectangle over; a mere click is none."""
        if self._corner is None or event.button() != Qt.MouseButton.LeftButton:
            return
        drag = event.pixelPoint() - self._corner
        if min(abs(drag.x()), abs(drag.y())) < QApplication.startDragDistance():
            self.clear()
            return
        area = self._rectangle(event.pixelPoint())
        self._corner = None
        self._band.setToGeometry(area, None)
        self.drawn.emit(area)

    def _rectangle(self, opposite: QPoint) -> QgsGeometry:
        box = QRect(self._corner, opposite).normalized()
        corners = (
            QPoint(box.left(), box.top()),
            QPoint(box.right(), box.top()),
            QPoint(box.right(), box.bottom()),
            QPoint(box.left(), box.bottom()),
        )
        return QgsGeometry.fromPolygonXY([[self.toMapCoordinates(corner) for corner in corners]])


class PolygonTool(DrawingTool):
    """Draws a polygon: a click a corner, right click or Enter ends, Backspace takes the last corner back."""

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self._corners: list[QgsPointXY] = []

    def clear(self) -> None:
        """Take the polygon off the map."""
        self._corners = []
        super().clear()

    def canvasReleaseEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Add a corner, or end."""
        if event.button() == Qt.MouseButton.RightButton:
            self._end()
        elif event.button() == Qt.MouseButton.LeftButton:
            self._corners.append(event.mapPoint())
            self._draw(event.mapPoint())

    def canvasMoveEvent(self, event: QgsMapMouseEvent) -> None:  # noqa: N802
        """Show the polygon as it would be with a corner here."""
        if self._corners:
            self._draw(event.mapPoint())

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """End on Enter, take the last corner back on Backspace, drop all on Escape."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._end()
        elif event.key() == Qt.Key.Key_Backspace:
            del self._corners[-1:]
            self._draw(self.toMapCoordinates(self.canvas().mouseLastXY()))
        else:
            super().keyPressEvent(event)

    def _draw(self, mouse: QgsPointXY) -> None:
        self._band.reset(compat.POLYGON)
        for corner in [*self._corners, mouse] if self._corners else []:
            self._band.addPoint(corner)

    def _end(self) -> None:
        if len(self._corners) < 3:
            return
        area = QgsGeometry.fromPolygonXY([self._corners])
        if not area.isGeosValid() or not area.area():
            self.messageEmitted.emit(
                self.tr("The outline crosses itself. Take corners back with Backspace."),
                Qgis.MessageLevel.Warning,
            )
            return
        self._corners = []
        self.show(area)
        self.drawn.emit(area)

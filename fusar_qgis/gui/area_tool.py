"""The map tool that draws the area: press, drag, release."""

from __future__ import annotations

from qgis.core import QgsGeometry
from qgis.gui import QgsMapCanvas, QgsMapMouseEvent, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import QPoint, QRect, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QKeyEvent
from qgis.PyQt.QtWidgets import QApplication

from .. import compat


class AreaTool(QgsMapTool):
    """Draws a rectangle as the analyst sees it, so that it stays one on a rotated map.

    ``drawn`` brings its polygon in map coordinates; it stays visible until ``clear``.
    """

    drawn = pyqtSignal(QgsGeometry)

    def __init__(self, canvas: QgsMapCanvas) -> None:
        super().__init__(canvas)
        self.setCursor(Qt.CursorShape.CrossCursor)
        self._corner: QPoint | None = None
        self._band = QgsRubberBand(canvas, compat.POLYGON)
        self._band.setStrokeColor(QColor("#0072b2"))
        self._band.setSecondaryStrokeColor(QColor(255, 255, 255, 200))
        self._band.setFillColor(QColor(0, 114, 178, 30))
        self._band.setWidth(2)

    def clear(self) -> None:
        """Take the rectangle off the map."""
        self._corner = None
        self._band.reset(compat.POLYGON)

    def remove(self) -> None:
        """Take everything of the tool off the canvas; the tool is not used again."""
        self.canvas().unsetMapTool(self)
        self.canvas().scene().removeItem(self._band)
        self.deleteLater()

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

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Drop the rectangle on Escape."""
        if event.key() == Qt.Key.Key_Escape:
            self.clear()

    def deactivate(self) -> None:
        """Drop a half-drawn rectangle when another tool takes over."""
        self.clear()
        super().deactivate()

    def _rectangle(self, opposite: QPoint) -> QgsGeometry:
        box = QRect(self._corner, opposite).normalized()
        corners = (
            QPoint(box.left(), box.top()),
            QPoint(box.right(), box.top()),
            QPoint(box.right(), box.bottom()),
            QPoint(box.left(), box.bottom()),
        )
        return QgsGeometry.fromPolygonXY([[self.toMapCoordinates(corner) for corner in corners]])

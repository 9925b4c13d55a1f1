"""The toolbar button's whole story: check the layer, draw, ask, run, show."""

from __future__ import annotations

from html import escape

from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsGeometry, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, QPoint
from qgis.PyQt.QtWidgets import QAction

from ..connection.backend import Backend
from ..connection.client import Client
from ..core.events import Info
from ..core.order import Order
from ..layers.scene import SceneError, scene_of
from .area_tool import AreaTool
from .order_dialog import OrderDialog
from .running import Running

_MESSAGE_SECONDS = 12
_MARGIN = 24


class Interpretation(QObject):
    """Lets the analyst draw an area of the active SAR layer with ``action`` and interprets it."""

    def __init__(self, iface: QgisInterface, backend: Backend, action: QAction) -> None:
        super().__init__(backend)
        self._iface = iface
        self._backend = backend
        self._action = action
        self._client: Client | None = None
        self._dialog: OrderDialog | None = None
        self._runs: list[Running] = []
        self._tool = AreaTool(iface.mapCanvas())
        self._tool.setAction(action)
        self._tool.drawn.connect(self._ask)
        action.triggered.connect(self._begin)
        backend.ready.connect(self._offer)
        backend.failed.connect(self._no_backend)
        QgsProject.instance().cleared.connect(self.cancel)

    def cancel(self) -> None:
        """Stop every run."""
        for run in list(self._runs):
            run.cancel()

    def remove(self) -> None:
        """Stop every run and leave nothing behind."""
        self.cancel()
        QgsProject.instance().cleared.disconnect(self.cancel)
        self._action.triggered.disconnect(self._begin)
        if self._dialog is not None:
            self._dialog.close()
            self._dialog.deleteLater()
        self._tool.remove()
        self.deleteLater()

    def _begin(self) -> None:
        try:
            scene_of(self._iface.activeLayer())
        except SceneError as error:
            self._warn(str(error))
            self._action.setChecked(self._iface.mapCanvas().mapTool() is self._tool)
            return
        canvas = self._iface.mapCanvas()
        canvas.setMapTool(self._tool)
        # The backend may take a while to start: let it do so while the analyst draws.
        self._backend.open()
        if canvas.mapTool() is self._tool:
            # QGIS shows a tool's message, and takes it away when it is discarded.
            hint = self.tr("Drag a rectangle around the area to interpret.")
            self._tool.messageEmitted.emit(hint, Qgis.MessageLevel.Info)

    def _ask(self, area: QgsGeometry) -> None:
        self._tool.messageDiscarded.emit()
        try:
            scene = scene_of(self._iface.activeLayer())
        except SceneError as error:
            self._tool.clear()
            self._warn(str(error))
            return
        if self._dialog is None:
            self._dialog = OrderDialog(self._iface.mainWindow())
            self._dialog.ordered.connect(self._start)
            self._dialog.finished.connect(self._tool.clear)
        canvas = self._iface.mapCanvas()
        if not self._dialog.isVisible():
            # In a corner, where it hides least of the area.
            self._dialog.adjustSize()
            left = canvas.width() - self._dialog.width() - _MARGIN
            self._dialog.move(canvas.mapToGlobal(QPoint(left, _MARGIN)))
        crs = canvas.mapSettings().destinationCrs()
        self._dialog.ask(scene, area, _crs_text(crs if crs.isValid() else scene.crs))
        self._backend.open()

    def _offer(self, client: Client, info: Info) -> None:
        self._client = client
        if self._dialog is not None:
            self._dialog.offer(info)

    def _no_backend(self, problem: str) -> None:
        self._client = None
        if self._dialog is not None:
            self._dialog.reject()
        self._iface.mapCanvas().unsetMapTool(self._tool)
        self._warn(problem)

    def _start(self, order: Order) -> None:
        if self._client is None:
            return
        run = Running(self._iface, self._client, order, self)
        self._runs.append(run)
        run.over.connect(self._forget_what_is_over)
        run.start()

    def _forget_what_is_over(self) -> None:
        self._runs = [run for run in self._runs if not run.is_over]

    def _warn(self, text: str) -> None:
        self._iface.messageBar().pushMessage(
            self._action.text(), escape(text, quote=False), Qgis.MessageLevel.Warning, _MESSAGE_SECONDS
        )


def _crs_text(crs: QgsCoordinateReferenceSystem) -> str:
    """Return the EPSG code, or WKT where the code would mean nothing outside this QGIS."""
    return str(crs.authid() if crs.authid().startswith("EPSG:") else crs.toWkt(crs.WktVariant.WKT_PREFERRED))

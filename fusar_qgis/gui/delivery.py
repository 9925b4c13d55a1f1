"""A scene on its way to the backend: for the preview while the analyst chooses, then for the order."""

from __future__ import annotations

from dataclasses import replace

from qgis.gui import QgsMessageBar
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..connection.client import Client
from ..connection.sending import Sending
from ..core.request import LayerRequest
from ..layers.scene import Scene
from .areas import Area
from .run_progress import RunProgress


class Delivery(QObject):
    """Makes the part of a scene that an area needs known to a backend, once.

    ``arrived`` when ``known`` says what to put into an order; ``delivered`` brings the client and the order that was
    waiting for it; ``lost`` one line. After ``cancel`` nothing comes.
    """

    arrived = pyqtSignal()
    progressed = pyqtSignal(float)
    delivered = pyqtSignal(object, object)  # Client, LayerRequest
    lost = pyqtSignal(str)
    over = pyqtSignal()

    def __init__(self, bar: QgsMessageBar, client: Client, scene: Scene, area: Area, parent: QObject) -> None:
        super().__init__(parent)
        self.known, self.is_over = "", False
        self.client, self.scene, self.area = client, scene, area
        self._bar = bar
        self._order: LayerRequest | None = None
        self._sending: Sending | None = None
        self._progress: RunProgress | None = None

    @property
    def is_by_path(self) -> bool:
        """Whether the backend opens the file itself."""
        return self.scene.path is not None and self.client.endpoint.is_loopback

    def start(self) -> None:
        """Begin, unless it is under way or there."""
        if self.known or self._sending is not None:
            return
        self._sending = Sending(self.client, self.scene, self.area.outline, self.area.crs, self)
        self._sending.sent.connect(self._arrive)
        self._sending.failed.connect(self._lose)
        self._sending.progressed.connect(self._show)
        self._sending.start()

    def carry(self, order: LayerRequest) -> None:
        """Deliver an order as soon as its scene is there; the message bar shows how far it is."""
        self._order = order
        self.start()
        if not self.known and self._sending is not None:
            title = self.tr("Sending “{name}”").format(name=self.scene.name)
            self._progress = RunProgress(self._bar, title, self)
            self._progress.cancelled.connect(self.cancel)
        self._deliver()

    def cancel(self) -> None:
        """Stop; nothing is left behind."""
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.cancel()
        self._order = None
        self._finish(succeeded=False)

    def _arrive(self, known: str) -> None:
        self.known, self._sending = known, None
        self.arrived.emit()
        self._deliver()

    def _deliver(self) -> None:
        order = self._order
        if order is not None and self.known:
            self._order = None
            self._finish(succeeded=True)
            self.delivered.emit(self.client, replace(order, scene=self.known))

    def _lose(self, problem: str) -> None:
        self._sending = None
        self.lost.emit(problem)
        if self._order is not None:
            self._order = None
            self._finish(succeeded=False)

    def _show(self, percent: float) -> None:
        self.progressed.emit(percent)
        if self._progress is not None:
            self._progress.show(int(percent), 100, self.tr("{percent:.0f} %").format(percent=percent))

    def _finish(self, *, succeeded: bool) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.finish(succeeded)
        self.is_over = True
        self.over.emit()
        self.deleteLater()

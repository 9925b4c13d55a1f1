"""Says in the Layers panel what the filters of findings hide, at every time: after opening and while a run goes on."""

from __future__ import annotations

from functools import partial
from typing import Any

from qgis.core import QgsProject, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer

from .findings_layer import findings_layers
from .project_runs import ProjectRuns
from .styles import open_filter, tell_hidden

_SOON_MS = 300  # a run writes several times a second


class FilterCounts(QObject):
    """Keeps the counts right; a project that is opened shows everything, but for filters that were kept."""

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._connected: dict[str, tuple[QgsVectorLayer, Any]] = {}
        self._stale: set[str] = set()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SOON_MS)
        self._timer.timeout.connect(self._tell)
        self._runs = ProjectRuns(self)
        self._runs.changed.connect(self._listen)
        QgsProject.instance().readProject.connect(self._on_opened)
        self._listen()

    def remove(self) -> None:
        """Listen no longer."""
        self._timer.stop()
        QgsProject.instance().readProject.disconnect(self._on_opened)
        self._runs.remove()
        for name in list(self._connected):
            self._forget(name)
        self.deleteLater()

    def _on_opened(self, *_: object) -> None:
        for layer in findings_layers(QgsProject.instance()):
            open_filter(layer)

    def _listen(self) -> None:
        layers = {layer.id(): layer for layer in findings_layers(QgsProject.instance())}
        for gone in set(self._connected) - set(layers):
            self._forget(gone)
        for name in set(layers) - set(self._connected):
            slot = partial(self._on_changed, name)
            layers[name].repaintRequested.connect(slot)
            layers[name].dataChanged.connect(slot)
            self._connected[name] = layers[name], slot
            self._on_changed(name)

    def _forget(self, name: str) -> None:
        layer, slot = self._connected.pop(name)
        self._stale.discard(name)
        if not sip.isdeleted(layer):
            layer.repaintRequested.disconnect(slot)
            layer.dataChanged.disconnect(slot)

    def _on_changed(self, name: str, *_: object) -> None:
        self._stale.add(name)
        if not self._timer.isActive():
            self._timer.start()

    def _tell(self) -> None:
        for name in self._stale:
            layer, _ = self._connected[name]
            if not sip.isdeleted(layer):
                tell_hidden(layer)
        self._stale.clear()

"""The conversations that were about a finding: in the context menus of the map and of the table of findings."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from qgis.core import QgsFeatureRequest, QgsGeometry, QgsProject
from qgis.gui import QgisInterface, QgsMapMouseEvent
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QMenu

from ...layers.features import value_of
from ...layers.findings_layer import findings_layers
from .dock import ChatDock

_MOST = 100  # selected findings that are looked up for a menu
_LISTED = 10


class FindingConversations(QObject):
    """Fills menus with the conversations about findings; one that is chosen is opened where it speaks of them."""

    def __init__(self, iface: QgisInterface, chat: ChatDock, parent: QObject) -> None:
        super().__init__(parent)
        self._canvas = iface.mapCanvas()
        self._chat = chat
        self._canvas.contextMenuAboutToShow.connect(self._fill_at)

    def remove(self) -> None:
        """Leave the map's menu alone."""
        self._canvas.contextMenuAboutToShow.disconnect(self._fill_at)
        self.deleteLater()

    def fill(self, menu: QMenu) -> None:
        """Add the conversations about the selected findings."""
        found: set[str] = set()
        for layer in findings_layers(QgsProject.instance()):
            for feature in layer.getSelectedFeatures(QgsFeatureRequest().setLimit(_MOST)):
                found.add(str(value_of(feature, "id") or ""))
        self._add(menu, found - {""})

    def _fill_at(self, menu: QMenu, event: QgsMapMouseEvent) -> None:
        """Add those about the findings under the mouse."""
        found: set[str] = set()
        for layer in findings_layers(QgsProject.instance()):
            settings = self._canvas.mapSettings()
            if layer not in settings.layers():
                continue
            place = QgsGeometry.fromPointXY(settings.mapToLayerCoordinates(layer, event.mapPoint()))
            request = QgsFeatureRequest(place.boundingBox().buffered(1e-9)).setLimit(_MOST)
            found.update(
                str(value_of(feature, "id") or "")
                for feature in layer.getFeatures(request)
                if feature.geometry().intersects(place)
            )
        self._add(menu, found - {""})

    def _add(self, menu: QMenu, findings: Collection[str]) -> None:
        if not findings:
            return
        conversations = self._chat.conversations_about(findings)
        if not conversations:
            menu.addAction(self.tr("No conversation about this finding yet")).setEnabled(False)
            return
        inner = menu.addMenu(self.tr("Conversations about this finding"))
        for conversation in conversations[-_LISTED:]:
            action = inner.addAction(conversation.title.replace("&", "&&"))
            action.triggered.connect(partial(self._open, conversation.id, frozenset(findings)))

    def _open(self, conversation: str, findings: Collection[str], _: bool = False) -> None:
        self._chat.open_about(conversation, findings)

"""“Look closer” at one grid cell: in the map's context menu, and wherever QGIS offers a feature's actions."""

from __future__ import annotations

from collections.abc import Callable

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsMapLayer,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface, QgsGui, QgsMapLayerAction, QgsMapMouseEvent
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QMenu

from .. import compat
from ..core.request import LayerRequest
from ..layers import findings_layer

Look = Callable[[LayerRequest, QgsGeometry, QgsCoordinateReferenceSystem, str], None]


class _CellAction(QgsMapLayerAction):
    """Offered for grids of ours alone."""

    def canRunUsingLayer(self, layer: QgsMapLayer, *_: object) -> bool:  # noqa: N802 - QGIS calls it by this name
        """Return whether the layer holds grid cells."""
        return is_grid(layer)


class LookCloser(QObject):
    """Calls ``request(request, area, crs, target)`` when the analyst wants a closer look at a grid cell."""

    def __init__(self, iface: QgisInterface, request: Look, parent: QObject) -> None:
        super().__init__(parent)
        self._canvas = iface.mapCanvas()
        self._request = request
        self._cell: tuple[QgsVectorLayer, QgsFeature] | None = None
        self._action = _CellAction(self.tr("Look closer (3 by 3)"), self, compat.feature_action_target())
        self._action.triggeredForFeature.connect(self.look)
        QgsGui.mapLayerActionRegistry().addMapLayerAction(self._action)
        self._canvas.contextMenuAboutToShow.connect(self._fill)

    def remove(self) -> None:
        """Remove everything that was added."""
        self._canvas.contextMenuAboutToShow.disconnect(self._fill)
        QgsGui.mapLayerActionRegistry().removeMapLayerAction(self._action)
        self.deleteLater()

    def look(self, layer: QgsMapLayer, feature: QgsFeature) -> None:
        """LayerRequest the 3 by 3 grid of a cell of a grid layer."""
        request = findings_layer.request_of(layer)
        if request is not None:
            self._request(request, feature.geometry(), layer.crs(), str(feature["target"] or ""))

    def _fill(self, menu: QMenu, event: QgsMapMouseEvent) -> None:
        self._cell = self._cell_at(event)
        if self._cell is not None:
            text = self.tr("Look closer at cell {cell}").format(cell=self._cell[1]["cell"])
            menu.addAction(text).triggered.connect(self._look_at_cell)

    def _look_at_cell(self) -> None:
        if self._cell is not None:
            self.look(*self._cell)

    def _cell_at(self, event: QgsMapMouseEvent) -> tuple[QgsVectorLayer, QgsFeature] | None:
        """Return the uppermost visible cell under the mouse."""
        for layer in self._canvas.mapSettings().layers():
            if is_grid(layer):
                place = QgsGeometry.fromPointXY(
                    self._canvas.mapSettings().mapToLayerCoordinates(layer, event.mapPoint())
                )
                request = QgsFeatureRequest(place.boundingBox().buffered(1e-9))
                for feature in layer.getFeatures(request):
                    if feature.geometry().contains(place):
                        return layer, feature
        return None


def is_grid(layer: QgsMapLayer) -> bool:
    """Return whether the layer holds grid cells of a run that can be made again."""
    return (
        isinstance(layer, QgsVectorLayer)
        and layer.customProperty(findings_layer.KIND_PROPERTY) == "grid"
        and findings_layer.request_of(layer) is not None
    )

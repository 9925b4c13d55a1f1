"""Areas that need no drawing (view, selection, layer), the menu of all ways to choose one, and the way to show one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsDistanceArea,
    QgsGeometry,
    QgsMapLayer,
    QgsPointXY,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface, QgsMapCanvas
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QAction, QMenu, QToolBar, QToolButton

from .. import compat
from ..layers.scene import Scene, SceneError, scene_of
from ..translation import translate

_MENU = "FUSAR-GPT"
_AROUND = 3.0  # how much more than the geometries the map shows
_MOST_FLASHED = 200
_FLASH = QColor(230, 159, 0, 160)  # what lies below stays visible


class AreaError(Exception):
    """There is no such area; the message says what to do."""


@dataclass(frozen=True)
class Area:
    """Polygons in ``crs``, x first."""

    outline: QgsGeometry
    crs: QgsCoordinateReferenceSystem


def view_area(canvas: QgsMapCanvas) -> Area:
    """Return what the map shows, turned as the map is."""
    corners = [QgsPointXY(corner) for corner in canvas.mapSettings().visiblePolygon()]
    return Area(QgsGeometry.fromPolygonXY([corners]), canvas.mapSettings().destinationCrs())


def whole_area(scene: Scene) -> Area:
    """Return the bounds of a scene."""
    return Area(QgsGeometry.fromRect(scene.layer.extent()), scene.crs)


def ground_m2(area: Area) -> float:
    """Return how large an area is on the ground, in square metres."""
    ground = QgsDistanceArea()
    ground.setSourceCrs(area.crs, QgsProject.instance().transformContext())
    ground.setEllipsoid(area.crs.ellipsoidAcronym() or "EPSG:7030")
    return float(ground.measureArea(area.outline))


def show_on_map(
    canvas: QgsMapCanvas,
    geometries: Sequence[QgsGeometry],
    crs: QgsCoordinateReferenceSystem,
    around: float = _AROUND,
) -> bool:
    """Zoom to ``around`` times the bounds of geometries and flash them; False where the map cannot show them."""
    there = [geometry for geometry in geometries if not geometry.isEmpty()][:_MOST_FLASHED]
    target = canvas.mapSettings().destinationCrs()
    to_map = QgsCoordinateTransform(crs, target if target.isValid() else crs, QgsProject.instance())
    box = QgsRectangle()
    try:
        for geometry in there:
            box.combineExtentWith(to_map.transformBoundingBox(geometry.boundingBox()))
    except QgsCsException:
        return False
    if box.isEmpty() or not box.isFinite():
        return False
    box.scale(around)
    canvas.setExtent(box)
    canvas.refresh()
    canvas.flashGeometries(there, crs, _FLASH, QColor(0, 0, 0, 0))
    return True


def selected_area(active: QgsMapLayer | None) -> Area:
    """Return the selected polygons: of the active layer if it has any, else of the first layer that has.

    Raises:
        AreaError: No polygon is selected, or its layer has no CRS.
    """
    others = [node.layer() for node in QgsProject.instance().layerTreeRoot().findLayers()]
    for layer in [active, *others]:
        if not isinstance(layer, QgsVectorLayer) or layer.geometryType() != compat.POLYGON:
            continue
        outlines = [feature.geometry() for feature in layer.getSelectedFeatures() if feature.hasGeometry()]
        if not outlines:
            continue
        if not layer.crs().isValid():
            raise AreaError(
                translate("Areas", "“{name}” has no CRS. Set it (right-click the layer, Layer CRS).").format(
                    name=layer.name()
                )
            )
        outline = QgsGeometry.unaryUnion(
            [each if each.isGeosValid() else each.makeValid() for each in outlines]
        )
        return Area(outline, layer.crs())
    raise AreaError(translate("Areas", "No polygon is selected. Select some on the map, then try again."))


def scene_for(active: QgsMapLayer | None, last: str) -> Scene:
    """Return the scene of the active layer; if that is no raster, the one used ``last``, else the topmost.

    Args:
        active: The layer that is active in QGIS.
        last: The id of the layer that was interpreted last, or an empty text.

    Raises:
        SceneError: There is none.
    """
    if isinstance(active, QgsRasterLayer):
        return scene_of(active)
    shown = [node.layer() for node in QgsProject.instance().layerTreeRoot().findLayers() if node.isVisible()]
    rasters = [layer for layer in shown if isinstance(layer, QgsRasterLayer)]
    # A service is rather a background map.
    rasters.sort(key=lambda layer: (layer.id() != last, layer.providerType() == "wms"))
    for layer in rasters:
        try:
            return scene_of(layer)
        except SceneError:
            continue
    return scene_of(active)


class AreaMenu(QObject):
    """The menu of the toolbar's button: ways to get an area, each with what it does. They are in Raster's menu too."""

    def __init__(self, iface: QgisInterface, action: QAction, parent: QObject) -> None:
        super().__init__(parent)
        self._iface = iface
        self._actions: list[QAction] = []
        self._menu = QMenu(iface.mainWindow())
        self._menu.setObjectName("FusarAreaMenu")
        self._menu.setToolTipsVisible(True)
        button = _button_of(iface, action)
        if button is not None:
            button.setMenu(self._menu)
            button.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        rectangle = self._menu.addAction(
            QgsApplication.getThemeIcon("/mActionSelectRectangle.svg"), self.tr("Draw a &Rectangle")
        )
        rectangle.triggered.connect(action.trigger)

    def add(self, name: str, icon: str, text: str, tip: str, do: Callable[[], None]) -> QAction:
        """Add a way; ``name`` is the object's, ``icon`` one of QGIS's own."""
        action = QAction(QgsApplication.getThemeIcon(icon), text, self)
        action.setObjectName(name)
        action.setToolTip(tip)
        action.triggered.connect(do)
        self._menu.addAction(action)
        self._iface.addPluginToRasterMenu(_MENU, action)
        self._actions.append(action)
        return action

    def remove(self) -> None:
        """Remove everything that was added."""
        for action in self._actions:
            self._iface.removePluginRasterMenu(_MENU, action)
        self._menu.deleteLater()
        self.deleteLater()


def _button_of(iface: QgisInterface, action: QAction) -> QToolButton | None:
    for bar in iface.mainWindow().findChildren(QToolBar):
        button = bar.widgetForAction(action)
        if isinstance(button, QToolButton):
            return button
    return None

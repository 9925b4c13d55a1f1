"""Chooses what the next question is about: a scene, and the view, a drawn area or selected features."""

from __future__ import annotations

from contextlib import suppress

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsMapLayer,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface, QgsMapLayerComboBox, QgsMapTool, QgsRubberBand
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor
from qgis.PyQt.QtWidgets import QButtonGroup, QGridLayout, QLabel, QToolButton, QWidget

from ... import compat
from ...core.chat import ChatTarget
from ...layers.features import value_of
from ...layers.findings_layer import RUN_PROPERTY
from ...layers.scene import Scene, SceneError, crs_text, geojson, geojson_features, scene_of
from ..area_tool import AreaTool
from ..areas import scene_for, view_area
from ..flow_layout import FlowLayout

_BOXES = 100
_AROUND = 1.0  # of a selection's own size, on each side: a model needs to see what lies around

Place = tuple[QgsGeometry, QgsCoordinateReferenceSystem]


class AreaPicker(QWidget):
    """Follows the map: a SAR layer made active becomes the scene, a selection what is asked about."""

    problem = pyqtSignal(str)  # or an empty text, once there is none any more

    def __init__(self, iface: QgisInterface, parent: QWidget) -> None:
        super().__init__(parent)
        self._iface = iface
        self._canvas = iface.mapCanvas()
        self._drawn: Place | None = None
        self._selected = ""  # the id of the layer with the selection
        self._former_tool: QgsMapTool | None = None
        self._tool = AreaTool(self._canvas)
        self._outline = QgsRubberBand(self._canvas, compat.POLYGON)
        self._outline.setStrokeColor(QColor("#0072b2"))
        self._outline.setFillColor(QColor(0, 0, 0, 0))
        self._outline.setWidth(2)
        self._make_fields()
        self._tool.drawn.connect(self._take_drawn)
        self._tool.deactivated.connect(self._on_tool_gone)
        self._canvas.selectionChanged.connect(self._on_selection)
        iface.currentLayerChanged.connect(self._on_layer)
        with suppress(SceneError):
            self._on_layer(scene_for(iface.activeLayer(), "").layer)

    def remove(self) -> None:
        """Take everything off the map."""
        self._tool.drawn.disconnect(self._take_drawn)
        self._tool.deactivated.disconnect(self._on_tool_gone)
        self._canvas.selectionChanged.disconnect(self._on_selection)
        self._iface.currentLayerChanged.disconnect(self._on_layer)
        self._tool.remove()
        self._canvas.scene().removeItem(self._outline)

    def show_outline(self, shown: bool) -> None:
        """Show the drawn area on the map, or hide it while the dock is."""
        if shown and self._drawn is not None and self._draw.isChecked():
            geometry, crs = self._drawn
            self._outline.setToGeometry(geometry, crs)
        else:
            self._outline.reset(compat.POLYGON)

    def target(self) -> tuple[ChatTarget, Scene]:
        """Return what is asked about, or raise SceneError with what to do."""
        scene = scene_of(self._scenes.currentLayer())
        boxes: dict[str, object] | None = None
        findings: tuple[str, ...] = ()
        if self._selection.isChecked():
            area, crs, boxes, findings = self._selection_area()
        elif self._draw.isChecked():
            area, crs = self._drawn_area()
        else:
            area, crs = self._view_area(scene)
        return ChatTarget(scene.layer.id(), scene.name, geojson(area), crs_text(crs), boxes, findings), scene

    def hold_view(self) -> bool:
        """Before the map goes elsewhere: go on asking about the view there is now, framed on the map.

        Returns:
            Whether the view was what is asked about; a drawn area and a selection stay what they are.
        """
        if not self._view.isChecked():
            return False
        try:
            self._drawn = self._view_area(scene_of(self._scenes.currentLayer()))
        except SceneError:
            return False
        self._draw.setChecked(True)
        self.show_outline(True)
        return True

    def _make_fields(self) -> None:
        self._scenes = QgsMapLayerComboBox(self)
        self._scenes.setFilters(compat.RASTER_LAYERS)
        self._scenes.setAllowEmptyLayer(False)
        self._scenes.setMinimumContentsLength(3)
        label, about = QLabel(self.tr("&Scene"), self), QLabel(self.tr("About"), self)
        label.setBuddy(self._scenes)
        self._group = QButtonGroup(self)
        self._view = self._choice(
            self.tr("&View"), "/mActionZoomFullExtent.svg", self.tr("Ask about what the map shows")
        )
        self._draw = self._choice(
            self.tr("&Draw"),
            "/mActionRectangleExtent.svg",
            self.tr("Draw a rectangle on the map and ask about it"),
        )
        self._selection = self._choice(
            self.tr("Se&lection"),
            "/mActionZoomToSelected.svg",
            self.tr("Ask about the selected features; select some on the map first"),
        )
        self._view.setChecked(True)
        self._selection.setEnabled(False)
        self._draw.clicked.connect(self._begin_drawing)
        self._group.buttonToggled.connect(self._on_choice)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(label, 0, 0)
        layout.addWidget(self._scenes, 0, 1)
        row = FlowLayout()
        row.addWidget(about)
        for button in self._group.buttons():
            row.addWidget(button)
        layout.addLayout(row, 1, 0, 1, 2)
        layout.setColumnStretch(1, 1)

    def _choice(self, text: str, icon: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setText(text)
        button.setIcon(QgsApplication.getThemeIcon(icon))
        button.setToolTip(tip)
        button.setCheckable(True)
        button.setAutoRaise(True)
        button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._group.addButton(button)
        return button

    def _begin_drawing(self) -> None:
        current = self._canvas.mapTool()
        if current is not self._tool:
            self._former_tool = current
        self._canvas.setMapTool(self._tool)
        self.problem.emit(self.tr("Drag a rectangle on the map."))

    def _take_drawn(self, area: QgsGeometry) -> None:
        self._drawn = (QgsGeometry(area), self._canvas_crs())
        if self._former_tool is not None:
            self._canvas.setMapTool(self._former_tool)
        else:
            self._canvas.unsetMapTool(self._tool)
        self._draw.setChecked(True)
        self.show_outline(True)

    def _on_tool_gone(self) -> None:
        self._former_tool = None
        self.problem.emit("")
        if self._drawn is None and self._draw.isChecked():
            self._view.setChecked(True)

    def _on_choice(self) -> None:
        self.show_outline(self.isVisible())
        if not self._draw.isChecked():
            self._canvas.unsetMapTool(self._tool)

    def _on_layer(self, layer: QgsMapLayer | None) -> None:
        if isinstance(layer, QgsRasterLayer):
            self._scenes.setLayer(layer)

    def _on_selection(self, layer: QgsVectorLayer | None) -> None:
        if layer is None or layer.geometryType() != compat.POLYGON:
            return
        if layer.selectedFeatureCount():
            self._selected = layer.id()
        elif layer.id() != self._selected:
            return
        count = layer.selectedFeatureCount()
        words = self.tr("Se&lection ({n})") if count else self.tr("Se&lection")
        self._selection.setText(words.format(n=count))
        self._selection.setEnabled(bool(count))
        if count:
            self._selection.setChecked(True)
        elif self._selection.isChecked():
            (self._draw if self._drawn is not None else self._view).setChecked(True)

    def _canvas_crs(self) -> QgsCoordinateReferenceSystem:
        crs = self._canvas.mapSettings().destinationCrs()
        layer = self._scenes.currentLayer()
        return crs if crs.isValid() or layer is None else layer.crs()

    def _view_area(self, scene: Scene) -> Place:
        shown, crs = view_area(self._canvas).outline, self._canvas_crs()
        extent = QgsGeometry.fromRect(scene.layer.extent())
        try:
            extent.transform(QgsCoordinateTransform(scene.crs, crs, QgsProject.instance()))
        except QgsCsException as error:
            raise SceneError(str(error)) from error
        seen = shown.intersection(extent)
        if seen.isEmpty() or seen.type() != compat.POLYGON:
            raise SceneError(
                self.tr("The map does not show “{scene}”. Zoom to the layer, or draw an area on it.").format(
                    scene=scene.name
                )
            )
        return seen, crs

    def _drawn_area(self) -> Place:
        if self._drawn is None:
            raise SceneError(self.tr("No area is drawn yet. Drag a rectangle on the map."))
        return self._drawn

    def _selection_area(
        self,
    ) -> tuple[QgsGeometry, QgsCoordinateReferenceSystem, dict[str, object], tuple[str, ...]]:
        """Return the area around the selected features, their outlines, and their ids if they are findings."""
        layer = QgsProject.instance().mapLayer(self._selected)
        features = list(layer.getSelectedFeatures()) if layer is not None else []
        if layer is None or not 0 < len(features) <= _BOXES:
            raise SceneError(
                self.tr("Select 1 to {n} features on the map, or ask about the view.").format(n=_BOXES)
            )
        outlines = [feature.geometry() for feature in features]
        ids = (value_of(feature, "id") for feature in features if layer.customProperty(RUN_PROPERTY))
        findings = tuple(str(one) for one in ids if one)
        box = QgsGeometry.unaryUnion(outlines).boundingBox()
        box.grow(_AROUND * max(box.width(), box.height()))
        return QgsGeometry.fromRect(box), layer.crs(), geojson_features(outlines), findings

"""The examples of a search as small labels that can be taken away, and the menus that add them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface, QgsMapMouseEvent
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QMenu, QToolButton, QWidget

from ...contract.search import MAX_EXAMPLES
from ...layers.features import value_of
from ...layers.findings_layer import KIND_PROPERTY, findings_layers
from ...layers.scene import SceneError
from ...translation import translate
from ..areas import Area, scene_for
from ..flow_layout import FlowLayout
from .query import ShownExample

_AT_ONCE = 10  # selected findings that one click makes examples
_DEGREES, _METRES = 4, 0  # decimals of a point's name

Add = Callable[[Sequence[ShownExample]], None]


class ExampleLabels(QWidget):
    """One label an example; a click takes it away. ``changed`` comes when the analyst has done so."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._examples: list[ShownExample] = []
        self._row = FlowLayout(self, spacing=4)
        self.hide()

    @property
    def examples(self) -> tuple[ShownExample, ...]:
        """The examples, in the order in which they came."""
        return tuple(self._examples)

    def add(self, examples: Sequence[ShownExample]) -> None:
        """Add examples; a place that is one already changes sides, or stays as it is."""
        kept = [one for one in self._examples if not any(map(one.is_at_place_of, examples))]
        self._show([*kept, *examples])

    def clear(self) -> None:
        """Take all away."""
        self._show([])

    def _show(self, examples: list[ShownExample]) -> None:
        self._examples = examples[-MAX_EXAMPLES:]
        for old in self.findChildren(QToolButton):
            self._row.removeWidget(old)
            old.deleteLater()
        for one in self._examples:
            button = QToolButton(self)
            button.setText(f" {one.label}")  # styles leave no room before it
            button.setIcon(QgsApplication.getThemeIcon("/mIconClearText.svg"))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setLayoutDirection(Qt.LayoutDirection.RightToLeft)  # the cross behind the name
            button.setToolTip(
                self.tr("More like this is wanted; click to take it away")
                if one.is_like
                else self.tr("Less like this is wanted; click to take it away")
            )
            button.clicked.connect(partial(self._remove, one))
            self._row.addWidget(button)
            button.show()
        self.setVisible(bool(self._examples))
        self.updateGeometry()

    def _remove(self, example: ShownExample, _: bool = False) -> None:
        self._show([one for one in self._examples if one is not example])
        self.changed.emit()


class ExampleMenus(QObject):
    """“More like this” and “Less like this” in the context menus of the map and of the table of findings."""

    def __init__(self, iface: QgisInterface, add: Add, parent: QObject) -> None:
        super().__init__(parent)
        self._iface, self._canvas, self._add = iface, iface.mapCanvas(), add
        self._canvas.contextMenuAboutToShow.connect(self._fill_at)

    def remove(self) -> None:
        """Leave the map's menu alone."""
        self._canvas.contextMenuAboutToShow.disconnect(self._fill_at)
        self.deleteLater()

    def fill(self, menu: QMenu) -> None:
        """Offer the selected findings."""
        grounds: list[tuple[str, Area]] = []
        for layer in findings_layers(QgsProject.instance()):
            for feature in layer.getSelectedFeatures(QgsFeatureRequest().setLimit(_AT_ONCE)):
                if feature.hasGeometry():
                    grounds.append((_name(layer, feature), Area(feature.geometry(), layer.crs())))
        if grounds:
            offer(menu, grounds[:_AT_ONCE], self._add)

    def _fill_at(self, menu: QMenu, event: QgsMapMouseEvent) -> None:
        """Offer the finding under the mouse, else the point; nothing on a map without a radar image."""
        try:
            scene_for(self._iface.activeLayer(), "")
        except SceneError:
            return
        offer(menu, [self._finding_at(event) or self._point_at(event)], self._add)

    def _finding_at(self, event: QgsMapMouseEvent) -> tuple[str, Area] | None:
        """Return the smallest visible finding under the mouse."""
        found: list[tuple[float, str, Area]] = []
        settings = self._canvas.mapSettings()
        for layer in findings_layers(QgsProject.instance()):
            if layer not in settings.layers():
                continue
            place = QgsGeometry.fromPointXY(settings.mapToLayerCoordinates(layer, event.mapPoint()))
            request = QgsFeatureRequest(place.boundingBox().buffered(1e-9)).setLimit(MAX_EXAMPLES)
            for feature in layer.getFeatures(request):
                outline = feature.geometry()
                if outline.intersects(place):
                    found.append((outline.area(), _name(layer, feature), Area(outline, layer.crs())))
        return min(found, key=lambda one: one[0])[1:] if found else None

    def _point_at(self, event: QgsMapMouseEvent) -> tuple[str, Area]:
        crs, point = self._canvas.mapSettings().destinationCrs(), event.mapPoint()
        decimals = _DEGREES if crs.isGeographic() else _METRES
        name = self.tr("point {x}, {y}").format(x=f"{point.x():.{decimals}f}", y=f"{point.y():.{decimals}f}")
        return name, Area(QgsGeometry.fromPointXY(point), crs)


def offer(menu: QMenu, grounds: Sequence[tuple[str, Area]], add: Add) -> None:
    """Add “More like this” and “Less like this” to a menu, about what is called so and lies there."""
    wishes = {
        translate("ExampleMenus", "More like this"): True,
        translate("ExampleMenus", "Less like this"): False,
    }
    for text, is_like in wishes.items():
        examples = [ShownExample(name, ground, is_like) for name, ground in grounds]
        menu.addAction(text).triggered.connect(partial(_call, add, examples))


def place_name(rank: object) -> str:
    """Return what a place is called as an example."""
    return translate("ExampleMenus", "place {rank}").format(rank=rank)


def _call(add: Add, examples: Sequence[ShownExample], _: bool = False) -> None:
    add(examples)


def _name(layer: QgsVectorLayer, feature: QgsFeature) -> str:
    """Return what a finding is called beside others: its rank or its class, and its number."""
    rank, label = value_of(feature, "rank"), value_of(feature, "label")
    if rank is not None:
        return place_name(rank)
    if layer.customProperty(KIND_PROPERTY) == "grid":
        return translate("ExampleMenus", "cell {cell}").format(cell=value_of(feature, "cell"))
    name = label or translate("ExampleMenus", "finding")
    return f"{str(name)[:20]} {feature.id()}"

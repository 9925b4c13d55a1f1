"""The review of one layer: which finding is the current one, what is decided on it, where the map is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas, QgsRubberBand
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

from .. import compat
from ..core import review
from ..core.oriented_box import OrientedBox
from ..core.review import Item
from ..layers.box_placing import BoxPlacing
from ..layers.decisions import NEWS, Decisions, reviewer
from ..layers.run_groups import show_only, show_others
from ..layers.scene import SceneError
from ..layers.storage import StorageError, save_style
from ..layers.styles import labels_of
from .review_edit import BoxTool

_AROUND = 6  # the map shows so many times the finding's size, unless the analyst's own scale is about right
_LEAST_SHARE, _MOST_SHARE = 0.01, 0.7


class ReviewSession(QObject):
    """Goes through the findings of a layer.

    ``changed`` comes when there is something else to show, ``came_to`` with the label of the finding that is now the
    current one, ``classes_changed`` when the layer has a new class, ``said`` with a whole sentence and its level.

    Attributes:
        decisions: The layer's, None while there is no layer.
        key: The current finding, None where there is none.
        tool: The map tool that changes the current finding's box.
        no_boxes: Why boxes cannot be changed, a whole sentence; empty where they can be.
    """

    changed = pyqtSignal()
    came_to = pyqtSignal(str)
    classes_changed = pyqtSignal()
    said = pyqtSignal(str, object)

    def __init__(self, canvas: QgsMapCanvas, parent: QObject) -> None:
        super().__init__(parent)
        self._canvas = canvas
        self.decisions: Decisions | None = None
        self.key: int | None = None
        self.tool = BoxTool(canvas)
        self.tool.edited.connect(self._reshape)
        self.tool.chosen.connect(self._choose)
        self.no_boxes = ""
        self._placing: BoxPlacing | None = None
        NEWS.told.connect(self._on_decided)
        self._frame = QgsRubberBand(canvas, compat.POLYGON)
        self._frame.setFillColor(QColor(0, 0, 0, 0))
        self._frame.setStrokeColor(QColor("white"))
        self._frame.setSecondaryStrokeColor(QColor("black"))
        self._frame.setLineStyle(Qt.PenStyle.DashLine)
        self._frame.setWidth(2)

    @property
    def layer(self) -> QgsVectorLayer | None:
        """Return the layer under review."""
        return None if self.decisions is None else self.decisions.layer

    @property
    def of_detections(self) -> bool:
        """Whether the findings are boxes, which can be added and relabelled."""
        return self.decisions is not None and self.decisions.is_of_detections()

    @property
    def item(self) -> Item | None:
        """What the review knows of the current finding."""
        return None if self.decisions is None else self.decisions.queue.get(self.key)

    def remove(self) -> None:
        """Let go of the layer and the map."""
        self._close()
        NEWS.told.disconnect(self._on_decided)
        self.tool.remove()
        show_others(QgsProject.instance())
        self._canvas.scene().removeItem(self._frame)
        self.deleteLater()

    def open(self, layer: QgsVectorLayer | None) -> None:
        """Review another layer from now on, or none."""
        self._close()
        self.key = None
        self._frame.reset(compat.POLYGON)
        self.decisions = None if layer is None else Decisions(layer, reviewer())
        if layer is not None:
            layer.afterCommitChanges.connect(self._on_edited)
        self._place()
        show_only(QgsProject.instance(), layer)

    def begin(self) -> None:
        """Go to the first finding that is not decided on."""
        if self.decisions is not None:
            queue = self.decisions.queue
            self._show(queue.next_undecided(None) or queue.next(None))

    def go_on(self) -> None:
        """Go to the next finding."""
        decisions = self.fresh()
        if decisions is not None:
            self._show(decisions.queue.next(self.key))

    def go_back(self) -> None:
        """Go to the finding before."""
        decisions = self.fresh()
        if decisions is not None:
            self._show(decisions.queue.previous(self.key))

    def fresh(self) -> Decisions | None:
        """Return the layer's decisions, after another look if a run has added findings meanwhile."""
        self.tool.finish()
        if self.decisions is not None and self.decisions.is_stale():
            self.decisions.read()
            self.changed.emit()
        return self.decisions

    def accept(self) -> None:
        """Accept the current finding."""
        self.decide(review.ACCEPTED)

    def reject(self) -> None:
        """Reject the current finding."""
        self.decide(review.REJECTED)

    def decide(self, decision: str, label: str | None = None) -> None:
        """Decide on the current finding, and go to the next one that is not decided on."""
        decisions, key = self.fresh(), self.key
        if decisions is None or key is None:
            return
        with self._change(decisions, label):
            decisions.decide(key, decision, label)
            following = decisions.queue.next_undecided(key)
            if following is None:
                self.said.emit(self.tr("All findings are reviewed."), Qgis.MessageLevel.Success)
            self._show(key if following is None else following)

    def relabel(self, label: str) -> None:
        """Give the current finding a label; the model's own is no correction."""
        if self.decisions is None or self.key is None or not label:
            return
        same = self.decisions.feature(self.key)["label"] == label
        self.decide(review.ACCEPTED if same else review.RELABELLED, None if same else label)

    def add(self, outline: QgsGeometry, label: str) -> None:
        """Add what the model missed, a polygon in map coordinates, and go to it."""
        decisions = self.fresh()
        if decisions is None:
            return
        with self._change(decisions, label):
            crs = self._canvas.mapSettings().destinationCrs()
            key = decisions.add(outline, crs, label, self._columns_of(outline, crs))
            self._show(key)

    def undo(self) -> None:
        """Take the last step back: of a decision, go to its finding; of another box, stay where the analyst is."""
        self.tool.finish()
        decisions = self.decisions
        if decisions is None:
            return
        with self._change(decisions):
            stays = decisions.undoes_an_outline()
            key = decisions.undo()
            if stays and key != self.key and key is not None:
                self._flash(decisions.layer, key)
                self.said.emit(self.tr("The box of another finding is as it was."), Qgis.MessageLevel.Info)
            if stays:
                self._show_current()
            else:
                self._show(decisions.queue.next(None) if key is None else key)

    def pass_over_below(self, least: float) -> None:
        """Hide findings of a lower score."""
        if self.decisions is None:
            return
        self.decisions.pass_over_below(least)
        if self.key not in self.decisions.queue.shown():
            self.key = None
        self._show_current()

    def current(self) -> QgsFeature | None:
        """Return the current finding."""
        return None if self.decisions is None or self.key is None else self.decisions.feature(self.key)

    def _close(self) -> None:
        self.tool.finish()
        decisions, self.decisions = self.decisions, None
        if decisions is not None:
            decisions.layer.afterCommitChanges.disconnect(self._on_edited)
            decisions.close()

    def _place(self) -> None:
        """Learn where the pixels of the layer's boxes lie."""
        self._placing, self.no_boxes = None, ""
        layer = self.layer
        if layer is None or not self.of_detections:
            return
        try:
            self._placing = BoxPlacing(layer)
        except SceneError as error:
            text = self.tr("{reason} Boxes cannot be changed without the scene of the run.")
            self.no_boxes = text.replace("{reason}", str(error))

    def _columns_of(self, outline: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> dict[str, float] | None:
        """Return the columns that follow from an outline; None where the scene cannot place it."""
        if self._placing is None or self.layer is None:
            return None
        there = QgsGeometry(outline)
        try:
            there.transform(QgsCoordinateTransform(crs, self.layer.crs(), QgsProject.instance()))
            return self._placing.columns(self._placing.box_of(there))
        except (SceneError, QgsCsException):
            return None

    def _reshape(self, box: OrientedBox) -> None:
        """Give the current finding another box, and stay there."""
        decisions, key, placing = self.decisions, self.key, self._placing
        if decisions is None or key is None or placing is None:
            return
        with self._change(decisions):
            before = decisions.feature(key)
            columns = placing.columns(box, before)
            decisions.reshape(key, placing.geometry_of(box), columns, placing.bounds_before(before))
        self._show_current()

    def _choose(self, point: QgsPointXY) -> None:
        """Go to the finding at a map point, the smallest where there are several."""
        decisions = self.fresh()
        if decisions is None:
            return
        move = QgsCoordinateTransform(
            self._canvas.mapSettings().destinationCrs(), decisions.layer.crs(), QgsProject.instance()
        )
        try:
            place = QgsGeometry.fromPointXY(move.transform(point))
        except QgsCsException:
            return
        shown = set(decisions.queue.shown())
        request = QgsFeatureRequest().setFilterRect(place.boundingBox().buffered(0)).setNoAttributes()
        there = {
            feature.id(): feature.geometry().area()
            for feature in decisions.layer.getFeatures(request)
            if feature.id() in shown and feature.geometry().contains(place)
        }
        if there:
            self._show(min(there, key=lambda key: there[key]))

    def _on_decided(self, source: Decisions, keys: list[int]) -> None:
        """Take in what somebody else has decided on the same layer."""
        own = self.decisions
        if own is None or source is own or source.layer.id() != own.layer.id():
            return
        own.read(keys)
        self.classes_changed.emit()
        if self.key in keys:
            self.came_to.emit(own.label(self.key))
        self._show_current()

    def _on_edited(self) -> None:
        """Take in what the analyst has edited in QGIS itself."""
        if self.decisions is not None:
            self.decisions.read()
            self._show_current()

    def _show(self, key: int | None) -> None:
        self.key = key
        if key is not None and self.decisions is not None:
            layer = self.decisions.layer
            self._bring_into_view(self.decisions.feature(key).geometry(), layer)
            self._flash(layer, key)
            self.came_to.emit(self.decisions.label(key))
        self._show_current()

    def _show_current(self) -> None:
        """Frame the current finding as it is now, where the map is."""
        self._frame.reset(compat.POLYGON)
        feature = self.current()
        if feature is None or not feature.isValid():
            self.key = None
            self.tool.show_box(None, None)
        elif self.decisions is not None:
            self._frame.setToGeometry(feature.geometry(), self.decisions.layer)
            self.tool.show_box(self._box_of(feature), self._placing)
        self.changed.emit()

    def _box_of(self, feature: QgsFeature) -> OrientedBox | None:
        try:
            return None if self._placing is None else self._placing.box_of(feature.geometry())
        except (SceneError, QgsCsException):
            return None  # it lies where the scene has no pixels

    def _flash(self, layer: QgsVectorLayer, key: int) -> None:
        white, clear = QColor(255, 255, 255, 110), QColor(255, 255, 255, 0)
        self._canvas.flashFeatureIds(layer, [key], white, clear, 2)

    def _bring_into_view(self, shape: QgsGeometry, layer: QgsVectorLayer) -> None:
        settings = self._canvas.mapSettings()
        try:
            box = QgsCoordinateTransform(
                layer.crs(), settings.destinationCrs(), QgsProject.instance()
            ).transformBoundingBox(shape.boundingBox())
        except QgsCsException:
            return  # the map cannot show that place
        view = self._canvas.extent()
        share = max(box.width() / view.width(), box.height() / view.height()) if not view.isEmpty() else 0
        if _LEAST_SHARE < share < _MOST_SHARE:
            if not view.contains(box):
                self._canvas.setCenter(box.center())
        else:
            box.scale(_AROUND)
            self._canvas.setExtent(box)
        self._canvas.refresh()

    @contextmanager
    def _change(self, decisions: Decisions, label: str | None = None) -> Iterator[None]:
        """Say what could not be kept, the finding stays as it was; else keep the style of a class that is new."""
        is_new = bool(label) and label not in labels_of(decisions.layer)
        try:
            yield
        except (StorageError, SceneError, QgsCsException) as error:
            self.said.emit(str(error), Qgis.MessageLevel.Critical)
            return
        if is_new:
            if decisions.layer.providerType() == "ogr":
                save_style(decisions.layer)
            self.classes_changed.emit()

"""The review of one layer: which finding is the current one, what is decided on it, where the map is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qgis.core import (
    Qgis,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsGeometry,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgsMapCanvas, QgsRubberBand
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor

from .. import compat
from ..core import review
from ..core.review import Item
from ..layers.decisions import Decisions, reviewer
from ..layers.run_groups import show_only, show_others
from ..layers.storage import StorageError, save_style
from ..layers.styles import labels_of

_AROUND = 6  # the map shows so many times the finding's size, unless the analyst's own scale is about right
_LEAST_SHARE, _MOST_SHARE = 0.01, 0.7


class ReviewSession(QObject):
    """Goes through the findings of a layer.

    ``changed`` comes when there is something else to show, ``came_to`` with the label of the finding that is now the
    current one, ``classes_changed`` when the layer has a new class, ``said`` with a whole sentence and its level.

    Attributes:
        decisions: The layer's, None while there is no layer.
        key: The current finding, None where there is none.
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
        show_others(QgsProject.instance())
        self._canvas.scene().removeItem(self._frame)
        self.deleteLater()

    def open(self, layer: QgsVectorLayer | None) -> None:
        """Review another layer from now on, or none."""
        self._close()
        self.key = None
        self._frame.reset(compat.POLYGON)
        self.decisions = None if layer is None else Decisions(layer, reviewer())
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
            key = decisions.add(outline, self._canvas.mapSettings().destinationCrs(), label)
            self._show(key)

    def undo(self) -> None:
        """Take the last decision back, and go to its finding."""
        decisions = self.decisions
        if decisions is None:
            return
        with self._change(decisions):
            key = decisions.undo()
            self._show(decisions.queue.next(None) if key is None else key)

    def pass_over_below(self, least: float) -> None:
        """Hide findings of a lower score."""
        if self.decisions is None:
            return
        self.decisions.pass_over_below(least)
        if self.key not in self.decisions.queue.shown():
            self.key = None
            self._frame.reset(compat.POLYGON)
        self.changed.emit()

    def current(self) -> QgsFeature | None:
        """Return the current finding."""
        return None if self.decisions is None or self.key is None else self.decisions.feature(self.key)

    def _close(self) -> None:
        decisions, self.decisions = self.decisions, None
        if decisions is not None:
            decisions.close()

    def _show(self, key: int | None) -> None:
        self.key = key
        self._frame.reset(compat.POLYGON)
        if key is not None and self.decisions is not None:
            layer = self.decisions.layer
            shape = self.decisions.feature(key).geometry()
            self._bring_into_view(shape, layer)
            self._frame.setToGeometry(shape, layer)
            self._canvas.flashFeatureIds(
                layer, [key], QColor(255, 255, 255, 110), QColor(255, 255, 255, 0), 2
            )
            self.came_to.emit(self.decisions.label(key))
        self.changed.emit()

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
        except (StorageError, QgsCsException) as error:
            self.said.emit(str(error), Qgis.MessageLevel.Critical)
            return
        if is_new:
            if decisions.layer.providerType() == "ogr":
                save_style(decisions.layer)
            self.classes_changed.emit()

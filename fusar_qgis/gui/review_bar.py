"""The review bar: steps through findings, decides on them by key or click."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeature,
    QgsGeometry,
    QgsMapLayer,
    QgsProject,
    QgsSettings,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface, QgsRubberBand
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QColor, QIcon
from qgis.PyQt.QtWidgets import QAction, QComboBox, QLabel, QToolBar, QToolButton

from .. import compat
from ..core import review
from ..core.setting_names import REVIEWER
from ..layers.decisions import Decisions
from ..layers.findings_layer import findings_layers, run_of
from ..layers.run_groups import show_only, show_others
from ..layers.storage import StorageError, save_style
from ..layers.styles import labels_of
from .area_tool import AreaTool
from .confidence import Confidence
from .exporting import Exporting
from .keys import Keys
from .look_closer import is_grid
from .messages import show_message

if TYPE_CHECKING:
    Look = Callable[[QgsVectorLayer, QgsFeature], None] | None

_AROUND = 6  # the map shows so many times the finding's size, unless the analyst's own scale is about right
_LEAST_SHARE, _MOST_SHARE = 0.01, 0.7


class ReviewBar(QToolBar):
    """Goes through the findings of one layer after the other; ``closed`` when the analyst cancels."""

    closed = pyqtSignal()

    def __init__(self, iface: QgisInterface, look: Look) -> None:
        super().__init__(iface.mainWindow())
        self.setObjectName("FusarReviewBar")
        self.setWindowTitle(self.tr("Review findings"))
        self.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._iface = iface
        self._canvas = iface.mapCanvas()
        self._look = look
        self._decisions: Decisions | None = None
        self._key: int | None = None
        self._exporting = Exporting(iface, self)
        self._tool = AreaTool(self._canvas)
        self._tool.drawn.connect(self._drawn)
        self._frame = QgsRubberBand(self._canvas, compat.POLYGON)
        self._frame.setFillColor(QColor(0, 0, 0, 0))
        self._frame.setStrokeColor(QColor("white"))
        self._frame.setSecondaryStrokeColor(QColor("black"))
        self._frame.setLineStyle(Qt.PenStyle.DashLine)
        self._frame.setWidth(2)
        self._make_parts()
        self._keys = Keys(self._shortcuts, self)
        self._keys.listen_to([self._canvas, self, *self.findChildren(QToolButton)])
        project = QgsProject.instance()
        project.layersWillBeRemoved.connect(self._layers_go)
        project.layersAdded.connect(self._list_layers)

    def remove(self) -> None:
        """Remove everything that was added."""
        project = QgsProject.instance()
        project.layersWillBeRemoved.disconnect(self._layers_go)
        project.layersAdded.disconnect(self._list_layers)
        self._close_layer()
        show_others(project)
        self._keys.remove()
        self._tool.remove()
        self._canvas.scene().removeItem(self._frame)
        self._exporting.remove()
        self._iface.mainWindow().removeToolBar(self)
        self.deleteLater()

    def start(self, active: QgsMapLayer | None) -> None:
        """Begin with the active layer if it holds findings, else with the first that does."""
        self._list_layers()
        place = self._layers.findData(active.id()) if active is not None else -1
        self._layers.setCurrentIndex(max(place, 0))
        self._open_layer()
        self._canvas.setFocus()

    def _make_parts(self) -> None:
        icon = QgsApplication.getThemeIcon
        self._shortcuts: dict[QAction, tuple[str, ...]] = {}
        self._layers = QComboBox(self)
        self._layers.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._layers.setMinimumContentsLength(14)
        self._layers.activated.connect(self._open_layer)
        self.addWidget(self._layers)
        self._previous = self._button(icon("/mActionArrowLeft.svg"), self.tr("Previous"), ("P",), plain=True)
        self._next = self._button(icon("/mActionArrowRight.svg"), self.tr("Next"), ("N",), plain=True)
        self.addSeparator()
        self._accept = self._button(icon("/mIconSuccess.svg"), self.tr("Accept"), ("A",))
        self._reject = self._button(icon("/mIconDelete.svg"), self.tr("Reject"), ("R",))
        self._relabel = self._button(icon("/mActionLabeling.svg"), self.tr("Relabel"), ("L",))
        self._label = QComboBox(self)
        self._label.setEditable(True)
        self._label.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._label.setMinimumContentsLength(8)
        self._label.setToolTip(self.tr("The right label. Enter gives it to the finding, Esc leaves."))
        self._label.lineEdit().returnPressed.connect(self._relabelled)
        self._label_leaving = Keys({self._leave_label(): ("Escape",)}, self)
        self._label_leaving.listen_to([self._label, self._label.lineEdit()])
        self.addWidget(self._label)
        self._add = self._button(icon("/symbologyAdd.svg"), self.tr("Add"), ("+", "Insert"))
        self._add.setToolTip(self.tr("Add what the model missed (+)"))
        self._undo = self._button(icon("/mActionUndo.svg"), self.tr("Undo"), ("U",), plain=True)
        self._closer = self._button(icon("/mActionZoomIn.svg"), self.tr("Look closer"), ("C",))
        self.addSeparator()
        self._progress = QLabel(self)
        self._progress.setContentsMargins(6, 0, 6, 0)
        self.addWidget(self._progress)
        self._confidence = Confidence(self)
        self._confidence.changed.connect(self._filter)
        self._confidence_action = self.addWidget(self._confidence)
        self.addSeparator()
        export = QToolButton(self)
        export.setText(self.tr("E&xport"))
        export.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        export.setMenu(self._exporting.menu)
        self.addWidget(export)
        end = self._button(icon("/mActionRemove.svg"), self.tr("Close"), (), plain=True)
        for action, slot in (
            (self._previous, self._go_back),
            (self._next, self._go_on),
            (self._accept, self._accepted),
            (self._reject, self._rejected),
            (self._relabel, self._ask_label),
            (self._add, self._draw),
            (self._undo, self._take_back),
            (self._closer, self._look_closer),
            (end, self.closed.emit),
        ):
            action.triggered.connect(slot)

    def _button(self, icon: QIcon, text: str, keys: tuple[str, ...], *, plain: bool = False) -> QAction:
        """Add an action whose keys count only in this bar and on the map, so that QGIS keeps its own.

        ``plain`` shows the icon alone.
        """
        action = self.addAction(icon, f"{text} ({keys[0]})" if keys else text)
        self._shortcuts[action] = keys
        button = self.widgetForAction(action)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        if plain:
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
        return action

    def _leave_label(self) -> QAction:
        action = QAction(self)
        action.triggered.connect(self._canvas.setFocus)
        return action

    def _list_layers(self, *_: object) -> None:
        chosen = self._layers.currentData()
        self._layers.clear()
        for layer in findings_layers(QgsProject.instance()):
            node = QgsProject.instance().layerTreeRoot().findLayer(layer.id())
            group = node.parent().name() if node is not None and node.parent() is not None else ""
            self._layers.addItem(f"{group}: {layer.name()}" if group else layer.name(), layer.id())
        self._layers.setCurrentIndex(max(self._layers.findData(chosen), 0))
        if self._decisions is not None and self._layers.currentData() != chosen:
            self._open_layer()

    def _layers_go(self, layer_ids: list[str]) -> None:
        for layer_id in layer_ids:
            place = self._layers.findData(layer_id)
            if place >= 0:
                self._layers.removeItem(place)
        if self._decisions is not None and self._decisions.layer.id() in layer_ids:
            self._open_layer()

    def _open_layer(self, *_: object) -> None:
        layer = QgsProject.instance().mapLayer(self._layers.currentData() or "")
        self._close_layer()
        self._key = None
        self._frame.reset(compat.POLYGON)
        decisions = self._decisions = None if layer is None else Decisions(layer, reviewer())
        detections = decisions is not None and decisions.is_of_detections()
        self._exporting.offer(layer, detections=detections)
        if layer is not None:
            self._iface.setActiveLayer(layer)  # its run comes to the front
        show_only(QgsProject.instance(), layer)
        self._layers.setToolTip(self.tr("Reviewed: {findings}").format(findings=self._layers.currentText()))
        for action in (self._add, self._relabel):
            action.setEnabled(detections)
        self._label.setEnabled(detections)
        self._confidence_action.setVisible(detections)
        self._closer.setVisible(self._look is not None and layer is not None and is_grid(layer))
        if decisions is not None:
            self._confidence.follow(decisions)
            self._list_labels(decisions)
            self._show(decisions.queue.next_undecided(None) or decisions.queue.next(None))
        self._show_progress()

    def _close_layer(self) -> None:
        decisions, self._decisions = self._decisions, None
        if decisions is not None:
            decisions.close()

    def _list_labels(self, decisions: Decisions) -> None:
        targets = [word.strip() for word in str(run_of(decisions.layer).get("targets") or "").split(",")]
        text = self._label.currentText()
        self._label.clear()
        self._label.addItems(list(dict.fromkeys([*labels_of(decisions.layer), *filter(None, targets)])))
        if text:
            self._label.setEditText(text)

    def _go_on(self) -> None:
        decisions = self._fresh()
        if decisions is not None:
            self._show(decisions.queue.next(self._key))

    def _go_back(self) -> None:
        decisions = self._fresh()
        if decisions is not None:
            self._show(decisions.queue.previous(self._key))

    def _fresh(self) -> Decisions | None:
        """Return the layer's decisions, after another look if a run has added findings meanwhile."""
        if self._decisions is not None and self._decisions.is_stale():
            self._decisions.read()
            self._confidence.follow(self._decisions)
            self._show_progress()
        return self._decisions

    def _show(self, key: int | None) -> None:
        self._key = key
        self._frame.reset(compat.POLYGON)
        if key is not None and self._decisions is not None:
            layer = self._decisions.layer
            shape = self._decisions.feature(key).geometry()
            self._bring_into_view(shape, layer)
            self._frame.setToGeometry(shape, layer)
            self._canvas.flashFeatureIds(
                layer, [key], QColor(255, 255, 255, 110), QColor(255, 255, 255, 0), 2
            )
            label = self._decisions.label(key)
            if label:
                self._label.setEditText(label)
        self._show_progress()

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

    def _show_progress(self) -> None:
        decisions = self._decisions
        has = self._key is not None
        for action in (self._accept, self._reject, self._closer):
            action.setEnabled(has)
        self._relabel.setEnabled(has and decisions is not None and decisions.is_of_detections())
        self._undo.setEnabled(decisions is not None and decisions.can_undo())
        if decisions is None:
            self._progress.setText(self.tr("No findings"))
            return
        queue = decisions.queue
        shown = queue.shown()
        text = self.tr("{done} of {all} reviewed").format(done=queue.reviewed(), all=len(shown))
        item = queue.get(self._key)
        words = {
            review.ACCEPTED: self.tr("accepted"),
            review.REJECTED: self.tr("rejected"),
            review.RELABELLED: self.tr("relabelled"),
            review.ADDED: self.tr("added"),
        }
        if item is not None and item.review is not None:
            text = f"{text} · {words.get(item.review, item.review)}"
        self._progress.setText(text)
        self._confidence.show_counts(len(shown), len(queue), queue.unscored())

    def _accepted(self) -> None:
        self._decide(review.ACCEPTED)

    def _rejected(self) -> None:
        self._decide(review.REJECTED)

    def _ask_label(self) -> None:
        self._label.setFocus()
        self._label.lineEdit().selectAll()

    def _relabelled(self) -> None:
        label = self._label.currentText().strip()
        decisions = self._decisions
        if decisions is None or self._key is None or not label:
            return
        # The model's own label is no correction.
        same = decisions.feature(self._key)["label"] == label
        self._decide(review.ACCEPTED if same else review.RELABELLED, None if same else label)
        self._canvas.setFocus()

    def _decide(self, decision: str, label: str | None = None) -> None:
        decisions, key = self._fresh(), self._key
        if decisions is None or key is None:
            return
        with self._errors_shown():
            decisions.decide(key, decision, label)
            self._after_change(decisions, label)
            following = decisions.queue.next_undecided(key)
            if following is None:
                self._show_message(self.tr("All findings are reviewed."), Qgis.MessageLevel.Success)
            self._show(key if following is None else following)

    def _after_change(self, decisions: Decisions, label: str | None) -> None:
        if label and self._label.findText(label) < 0:
            self._list_labels(decisions)
            if decisions.layer.providerType() == "ogr":
                save_style(decisions.layer)

    def _take_back(self) -> None:
        decisions = self._decisions
        if decisions is None:
            return
        with self._errors_shown():
            key = decisions.undo()
            self._show(decisions.queue.next(None) if key is None else key)

    def _draw(self) -> None:
        self._canvas.setMapTool(self._tool)
        # QGIS shows a tool's message, and takes it away when it is discarded.
        hint = self.tr("Drag a rectangle around what the model missed.")
        self._tool.messageEmitted.emit(hint, Qgis.MessageLevel.Info)

    def _drawn(self, outline: QgsGeometry) -> None:
        self._tool.messageDiscarded.emit()
        self._canvas.unsetMapTool(self._tool)
        decisions, label = self._fresh(), self._label.currentText().strip()
        if decisions is None or not decisions.is_of_detections():
            return
        if not label:
            self._ask_label()
            self._show_message(self.tr("Write its label first, then draw it."), Qgis.MessageLevel.Warning)
            return
        with self._errors_shown():
            key = decisions.add(outline, self._canvas.mapSettings().destinationCrs(), label)
            self._after_change(decisions, label)
            self._show(key)
        self._canvas.setFocus()

    def _look_closer(self) -> None:
        if self._look is not None and self._decisions is not None and self._key is not None:
            self._look(self._decisions.layer, self._decisions.feature(self._key))

    def _filter(self, least: float) -> None:
        if self._decisions is None:
            return
        self._decisions.pass_over_below(least)
        if self._key not in self._decisions.queue.shown():
            self._key = None
            self._frame.reset(compat.POLYGON)
        self._show_progress()

    @contextmanager
    def _errors_shown(self) -> Iterator[None]:
        """Say what could not be kept; the finding stays as it was."""
        try:
            yield
        except (StorageError, QgsCsException) as error:
            self._show_message(str(error), Qgis.MessageLevel.Critical)

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._iface.messageBar(), self.windowTitle(), text, level)


def reviewer() -> str:
    """Return the reviewer's name: as set, else as the computer knows it."""
    named = str(QgsSettings().value(REVIEWER, "", type=str)).strip()
    return named or str(QgsApplication.userFullName() or QgsApplication.userLoginName())

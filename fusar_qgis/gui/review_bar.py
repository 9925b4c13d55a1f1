"""The review bar: steps through findings, decides on them by key or click."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsMapLayer,
    QgsProject,
    QgsVectorLayer,
)
from qgis.gui import QgisInterface
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QIcon, QResizeEvent
from qgis.PyQt.QtWidgets import QAction, QComboBox, QLabel, QToolBar, QToolButton

from ..core import review
from ..layers.decisions import Decisions
from ..layers.findings_layer import findings_layers, run_of
from ..layers.styles import labels_of
from .area_tool import AreaTool
from .confidence import Confidence
from .exporting import Exporting
from .keys import Keys
from .look_closer import is_grid
from .messages import show_message
from .review_session import ReviewSession

if TYPE_CHECKING:
    Look = Callable[[QgsVectorLayer, QgsFeature], None] | None


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
        self.session = ReviewSession(self._canvas, self)
        self._exporting = Exporting(iface, self)
        self._tool = AreaTool(self._canvas)
        self._tool.drawn.connect(self._drawn)
        self._before = self._canvas.mapTool()
        self._resumes = False  # the tool for boxes, once what was missed is drawn
        self._make_parts()
        self._keys = Keys(self._shortcuts, self)
        self._keys.listen_to([self._canvas, self, *self.findChildren(QToolButton)])
        self.session.changed.connect(self._show_state)
        self.session.came_to.connect(self._show_label)
        self.session.classes_changed.connect(self._list_labels)
        self.session.said.connect(self._show_message)
        project = QgsProject.instance()
        project.layersWillBeRemoved.connect(self._layers_go)
        project.layersAdded.connect(self._list_layers)

    def remove(self) -> None:
        """Remove everything that was added."""
        project = QgsProject.instance()
        project.layersWillBeRemoved.disconnect(self._layers_go)
        project.layersAdded.disconnect(self._list_layers)
        has_tool = self._canvas.mapTool() in (self.session.tool, self._tool)
        self.session.remove()
        if has_tool and self._before is not None and not sip.isdeleted(self._before):
            self._canvas.setMapTool(self._before)
        self._keys.remove()
        self._tool.remove()
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
        self._worded: list[QToolButton] = []
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
        self._label_leaving = Keys({self._leave_label(): ("Esc",)}, self)
        self._label_leaving.listen_to([self._label, self._label.lineEdit()])
        self.addWidget(self._label)
        self._add = self._button(icon("/symbologyAdd.svg"), self.tr("Add"), ("+", "Insert"))
        self._add.setToolTip(self.tr("Add what the model missed (+)"))
        self._edit = self._button(icon("/mActionVertexTool.svg"), self.tr("Edit box"), ("E",), plain=True)
        self._edit.setCheckable(True)
        self._edit.triggered.connect(self._take_tool)
        self.session.tool.setAction(self._edit)  # QGIS checks it as long as the tool is in use
        self._undo = self._button(icon("/mActionUndo.svg"), self.tr("Undo"), ("U", "Ctrl+Z"), plain=True)
        self._closer = self._button(icon("/mActionZoomIn.svg"), self.tr("Look closer"), ("C",))
        self.addSeparator()
        self._progress = QLabel(self)
        self._progress.setContentsMargins(6, 0, 6, 0)
        self.addWidget(self._progress)
        self._confidence = Confidence(self)
        self._confidence.changed.connect(self.session.pass_over_below)
        self._confidence_action = self.addWidget(self._confidence)
        self.addSeparator()
        export = QToolButton(self)
        export.setText(self.tr("E&xport"))
        export.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        export.setMenu(self._exporting.menu)
        self.addWidget(export)
        end = self._button(icon("/mActionRemove.svg"), self.tr("Close"), (), plain=True)
        for action, slot in (
            (self._previous, self.session.go_back),
            (self._next, self.session.go_on),
            (self._accept, self.session.accept),
            (self._reject, self.session.reject),
            (self._relabel, self._ask_label),
            (self._add, self._draw),
            (self._undo, self.session.undo),
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
        else:
            self._worded.append(button)
        return action

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - Qt calls it by this name
        """Fit into another width."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        """Show icons without words, which the tips have, where the bar would else hide its end."""
        for style in (Qt.ToolButtonStyle.ToolButtonTextBesideIcon, Qt.ToolButtonStyle.ToolButtonIconOnly):
            for button in self._worded:
                button.setToolButtonStyle(style)
            self.layout().invalidate()  # it would measure anew only when it is shown again
            if self.sizeHint().width() <= self.width():
                return

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
        if self.session.layer is not None and self._layers.currentData() != chosen:
            self._open_layer()

    def _layers_go(self, layer_ids: list[str]) -> None:
        for layer_id in layer_ids:
            place = self._layers.findData(layer_id)
            if place >= 0:
                self._layers.removeItem(place)
        if self.session.layer is not None and self.session.layer.id() in layer_ids:
            self._open_layer()

    def _open_layer(self, *_: object) -> None:
        layer = QgsProject.instance().mapLayer(self._layers.currentData() or "")
        self.session.open(layer)
        if layer is not None:
            self._iface.setActiveLayer(layer)  # its run comes to the front
        detections = self.session.of_detections
        self._exporting.offer(layer, detections=detections)
        self._layers.setToolTip(self.tr("Reviewed: {findings}").format(findings=self._layers.currentText()))
        for action in (self._add, self._relabel):
            action.setEnabled(detections)
        self._label.setEnabled(detections)
        self._confidence_action.setVisible(detections)
        self._closer.setVisible(self._look is not None and layer is not None and is_grid(layer))
        self._list_labels()
        self._offer_edit()
        self.session.begin()
        self._show_state()

    def _offer_edit(self) -> None:
        """Let boxes be changed at once where they can be; else say why not."""
        can = self.session.of_detections and not self.session.no_boxes
        self._edit.setEnabled(can)
        tip = self.tr(
            "<b>Edit box (E)</b><br>Drag a corner or an edge, the inside to move it, the round handle to turn it "
            "(with Shift by 15°). The arrow keys move it by a pixel of the scene, Esc gives up, U takes it back."
        )
        self._edit.setToolTip(self.session.no_boxes or tip)
        self._take_tool(can)

    def _take_tool(self, wanted: bool) -> None:
        if wanted:
            self._canvas.setMapTool(self.session.tool)
        else:
            self._canvas.unsetMapTool(self.session.tool)

    def _list_labels(self) -> None:
        layer = self.session.layer
        if layer is None:
            return
        targets = [word.strip() for word in str(run_of(layer).get("targets") or "").split(",")]
        text = self._label.currentText()
        self._label.clear()
        self._label.addItems(list(dict.fromkeys([*labels_of(layer), *filter(None, targets)])))
        if text:
            self._label.setEditText(text)

    def _show_label(self, label: str) -> None:
        if label:
            self._label.setEditText(label)

    def _show_state(self) -> None:
        decisions = self.session.decisions
        has = self.session.key is not None
        for action in (self._accept, self._reject, self._closer):
            action.setEnabled(has)
        self._relabel.setEnabled(has and self.session.of_detections)
        self._undo.setEnabled(decisions is not None and decisions.can_undo())
        if decisions is None:
            self._progress.setText(self.tr("No findings"))
            return
        queue = decisions.queue
        shown = queue.shown()
        self._say_progress(decisions, len(shown))
        self._confidence.follow(decisions)
        self._confidence.show_counts(len(shown), len(queue), queue.unscored())
        self._fit()

    def _say_progress(self, decisions: Decisions, shown: int) -> None:
        """Say how far the review is, in the room of the longest such text: no button moves from under the mouse."""
        counts = self.tr("{done} of {all} reviewed")
        changed = self.tr("box changed")
        words = {
            review.ACCEPTED: self.tr("accepted"),
            review.REJECTED: self.tr("rejected"),
            review.RELABELLED: self.tr("relabelled"),
            review.ADDED: self.tr("added"),
        }
        texts = [f"{counts.format(done=shown, all=shown)} · {word}, {changed}" for word in words.values()]
        longest = max(self._progress.fontMetrics().horizontalAdvance(text) for text in texts)
        margins = self._progress.contentsMargins()
        self._progress.setMinimumWidth(longest + margins.left() + margins.right())
        text = counts.format(done=decisions.queue.reviewed(), all=shown)
        item = self.session.item
        if item is not None and item.review is not None:
            text = f"{text} · {words.get(item.review, item.review)}"
            if decisions.is_reshaped(item.key):
                text = f"{text}, {changed}"
        self._progress.setText(text)

    def _ask_label(self) -> None:
        self._label.setFocus()
        self._label.lineEdit().selectAll()

    def _relabelled(self) -> None:
        self.session.relabel(self._label.currentText().strip())
        self._canvas.setFocus()

    def _draw(self) -> None:
        self._resumes = self._edit.isChecked()
        self._canvas.setMapTool(self._tool)
        # QGIS shows a tool's message, and takes it away when it is discarded.
        hint = self.tr("Drag a rectangle around what the model missed.")
        self._tool.messageEmitted.emit(hint, Qgis.MessageLevel.Info)

    def _drawn(self, outline: QgsGeometry) -> None:
        self._tool.messageDiscarded.emit()
        self._canvas.unsetMapTool(self._tool)
        if self._resumes:
            self._take_tool(True)
        label = self._label.currentText().strip()
        if not self.session.of_detections:
            return
        if not label:
            self._ask_label()
            self._show_message(self.tr("Write its label first, then draw it."), Qgis.MessageLevel.Warning)
            return
        self.session.add(outline, label)
        self._canvas.setFocus()

    def _look_closer(self) -> None:
        layer, feature = self.session.layer, self.session.current()
        if self._look is not None and layer is not None and feature is not None:
            self._look(layer, feature)

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._iface.messageBar(), self.windowTitle(), text, level)

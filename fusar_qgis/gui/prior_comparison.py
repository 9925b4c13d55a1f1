"""Compares detections with and without a prior: the other run, a layer of what changed, and a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from qgis.core import Qgis, QgsMapLayer, QgsProject, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtWidgets import (
    QAction,
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from .. import compat
from ..contract import AUTO_PRIOR, NO_PRIOR, Task
from ..contract.prior_effect import ADDED, CHANGES, MOVED, REMOVED, SAME
from ..core.request import LayerRequest
from ..layers.findings_layer import KIND_PROPERTY, findings_layers, request_of, run_of
from ..layers.prior_changes import Counts, changes_layer, detections_layer, prior_words
from ..translation import translate, translate_count
from .messages import show_message
from .run_controller import RunController

Again = Callable[[LayerRequest, "Callable[[RunController], None] | None"], None]

_MENU = "FUSAR-GPT"
_MOST_PX = 300  # of the rows of a table
_PRIOR_FIELDS: dict[str, Any] = {
    "prior": NO_PRIOR, "prior_network": True, "allow_no_prior": False, "network_settled": False,
    "prior_needed": False, "scene": "", "year": None,
}  # fmt: skip
"""What two requests may differ in that ask the same but for the prior; an uploaded scene has a name of its own."""


class PriorComparison(QObject):
    """Compares a layer of detections, or a run that has just ended, with the same of another prior.

    Its action is in the layers' context menu and in Raster's menu. ``again`` runs a request, and calls back.
    """

    def __init__(self, iface: QgisInterface, again: Again, parent: QObject) -> None:
        super().__init__(parent)
        self._iface, self._again = iface, again
        self._dialogs: list[QDialog] = []
        self.action = QAction(self.tr("Compare With and Without Prior"), iface.mainWindow())
        self.action.setObjectName("FusarComparePrior")
        self.action.triggered.connect(self._compare_active)
        iface.addPluginToRasterMenu(_MENU, self.action)
        iface.addCustomActionForLayerType(self.action, "", compat.VECTOR_LAYER, False)
        QgsProject.instance().layersAdded.connect(self._offer)
        self._offer(QgsProject.instance().mapLayers().values())

    def remove(self) -> None:
        """Remove everything that was added."""
        QgsProject.instance().layersAdded.disconnect(self._offer)
        self._iface.removeCustomActionForLayerType(self.action)
        self._iface.removePluginRasterMenu(_MENU, self.action)
        for dialog in self._dialogs:
            dialog.deleteLater()
        self.action.deleteLater()
        self.deleteLater()

    def run_with_prior(self, request: LayerRequest) -> None:
        """Run the same again if a prior can be had by now."""
        self._again(_with_prior(request), None)

    def compare(self, run: dict[str, Any], request: LayerRequest) -> None:
        """Compare a run of detections with the same without a prior, or with one: made now unless it is there."""
        other = self._counterpart(run, request)
        if other is not None:
            self._show(run, other)
        elif _has_prior(run):
            bare = replace(request, prior=NO_PRIOR, network_settled=True, prior_needed=False, year=None)
            self._again(bare, partial(self._on_over, run))
        else:
            self._again(_with_prior(request), partial(self._on_over, run))

    def _offer(self, layers: Sequence[QgsMapLayer]) -> None:
        for layer in layers:
            if layer.customProperty(KIND_PROPERTY) == "detections":
                self._iface.addCustomActionForLayer(self.action, layer)

    def _compare_active(self) -> None:
        layer = self._iface.activeLayer()
        its = isinstance(layer, QgsVectorLayer) and layer.customProperty(KIND_PROPERTY) == "detections"
        request = request_of(layer) if its else None
        if request is None or request.task is not Task.DETECT:
            self._show_message(
                self.tr("Choose a layer of detections of a run first."), Qgis.MessageLevel.Info
            )
        else:
            self.compare(run_of(layer), request)

    def _on_over(self, run: dict[str, Any], other: RunController) -> None:
        if other.succeeded:
            self._show(run, other.run)

    @staticmethod
    def _counterpart(run: dict[str, Any], request: LayerRequest) -> dict[str, Any] | None:
        """Return the run of this project that asked the same of the same model, with the other prior."""
        asked = replace(request, **_PRIOR_FIELDS)
        for layer in findings_layers(QgsProject.instance()):
            other, its = run_of(layer), request_of(layer)
            same = its is not None and replace(its, **_PRIOR_FIELDS) == asked
            if same and _has_prior(other) != _has_prior(run) and _who(other) == _who(run):
                return other
        return None

    def _show(self, run: dict[str, Any], other: dict[str, Any]) -> None:
        """Put the changes on the map and count them; a run that still has no prior is no comparison."""
        with_prior, without = (run, other) if _has_prior(run) else (other, run)
        project = QgsProject.instance()
        ours, theirs = detections_layer(project, with_prior), detections_layer(project, without)
        if not _has_prior(with_prior):
            text = self.tr("No prior could be had, so there is nothing to compare.")
            self._show_message(text, Qgis.MessageLevel.Warning)
            return
        if ours is None and theirs is None:
            self._show_message(
                self.tr("Nothing was found with or without the prior."), Qgis.MessageLevel.Info
            )
            return
        prior = str(with_prior.get("prior"))
        name = self.tr("What the prior changed ({prior})").format(prior=prior)
        changed = changes_layer(project, ours, theirs, name, prior_words())
        project.addMapLayer(changed.layer, False)
        project.layerTreeRoot().insertLayer(0, changed.layer)
        total = totals(changed.counts)
        paired = total[MOVED] + total[SAME]
        said = translate_count(
            "EffectTable",
            "With the prior ({prior}): %n detection(s). Without it: {m}.",
            total[ADDED] + paired,
        ).format(prior=prior, m=total[REMOVED] + paired)
        title, window = translate("EffectTable", "With and without prior"), self._iface.mainWindow()
        dialog = EffectTable(title, said, changed.counts, prior_words(), window)
        self._dialogs.append(dialog)
        dialog.show()

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._iface.messageBar(), self.action.text(), text, level)


def totals(counts: Counts) -> dict[str, int]:
    """Return how many of each change there are, of all classes."""
    return {change: sum(of_class[change] for of_class in counts.values()) for change in CHANGES}


class EffectTable(QDialog):
    """How many detections of each class were added, removed, moved and left as they were."""

    def __init__(
        self, title: str, said: str, counts: Counts, names: Mapping[str, str], parent: QWidget
    ) -> None:
        """``said`` stands above the table, whose columns are the changes by ``names``."""
        super().__init__(parent)
        self.setObjectName("FusarPriorEffect")
        self.setWindowTitle(title)
        words = QLabel(said, self)
        words.setWordWrap(True)
        rows = sorted(counts.items())
        if len(rows) > 1:
            rows.append((self.tr("all"), totals(counts)))
        self.table = QTableWidget(len(rows), len(CHANGES), self)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setHorizontalHeaderLabels([names[change] for change in CHANGES])
        self.table.setVerticalHeaderLabels([label for label, _ in rows])
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for row, (_, of_class) in enumerate(rows):
            for column, change in enumerate(CHANGES):
                item = QTableWidgetItem(str(of_class[change]))
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                self.table.setItem(row, column, item)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close, self)
        buttons.button(QDialogButtonBox.StandardButton.Close).setText(self.tr("Close"))
        buttons.rejected.connect(self.close)
        layout = QVBoxLayout(self)
        for widget in (words, self.table, buttons):
            layout.addWidget(widget)
        self.table.setSelectionMode(QTableWidget.SelectionMode.NoSelection)
        self.table.setSizeAdjustPolicy(QTableWidget.SizeAdjustPolicy.AdjustToContents)
        self.table.resizeRowsToContents()
        across, down = self.table.horizontalHeader(), self.table.verticalHeader()
        frame = 2 * self.table.frameWidth()
        self.table.setMinimumWidth(across.length() + down.sizeHint().width() + frame)
        self.table.setMinimumHeight(across.sizeHint().height() + min(down.length(), _MOST_PX) + frame)
        self.adjustSize()


def _with_prior(request: LayerRequest) -> LayerRequest:
    """Return the same with a prior, of which no run is worth anything without."""
    prior = AUTO_PRIOR if request.prior == NO_PRIOR else request.prior
    return replace(request, prior=prior, prior_network=True, network_settled=False, prior_needed=True)


def _has_prior(run: dict[str, Any]) -> bool:
    return (run.get("prior") or NO_PRIOR) != NO_PRIOR


def _who(run: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(run.get(name) for name in ("model", "model_hash", "scene_fingerprint"))

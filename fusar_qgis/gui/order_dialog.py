"""The question: which task, which targets, which model, which prior."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import QgsGeometry
from qgis.gui import QgsCheckableComboBox, QgsFileWidget, QgsRasterBandComboBox
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QProgressBar,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ..core.events import Info, Model
from ..core.order import TASKS, TASKS_WITH_TARGET, Order
from ..layers.scene import Scene
from ..layers.wording import task_explanation, task_name

_PRIOR_YEARS = (2017, 2030)
_NO_YEAR = _PRIOR_YEARS[0] - 1
_AREA_DECIMALS = 17


class OrderDialog(QDialog):
    """Asks what to do with a drawn area; not modal, and Enter starts.

    It may open before the backend has answered, and waits for ``offer``. ``ordered`` brings the Order.
    """

    ordered = pyqtSignal(object)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("FusarOrderDialog")
        self.setWindowTitle(self.tr("Interpret SAR"))
        self.setWindowFlag(Qt.WindowType.WindowContextHelpButtonHint, False)
        self._scene: Scene | None = None
        self._area: dict[str, Any] = {}
        self._area_crs = ""
        self._make_fields()
        self._lay_out()
        self._task.currentIndexChanged.connect(self._refresh)
        self._model.currentIndexChanged.connect(self._model_chosen)
        self._prior.fileChanged.connect(self._refresh)
        self._targets.checkedItemsChanged.connect(self._refresh)
        self._refresh()

    def ask(self, scene: Scene, area: QgsGeometry, area_crs: str) -> None:
        """Show the dialog for ``area``, a polygon in ``area_crs``, of ``scene``."""
        self._scene, self._area, self._area_crs = scene, json.loads(area.asJson(_AREA_DECIMALS)), area_crs
        self._scene_name.setText(scene.name)
        self._band.setLayer(scene.layer)
        self._band.setBand(scene.band)
        for widget in (self._band, self._form.labelForField(self._band)):
            widget.setVisible(scene.layer.bandCount() > 1)
        self.show()
        self.raise_()
        self.activateWindow()
        self._task.setFocus()

    def offer(self, info: Info) -> None:
        """Fill in what the backend offers, keeping the analyst's choice of model where it can be kept."""
        chosen = self._model.currentData()
        self._model.blockSignals(True)
        self._model.clear()
        for model in info.models:
            title = self.tr("{model} (demonstration)") if model.demonstration else "{model}"
            self._model.addItem(title.format(model=model.title), model)
        self._model.setCurrentIndex(info.models.index(chosen) if chosen in info.models else 0)
        self._model.blockSignals(False)
        if self._model.currentData() != chosen:
            self._model_chosen()
        self._refresh()

    def order(self) -> Order | None:
        """Return what is chosen, or None while that is not complete."""
        model: Model | None = self._model.currentData()
        task = self._task.currentData()
        targets = tuple(self._targets.checkedItems()) if task in TASKS_WITH_TARGET else ()
        if self._scene is None or model is None or (task in TASKS_WITH_TARGET and not targets):
            return None
        year = self._year.value()
        return Order(
            scene=self._scene.path,
            area=self._area,
            area_crs=self._area_crs,
            task=task,
            targets=targets,
            model=model.name,
            prior=self._prior.filePath() or "none",
            year=year if self._prior.filePath() and year != _NO_YEAR else None,
            band=self._band.currentBand() if self._scene.layer.bandCount() > 1 else None,
        )

    def accept(self) -> None:
        """Hand the order over and close."""
        order = self.order()
        if order is not None:
            super().accept()
            self.ordered.emit(order)

    def _make_fields(self) -> None:
        self._scene_name = QLabel(self)
        self._band = QgsRasterBandComboBox(self)
        self._task = QComboBox(self)
        for task in TASKS:
            self._task.addItem(f"{task_name(task)}: {task_explanation(task)}", task)
        self._targets = QgsCheckableComboBox(self)
        self._targets.setDefaultText(self.tr("Choose at least one"))
        self._model = QComboBox(self)
        self._prior = QgsFileWidget(self)
        self._prior.setFilter(
            self.tr("Prior: 64-band raster or AlphaEarth points") + " (*.tif *.tiff *.vrt *.npz *.npy)"
        )
        self._prior.setDialogTitle(self.tr("Choose a prior"))
        self._prior.lineEdit().setPlaceholderText(self.tr("No prior: from the image alone"))
        self._year = QSpinBox(self)
        self._year.setSpecialValueText(self.tr("Not given"))
        self._caution = QLabel(self)
        self._caution.setWordWrap(True)
        self._waiting = QLabel(self.tr("Connecting to the backend…"), self)
        self._busy = QProgressBar(self)
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setMaximumHeight(6)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self._start = self._buttons.addButton(self.tr("Start"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._start.setDefault(True)
        # Qt's own word is English wherever its translations are not installed.
        self._buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(self.tr("Cancel"))
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)

    def _lay_out(self) -> None:
        self._form = QFormLayout()
        self._form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._form.addRow(self.tr("Scene"), self._scene_name)
        self._form.addRow(self.tr("Band"), self._band)
        self._form.addRow(self.tr("&Task"), self._task)
        self._form.addRow(self.tr("T&argets"), self._targets)
        self._form.addRow(self.tr("&Model"), self._model)
        self._form.addRow(self.tr("&Prior"), self._prior)
        self._form.addRow(self.tr("&Year of the prior"), self._year)
        layout = QVBoxLayout(self)
        layout.addLayout(self._form)
        for widget in (self._caution, self._waiting, self._busy):
            layout.addWidget(widget)
        layout.addStretch()
        layout.addWidget(self._buttons)
        self.setMinimumWidth(440)

    def _model_chosen(self) -> None:
        model: Model | None = self._model.currentData()
        if model is None:
            return
        checked = set(self._targets.checkedItems())
        self._targets.clear()
        self._targets.addItems(list(model.targets))
        self._targets.setCheckedItems(
            [name for name in model.targets if name in checked] or list(model.targets[:1])
        )
        first, last = model.prior_years or _PRIOR_YEARS
        self._year.setRange(first - 1, last)
        self._refresh()

    def _refresh(self) -> None:
        model: Model | None = self._model.currentData()
        self._targets.setEnabled(model is not None and self._task.currentData() in TASKS_WITH_TARGET)
        self._model.setEnabled(model is not None)
        self._year.setEnabled(bool(self._prior.filePath()))
        self._caution.setText(
            self.tr("<b>Demonstration model.</b> It shows how the work is done; do not rely on its answers.")
            if model is not None and model.demonstration
            else ""
        )
        self._caution.setVisible(model is not None and model.demonstration)
        for widget in (self._waiting, self._busy):
            widget.setVisible(model is None)
        self._start.setEnabled(self.order() is not None)

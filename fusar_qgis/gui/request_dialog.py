"""The request dialog: task, targets, model, prior, and a preview."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from qgis.core import QgsCoordinateReferenceSystem, QgsGeometry, QgsProject
from qgis.gui import QgsCheckableComboBox, QgsRasterBandComboBox
from qgis.PyQt.QtCore import QLocale, QPoint, QRect, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QVBoxLayout,
    QWidget,
)

from ..connection.backend_words import in_words, sentence
from ..contract import NO_PRIOR, SEARCHES, Info, Model, Preview, PriorStatus, Task, read_boxes, read_outline
from ..core.endpoint import Endpoint
from ..core.request import LayerRequest, tasks_of
from ..layers.scene import Scene, crs_text, geojson
from ..layers.wording import questions_taken, task_explanation, task_name
from .areas import Area, ground_m2
from .boxes_choice import BoxesChoice
from .choices import Rows, choose, remember, remembered, remembered_list, show_whole
from .known_rates import large_run
from .obstacle import Obstacle, ObstacleNote, misplaced
from .preview_panel import PreviewPanel
from .prior_choice import PriorChoice
from .prior_consent import first_reason
from .quantity_choice import QuantityChoice
from .scrolling_dialog import ScrollingDialog
from .text_block import TextBlock

_TASKS = ("detect", "locate", "count", "classify", "describe", "ask")  # the most used first
_LEAST_ROOM_PX = 360  # with less between messages and status bar it covers their left ends
_CANCEL_PX = 180
_ANY_QUESTION = "?"  # the preview of a model that answers any question does not depend on it


class RequestDialog(ScrollingDialog):
    """Asks what to do with an area; not modal, and Enter starts.

    It may open before the backend has answered, and waits for ``offer`` or ``fail_backend``. What keeps it from
    starting stands beside the buttons. ``submitted`` brings the request, whose scene is still the file's path or
    empty; ``changed`` when a preview may have become another.
    """

    submitted = pyqtSignal(object)
    changed = pyqtSignal()
    options_wanted = pyqtSignal()
    backend_wanted = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("FusarRequestDialog")
        self.setWindowTitle(self.tr("Interpret SAR"))
        self.setWindowFlag(Qt.WindowType.WindowContextHelpButtonHint, False)
        self.scene: Scene | None = None
        self._area: dict[str, Any] = {}
        self._area_crs = ""
        self._told = 0  # chips
        self._place: Area | None = None
        self._no_backend = self._refusal = ""
        self._is_without_model = False
        self._make_fields()
        self._lay_out()
        self._task.currentIndexChanged.connect(self._refresh)
        self._model.currentIndexChanged.connect(self._model_chosen)
        self._prior.changed.connect(self._refresh)
        self._targets.checkedItemsChanged.connect(self._refresh)
        self._boxes.changed.connect(self._refresh)
        self._band.bandChanged.connect(self._refresh)
        self._quantity.changed.connect(self._refresh)
        for line in (self._question, self._any_targets):
            line.textChanged.connect(self._refresh)
        QgsProject.instance().layersRemoved.connect(self._refresh_obstacle)
        choose(self._task, remembered("task"))
        self._refresh()

    def ask(self, scene: Scene, area: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> None:
        """Show the dialog for ``area``, a polygon in ``crs``, of ``scene``."""
        self.scene = scene
        self._place, self._refusal = Area(area, crs), ""
        self._area, self._area_crs = geojson(area), crs_text(crs)
        self._scene_name.setPlainText(f"{scene.name}, {self._size_text(self._place)}")
        self._band.setLayer(scene.layer)
        self._band.setBand(scene.band)
        self._rows.show(self._band, scene.bands > 1)
        self._quantity.reset()
        self._boxes.ask_about(area, crs)
        self._prior.suit(self._model.currentData(), scene.acquired, anew=True)
        self._estimate.clear()
        self.preview.wait(self.tr("Wait…"))
        self._refresh()
        self.show()
        self.raise_()
        self.activateWindow()
        self._task.setFocus()

    def offer(self, info: Info, *, local: bool = True) -> None:
        """Fill in what the backend offers, keeping the analyst's choices where they can be kept."""
        self._no_backend, self._is_without_model = "", not info.models
        chosen = self._model.currentData()
        wanted = chosen.name if chosen else remembered("model")
        names = [model.name for model in info.models]
        self._model.blockSignals(True)
        self._model.clear()
        for model in info.models:
            self._model.addItem(model.title, model)  # the caution says that it is a demonstration
        self._model.setCurrentIndex(names.index(wanted) if wanted in names else 0)
        self._model.blockSignals(False)
        show_whole(self._model)
        self._prior.offer(info, local=local)
        if self._model.currentData() != chosen:
            self._model_chosen()
        self._refresh()

    def fail_backend(self, problem: str) -> None:
        """Say why no backend answers; what is chosen stays for the next try."""
        self._no_backend = problem
        self.preview.wait(self.tr("No picture without a backend."))
        self._refresh_obstacle()

    def await_backend(self) -> None:
        """Another try is under way."""
        self._no_backend = ""
        self._refresh_obstacle()

    def obstacle(self) -> Obstacle | None:
        """Return what keeps the run from starting, or None."""
        if self._no_backend:
            return Obstacle(self._no_backend, by_options=True, by_retry=True)
        if self._is_without_model:
            text = self.tr("The backend has no model. Choose or install one in the FUSAR-GPT options.")
            return Obstacle(text, by_options=True, by_retry=True)
        if self._model.currentData() is None:
            return Obstacle(self.tr("Connecting to the backend…"), waits=True)
        where = misplaced(self.scene, self._place) if self.scene is not None and self._place else ""
        text = where or self._incomplete() or self._prior.problem or self._refusal
        return Obstacle(text) if text else None

    def _incomplete(self) -> str:
        """Say what is to be chosen or typed yet."""
        task, model = self._task.currentData(), self._model.currentData()
        text = ""
        if task in SEARCHES and not self._chosen_targets(model):
            text = self.tr("Choose at least one target, which is what to look for.")
        elif task == "classify":
            text = self._boxes.problem
        elif task == "ask" and not self._question.text().strip():
            text = self.tr("Type a question about the area.")
        elif not self._quantity.is_complete:
            text = self.tr("What the numbers are multiplied by must be a number above 0, such as 0.01.")
        return str(text)

    def request(self) -> LayerRequest | None:
        """Return what is chosen, or None while that is not complete."""
        request = self.preview_request()
        if request is None or (request.task in SEARCHES and not request.targets):
            return None
        if request.task == "ask":
            question = self._question.text().strip()
            return replace(request, question=question) if question else None
        return request

    def preview_request(self) -> LayerRequest | None:
        """Return what is chosen as far as it decides what the model sees, or None while nothing can be shown."""
        model: Model | None = self._model.currentData()
        task, prior = self._task.currentData(), self._prior.prior
        boxes = self._boxes.boxes() if task == "classify" else None
        if self.scene is None or model is None or prior is None or (task == "classify" and boxes is None):
            return None
        question = self._question_to_preview(model) if task == "ask" else None
        if not self._quantity.is_complete or question == "":
            return None
        return LayerRequest(
            scene=self.scene.path or "",
            area=read_outline(self._area) if self._area else None,
            area_crs=self._area_crs,
            task=Task(task),
            targets=self._chosen_targets(model) if task in SEARCHES else (),
            model=model.name,
            prior=prior,
            prior_network=self._prior.network,
            network_settled=self._prior.is_settled,
            year=self._prior.chosen_year,
            band=self._band.currentBand() if self.scene.bands > 1 else None,
            quantity=self._quantity.quantity,
            scale=self._quantity.scale,
            question=question,
            boxes=read_boxes(boxes) if boxes else None,
            allow_no_prior=self._prior.allow_none,
            layer_id=self.scene.layer_id,
            chips_told=self._told,
        )

    def _question_to_preview(self, model: Model) -> str:
        """Return the question to preview: the typed one where the model takes it for a task, or refuses it."""
        return _ANY_QUESTION if model.free_questions else self._question.text().strip()

    def accept(self) -> None:
        """Hand the request over, remember the choices and close."""
        request = self.request()
        if request is None or self.obstacle() is not None:
            return
        remember("task", request.task.value)
        remember("model", request.model or "")
        if request.targets:
            remember("targets", request.targets)
        self._prior.remember()
        super().accept()
        self.submitted.emit(request)

    def stop_preview(self) -> None:
        """Nothing can be shown until the question is complete."""
        self._estimate.clear()
        self.preview.wait(self.tr("Complete the question."))

    def await_preview(self) -> None:
        """A preview was asked for."""
        self._tell_chips(0)
        self._estimate.setText(self.tr("Planning…"))
        self.preview.wait()
        self._refuse("")

    def place(self, canvas: QWidget, messages: QWidget) -> None:
        """Stand at the right of the map, below its messages with a run's Cancel, and above the status bar.

        On a small screen it takes the whole height, and leaves Cancel, at the right end of the messages, free.
        """
        below = messages.height() if messages.isVisible() else 4 * self.fontMetrics().lineSpacing()
        room = QRect(canvas.mapToGlobal(QPoint(0, below)), canvas.size()).adjusted(0, 0, 0, -below)
        if room.height() < _LEAST_ROOM_PX:
            room = self.parentWidget().window().screen().availableGeometry().adjusted(0, 0, -_CANCEL_PX, 0)
        self.stand_in(room)

    def show_preview(self, preview: Preview) -> None:
        """Show what the model will see, and how long it will look."""
        self.preview.show_preview(preview)
        self._quantity.show_judged(preview.chip.stretch.quantity)
        time = self.tr("How long that takes is known after the first run.")
        if preview.seconds is not None:
            time = self._time_text(preview.seconds)
        chips = self.tr("Chips to look at: {n}.").format(n=preview.chips)
        self._tell_chips(preview.chips)
        self._estimate.setText(
            f"<b>{chips} {time}</b>" if preview.chips > large_run() > 0 else f"{chips} {time}"
        )
        # Of a file that cannot be used the preview says why; a run would end there.
        unusable = self._prior.is_file and preview.prior.source == NO_PRIOR
        self._refuse(in_words(first_reason(preview.prior.said), "prior-error") if unusable else "")

    def _tell_chips(self, chips: int) -> None:
        """Put a number of chips that is so large that it must be meant on the button that starts the run."""
        self._told = chips
        large = chips > large_run() > 0
        number = QLocale().toString(chips)
        self._start.setText(
            self.tr("Start {chips} chips").format(chips=number) if large else self.tr("Start")
        )

    def show_prior(self, status: PriorStatus, endpoint: Endpoint) -> None:
        """Show where the prior would come from, for the backend at ``endpoint``."""
        self._prior.show_status(status, endpoint)

    def fail_preview(self, problem: str, is_refused: bool) -> None:
        """Say why there is no preview, and that it ``is_refused`` as a run too: a question that was not taught."""
        self.preview.fail("" if is_refused else problem)
        self._estimate.clear()
        self._refuse(problem if is_refused else "")

    def _refuse(self, problem: str) -> None:
        self._refusal = sentence(problem)
        self._refresh_obstacle()

    def _refresh_obstacle(self) -> None:
        obstacle = self.obstacle()
        self._why_not.put(obstacle)
        self._start.setEnabled(obstacle is None and self.request() is not None)

    def _make_fields(self) -> None:
        self._scene_name = TextBlock(self)
        self._scene_name.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._band = QgsRasterBandComboBox(self)
        self._quantity = QuantityChoice(self)
        self._task = QComboBox(self)
        self._offer_tasks(_TASKS)
        self._targets = QgsCheckableComboBox(self)
        self._targets.setDefaultText(self.tr("Choose at least one"))
        self._any_targets = QLineEdit(self)
        self._any_targets.setPlaceholderText(self.tr("ship, aircraft"))
        self._boxes = BoxesChoice(self)
        self._question = QLineEdit(self)
        self._question.setPlaceholderText(self.tr("What is built here?"))
        self._question.setMaxLength(2000)
        self._model = QComboBox(self)
        self._caution, self._estimate, self._answerable = QLabel(self), QLabel(self), QLabel(self)
        for label in (self._caution, self._estimate, self._answerable):
            label.setWordWrap(True)
        self._why_not = ObstacleNote(self)
        self._why_not.options_wanted.connect(self.options_wanted)
        self._why_not.retry_wanted.connect(self.backend_wanted)
        self.preview = PreviewPanel(self)
        self._buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel, self)
        self._start = self._buttons.addButton(self.tr("Start"), QDialogButtonBox.ButtonRole.AcceptRole)
        self._start.setDefault(True)
        # Qt's own word is English wherever its translations are not installed.
        self._buttons.button(QDialogButtonBox.StandardButton.Cancel).setText(self.tr("Cancel"))
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._rows = Rows(form, self)
        self._rows.add(self.tr("Scene"), self._scene_name)
        self._rows.add(self.tr("&Band"), self._band)
        self._rows.add(self.tr("&Numbers"), self._quantity)
        self._rows.add(self.tr("&Task"), self._task)
        self._rows.add(self.tr("T&argets"), self._targets)
        self._rows.add(self.tr("T&argets"), self._any_targets)
        self._rows.add(self.tr("Po&lygons"), self._boxes)
        self._rows.add(self.tr("&Question"), self._question)
        self._rows.add(self.tr("&Model"), self._model)
        self._prior = PriorChoice(self._rows, self)
        layout = QVBoxLayout(self.content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(form)
        layout.addSpacing(6)
        for widget in (self._answerable, self.preview, self._estimate, self._caution):
            layout.addWidget(widget)
        layout.addStretch()
        self.foot.addWidget(self._why_not)
        self.foot.addWidget(self._buttons)

    def _size_text(self, area: Area) -> str:
        size = ground_m2(area)
        if size >= 1e4:
            return str(self.tr("{size:,.2f} km²").format(size=size / 1e6))
        return str(self.tr("{size:,.0f} m²").format(size=size))

    def _time_text(self, seconds: float) -> str:
        if seconds < 100:
            return str(self.tr("About {n} s.").format(n=max(round(seconds), 1)))
        if seconds < 100 * 60:
            return str(self.tr("About {n} min.").format(n=round(seconds / 60)))
        return str(self.tr("About {n} h.").format(n=round(seconds / 3600)))

    def _chosen_targets(self, model: Model) -> tuple[str, ...]:
        if model.targets:
            return tuple(self._targets.checkedItems())
        return tuple(name for name in map(str.strip, self._any_targets.text().split(",")) if name)

    def _model_chosen(self) -> None:
        model: Model | None = self._model.currentData()
        if model is None:
            return
        self._offer_tasks(tasks_of(model, _TASKS))
        checked = set(self._targets.checkedItems() or remembered_list("targets"))
        self._targets.clear()
        self._targets.addItems(list(model.targets))
        self._targets.setCheckedItems(
            [name for name in model.targets if name in checked] or list(model.targets[:1])
        )
        if not self._any_targets.text():
            self._any_targets.setText(", ".join(sorted(checked)))
        self._prior.suit(model, self.scene.acquired if self.scene else None, anew=False)
        self._refresh()

    def _offer_tasks(self, tasks: Sequence[str]) -> None:
        """Offer these tasks; the chosen one stays where it is among them."""
        chosen = self._task.currentData()
        self._task.blockSignals(True)
        self._task.clear()
        for task in tasks:
            self._task.addItem(f"{task_name(task)}: {task_explanation(task)}", task)
        choose(self._task, chosen)
        self._task.blockSignals(False)
        show_whole(self._task)

    def _refresh(self) -> None:
        model: Model | None = self._model.currentData()
        task = self._task.currentData()
        any_targets = model is not None and not model.targets
        self._rows.show(self._targets, task in SEARCHES and not any_targets)
        self._rows.show(self._any_targets, task in SEARCHES and any_targets)
        self._rows.show(self._boxes, task == "classify")
        self._rows.show(self._question, task == "ask")
        self._targets.setEnabled(model is not None)
        self._model.setEnabled(model is not None)
        limited = model is not None and task == "ask" and not model.free_questions
        self._answerable.setText(questions_taken(model) if model is not None and limited else "")
        self._answerable.setVisible(limited)
        self._caution.setText(
            self.tr("<b>Demonstration model.</b> It shows how the work is done; do not rely on its answers.")
            if model is not None and model.demonstration
            else ""
        )
        self._caution.setVisible(model is not None and model.demonstration)
        self._refusal = ""
        self._refresh_obstacle()
        self.changed.emit()

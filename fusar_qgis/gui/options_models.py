"""Options: which model the backend runs, and how to get another one."""

from __future__ import annotations

from qgis.core import QgsSettings
from qgis.gui import QgsCollapsibleGroupBox, QgsFileWidget
from qgis.PyQt.QtGui import QShowEvent
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QLineEdit, QPushButton, QVBoxLayout, QWidget

from ..connection.backend import Backend
from ..connection.checkpoint_commands import CheckpointCommands
from ..core.checkpoints import Checkpoint, import_words, in_words, memory_in_words
from ..core.setting_names import MODEL
from ..translation import translate
from .work_log import WorkLog


def model_title(title: str, demonstration: bool) -> str:
    """Return a model's title, which says that it is a demonstration if it is one."""
    if not demonstration or "demonstration" in title.lower():
        return title
    return translate("Models", "{model} (demonstration)").format(model=title)


class ModelsSection(QWidget):
    """The models of the backend: which one runs, on what, and how to get the released one."""

    def __init__(self, backend: Backend, checkpoints: CheckpointCommands, parent: QWidget) -> None:
        super().__init__(parent)
        self._backend = backend
        self._checkpoints = checkpoints
        self._make_fields()
        self._lay_out()
        self._log.show_state(checkpoints.log, checkpoints.doing, busy=checkpoints.is_busy)
        self._model.currentIndexChanged.connect(self._describe)
        self._pull.clicked.connect(self._start_pull)
        self._import.clicked.connect(self._start_import)
        self._log.cancelled.connect(checkpoints.cancel)
        checkpoints.listed.connect(self._list)
        checkpoints.unlisted.connect(self._unlisted)
        checkpoints.line_added.connect(self._log.add_line)
        checkpoints.step.connect(self._log.show_step)
        checkpoints.ended.connect(self._finish)
        backend.changed.connect(self._show_running)
        self._show_running()
        self._refresh()

    def apply(self) -> bool:
        """Keep the choice; return whether the backend has to be started anew."""
        settings = QgsSettings()
        before = settings.value(MODEL, "", type=str)
        chosen = self._chosen_name()
        if chosen == before:
            return False
        if chosen:
            settings.setValue(MODEL, chosen)
        else:
            settings.remove(MODEL)
        return True

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Ask for the list when the analyst comes to look at it."""
        super().showEvent(event)
        self._checkpoints.ask()

    def _make_fields(self) -> None:
        self._running = QLabel(self)
        self._running.setWordWrap(True)
        self._model = QComboBox(self)
        name = QgsSettings().value(MODEL, "", type=str)
        if name:
            self._model.addItem(name, Checkpoint(name, name, 0, False, ""))
        else:
            self._model.addItem(self.tr("The bundled demonstration model"), None)
        self._about = QLabel(self)
        self._about.setWordWrap(True)
        self._pull = QPushButton(self.tr("&Download the released 7B model (about 17 GB)"), self)
        self._source = QgsFileWidget(self)
        self._base = QgsFileWidget(self)
        for field, title in (
            (self._source, self.tr("Choose the released folder")),
            (self._base, self.tr("Choose the folder of Qwen2.5-VL")),
        ):
            field.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
            field.setDialogTitle(title)
            field.fileChanged.connect(self._refresh)
        self._name = QLineEdit("fusar-gpt", self)
        self._name.textChanged.connect(self._refresh)
        self._sigma = QLineEdit(self)
        self._sigma.setPlaceholderText(self.tr("From the folder; older folders need it: 2"))
        self._import = QPushButton(self.tr("&Import"), self)
        self._log = WorkLog(self)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("Running now"), self._running)
        form.addRow(self.tr("&Model to run"), self._model)
        form.addRow("", self._about)
        more = QgsCollapsibleGroupBox(self.tr("Get the released model (needs a GPU of 24 GB)"), self)
        inner = QFormLayout(more)
        inner.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        inner.addRow(self._pull)
        inner.addRow(QLabel(self.tr("Or, with the files at hand:"), more))
        inner.addRow(self.tr("Released &folder"), self._source)
        inner.addRow(self.tr("&Base (Qwen2.5-VL)"), self._base)
        inner.addRow(self.tr("&Name it"), self._name)
        inner.addRow(self.tr("Si&gma"), self._sigma)
        inner.addRow("", self._import)
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addWidget(more)
        layout.addWidget(self._log)
        layout.addStretch()

    def _chosen_name(self) -> str:
        chosen: Checkpoint | None = self._model.currentData()
        # The bundled one is what the backend takes by itself.
        return "" if chosen is None or chosen.name == "tiny" else chosen.name

    def _list(self, found: list[Checkpoint]) -> None:
        kept = self._chosen_name() or "tiny"
        self._model.blockSignals(True)
        self._model.clear()
        for checkpoint in found:
            self._model.addItem(model_title(checkpoint.title, checkpoint.demonstration), checkpoint)
        names = [checkpoint.name for checkpoint in found]
        self._model.setCurrentIndex(names.index(kept) if kept in names else 0)
        self._model.blockSignals(False)
        self._describe()

    def _unlisted(self, problem: str) -> None:
        self._about.setText(problem)

    def _describe(self) -> None:
        chosen: Checkpoint | None = self._model.currentData()
        if chosen is None:
            return
        if chosen.problem:
            text = self.tr("It cannot be loaded: {problem}").format(problem=chosen.problem)
        else:
            text = self.tr("{name}, {size}.").format(name=chosen.name, size=in_words(chosen.size))
            if chosen.demonstration:
                text += " " + self.tr("It shows how the work is done; do not rely on its answers.")
        self._about.setText(text)

    def _show_running(self) -> None:
        info = self._backend.info
        if info is None:
            self._running.setText(self.tr("No backend is running; it starts when it is needed."))
            return
        words = {
            "used": self.tr("{size} used"),
            "free": self.tr("{size} free"),
            "gpu_used": self.tr("{size} of the GPU used"),
            "gpu_free": self.tr("{size} of the GPU free"),
        }
        memory = ", ".join(words[name].format(size=size) for name, size in memory_in_words(info.memory))
        models = ", ".join(model_title(model.title, model.demonstration) for model in info.models)
        text = self.tr("{models} on {device}").format(models=models, device=info.device)
        self._running.setText(f"{text}; {memory}" if memory else text)

    def _start_pull(self) -> None:
        self._begin(["pull"])

    def _start_import(self) -> None:
        self._begin(
            import_words(
                self._source.filePath().strip(),
                self._base.filePath().strip(),
                self._name.text().strip(),
                self._sigma.text().strip(),
            )
        )

    def _begin(self, words: list[str]) -> None:
        self._log.begin()
        self._checkpoints.get(words)
        self._refresh()

    def _finish(self, well: bool, text: str) -> None:
        self._log.finish(well, text)
        self._refresh()

    def _refresh(self) -> None:
        idle = not self._checkpoints.is_busy
        self._pull.setEnabled(idle)
        self._import.setEnabled(
            idle and bool(self._source.filePath() and self._base.filePath() and self._name.text().strip())
        )

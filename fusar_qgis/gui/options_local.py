"""Options: the backend on this computer, installed by a press of a button."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsSettings
from qgis.gui import QgsFileWidget
from qgis.PyQt.QtCore import QStandardPaths, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMessageBox,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from ..connection.backend import Backend
from ..connection.command import fusar_executable
from ..connection.environment import Environment, choose_environment_folder, environment_folder
from ..connection.install_planning import plan_in_words
from ..core import installing
from ..core.install_plan import usual_plan
from ..core.installing import Source, SourceError
from ..core.setting_names import EXECUTABLE, TORCH_INDEX
from .work_log import WorkLog

INDEX, FOLDER, WHEEL = "index", "folder", "wheel"


class LocalSection(QWidget):
    """Installs, repairs and removes the backend of this computer."""

    sample_wanted = pyqtSignal()

    def __init__(self, backend: Backend, environment: Environment, parent: QWidget) -> None:
        super().__init__(parent)
        self._backend = backend
        self._environment = environment
        self._question: QMessageBox | None = None
        self._make_fields()
        self._lay_out()
        self._propose_source()
        self._show_source()
        self._log.show_state(environment.log, environment.doing, busy=environment.is_busy)
        if environment.question:
            self._ask(environment.question)
        for signal in (self._place.fileChanged, self._torch_index.textChanged):
            signal.connect(self._show_size)
        self._source.currentIndexChanged.connect(self._show_source)
        self._folder.fileChanged.connect(self._refresh)
        self._install.clicked.connect(self._start_install)
        self._repair.clicked.connect(self._start_repair)
        self._remove.clicked.connect(self._ask_to_remove)
        self._log.cancelled.connect(environment.cancel)
        environment.line_added.connect(self._log.add_line)
        environment.step.connect(self._log.show_step)
        environment.sized.connect(self._size.setText)
        environment.asked.connect(self._ask)
        environment.ended.connect(self._finish)
        self._anyway.clicked.connect(self._proceed)
        self._sample.clicked.connect(self.sample_wanted)
        self._refresh()

    def apply(self) -> bool:
        """Keep what is chosen; return whether the backend is another one now."""
        settings = QgsSettings()
        choose_environment_folder(self._chosen_folder())
        self._keep_torch_index()
        program = self._program.filePath().strip()
        if program == settings.value(EXECUTABLE, "", type=str):
            return False
        if program:
            settings.setValue(EXECUTABLE, program)
        else:
            settings.remove(EXECUTABLE)
        return True

    def _make_fields(self) -> None:
        self._state = QLabel(self)
        self._state.setWordWrap(True)
        self._folder = QgsFileWidget(self)
        self._folder.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
        self._folder.setDialogTitle(self.tr("Choose a folder for the backend"))
        self._folder.setFilePath(str(environment_folder()))
        self._source = QComboBox(self)
        self._source.addItem(self.tr("Package index (needs the network)"), INDEX)
        self._source.addItem(self.tr("Folder of wheels, or of the source code"), FOLDER)
        self._source.addItem(self.tr("Wheel file"), WHEEL)
        self._place = QgsFileWidget(self)
        self._python = QgsFileWidget(self)
        self._python.setDialogTitle(self.tr("Choose a Python 3.10 or newer"))
        self._python.lineEdit().setPlaceholderText(self.tr("Found by itself"))
        self._torch_index = QLineEdit(str(QgsSettings().value(TORCH_INDEX, "", type=str)), self)
        self._torch_index.setPlaceholderText(self.tr("Empty: the same as for the other packages"))
        self._torch_index.setToolTip(
            self.tr(
                "The address of one more package index, in which torch is looked for too. PyTorch's page “Get Started” "
                "names the one with the CPU builds (choose “CPU”) and those for NVIDIA GPUs."
            )
        )
        self._program = QgsFileWidget(self)
        self._program.setDialogTitle(self.tr("Choose the program “fusar”"))
        self._program.lineEdit().setPlaceholderText(self.tr("“fusar” on the PATH"))
        self._program.setFilePath(QgsSettings().value(EXECUTABLE, "", type=str))
        self._install = QPushButton(self.tr("&Install"), self)
        self._repair = QPushButton(self.tr("&Repair"), self)
        self._repair.setToolTip(self.tr("Remove the backend and install it again"))
        self._remove = QPushButton(self.tr("Remo&ve…"), self)
        self._size = QLabel(self)
        self._size.setWordWrap(True)
        policy = self._size.sizePolicy()
        policy.setRetainSizeWhenHidden(True)  # the buttons beside it keep their width
        self._size.setSizePolicy(policy)
        self._log = WorkLog(self)
        self._anyway = QPushButton(self.tr("Install it anyway"), self)
        self._sample = QPushButton(self.tr("Open the sample scene"), self)
        self._anyway.hide()
        self._sample.hide()

    def _propose_source(self) -> None:
        """Choose where the backend came from; the first time what lies beside the plugin or in the downloads."""
        marked = installing.read_marker(self._chosen_folder())
        if marked is None:
            plugin = Path(__file__).parents[1]
            downloads = QStandardPaths.standardLocations(QStandardPaths.StandardLocation.DownloadLocation)
            source = installing.nearby_source([plugin.parent, plugin.resolve().parent, *map(Path, downloads)])
        else:
            try:
                source = installing.source_of(marked.get("source", ""))
            except SourceError:  # it is gone
                source = installing.Source("index")
        if source.kind != "index":
            self._source.setCurrentIndex(self._source.findData(WHEEL if source.kind == "wheel" else FOLDER))
            self._place.setFilePath(source.place)

    def _lay_out(self) -> None:
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow(self.tr("State"), self._state)
        form.addRow(self.tr("Install &from"), self._source)
        form.addRow("", self._place)
        form.addRow(self.tr("Into fol&der"), self._folder)
        form.addRow(self.tr("&Python"), self._python)
        form.addRow(self.tr("Inde&x for torch"), self._torch_index)
        form.addRow(self.tr("Pro&gram"), self._program)
        self._program.setToolTip(self.tr("The “fusar” that is started. Installing sets it."))
        buttons = QHBoxLayout()
        for button in (self._install, self._repair, self._remove):
            buttons.addWidget(button)
        buttons.addWidget(self._size, 1)
        answers = QHBoxLayout()
        answers.addWidget(self._anyway)
        answers.addWidget(self._sample)
        answers.addStretch()
        layout = QVBoxLayout(self)
        layout.addLayout(form)
        layout.addLayout(buttons)
        layout.addWidget(self._log)
        layout.addLayout(answers)
        layout.addStretch()
        self._form = form

    def _chosen_folder(self) -> Path:
        return Path(self._folder.filePath().strip() or environment_folder()).expanduser()

    def _show_source(self) -> None:
        kind = self._source.currentData()
        self._place.setVisible(kind != INDEX)
        if kind == FOLDER:
            self._place.setStorageMode(QgsFileWidget.StorageMode.GetDirectory)
            self._place.setDialogTitle(self.tr("Choose a folder of wheels, or of the source code"))
        else:
            self._place.setStorageMode(QgsFileWidget.StorageMode.GetFile)
            self._place.setFilter(self.tr("Wheel") + " (fusar_gpt*.whl)")
            self._place.setDialogTitle(self.tr("Choose the backend's wheel"))
        self._show_size()

    def _show_size(self) -> None:
        """Say beside the button what an installation takes and for which device it is, as far as that is known now."""
        try:
            source = installing.source_of(self._chosen_place())
        except SourceError:
            self._size.clear()
            return
        cuda = installing.expects_cuda(self._torch_index.text().strip())
        text = plan_in_words(usual_plan(source, gpu=cuda))
        if source.kind == "wheels":
            device = ""
        elif cuda:
            device = self.tr("For the NVIDIA GPU.")
        elif installing.has_nvidia_gpu():
            device = self.tr("For the CPU; for the NVIDIA GPU fill in “Index for torch”.")
        else:
            device = self.tr("For the CPU: there is no NVIDIA GPU.")
        self._size.setText(f"{device} {text}".strip())

    def _chosen_place(self) -> str:
        """Return the place to install from; empty for the package index. Raises SourceError: none is chosen yet."""
        if self._source.currentData() == INDEX:
            return ""
        place = self._place.filePath().strip()
        if not place:
            raise SourceError("")
        return str(place)

    def _refresh(self) -> None:
        state = installing.state_of(self._chosen_folder())
        texts = {
            installing.NONE: self.tr("Not installed."),
            installing.READY: self.tr("Installed."),
            installing.HALF: self.tr("Damaged or only half installed. Press Repair."),
            installing.FOREIGN: self.tr("The folder holds other things. Choose an empty or a new one."),
        }
        text = texts[state]
        if state == installing.NONE and fusar_executable():
            text = self.tr("Not installed here; “{program}” is used.").format(program=fusar_executable())
        self._state.setText(text)
        busy = self._environment.is_busy
        ours = state in (installing.READY, installing.HALF)
        self._install.setText(self.tr("&Update") if state == installing.READY else self.tr("&Install"))
        self._install.setEnabled(not busy and state in (installing.NONE, installing.READY))
        self._repair.setEnabled(not busy and ours)
        self._remove.setEnabled(not busy and ours)
        self._size.setVisible(state in (installing.NONE, installing.HALF))
        fields = (self._folder, self._source, self._place, self._python, self._torch_index, self._program)
        for field in fields:
            field.setEnabled(not busy)

    def _start_install(self) -> None:
        self._go(fresh=False)

    def _start_repair(self) -> None:
        marked = installing.read_marker(self._chosen_folder()) or {}
        place = marked.get("source", "")
        if self._source.currentData() == INDEX and place:  # from where it came the first time
            self._source.setCurrentIndex(self._source.findData(WHEEL if place.endswith(".whl") else FOLDER))
            self._place.setFilePath(place)
        self._go(fresh=True)

    def _go(self, *, fresh: bool) -> None:
        source = self._source_to_install()
        if source is None:
            return
        self._keep_torch_index()
        self._free()
        self._log.begin()
        self._environment.install(self._chosen_folder(), source, self._python.filePath().strip(), fresh=fresh)
        self._refresh()

    def _source_to_install(self) -> Source | None:
        """Return what is to be installed from, or say what is wrong with what was chosen."""
        try:
            return installing.source_of(self._chosen_place())
        except SourceError as error:
            if str(error):
                text = self.tr(
                    "There is no backend to install at “{place}”. Choose a folder with fusar_gpt-….whl and the "
                    "packages it needs, a folder of the source code, or a wheel."
                ).format(place=error)
            else:
                text = self.tr("Choose a wheel or a folder to install from first.")
            self._log.finish(True, text)
            return None

    def _keep_torch_index(self) -> None:
        address = self._torch_index.text().strip()
        if address:
            QgsSettings().setValue(TORCH_INDEX, address)
        else:
            QgsSettings().remove(TORCH_INDEX)

    def _ask(self, question: str) -> None:
        self._log.show_step(question)
        self._anyway.show()

    def _proceed(self) -> None:
        self._anyway.hide()
        self._environment.proceed()

    def _ask_to_remove(self) -> None:
        folder = self._chosen_folder()
        question = QMessageBox(
            QMessageBox.Icon.Question,
            self.tr("Remove the backend"),
            self.tr("Delete the backend's environment in {folder}? Models and results stay.").format(
                folder=folder
            ),
            QMessageBox.StandardButton.Cancel,
            self,
        )
        remove = question.addButton(self.tr("&Remove"), QMessageBox.ButtonRole.AcceptRole)
        question.button(QMessageBox.StandardButton.Cancel).setText(self.tr("Cancel"))
        remove.clicked.connect(self._start_remove)
        self._question = question
        question.open()

    def _start_remove(self) -> None:
        self._free()
        self._log.begin()
        self._environment.remove(self._chosen_folder())
        self._refresh()

    def _free(self) -> None:
        """End the backend of this environment: some systems do not let go of files in use."""
        self._sample.hide()
        if fusar_executable() == str(installing.executable_in(self._chosen_folder())):
            self._backend.reset()

    def _finish(self, well: bool, text: str) -> None:
        self._log.finish(well, text)
        self._anyway.hide()
        self._sample.setVisible(well and self._environment.is_ready)
        self._program.setFilePath(QgsSettings().value(EXECUTABLE, "", type=str))
        self._refresh()

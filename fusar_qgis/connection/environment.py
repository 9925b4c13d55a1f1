"""The backend's Python environment on this computer: installed, repaired and removed in the background."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..background import BackgroundTask
from ..core import installing
from ..core.install_plan import InstallPlan, usual_plan
from ..core.installing import Source
from ..core.setting_names import EXECUTABLE, TORCH_INDEX
from ..translation import translate_count
from .child import data_folder
from .command import Command
from .install_planning import InstallPlanning, plan_in_words
from .pythons import PythonSearch

_FOLDER_KEY = "fusar/environment"


def environment_folder() -> Path:
    """Return the folder of the backend's environment: the one of the settings, or the usual one."""
    chosen = QgsSettings().value(_FOLDER_KEY, "", type=str)
    return Path(chosen) if chosen else data_folder() / "environment"


def choose_environment_folder(folder: Path) -> None:
    """Remember ``folder`` for :func:`environment_folder`."""
    settings = QgsSettings()
    if folder == data_folder() / "environment":
        settings.remove(_FOLDER_KEY)
    else:
        settings.setValue(_FOLDER_KEY, str(folder))


def torch_index() -> str:
    """Return the address of one more index in which pip looks for torch; empty for none."""
    return os.environ.get("FUSAR_TORCH_INDEX", "") or str(QgsSettings().value(TORCH_INDEX, "", type=str))


class Environment(QObject):
    """Does one thing at a time to one folder. Every ``install`` and ``remove`` ends with one ``ended``.

    After ``asked`` it waits for ``proceed`` or ``cancel``; ``question`` is then what is to be decided.
    """

    line_added = pyqtSignal(str)  # a line for the log
    step = pyqtSignal(str)  # what is being done, for the analyst
    sized = pyqtSignal(str)  # what pip has said that it takes
    asked = pyqtSignal(str)  # what is to be decided before anything large is downloaded
    ended = pyqtSignal(bool, str)  # whether it went well, and what that means

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.is_busy = False
        self.log: list[str] = []
        self.doing = ""
        self._folder = environment_folder()
        self._source = Source("index")
        self._before = installing.NONE
        self._cancelled = False
        self.question = ""
        self._changing = False  # whether pip has begun to change what is in the folder
        self._note = ""  # about the build of torch, for the end
        self._settled: list[str] = []  # the words for pip that wait for a decision
        self._then: Callable[[], None] = self._installed
        self._removal: BackgroundTask | None = None
        self._after_removal: Callable[[], None] | None = None
        self._search = PythonSearch(self)
        self._search.line_added.connect(self._report_line)
        self._search.found.connect(self._make)
        self._search.failed.connect(self._failed)
        self._planning = InstallPlanning(self)
        self._planning.line_added.connect(self._on_line)
        self._planning.step.connect(self._report_step)
        self._planning.planned.connect(self._on_planned)
        self._planning.undecided.connect(self._on_undecided)
        self._planning.failed.connect(self._on_not_planned)
        self._command = Command(self)
        self._command.line_added.connect(self._on_line)
        self._command.ended.connect(self._on_step_ended)

    @property
    def is_ready(self) -> bool:
        """Whether what it did last has left a backend that works."""
        return not self.is_busy and installing.state_of(self._folder) == installing.READY

    def install(self, folder: Path, source: Source, python: str = "", *, fresh: bool = False) -> None:
        """Install from ``source`` into ``folder``, or update what is there; ``fresh``: remove that first."""
        if not self._begin(folder, self.tr("Looking for Python…")):
            return
        self._source = source
        shortage = self._shortage(usual_plan(source, gpu=installing.expects_cuda(torch_index())))
        if shortage and self._before == installing.NONE:
            self._end(False, shortage)
        elif self._before == installing.READY and not fresh:
            self._ask_pip()
        elif self._before == installing.NONE:
            self._search.start(python)
        else:
            self._clear(lambda: self._start_anew(python))

    def remove(self, folder: Path) -> None:
        """Delete the environment in ``folder``, and nothing in it that is not of it."""
        if self._begin(folder, self.tr("Removing…")):
            self._clear(self._removed)

    def proceed(self) -> None:
        """Install what was asked about."""
        if self.question:
            self.question = ""
            self._install(self._settled)

    def cancel(self) -> None:
        """Stop at once; an environment that was just being made goes again."""
        if not self.is_busy or self._cancelled:
            return
        self._cancelled = True
        self._report_step(self.tr("Stopping…"))
        self.question = ""
        self._search.stop()
        self._planning.stop()
        if self._command.is_running:
            self._command.stop()
        elif self._removal is None:
            self._failed("")

    def close(self) -> None:
        """Stop at once and without an end; what is half made is repaired next time."""
        self.blockSignals(True)
        self._search.stop()
        self._planning.close()
        self._command.close()
        self._after_removal = None

    def _start_anew(self, python: str) -> None:
        self._before = installing.NONE
        if self._cancelled:
            self._failed("")
        else:
            self._search.start(python)

    def _begin(self, folder: Path, doing: str) -> bool:
        if self.is_busy:
            return False
        self.is_busy, self._cancelled, self._changing = True, False, False
        self.log = []
        self._folder = folder
        self._before = installing.state_of(folder)
        if self._before == installing.FOREIGN:
            self._end(
                False,
                self.tr(
                    "{folder} holds other things, and nothing was done to them. Choose an empty or a new folder."
                ).format(folder=folder),
            )
            return False
        self._report_step(doing)
        return True

    def _shortage(self, plan: InstallPlan) -> str:
        """Return why the disk is too small for the environment, or nothing."""
        try:
            free = installing.free_bytes(self._folder)
        except OSError:  # what is wrong with the place is said when it is written to
            return ""
        if free >= plan.disk:
            return ""
        return str(
            self.tr(
                "The backend needs about {needed} GB, and {folder} has {free} GB free. Free some space or choose a "
                "folder on another disk. Nothing was installed."
            ).format(needed=f"{plan.disk / 1e9:.1f}", folder=self._folder, free=f"{free / 1e9:.1f}")
        )

    def _make(self, python: str, version: str) -> None:
        self._report_step(self.tr("Making an environment with Python {version}…").format(version=version))
        try:
            installing.mark(self._folder, installing.HALF, self._source)
        except OSError as error:
            self._failed(str(error))
        else:
            self._run(python, ["-m", "venv", str(self._folder)], self._ask_pip)

    def _ask_pip(self) -> None:
        python = str(installing.python_in(self._folder))
        self._planning.start(python, self._folder, self._source, torch_index())

    def _on_planned(self, plan: InstallPlan, words: list[str]) -> None:
        self._report_line(plan_in_words(plan))
        self.sized.emit(plan_in_words(plan))
        self._note = ""
        if plan.torch and installing.has_nvidia_gpu() and not plan.cuda:
            self._note = self.tr(
                "It does not use the NVIDIA GPU: only the CPU build of torch can be had. For the other one enter "
                "the address of its index under “Index for torch”, then press Repair."
            )
        shortage = self._shortage(plan)
        if shortage:
            self._failed("", shortage)
        else:
            self._install(words)

    def _on_undecided(self, plan: InstallPlan, words: list[str]) -> None:
        usual = usual_plan(Source("index"), gpu=False)
        self._settled = words
        text = self.tr(
            "This computer has no NVIDIA GPU, and only the build of torch for one can be had. It works all the same: "
            "{size} The CPU build takes about {download} GB to download and {disk} GB on the disk. {advice}"
        )
        advice = self.tr("For that one cancel, and enter the address of its index under “Index for torch”.")
        if self._source.kind == "wheels":
            advice = self.tr("For that one cancel, and put its wheel into the folder.")
        self.question = text.format(
            size=plan_in_words(plan),
            download=f"{usual.download / 1e9:.1f}",
            disk=f"{usual.disk / 1e9:.1f}",
            advice=advice,
        )
        self._note = ""
        self._report_step(self.tr("Waiting for your decision…"))
        self._report_line(self.question)
        self.asked.emit(self.question)

    def _on_not_planned(self, problem: str) -> None:
        self._failed("", problem)

    def _install(self, words: list[str]) -> None:
        self._report_step(self.tr("Looking for packages…"))
        try:
            installing.mark(self._folder, installing.HALF, self._source)
        except OSError as error:
            self._failed(str(error))
            return
        self._changing = True
        pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        self._run(str(installing.python_in(self._folder)), [*pip, *words], self._try)

    def _try(self) -> None:
        self._report_step(self.tr("Trying the backend…"))
        python = str(installing.python_in(self._folder))
        self._run(python, ["-m", "fusar_gpt", "doctor"], self._installed)

    def _on_step_ended(self, well: bool) -> None:
        if self._cancelled or not well:
            self._failed(installing.read_failure(self._command.lines))
        else:
            self._then()

    def _run(self, python: str, words: list[str], then: Callable[[], None]) -> None:
        self._then = then
        self._report_line(f"> {python} {' '.join(words)}")
        self._command.run(python, words, python=True)

    def _on_line(self, line: str) -> None:
        self._report_line(line)
        step = installing.read_pip_line(line)
        if step is not None and not self._cancelled:
            words = {
                "look": self.tr("Looking at {what}…"),
                "download": self.tr("Downloading {what}…"),
                "build": self.tr("Building {what}…"),
            }
            kind, what = step
            if kind == "install":
                self._report_step(translate_count("Environment", "Installing %n package(s)…", int(what)))
            else:
                self._report_step(words[kind].format(what=what))

    def _installed(self) -> None:
        try:
            installing.mark(self._folder, installing.READY, self._source)
            (self._folder / installing.LOG).write_text("\n".join(self.log), "utf-8")
        except OSError as error:
            self._failed(str(error))
            return
        QgsSettings().setValue(EXECUTABLE, str(installing.executable_in(self._folder)))
        text = self.tr("The backend is installed and works.")
        self._end(True, f"{text} {self._note}".strip())

    def _failed(self, reason: str, whole: str = "") -> None:
        problem = (
            self.tr("Cancelled.")
            if self._cancelled
            else whole
            or self.tr("The backend could not be installed: {reason}. {advice}").format(
                reason=reason.rstrip(".") or self.tr("no reason given"), advice=self._advice()
            )
        )
        if self._before != installing.READY:
            text = problem + " " + self.tr("Nothing was kept.")
            self._clear(lambda: self._end(False, text))
        elif not self._changing:
            self._end(False, problem + " " + self.tr("What was there stays."))
        elif self._cancelled or self._then == self._installed:  # half done, or it is there and does not work
            self._end(False, problem + " " + self.tr("What was there is damaged: press Repair."))
        else:
            installing.mark(self._folder, installing.READY, self._source)
            self._end(False, problem + " " + self.tr("What was there stays."))

    def _advice(self) -> str:
        if self._source.kind == "wheels":
            return str(
                self.tr("Check that the folder holds all packages for this computer; the log says more.")
            )
        return str(self.tr("Check the network, the disk's free space and the log, then try again."))

    def _clear(self, then: Callable[[], None]) -> None:
        self._report_step(self.tr("Removing…"))
        title = self.tr("Removing {folder}").format(folder=self._folder)
        self._removal = BackgroundTask(title, partial(_delete, self._folder), (OSError,))
        self._after_removal = then
        self._removal.over.connect(self._on_cleared)
        self._removal.start()

    def _on_cleared(self) -> None:
        removal, then = self._removal, self._after_removal
        self._removal = self._after_removal = None
        if removal is None or then is None:
            return
        if removal.problem:
            self._end(
                False,
                self.tr(
                    "{folder} could not be removed: {problem}. Close programs that use it, then try again."
                ).format(folder=self._folder, problem=removal.problem),
            )
        else:
            then()

    def _removed(self) -> None:
        settings = QgsSettings()
        if settings.value(EXECUTABLE, "", type=str) == str(installing.executable_in(self._folder)):
            settings.remove(EXECUTABLE)
        left = self._folder.is_dir()
        self._end(
            True,
            self.tr("The backend was removed. {folder} stays, because it holds other things.").format(
                folder=self._folder
            )
            if left
            else self.tr("The backend was removed."),
        )

    def _report_step(self, doing: str) -> None:
        self.doing = doing
        self.step.emit(doing)

    def _report_line(self, line: str) -> None:
        line = installing.without_password(line)
        self.log.append(line)
        self.line_added.emit(line)

    def _end(self, well: bool, text: str) -> None:
        self.is_busy = False
        self.doing = ""
        self._report_line(text)
        self.ended.emit(well, text)


def _delete(folder: Path) -> None:
    """Delete what is the environment's, tens of thousands of files; the folder itself only if nothing else is in it."""
    for part in installing.parts_of(folder):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part)
        else:
            part.unlink()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()

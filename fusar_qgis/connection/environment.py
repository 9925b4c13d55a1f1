"""The backend's Python environment on this computer: installed, repaired and removed in the background."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, pyqtSignal

from ..background import BackgroundTask
from ..core import installing
from ..core.installing import Source
from ..core.setting_names import EXECUTABLE
from .child import data_folder
from .command import Command
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


class Environment(QObject):
    """Does one thing at a time to one folder. Every ``install`` and ``remove`` ends with one ``ended``."""

    line_added = pyqtSignal(str)  # a line for the log
    step = pyqtSignal(str)  # what is being done, for the analyst
    ended = pyqtSignal(bool, str)  # whether it went well, and what that means

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.is_busy = False
        self.log: list[str] = []
        self.doing = ""
        self._folder = Path()
        self._source = Source("index")
        self._before = installing.NONE
        self._cancelled = False
        self._checking = False  # whether the index is being asked
        self._steps: list[tuple[str, list[str]]] = []
        self._removal: BackgroundTask | None = None
        self._after_removal: Callable[[], None] | None = None
        self._search = PythonSearch(self)
        self._search.line_added.connect(self._report_line)
        self._search.found.connect(self._make)
        self._search.failed.connect(self._failed)
        self._command = Command(self)
        self._command.line_added.connect(self._on_line)
        self._command.ended.connect(self._on_step_ended)

    def install(self, folder: Path, source: Source, python: str = "", *, fresh: bool = False) -> None:
        """Install from ``source`` into ``folder``, or update what is there; ``fresh``: remove that first."""
        if not self._begin(folder, self.tr("Looking for Python…")):
            return
        self._source = source
        shortage = self._shortage()
        if shortage:
            self._end(False, shortage)
        elif self._before == installing.READY and not fresh:
            self._report_step(self.tr("Looking for packages…"))
            self._run_steps(str(installing.python_in(folder)), ["-m", "pip", "--version"])
        elif self._before == installing.NONE:
            self._search.start(python)
        else:
            self._clear(lambda: self._start_anew(python))

    def remove(self, folder: Path) -> None:
        """Delete the environment in ``folder``, and nothing in it that is not of it."""
        if self._begin(folder, self.tr("Removing…")):
            self._clear(self._removed)

    def cancel(self) -> None:
        """Stop at once; an environment that was just being made goes again."""
        if not self.is_busy or self._cancelled:
            return
        self._cancelled = True
        self._report_step(self.tr("Stopping…"))
        self._search.stop()
        if self._command.is_running:
            self._command.stop()
        elif self._removal is None:
            self._failed("")

    def close(self) -> None:
        """Stop at once and without an end; what is half made is repaired next time."""
        self.blockSignals(True)
        self._search.stop()
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
        self.is_busy, self._cancelled = True, False
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

    def _shortage(self) -> str:
        """Return why the disk is too small for the environment, or nothing."""
        needed = installing.needed_bytes(self._source, gpu=installing.has_nvidia_gpu())
        try:
            free = installing.free_bytes(self._folder)
        except OSError:  # what is wrong with the place is said when it is written to
            return ""
        if free >= needed or self._before != installing.NONE:
            return ""
        return str(
            self.tr(
                "The backend needs about {needed} GB, and {folder} has {free} GB free. Free some space or choose a "
                "folder on another disk. Nothing was installed."
            ).format(needed=f"{needed / 1e9:.1f}", folder=self._folder, free=f"{free / 1e9:.1f}")
        )

    def _make(self, python: str, version: str) -> None:
        self._report_step(self.tr("Making an environment with Python {version}…").format(version=version))
        self._run_steps(python, ["-m", "venv", str(self._folder)])

    def _run_steps(self, python: str, first: list[str]) -> None:
        try:
            installing.mark(self._folder, installing.HALF, self._source)
        except OSError as error:
            self._failed(str(error))
        else:
            self._steps = self._install_steps()
            self._checking = False
            self._run(python, first)

    def _install_steps(self) -> list[tuple[str, list[str]]]:
        pip = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
        steps = [
            (self.tr("Looking for packages…"), [*pip, *words])
            for words in installing.pip_commands(self._source)
        ]
        check = installing.check_command(self._source)
        if check is not None:
            steps.insert(0, (self.tr("Asking the package index for fusar-gpt…"), ["-m", "pip", *check]))
        return [*steps, (self.tr("Trying the backend…"), ["-m", "fusar_gpt", "doctor"])]

    def _on_step_ended(self, well: bool) -> None:
        if self._cancelled or not well:
            self._failed(installing.read_failure(self._command.lines), self._check_advice())
        elif self._steps:
            doing, words = self._steps.pop(0)
            self._checking = words[2:3] == ["index"]
            self._report_step(doing)
            self._run(str(installing.python_in(self._folder)), words)
        else:
            self._installed()

    def _run(self, python: str, words: list[str]) -> None:
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
                "install": self.tr("Installing {what} packages…"),
            }[step[0]]
            self._report_step(words.format(what=step[1]))

    def _installed(self) -> None:
        try:
            installing.mark(self._folder, installing.READY, self._source)
            (self._folder / installing.LOG).write_text("\n".join(self.log), "utf-8")
        except OSError as error:
            self._failed(str(error))
            return
        QgsSettings().setValue(EXECUTABLE, str(installing.executable_in(self._folder)))
        self._end(True, self.tr("The backend is installed and works."))

    def _check_advice(self) -> str:
        """Return what the index's answer means, where it was asked and has said no."""
        if not self._checking:
            return ""
        if installing.is_unreachable(self._command.lines):
            return str(
                self.tr(
                    "The package index that pip is set to does not answer. Check the network, or choose a wheel or a "
                    "folder under “Install from”."
                )
            )
        return str(
            self.tr(
                "The package index that pip is set to does not have fusar-gpt for this Python. Choose the backend's "
                "wheel, a folder of wheels or the source code under “Install from”."
            )
        )

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
        elif self._cancelled or not self._steps:  # in the middle, or it is there and does not work
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

"""Programs outside QGIS that run to their end: read line by line, killed with all that they have started."""

from __future__ import annotations

import codecs
import json
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, QProcess, QProcessEnvironment, QStandardPaths, QTimer, pyqtSignal

from ..core.installing import read_failure
from ..core.setting_names import EXECUTABLE

_STOP_MS = 1500
_QUERY_LIMIT_S = 120

# A process group of its own: pip and venv start further processes, and all of them must end.
_GROUP = "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"

# QGIS sets these for its own Python, Qt, GDAL and PROJ; they would mislead those of another program.
_FOREIGN = (
    *("PYTHON", "QT_", "GDAL_", "PROJ_", "QGIS_", "SSL_CERT", "VIRTUAL_ENV"),
    *("LD_LIBRARY_PATH", "LD_PRELOAD"),
)


def clean_environment() -> QProcessEnvironment:
    """Return this process's environment without what QGIS sets for its own Python, Qt, GDAL and PROJ."""
    environment = QProcessEnvironment.systemEnvironment()
    for name in environment.keys():  # noqa: SIM118 - it is no dict
        if name.upper().startswith(_FOREIGN):
            environment.remove(name)
    return environment


def fusar_executable() -> str:
    """Return the ``fusar`` of the environment, of the settings, or on the PATH; empty if there is none."""
    return str(
        os.environ.get("FUSAR_EXECUTABLE")
        or QgsSettings().value(EXECUTABLE, "", type=str)
        or QStandardPaths.findExecutable("fusar")
    )


class Command(QObject):
    """Runs one program at a time in a cleaned environment. ``ended`` comes once for each ``run``."""

    line_added = pyqtSignal(str)  # a line of its output
    ended = pyqtSignal(bool)  # whether it ended well

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.lines: list[str] = []  # of the last run
        self._grouped = False
        self._begin()
        self._process = QProcess(self)
        self._process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
        self._process.readyReadStandardOutput.connect(self._read)
        self._process.errorOccurred.connect(self._on_error)
        self._process.finished.connect(self._on_finished)
        self._time_limit = QTimer(self)
        self._time_limit.setSingleShot(True)
        self._time_limit.timeout.connect(self.stop)

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return bool(self._process.state() != QProcess.ProcessState.NotRunning)

    def run(self, program: str, words: Sequence[str], *, python: bool = False, limit_s: int = 0) -> None:
        """Start ``program``, which is a Python if ``python``; stop it after ``limit_s`` seconds (0: never)."""
        self._begin()
        self._grouped = python and os.name == "posix"
        environment = clean_environment()
        environment.insert("PYTHONUNBUFFERED", "1")
        environment.insert("PYTHONIOENCODING", "utf-8")
        self._process.setProcessEnvironment(environment)
        self._process.start(program, ["-c", _GROUP, *words] if self._grouped else list(words))
        self._process.closeWriteChannel()  # nobody can answer a question
        if limit_s:
            self._time_limit.start(1000 * limit_s)

    def stop(self) -> None:
        """Kill it and all it has started; ``ended`` follows."""
        if not self.is_running:
            return
        pid = int(self._process.processId())
        if self._grouped:
            # Before it has a group of its own it has started nothing.
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL)
        if os.name == "nt":  # kills the process last, because its children are found by it
            QProcess.startDetached("taskkill", ["/PID", str(pid), "/T", "/F"])
        else:
            self._process.kill()

    def close(self) -> None:
        """Kill it; it is gone when this returns, and ``ended`` does not come."""
        self.blockSignals(True)
        self._time_limit.stop()
        self.stop()
        self._process.waitForFinished(_STOP_MS)

    def _begin(self) -> None:
        self.lines = []
        self._text = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def _read(self) -> None:
        # A carriage return is a line's end too: progress bars use it.
        text = self._rest + self._text.decode(bytes(self._process.readAllStandardOutput()))
        *lines, self._rest = text.replace("\r", "\n").split("\n")
        for line in lines:
            self._report(line)

    def _report(self, line: str) -> None:
        if line.strip():
            self.lines.append(line)
            self.line_added.emit(line)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._time_limit.stop()
            self._report(self._process.errorString())
            self.ended.emit(False)

    def _on_finished(self, status: int, how: QProcess.ExitStatus) -> None:
        self._time_limit.stop()
        self._read()
        self._report(self._rest)
        self._rest = ""
        self.ended.emit(how == QProcess.ExitStatus.NormalExit and status == 0)


class JsonQuery(QObject):
    """Runs ``fusar WORDS --json`` on this computer; ``answered`` or ``failed`` comes once for each ``ask``."""

    answered = pyqtSignal(object)  # the JSON list
    failed = pyqtSignal(str)  # why, and what to do

    def __init__(self, words: Sequence[str], parent: QObject) -> None:
        super().__init__(parent)
        self._words = [*words, "--json"]
        self._command = Command(self)
        self._command.ended.connect(self._read)

    def ask(self) -> None:
        """Ask, unless the answer is on its way."""
        if self._command.is_running:
            return
        fusar = fusar_executable()
        if fusar:
            self._command.run(fusar, self._words, limit_s=_QUERY_LIMIT_S)
        else:
            self.failed.emit(
                self.tr(
                    "There is no backend on this computer yet. Open the FUSAR-GPT options and press Install."
                )
            )

    def close(self) -> None:
        """Stop without an answer."""
        self._command.close()

    def _read(self, well: bool) -> None:
        text = "\n".join(self._command.lines)
        try:
            answer = json.loads(text[text.index("[") : text.rindex("]") + 1])
        except ValueError:
            well = False
        if well:
            self.answered.emit(answer)
        else:
            self.failed.emit(
                self.tr(
                    "The backend on this computer does not answer: {reason}. Press Repair in the options."
                ).format(reason=read_failure(self._command.lines).rstrip(".") or self.tr("no reason given"))
            )

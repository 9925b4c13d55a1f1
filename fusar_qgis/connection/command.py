"""A program outside QGIS that runs to its end, is heard line by line, and can be stopped with all it has started."""

from __future__ import annotations

import codecs
import os
import signal
from collections.abc import Sequence
from contextlib import suppress

from qgis.PyQt.QtCore import QObject, QProcess, QTimer, pyqtSignal

from .child import clean_environment

_STOP_MS = 1500

# A group of its own, because pip and venv start further processes, and all must end.
_GROUP = "import os, sys; os.setsid(); os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"


class Command(QObject):
    """One program at a time, in a cleaned environment. ``ended`` comes once for each ``run``."""

    said = pyqtSignal(str)  # a line of its output
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
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.timeout.connect(self.stop)

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
            self._patience.start(1000 * limit_s)

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
        self._patience.stop()
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
            self._say(line)

    def _say(self, line: str) -> None:
        if line.strip():
            self.lines.append(line)
            self.said.emit(line)

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._patience.stop()
            self._say(self._process.errorString())
            self.ended.emit(False)

    def _on_finished(self, status: int, how: QProcess.ExitStatus) -> None:
        self._patience.stop()
        self._read()
        self._say(self._rest)
        self._rest = ""
        self.ended.emit(how == QProcess.ExitStatus.NormalExit and status == 0)

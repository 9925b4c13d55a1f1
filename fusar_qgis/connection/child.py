"""The backend that QGIS starts itself: a child process that lives no longer than the plugin."""

from __future__ import annotations

import shutil
import sqlite3
import time
import uuid
from contextlib import closing, suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

from qgis.PyQt.QtCore import QDir, QLockFile, QObject, QProcess, QStandardPaths, QTimer, pyqtSignal

from ..core.endpoint import Endpoint, EndpointError, read_ready_line
from .command import clean_environment

_START_MS = 120_000
_STOP_MS = 1500
_SWEEP_MS = 100
_TAIL = 4000
_KEEP_DAYS = 30
_BUSY_S = 0.2


def data_folder() -> Path:
    """Return the folder of the user's data where FUSAR-GPT keeps its own."""
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(place) / "fusar-gpt"


class SessionFolder:
    """A folder for the jobs of one backend, locked while it is in use: two backends cannot share their jobs.

    Attributes:
        path: The folder.
        is_old: Whether the runs in it that have not ended wait until their analyst has them go on.
    """

    def __init__(self, parent: Path) -> None:
        """Take the one that was left last with runs that had not ended, else make one in ``parent``. Raises OSError.

        Others that nobody uses are removed where nothing is left to do, or after a month.
        """
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock: QLockFile | None = None
        for folder in sorted(parent.glob("*/"), key=_last_used, reverse=True):
            lock = _lock(folder.with_name(folder.name + ".lock"))
            if not lock.tryLock(0):  # its owner lives
                continue
            if not _is_unfinished(folder):
                shutil.rmtree(folder, ignore_errors=True)
            elif self._lock is None:
                self._lock, self.path = lock, folder
                continue
            lock.unlock()
        self.is_old = self._lock is not None
        if self._lock is None:
            self.path = parent / uuid.uuid4().hex
            self._lock = _lock(self.path.with_suffix(".lock"))
            self._lock.tryLock(0)
            self.path.mkdir(mode=0o700)

    def leave(self) -> None:
        """Let go of it; it is removed with all that is in it, unless there are runs that can go on another time."""
        if not _is_unfinished(self.path):
            shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            self._lock.unlock()


def _last_used(folder: Path) -> float:
    """Return when a job of the folder told something last, in seconds since 1970; 0 where there is no journal."""
    times = [file.stat().st_mtime for file in folder.glob("jobs.sqlite*") if file.is_file()]
    return max(times, default=0.0)


def _is_unfinished(folder: Path) -> bool:
    """Whether a backend's journal in the folder has jobs that can go on and are no older than a month."""
    journal = folder / "jobs.sqlite"
    if not journal.is_file():
        return False
    oldest = datetime.now(timezone.utc) - timedelta(days=_KEEP_DAYS)
    query = "SELECT count(*) FROM jobs WHERE finished IS NULL AND status != 'dismissed' AND created > ?"  # ISO 8601
    try:
        with closing(sqlite3.connect(journal, timeout=_BUSY_S)) as database:
            return bool(database.execute(query, (oldest.isoformat(),)).fetchone()[0])
    except sqlite3.OperationalError:  # a backend that is just ending still has it
        return True
    except sqlite3.DatabaseError:
        return False


def _lock(path: Path) -> QLockFile:
    lock = QLockFile(str(path))
    lock.setStaleLockTime(0)  # however old: only the death of its owner ends it
    return lock


class ChildBackend(QObject):
    """Runs ``fusar serve --child``: reads its one ready line, and ends it by closing its standard input.

    A child that dies is started once more, at the same address and with the jobs it had. It lives in the GUI
    thread; other threads may call ``request`` and read ``endpoint`` and ``problem``.
    """

    ready = pyqtSignal(object)  # Endpoint
    failed = pyqtSignal(str)  # it could not start, or died again; why, and what to do
    restarting = pyqtSignal()  # it died, and comes back at its old address
    _requested = pyqtSignal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.endpoint: Endpoint | None = None
        self.problem = ""  # why there is none, once that is certain
        self._command: list[str] = []
        self._session: SessionFolder | None = None
        self._before: Endpoint | None = None  # of a child that died; None once it may not come back
        self._output = self._stderr = b""
        self._reason = ""  # why we have killed it
        self._ending: list[tuple[QProcess, SessionFolder | None, float]] = []  # and when to kill it
        self._new_process()
        self._start_limit = QTimer(self)
        self._start_limit.setSingleShot(True)
        self._start_limit.setInterval(_START_MS)
        self._start_limit.timeout.connect(self._give_up)
        self._sweeper = QTimer(self)
        self._sweeper.setInterval(_SWEEP_MS)
        self._sweeper.timeout.connect(self._sweep)
        self._requested.connect(self.start)

    @property
    def is_running(self) -> bool:
        """Whether there is a process, starting or started."""
        return bool(self._process.state() != QProcess.ProcessState.NotRunning)

    def request(self, executable: str, model: str = "") -> None:
        """Have ``start`` done in the GUI thread; to be called from any thread."""
        self.problem = ""
        self._requested.emit(executable, model)

    def start(self, executable: str, model: str = "") -> None:
        """Start ``executable`` with the checkpoint ``model`` (empty: its own) unless that runs already."""
        # The analyst may open a scene from any drive.
        roots = [word for drive in QDir.drives() for word in ("--root", drive.absoluteFilePath())]
        command = [executable, "serve", "--child", *roots, *(["--model", model] if model else [])]
        if self.is_running and command == self._command:
            return
        self.retire()
        self._command = command
        with suppress(OSError):  # without a folder, a child that dies forgets its jobs
            self._session = self._session or SessionFolder(data_folder() / "jobs")
        self._launch()

    def retire(self) -> None:
        """End the process without waiting for it; ``start`` may follow at once."""
        self._forget()
        if self.is_running:
            self._process.blockSignals(True)
            self._process.closeWriteChannel()
            self._ending.append((self._process, self._session, time.monotonic() + 2 * _STOP_MS / 1000))
            self._session = None
            self._sweeper.start()
            self._new_process()

    def stop(self) -> None:
        """End the process, politely first; it is gone when this returns."""
        self.retire()
        self._sweeper.stop()
        for process, session, _ in self._ending:
            for harder in (process.terminate, process.kill):
                if process.waitForFinished(_STOP_MS):
                    break
                harder()
            process.waitForFinished(_STOP_MS)
            _bury(process, session)
        self._ending = []
        if self._session is not None:
            self._session.leave()
            self._session = None

    def _forget(self) -> None:
        self._start_limit.stop()
        self.endpoint = self._before = None
        self.problem = ""

    def _new_process(self) -> None:
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read_line)
        self._process.readyReadStandardError.connect(self._keep_tail)
        self._process.errorOccurred.connect(self._on_error)
        self._process.finished.connect(self._on_finished)

    def _sweep(self) -> None:
        """Clear away what has ended, and kill what should have ended by now."""
        for process, session, deadline in self._ending:
            if process.state() == QProcess.ProcessState.NotRunning:
                _bury(process, session)
            elif time.monotonic() > deadline:
                process.kill()
        self._ending = [one for one in self._ending if one[0].state() != QProcess.ProcessState.NotRunning]
        if not self._ending:
            self._sweeper.stop()

    def _launch(self) -> None:
        self._output, self._stderr, self._reason = b"", b"", ""
        environment = clean_environment()
        words = self._command[1:]
        if self._session is not None:
            words += ["--state", str(self._session.path)]
            if self._session.is_old and self._before is None:
                words.append("--hold-jobs")
        if self._before is not None:
            # Whoever waits for the old one finds the new one in its place.
            words += ["--port", str(urlsplit(self._before.url).port)]
            environment.insert("FUSAR_TOKEN", self._before.token)
        self._process.setProcessEnvironment(environment)
        self._process.start(self._command[0], words)
        self._start_limit.start()

    def _read_line(self) -> None:
        said = bytes(self._process.readAllStandardOutput())
        if self.endpoint is not None:
            return
        self._output += said
        line, newline, _ = self._output.partition(b"\n")
        if not newline:
            return
        try:
            self.endpoint = read_ready_line(line)
        except EndpointError as error:
            self._kill(str(error))
        else:
            self._start_limit.stop()
            self.ready.emit(self.endpoint)

    def _keep_tail(self) -> None:
        self._stderr = (self._stderr + bytes(self._process.readAllStandardError()))[-_TAIL:]

    def _give_up(self) -> None:
        self._kill(self.tr("it did not answer within two minutes"))

    def _kill(self, reason: str) -> None:
        self._reason = reason
        self._process.kill()

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._start_limit.stop()
            self._fail(self._process.errorString())

    def _on_finished(self) -> None:
        self._start_limit.stop()
        lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
        reason = self._reason or (lines[-1] if lines else "")
        lived, self.endpoint = self.endpoint, None
        if lived is None:
            self._fail(reason)
        elif self._before is None:
            self._before = lived
            self.restarting.emit()
            self._launch()
        else:
            if self._session is not None:
                self._session.is_old = True
            text = self.tr(
                "The FUSAR-GPT backend stopped twice, so it is not started again by itself. What was found so far is "
                "safe. If that happens again, try a smaller area, or run “fusar doctor” in a terminal."
            )
            self._end(f"{text}\n\n{{reason}}", reason)

    def _fail(self, reason: str) -> None:
        self._end(
            self.tr(
                "The FUSAR-GPT backend could not start: {reason}. Open the FUSAR-GPT options and press Repair, "
                "or run “fusar doctor” in a terminal."
            ),
            reason,
        )

    def _end(self, text: str, reason: str) -> None:
        self._before = None
        self.problem = text.format(reason=reason.rstrip(".") or self.tr("no reason given"))
        self.failed.emit(self.problem)


def _bury(process: QProcess, session: SessionFolder | None) -> None:
    process.deleteLater()
    if session is not None:
        session.leave()

"""A backend of our own: a child process that lives no longer than the plugin."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlsplit

from qgis.PyQt.QtCore import QDir, QObject, QProcess, QProcessEnvironment, QTimer, pyqtSignal

from ..core.endpoint import Endpoint, EndpointError, read_ready_line
from .sessions import SessionFolder, data_folder

_START_MS = 120_000
STOP_MS = 1500
"""How long a backend that is to end has, before it is told so in a harder way."""
_TAIL = 4000

# They would mislead the backend's own.
_FOREIGN = (
    "PYTHON",
    "QT_",
    "GDAL_",
    "PROJ_",
    "QGIS_",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "SSL_CERT",
    "VIRTUAL_ENV",
)


class ChildBackend(QObject):
    """Runs ``fusar serve --child``: reads its one ready line, and ends it by closing its standard input.

    A child that dies is started once more, at the same address and with the jobs it had.
    """

    ready = pyqtSignal(object)  # Endpoint
    failed = pyqtSignal(str)  # it could not start
    restarting = pyqtSignal()  # it died, and comes back at its old address
    died = pyqtSignal(str)  # it died and does not come back; why

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.endpoint: Endpoint | None = None
        self._command: list[str] = []
        self._session: SessionFolder | None = None
        self._before: Endpoint | None = None  # of a child that died; None once it may not come back
        self._stderr = b""
        self._process = QProcess(self)
        self._process.readyReadStandardOutput.connect(self._read_line)
        self._process.readyReadStandardError.connect(self._keep_tail)
        self._process.errorOccurred.connect(self._on_error)
        self._process.finished.connect(self._on_finished)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_START_MS)
        self._patience.timeout.connect(self._give_up)

    @property
    def is_running(self) -> bool:
        """Whether there is a process, starting or started."""
        return bool(self._process.state() != QProcess.ProcessState.NotRunning)

    def start(self, executable: str, model: str = "") -> None:
        """Start ``executable`` with the checkpoint ``model`` (empty: its own) unless it is starting already."""
        if self.is_running:
            return
        self._before = None
        self._command = serve_command(executable, model)
        with suppress(OSError):  # without a folder, a child that dies forgets its jobs
            self._session = self._session or SessionFolder(data_folder() / "jobs")
            self._command += ["--state", str(self._session.path)]
        self._launch()

    def retire(self) -> None:
        """End the process without waiting for it; the object is not used again, and deletes itself after it."""
        self._forget()
        self._process.finished.connect(self._bury)
        if not self.is_running:
            self._bury()
            return
        self._process.closeWriteChannel()
        self._patience.timeout.disconnect(self._give_up)
        self._patience.timeout.connect(self._process.kill)
        self._patience.start(2 * STOP_MS)

    def stop(self) -> None:
        """End the process, politely first; it is gone when this returns."""
        self._forget()
        end(self._process)
        if self._session is not None:
            self._session.remove()
            self._session = None
        self.blockSignals(False)

    def _forget(self) -> None:
        self.blockSignals(True)
        self._patience.stop()
        self.endpoint = self._before = None

    def _bury(self) -> None:
        self._patience.stop()
        if self._session is not None:
            self._session.remove()
            self._session = None
        self.deleteLater()

    def _launch(self) -> None:
        self._stderr = b""
        environment = clean_environment()
        words = list(self._command[1:])
        if self._before is not None:
            # Whoever waits for the old one finds the new one in its place.
            words += ["--port", str(urlsplit(self._before.url).port)]
            environment.insert("FUSAR_TOKEN", self._before.token)
        self._process.setProcessEnvironment(environment)
        self._process.start(self._command[0], words)
        self._patience.start()

    def _read_line(self) -> None:
        if self.endpoint is not None:
            self._process.readAllStandardOutput()
        elif self._process.canReadLine():
            try:
                self.endpoint = read_ready_line(bytes(self._process.readLine()))
            except EndpointError as error:
                self._fail(str(error))
            else:
                self._patience.stop()
                self.ready.emit(self.endpoint)

    def _keep_tail(self) -> None:
        self._stderr = (self._stderr + bytes(self._process.readAllStandardError()))[-_TAIL:]

    def _on_error(self, error: QProcess.ProcessError) -> None:
        if error == QProcess.ProcessError.FailedToStart:
            self._patience.stop()
            self._fail(self._process.errorString())

    def _on_finished(self) -> None:
        self._patience.stop()
        if self.signalsBlocked():  # it was told to stop
            return
        lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
        reason = lines[-1] if lines else ""
        lived, self.endpoint = self.endpoint, None
        if lived is None:
            self._fail(reason)
        elif self._before is None:
            self._before = lived
            self.restarting.emit()
            self._launch()
        else:
            self.died.emit(reason)

    def _give_up(self) -> None:
        self._stderr = self.tr("it did not answer within two minutes").encode()
        self._process.kill()

    def _fail(self, reason: str) -> None:
        self.failed.emit(
            self.tr(
                "The FUSAR-GPT backend could not start: {reason}. Open the FUSAR-GPT options and press Repair, "
                "or run “fusar doctor” in a terminal."
            ).format(reason=reason.rstrip(".") or self.tr("no reason given"))
        )


def clean_environment() -> QProcessEnvironment:
    """This process's environment without what QGIS sets for its own Python, Qt, GDAL and PROJ."""
    environment = QProcessEnvironment.systemEnvironment()
    for name in environment.keys():  # noqa: SIM118 - it is no dict
        if name.upper().startswith(_FOREIGN):
            environment.remove(name)
    return environment


def serve_command(executable: str, model: str = "") -> list[str]:
    """Return what starts a backend that ends with us, with the checkpoint ``model`` (empty: its own)."""
    # The analyst may open a scene from any drive.
    roots = [word for drive in QDir.drives() for word in ("--root", drive.absoluteFilePath())]
    return [executable, "serve", "--child", *roots, *(["--model", model] if model else [])]


def end(process: QProcess) -> None:
    """End a backend, politely first; it is gone when this returns, a few seconds later at most."""
    if process.state() == QProcess.ProcessState.NotRunning:
        return
    process.closeWriteChannel()
    for harder in (process.terminate, process.kill):
        if process.waitForFinished(STOP_MS):
            return
        harder()
    process.waitForFinished(STOP_MS)

"""A backend of our own: a child process that lives no longer than the plugin."""

from __future__ import annotations

from qgis.PyQt.QtCore import QDir, QObject, QProcess, QProcessEnvironment, QTimer, pyqtSignal

from ..core.endpoint import Endpoint, EndpointError, read_ready_line

_START_MS = 120_000
_STOP_MS = 1500
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
    """Runs ``fusar serve --child``: reads its one ready line, and ends it by closing its standard input."""

    ready = pyqtSignal(object)
    failed = pyqtSignal(str)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.endpoint: Endpoint | None = None
        self._stderr = b""
        self._process = QProcess(self)
        self._process.setProcessEnvironment(clean_environment())
        self._process.readyReadStandardOutput.connect(self._read_line)
        self._process.readyReadStandardError.connect(self._keep_tail)
        self._process.errorOccurred.connect(self._on_error)
        self._process.finished.connect(self._on_finished)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_START_MS)
        self._patience.timeout.connect(self._give_up)

    def start(self, executable: str) -> None:
        """Start ``executable`` unless it is starting already."""
        if self._process.state() != QProcess.ProcessState.NotRunning:
            return
        self._stderr = b""
        # The analyst may open a scene from any drive.
        roots = [word for drive in QDir.drives() for word in ("--root", drive.absoluteFilePath())]
        self._process.start(executable, ["serve", "--child", *roots])
        self._patience.start()

    def stop(self) -> None:
        """End the process, politely first; it is gone when this returns."""
        self.blockSignals(True)
        self._patience.stop()
        self.endpoint = None
        if self._process.state() != QProcess.ProcessState.NotRunning:
            self._process.closeWriteChannel()
            if not self._process.waitForFinished(_STOP_MS):
                self._process.terminate()
                if not self._process.waitForFinished(_STOP_MS):
                    self._process.kill()
                    self._process.waitForFinished(_STOP_MS)
        self.blockSignals(False)

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
        was_ready, self.endpoint = self.endpoint is not None, None
        if not was_ready:
            lines = self._stderr.decode("utf-8", "replace").strip().splitlines()
            self._fail(lines[-1] if lines else "")

    def _give_up(self) -> None:
        self.stop()
        self._fail(self.tr("it did not answer within two minutes"))

    def _fail(self, reason: str) -> None:
        self.failed.emit(
            self.tr(
                "The FUSAR-GPT backend could not start: {reason}. Run “fusar doctor” in a terminal."
            ).format(reason=reason.rstrip(".") or self.tr("no reason given"))
        )


def clean_environment() -> QProcessEnvironment:
    """This process's environment without what QGIS sets for its own Python, Qt, GDAL and PROJ."""
    environment = QProcessEnvironment.systemEnvironment()
    for name in environment.keys():  # noqa: SIM118 - it is no dict
        if name.upper().startswith(_FOREIGN):
            environment.remove(name)
    return environment

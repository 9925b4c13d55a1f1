"""One interpretation on the backend: submit it, follow its events, cancel it."""

from __future__ import annotations

import json
import time

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..contract import EXECUTION, Ended, ProtocolError, read_event
from ..core.request import LayerRequest
from ..core.sse import SseDecoder
from .client import Client
from .diagnosis import status_of

_PATIENCE_S = 60.0
_FIRST_PAUSE_MS, _LAST_PAUSE_MS = 500, 8000


class Job(QObject):
    """Follows one job and deletes itself after it; goes on where it was when the backend comes back within a minute.

    ``told`` brings Started, Progress and Found; ``ended`` brings Ended, exactly once and last.
    """

    told = pyqtSignal(object)
    ended = pyqtSignal(object)

    def __init__(self, client: Client, order: LayerRequest) -> None:
        super().__init__(client)
        self._client = client
        self._order = order
        self._decoder = SseDecoder()
        self._id = ""
        self._stream: QNetworkReply | None = None
        self._submission: QNetworkReply | None = None
        self._over = False
        self._last_id = ""  # of the last event that was told
        self._lost_at: float | None = None
        self._pause_ms = _FIRST_PAUSE_MS
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._follow)
        client.gone.connect(self._stop)

    def start(self) -> None:
        """Submit the order."""
        self._submission = self._client.post(EXECUTION, {"inputs": self._order.to_json()})
        self._submission.finished.connect(self._submitted)

    def cancel(self) -> None:
        """Stop at once here, and tell the backend; if its answer is still under way, when it comes."""
        if self._over:
            return
        self._end("dismissed")
        if self._id:
            self._client.dismiss(self._id)

    def _submitted(self) -> None:
        reply, self._submission = self._submission, None
        if reply is None:
            return
        reply.deleteLater()
        problem = self._client.problem(reply)
        try:
            self._id = "" if problem else str(json.loads(bytes(reply.readAll()))["jobID"])
        except (ValueError, KeyError, TypeError):
            problem = self._gibberish()
        if self._over:
            if self._id:
                self._client.dismiss(self._id)
            self.deleteLater()
        elif problem:
            self._end("failed", problem)
        else:
            self._follow()

    def _follow(self) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        self._decoder = SseDecoder()  # the rest of an event that was cut off never comes
        self._stream = self._client.get(f"/jobs/{self._id}/events", headers)
        self._stream.readyRead.connect(self._read)
        self._stream.finished.connect(self._closed)

    def _read(self) -> None:
        if self._stream is None or status_of(self._stream) != 200:
            return
        try:
            for raw in self._decoder.feed(bytes(self._stream.readAll())):
                event = read_event(raw.kind, raw.data)
                self._last_id = raw.last_id
                self._lost_at, self._pause_ms = None, _FIRST_PAUSE_MS
                if isinstance(event, Ended):
                    self._end(event.status, event.message)
                elif event is not None:
                    self.told.emit(event)
                if self._over:  # a listener may have cancelled
                    return
        except ProtocolError:
            self._client.dismiss(self._id)
            self._end("failed", self._gibberish())

    def _closed(self) -> None:
        stream = self._stream
        if self._over or stream is None:
            return
        self._read()
        if self._over:
            return
        self._stream = None
        stream.deleteLater()
        status = status_of(stream)
        if status is None or status == 200 or status >= 500:
            self._wait()
        elif status == 404:
            self._stop(self.tr("The backend stopped in mid-run and has lost the run. Start the run again."))
        else:
            self._stop(self._client.problem(stream))

    def _wait(self) -> None:
        """Follow again a little later: the backend may be on its way back."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
        if now - self._lost_at > _PATIENCE_S:
            self._stop(self.tr("The backend stopped in mid-run and did not come back. Start the run again."))
        else:
            self._again.start(self._pause_ms)
            self._pause_ms = min(2 * self._pause_ms, _LAST_PAUSE_MS)

    def _stop(self, problem: str) -> None:
        if not self._over:
            if self._id:
                self._client.dismiss(self._id)
            self._end("failed", problem)

    def _end(self, status: str, message: str = "") -> None:
        self._over = True
        self._again.stop()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
            stream.deleteLater()
        if self._submission is None:
            self.deleteLater()
        self.ended.emit(Ended(status, message))

    def _gibberish(self) -> str:
        return str(
            self.tr("The backend's answer cannot be read. Install backend and plugin in the same version.")
        )

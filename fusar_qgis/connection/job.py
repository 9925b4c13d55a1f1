"""One interpretation on the backend: submit it, follow its events, cancel it."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..contract import EXECUTION, Ended, ProtocolError, read_event
from ..core.sse import SseDecoder
from .backend_words import in_words
from .client import Client
from .diagnosis import RequestError, status_of, unreadable_answer

_AWAY_S = 60.0
_FIRST_PAUSE_MS, _LAST_PAUSE_MS = 500, 8000
_BUSY = 429


class Job(QObject):
    """Follows one job and deletes itself after it; goes on where it was when the backend comes back within a minute.

    ``received`` brings Started, Progress and Found; ``ended`` brings Ended, exactly once and last.

    Attributes:
        id: The backend's name for it; empty until the backend has answered.
        end: How it ended; None before.
        is_lost: Whether it ended because nobody answered any more.
    """

    received = pyqtSignal(object)
    interrupted = pyqtSignal()  # nobody answers any more; it goes on when the backend is back
    ended = pyqtSignal(object)

    def __init__(self, client: Client, inputs: dict[str, Any], *, is_patient: bool = False) -> None:
        """``inputs`` are what is submitted; ``is_patient`` submits again while the backend has too many jobs."""
        super().__init__(client)
        self.id = ""
        self.end: Ended | None = None
        self.is_lost = False
        self._client = client
        self._inputs = inputs
        self._is_patient = is_patient
        self._decoder = SseDecoder()
        self._stream: QNetworkReply | None = None
        self._submission: QNetworkReply | None = None
        self._last_id = ""  # of the last event that was told
        self._lost_at: float | None = None
        self._pause_ms = _FIRST_PAUSE_MS
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._try_again)
        client.gone.connect(self._lose)

    def start(self) -> None:
        """Submit it."""
        self._submission = self._client.post(EXECUTION, {"inputs": self._inputs})
        self._submission.finished.connect(self._submitted)

    def cancel(self) -> None:
        """Stop at once here, and tell the backend; if its answer is still under way, when it comes."""
        if self.end is not None:
            return
        self._end(Ended("dismissed", ""))
        if self.id:
            self._client.dismiss(self.id)

    def _try_again(self) -> None:
        if self.id:
            self._follow()
        else:
            self.start()

    def _submitted(self) -> None:
        reply, self._submission = self._submission, None
        if reply is None:
            return
        reply.deleteLater()
        error = None
        try:
            self.id = self._client.read_field(reply, "jobID")
        except RequestError as refusal:
            error = refusal
        if self.end is not None:
            if self.id:
                self._client.dismiss(self.id)
            self.deleteLater()
        elif error is None:
            self._follow()
        elif self._is_patient and error.status == _BUSY:
            self._again.start(_FIRST_PAUSE_MS)
        else:
            self.is_lost = error.is_gone
            self._end(Ended("failed", str(error)))

    def _follow(self) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        self._decoder = SseDecoder()  # the rest of an event that was cut off never comes
        self._stream = self._client.get(f"/jobs/{self.id}/events", headers)
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
                    failed = event.status == "failed"
                    self._end(replace(event, message=in_words(event.message)) if failed else event)
                elif event is not None:
                    self.received.emit(event)
                if self.end is not None:  # a listener may have cancelled
                    return
        except ProtocolError:
            self._stop(unreadable_answer(self._client.endpoint))

    def _closed(self) -> None:
        stream = self._stream
        if self.end is not None or stream is None:
            return
        self._read()
        if self.end is not None:
            return
        self._stream = None
        stream.deleteLater()
        status = status_of(stream)
        if status is None or status == 200 or status >= 500:
            self._wait()
        elif status == 404:
            lost = self.tr("The backend stopped in mid-run and has lost the run. Start the run again.")
            self._end(Ended("failed", lost))
        else:
            self._stop(self._client.problem(stream))

    def _wait(self) -> None:
        """Follow again a little later: the backend may be on its way back."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            self.interrupted.emit()
        if now - self._lost_at > _AWAY_S:
            self._lose(self.tr("The backend stopped in mid-run and did not come back. Start the run again."))
        else:
            self._again.start(self._pause_ms)
            self._pause_ms = min(2 * self._pause_ms, _LAST_PAUSE_MS)

    def _lose(self, problem: str) -> None:
        if self.end is None:
            self.is_lost = True
            self._stop(problem)

    def _stop(self, problem: str) -> None:
        if self.id:
            self._client.dismiss(self.id)
        self._end(Ended("failed", problem))

    def _end(self, end: Ended) -> None:
        self.end = end
        self._again.stop()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
            stream.deleteLater()
        if self._submission is None:
            self.deleteLater()
        self.ended.emit(self.end)

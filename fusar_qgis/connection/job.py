"""One interpretation on the backend: submit it, follow its events, cancel it."""

from __future__ import annotations

import json
import time
from collections import deque
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
_UNKNOWN = 404
_SLICE_S = 0.01


class Job(QObject):
    """Follows one job and deletes itself after it; goes on where it was when the backend comes back within a minute.

    ``received`` brings Started, Progress and Found; ``ended`` brings Ended, exactly once and last.

    Attributes:
        id: The backend's name for it; empty until the backend has answered.
        end: How it ended; None before.
        is_lost: Whether it ended because nobody answered any more: the backend may still have it.
        answered: The share of its chips that were answered before it was followed, in percent.
        is_paused: Whether the backend has paused it, or does so after the batch of chips under way.
    """

    received = pyqtSignal(object)
    changed = pyqtSignal()  # is_paused
    refused = pyqtSignal(str)  # why it cannot be paused, or go on
    interrupted = pyqtSignal()  # nobody answers any more; it goes on when the backend is back
    ended = pyqtSignal(object)

    def __init__(
        self, client: Client, inputs: dict[str, Any], *, is_patient: bool = False, known: str = ""
    ) -> None:
        """``inputs`` are what is submitted; ``is_patient`` submits again while the backend has too many jobs.

        ``known`` is a job that the backend has already: it goes on, and is followed from its first event.
        """
        super().__init__(client)
        self.id = known
        self.end: Ended | None = None
        self.is_lost = self.is_paused = False
        self.answered = 0
        self._change: QNetworkReply | None = None
        self._client = client
        self._inputs = inputs
        self._is_patient = is_patient
        self._decoder = SseDecoder()
        self._stream: QNetworkReply | None = None
        self._submission: QNetworkReply | None = None
        self._last_id = ""  # of the last event that has come
        self._lost_at: float | None = None
        self._pause_ms = _FIRST_PAUSE_MS
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.timeout.connect(self._try_again)
        self._waiting: deque[tuple[str, str]] = deque()  # events that have come: kind and data
        self._is_closed = False  # the stream is, and there are some
        self._more = QTimer(self)
        self._more.setSingleShot(True)
        self._more.timeout.connect(self._tell)
        client.gone.connect(self._lose)

    def start(self) -> None:
        """Submit it, or go on with the one that is known."""
        if self.id:
            self.pause(False)
            return
        self._submission = self._client.post(EXECUTION, {"inputs": self._inputs})
        self._submission.finished.connect(self._submitted)

    def cancel(self) -> None:
        """Stop at once here, and tell the backend; if its answer is still under way, when it comes."""
        if self.end is not None:
            return
        self._end(Ended("dismissed", ""))
        if self.id:
            self._client.dismiss(self.id)

    def pause(self, paused: bool) -> None:
        """Have the backend pause it, or go on; ``changed`` or ``refused`` follows."""
        if self.end is None and self._change is None and self.id:
            self._change = self._client.patch(f"/jobs/{self.id}", {"paused": paused})
            self._change.finished.connect(self._on_change)

    def leave(self) -> None:
        """Stop here as if cancelled, but have the backend keep it paused, to go on another time."""
        if self.end is None and self.id:
            self._client.patch(f"/jobs/{self.id}", {"paused": True})
            self._end(Ended("dismissed", ""))
        else:
            self.cancel()

    def _on_change(self) -> None:
        reply, self._change = self._change, None
        if reply is None:
            return
        reply.deleteLater()
        begins = self._stream is None and not self._again.isActive()
        try:
            state = json.loads(self._client.read(reply))
            self.is_paused = bool(state.get("paused"))
            self.answered = int(state.get("progress") or 0) if begins else self.answered
        except RequestError as error:
            if begins:
                self.is_lost = error.is_gone
                self._end(Ended("failed", self._lost() if error.status == _UNKNOWN else str(error)))
            else:
                self.refused.emit(str(error))
            return
        except (ValueError, TypeError, AttributeError):
            self._stop(unreadable_answer(self._client.endpoint))
            return
        if self.end is None:
            if begins:
                self.follow()
            self.changed.emit()

    def _lost(self) -> str:
        return str(self.tr("The backend stopped in mid-run and has lost the run. Start the run again."))

    def _try_again(self) -> None:
        if self.id:
            self.follow()
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
            self.follow()
        elif self._is_patient and error.status == _BUSY:
            self._again.start(_FIRST_PAUSE_MS)
        else:
            self.is_lost = error.is_gone
            self._end(Ended("failed", str(error)))

    def follow(self) -> None:
        """Follow the events of the job that the backend has, which goes on by itself."""
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        self._decoder = SseDecoder()  # the rest of an event that was cut off never comes
        self._stream = self._client.get(f"/jobs/{self.id}/events", headers)
        self._stream.readyRead.connect(self._read)
        self._stream.finished.connect(self._closed)

    def _read(self) -> None:
        if self._stream is None or status_of(self._stream) != 200:
            return
        for raw in self._decoder.feed(bytes(self._stream.readAll())):
            self._waiting.append((raw.kind, raw.data))
            self._last_id = raw.last_id
            self._lost_at, self._pause_ms = None, _FIRST_PAUSE_MS
        if not self._more.isActive():
            self._tell()

    def _tell(self) -> None:
        """Tell of what has come, for a few milliseconds: much may have come while QGIS was busy."""
        until = time.perf_counter() + _SLICE_S
        try:
            while self._waiting and self.end is None:  # a listener may have cancelled
                event = read_event(*self._waiting.popleft())
                if isinstance(event, Ended):
                    failed = event.status == "failed"
                    self._end(replace(event, message=in_words(event.message)) if failed else event)
                elif event is not None:
                    self.received.emit(event)
                if time.perf_counter() > until:
                    self._more.start()
                    return
        except ProtocolError:
            self._stop(unreadable_answer(self._client.endpoint))
        if self._is_closed:
            self._is_closed = False
            self._closed()

    def _closed(self) -> None:
        stream = self._stream
        if self.end is not None or stream is None:
            return
        self._read()
        if self.end is not None:
            return
        self._is_closed = bool(self._waiting)
        if self._is_closed:  # first what has come
            return
        self._stream = None
        stream.deleteLater()
        status = status_of(stream)
        if status is None or status == 200 or status >= 500:
            self._wait()
        elif status == _UNKNOWN:
            self._end(Ended("failed", self._lost()))
        else:
            self._stop(self._client.problem(stream))

    def _wait(self) -> None:
        """Follow again a little later: the backend may be on its way back."""
        now = time.monotonic()
        if self._lost_at is None:
            self._lost_at = now
            self.interrupted.emit()
        if now - self._lost_at > _AWAY_S:
            self._lose(self.tr("The backend stopped in mid-run and did not come back."))
        else:
            self._again.start(self._pause_ms)
            self._pause_ms = min(2 * self._pause_ms, _LAST_PAUSE_MS)

    def _lose(self, problem: str) -> None:
        if self.end is None:
            self.is_lost = True
            if self.id and not self._is_patient:  # the analyst may want to go on with it
                self._client.patch(f"/jobs/{self.id}", {"paused": True})
                self._end(Ended("failed", problem))
            else:
                self._stop(problem)

    def _stop(self, problem: str) -> None:
        if self.id:
            self._client.dismiss(self.id)
        self._end(Ended("failed", problem))

    def _end(self, end: Ended) -> None:
        self.end = end
        self._again.stop()
        self._more.stop()
        self._waiting.clear()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.abort()
            stream.deleteLater()
        if self._submission is None:
            self.deleteLater()
        self.ended.emit(self.end)

"""One interpretation on the backend: submit it, follow its events, cancel it."""

from __future__ import annotations

import json

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..core.events import Ended, ProtocolError, read_event
from ..core.order import Order
from ..core.sse import SseDecoder
from .client import Client

EXECUTION = "/processes/interpret/execution"


class Job(QObject):
    """Follows one job and deletes itself after it.

    ``told`` brings Started, Progress and Found; ``ended`` brings Ended, exactly once and last.
    """

    told = pyqtSignal(object)
    ended = pyqtSignal(object)

    def __init__(self, client: Client, order: Order) -> None:
        super().__init__(client)
        self._client = client
        self._order = order
        self._decoder = SseDecoder()
        self._id = ""
        self._stream: QNetworkReply | None = None
        self._submission: QNetworkReply | None = None
        self._over = False

    def start(self) -> None:
        """Submit the order."""
        self._submission = self._client.post(EXECUTION, {"inputs": self._order.inputs()})
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
            self._stream = self._client.get(f"/jobs/{self._id}/events")
            self._stream.readyRead.connect(self._read)
            self._stream.finished.connect(self._closed)

    def _read(self) -> None:
        if self._stream is None or self._failed_reply():
            return
        try:
            for raw in self._decoder.feed(bytes(self._stream.readAll())):
                event = read_event(raw)
                if isinstance(event, Ended):
                    self._end(event.status, event.message)
                elif event is not None:
                    self.told.emit(event)
                if self._over:  # a listener may have cancelled
                    return
        except ProtocolError:
            self._client.dismiss(self._id)
            self._end("failed", self._gibberish())

    def _failed_reply(self) -> bool:
        return self._stream is not None and self._stream.error() != QNetworkReply.NetworkError.NoError

    def _closed(self) -> None:
        if self._over or self._stream is None:
            return
        problem = self._client.problem(self._stream)
        if not problem:
            self._read()
        if not self._over:
            self._client.dismiss(self._id)
            self._end("failed", problem or self.tr("The backend stopped in mid-run. Start the run again."))

    def _end(self, status: str, message: str = "") -> None:
        self._over = True
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

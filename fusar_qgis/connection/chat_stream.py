"""One streamed answer of the backend's chat completions API."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..contract import ProtocolError
from ..core.chat import Answered
from ..core.completions import DONE, PATH, ChipsDone, Refused, TextPiece, read_piece
from ..core.sse import SseDecoder
from .backend_words import in_words
from .client import Client
from .diagnosis import status_of


class ChatStream(QObject):
    """Streams one answer and deletes itself after it.

    ``ended`` brings Answered or Refused, once and last; after :meth:`stop` nothing is signalled any more.
    """

    text_received = pyqtSignal(str)
    progressed = pyqtSignal(object)  # ChipsDone
    ended = pyqtSignal(object)

    def __init__(self, client: Client, body: dict[str, Any]) -> None:
        """Make ready to send ``body``, a chat completion request that streams."""
        super().__init__(client)
        self._client = client
        self._body = body
        self._decoder = SseDecoder()
        self._reply: QNetworkReply | None = None
        self._over = False
        client.gone.connect(self._give_up)

    def start(self) -> None:
        """Send the question."""
        self._reply = self._client.post(PATH, self._body)
        self._reply.readyRead.connect(self._read)
        self._reply.finished.connect(self._closed)

    def stop(self) -> None:
        """Abort: the model stops at its next token."""
        self._over = True
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.abort()
            reply.deleteLater()
            self.deleteLater()

    def _read(self) -> None:
        if self._over or self._reply is None or status_of(self._reply) != 200:
            return
        try:
            for event in self._decoder.feed(bytes(self._reply.readAll())):
                if event.data != DONE:
                    self._report(read_piece(event.data))
                if self._over:  # that was its end, or a listener has stopped it
                    return
        except ProtocolError:
            self._give_up(
                self.tr(
                    "The backend's answer cannot be read. Install backend and plugin in the same version."
                )
            )

    def _report(self, piece: TextPiece | ChipsDone | Answered | Refused | None) -> None:
        if isinstance(piece, TextPiece):
            self.text_received.emit(piece.text)
        elif isinstance(piece, ChipsDone):
            self.progressed.emit(piece)
        elif isinstance(piece, Refused):
            self._end(Refused(in_words(piece.problem)))
        elif piece is not None:
            self._end(piece)

    def _closed(self) -> None:
        self._read()
        if self._over or self._reply is None:
            return
        problem = self._client.problem(self._reply) if status_of(self._reply) != 200 else ""
        self._give_up(problem or self.tr("The connection to the backend broke in mid-answer. Ask again."))

    def _give_up(self, problem: str) -> None:
        if not self._over:
            self._end(Refused(problem))

    def _end(self, end: Answered | Refused) -> None:
        self.stop()
        self.ended.emit(end)

"""The first request to a backend: what it offers, and whether it serves this plugin's version of the API."""

from __future__ import annotations

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..contract import API, Info, ProtocolError, read
from .client import Client
from .diagnosis import RequestError, why_unreadable

INFO = f"/info?api={API}"


def read_handshake(client: Client, reply: QNetworkReply) -> Info:
    """Return what the finished ``reply`` to ``INFO`` says. Raises RequestError."""
    body = client.read(reply)
    try:
        info: Info = read(Info, body)
    except ProtocolError as error:
        raise RequestError(why_unreadable(error, client.endpoint)) from error
    return info


class Handshake(QObject):
    """Asks what a backend offers; belongs to ``client``, and deletes itself after its one answer."""

    answered = pyqtSignal(object)  # Info
    failed = pyqtSignal(str)  # why, and what to do

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self._client = client
        self._reply: QNetworkReply | None = client.get(INFO)
        self._reply.finished.connect(self._read)

    def stop(self) -> None:
        """Stop without an answer."""
        self.blockSignals(True)
        if self._reply is not None:
            self._reply.abort()

    def _read(self) -> None:
        reply, self._reply = self._reply, None
        if reply is None:
            return
        reply.deleteLater()
        self.deleteLater()
        try:
            info = read_handshake(self._client, reply)
        except RequestError as error:
            self.failed.emit(str(error))
        else:
            self.answered.emit(info)

"""The first words with a backend: who are you, and do we speak the same version?"""

from __future__ import annotations

from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..contract import API, Info, ProtocolError, read
from .client import Client
from .diagnosis import why_unreadable

INFO = f"/info?api={API}"


class Greeting(QObject):
    """Asks what a backend offers; belongs to ``client``, and deletes itself after its one answer."""

    answered = pyqtSignal(object)  # Info
    failed = pyqtSignal(str)  # why, and what to do

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.client = client
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
        problem = self.client.problem(reply)
        if problem:
            self.failed.emit(problem)
            return
        try:
            info = read(Info, bytes(reply.readAll()))
        except ProtocolError as error:
            self.failed.emit(why_unreadable(error, self.client.endpoint))
        else:
            self.answered.emit(info)

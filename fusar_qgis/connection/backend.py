"""Find the backend: the one of the environment, the one of the settings, or a child of our own."""

from __future__ import annotations

import os
from pathlib import Path

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, QStandardPaths, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..core.endpoint import Endpoint, EndpointError, endpoint, read_token
from ..core.events import ProtocolError, read_info
from .child import ChildBackend
from .client import Client


class Backend(QObject):
    """Opens the way to a backend on demand; nothing starts and nothing is sent before ``open``."""

    ready = pyqtSignal(object, object)  # Client, Info
    failed = pyqtSignal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._clients: dict[Endpoint, Client] = {}
        self._asked: Client | None = None
        self._greeting: QNetworkReply | None = None
        self._child = ChildBackend(self)
        self._child.ready.connect(self._greet)
        self._child.failed.connect(self.failed)

    def open(self) -> None:
        """Find or start a backend and ask what it offers; ``ready`` or ``failed`` follows."""
        try:
            known = known_endpoint() or self._child.endpoint
        except EndpointError as error:
            self.failed.emit(
                self.tr(
                    "“{url}” is not a backend address. Correct it, for example to http://127.0.0.1:8765."
                ).format(url=error)
            )
        except OSError as error:
            self.failed.emit(
                self.tr("The backend's token file cannot be read: {error}. Start the backend first.").format(
                    error=error
                )
            )
        else:
            if known is not None:
                self._greet(known)
            else:
                self._start_child()

    def close(self) -> None:
        """Let go of every connection and end the child process."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._child.stop()

    def _start_child(self) -> None:
        found = executable()
        if found:
            self._child.start(found)
        else:
            self.failed.emit(
                self.tr(
                    "No FUSAR-GPT backend was found. Install it outside QGIS with “pip install fusar-gpt” "
                    "so that “fusar” is on the PATH, and restart QGIS; or start QGIS with “make qgis”."
                )
            )

    def _greet(self, address: Endpoint) -> None:
        if self._greeting is not None:
            return
        if address not in self._clients:
            self._clients[address] = Client(address, self)
        self._asked = self._clients[address]
        self._greeting = self._asked.get("/info")
        self._greeting.finished.connect(self._greeted)

    def _greeted(self) -> None:
        client, reply, self._greeting = self._asked, self._greeting, None
        if client is None or reply is None:
            return
        reply.deleteLater()
        problem = client.problem(reply)
        if problem:
            self.failed.emit(problem)
            return
        try:
            info = read_info(bytes(reply.readAll()))
        except ProtocolError:
            self.failed.emit(
                self.tr(
                    "{url} is not a FUSAR-GPT backend of this version. Update the backend and the plugin."
                ).format(url=client.endpoint.url)
            )
        else:
            self.ready.emit(client, info)


def known_endpoint() -> Endpoint | None:
    """The backend that the environment or the settings name; None leaves a child of our own.

    Raises:
        EndpointError: What is set is no address.
        OSError: The token's file cannot be read.
    """
    return _from_environment() or _from_settings()


def executable() -> str:
    """The ``fusar`` to start as a child: of the environment, of the settings, or on the PATH; empty if none."""
    return str(
        os.environ.get("FUSAR_EXECUTABLE")
        or QgsSettings().value("fusar/executable", "", type=str)
        or QStandardPaths.findExecutable("fusar")
    )


def _from_environment() -> Endpoint | None:
    url = os.environ.get("FUSAR_URL")
    return endpoint(url, os.environ.get("FUSAR_TOKEN", "")) if url else None


def _from_settings() -> Endpoint | None:
    settings = QgsSettings()
    url = settings.value("fusar/url", "", type=str)
    if not url:
        return None
    # Only the place of the token is a setting, never the token.
    token_file = settings.value("fusar/token_file", "", type=str)
    return endpoint(url, read_token(Path(token_file).read_text("utf-8")))

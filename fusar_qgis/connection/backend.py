"""Finds the backend: the one of the environment, the one of the settings, or a child of our own."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, QStandardPaths, QTimer, pyqtSignal

from ..contract import Info
from ..core.endpoint import Endpoint, EndpointError, endpoint, read_token
from ..core.setting_names import BACKEND, KEY_FILE, MODEL, URL
from ..translation import translate
from .child import ChildBackend
from .client import Client
from .command import fusar_executable
from .handshake import Handshake
from .token import TokenError, kept_token

_LOADING = "loading"
_LOADING_MS = 1000
_LAST_WORDS_MS = 2000

IDLE, STARTING, READY, STOPPED = "idle", "starting", "ready", "stopped"


class ChoiceError(Exception):
    """The settings name no backend that can be used; the message says why and what to do."""


@dataclass(frozen=True)
class BackendChoice:
    """The backend that environment and settings name.

    Attributes:
        endpoint: Its address; None means a child of our own.
        executable: The ``fusar`` to start as the child; empty if none was found.
        model: The checkpoint of the child; empty means its own.
    """

    endpoint: Endpoint | None
    executable: str
    model: str

    @classmethod
    def of_settings(cls) -> BackendChoice:
        """Read environment and settings; call it in the GUI thread: QGIS may ask for its master password.

        Raises:
            ChoiceError: An address or a token that is set cannot be used, or no backend was found.
        """
        try:
            chosen = cls(known_endpoint(), fusar_executable(), QgsSettings().value(MODEL, "", type=str))
        except EndpointError as error:
            raise ChoiceError(
                translate(
                    "Backend",
                    "“{url}” is not a backend address. Correct it, for example to http://127.0.0.1:8765.",
                ).replace("{url}", str(error))
            ) from error
        except OSError as error:
            raise ChoiceError(
                translate(
                    "Backend", "The backend's token file cannot be read: {error}. Start the backend first."
                ).replace("{error}", str(error))
            ) from error
        except TokenError as error:
            raise ChoiceError(str(error)) from error
        if chosen.endpoint is None and not chosen.executable:
            raise ChoiceError(
                translate(
                    "Backend",
                    "No FUSAR-GPT backend was found. Open the FUSAR-GPT options and press Install, or connect "
                    "to a server there. Without a window, set the variable FUSAR_EXECUTABLE to the program “fusar”.",
                )
            )
        return chosen


def is_set_up() -> bool:
    """Whether environment and settings name a server, or a ``fusar`` that is there; neither is asked."""
    settings = QgsSettings()
    server = settings.value(BACKEND, "server", type=str) == "server" and settings.value(URL, "", type=str)
    found = QStandardPaths.findExecutable(fusar_executable() or "fusar")
    return bool(os.environ.get("FUSAR_URL") or server or found)


class Backend(QObject):
    """Opens the way to a backend on demand; nothing starts and nothing is sent before ``open``.

    ``state`` is IDLE, STARTING, READY or STOPPED, ``info`` what the backend said last, ``problem`` why it stopped.
    """

    ready = pyqtSignal(object, object)  # Client, Info
    failed = pyqtSignal(str)
    changed = pyqtSignal()  # state, info or problem
    restarted = pyqtSignal()  # the child died, and is on its way back with the jobs it had

    def __init__(self, child: ChildBackend | None = None, parent: QObject | None = None) -> None:
        """``child`` may be shared with the Processing algorithms, so that no second model is loaded."""
        super().__init__(parent)
        self.state = IDLE
        self.info: Info | None = None
        self.problem = ""
        self._wants_child = False
        self._clients: dict[Endpoint, Client] = {}
        self._client: Client | None = None  # the one asked last
        self._handshake: Handshake | None = None
        self._poll: Handshake | None = None
        self._child = child or ChildBackend(self)
        self._child.ready.connect(self._on_child_ready)
        self._child.failed.connect(self._on_child_failed)
        self._child.restarting.connect(self._on_child_restarting)
        self._loading = QTimer(self)
        self._loading.setSingleShot(True)
        self._loading.setInterval(_LOADING_MS)
        self._loading.timeout.connect(self._poll_info)

    def open(self) -> None:
        """Find or start a backend and ask what it offers; ``ready`` or ``failed`` follows."""
        try:
            choice = BackendChoice.of_settings()
        except ChoiceError as error:
            self._fail(str(error))
            return
        self._wants_child = choice.endpoint is None
        known = choice.endpoint or self._child.endpoint
        if known is not None:
            self._shake_hands(known)
        else:
            self._set(STARTING)
            self._child.start(choice.executable, choice.model)

    def reset(self) -> None:
        """Close the connections because the settings have changed; the next ``open`` uses the new ones."""
        self._close_clients(self.tr("The backend was changed in the options. Start again."))
        self._child.retire()
        self._set(IDLE)

    def close(self) -> None:
        """Close every connection and end the child process."""
        self.blockSignals(True)
        self._stop_asking()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        self._child.stop()

    def _on_child_ready(self, address: Endpoint) -> None:
        if self._wants_child:
            self._shake_hands(address)

    def _on_child_restarting(self) -> None:
        if self._wants_child:
            self._stop_asking()
            self._set(STARTING)
            self.restarted.emit()

    def _on_child_failed(self, problem: str) -> None:
        if self._wants_child:
            self._close_clients(problem)
            self._fail(problem)

    def _close_clients(self, problem: str) -> None:
        self._stop_asking()
        self._wants_child = False
        clients, self._clients = self._clients, {}
        self._client = None
        for client in clients.values():
            client.gone.emit(problem)
            QTimer.singleShot(_LAST_WORDS_MS, client.deleteLater)  # its jobs have just been cancelled

    def _stop_asking(self) -> None:
        self._loading.stop()
        for handshake in (self._handshake, self._poll):
            if handshake is not None:
                handshake.stop()
        self._handshake = self._poll = None

    def _shake_hands(self, address: Endpoint) -> None:
        if self._handshake is not None:
            return
        if address not in self._clients:
            self._clients[address] = Client(address, self)
        if self.info is None:
            self._set(STARTING)
        self._client = self._clients[address]
        self._handshake = Handshake(self._client)
        self._handshake.answered.connect(self._on_answered)
        self._handshake.failed.connect(self._on_not_answered)

    def _on_answered(self, info: Info) -> None:
        self._handshake = None
        self._keep_info(info)
        self.ready.emit(self._client, info)

    def _on_not_answered(self, problem: str) -> None:
        self._handshake = None
        self._fail(problem)

    def _poll_info(self) -> None:
        """Poll ``/info`` until the model has loaded; retry on failure."""
        if self._poll is None and self._client is not None:
            self._poll = Handshake(self._client)
            self._poll.answered.connect(self._keep_info)
            self._poll.failed.connect(self._poll_later)

    def _poll_later(self, _: str) -> None:
        self._poll = None
        self._loading.start()

    def _keep_info(self, info: Info) -> None:
        self._poll = None
        self.info = info
        self._set(READY)
        if info.device == _LOADING:
            self._loading.start()

    def _fail(self, problem: str) -> None:
        self._set(STOPPED, problem)
        self.failed.emit(problem)

    def _set(self, state: str, problem: str = "") -> None:
        if state != READY:
            self.info = None
        self.state, self.problem = state, problem
        self.changed.emit()


def known_endpoint() -> Endpoint | None:
    """The backend that the environment or the settings name; None leaves a child of our own.

    Raises:
        EndpointError: What is set is no address.
        OSError: The token's file cannot be read.
        TokenError: QGIS does not give the token out.
    """
    return _from_environment() or _from_settings()


def _from_environment() -> Endpoint | None:
    url = os.environ.get("FUSAR_URL")
    return endpoint(url, os.environ.get("FUSAR_TOKEN", "")) if url else None


def _from_settings() -> Endpoint | None:
    settings = QgsSettings()
    url = settings.value(URL, "", type=str)
    if not url or settings.value(BACKEND, "server", type=str) != "server":
        return None
    # Only the place of the token is a setting, never the token.
    token_file = settings.value(KEY_FILE, "", type=str)
    token = read_token(Path(token_file).read_text("utf-8")) if token_file else kept_token()
    return endpoint(url, token)

"""Find the backend: the one of the environment, the one of the settings, or a child of our own."""

from __future__ import annotations

import os
from pathlib import Path

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QObject, QStandardPaths, QTimer, pyqtSignal

from ..contract import Info
from ..core.endpoint import Endpoint, EndpointError, endpoint, read_token
from ..core.setting_names import BACKEND, EXECUTABLE, KEY_FILE, MODEL, URL
from .child import ChildBackend
from .client import Client
from .greeting import Greeting
from .token import TokenError, kept_token

_LOADING = "loading"
_LOADING_MS = 1000
_LAST_WORDS_MS = 2000

IDLE, STARTING, READY, STOPPED = "idle", "starting", "ready", "stopped"


class Backend(QObject):
    """Opens the way to a backend on demand; nothing starts and nothing is sent before ``open``.

    ``state`` is IDLE, STARTING, READY or STOPPED, ``info`` what the backend said last, ``problem`` why it stopped.
    """

    ready = pyqtSignal(object, object)  # Client, Info
    failed = pyqtSignal(str)
    changed = pyqtSignal()  # state, info or problem
    restarted = pyqtSignal()  # the child died, and is on its way back with the jobs it had

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.state = IDLE
        self.info: Info | None = None
        self.problem = ""
        self._clients: dict[Endpoint, Client] = {}
        self._client: Client | None = None  # the one asked last
        self._greeting: Greeting | None = None
        self._quiet: Greeting | None = None
        self._child = self._new_child()
        self._loading = QTimer(self)
        self._loading.setSingleShot(True)
        self._loading.setInterval(_LOADING_MS)
        self._loading.timeout.connect(self._ask_quietly)

    @property
    def child_endpoint(self) -> Endpoint | None:
        """The address of the child that runs, if there is one."""
        return self._child.endpoint

    def open(self) -> None:
        """Find or start a backend and ask what it offers; ``ready`` or ``failed`` follows."""
        try:
            known = known_endpoint() or self._child.endpoint
        except EndpointError as error:
            self._fail(
                self.tr(
                    "“{url}” is not a backend address. Correct it, for example to http://127.0.0.1:8765."
                ).format(url=error)
            )
        except OSError as error:
            self._fail(
                self.tr("The backend's token file cannot be read: {error}. Start the backend first.").format(
                    error=error
                )
            )
        except TokenError as error:
            self._fail(str(error))
        else:
            if known is not None:
                self._greet(known)
            else:
                self._start_child()

    def reset(self) -> None:
        """Let go of the backend because the settings have changed; the next ``open`` goes by the new ones."""
        self._let_go(self.tr("The backend was changed in the options. Start again."))
        if self._child.is_running:
            self._child.retire()
            self._child = self._new_child()
        self._set(IDLE)

    def close(self) -> None:
        """Let go of every connection and end the child process."""
        self.blockSignals(True)
        self._stop_asking()
        for client in self._clients.values():
            client.close()
        self._clients.clear()
        for child in self.findChildren(ChildBackend):  # also those that are just ending
            child.stop()

    def _new_child(self) -> ChildBackend:
        child = ChildBackend(self)
        child.ready.connect(self._greet)
        child.failed.connect(self._child_lost)
        child.restarting.connect(self._child_restarts)
        child.died.connect(self._child_died)
        return child

    def _start_child(self) -> None:
        found = executable()
        if found:
            self._set(STARTING)
            self._child.start(found, QgsSettings().value(MODEL, "", type=str))
        else:
            self._fail(
                self.tr(
                    "No FUSAR-GPT backend was found. Open the FUSAR-GPT options and press Install, or connect "
                    "to a server there."
                )
            )

    def _child_restarts(self) -> None:
        self._stop_asking()
        self._set(STARTING)
        self.restarted.emit()

    def _child_died(self, reason: str) -> None:
        self._child_lost(
            self.tr(
                "The FUSAR-GPT backend stopped twice: {reason}. What was found so far stays on the map. Try a "
                "smaller area, or run “fusar doctor” in a terminal."
            ).format(reason=reason.rstrip(".") or self.tr("no reason given"))
        )

    def _child_lost(self, problem: str) -> None:
        self._let_go(problem)
        self._fail(problem)

    def _let_go(self, problem: str) -> None:
        self._stop_asking()
        clients, self._clients = self._clients, {}
        self._client = None
        for client in clients.values():
            client.gone.emit(problem)
            QTimer.singleShot(_LAST_WORDS_MS, client.deleteLater)  # its jobs have just been cancelled

    def _stop_asking(self) -> None:
        self._loading.stop()
        for greeting in (self._greeting, self._quiet):
            if greeting is not None:
                greeting.stop()
        self._greeting = self._quiet = None

    def _greet(self, address: Endpoint) -> None:
        if self._greeting is not None:
            return
        if address not in self._clients:
            self._clients[address] = Client(address, self)
        if self.info is None:
            self._set(STARTING)
        self._client = self._clients[address]
        self._greeting = Greeting(self._client)
        self._greeting.answered.connect(self._greeted)
        self._greeting.failed.connect(self._not_greeted)

    def _greeted(self, info: Info) -> None:
        self._greeting = None
        self._know(info)
        self.ready.emit(self._client, info)

    def _not_greeted(self, problem: str) -> None:
        self._greeting = None
        self._fail(problem)

    def _ask_quietly(self) -> None:
        """Ask for the device again while the model is loaded; a question that fails is asked again."""
        if self._quiet is None and self._client is not None:
            self._quiet = Greeting(self._client)
            self._quiet.answered.connect(self._know)
            self._quiet.failed.connect(self._still_loading)

    def _know(self, info: Info) -> None:
        self._quiet = None
        self.info = info
        self._set(READY)
        if info.device == _LOADING:
            self._loading.start()

    def _still_loading(self, _: str) -> None:
        self._quiet = None
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


def executable() -> str:
    """The ``fusar`` to start as a child: of the environment, of the settings, or on the PATH; empty if none."""
    return str(
        os.environ.get("FUSAR_EXECUTABLE")
        or QgsSettings().value(EXECUTABLE, "", type=str)
        or QStandardPaths.findExecutable("fusar")
    )


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

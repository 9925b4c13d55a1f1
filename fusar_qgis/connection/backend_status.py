"""What is there of a backend, at this moment: for scripts, agents and reports. Nothing is started."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from qgis.PyQt.QtCore import QStandardPaths

from ..contract import Info
from ..translation import translate
from .backend import BackendChoice, ChoiceError
from .blocking_client import BlockingClient, Stopped
from .child import ChildBackend
from .diagnosis import RequestError

_PATIENCE_S = 3.0
_LOADING = "loading"


@dataclass(frozen=True)
class BackendStatus:
    """What is there of a backend.

    Attributes:
        installed: Whether there is a server to connect to, or a ``fusar`` that can be started.
        running: Whether a backend answers now.
        ready: Whether it has loaded its model too.
        place: The server's address, or the path of ``fusar``; empty without either.
        version: The backend's version; empty while it does not run.
        model: The model that it runs, or would start with; empty: its own.
        demonstration: Whether that model is a demonstration; None while that is not known.
        device: Where the model runs: ``cpu``, ``cuda``, ``loading``; empty while it does not run.
        missing: What is missing, a whole sentence; empty where nothing is.
        next_step: What to do next, a whole sentence.
    """

    installed: bool
    running: bool = False
    ready: bool = False
    place: str = ""
    version: str = ""
    model: str = ""
    demonstration: bool | None = None
    device: str = ""
    missing: str = ""
    next_step: str = ""


def choice_and_status(child: ChildBackend) -> tuple[BackendChoice | None, BackendStatus]:
    """Return the backend to ask, None where none runs, and what is known without asking it.

    To be called in the GUI thread.
    """
    try:
        choice = BackendChoice.of_settings()
    except ChoiceError as error:
        step = translate(
            "BackendStatus",
            "Open the FUSAR-GPT options and press Install, or set FUSAR_EXECUTABLE or FUSAR_URL before QGIS starts.",
        )
        return None, BackendStatus(False, missing=str(error), next_step=step)
    if choice.endpoint is not None:
        return choice, BackendStatus(True, place=choice.endpoint.url)
    found = QStandardPaths.findExecutable(choice.executable)
    known = BackendStatus(bool(found), place=choice.executable, model=choice.model)
    if not found:
        missing = translate(
            "BackendStatus", "“{path}” is no program that can be started: it was moved or removed."
        ).replace("{path}", choice.executable)
        step = translate("BackendStatus", "Open the FUSAR-GPT options and press Install or Repair.")
        return None, replace(known, missing=missing, next_step=step)
    if child.endpoint is not None:
        return replace(choice, endpoint=child.endpoint), known
    if child.is_running:
        step = translate("BackendStatus", "The backend is starting: ask again in a few seconds.")
    else:
        step = translate("BackendStatus", "The backend is not running: the first interpretation starts it.")
    return None, replace(known, missing=child.problem, next_step=step)


def ask_status(choice: BackendChoice, child: ChildBackend, known: BackendStatus) -> BackendStatus:
    """Complete ``known`` by what the backend at ``choice.endpoint`` says within seconds; in any thread."""
    until = time.monotonic() + _PATIENCE_S
    try:
        with BlockingClient(choice, child, lambda: time.monotonic() > until) as client:
            return _running(known, client.info())
    except Stopped:
        missing = translate("BackendStatus", "The backend at {url} did not answer within {n} s.").format(
            url=known.place, n=round(_PATIENCE_S)
        )
    except RequestError as error:
        missing = str(error)
    step = translate("BackendStatus", "Start that backend, or choose another one in the FUSAR-GPT options.")
    return replace(known, missing=missing, next_step=step)


def _running(known: BackendStatus, info: Info) -> BackendStatus:
    is_ready = info.device != _LOADING
    step = (
        translate("BackendStatus", "The backend is ready: start an interpretation.")
        if is_ready
        else translate(
            "BackendStatus", "The model is loading: an interpretation that is started now waits for it."
        )
    )
    model = info.models[0] if info.models else None
    return replace(
        known,
        running=True,
        ready=is_ready,
        version=info.version,
        model=model.name if model else "",
        demonstration=model.demonstration if model else None,
        device=info.device,
        next_step=step,
    )

"""The client for code that waits for its answers, in any thread: Processing algorithms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from qgis.PyQt import sip
from qgis.PyQt.QtCore import QEventLoop, QTimer
from qgis.PyQt.QtNetwork import QNetworkReply

from ..contract import EXECUTION, SEARCH_EXECUTION, Finding, Finished, Info, ProtocolError, read
from ..core.endpoint import Endpoint
from .backend import BackendChoice
from .child import ChildBackend
from .client import Client, own_name
from .diagnosis import RequestError
from .handshake import INFO, read_handshake
from .job import Job

_Read = TypeVar("_Read")

_TICK_MS = 50
_CLOSE_MS = 5000
_BUSY = 429
_BUSY_S = 0.5

_NO_INPUT = QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents
_WAIT = QEventLoop.ProcessEventsFlag.WaitForMoreEvents


class Stopped(Exception):  # noqa: N818 - a state, not a fault
    """The analyst has cancelled."""


class BlockingClient:
    """One conversation with a backend, in one thread; use it with ``with``.

    It runs that thread's event loop while it waits, and looks 20 times a second whether the analyst has cancelled.
    Every method raises Stopped, and RequestError, whose ``is_gone`` says that nobody answers any more.
    """

    def __init__(self, choice: BackendChoice, child: ChildBackend, is_canceled: Callable[[], bool]) -> None:
        """``child`` is started where ``choice`` names no address."""
        self._choice = choice
        self._child = child if choice.endpoint is None else None
        self._is_canceled = is_canceled
        self._client: Client | None = None
        self._sent: dict[Path, str] = {}

    def __enter__(self) -> BlockingClient:
        # Turns with the same analyst's toolbar: a batch must not keep it waiting.
        self._client = Client(self._choice.endpoint or self._await_child(), name=f"{own_name()}-batch")
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close(_CLOSE_MS)  # cancelled jobs are cancelled on the backend too
        sip.delete(self.client)
        self._client = None

    @property
    def client(self) -> Client:
        """The client that sends."""
        if self._client is None:
            raise Stopped
        return self._client

    def info(self) -> Info:
        """Return what the backend offers."""
        return self._ask(self.client.get(INFO), read_handshake)

    def start_job(self, inputs: dict[str, Any]) -> Job:
        """Submit a job, which waits while the backend has too many; its events come while :meth:`wait_for` waits."""
        job = Job(self.client, inputs, is_patient=True)
        job.start()
        return job

    def start_search(self, inputs: dict[str, Any]) -> Job:
        """Submit a search as a job; as :meth:`start_job`, of whose slices Progress tells how many are indexed."""
        while True:
            reply = self.client.post(SEARCH_EXECUTION, {"inputs": inputs})
            try:
                known = self._ask(reply, lambda client, reply: client.read_field(reply, "jobID"))
                break
            except RequestError as error:
                if error.status != _BUSY:
                    raise
            self._wait(partial(_is_past, time.monotonic() + _BUSY_S))
        job = Job(self.client, inputs, is_patient=True, known=known)
        job.start()
        return job

    def wait_for(self, job: Job) -> None:
        """Wait until the job has ended; raises RequestError where that is because the backend is gone."""
        self._wait(lambda: job.end is not None)
        if job.is_lost and job.end is not None:
            raise RequestError(job.end.message, None)

    def submit(self, inputs: dict[str, Any]) -> str:
        """Submit a job that nobody here waits for; return the backend's id of it."""
        reply = self.client.post(EXECUTION, {"inputs": inputs})
        return self._ask(reply, lambda client, reply: client.read_field(reply, "jobID"))

    def job_state(self, job: str) -> dict[str, Any]:
        """Return the job ``job`` as the backend describes it: status, progress in percent, message, eta_s."""

        def read_state(client: Client, reply: QNetworkReply) -> dict[str, Any]:
            body = client.read(reply)
            try:
                return dict(json.loads(body))
            except (ValueError, TypeError) as error:
                raise client.unreadable() from error

        return self._ask(self.client.get(f"/jobs/{quote(job, safe='')}"), read_state)

    def results(self, job: str) -> tuple[dict[str, Any], tuple[Finding, ...]]:
        """Return the provenance and the findings of the job ``job``, which ended well."""
        finished = self.finished(job)
        return finished.run.record(), finished.findings

    def finished(self, job: str) -> Finished:
        """Return all that the job ``job`` has given, which ended well: of a search the heat map too."""

        def read_results(client: Client, reply: QNetworkReply) -> Finished:
            try:
                finished: Finished = read(Finished, client.read(reply))
            except ProtocolError as error:
                raise client.unreadable() from error
            return finished

        return self._ask(self.client.get(f"/jobs/{quote(job, safe='')}/results"), read_results)

    def dismiss(self, job: str) -> None:
        """Cancel the job ``job``, and have the backend forget it where it has ended."""
        self._ask(
            self.client.delete(f"/jobs/{quote(job, safe='')}"), lambda client, reply: client.read(reply)
        )

    def send_scene(self, file: Path) -> str:
        """Upload a raster file; return what ``inputs.scene`` calls it."""
        return self._ask(
            self.client.send_scene(file.name, file), lambda client, reply: client.read_field(reply, "scene")
        )

    def send_once(self, file: Path) -> str:
        """Upload a raster file unless this conversation has; return what the backend calls it. Raises OSError."""
        if file not in self._sent:
            self._sent[file] = self.send_scene(file)
        return self._sent[file]

    def _ask(self, reply: QNetworkReply, reader: Callable[[Client, QNetworkReply], _Read]) -> _Read:
        try:
            self._wait(reply.isFinished)
            return reader(self.client, reply)
        finally:
            reply.abort()
            sip.delete(reply)

    def _await_child(self) -> Endpoint:
        if self._child is None:
            raise Stopped
        child = self._child
        if child.endpoint is None:
            child.request(self._choice.executable, self._choice.model)
            self._wait(lambda: child.endpoint is not None)
        if child.endpoint is None:
            raise RequestError(child.problem, None)
        return child.endpoint

    def _wait(self, until: Callable[[], bool]) -> None:
        loop, tick = QEventLoop(), QTimer()
        tick.start(_TICK_MS)  # without events the loop would not come back
        while not until():
            if self._is_canceled():
                raise Stopped
            if self._child is not None and self._child.problem:
                raise RequestError(self._child.problem, None)
            loop.processEvents(_NO_INPUT | _WAIT)


def _is_past(moment: float) -> bool:
    return time.monotonic() > moment

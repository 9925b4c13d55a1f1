"""HTTP to one backend for worker threads: it waits, needs no event loop, and gives up at once when told to."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from qgis.core import QgsSettings
from qgis.PyQt.QtCore import QCoreApplication

from ..contract import (
    EXECUTION,
    Ended,
    Finding,
    Finished,
    Info,
    ProtocolError,
    read,
    read_event,
    read_problem,
)
from ..core.endpoint import Endpoint, EndpointError
from ..core.setting_names import MODEL
from ..core.sse import ServerEvent, SseDecoder
from .backend import executable, known_endpoint
from .client import own_name
from .shared_child import ChildError, SharedChild
from .token import TokenError

if TYPE_CHECKING:
    from ..contract import JobEvent

translate = QCoreApplication.translate

_POLL_S = 0.05
_SILENCE_S = 30.0  # a backend that streams pings every 10 s
_UPLOAD_S = 600.0
_AWAY_S = 60.0
_RETRY_S = 0.5
_LAST_WORDS_S = 2.0
_PIECE = 65536
_BUSY = 429

CHILD = SharedChild()


class Stopped(Exception):  # noqa: N818 - a state, not a fault
    """The analyst has had enough."""


class BackendError(Exception):
    """The backend refuses, or the job failed; the message says why in plain words."""


class BackendGone(BackendError):  # noqa: N818 - a state, not a fault
    """No backend answers any more."""


@dataclass(frozen=True)
class Choice:
    """The backend that the settings name, read in the GUI thread: an address, or what to start as a child."""

    endpoint: Endpoint | None
    executable: str
    model: str
    client: str = "batch"

    @classmethod
    def of_settings(cls) -> Choice:
        """Read environment and settings; QGIS may ask for its master password. Raises BackendError."""
        try:
            model = QgsSettings().value(MODEL, "", type=str)
            # Turns with the same analyst's toolbar: a batch must not keep it waiting.
            return cls(known_endpoint() or CHILD.toolbars(), executable(), model, f"{own_name()}-batch")
        except EndpointError as error:
            raise BackendError(
                translate(
                    "Processing", "“{url}” is not a backend address. Correct it in the options."
                ).replace("{url}", str(error))
            ) from error
        except OSError as error:
            raise BackendError(
                translate("Processing", "The backend's token file cannot be read: {error}.").replace(
                    "{error}", str(error)
                )
            ) from error
        except TokenError as error:
            raise BackendError(str(error)) from error


class BlockingClient:
    """A conversation with one backend; use it with ``with``. ``stopped`` is asked 20 times a second.

    Every method raises Stopped, BackendGone where nobody answers, and BackendError with the backend's own words.
    """

    def __init__(self, choice: Choice, stopped: Callable[[], bool]) -> None:
        self._choice = choice
        self._stopped = stopped
        self._open = ExitStack()
        self._address = choice.endpoint

    def __enter__(self) -> BlockingClient:
        if self._address is None:
            self._start_child()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def is_loopback(self) -> bool:
        """Whether the backend is on this computer and can open its files by path."""
        return self._endpoint.is_loopback

    def info(self) -> Info:
        """Return what the backend offers."""
        try:
            info: Info = read(Info, self._ask("GET", "/info"))
            return info
        except ProtocolError as error:
            raise self._gibberish() from error

    def submit(self, inputs: dict[str, Any]) -> str:
        """LayerRequest a job and return its id; wait while the backend has too many."""
        body = json.dumps({"inputs": inputs}).encode()
        while True:
            try:
                # Once it is on its way the answer is waited for: nobody else could cancel the job.
                return str(json.loads(self._ask("POST", EXECUTION, body=body, patient=True))["jobID"])
            except (ValueError, KeyError, TypeError) as error:
                raise self._gibberish() from error
            except _Refused as refusal:
                if refusal.status != _BUSY:
                    raise
            self._sleep(_RETRY_S)

    def follow(self, job: str) -> Iterator[JobEvent]:
        """Yield a job's events up to and with Ended, across connections that drop."""
        last_id, lost = "", 0.0
        while True:
            try:
                for raw in self._events(job, last_id):
                    last_id, lost = raw.last_id, 0.0
                    event = read_event(raw.kind, raw.data)
                    if event is not None:
                        yield event
                    if isinstance(event, Ended):
                        return
            except BackendGone:
                if self._choice.endpoint is None:
                    raise  # a child that is gone does not come back
            except ProtocolError as error:
                raise self._gibberish() from error
            lost = lost or time.monotonic()
            if time.monotonic() - lost > _AWAY_S:
                raise self._gone()
            self._sleep(_RETRY_S)

    def _events(self, job: str, last_id: str) -> Iterator[ServerEvent]:
        decoder = SseDecoder()
        headers = {"Last-Event-ID": last_id} if last_id else {}
        for piece in self._stream("GET", f"/jobs/{job}/events", headers=headers):
            yield from decoder.feed(piece)

    def results(self, job: str) -> tuple[dict[str, Any], tuple[Finding, ...]]:
        """Return the provenance and the findings of a job that ended well."""
        try:
            finished: Finished = read(Finished, self._ask("GET", f"/jobs/{job}/results"))
            return finished.run.record(), finished.findings
        except ProtocolError as error:
            raise self._gibberish() from error

    def cancel(self, job: str) -> None:
        """Cancel a job, or forget one that is over; whether or not the backend still answers."""
        with suppress(BackendError, Stopped):
            self._ask("DELETE", f"/jobs/{job}", patient=True, timeout=_LAST_WORDS_S)

    def send(self, path: Path) -> str:
        """Send a raster file; return what ``inputs.scene`` calls it."""
        name = quote(path.name, safe="")
        with path.open("rb") as file:
            size = path.stat().st_size
            sent = self._ask("POST", f"/scenes?name={name}", body=file, size=size, timeout=_UPLOAD_S)
        try:
            return str(json.loads(sent)["scene"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._gibberish() from error

    @property
    def _endpoint(self) -> Endpoint:
        if self._address is None:
            raise Stopped
        return self._address

    def _start_child(self) -> None:
        if not self._choice.executable:
            raise BackendError(
                translate(
                    "Processing",
                    "No FUSAR-GPT backend was found. Install it outside QGIS with “pip install fusar-gpt” so that "
                    "“fusar” is on the PATH, set the variable FUSAR_EXECUTABLE, or name a server in the options.",
                )
            )
        try:
            self._address = self._open.enter_context(
                CHILD.lease(self._choice.executable, self._choice.model, self._stopped)
            )
        except ChildError as error:
            raise BackendError(str(error)) from error

    def _ask(self, method: str, path: str, **options: Any) -> bytes:
        return b"".join(self._stream(method, path, **options))

    def _stream(self, method: str, path: str, *, patient: bool = False, **options: Any) -> Iterator[bytes]:
        """Yield the pieces of an answer as they come: a thread waits for them, this one for the analyst."""
        headers = {"X-Client": self._choice.client, **options.pop("headers", {})}
        exchange = _Exchange(self._endpoint, method, path, headers, **options)
        try:
            while True:
                if not patient and self._stopped():
                    raise Stopped
                try:
                    said = exchange.said.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if said is None:
                    return
                if isinstance(said, bytes):
                    yield said
                elif isinstance(said, _Refused):
                    raise said
                else:
                    raise self._gone() from said
        finally:
            exchange.cut()

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._stopped():
                raise Stopped
            time.sleep(_POLL_S)

    def _gone(self) -> BackendGone:
        return BackendGone(
            translate(
                "Processing", "The backend at {url} does not answer. Check that it runs, then try again."
            ).replace("{url}", self._endpoint.url)
        )

    def _gibberish(self) -> BackendError:
        return BackendError(
            translate(
                "Processing",
                "The answer of {url} cannot be read. Install backend and plugin in the same version.",
            ).replace("{url}", self._endpoint.url)
        )


class _Refused(BackendError):  # noqa: N818 - an answer, not a fault
    """The backend answered with an error."""

    def __init__(self, status: int, body: bytes) -> None:
        if status == http.client.UNAUTHORIZED:
            words = translate("Processing", "The backend does not accept the token. Check it in the options.")
        else:
            problem = read_problem(body)
            words = (problem.detail if problem else "") or translate(
                "Processing", "The backend answered with HTTP {status}. Look at its log."
            ).replace("{status}", str(status))
        super().__init__(str(words))
        self.status = status


class _Exchange(threading.Thread):
    """One request and its answer; ``said`` brings bytes, then None, or else the error that ended it."""

    def __init__(
        self,
        endpoint: Endpoint,
        method: str,
        path: str,
        headers: dict[str, str],
        timeout: float = _SILENCE_S,
        body: Any = None,
        size: int | None = None,
    ) -> None:
        super().__init__(name=f"FUSAR-GPT {method}", daemon=True)
        self.said: queue.SimpleQueue[bytes | BaseException | None] = queue.SimpleQueue()
        parts = urlsplit(endpoint.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.hostname or "", parts.port, timeout=timeout)
        self._socket: socket.socket | None = None
        self._request = (method, parts.path + path, body)
        self._headers = {"Authorization": f"Bearer {endpoint.token}", **headers}
        if size is not None:
            self._headers |= {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        elif body is not None:
            self._headers["Content-Type"] = "application/json"
        self.start()

    def run(self) -> None:
        """Send the request, pass the answer on."""
        method, path, body = self._request
        try:
            self._connection.connect()
            self._socket = self._connection.sock
            self._connection.request(method, path, body, self._headers)
            with self._connection.getresponse() as answer:
                self._pass_on(answer)
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            self.said.put(error)  # ValueError and AttributeError: it was cut in mid-read
        finally:
            self._connection.close()

    def _pass_on(self, answer: http.client.HTTPResponse) -> None:
        # A redirect counts as a refusal: the token must not follow it to somebody else.
        if not 200 <= answer.status < 300:
            self.said.put(_Refused(answer.status, answer.read(_PIECE)))
            return
        piece = answer.read1(_PIECE)
        while piece:
            self.said.put(piece)
            piece = answer.read1(_PIECE)
        self.said.put(None)

    def cut(self) -> None:
        """End it now, wherever it is."""
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

"""The client's one session in this process: bounded in time and size, shared by threads."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import ee
import google_auth_httplib2
import httplib2
import requests
import urllib3
from google.auth.exceptions import GoogleAuthError, RefreshError
from googleapiclient.errors import Error as ApiError
from googleapiclient.errors import HttpError

from fusar_gpt.priors.earth_engine.config import EarthEngineConfig
from fusar_gpt.priors.earth_engine.sign_in import find_credentials, sign_in
from fusar_gpt.priors.failures import (
    EARTH_ENGINE_RULES,
    EXPIRED,
    IMPOSTOR,
    explain_connection,
    explain_status,
)
from fusar_gpt.priors.retry import Deadline, RetryPolicy, TransientError, Unavailable

T = TypeVar("T")

LARGEST = 64 * 2**20
"""Bytes of an answer; Earth Engine's own limit is 48 MB."""
NAME = "Earth Engine"
_CHUNK = 2**16

for _name in ("google", "googleapiclient"):  # they would print whole answers where nobody has set up logging
    logging.getLogger(_name).addHandler(logging.NullHandler())


@dataclass
class _Call:
    """What the thread that waits and the thread that works know of one call.

    Attributes:
        deadline: Of the call.
        status: The HTTP status that came last; 0 if none came.
    """

    deadline: Deadline
    status: int = 0

    def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises; its requests know of this call."""

        def in_thread() -> T:
            _here.call = self
            return work()

        return self.deadline.run(in_thread)


_here = threading.local()


class Transport:
    """The client's HTTP, in httplib2's form: an exchange ends in time, whole and of bounded size, or fails.

    The client's own deadline (``ee.data.setDeadline``) starts anew with each byte, has no say in
    ``Initialize``, and to set it repeats the discovery.

    Attributes:
        restricted: Whether Earth Engine last said that the project is over its quota and slowed down.
    """

    def __init__(self) -> None:
        self.restricted = False
        self._session = requests.Session()

    def request(
        self,
        uri: str,
        method: str = "GET",
        body: str | bytes | None = None,
        headers: dict[str, str] | None = None,
        **_options: Any,
    ) -> tuple[httplib2.Response, bytes]:
        """One exchange. Raises Unavailable, TransientError, TimeoutError."""
        call: _Call = _here.call
        call.deadline.check()
        try:
            with self._session.request(
                method, uri, data=body, headers=headers, timeout=call.deadline.left, stream=True,
                allow_redirects=False,
            ) as answer:  # fmt: skip
                call.status = answer.status_code
                content = _read(answer, call.deadline)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise explain_connection(error, uri) from error
        given = {name.lower(): value for name, value in answer.headers.items()}
        given.pop("x-earth-engine-init-message", None)  # the client would print it
        quota = given.pop("x-earth-engine-quota-status", "")  # and warn of this
        self.restricted = "parallelism_restricted=true" in quota
        return httplib2.Response({**given, "status": answer.status_code}), content


def _read(answer: requests.Response, deadline: Deadline) -> bytes:
    parts, size = [], 0
    while part := answer.raw.read1(_CHUNK, decode_content=True):
        deadline.check()
        size += len(part)
        if size > LARGEST:
            raise Unavailable(IMPOSTOR)
        parts.append(part)
    return b"".join(parts)


class _Client:
    """The library's global state: as whom it is signed in, and how many calls are under way."""

    def __init__(self) -> None:
        self.transport = Transport()
        self._gate = threading.Condition()
        self._owner: EarthEngineConfig | None = None
        self._calls = 0

    @contextlib.contextmanager
    def signed_in(self, config: EarthEngineConfig) -> Iterator[None]:
        """Within the block the library is ours, signed in as ``config`` says; who wants it otherwise waits."""
        deadline: Deadline = _here.call.deadline
        with self._gate:
            self._gate.wait_for(lambda: self._owner == config or not self._calls, deadline.left)
            deadline.check()  # to come after one that failed may have taken long
            if self._owner != config or not ee.data.is_initialized():
                self._owner = None
                self._initialize(config)
                self._owner = config
            self._calls += 1
        try:
            yield
        finally:
            with self._gate:
                self._calls -= 1
                self._gate.notify_all()

    def sign_out(self) -> None:
        """The next call signs in again: by then the user may have put right what is wrong."""
        self._owner = None  # without the gate, which another call may hold for long

    def _initialize(self, config: EarthEngineConfig) -> None:
        credentials, project = sign_in(config, google_auth_httplib2.Request(self.transport))
        ee.deprecation.deprecated_assets = {"_": None}  # else Initialize asks another server for a list
        ee.data.setMaxRetries(0)  # ours are bounded in time, and end when the user cancels
        try:
            ee.Initialize(credentials, url=config.url, project=project, http_transport=self.transport)
        except HttpError:
            raise
        except (ApiError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(IMPOSTOR) from error


_CLIENT = _Client()


def ask(config: EarthEngineConfig, work: Callable[[], T], retry: RetryPolicy) -> T:
    """What ``work`` gets from the library; asked again where that may help.

    Raises:
        Unavailable: Earth Engine does not answer in time or refuses; the message says what to do.
        PriorError: ``work`` says so.
        Cancelled: ``retry.cancelled()`` became true.
    """

    def signed_in() -> T:
        with _CLIENT.signed_in(config):
            return work()

    def attempt(deadline: Deadline) -> T:
        call = _Call(deadline)
        try:
            return call.run(signed_in)
        except (ee.EEException, ApiError, GoogleAuthError) as error:
            failure = _explain(error, call.status)
            if not isinstance(failure, TransientError):
                _CLIENT.sign_out()
            raise failure from error

    return retry.run(attempt, NAME)


def _explain(error: Exception, status: int) -> Unavailable:
    """The failure that the client's error stands for."""
    if isinstance(error, RefreshError) and status in (400, 401, 403):
        return Unavailable(EXPIRED)
    if isinstance(error, GoogleAuthError):
        return TransientError("Google's sign-in does not answer as it should: try again later.")
    reason = " ".join(str(error.reason if isinstance(error, HttpError) else error).split())
    return explain_status(EARTH_ENGINE_RULES, status, reason=reason)


def credentials_found(config: EarthEngineConfig, retry: RetryPolicy) -> tuple[str, str | None]:
    """What credentials there are, in words, and the project they name. Unavailable if there are none."""
    request = google_auth_httplib2.Request(_CLIENT.transport)

    def attempt(deadline: Deadline) -> tuple[str, str | None]:
        _, project, kind = _Call(deadline).run(lambda: find_credentials(config.credentials, request))
        return kind, project

    return retry.run(attempt, NAME)


def restricted() -> bool:
    """Whether Earth Engine last said that the project is over its quota."""
    return _CLIENT.transport.restricted

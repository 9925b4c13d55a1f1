"""The client's one session in this process: bounded in time and size, shared by threads, asked again with care."""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import ee
import google_auth_httplib2
import httplib2
import requests
import urllib3
from google.auth.exceptions import GoogleAuthError
from googleapiclient.errors import Error as ApiError
from googleapiclient.errors import HttpError

from fusar_gpt.priors.earth_engine.access import Access
from fusar_gpt.priors.earth_engine.pixels import Truncated
from fusar_gpt.priors.earth_engine.refusals import IMPOSTOR, explained
from fusar_gpt.priors.earth_engine.sign_in import found, sign_in
from fusar_gpt.priors.patience import POLL_S, Patience
from fusar_gpt.priors.tiles import Unavailable

T = TypeVar("T")

LARGEST = 64 * 2**20
"""Bytes of an answer; Earth Engine's own limit is 48 MB."""
_CHUNK = 2**16

for _name in ("google", "googleapiclient"):  # they would print whole answers where nobody has set up logging
    logging.getLogger(_name).addHandler(logging.NullHandler())


class Attempt:
    """One attempt to get something, known to the thread that works on it and the one that waits for it.

    Attributes:
        status: The last HTTP status.
    """

    def __init__(self, seconds: float) -> None:
        self.status = 0
        self._end = time.monotonic() + seconds
        self._given_up = threading.Event()

    def left(self) -> float:
        """Seconds left. TimeoutError if there are none, or nobody waits any more."""
        left = self._end - time.monotonic()
        if left <= 0 or self._given_up.is_set():
            raise TimeoutError("no time left")
        return left

    def result(self, work: Callable[[], T], patience: Patience) -> T:
        """What ``work`` gives, or raises, in a thread of its own, which nothing can keep us waiting for.

        Raises:
            TimeoutError: The time is up.
            Cancelled: The user has stopped waiting.
        """
        outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        threading.Thread(
            target=self._carry_out, args=(work, outcome), name="earth-engine", daemon=True
        ).start()
        try:
            while not outcome.done():
                patience.check()
                concurrent.futures.wait([outcome], min(POLL_S, self.left()))
        finally:
            self._given_up.set()
        return outcome.result()

    def _carry_out(self, work: Callable[[], T], outcome: concurrent.futures.Future[T]) -> None:
        _here.attempt = self
        try:
            outcome.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
            outcome.set_exception(error)


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
        """One exchange. Raises TimeoutError, ConnectionError, Unavailable."""
        attempt: Attempt = _here.attempt
        left = attempt.left()
        try:
            with self._session.request(
                method, uri, data=body, headers=headers, timeout=left, stream=True, allow_redirects=False
            ) as answer:
                attempt.status = answer.status_code
                content = _read(answer, attempt)
        except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
            raise TimeoutError("no answer") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionError("the connection broke") from error
        said = {name.lower(): value for name, value in answer.headers.items()}
        said.pop("x-earth-engine-init-message", None)  # the client would print it
        quota = said.pop("x-earth-engine-quota-status", "")  # and warn of this
        self.restricted = "parallelism_restricted=true" in quota
        return httplib2.Response({**said, "status": answer.status_code}), content


def _read(answer: requests.Response, attempt: Attempt) -> bytes:
    parts, size = [], 0
    while part := answer.raw.read1(_CHUNK, decode_content=True):
        attempt.left()
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
        self._owner: Access | None = None
        self._calls = 0

    @contextlib.contextmanager
    def signed_in(self, access: Access) -> Iterator[None]:
        """Within the block the library is ours, signed in as ``access``; who wants it otherwise waits."""
        left = _here.attempt.left
        with self._gate:
            if not self._gate.wait_for(lambda: self._owner == access or not self._calls, left()):
                raise TimeoutError("other calls take too long")
            left()  # to come after one that failed may have taken long
            if self._owner != access or not ee.data.is_initialized():
                self._owner = None
                self._initialize(access)
                self._owner = access
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

    def _initialize(self, access: Access) -> None:
        credentials, project = sign_in(access, google_auth_httplib2.Request(self.transport))
        ee.deprecation.deprecated_assets = {"_": None}  # else Initialize asks another server for a list
        ee.data.setMaxRetries(0)  # ours are bounded in time, and end when the user cancels
        try:
            ee.Initialize(credentials, url=access.url, project=project, http_transport=self.transport)
        except HttpError:
            raise
        except (ApiError, LookupError, TypeError, ValueError, AttributeError) as error:
            raise Unavailable(IMPOSTOR) from error


_CLIENT = _Client()


def ask(access: Access, work: Callable[[], T], patience: Patience) -> T:
    """What ``work`` gets from the library; asked again where that may help.

    Raises:
        Unavailable: Earth Engine does not answer in time or refuses; the message says what to do.
        PriorError: ``work`` says so.
        Cancelled: ``patience.cancelled()`` became true.
    """

    def signed_in() -> T:
        with _CLIENT.signed_in(access):
            return work()

    why, _ = explained(TimeoutError(), 0, access, patience)
    for left in patience.tries():
        attempt = Attempt(left)
        try:
            return attempt.result(signed_in, patience)
        except (ee.EEException, ApiError, GoogleAuthError, OSError, Truncated) as error:
            why, passing = explained(error, attempt.status, access, patience)
            if not passing:
                _CLIENT.sign_out()
                raise Unavailable(why) from error
    raise Unavailable(why)


def credentials_found(access: Access, patience: Patience) -> tuple[str, str | None]:
    """What credentials there are, in words, and the project they name. Unavailable if there are none."""
    request = google_auth_httplib2.Request(_CLIENT.transport)
    _, project, kind = Attempt(patience.deadline_s).result(
        lambda: found(access.credentials, request), patience
    )
    return kind, project


def restricted() -> bool:
    """Whether Earth Engine last said that the project is over its quota."""
    return _CLIENT.transport.restricted

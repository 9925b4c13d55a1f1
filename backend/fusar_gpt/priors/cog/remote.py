"""Files on a web server: addresses, credentials, how GDAL is told to read them, and one large download."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import requests
import urllib3

from fusar_gpt import __version__
from fusar_gpt.errors import PriorError
from fusar_gpt.priors.failures import COG_RULES, explain_connection, explain_status, host_of
from fusar_gpt.priors.retry import Deadline, TransientError, Unavailable

USER_AGENT = f"fusar-gpt/{__version__}"
GOOGLE = "https://storage.googleapis.com/"
LARGEST = 2 * 2**30
"""Bytes of a download."""

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_STALLED_S = 5  # a transfer below 1 kB/s is given up after this
_SLOWEST = 10 * 2**20  # bytes of a download that must come in each deadline
_CHUNK = 2**18
_REGION = re.compile(r"[a-z]{2}-[a-z]+-[0-9]")
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"


def web_address(root: str) -> str | None:
    """The https address of an ``https://``, ``gs://`` or ``s3://`` root; None for a local folder.

    A bucket of S3 without a region in its name is looked for in ``AWS_REGION``. PriorError for other addresses.
    """
    scheme, found, rest = root.rstrip("/").partition("://")
    if not found:
        return None
    if scheme in ("https", "http") and "?" not in rest:
        return f"{scheme}://{rest}"
    if scheme == "gs":
        return GOOGLE + rest
    if scheme == "s3":
        named = _REGION.match(rest)
        region = named[0] if named else os.environ.get("AWS_REGION", "us-east-1")
        return f"https://s3.{region}.amazonaws.com/{rest}"
    raise PriorError(
        f"COGs cannot be read from {scheme}://{'...?' if '?' in rest else ''}: give an https, s3 or gs address, "
        "or a folder."
    )


class GcsCredentials:
    """Headers for requests: none, or those of a Google Cloud project that pays for a requester-pays bucket.

    The credentials are those that Google's library finds, and are sent to Google alone.

    Args:
        web: Address of the files.
        project: Project that pays; None asks without an account.

    Raises:
        PriorError: A project is named for a server that is not Google's.
    """

    def __init__(self, web: str, project: str | None) -> None:
        if project and not web.startswith(GOOGLE):
            raise PriorError("Only Google's bucket takes an account and a project that pays: leave them out.")
        self._project = project
        self._lock = threading.Lock()
        self._credentials: Any = None

    def __str__(self) -> str:
        if self._project:
            return f"asked for the project {self._project}, which pays"
        return "asked without an account"

    def headers(self) -> dict[str, str]:
        """What goes with each request; asks for a token where one is due.

        Raises:
            Unavailable: There are no credentials, or they have expired.
        """
        if not self._project:
            return {}
        with self._lock:
            return {"Authorization": f"Bearer {self._token()}", "x-goog-user-project": self._project}

    def _token(self) -> str:
        try:
            import google.auth
            import google.auth.exceptions
            import google.auth.transport.requests
        except ImportError as error:
            raise Unavailable(
                "A project that pays needs google-auth: pip install 'fusar-gpt[ee]'."
            ) from error
        try:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=[_SCOPE])
            if not self._credentials.valid:
                self._credentials.refresh(google.auth.transport.requests.Request())
        except google.auth.exceptions.GoogleAuthError as error:
            raise Unavailable(
                "Google takes no credentials for the project that pays: gcloud auth application-default login."
            ) from error
        return str(self._credentials.token)


def gdal_path(url: str, seconds: float, headers: Mapping[str, str] | None = None) -> str:
    """The name under which GDAL reads a file: no listing, no side files, no retries, each request bounded in time.

    The headers are sent with each request, from GDAL 3.11 on. They may be secret, and with them the name.
    """
    options = {
        "list_dir": "no",
        "empty_dir": "yes",
        "max_retry": "0",
        "useragent": USER_AGENT,
        "timeout": math.ceil(seconds),
        "connecttimeout": math.ceil(min(seconds, 10)),
        "low_speed_time": math.ceil(min(seconds, _STALLED_S)),
        "low_speed_limit": 1000,
        **{f"header.{name}": value for name, value in (headers or {}).items()},
        "url": url,
    }
    return "/vsicurl?" + "&".join(f"{name}={quote(str(value), safe='')}" for name, value in options.items())


@contextlib.contextmanager
def _get(url: str, headers: Mapping[str, str], seconds: float) -> Iterator[requests.Response]:
    """A GET whose body is read as it comes. Raises Unavailable, TransientError if it may pass."""
    asked = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    try:
        with requests.get(url, headers=asked, timeout=seconds, stream=True) as response:
            if response.status_code not in (200, 206):
                raise explain_status(
                    COG_RULES, response.status_code, host=host_of(url), path=urlsplit(url).path
                )
            yield response
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise explain_connection(error, url) from error


def first_bytes(url: str, headers: Mapping[str, str], seconds: float) -> bytes:
    """The first 16 bytes of a file.

    Raises:
        MissingError: 404.
        TransientError: The server does not answer now.
        Unavailable: It will not give the file, however often it is asked.
    """
    with _get(url, {"Range": "bytes=0-15", **headers}, seconds) as response:
        content: bytes = response.raw.read(16)
    if response.status_code != 206:
        raise Unavailable(
            f"{host_of(url)} does not send parts of files: give another address, or a local folder."
        )
    return content


def examine(
    url: str, headers: Mapping[str, str], seconds: float, starts: tuple[bytes, ...] = TIFF
) -> Unavailable:
    """Why GDAL could not read a file that should start as one of ``starts``, learnt by a plain request for it."""
    try:
        content = first_bytes(url, headers, seconds)
    except Unavailable as error:
        return error
    host = host_of(url)
    if content.lstrip()[:1] == b"<":
        return Unavailable(
            f"{host} sends a web page in place of a file: a proxy or a login page may be in the way."
        )
    if content and not content.startswith(starts):
        return Unavailable(f"{host} sends something else in place of a file: check the address of the COGs.")
    return TransientError(f"{host} breaks off, or sends damaged files: try again later.")


def download(url: str, headers: Mapping[str, str], folder: Path, deadline: Deadline) -> Path:
    """Fetch a file of up to 2 GiB into a folder; what came of the same version before is not fetched again.

    One connection, or two where a part is here: the first tells which version the server has. The deadline is
    extended whenever another 10 MiB have come.

    Raises:
        TransientError: The connection breaks; another attempt goes on where it stopped.
        Unavailable: The server refuses, the file is too large, or the folder cannot be written.
        TimeoutError, Cancelled: As for ``Deadline.check``.
    """
    host = host_of(url)
    try:
        with _get(url, headers, _STALLED_S) as response:
            stamp = response.headers.get("ETag") or response.headers.get("Last-Modified", "")
            size = int(response.headers.get("Content-Length", -1))
            if size > LARGEST:
                raise Unavailable(
                    f"The index of {host} has {size >> 20} MB, too many for one: check the address."
                )
            part = folder / f"{hashlib.sha256(f'{url} {stamp}'.encode()).hexdigest()[:24]}.part"
            have = part.stat().st_size if stamp and part.exists() else 0
            if not 0 < have <= size:
                _save(response, part, deadline)
        if 0 < have < size:
            with _get(url, {**headers, "Range": f"bytes={have}-", "If-Range": stamp}, _STALLED_S) as response:
                _save(response, part, deadline)
    except TimeoutError:  # an OSError too
        raise
    except OSError as error:
        raise Unavailable(f"{folder} cannot be written ({error.strerror}): make room there.") from error
    if size >= 0 and part.stat().st_size != size:
        raise TransientError(f"{host} breaks off in the middle of the index: ask again, it goes on there.")
    return part


def _save(response: requests.Response, part: Path, deadline: Deadline) -> None:
    """Write what comes; 206 continues the file."""
    received = 0
    with part.open("ab" if response.status_code == 206 else "wb") as file:
        while chunk := response.raw.read1(_CHUNK):
            deadline.check()  # before the chunk is written: another attempt may write by now
            file.write(chunk)
            if file.tell() > LARGEST:
                raise Unavailable(f"The index of {host_of(response.url)} does not end: check the address.")
            received += len(chunk)
            if received > _SLOWEST:
                received = 0
                deadline.extend()

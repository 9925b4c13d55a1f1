"""One large file, once: goes on where it stopped, and stops where it is slower than it is worth."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import requests
import urllib3

from fusar_gpt.priors.cog.remote import USER_AGENT, check_status, host_of, unreachable
from fusar_gpt.priors.cog.turn import PassingError
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.tiles import Unavailable

LARGEST = 2 * 2**30
_SLOWEST = 10 * 2**20  # bytes that must come in each deadline
_CHUNK = 2**18
_SILENCE_S = 5.0


def download(url: str, headers: Mapping[str, str], folder: Path, patience: Patience) -> Path:
    """Fetches a file of up to 2 GiB into a folder; what came of the same version before is not fetched again.

    It may take longer than a tile as long as 10 MiB come in each deadline.

    Raises:
        Unavailable: The server refuses, the file is too large, or it comes too slowly.
        Cancelled: The user has stopped.
    """
    trouble: PassingError | None = None
    failures = 0
    while failures < patience.attempts:
        if failures:
            patience.wait(2.0 ** (failures - 2))
        fetched = Progress(patience)
        try:
            return _go_on(url, headers, folder, fetched)
        except PassingError as error:
            trouble, failures = error, 1 if fetched.bytes > _SLOWEST else failures + 1
        except OSError as error:
            raise Unavailable(f"{folder} cannot be written ({error.strerror}): make room there.") from error
    raise Unavailable(str(trouble))


class Progress:
    """Bytes of one connection. Raises PassingError when they come too slowly, and Cancelled."""

    def __init__(self, patience: Patience) -> None:
        self.bytes = 0
        self._patience = patience
        self._next = _SLOWEST
        self._until = time.monotonic() + patience.deadline_s

    def add(self, count: int, host: str) -> None:
        """Counts bytes that came."""
        self._patience.check()
        self.bytes += count
        if self.bytes >= self._next:
            self._next = self.bytes + _SLOWEST
            self._until = time.monotonic() + self._patience.deadline_s
        if time.monotonic() > self._until:
            raise PassingError(
                f"The index comes too slowly from {host}: ask again, it goes on where it stopped."
            )


def _go_on(url: str, headers: Mapping[str, str], folder: Path, progress: Progress) -> Path:
    """One connection, or two where a part is here: the first tells which version the server has."""
    host = host_of(url)
    try:
        with _asked(url, headers) as response:
            stamp = response.headers.get("ETag") or response.headers.get("Last-Modified", "")
            size = int(response.headers.get("Content-Length", -1))
            if size > LARGEST:
                raise Unavailable(f"The index of {host} has {size >> 20} MB, it is none: check the address.")
            part = folder / f"{hashlib.sha256(f'{url} {stamp}'.encode()).hexdigest()[:24]}.part"
            have = part.stat().st_size if stamp and part.exists() else 0
            if not 0 < have <= size:
                _save(response, part, progress, host)
        if 0 < have < size:
            with _asked(url, {**headers, "Range": f"bytes={have}-", "If-Range": stamp}) as response:
                _save(response, part, progress, host)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise unreachable(error, host) from error
    if size >= 0 and part.stat().st_size != size:
        raise PassingError(f"{host} breaks off in the middle of the index: ask again, it goes on there.")
    return part


@contextlib.contextmanager
def _asked(url: str, headers: Mapping[str, str]) -> Iterator[requests.Response]:
    asked = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **headers}
    with requests.get(url, headers=asked, timeout=_SILENCE_S, stream=True) as response:
        check_status(response.status_code, url)
        yield response


def _save(response: requests.Response, part: Path, progress: Progress, host: str) -> None:
    """Writes what comes; 206 continues the file."""
    with part.open("ab" if response.status_code == 206 else "wb") as file:
        while chunk := response.raw.read1(_CHUNK):
            file.write(chunk)
            if file.tell() > LARGEST:
                raise Unavailable(f"The index of {host} has no end, it is none: check the address.")
            progress.add(len(chunk), host)

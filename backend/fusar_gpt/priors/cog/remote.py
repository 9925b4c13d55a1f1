"""Files on a web server: their addresses, how GDAL is told to read them, and what is wrong in plain words."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import requests
import urllib3

from fusar_gpt import __version__
from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import MIRROR
from fusar_gpt.priors.cog.turn import PassingError
from fusar_gpt.priors.tiles import Unavailable

USER_AGENT = f"fusar-gpt/{__version__}"
GOOGLE = "https://storage.googleapis.com/"

TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_STALLED_S = 5  # a transfer below 1 kB/s is given up after this
_REGION = re.compile(r"[a-z]{2}-[a-z]+-[0-9]")


class MissingError(Unavailable):
    """There is no such file."""


def web_address(root: str) -> str | None:
    """The https address of an ``https://``, ``gs://`` or ``s3://`` root; None for a local folder.

    A bucket of S3 whose name tells no region is looked for in ``AWS_REGION``.

    Raises:
        PriorError: Another kind of address.
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


def gdal_path(url: str, seconds: float, headers: Mapping[str, str] | None = None) -> str:
    """The name under which GDAL reads a file, bounded in time; no listing, no side files, no retries of its own.

    Args:
        url: Of the file.
        seconds: Until one request is given up.
        headers: Sent with each request, from GDAL 3.11 on. They may be secret, and with them the name.
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


def first_bytes(url: str, headers: Mapping[str, str], seconds: float) -> bytes:
    """The first 16 bytes of a file.

    Raises:
        MissingError: 404.
        Unavailable: The server will not give it, however often it is asked.
        PassingError: It does not answer now.
    """
    host = host_of(url)
    asked = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", "Range": "bytes=0-15", **headers}
    try:
        with requests.get(url, headers=asked, timeout=seconds, stream=True) as response:
            check_status(response.status_code, url)
            content: bytes = response.raw.read(16)
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise unreachable(error, host) from error
    if response.status_code != 206:
        raise Unavailable(f"{host} does not send parts of files: give another address, or a local folder.")
    return content


def examine(
    url: str, headers: Mapping[str, str], seconds: float, starts: tuple[bytes, ...] = TIFF
) -> PassingError:
    """Asks plainly for a file that GDAL could not read, to learn why; returns what may pass, raises what will not.

    Args:
        url: Of the file.
        headers: Sent along.
        seconds: Until the server is given up.
        starts: How such a file may begin.

    Raises:
        Unavailable: It is no use to ask again.
    """
    try:
        content = first_bytes(url, headers, seconds)
    except PassingError as error:
        return error
    host = host_of(url)
    if content.lstrip()[:1] == b"<":
        raise Unavailable(
            f"{host} sends a web page in place of a file: a proxy or a login page may be in the way."
        )
    if content and not content.startswith(starts):
        raise Unavailable(f"{host} sends something else in place of a file: check the address of the COGs.")
    return PassingError(f"{host} breaks off, or sends damaged files: try again later.")


def check_status(status: int, url: str) -> None:
    """Says what an HTTP status means. Raises as ``first_bytes``."""
    host = host_of(url)
    if status in (404, 410):
        raise MissingError(f"{host} has no {urlsplit(url).path} ({status}): check the address of the COGs.")
    if status in (400, 401, 402, 403):
        raise Unavailable(
            f"{host} refuses to give files ({status}): it may want a project that pays (requester pays), "
            f"{MIRROR} does not."
        )
    if status == 429:
        raise PassingError(f"{host} gets too many requests (429): try again in some minutes.")
    if status >= 500 or status == 408:
        raise PassingError(f"{host} is in trouble ({status}): try again later.")
    if status not in (200, 206):
        raise Unavailable(f"{host} answers with {status}: check the address of the COGs.")


def unreachable(error: Exception, host: str) -> PassingError | Unavailable:
    """Why there was no answer at all."""
    if isinstance(error, requests.exceptions.SSLError):
        return Unavailable(f"{host} has a certificate that is not trusted: check the clock and the proxy.")
    if isinstance(error, (requests.Timeout, urllib3.exceptions.TimeoutError)):
        return PassingError(f"{host} does not answer: try again later, or set a longer deadline.")
    if isinstance(error, requests.ConnectionError):
        return PassingError(
            f"{host} cannot be reached: check the network, or give another address or a folder."
        )
    return PassingError(f"{host} breaks off, or sends damaged files: try again later.")


def host_of(url: str) -> str:
    """The server's name, all of an address that an error may show."""
    return urlsplit(url).hostname or "the server"

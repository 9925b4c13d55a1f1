"""The URL and token of a backend."""

from __future__ import annotations

import ipaddress
import json
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from ..contract import API


class EndpointError(ValueError):
    """What was read is not the address of a backend that this plugin can talk to."""


@dataclass(frozen=True)
class Endpoint:
    """A backend's base URL, without a slash at the end, and its bearer token."""

    url: str
    token: str = field(repr=False)

    @property
    def is_loopback(self) -> bool:
        """Whether the backend is on this computer, where no proxy may stand in between."""
        host = urlsplit(self.url).hostname or ""
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"


def endpoint(url: str, token: str) -> Endpoint:
    """Return the endpoint, or raise EndpointError when ``url`` is no http(s) address."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise EndpointError(url)
    return Endpoint(url.strip().rstrip("/"), token.strip())


def read_ready_line(line: bytes) -> Endpoint:
    """Read the one JSON line that ``fusar serve --child`` prints; raise EndpointError when it is not that."""
    try:
        ready = json.loads(line)
        if ready["api"] != API:
            raise EndpointError(f"api {ready['api']}")
        return endpoint(ready["url"], ready["token"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EndpointError(line.decode("utf-8", "replace").strip()) from error


def read_token(text: str) -> str:
    """Return the token of a token file: the JSON that ``fusar serve`` writes, or the bare token."""
    try:
        return str(json.loads(text)["token"])
    except (ValueError, KeyError, TypeError):
        return text.strip()

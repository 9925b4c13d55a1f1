"""Who may come in, and which files they may name: the token, the Host check, the size limit, the roots."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusar_gpt.errors import FusarError
from fusar_gpt.server.wire import problem

BODY_LIMIT = 2 * 1024 * 1024
OPEN_PATHS = frozenset({"/health"})

_HOST_HEADER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


class ServeError(FusarError):
    """The server cannot start as asked."""


class PathRefused(FusarError):  # noqa: N818 - a refusal, not a fault
    """The path is not one that this server may open."""


def is_loopback(host: str) -> bool:
    """Whether a host name or IP literal (without brackets) can only mean this machine."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def host_allowed(header: str, bound: str) -> bool:
    """Whether a Host header names this server, whatever the port (an SSH tunnel changes it).

    A page that rebinds its own DNS name to our address still sends that name, so names are matched exactly;
    an IP literal cannot be rebound and is fine where the server listens on every interface.

    Args:
        header: the Host header as sent.
        bound: the address the server was told to listen on.
    """
    match = _HOST_HEADER.fullmatch(header)
    if match is None:
        return False
    name = match[1].strip("[]").lower()
    if is_loopback(name) or name == bound.lower():
        return True
    if bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        return False
    if name == socket.gethostname().lower():
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Gate:
    """ASGI middleware: Host check, bearer token on every path but /health, and a limit on the body."""

    def __init__(self, app: ASGIApp, *, token: str, host: str) -> None:
        self._app = app
        self._token = token.encode("ascii")
        self._host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or answer it with 400, 401, 403 or 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not host_allowed(hosts[0], self._host):
            refusal = problem(403, "the Host header does not name this server; use its own address")
        elif scope["path"] not in OPEN_PATHS and not self._authorised(headers.getlist("authorization")):
            refusal = problem(
                401,
                "the bearer token is missing or wrong; send the token that this server was started with",
                headers={"WWW-Authenticate": "Bearer"},
            )
        else:
            await self._app(scope, _limited(receive), send)
            return
        await refusal(scope, receive, send)

    def _authorised(self, values: list[str]) -> bool:
        scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
        return scheme.lower() == "bearer" and secrets.compare_digest(token.encode("latin-1"), self._token)


def _limited(receive: Receive) -> Receive:
    """Count the body as it streams in: neither a false length nor a chunked body gets past the limit."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > BODY_LIMIT:
            raise HTTPException(413, f"the request is over {BODY_LIMIT // 1024} KiB; simplify the area")
        return message

    return limited


@dataclass(frozen=True)
class Roots:
    """The folders that clients may name files in, as real paths."""

    folders: tuple[Path, ...]

    @classmethod
    def of(cls, folders: Iterable[str | Path]) -> Roots:
        """Roots from folder names. Raises ServeError where one is not a folder."""
        resolved = []
        for folder in folders:
            path = Path(folder).expanduser()
            if not path.is_dir():
                raise ServeError(f"the root {folder} is not a folder; give --root an existing one")
            resolved.append(path.resolve())
        return cls(tuple(resolved))

    def resolve(self, text: str) -> Path:
        """The real path of a client's absolute path, symlinks followed.

        Raises PathRefused for URLs, GDAL's virtual paths, relative paths and whatever leads outside the roots
        (whether or not it exists: a refusal tells nothing about the disk), FusarError where nothing is there.
        """
        if "://" in text or text.startswith(("/vsi", "//", "\\\\")):
            raise PathRefused("URLs and virtual paths are not opened; give the absolute path of a local file")
        if not Path(text).is_absolute():
            raise PathRefused(f"{text!r} is not an absolute path; give the full path of a file on the server")
        try:
            real = Path(text).resolve()
        except (OSError, RuntimeError, ValueError) as error:
            raise PathRefused(f"{text!r} is not a usable path; check it for stray characters") from error
        if not any(real.is_relative_to(folder) for folder in self.folders):
            allowed = ", ".join(str(folder) for folder in self.folders)
            raise PathRefused(
                f"{text} is outside the folders that this server may read ({allowed}); "
                "move the file there or start the server with another --root"
            )
        if not os.access(real, os.R_OK):
            raise FusarError(f"{text} does not exist or cannot be read; check the path")
        return real


def check_token(token: str) -> str:
    """The token, when it can travel in a header. Raises ServeError otherwise."""
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]{16,512}", token):
        raise ServeError("the token must be 16 to 512 letters, digits or ._~+/=-; choose another one")
    return token


def write_token_file(path: Path, url: str, token: str) -> None:
    """Write url and token as JSON, readable by its owner alone from the first byte on, all or nothing.

    Raises ServeError where the file cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp creates with 0600 and never follows what an attacker left under the name.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump({"url": url, "token": token}, file)
            Path(name).replace(path)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ServeError(f"cannot write {path} ({error.strerror}); choose another --token-file") from error


def remove_token_file(path: Path, token: str) -> None:
    """Remove the token file at the end, unless another server has written its own there since."""
    try:
        if json.loads(path.read_text(encoding="utf-8")).get("token") == token:
            path.unlink()
    except (OSError, ValueError):
        return  # already gone, or no longer ours to judge

"""Access control: the bearer token, Host and Origin, limits on the request body, and which files may be named."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import os
import re
import socket
import tempfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fusar_gpt.contract import UPLOADED
from fusar_gpt.errors import FusarError
from fusar_gpt.server.tokens import ServeError, Tokens
from fusar_gpt.server.wire import problem

OPEN_PATHS = frozenset({"/health"})

BODY_LIMIT = 2 * 2**20
LARGER_BODIES: dict[str, int | None] = {"/v1/chat/completions": 48 * 2**20, "/scenes": None}
"""Limits in bytes that replace ``BODY_LIMIT``: images as base64, and scenes, whose route has its own limit."""
VALUES = 500_000
"""The most values of a body that may be larger: millions of empty lists take a hundred times their bytes as objects."""
REQUESTS = 1000
"""The most requests that are answered at a time, event streams included; /health is always answered."""
HOLDER = "fusar.holder"
"""Where the scope of a request has the holder of its token."""
SILENCE_S = 30.0
"""Longest pause in a request body."""
BODY_S = 120.0
"""Seconds in which a request body must arrive."""
LONGER_BODIES = {"/scenes": 4 * 3600.0}
"""Times in seconds that replace ``BODY_S``."""

_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST, PATCH, DELETE",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Last-Event-ID, X-Client",
    "Access-Control-Max-Age": "600",
}

_HOST_HEADER = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")


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
    """Whether a Host header names this server; the port is ignored, because an SSH tunnel changes it.

    This stops DNS rebinding: a web page that points its own DNS name to our address still sends that name, so names
    must match exactly. An IP literal cannot be rebound; any is accepted if the server listens on every interface.

    Args:
        header: The Host header as sent.
        bound: The address that the server listens on.
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
    """ASGI middleware: checks Host, Origin and, on every path but /health, the bearer token; limits the body.

    Browsers send an Origin header with requests of a page from another site. Only the configured origins are
    accepted; their answers get the CORS headers that let the page read them.
    """

    def __init__(self, app: ASGIApp, *, tokens: Tokens, host: str, origins: Collection[str] = ()) -> None:
        self._app = app
        self._tokens = tokens
        self._open = 0
        self._host = host
        self._origins = frozenset(origin.rstrip("/").lower() for origin in origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with 401 or 403; a body over its limits raises 408 or 413."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._wrong_site(headers)
        if refusal is None:
            if (origin := headers.get("origin")) is not None:
                send = _with_cors(send, origin)
            # A CORS preflight never carries the token.
            if scope["method"] == "OPTIONS" and origin and "access-control-request-method" in headers:
                refusal = Response(status_code=204, headers=_PREFLIGHT)
            elif scope["path"] not in OPEN_PATHS:
                refusal = self._not_let_in(scope, headers.getlist("authorization"))
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self._open += 1
        try:
            await self._app(scope, _limited(receive, scope["path"]), send)
        finally:
            self._open -= 1

    def _not_let_in(self, scope: Scope, values: list[str]) -> Response | None:
        scheme, _, token = (values[0] if len(values) == 1 else "").partition(" ")
        holder = self._tokens.holder(token.encode("latin-1")) if scheme.lower() == "bearer" else None
        if holder is None:
            return problem(
                401,
                "the bearer token is missing or wrong; send the token that this server was started with",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if self._open >= REQUESTS:
            return problem(
                503,
                f"the server answers {REQUESTS} requests already; try again",
                headers={"Retry-After": "2"},
            )
        scope[HOLDER] = holder
        return None

    def _wrong_site(self, headers: Headers) -> Response | None:
        hosts, origins = headers.getlist("host"), headers.getlist("origin")
        if len(hosts) != 1 or not host_allowed(hosts[0], self._host):
            return problem(403, "the Host header does not name this server; use its own address")
        if len(origins) > 1 or any(origin.lower() not in self._origins for origin in origins):
            return problem(403, "pages of this web origin may not call; start the server with --allow-origin")
        return None


def _with_cors(send: Send, origin: str) -> Send:
    """Add the CORS headers that let pages of the origin read the answer."""

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = "Location"
            headers.add_vary_header("Origin")
        await send(message)

    return sending


def _limited(receive: Receive, path: str) -> Receive:
    """Count and time the body as it arrives, whatever Content-Length says. Raises HTTPException 408 or 413."""
    limit = LARGER_BODIES.get(path, BODY_LIMIT)
    many = VALUES if path in LARGER_BODIES and limit is not None else None
    until = asyncio.get_running_loop().time() + LONGER_BODIES.get(path, BODY_S)
    seen, values, whole = 0, 0, False

    async def limited() -> Message:
        nonlocal seen, values, whole
        if whole:  # the next message is the disconnect, which may come any time later
            return await receive()
        left = until - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(receive(), max(0.0, min(left, SILENCE_S)))
        except asyncio.TimeoutError:
            raise HTTPException(
                408, "the request came too slowly; send it again", {"Connection": "close"}
            ) from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if limit is not None and seen > limit:
            raise HTTPException(413, f"the request is over {limit // 1024} KiB; simplify the area")
        if many is not None:
            values += sum(message.get("body", b"").count(mark) for mark in (b",", b"[", b"{"))
            if values > many:
                raise HTTPException(413, f"the request has over {many} values; send fewer messages")
        return message

    return limited


def _no_uploads(name: str) -> Path:
    raise PathRefused("this server keeps no uploaded scenes; give the absolute path of a file on the server")


@dataclass
class Roots:
    """The files that clients may name: those in some folders, and uploaded scenes.

    Attributes:
        folders: The folders, with symlinks resolved.
        uploads: Finds the file of an uploaded scene by its id; set by the routes of the scenes.
    """

    folders: tuple[Path, ...]
    uploads: Callable[[str], Path] = _no_uploads

    @classmethod
    def of(cls, folders: Iterable[str | Path]) -> Roots:
        """Roots from folder names. Raises ServeError if one is not a folder."""
        resolved = []
        for folder in folders:
            path = Path(folder).expanduser()
            if not path.is_dir():
                raise ServeError(f"the root {folder} is not a folder; give --root an existing one")
            resolved.append(path.resolve())
        return cls(tuple(resolved))

    def resolve(self, text: str) -> Path:
        """The file that a client names by an absolute path, symlinks resolved, or by ``scene:`` and an id.

        Raises PathRefused for URLs, GDAL's virtual paths, relative paths and every path outside the roots (whether
        or not it exists: a refusal tells nothing about the disk), FusarError if nothing readable is there.
        """
        if text.startswith(UPLOADED):
            return self.uploads(text.removeprefix(UPLOADED))
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
        # Only files and folders: reading a pipe or a device could block for ever.
        if not os.access(real, os.R_OK) or not (real.is_file() or real.is_dir()):
            raise FusarError(f"{text} does not exist or cannot be read; check the path")
        return real


def write_token_file(path: Path, url: str, token: str) -> None:
    """Write url and token as JSON, atomically and readable by the owner alone at all times.

    Raises ServeError if the file cannot be written.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp creates with mode 0600 and follows no symlink that an attacker left under the name.
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
    """Remove the token file, unless another server has written its own since."""
    try:
        if json.loads(path.read_text(encoding="utf-8")).get("token") == token:
            path.unlink()
    except (OSError, ValueError):
        return  # removed already, or no longer ours

"""A vLLM server: its address and key, its refusals in words, and questions that end at once when nobody waits."""

from __future__ import annotations

import http.client
import ipaddress
import json
import os
import socket
import ssl
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fusar_gpt.errors import FusarError
from fusar_gpt.retry import Deadline

ANSWER_BYTES = 32 * 2**20
"""The largest answer that is read."""

CONNECT_S = 10.0
_PASSING = (408, 425, 429, *range(500, 600))  # what another attempt may mend


class VllmError(FusarError):
    """The vLLM server, or what it answers, is not what is needed; ``status`` is that of HTTP where there was one."""

    status: int | None = None


class VllmUnavailable(VllmError):  # noqa: N818 - a state, not a fault
    """It does not answer now: not reachable, overloaded, or broken off in the middle. Another attempt may help."""


class VllmServer:
    """Sends JSON to one server and reads JSON. Every question has a connection of its own; redirects are not followed.

    Attributes:
        name: Host and port, for messages.
    """

    def __init__(self, url: str, token: str, *, http_anywhere: bool = False) -> None:
        """Nothing is opened yet.

        Args:
            url: Such as ``http://127.0.0.1:8000``, with or without ``/v1``.
            token: Its API key.
            http_anywhere: Whether the key may go to another machine without TLS.

        Raises:
            VllmError: The address is none, or names another machine without TLS.
        """
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise _no_address(url) from error
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.username:
            raise _no_address(url)
        self.name = parts.hostname if port is None else f"{parts.hostname}:{port}"
        if parts.scheme == "http" and not http_anywhere and not _is_loopback(parts.hostname):
            raise VllmError(
                f"{self.name} is another machine, and http would send the API key and what the model sees in the "
                "clear: give an https address, a tunnel to this machine, or --vllm-http"
            )
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname, port
        self._path = parts.path.rstrip("/").removesuffix("/v1")
        self._token = token

    def models(self, deadline: Deadline) -> dict[str, int | None]:
        """The names it serves, each with the longest context in tokens where it says so."""
        answer = self.ask("/v1/models", None, deadline)
        try:
            found = {str(one["id"]): one.get("max_model_len") for one in answer["data"]}
            return {name: None if length is None else int(length) for name, length in found.items()}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise VllmError(f"what answers at {self.name} is no vLLM server: check --vllm-url") from error

    def ask(self, path: str, content: dict[str, Any] | None, deadline: Deadline) -> dict[str, Any]:
        """The JSON object that answers a POST of ``content``, or a GET.

        The connection is cut at the deadline or once the user has stopped, which makes vLLM stop too.

        Raises:
            VllmUnavailable: Another attempt may help.
            VllmError: It refuses, in its words, or is no vLLM.
            Cancelled: The user has stopped.
            TimeoutError: The deadline is over.
        """
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_S, context=self._tls
            )
        sockets: list[socket.socket] = []
        try:
            status, body = deadline.run(lambda: self._exchange(connection, sockets, path, content, deadline))
        finally:
            _hang_up(connection, sockets)
        if status != 200:
            raise self._refusal(status, body)
        if len(body) > ANSWER_BYTES:
            raise VllmError(f"vLLM at {self.name} sends more than {ANSWER_BYTES >> 20} MiB: check --vllm-url")
        try:
            answer = json.loads(body)
        except ValueError as error:
            raise self._broken_off() from error
        if not isinstance(answer, dict):
            raise VllmError(f"what answers at {self.name} is no vLLM server: check --vllm-url")
        return answer

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        sockets: list[socket.socket],
        path: str,
        content: dict[str, Any] | None,
        deadline: Deadline,
    ) -> tuple[int, bytes]:
        """Status and body, in a thread that may be left behind; the open socket is added to ``sockets``."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        body = None if content is None else json.dumps(content).encode()
        try:
            connection.connect()
        except ssl.SSLCertVerificationError as error:
            raise VllmError(
                f"the certificate of vLLM at {self.name} is not trusted: check the address, or the certificates of "
                "this system"
            ) from error
        except OSError as error:
            raise VllmUnavailable(
                f"vLLM at {self.name} cannot be reached: look whether it runs, and check --vllm-url"
            ) from error
        sockets.append(connection.sock)
        try:
            connection.sock.settimeout(deadline.left + CONNECT_S)
            connection.request("GET" if body is None else "POST", self._path + path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(ANSWER_BYTES + 1)
        except (http.client.HTTPException, OSError) as error:
            raise self._broken_off() from error

    def _broken_off(self) -> VllmUnavailable:
        return VllmUnavailable(
            f"vLLM at {self.name} breaks off in the middle of an answer, or is none: look at its log, and check "
            "--vllm-url"
        )

    def _refusal(self, status: int, body: bytes) -> VllmError:
        """What a status stands for, with the server's own reason on one line."""
        reason = " ".join(_reason(body).split())[:200].rstrip(".")
        said = f" ({reason})" if reason else ""
        if status in _PASSING:
            error: VllmError = VllmUnavailable(
                f"vLLM at {self.name} gets too many requests ({status}): ask less at a time with --batch"
                if status == 429
                else f"vLLM at {self.name} is in trouble, {status}{said}: look at its log"
            )
        elif status in (401, 403):
            error = VllmError(
                f"vLLM at {self.name} refuses the API key ({status}): give the right one with --vllm-token-file or "
                "VLLM_API_KEY"
            )
        elif status == 404:
            error = VllmError(
                f"vLLM at {self.name} does not have what is asked for, 404{said}: check --vllm-url"
            )
        else:
            error = VllmError(f"vLLM at {self.name} refuses the question, {status}{said}")
        error.status = status
        return error


def read_token(file: Path | None) -> str:
    """The API key: from a file that holds nothing else, or ``VLLM_API_KEY``. VllmError when there is none."""
    if file is None:
        token = os.environ.get("VLLM_API_KEY", "").strip()
        where = "VLLM_API_KEY"
    else:
        try:
            token = file.expanduser().read_text(encoding="utf-8").strip()
        except (OSError, UnicodeError) as error:
            raise VllmError(f"cannot read the API key in {file}: name the file that holds it") from error
        where = str(file)
    if not token:
        raise VllmError(
            f"{where} holds no API key: start vLLM with --api-key KEY, and give it here by --vllm-token-file or "
            "VLLM_API_KEY"
        )
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise VllmError(f"{where} holds more than an API key: it must be one word of ASCII")
    return token


def _reason(body: bytes) -> str:
    """The message in vLLM's error, ``{"error": {"message": ...}}`` or ``{"error": "Unauthorized"}``; "" without one."""
    try:
        error = json.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return ""


def _hang_up(connection: http.client.HTTPConnection, sockets: list[socket.socket]) -> None:
    """End a connection even while another thread reads from it, which closing alone does not."""
    for sock in sockets:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    connection.close()


def _is_loopback(host: str) -> bool:
    try:
        return host.lower() == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _no_address(url: str) -> VllmError:
    return VllmError(f"{url!r} is not the address of a vLLM server: give one such as http://127.0.0.1:8000")

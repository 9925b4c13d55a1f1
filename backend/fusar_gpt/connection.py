"""HTTP requests to one server: its token, errors for refusals, and the decoding of event streams."""

from __future__ import annotations

import codecs
import getpass
import json
import os
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import requests

from fusar_gpt.errors import FusarError
from fusar_gpt.server.options import TOKEN_FILE

TIMEOUT = (10.0, 30.0)
"""Seconds to connect, and between bytes; a server that streams sends a ping every 10 s."""

_AWAY = (502, 503, 504)


class ServerError(FusarError):
    """The server refused, or the job failed; ``status`` is the HTTP status, None where there was no answer."""

    status: int | None = None


class Unreachable(ServerError):  # noqa: N818 - a state, not a fault
    """No server answers."""


class Connection:
    """Requests to one server, with its token."""

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        """Not opened before the first request. Raises ServerError where the file is missing.

        Args:
            url: Such as ``http://127.0.0.1:8765``.
            token: The server's bearer token.
            ca_file: Certificates (PEM) to trust instead of the usual ones.
        """
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update({"Authorization": f"Bearer {token}", "X-Client": own_name()})
        self._session.trust_env = False  # no proxy may see the token, and ~/.netrc must not replace it
        if ca_file is not None:
            if not ca_file.is_file():
                raise ServerError(f"{ca_file} does not exist; name a file of certificates (PEM)")
            self._session.verify = str(ca_file)

    def close(self) -> None:
        """Close it."""
        self._session.close()

    def json(
        self, method: str, path: str, timeout: tuple[float, float] = TIMEOUT, **options: Any
    ) -> dict[str, Any]:
        """The JSON object in the answer to a request."""
        with self.ask(method, path, timeout, **options) as reply:
            try:
                content: dict[str, Any] = reply.json()
            except ValueError as error:
                raise ServerError(
                    f"what answers at {self.url} is not fusar serve; check the address"
                ) from error
            return content

    def ask(
        self, method: str, path: str, timeout: tuple[float, float] = TIMEOUT, **options: Any
    ) -> requests.Response:
        """The answer to a request; the caller closes it.

        Raises:
            Unreachable: No server answers.
            ServerError: It refuses; in its own words.
        """
        try:
            reply = self._session.request(
                method,
                self.url + path,
                timeout=timeout,
                allow_redirects=False,  # the token goes to this server and nowhere else
                **options,
            )
        except requests.exceptions.SSLError as error:
            raise ServerError(f"the certificate of {self.url} is not trusted; name its CA file") from error
        except (requests.ConnectionError, requests.Timeout) as error:
            raise Unreachable(f"no server answers at {self.url}; start one with fusar serve") from error
        except (requests.RequestException, OSError) as error:
            raise ServerError(
                f"{self.url} cannot be asked ({type(error).__name__}); check the address"
            ) from error
        if reply.status_code not in range(200, 300):
            with reply:
                raise _refusal(reply)
        return reply

    def lost(self) -> Unreachable:
        """The error for a stream that broke off."""
        return Unreachable(f"lost the server at {self.url}; look whether it runs, then try again")


def _refusal(reply: requests.Response) -> ServerError:
    """The error that the server answered with."""
    try:
        detail = str(reply.json()["detail"])
    except (ValueError, KeyError, TypeError):
        detail = f"the server answered {reply.status_code}; look at its log"
    error = Unreachable(detail) if reply.status_code in _AWAY else ServerError(detail)
    error.status = reply.status_code
    return error


def decode_fields(chunks: Iterable[bytes]) -> Iterator[dict[str, str]]:
    """The fields of an event stream cut anywhere, even inside a character; events without data are dropped."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = ""
    for chunk in chunks:
        pending += decoder.decode(chunk)
        *blocks, pending = pending.split("\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
            if "data" in fields:
                yield fields


def decode_events(chunks: Iterable[bytes]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(id, event, data) of a job's event stream."""
    for fields in decode_fields(chunks):
        yield int(fields["id"]), fields["event"], json.loads(fields["data"])


def find_token(url: str, file: Path | None = None) -> str:
    """The token of a server: from a file, else the variable ``FUSAR_TOKEN``, else from ``fusar serve`` here.

    Args:
        url: The server's address; a token that ``fusar serve`` keeps for another one is not sent there.
        file: Holds the token alone, or what ``fusar serve`` has written.

    Raises:
        ServerError: There is none.
    """
    if file is not None:
        return str(read_token_file(file)["token"])
    if token := os.environ.get("FUSAR_TOKEN", "").strip():
        return token
    own = TOKEN_FILE.expanduser()
    if own.exists() and (said := read_token_file(own)).get("url") == url.rstrip("/"):
        return str(said["token"])
    raise ServerError(f"there is no token for {url}: give --token-file, or set FUSAR_TOKEN")


def read_token_file(path: Path) -> dict[str, Any]:
    """``token``, and the ``url`` where the file says it. Raises ServerError."""
    try:
        text = path.expanduser().read_text(encoding="utf-8").strip()
        said = json.loads(text) if text.startswith("{") else {"token": text}
        if said["token"] and said["token"].isascii() and said["token"].isprintable():
            return dict(said)
    except OSError as error:
        hint = "start fusar serve, or name another file"
        raise ServerError(f"cannot read the token in {path} ({error.strerror}); {hint}") from error
    except (ValueError, KeyError, AttributeError):
        pass
    raise ServerError(f"{path} holds no token; name the file that fusar serve has written")


def own_name() -> str:
    """Who takes turns with others at the server: a user of a machine, however many programs he runs."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # in a container whose user has no name
        user = "user"
    return f"{user}@{socket.gethostname()}".encode("ascii", "replace").decode("ascii")[:100]

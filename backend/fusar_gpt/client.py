"""A thin client of the HTTP door, for notebooks and scripts: ``Client(url, token).interpret({...})``."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import requests

from fusar_gpt.errors import FusarError

CONNECT_S = 10.0
SILENCE_S = 30.0  # the server pings every 10 s, so longer silence means that it is gone

Sent = tuple[str, dict[str, Any]]


class ServerError(FusarError):
    """The server refused, or cannot be reached."""


def decode_events(chunks: Iterable[bytes]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(id, event, data) of an event stream cut anywhere, even inside a character; comments are dropped."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    pending = ""
    for chunk in chunks:
        pending += decoder.decode(chunk)
        *blocks, pending = pending.split("\n\n")
        for block in blocks:
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and line[0] != ":")
            if "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])


class Client:
    """One server. Every method raises ServerError with the server's own one-line reason."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {token}"
        self._session.trust_env = False  # no proxy may see the token, and ~/.netrc must not replace it

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def info(self) -> dict[str, Any]:
        """GET /info."""
        return self._json("GET", "/info")

    def submit(self, inputs: Mapping[str, Any]) -> str:
        """Start a job; its id."""
        return str(self._json("POST", "/processes/interpret/execution", json={"inputs": inputs})["jobID"])

    def watch(self, job: str) -> Iterator[Sent]:
        """The (event, data) pairs of a job up to and with ``end``, across dropped connections."""
        seen = 0
        while True:
            before = seen
            try:
                headers = {"Last-Event-ID": str(seen)}
                with self._ask("GET", f"/jobs/{job}/events", headers=headers, stream=True) as reply:
                    for number, event, data in decode_events(reply.iter_content(None)):
                        seen = number
                        yield event, data
                        if event == "end":
                            return
            except requests.RequestException as error:
                if seen == before:
                    raise ServerError(f"lost the server at {self.url}; start it again") from error

    def interpret(self, inputs: Mapping[str, Any]) -> Iterator[Sent]:
        """Run a job and yield its (event, data) pairs; leaving the loop early cancels it."""
        job = self.submit(inputs)
        ended = False
        try:
            for event, data in self.watch(job):
                ended = event == "end"
                yield event, data
        finally:
            if not ended:
                with suppress(ServerError):  # a server that is gone has no job left to cancel
                    self.cancel(job)

    def results(self, job: str) -> dict[str, Any]:
        """The run and findings of a finished job."""
        return self._json("GET", f"/jobs/{job}/results")

    def cancel(self, job: str) -> None:
        """Stop a job."""
        self._json("DELETE", f"/jobs/{job}")

    def _json(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        with self._ask(method, path, **options) as reply:
            content: dict[str, Any] = reply.json()
            return content

    def _ask(self, method: str, path: str, **options: Any) -> requests.Response:
        try:
            reply = self._session.request(method, self.url + path, timeout=(CONNECT_S, SILENCE_S), **options)
        except requests.ConnectionError as error:
            raise ServerError(f"no server answers at {self.url}; start one with fusar serve") from error
        if not reply.ok:
            with reply:
                problem = "problem+json" in reply.headers.get("Content-Type", "")
                raise ServerError(
                    reply.json()["detail"] if problem else f"the server answered {reply.status_code}"
                )
        return reply

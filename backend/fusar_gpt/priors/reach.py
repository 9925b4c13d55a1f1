"""Whether the servers of priors answer at all: asked once a run, all side by side, for a few seconds at most."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future

import requests

from fusar_gpt.priors.failures import explain_connection, host_of
from fusar_gpt.priors.retry import Deadline, Unavailable

REACH_S = 3.0
"""Seconds after which a server that sends nothing at all counts as unreachable."""


class Reach:
    """Asks each server for the head of its address; any answer counts, whatever its status.

    Args:
        addresses: URL by the name of the source.
        cancelled: Whether the user has stopped waiting.
        seconds: Longest wait, for all of them together.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        cancelled: Callable[[], bool] = lambda: False,
        seconds: float = REACH_S,
    ) -> None:
        self._addresses = addresses
        self._cancelled = cancelled
        self._seconds = seconds
        self._asked: dict[str, Future[None]] = {}
        self._deadline: Deadline | None = None

    def known(self, name: str) -> bool:
        """Whether the server has answered; where none has been asked yet, they are, and nobody waits."""
        self._start()
        asked = self._asked[name]
        return asked.done() and asked.exception() is None

    def check(self, name: str) -> None:
        """Wait until the server has answered.

        Raises:
            Unavailable: It does not, within ``seconds`` since the first was asked.
            Cancelled: The user stopped waiting.
        """
        deadline = self._start()
        try:
            deadline.wait([self._asked[name]])
        except TimeoutError:
            host = host_of(self._addresses[name])
            raise Unavailable(
                f"{host} does not answer within {self._seconds:g} s: check the network or the proxy."
            ) from None

    def _start(self) -> Deadline:
        if self._deadline is None:
            self._deadline = Deadline(self._seconds, self._cancelled)
            for name, url in self._addresses.items():
                self._asked[name] = Future()
                work = (url, self._asked[name], self._seconds)
                threading.Thread(target=_ask, args=work, name="prior-reach", daemon=True).start()
        return self._deadline


def _ask(url: str, answer: Future[None], seconds: float) -> None:
    """In a thread of its own, for the look-up of a name has no time limit."""
    try:
        requests.head(url, timeout=seconds, allow_redirects=False).close()
    except requests.RequestException as error:
        answer.set_exception(explain_connection(error, url))
    else:
        answer.set_result(None)

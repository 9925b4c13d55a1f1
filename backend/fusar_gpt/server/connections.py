"""Limits on connections, so that those which send nothing, or slowly, keep nobody else out.

uvicorn waits for the head of a request for ever. Here a head must come within ``HEAD_S``, and where there are too many
connections those go that have waited longest without a request. A request that is being answered is never cut.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

try:
    import resource
except ImportError:  # Windows, which has no such limit
    resource = None  # type: ignore[assignment]

HEAD_S = 10.0
"""Seconds in which the head of a request must come, from the connection or the last answer on; and a TLS handshake."""
CONNECTIONS = 2000
"""The most connections; half of the files that the process may open, where that is less."""
WAITING = 256
"""The most connections of one address that wait for a request."""
FILES = 65536
"""Open files that the server asks for, where the system lets it."""

_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}
"""When a peer that answers nothing is taken for gone: seconds, a number of probes, and milliseconds."""


def raise_file_limit() -> int:
    """Let the process open as many files as the system allows, up to ``FILES``; how many that is."""
    if resource is None:
        return FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(hard, FILES)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return max(soft, wanted)


class IdleConnections:
    """The connections of one server that wait for a request, the longest first."""

    def __init__(self, most: int = CONNECTIONS, most_waiting: int = WAITING) -> None:
        """No connections; at most ``most`` in all, and ``most_waiting`` of one address without a request."""
        self._most, self._most_waiting = most, most_waiting
        self._waiting: dict[str, dict[GuardedProtocol, None]] = {}

    def join(self, connection: GuardedProtocol, total: int) -> None:
        """Take in a connection that waits; ``total`` is the number of all. Those that are too many are cut."""
        mine = self._waiting.setdefault(connection.address, {})
        mine[connection] = None
        if len(mine) > self._most_waiting or (total > self._most and len(mine) > 1):
            self._cut(mine)
        elif total > self._most:
            self._cut(max(self._waiting.values(), key=len))

    def leave(self, connection: GuardedProtocol) -> None:
        """Forget a connection: its request has come, or it was closed."""
        mine = self._waiting.get(connection.address, {})
        mine.pop(connection, None)
        if not mine:
            self._waiting.pop(connection.address, None)

    def _cut(self, connections: dict[GuardedProtocol, None]) -> None:
        oldest = next(iter(connections))
        self.leave(oldest)
        oldest.transport.abort()


class GuardedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with a time limit for the head of a request."""

    def __init__(self, idle: IdleConnections, **options: Any) -> None:
        """As uvicorn makes it, by keywords; ``idle`` is shared by all connections of a server."""
        super().__init__(**options)
        self._idle = idle
        self._late: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """The client's address."""
        return self.client[0] if self.client else ""

    @property
    def serving(self) -> bool:
        """Whether a request is being answered."""
        return self.cycle is not None and not self.cycle.response_complete

    @property
    def receiving(self) -> bool:
        """Whether a request is being answered whose body has not come completely."""
        return self.serving and self.cycle.more_body

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request."""
        super().connection_made(transport)
        _notice_dead_peers(transport.get_extra_info("socket"))
        self._follow()

    def data_received(self, data: bytes) -> None:
        """Take in bytes."""
        super().data_received(data)
        self._follow()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._follow()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _follow(self) -> None:
        if self.serving or self.transport.is_closing():
            self._stop_waiting()
        elif self._late is None:
            self._late = self.loop.call_later(HEAD_S, self.transport.abort)
            self._idle.join(self, len(self.connections))

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
            self._idle.leave(self)


def _notice_dead_peers(connection: socket.socket | None) -> None:
    """Have the system close a connection whose peer is gone without a word, or takes nothing any more."""
    if connection is None:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _ALIVE.items():
        if (option := getattr(socket, name, None)) is not None:  # not every system has each
            connection.setsockopt(socket.IPPROTO_TCP, option, value)

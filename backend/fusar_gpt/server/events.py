"""What a job has told so far, for any number of clients that come late, come back or are slow."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable

from fusar_gpt.server import wire
from fusar_gpt.server.journal import Journal

TAIL = 256
"""The latest events, kept in memory for those who watch as it happens; older ones are read from the journal."""


class EventLog:
    """The numbered events of one job. Writing never waits for a watcher."""

    def __init__(self, journal: Journal, job: str, *, ended: bool) -> None:
        """The log as the journal has it; ``ended`` where its last event is there."""
        self.count = journal.event_count(job)
        self._journal = journal
        self._job = job
        self._ended = ended
        self._left = False
        self._tail: deque[bytes] = deque(maxlen=TAIL)
        self._lock = threading.Lock()
        self._wakes: set[Callable[[], object]] = set()

    @property
    def latest(self) -> bytes:
        """The event that was told last in this life of the server."""
        return self._tail[-1]

    def tell(self, event: bytes, *, last: bool = False) -> None:
        """Take in the next event, which is in the journal, and wake who watches."""
        with self._lock:
            self._tail.append(event)
            self.count += 1
            self._ended = last
        self._wake()

    def leave(self) -> None:
        """Send the watchers away: there is more to come, but not from this server."""
        self._left = True
        self._wake()

    async def watch(self, after: int, heartbeat_s: float) -> AsyncIterator[bytes]:
        """The events with numbers above ``after``, as they come, up to and with the last; pings in between."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def wake() -> object:
            return loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._wakes.add(wake)
        try:
            while True:
                news.clear()
                over = self._ended or self._left  # looked at first: what comes later sets ``news``
                while fresh := await self._since(after):
                    for event in fresh:
                        yield event
                    after += len(fresh)
                if over:
                    return
                try:
                    await asyncio.wait_for(news.wait(), heartbeat_s)
                except asyncio.TimeoutError:
                    yield wire.PING
        finally:
            with self._lock:
                self._wakes.discard(wake)

    async def _since(self, after: int) -> list[bytes]:
        """The next events above ``after``; not always all of them."""
        with self._lock:
            kept = self.count - len(self._tail)
            if after >= kept:
                return list(self._tail)[after - kept :]
        return await asyncio.to_thread(self._journal.events, self._job, after)

    def _wake(self) -> None:
        with self._lock:
            wakes = list(self._wakes)
        for wake in wakes:
            wake()

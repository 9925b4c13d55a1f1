"""Whose turn it is: a queue in which clients take turns, however many items each of them has in it."""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Items wait in the line of their client; the clients' lines are served round robin. Thread-safe.

    A client that comes to a queue of n others waits for n items at most, whatever is behind them.
    """

    def __init__(self) -> None:
        self._lines: dict[str, deque[T]] = {}  # no line is empty; the next one in turn comes first
        self._news = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._news:
            return sum(len(line) for line in self._lines.values())

    def waiting(self, client: str) -> int:
        """How many items of a client wait."""
        with self._news:
            return len(self._lines.get(client, ()))

    def put(self, client: str, item: T) -> None:
        """Let an item wait at the end of its client's line."""
        with self._news:
            self._lines.setdefault(client, deque()).append(item)
            self._news.notify()

    def take(self) -> T | None:
        """The next item; waits for one, and is None once the queue is closed."""
        with self._news:
            self._news.wait_for(lambda: self._lines or self._closed)
            if self._closed:
                return None
            client = next(iter(self._lines))
            line = self._lines.pop(client)
            item = line.popleft()
            if line:
                self._lines[client] = line  # at the end: all others come first
            return item

    def remove(self, client: str, item: T) -> None:
        """Take an item out of its line, if it is there."""
        with self._news:
            line = self._lines.get(client, deque())
            if item in line:
                line.remove(item)
            if not line:
                self._lines.pop(client, None)

    def close(self) -> None:
        """Let nobody wait any more; what is in the queue stays there."""
        with self._news:
            self._closed = True
            self._news.notify_all()

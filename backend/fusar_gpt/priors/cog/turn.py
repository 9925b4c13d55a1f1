"""One try at a tile: work in the background that is waited for, but never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Lock
from typing import Any, TypeVar

from fusar_gpt.priors.patience import POLL_S, Patience

T = TypeVar("T")


class PassingError(Exception):
    """A failure that another try may mend. Its text is for the user."""


@dataclass(frozen=True)
class Turn:
    """A try, and what is known of how long it may take.

    Attributes:
        pool: Where its work is done.
        until: When it is given up, of ``time.monotonic()``.
        patience: Who may stop it.
    """

    pool: ThreadPoolExecutor
    until: float
    patience: Patience

    @property
    def left(self) -> float:
        """The seconds left, above zero so that it can be a time-out."""
        return max(self.until - time.monotonic(), 0.001)

    def run(self, job: Callable[[], T]) -> T:
        """What a job returns or raises. TimeoutError and Cancelled leave it behind."""
        future = self.pool.submit(job)
        self.wait([future])
        return future.result()

    def wait(self, futures: Sequence[Future[Any]], stop: Event | None = None) -> None:
        """Waits until all are done or one has failed.

        Args:
            futures: Work in the pool.
            stop: Set when they are left behind.

        Raises:
            TimeoutError: It is too late.
            Cancelled: The user has stopped.
        """
        pending: Sequence[Future[Any]] | set[Future[Any]] = futures
        try:
            while pending:
                self.check()
                done, pending = wait(pending, POLL_S, FIRST_EXCEPTION)
                if any(future.exception() for future in done):
                    break
        finally:
            if pending and stop:
                stop.set()
            for future in pending:
                future.cancel()

    def check(self) -> None:
        """Raises TimeoutError when it is too late, and Cancelled when the user has stopped."""
        self.patience.check()
        if time.monotonic() > self.until:
            raise TimeoutError

    @contextmanager
    def holding(self, lock: Lock) -> Iterator[None]:
        """A lock that is waited for no longer than the try."""
        while not lock.acquire(timeout=POLL_S):
            self.check()
        try:
            yield
        finally:
            lock.release()

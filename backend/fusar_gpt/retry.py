"""How long a server or a source is waited for, and how often it is tried again: one policy, one deadline, for all."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fusar_gpt.errors import Cancelled, FusarError

T = TypeVar("T")

_POLL_S = 0.05  # between two looks at whether the user has cancelled


class TransientError(FusarError):
    """A failure that another attempt may mend."""


class Deadline:
    """The time limit of one piece of work, shared by the thread that waits and the threads that work.

    Args:
        seconds: Time limit, from now.
        cancelled: Whether the user has stopped waiting.
        progress: Called whenever the time is extended.
    """

    def __init__(
        self,
        seconds: float,
        cancelled: Callable[[], bool] = lambda: False,
        progress: Callable[[], None] = lambda: None,
    ) -> None:
        self.seconds = seconds
        self.extended = False
        self.cancelled = cancelled
        self._progress = progress
        self._given_up = False
        self._end = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds left, at least a millisecond, so that it can be used as a time-out."""
        return max(self._end - time.monotonic(), 0.001)

    @property
    def over(self) -> bool:
        """Whether the time is up, or nobody waits any more."""
        return self._given_up or time.monotonic() >= self._end

    def extend(self) -> None:
        """Start the time again, because the work makes progress."""
        self.extended = True
        self._end = time.monotonic() + self.seconds
        self._progress()

    def give_up(self) -> None:
        """End it now, so that threads still at work stop at their next ``check``."""
        self._given_up = True

    def check(self) -> None:
        """Raise Cancelled when the user has stopped, and TimeoutError when the time is up."""
        if self.cancelled():
            raise Cancelled("cancelled")
        if self.over:
            raise TimeoutError("no time left")

    def sleep(self, seconds: float) -> None:
        """Wait. Raises as ``check``."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, self.left, _POLL_S))
        self.check()

    def run(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises, in a thread of its own, which is left behind at the deadline.

        It is a daemon: it does not keep the process from ending.
        """
        future: Future[T] = Future()

        def fulfil() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again in the thread that waits
                future.set_exception(error)

        threading.Thread(target=fulfil, name="attempt", daemon=True).start()
        self.wait([future])
        return future.result()

    def wait(self, futures: Sequence[Future[Any]]) -> None:
        """Wait until all futures are done, or raise what the first that fails raises.

        Raises:
            TimeoutError: The time is up.
            Cancelled: The user has stopped.
        """
        pending: Sequence[Future[Any]] | set[Future[Any]] = futures
        while pending:
            done, pending = wait(pending, min(_POLL_S, self.left), FIRST_EXCEPTION)
            for future in done:
                future.result()
            if pending:
                self.check()

    @contextmanager
    def holding(self, lock: threading.Lock) -> Iterator[None]:
        """Hold a lock, waiting for it no longer than the deadline."""
        while not lock.acquire(timeout=_POLL_S):
            self.check()
        try:
            yield
        finally:
            lock.release()


@dataclass(frozen=True)
class RetryPolicy:
    """How long and how often something is tried for one result.

    Attributes:
        deadline_s: Seconds until it is given up, all attempts together.
        attempts: How often it is tried at most, if ``transient`` is what it fails with.
        cancelled: Whether the user has stopped waiting.
        progress: Called whenever work on the result makes progress, and may take longer therefore.
        transient: The kind of failure that another attempt may mend.
    """

    deadline_s: float = 30.0
    attempts: int = 4
    cancelled: Callable[[], bool] = lambda: False
    progress: Callable[[], None] = lambda: None
    transient: type[FusarError] = TransientError

    def deadline(self) -> Deadline:
        """A time limit of ``deadline_s`` from now."""
        return Deadline(self.deadline_s, self.cancelled, self.progress)

    def run(self, work: Callable[[Deadline], T], who: str) -> T:
        """What ``work`` returns. After a transient failure it is tried again, in about 0.5, 1, 2, ... s.

        Args:
            work: One attempt. It may ``extend`` the deadline; the attempts are then counted anew.
            who: The source's name, for the message.

        Raises:
            FusarError: Of the kind ``transient`` where the time or the attempts are used up; else what ``work`` raises.
            Cancelled: The user has stopped.
        """
        deadline = self.deadline()
        failure = self.transient(
            f"{who} gave no answer in {self.deadline_s:g} s: try again later, or set a longer deadline."
        )
        failures = 0
        try:
            while failures < self.attempts:
                deadline.sleep(2.0 ** (failures - 2) * random.uniform(0.5, 1.5) if failures else 0)  # noqa: S311
                deadline.extended = False
                try:
                    return work(deadline)
                except self.transient as error:
                    deadline.check()  # an attempt that the deadline broke off has no better reason
                    failure, failures = error, 1 if deadline.extended else failures + 1
        except TimeoutError:
            pass
        finally:
            deadline.give_up()
        raise failure

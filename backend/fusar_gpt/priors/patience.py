"""How long a source of priors is waited for, and how often it is asked again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from fusar_gpt.errors import Cancelled

POLL_S = 0.05


@dataclass(frozen=True)
class Patience:
    """The patience with one tile.

    Attributes:
        deadline_s: Seconds until the source is given up.
        attempts: How often it is asked at most.
        cancelled: Whether the user has stopped waiting.
    """

    deadline_s: float = 30.0
    attempts: int = 4
    cancelled: Callable[[], bool] = field(default=lambda: False)

    def tries(self) -> Iterator[float]:
        """The seconds left at each attempt; between them it waits about 0.5, 1, 2, ... s, jittered by half.

        Ends when the attempts or the time are used up. Raises Cancelled.
        """
        end = time.monotonic() + self.deadline_s
        for attempt in range(self.attempts):
            if attempt:
                self.wait(min(2.0 ** (attempt - 2) * random.uniform(0.5, 1.5), end - time.monotonic()))  # noqa: S311
            self.check()
            left = end - time.monotonic()
            if left <= 0:
                return
            yield left

    def wait(self, seconds: float) -> None:
        """Sleeps, unless it is cancelled: then Cancelled."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.check()
            time.sleep(min(left, POLL_S))

    def check(self) -> None:
        """Raises Cancelled when the user has stopped."""
        if self.cancelled():
            raise Cancelled("cancelled")

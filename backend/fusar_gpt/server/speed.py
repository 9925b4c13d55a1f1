"""How fast jobs are answered on this machine, so that the next one can be told how long it takes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from fusar_gpt.contract import Event, Progress, Started
from fusar_gpt.tasks import Task


class Speed:
    """Seconds a question of each task, as the last job of that task took them. Thread-safe."""

    def __init__(self) -> None:
        self._pace: dict[Task, float] = {}
        self._lock = threading.Lock()

    def timed(self, task: Task, events: Iterator[Event]) -> Iterator[Event]:
        """The events of a job, its chips timed; one that is cancelled counts for what it did."""
        began, questions = time.monotonic(), 1
        for event in events:
            if isinstance(event, Started):
                began, questions = time.monotonic(), max(1, len(event.run.targets))
            elif isinstance(event, Progress) and event.done:
                with self._lock:
                    self._pace[task] = (time.monotonic() - began) / (event.done * questions)
            yield event

    def seconds(self, task: Task, questions: int) -> float | None:
        """How long so many questions take; None where none of the task was answered yet."""
        with self._lock:
            pace = self._pace.get(task)
        return None if pace is None else round(pace * questions, 1)

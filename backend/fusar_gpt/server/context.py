"""What the routes of the HTTP door share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.engine import Batcher, Engine
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server.jobs import Jobs
from fusar_gpt.server.options import Options
from fusar_gpt.server.security import Roots
from fusar_gpt.server.speed import Speed

CLOSE_S = 1.0


class SharedEngine:
    """The one engine, loaded by whoever needs it first; any number of threads may ask it at a time."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._batcher: Batcher | None = None
        self._loading = threading.Lock()

    def __call__(self) -> Batcher:
        """The engine; the first caller waits while it loads, and a load that failed is tried again."""
        with self._loading:
            if self._batcher is None:
                self._batcher = Batcher(self._load())
            return self._batcher

    @property
    def loaded(self) -> bool:
        """Whether there is an engine by now."""
        return self._batcher is not None

    def close(self) -> None:
        """Stop at the next token."""
        if self._batcher is not None:
            self._batcher.close(CLOSE_S)


@dataclass(frozen=True)
class Context:
    """What every ``router(context)`` may use.

    Attributes:
        info: What ``GET /info`` answers; ``models`` are the cards that a request may name.
        engine: Call it in a worker thread; it may have to load first.
        jobs: The jobs.
        roots: The folders that clients may name files in.
        state: The folder of what outlives the server: the journal, uploaded scenes.
        settings: How priors are fetched.
        options: The server's own settings.
        heartbeat_s: Seconds of silence after which an event stream gets a ping.
        speed: How fast the last jobs were.
    """

    info: dict[str, Any]
    engine: SharedEngine
    jobs: Jobs
    roots: Roots
    state: Path
    settings: PriorSettings
    options: Options
    heartbeat_s: float
    speed: Speed

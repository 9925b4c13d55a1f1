"""What the routes of the HTTP API share."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from fusar_gpt.engine import Batcher, Engine
from fusar_gpt.model import Card
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server.jobs import Jobs, TaskTimes
from fusar_gpt.server.metrics import Metrics
from fusar_gpt.server.options import Options
from fusar_gpt.server.searcher import Searcher
from fusar_gpt.server.security import Roots

CLOSE_S = 1.0


class SharedEngine:
    """The one engine of the server, loaded by the first caller; any number of threads may use it at a time."""

    def __init__(self, load: Callable[[], Engine]) -> None:
        self._load = load
        self._batcher: Batcher | None = None
        self._loading = threading.Lock()

    def __call__(self) -> Batcher:
        """The engine. The first call blocks while it loads; a load that failed is tried again by the next call."""
        with self._loading:
            if self._batcher is None:
                self._batcher = Batcher(self._load())
            return self._batcher

    def close(self) -> None:
        """Stop at the next token."""
        if self._batcher is not None:
            self._batcher.close(CLOSE_S)


@dataclass(frozen=True)
class Context:
    """What every ``router(context)`` may use.

    Attributes:
        info: What ``GET /info`` answers; ``models`` are the cards that a request may name.
        engine: The engine. Call it in a worker thread: it may have to load first.
        jobs: The jobs.
        roots: The folders that clients may name files in.
        state: The folder of what outlives the server: the journal and the uploaded scenes.
        settings: How priors are fetched.
        options: The server's own settings.
        heartbeat_s: Seconds of silence after which an event stream gets a ping.
        times: How long the last job of each task took.
        metrics: What Prometheus reads.
        searcher: Runs searches.
    """

    info: dict[str, Any]
    engine: SharedEngine
    jobs: Jobs
    roots: Roots
    state: Path
    settings: PriorSettings
    options: Options
    heartbeat_s: float
    times: TaskTimes
    metrics: Metrics
    searcher: Searcher

    def card(self, name: str | None = None) -> dict[str, Any] | None:
        """The card of the model of that name, or of the first one; None if the server does not run it."""
        return next((card for card in self.info["models"] if name in (None, card["name"])), None)

    def model_card(self, name: str | None = None) -> Card | None:
        """The same as a :class:`Card`; None if the server does not run it or does not describe it."""
        shown = self.card(name) or {}
        try:
            return Card(**{field.name: shown[field.name] for field in fields(Card) if field.name in shown})
        except TypeError:
            return None

    def unknown_model(self, name: str) -> str:
        """The error message for a model that the server does not run."""
        served = ", ".join(card["name"] for card in self.info["models"])
        return f"this server does not run {name[:100]!r}; it runs: {served}"

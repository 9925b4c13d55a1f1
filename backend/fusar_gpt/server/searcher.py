"""Searches as a server runs them: with its encoders, of scenes that its clients may name."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

from fusar_gpt.contract import Event, Finished, SearchPlan, SearchRequest
from fusar_gpt.imagery import RasterPolicy
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.retrieval.encoder import Encoder
from fusar_gpt.retrieval.query import read_texts
from fusar_gpt.search import plan_search, search
from fusar_gpt.server.encoders import Encoders
from fusar_gpt.server.inputs import with_scene
from fusar_gpt.server.metrics import Metrics
from fusar_gpt.server.security import Roots


@dataclass(frozen=True)
class Searcher:
    """Runs searches. Thread-safe; call it in a worker thread: an encoder may have to load first.

    Every method raises as :func:`fusar_gpt.server.inputs.with_scene`, FusarError for an encoder that is not served, and
    TaskError for words that it does not know.

    Attributes:
        encoders: Those that a client may name.
        roots: The folders that clients may name files in.
        metrics: What Prometheus reads.
        indexes: Where the indexes of scenes are kept; None is the user's own folder.
    """

    encoders: Encoders
    roots: Roots
    metrics: Metrics
    indexes: Path | None = None

    def check(self, request: SearchRequest) -> tuple[SearchRequest, Encoder]:
        """The request with the path of its scene, which was looked at but not opened, and the encoder."""
        checked = with_scene(request, self.roots)
        encoder = self.encoders(request.encoder)
        read_texts(request.texts, encoder)
        return checked, encoder

    def plan(self, request: SearchRequest) -> SearchPlan:
        """As :func:`fusar_gpt.search.plan_search`."""
        checked, encoder = self.check(request)
        return plan_search(checked, encoder, RasterPolicy(), self.indexes)

    def search(
        self, request: SearchRequest, cancelled: Callable[[], bool], identity: RunIdentity | None = None
    ) -> Generator[Event, None, None]:
        """As :func:`fusar_gpt.search.search`."""
        began = time.monotonic()
        checked, encoder = self.check(request)
        for event in search(checked, encoder, cancelled, identity, RasterPolicy(), self.indexes):
            if isinstance(event, Finished):
                self.metrics.searches.inc()
                self.metrics.search_seconds.inc(time.monotonic() - began)
            yield event

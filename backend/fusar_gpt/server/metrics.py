"""The metrics of one application, for Prometheus. Each application has a registry of its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, disable_created_metrics, generate_latest
from prometheus_client.metrics_core import Metric

from fusar_gpt import __version__
from fusar_gpt.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters, and gauges that are read when they are asked for.

    Attributes:
        uploads, uploaded_bytes, refused_uploads, answers, answer_seconds, tokens, searches, search_seconds: The
            counters.
    """

    def __init__(self, info: Mapping[str, Any], jobs: Callable[[], Mapping[str, int]]) -> None:
        """Metrics that start at zero.

        Args:
            info: What GET /info answers; its ``device`` may change.
            jobs: The number of jobs of each status.
        """
        self._info, self._jobs = info, jobs
        self._registry = CollectorRegistry()

        def counter(name: str, meaning: str) -> Counter:
            return Counter(f"fusar_{name}_total", meaning, registry=self._registry)

        self.uploads = counter("uploads", "Scenes that were uploaded.")
        self.uploaded_bytes = counter("uploaded_bytes", "Bytes of the scenes that were uploaded.")
        self.refused_uploads = counter("refused_uploads", "Uploads that were refused.")
        self.answers = counter("answers", "Questions about chips that the model answered.")
        self.answer_seconds = counter("answer_seconds", "Seconds the model worked, waits for it included.")
        self.tokens = counter("tokens", "Tokens the model made.")
        self.searches = counter("searches", "Searches that found their places.")
        self.search_seconds = counter("search_seconds", "Seconds that they took, indexing included.")
        self._registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """The gauges, with their values at this moment; prometheus_client calls it."""
        build = {"version": __version__, "device": str(self._info["device"])}
        jobs = self._jobs()
        by_status = [({"status": status}, number) for status, number in sorted(jobs.items())]
        by_kind = [({"kind": kind}, number) for kind, number in memory().items()]
        for name, meaning, samples in (
            ("fusar_build_info", "What runs.", [(build, 1)]),
            ("fusar_jobs", "Jobs that are known, by status.", by_status),
            ("fusar_queue_length", "Jobs that wait for their turn.", [({}, jobs.get("accepted", 0))]),
            ("fusar_memory_bytes", "Memory of this process and what is free beside it.", by_kind),
        ):
            family = Metric(name, meaning, "gauge")
            for labels, value in samples:
                family.add_sample(name, labels, value)
            yield family

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class MeasuredEngine(EngineWrapper):
    """Counts the answers of an engine. Goes below the engine that replays replies: replays are free."""

    def __init__(self, engine: Engine, metrics: Metrics) -> None:
        super().__init__(engine)
        self._metrics = metrics

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`; a call that is cancelled counts with its seconds."""
        began = time.monotonic()
        try:
            replies = self._engine.answer(requests, cancelled, on_text)
        finally:
            self._metrics.answer_seconds.inc(time.monotonic() - began)
        self._metrics.answers.inc(len(replies))
        self._metrics.tokens.inc(sum(len(reply.token_ends) for reply in replies))
        return replies


def memory() -> dict[str, int]:
    """Bytes that this process uses of the main memory (``used``), that are ``free``, and the same of a GPU in use."""
    found: dict[str, int] = {}
    for file, field, name in (("self/status", "VmRSS", "used"), ("meminfo", "MemAvailable", "free")):
        try:
            lines = (Path("/proc") / file).read_text(encoding="utf-8").splitlines()
        except OSError:  # not Linux
            continue
        values = dict(line.split(":", 1) for line in lines if ":" in line)
        if field in values:
            found[name] = int(values[field].split()[0]) * 1024
    torch = sys.modules.get("torch")  # never imported for this alone
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        found |= {"gpu_used": total - free, "gpu_free": free}
    return found

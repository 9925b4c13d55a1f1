"""What is counted, in Prometheus' text format. A process has one server, so the counters are its own."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusar_gpt.engine import DecodeRequest, EngineWrapper, OnText, Reply, never

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


class Counter:
    """A number that only grows. Thread-safe."""

    def __init__(self, name: str, told: str) -> None:
        self.name, self.told = name, told
        self._value = 0.0
        self._lock = threading.Lock()

    def add(self, amount: float = 1) -> None:
        """Count so many more."""
        with self._lock:
            self._value += amount

    @property
    def value(self) -> float:
        """The count so far."""
        return self._value


UPLOADS = Counter("fusar_uploads_total", "Scenes that were uploaded.")
UPLOADED_BYTES = Counter("fusar_uploaded_bytes_total", "Bytes of the scenes that were uploaded.")
REFUSED_UPLOADS = Counter("fusar_refused_uploads_total", "Uploads that were refused.")
ANSWERS = Counter("fusar_answers_total", "Questions about chips that the model answered.")
ANSWER_SECONDS = Counter(
    "fusar_answer_seconds_total", "Seconds the model was at work, waits for it included."
)
TOKENS = Counter("fusar_tokens_total", "Tokens the model made.")

COUNTERS = (UPLOADS, UPLOADED_BYTES, REFUSED_UPLOADS, ANSWERS, ANSWER_SECONDS, TOKENS)


class Measured(EngineWrapper):
    """An engine whose answers are counted. Put it under what remembers replies: those cost nothing."""

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """Answer as the engine does, and count; what was cancelled took its time too."""
        began = time.monotonic()
        try:
            replies = self._engine.answer(requests, cancelled, on_text)
        finally:
            ANSWER_SECONDS.add(time.monotonic() - began)
        ANSWERS.add(len(replies))
        TOKENS.add(sum(len(reply.token_ends) for reply in replies))
        return replies


def memory() -> dict[str, int]:
    """Bytes: what this process takes of main memory, how much is free, and the same of the GPU if one is used."""
    found: dict[str, int] = {}
    for file, words in (("self/status", {"VmRSS": "used"}), ("meminfo", {"MemAvailable": "free"})):
        found |= _from_proc(Path("/proc") / file, words)
    torch = sys.modules.get("torch")  # never loaded for this alone
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        free, total = torch.cuda.mem_get_info()
        found |= {"gpu_used": total - free, "gpu_free": free}
    return found


def _from_proc(file: Path, words: Mapping[str, str]) -> dict[str, int]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return {}
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    return {told: int(fields[word].split()[0]) * 1024 for word, told in words.items() if word in fields}


def render(jobs: Mapping[str, int], build: Mapping[str, str]) -> str:
    """All that is counted and measured now, as text.

    Args:
        jobs: how many jobs there are of each status.
        build: the labels that say what runs.
    """
    lines: list[str] = []

    def family(name: str, kind: str, told: str, samples: Iterable[Sample]) -> None:
        lines.extend((f"# HELP {name} {told}", f"# TYPE {name} {kind}"))
        lines.extend(f"{name}{_labels(labels)} {value:.15g}" for labels, value in samples)

    family("fusar_build_info", "gauge", "What runs.", [(build, 1)])
    by_status: list[Sample] = [({"status": status}, count) for status, count in sorted(jobs.items())]
    family("fusar_jobs", "gauge", "Jobs that are known, by status.", by_status)
    family("fusar_queue_length", "gauge", "Jobs that wait for their turn.", [({}, jobs.get("accepted", 0))])
    by_kind: list[Sample] = [({"kind": kind}, amount) for kind, amount in memory().items()]
    family("fusar_memory_bytes", "gauge", "Memory of this process and what is free beside it.", by_kind)
    for counter in COUNTERS:
        family(counter.name, "counter", counter.told, [({}, counter.value)])
    return "\n".join(lines) + "\n"


def _labels(labels: Mapping[str, Any]) -> str:
    """Labels in braces, their values escaped."""
    escapes = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})
    inner = ",".join(f'{name}="{str(value).translate(escapes)}"' for name, value in labels.items())
    return f"{{{inner}}}" if inner else ""

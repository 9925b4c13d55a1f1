"""What the benchmarks share: a clock that waits for the device, and rows of a Markdown table."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch


def timed(action: Callable[[], object]) -> float:
    """Seconds one call takes, the device's work included."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    start = time.perf_counter()
    action()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def row(*cells: str) -> None:
    """One row of a Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)

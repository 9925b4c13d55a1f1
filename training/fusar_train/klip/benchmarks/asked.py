"""Whether a vision benchmark has anything to measure on, and enough of it."""

from __future__ import annotations

from collections.abc import Sequence

from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.settings import KlipError

LEAST = 40
"""Simulated chips from which on something can be learned."""


def chips_of(options: BenchmarkOptions) -> int:
    """The simulated chips to learn from; KlipError when they are too few."""
    if 0 < options.simulated < LEAST:
        raise KlipError(
            f"--simulated {options.simulated} is too few to learn from: give at least {LEAST}, or 0 for none."
        )
    return options.simulated


def check_any(found: Sequence[object], option: str) -> None:
    """KlipError where there is nothing to measure on."""
    if not found:
        raise KlipError(f"There is nothing to measure on: give {option}, or --simulated N.")

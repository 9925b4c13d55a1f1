"""Means over seeds of training, with Student's intervals: what another seed might have given."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)
"""The 97.5th percentile of Student's t with 1, 2, ... degrees of freedom."""
MOST_SEEDS = len(T_975) + 1


@dataclass(frozen=True)
class SeedMean:
    """A mean over ``n`` seeds; ``half`` is half the width of its 95 % t-interval, None with one seed."""

    value: float
    half: float | None
    n: int

    @property
    def decided(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.half is not None and abs(self.value) > self.half


def over_seeds(values: Sequence[float]) -> SeedMean:
    """The mean of independent values and Student's interval for it."""
    n = len(values)
    if n < 2:
        return SeedMean(float(values[0]), None, n)
    spread = float(np.std(values, ddof=1))
    return SeedMean(float(np.mean(values)), T_975[n - 2] * spread / math.sqrt(n), n)


def percent(value: float | None) -> str:
    """Such as 52.5; a dash for nothing."""
    return "\u2013" if value is None else f"{100 * value:.1f}"

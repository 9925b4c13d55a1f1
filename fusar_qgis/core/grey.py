"""From what a SAR raster stores to the 8-bit grey that the model sees: the same numbers as the backend's.

Decibels, then two limits for the whole scene, so that the same backscatter is the same grey everywhere.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np

_LOW_PERCENT, _HIGH_PERCENT = 1.0, 99.9
_LEAST_SPAN_DB = 25.0
_BEYOND_DB = 200.0
_SURVEY_SIDE = 1024
_SURVEY_GRIDS = (8, 32)
_ENOUGH_SAMPLES = 10_000

Array = Any  # numpy.ndarray: QGIS brings any numpy from 1.24 to 2.4
Read = Callable[[int, int, int, int], Array]
"""Stored numbers float32 [h, w] of the window (col, row, width, height), NaN where there is no data."""


def quantity(survey: Array, *, dtype: str, scaled: bool, said: str) -> str:
    """Return what a raster's numbers are: ``grey``, ``amplitude``, ``power`` or ``dB``.

    Args:
        survey: Some of its numbers.
        dtype: numpy's name of their type as stored.
        scaled: The file states a scale or an offset.
        said: Words that may name a unit: of the band and the file.
    """
    kind = np.dtype(dtype).kind
    if kind == "c":
        return "amplitude"
    if dtype == "uint8" and not scaled:
        return "grey"
    continuous = kind == "f" or scaled
    words = re.findall(r"[A-Z0-9]+", said.upper())
    if 2 * (survey < 0).sum() > survey.size or (continuous and "DB" in words):
        return "dB"
    return "power" if continuous else "amplitude"


def survey(read: Read, width: int, height: int) -> Array:
    """Return numbers that may be data, from full-resolution windows all over a scene: at most 4 MB."""
    found = np.zeros(0, dtype=np.float32)
    for per_axis in _SURVEY_GRIDS:
        side = _SURVEY_SIDE // per_axis
        columns, rows = _spread(width, per_axis, side), _spread(height, per_axis, side)
        parts = [read(x, y, w, h).ravel() for y, h in rows for x, w in columns]
        found = np.concatenate(parts)
        found = found[np.isfinite(found) & (found != 0) & (found > -_BEYOND_DB)]
        if found.size >= min(_ENOUGH_SAMPLES, width * height // 2):
            break
    return found


def decibel(values: Array, kind: str) -> Array:
    """Return decibels (grey levels stay grey levels), NaN where the numbers mean nothing."""
    seen = np.isfinite(values)
    if kind == "dB":
        seen &= (values != 0) & (np.abs(values) < _BEYOND_DB)
    elif kind != "grey":
        seen &= values > 0
    kept = np.where(seen, values, np.float32(np.nan))
    if kind in ("dB", "grey"):
        return kept
    return np.log(kept) * np.float32((20.0 if kind == "amplitude" else 10.0) / math.log(10.0))


def limits(db: Array, kind: str) -> tuple[float, float] | None:
    """Return what becomes black and white; None where no number means anything."""
    if kind == "grey":
        return 0.0, 255.0
    known = db[np.isfinite(db)]
    if not known.size:
        return None
    low, high = np.percentile(known, (_LOW_PERCENT, _HIGH_PERCENT))
    return float(low), float(max(high, low + _LEAST_SPAN_DB))


def quantise(db: Array, low: float, high: float) -> Array:
    """Return grey uint8 [h, w]; NaN and everything below ``low`` become 0."""
    grey = (db - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.rint(np.fmin(np.fmax(grey, 0.0), 255.0)).astype(np.uint8)


def _spread(length: int, count: int, side: int) -> list[tuple[int, int]]:
    """Return (start, size) of ``count`` pieces spread evenly over ``length``, or one piece that is all of it."""
    if length <= count * side:
        return [(0, length)]
    return [(int(start), side) for start in np.linspace(0, length - side, count)]

"""From what a SAR raster stores to the 8-bit grey the model sees. Needs numpy, which QGIS brings.

Decibels, then two limits for the whole scene, so that the same backscatter is the same grey in every chip
(dynamic range compression, FUSAR-KLIP section 3.1).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Quantity = Literal["amplitude", "power", "dB", "grey"]
"""What a file's numbers are. ``grey``: 8 bits, already quantised by the producer, used as they are."""

LOW_PERCENT, HIGH_PERCENT = 1.0, 99.9
LEAST_SPAN_DB = 25.0
_BEYOND_DB = 200.0
_SAMPLE_SIDE = 1024
_SAMPLE_GRIDS = (8, 32)
_ENOUGH_SAMPLES = 10_000


@dataclass(frozen=True)
class Stretch:
    """The two limits that map decibels to grey 0 and 255.

    For a scene that is 8-bit already the limits are grey levels, 0 and 255, and quantising changes nothing.
    """

    low_db: float
    high_db: float

    def __post_init__(self) -> None:
        if not self.low_db < self.high_db:
            raise ValueError(f"the limits of a stretch must increase: {self}")

    @classmethod
    def of_samples(cls, db: NDArray[np.float32], quantity: Quantity = "dB") -> Stretch:
        """Robust limits from samples in decibels of any shape; NaN is ignored, one value must be finite.

        1 % below leaves out the deep fades of speckle, which have no floor in decibels. 0.1 % above lets the
        few brightest scatterers saturate, so that a handful of ships cannot push the background to black. At
        least 25 dB between them keep the speckle of a plain sea from being blown up to full contrast.
        """
        if quantity == "grey":
            return cls(0.0, 255.0)
        low, high = np.percentile(db[np.isfinite(db)], (LOW_PERCENT, HIGH_PERCENT))
        return cls(float(low), float(max(high, low + LEAST_SPAN_DB)))

    def quantise(self, db: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Decibels [h, w] -> grey uint8 [h, w]; NaN (no data) and everything below the low limit become 0."""
        grey = (db - np.float32(self.low_db)) * np.float32(255.0 / (self.high_db - self.low_db))
        within = np.fmin(np.fmax(grey, 0.0), 255.0)  # fmax also turns NaN to 0
        rounded: NDArray[np.uint8] = np.rint(within).astype(np.uint8)
        return rounded


def to_decibel(values: NDArray[np.float32], quantity: Quantity) -> NDArray[np.float32]:
    """A file's numbers -> decibels (grey levels stay grey levels), NaN where there is no data.

    No data is: not finite; linear and not positive, since processors write zero for it; in decibels exactly zero
    or beyond +-200, the fill values of files that declare no nodata.
    """
    seen = np.isfinite(values)
    if quantity == "dB":
        seen &= (values != 0) & (np.abs(values) < _BEYOND_DB)
    elif quantity != "grey":
        seen &= values > 0
    kept = np.where(seen, values, np.float32(np.nan))
    if quantity in ("dB", "grey"):
        return kept
    # 10 log10 through the natural logarithm, which numpy computes several times faster.
    return np.log(kept) * np.float32((20.0 if quantity == "amplitude" else 10.0) / math.log(10.0))


def quantity_of(sample: NDArray[np.float32], *, dtype: str, scaled: bool, names: str) -> Quantity:
    """What a raster's numbers are; floats are power unless a name, the unit or the typical sign says dB.

    Args:
        sample: Some of its numbers.
        dtype: numpy's name of their type as stored; ``complex_int16`` too.
        scaled: The file states a scale or an offset.
        names: Words that may name a unit: of the band and the file.
    """
    if dtype.startswith("complex"):
        return "amplitude"
    if dtype == "uint8" and not scaled:
        return "grey"
    continuous = np.dtype(dtype).kind == "f" or scaled
    words = re.findall(r"[A-Z0-9]+", names.upper())
    if 2 * (sample < 0).sum() > sample.size or (continuous and "DB" in words):
        return "dB"
    return "power" if continuous else "amplitude"


def sample_scene(
    read: Callable[[int, int, int, int], NDArray[np.float32]], width: int, height: int
) -> NDArray[np.float32]:
    """Numbers that may be data, from full-resolution windows all over a scene: at most 4 MB.

    Full resolution, because overviews average the speckle away and would move the limits. A scene that is
    mostly no data is sampled again on a finer grid.

    Args:
        read: Stored numbers float32 [h, w] of the window (col, row, width, height), NaN where there is no data.
        width: Of the scene in pixels.
        height: Likewise.
    """
    found = np.zeros(0, dtype=np.float32)
    for per_axis in _SAMPLE_GRIDS:
        side = _SAMPLE_SIDE // per_axis
        columns, rows = _spread(width, per_axis, side), _spread(height, per_axis, side)
        found = np.concatenate([read(x, y, w, h).ravel() for y, h in rows for x, w in columns])
        found = found[np.isfinite(found) & (found != 0) & (found > -_BEYOND_DB)]
        if found.size >= min(_ENOUGH_SAMPLES, width * height // 2):
            break
    return found


def _spread(length: int, count: int, side: int) -> list[tuple[int, int]]:
    """(start, size) of ``count`` pieces spread evenly over ``length``, or one piece that is all of it."""
    if length <= count * side:
        return [(0, length)]
    return [(int(start), side) for start in np.linspace(0, length - side, count)]

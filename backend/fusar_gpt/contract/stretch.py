"""From what a SAR raster stores to the 8-bit grey the model sees. Needs numpy, which QGIS brings.

Decibels, then two limits for the whole scene, so that the same backscatter is the same grey in every chip
(dynamic range compression, FUSAR-KLIP section 3.1).
"""

from __future__ import annotations

import math
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


def to_decibel(
    values: NDArray[np.float32], quantity: Quantity, *, noise: float = 0.0, zeros: bool = False
) -> NDArray[np.float32]:
    """A band's numbers -> decibels (grey levels stay grey levels), NaN where there is no data.

    No data is: not finite; linear and not positive, since processors write zero for it; in decibels exactly zero
    or beyond +-200, the fill values of files that declare no nodata.

    Args:
        values: The numbers, of any shape.
        quantity: What they are.
        noise: Of power that its noise was subtracted from: what is less, below zero too, counts as this much.
        zeros: Zero decibels are data.
    """
    seen = np.isfinite(values)
    if quantity == "dB":
        seen &= (np.abs(values) < _BEYOND_DB) if zeros else (values != 0) & (np.abs(values) < _BEYOND_DB)
    elif noise:
        seen &= (values != 0) & (values > -1000 * noise)
        values = np.maximum(values, np.float32(noise))
    elif quantity != "grey":
        seen &= values > 0
    kept = np.where(seen, values, np.float32(np.nan))
    if quantity in ("dB", "grey"):
        return kept
    # 10 log10 through the natural logarithm, which numpy computes several times faster.
    return np.log(kept) * np.float32((20.0 if quantity == "amplitude" else 10.0) / math.log(10.0))


def gaps(quantity: Quantity, *, noise: float = 0.0, zeros: bool = False) -> list[tuple[float, float]]:
    """The ranges of finite numbers, ends included, that :func:`to_decibel` takes for no data; arguments as there."""
    if quantity == "grey":
        return []
    if quantity == "dB":
        beyond = [(-math.inf, -_BEYOND_DB), (_BEYOND_DB, math.inf)]
        return beyond if zeros else [*beyond, (0.0, 0.0)]
    return [(-math.inf, -1000 * noise), (0.0, 0.0)] if noise else [(-math.inf, 0.0)]

"""The evidence for what a band's numbers are: what the file says, percentiles, the texture of speckle. Needs numpy.

The logarithm of multi-look intensity has a standard deviation s (natural logarithm) and a skewness of about -s; of
amplitude, which is half of it, about -2 s. Decibels are skewed to the left themselves (Oliver and Quegan,
Understanding SAR Images, chapter 4).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .stretch import Quantity

    Numbers = NDArray[np.float32]

ENOUGH = 100_000
"""Numbers for a percentile."""
_TELLING = re.compile(r"^(?!TIFFTAG_RES).*(UNIT|RADIOMETR|BACKSCATTER|QUANTITY|CALIBRATION)", re.IGNORECASE)
"""The tags whose text may tell what a file's numbers are."""


@dataclass(frozen=True)
class StoredBand:
    """What a file says of one band.

    Attributes:
        dtype: numpy's name of the type of its numbers; ``complex_int16`` too.
        name: The band's name and unit.
        context: Other words that may tell: the file's name, tags about units and radiometry.
        scale, offset: By which the file says that its numbers are to be multiplied and increased.
    """

    dtype: str
    name: str = ""
    context: str = ""
    scale: float = 1.0
    offset: float = 0.0

    @staticmethod
    def context_of(stem: str, tags: Mapping[str, str]) -> str:
        """The words that may tell, of a file's name and its tags."""
        return " ".join([stem, *(tags[key][:200] for key in sorted(tags) if _TELLING.search(key))])

    @property
    def whole(self) -> bool:
        """Whether the numbers are stored as integers."""
        return self.dtype.startswith(("int", "uint"))

    @property
    def scaled(self) -> bool:
        """Whether the file states a scale or an offset."""
        return (self.scale, self.offset) != (1.0, 0.0)


@dataclass(frozen=True)
class Evidence:
    """The numbers in figures: percentiles and texture, after the file's own scale."""

    whole: bool  # stored as integers and not scaled
    wide: bool  # and in more than 8 bits
    negative: float
    noise: float  # the size of a negative number, in the middle
    low: float  # 0.1, 1, 50, 99, 99.9 %
    first: float
    middle: float
    last: float
    high: float
    may_be_grey: bool  # whole numbers from 0 to 255
    least: float
    most: float
    deviation: float  # within homogeneous patches, as are the next three; NaN where there are none
    variation: float
    skew: float
    log_ratio: float

    @property
    def texture(self) -> Quantity | None:
        """What the speckle shows, where it is clear."""
        if self.skew < -0.1 and self.variation < 0.6 and self.high < 10 * self.middle:
            return "dB"
        by_variation = self.skew / self.variation if self.variation > 0 else math.nan
        if by_variation < 1.45 and self.log_ratio > 1.4 and 0.05 < self.variation < 0.6:
            return "amplitude"
        return "power" if by_variation > 1.65 and 0.7 < self.log_ratio < 1.2 else None

    def decibel_factor(self, named: bool) -> int | None:
        """1, 10 or 100: the numbers may be decibels times that; None: they are none."""
        for factor in (1, 10, 100) if self.wide else (1,):
            low, high = self.first / factor, self.last / factor
            spread, deviation = high - low, self.deviation / factor
            if self.negative < 0.01:
                likely = high <= 150 and self.high < 10 * self.middle and spread >= 2
            else:
                likely = low >= -100 and high <= 60 and (spread >= 2 or named or self.negative > 0.9)
            if likely and not deviation > 9:
                return factor
        return None

    @property
    def noise_removed(self) -> bool:
        """Many numbers below zero, close to it beside those above: power less its noise."""
        close = self.first > -1.5 or self.high > -20 * self.first
        return self.negative >= 0.01 and close and not self.skew < -0.1


def evidence_of(
    numbers: Numbers, patches: Numbers, constants: dict[float, tuple[float, float]], band: StoredBand
) -> Evidence:
    """The figures of ``numbers``, as stored, and of ``patches`` in which no constant occurs."""
    if not numbers.size:
        numbers = np.zeros(1, np.float32)
    ends = (np.array([numbers.min(), numbers.max()]) * band.scale + band.offset).tolist()
    numbers = numbers[:: max(numbers.size // ENOUGH, 1)]
    values = numbers * np.float32(band.scale) + np.float32(band.offset) if band.scaled else numbers
    at = (0.1, 1, 50, 99, 99.9)
    low, first, middle, last, high = (float(value) for value in np.percentile(values, at))
    whole = band.whole
    return Evidence(
        whole=whole and not band.scaled,
        wide=whole and not band.scaled and band.dtype not in ("int8", "uint8"),
        negative=float(np.mean(values < 0)),
        noise=-float(np.median(values[values < 0])) if np.any(values < 0) else 0.0,
        low=low, first=first, middle=middle, last=last, high=high,
        may_be_grey=min(ends) >= 0 and 127 < max(ends) <= 255 and (whole or not np.any(numbers % 1)),
        least=min(ends), most=max(ends),
        **_texture(patches[~np.isin(patches, np.array(list(constants), np.float32)).any(axis=(1, 2))], band),
    )  # fmt: skip


def _texture(patches: Numbers, band: StoredBand) -> dict[str, float]:
    """Deviation, variation (deviation by mean), skewness, and -skewness by deviation of the logarithm."""
    values = patches.astype(np.float64) * band.scale + band.offset
    deviations = values.std(axis=(1, 2))
    values, deviations = values[deviations > 0], deviations[deviations > 0]
    none = dict.fromkeys(("deviation", "variation", "skew", "log_ratio"), math.nan)
    if len(values) < 4:
        return none
    # The homogeneous half: where the quarters of a patch differ least.
    quarters = values.reshape(-1, 2, 8, 2, 8).mean(axis=(2, 4)).std(axis=(1, 2)) / deviations
    calm = quarters <= np.median(quarters)
    values, deviations = values[calm], deviations[calm]
    means = values.mean(axis=(1, 2))
    standard = (values - means[:, None, None]) / deviations[:, None, None]
    found = {
        **none,
        "deviation": float(np.median(deviations)),
        "variation": float(np.median(deviations / np.maximum(np.abs(means), 1e-30))),
        "skew": float(np.median((standard**3).mean(axis=(1, 2)))),
    }
    coarse = band.whole and np.median(np.abs(patches)) < 16
    if (values > 0).all() and not coarse:
        logs = np.log(values)
        logs -= logs.mean(axis=(1, 2), keepdims=True)
        square, cube = np.median((logs**2).mean(axis=(1, 2))), np.median((logs**3).mean(axis=(1, 2)))
        found["log_ratio"] = float(-cube / square**2)
    return found

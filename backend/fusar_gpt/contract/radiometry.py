"""What a band's stored numbers are (power, amplitude, decibels, grey levels), judged from all there is. Needs numpy.

Names and units come first, and are held against the numbers: their type, sign and range, and the texture of speckle.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from .bands import words
from .evidence import ENOUGH, Evidence, StoredBand, evidence_of
from .sample import BandSample
from .stretch import Quantity, gaps, to_decibel

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float32]

_DB = {"DB", "DECIBEL", "DECIBELS"}
_DB_OF = {
    "VV", "VH", "HH", "HV", "SIGMA", "SIGMA0", "GAMMA", "GAMMA0", "BETA", "BETA0", "NRCS", "INTENSITY", "POWER",
    "AMPLITUDE",
}  # fmt: skip
_AMPLITUDE = {"AMPLITUDE", "AMPLITUDES", "AMP", "MAGNITUDE", "MAG", "MODULUS"}
_POWER = {"POWER", "PWR", "INTENSITY", "INTENSITIES", "LINEAR", "MLI"}
_CALIBRATED = {"SIGMA0", "GAMMA0", "BETA0", "SIGMA", "GAMMA", "BETA", "NRCS"}
_HYP3 = re.compile(r"_RTC\d+_._[SG]([PAD])[UW][NF][EC][DM]", re.IGNORECASE)
_ENDINGS: dict[str, Quantity] = {"P": "power", "A": "amplitude", "D": "dB"}

_SAID = {"dB": "decibels", "grey": "grey levels"}
_LEAST_SHARE, _LEAST_BORDER = 0.005, 0.02
_FRAME, _ALMOST_BLACK, _RARELY = 0.1, 3, 0.02
_NEAR_DB, _NEAR_STEPS, _NEAR_SHARE = 1.0, 10, 0.002


@dataclass(frozen=True)
class Radiometry:
    """How the stored numbers of a band become decibels.

    Attributes:
        quantity: What they are once scaled.
        reason: One phrase: what they were taken for, and why.
        scale, offset: They are multiplied by ``scale``, then ``offset`` is added.
        fill: Stored numbers that are no data though the file does not say so.
        noise: Above zero where noise was subtracted from the power: what is less counts as this much; it is dark
            ground, not a gap.
        zeros: Zero is a number like any other: decibels stored as integers.
        warnings: Whole sentences that whoever reads the result must know.
    """

    quantity: Quantity
    reason: str
    scale: float = 1.0
    offset: float = 0.0
    fill: tuple[float, ...] = ()
    noise: float = 0.0
    zeros: bool = False
    warnings: tuple[str, ...] = ()

    def decibels(self, stored: Numbers) -> Numbers:
        """Stored numbers -> decibels (grey levels stay grey levels), NaN where there is no data."""
        values = stored
        if (self.scale, self.offset) != (1.0, 0.0):
            values = stored * np.float32(self.scale) + np.float32(self.offset)
        for number in self.fill:
            values = np.where(stored == np.float32(number), np.float32(np.nan), values)
        return to_decibel(values, self.quantity, noise=self.noise, zeros=self.zeros)

    def gaps(self) -> list[tuple[float, float]]:
        """The ranges of stored numbers, both ends included, that :meth:`decibels` takes for no data."""
        ends = [
            sorted((end - self.offset) / self.scale for end in gap)
            for gap in gaps(self.quantity, noise=self.noise, zeros=self.zeros)
        ]
        return [(low, high) for low, high in ends] + [(number, number) for number in self.fill]


def quantity_of(said: str | None) -> Quantity | None:
    """The quantity that a request names."""
    known: dict[str | None, Quantity] = {
        "power": "power",
        "amplitude": "amplitude",
        "db": "dB",
        "grey": "grey",
    }
    return known.get(said)


@lru_cache(maxsize=16)  # a scene is opened anew for each area and question
def judge(
    sample: BandSample, band: StoredBand, quantity: Quantity | None = None, scale: float | None = None
) -> Radiometry:
    """What the numbers of a band are; ``quantity`` and ``scale`` are what the analyst says of them, if anything.

    Raises:
        ValueError: They are phases, or one part of complex numbers; the message says what to do.
    """
    if scale is not None:
        band = replace(band, scale=scale, offset=0.0)
    constants = _constants(sample, band)
    varied = ~np.isin(sample.numbers, np.array(list(constants), np.float32))
    numbers = sample.numbers[varied]
    if numbers.size < max(8, sample.numbers.size // 2000):
        # Nothing but constants: a drawing, or a flat scene.
        constants, numbers = {}, sample.numbers
    evidence = evidence_of(numbers, sample.patches, constants, band)
    found = _asked(quantity, evidence, band, scale) if quantity else _guess(evidence, band)
    if 0.0 in sample.constants:
        found = replace(found, zeros=False)
    found = _without_fill(found, numbers, constants, band)
    return replace(found, fill=(0.0, *found.fill)) if _is_black_frame(found, sample) else found


def _is_black_frame(found: Radiometry, sample: BandSample) -> bool:
    """Whether black is no data in 8-bit greys: it fills the edge of the scene, and next to nothing is almost black."""
    _, border = sample.constants.get(0.0, (0.0, 0.0))
    if found.quantity != "grey" or border < _FRAME or not sample.numbers.size:
        return False
    return bool(np.mean(np.abs(sample.numbers) <= _ALMOST_BLACK) <= _RARELY)


def _constants(sample: BandSample, band: StoredBand) -> dict[float, tuple[float, float]]:
    """Candidates for fill: what fills whole blocks, and the least number where it is repeated."""
    constants = {number: shares for number, shares in sample.constants.items() if number or band.offset}
    others = sample.numbers[~np.isin(sample.numbers, np.array(list(constants), np.float32))]
    if others.size:
        least = float(others.min())
        repeated = np.count_nonzero(others == np.float32(least)) / others.size
        if repeated > 0.0005 and others.size > 100:
            constants[least] = (repeated, 0.0)
    return constants


def _claim(band: StoredBand) -> tuple[Quantity | None, str]:
    """What the names say, and which of them: the band's own, else the file's."""
    for text in (band.name, band.context):
        named = words(text)
        for word in named:
            if word in _DB or (word.endswith("DB") and word[:-2] in _DB_OF):
                return "dB", text
        for word in named:
            if word in _AMPLITUDE or word in _POWER:
                return ("amplitude" if word in _AMPLITUDE else "power"), text
    made = _HYP3.search(band.context)
    return (_ENDINGS[made[1].upper()], band.context) if made else (None, "")


def _guess(evidence: Evidence, band: StoredBand) -> Radiometry:
    if band.dtype.startswith("complex"):
        return Radiometry("amplitude", "amplitude: the magnitude of complex numbers", band.scale, band.offset)
    claim, source = _claim(band)
    grey = _grey(evidence, band, claim)
    if grey is not None:
        return grey
    factor = evidence.decibel_factor(claim == "dB")
    _refuse_parts(evidence, claim, band)
    if factor and not evidence.noise_removed and _is_decibel(evidence, claim):
        return _decibels(evidence, band, factor, claim, source)
    return _linear(evidence, band, claim, source)


def _is_decibel(evidence: Evidence, claim: Quantity | None) -> bool:
    return claim == "dB" or evidence.negative >= 0.01 or (claim is None and evidence.texture == "dB")


def _grey(evidence: Evidence, band: StoredBand, claim: Quantity | None) -> Radiometry | None:
    """8-bit grey levels, in 8 bits or kept in more; their scale and offset do not matter."""
    if band.dtype == "uint8" and not (band.scaled and (claim == "dB" or evidence.negative > 0.25)):
        return Radiometry("grey", "grey levels: 8 bits")
    if evidence.most == 255 and evidence.may_be_grey and not band.scaled and claim is None:
        return Radiometry("grey", f"grey levels: whole numbers from 0 to 255, stored as {band.dtype}")
    return None


def _refuse_parts(evidence: Evidence, claim: Quantity | None, band: StoredBand) -> None:
    if claim or set(words(band.name)) & _CALIBRATED:
        return
    say = "choose another with --band, or say what it is with --quantity"
    turn = np.float32(math.pi) + np.float32(1e-3)
    if (
        -turn <= evidence.least < -3
        and 3 < evidence.most <= turn
        and evidence.first < -2.9
        and evidence.last > 2.9
    ):
        raise ValueError(f"the numbers from -pi to pi look like phases, which show no objects: {say}")
    even = abs(evidence.first + evidence.last) < 0.1 * (evidence.last - evidence.first)
    tails = -evidence.low / evidence.high if evidence.high > 0 else 0
    if even and 0.4 < evidence.negative < 0.6 and 1 / 1.25 < tails < 1.25 and not evidence.skew < -0.15:
        raise ValueError(
            "the numbers lie evenly around zero, like one part (i or q) of complex numbers: export the intensity, "
            f"{say}"
        )


def _decibels(
    evidence: Evidence, band: StoredBand, factor: int, claim: Quantity | None, source: str
) -> Radiometry:
    what = "decibels" if factor == 1 else f"decibels times {factor}"
    span = f"values between {evidence.low:.4g} and {evidence.high:.4g}"
    tag = "" if band.scaled else " without a scale tag"
    warnings = []
    if claim == "dB":
        reason = f"{what}: '{source.strip()}' names them"
    elif evidence.negative >= 0.01:
        reason = f"{what}, from {band.dtype} {span}{tag if evidence.whole else ''}"
    else:
        reason = f"{what}, from {band.dtype} {span} whose speckle is that of a logarithm"
    if claim in ("power", "amplitude"):
        warnings.append(
            f"'{source.strip()}' names the numbers {claim}, but they were taken for {what}, because they lie between "
            f"{evidence.low:.4g} and {evidence.high:.4g}; --quantity says otherwise."
        )
    warnings += _grey_warning(evidence, band, claim, what)
    return Radiometry(
        "dB", reason, band.scale / factor, band.offset, zeros=evidence.whole, warnings=tuple(warnings)
    )


def _linear(evidence: Evidence, band: StoredBand, claim: Quantity | None, source: str) -> Radiometry:
    texture = evidence.texture
    if claim == "power" and evidence.whole and source == band.context:
        claim = None  # a word of the file's name, such as that of a power plant
    signed = evidence.negative >= 0.01
    warnings = []
    if claim in ("power", "amplitude"):
        quantity: Quantity = claim
        reason = f"{claim}: '{source.strip()}' names it"
        if claim == "power" and texture == "amplitude":
            warnings.append(
                f"'{source.strip()}' names power, but the speckle is that of amplitude; --quantity decides."
            )
    elif signed:
        quantity, reason = "power", f"power less its noise, from {evidence.negative:.0%} values below zero"
    elif evidence.whole:
        quantity, reason = "amplitude", f"amplitude, as {band.dtype} numbers usually are"
    elif texture == "amplitude":
        quantity, reason = "amplitude", "amplitude, from the spread and skewness of the speckle"
    else:
        quantity, reason = "power", f"power, as {'scaled' if band.scaled else band.dtype} numbers usually are"
    warnings += _grey_warning(evidence, band, claim, quantity)
    if claim == "dB":
        warnings.append(
            f"'{source.strip()}' names decibels, but the numbers between {evidence.low:.4g} and {evidence.high:.4g} "
            f"are none and were taken for {quantity}; --quantity says otherwise."
        )
    return Radiometry(
        quantity,
        reason,
        band.scale,
        band.offset,
        noise=evidence.noise if signed and quantity == "power" else 0.0,
        warnings=tuple(warnings),
    )


def _grey_warning(evidence: Evidence, band: StoredBand, claim: Quantity | None, taken: str) -> list[str]:
    if not evidence.may_be_grey or claim or band.scaled:
        return []
    return [
        f"The whole numbers up to {evidence.most:.0f} were taken for {taken}; if they are grey levels, say so with "
        "--quantity grey."
    ]


def _asked(quantity: Quantity, evidence: Evidence, band: StoredBand, scale: float | None) -> Radiometry:
    """As the analyst says, with a warning where the numbers can hardly be that."""
    said = _SAID.get(quantity, quantity)
    factor = (evidence.decibel_factor(True) or 1) if quantity == "dB" and scale is None else 1
    warnings = []
    if quantity == "dB" and (evidence.decibel_factor(True) is None or evidence.noise_removed):
        warnings.append(
            f"The numbers were read as decibels, as asked, but look like none: {_span(evidence)}."
        )
    if quantity in ("power", "amplitude") and evidence.negative > 0.25 and not evidence.noise_removed:
        warnings.append(
            f"The numbers were read as {said}, as asked, but look like decibels: {_span(evidence)}."
        )
    if quantity == "grey" and not 0 <= evidence.least <= evidence.most <= 255:
        warnings.append(f"Grey levels go from 0 to 255; what is beyond is black or white: {_span(evidence)}.")
    noise = evidence.noise if quantity == "power" and evidence.negative >= 0.01 else 0.0
    reason = f"{said}, as asked" + (f", times {factor}" if factor > 1 else "")
    zeros = quantity == "dB" and evidence.whole
    return Radiometry(
        quantity, reason, band.scale / factor, band.offset, noise=noise, zeros=zeros, warnings=tuple(warnings)
    )


def _span(evidence: Evidence) -> str:
    return f"they lie between {evidence.low:.4g} and {evidence.high:.4g}"


def _without_fill(
    found: Radiometry, numbers: Numbers, constants: dict[float, tuple[float, float]], band: StoredBand
) -> Radiometry:
    """Leave out the constants that stand apart from all other numbers."""
    numbers = numbers[:: max(numbers.size // ENOUGH, 1)]
    whole = band.whole
    fill = {
        number: share
        for number, (share, border) in constants.items()
        if (share >= _LEAST_SHARE or border >= _LEAST_BORDER)
        and _apart(number, border, found, numbers, whole)
    }
    if not fill:
        return found
    listed = " and ".join(
        f"{number:.7g} (about {share:.0%} of the scene)" for number, share in sorted(fill.items())
    )
    told = f"The number {listed} is fill that the file does not declare; it was left out as no data."
    if len(fill) > 1:
        told = f"The numbers {listed} are fill that the file does not declare; they were left out as no data."
    return replace(found, fill=tuple(sorted(fill)), warnings=(*found.warnings, told))


def _apart(number: float, border: float, found: Radiometry, others: Numbers, whole: bool) -> bool:
    """Whether a constant can be no measurement: far from all others or, of floats, amid them (no limit of a clip)."""
    (level,) = found.decibels(np.array([number], np.float32))
    if not np.isfinite(level):
        return True  # no data anyway; now it is told
    if found.noise and number < 0:
        return bool(number < 10 * others.min())
    levels = found.decibels(others)
    if found.quantity == "grey":
        near = np.abs(levels - level) <= _NEAR_STEPS
        return bool(number > others.max() and border >= 0.1 and near.mean() <= _NEAR_SHARE)
    near = np.abs(levels - level) <= _NEAR_DB
    if whole:
        near |= np.abs(others - np.float32(number)) <= _NEAR_STEPS
    if near.mean() <= _NEAR_SHARE:
        return True
    return not whole and border >= 0.2 and bool(0.005 < np.mean(others < number) < 0.995)

"""Which band of a SAR raster shows the ground, by the names and units of its bands."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PARTS = {"I": "Q", "Q": "I", "REAL": "IMAG", "IMAG": "REAL", "IMAGINARY": "REAL", "RE": "IM", "IM": "RE"}
_PHASE = {"PHASE", "PHA", "RADIANS", "RADIAN", "IFG", "INTERFEROGRAM"}
_OTHER = {
    "ANGLE", "INCIDENCE", "INCIDENCEANGLE", "LOCALINCIDENCEANGLE", "PROJECTEDLOCALINCIDENCEANGLE", "LIA",
    "COHERENCE", "COH", "ELEVATION", "DEM", "MASK", "LAYOVER", "SHADOW", "LATITUDE", "LONGITUDE", "LAT", "LON",
}  # fmt: skip


def words(text: str) -> list[str]:
    """The words of a name in upper case: 'S1_vv-db.tif' -> S1, VV, DB, TIF."""
    return re.findall(r"[A-Z0-9]+", text.upper())


def shows_ground(name: str) -> bool:
    """Whether a band of that name shows the ground by itself."""
    return _kind(name, "") == "image"


def choose_band(
    names: Sequence[str], band: str | int | None = None, units: Sequence[str] = ()
) -> tuple[int, ...]:
    """The 1-based number of the band meant; two where the magnitude is to be made of the parts of complex numbers.

    A number or a whole name is taken as it is; a word of several names, such as a polarisation, means the first band
    with it that shows the ground. None means VV, then HH, then the first such band. Phases are never meant, nor one
    part (i, q, real, imaginary) without the other.

    Raises:
        ValueError: There is no such band, or it shows nothing; the message lists those there are.
    """
    kinds = [_kind(name, unit) for name, unit in zip(names, [*units, *[""] * len(names)])]
    found = _meant(names, band, kinds)
    if found is None:
        raise ValueError(f"the scene has no band '{band}'; it has: {_listed(names)}")
    name, kind = names[found - 1], kinds[found - 1]
    if kind == "phase":
        raise ValueError(
            f"band '{name}' holds phases, which show no objects: choose one of amplitude or intensity with --band; "
            f"the scene has: {_listed(names)}"
        )
    if kind != "part":
        return (found,)
    partner = _partner(names, found)
    if partner is None:
        raise ValueError(
            f"band '{name}' is one part of complex numbers, and the other part is missing: export the intensity; "
            f"the scene has: {_listed(names)}"
        )
    return tuple(sorted((found, partner)))


def _meant(names: Sequence[str], band: str | int | None, kinds: Sequence[str]) -> int | None:
    numbers = range(1, len(names) + 1)
    # Bands that show the ground first, then parts of complex numbers, then the rest.
    by_use = sorted(numbers, key=lambda number: ("image", "part", "other", "phase").index(kinds[number - 1]))
    if band is not None:
        wanted = str(band).strip().upper()
        if wanted.isdecimal() and int(wanted) in numbers:
            return int(wanted)
        whole = [number for number in numbers if names[number - 1].upper() == wanted]
        return next(iter([*whole, *(n for n in by_use if wanted in words(names[n - 1]))]), None)
    best = [number for number in by_use if kinds[number - 1] == kinds[by_use[0] - 1]]
    for polarisation in ("VV", "HH"):
        for number in best:
            if polarisation in words(names[number - 1]):
                return number
    return best[0]


def _kind(name: str, unit: str) -> str:
    named, measured = words(name), words(unit)
    if named[:1] and named[0] in _PARTS and (len(named) > 1 or measured[:1] in (["REAL"], ["IMAGINARY"])):
        return "part"
    if {*named, *measured} & _PHASE:
        # SNAP's Intensity_ifg_VV is one.
        return "image" if {"INTENSITY", "AMPLITUDE"} & set(named) else "phase"
    return "other" if set(named) & _OTHER else "image"


def _partner(names: Sequence[str], found: int) -> int | None:
    first, *rest = words(names[found - 1])
    others = {other for other, of in _PARTS.items() if of == first} | {_PARTS[first]}
    for number, name in enumerate(names, 1):
        if words(name)[1:] == rest and words(name)[0] in others:
            return number
    return None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{number} = {name}" for number, name in enumerate(names, 1))

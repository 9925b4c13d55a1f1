"""Which radar took a scene, in what polarisation and when, from the names that producers give and from tags."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import date

from fusar_gpt.contract.bands import words
from fusar_gpt.contract.dates import acquisition_date, first_day

POLARISATIONS = ("VV", "HH", "VH", "HV")
"""In the order in which one is chosen, as the backend does."""

_SENSORS: tuple[tuple[str, str], ...] = (
    (r"S1([A-D])(?=[_-])|S1([A-D])$|SENTINEL[-_ ]?1([A-D])", "Sentinel-1{}"),
    (r"GF[-_ ]?3([BC]?)(?![0-9A-Z])|GAOFEN[-_ ]?3([BC]?)(?![0-9A-Z])", "Gaofen-3{}"),
    (r"UMBRA[-_ ]?(0\d|1\d)(?!\d)", "Umbra-{}"),
    (r"UMBRA()(?![A-Z])", "Umbra"),
    (r"CAPELLA[-_ ]?C?0?(\d{1,2})(?!\d)", "Capella-{}"),
    (r"CAPELLA()(?![A-Z])", "Capella"),
    (r"ICEYE[-_ ]?X(\d{1,2})(?!\d)", "ICEYE-X{}"),
    (r"ICEYE()(?![A-Z])", "ICEYE"),
    (r"QL[-_ ]?1()(?![0-9A-Z])|QILU[-_ ]?1()(?![0-9A-Z])", "Qilu-1"),
    (r"HT[-_ ]?1()(?![0-9A-Z])|HAITAO[-_ ]?1()(?![0-9A-Z])", "HT-1"),
    (r"TSX1?()(?=[_-])|TERRASAR[-_ ]?X()", "TerraSAR-X"),
    (r"TDX1?()(?=[_-])|TANDEM[-_ ]?X()", "TanDEM-X"),
    (r"PAZ1?()(?=[_-])", "PAZ"),
    (r"RS2()(?=[_-])|RADARSAT[-_ ]?2()", "RADARSAT-2"),
    (r"RCM([123])(?!\d)", "RCM-{}"),
    (r"ALOS[-_ ]?([24])(?!\d)", "ALOS-{}"),
    (r"CSKS?([1-4])(?!\d)", "COSMO-SkyMed {}"),
    (r"CSG[-_ ]?(?:SSAR)?([12])(?!\d)", "COSMO-SkyMed Second Generation {}"),
    (r"NISAR()(?![A-Z])", "NISAR"),
    (r"LT[-_ ]?1([AB])(?![0-9A-Z])|LUTAN[-_ ]?1([AB])", "LuTan-1{}"),
)
_SENSOR_PATTERNS = tuple((re.compile(rf"(?<![0-9A-Z])(?:{pattern})"), name) for pattern, name in _SENSORS)

_SAYS_SENSOR = re.compile(
    r"PLATFORM|SATELLITE|MISSION|SENSOR|SPACECRAFT|INSTRUMENT|IMAGEDESCRIPTION", re.IGNORECASE
)
_DAY_TAG = re.compile(r"DATETIME|TIME_COVERAGE_START|COLLECT_START|START_TIMESTAMP", re.IGNORECASE)


def sensor_of(names: Iterable[str], tags: Mapping[str, str] | None = None) -> str | None:
    """The satellite that a tag or else one of the names tells, the first of the names before the next."""
    told = [tags[key] for key in sorted(tags) if _SAYS_SENSOR.search(key)] if tags else []
    for text in (*told, *names):
        for pattern, name in _SENSOR_PATTERNS:
            if found := pattern.search(text.upper()):
                return name.format(next((part for part in found.groups() if part), ""))
    return None


def polarisations_in(text: str) -> list[str]:
    """The polarisations that are words of a text, each once, in its order."""
    return list(dict.fromkeys(word for word in words(text) if word in POLARISATIONS))


def polarisation_of(texts: Iterable[str]) -> str | None:
    """The polarisation of the first text that names exactly one."""
    return next((found[0] for text in texts if len(found := polarisations_in(text)) == 1), None)


def day_of(names: Iterable[str], tags: Mapping[str, str]) -> date | None:
    """The day of acquisition from tags about it, else from the first name that holds a day.

    A tag ``datetime`` counts, as xarray writes it; TIFF's own, ``TIFFTAG_DATETIME``, is when the file was written.
    """
    told = acquisition_date(tags, "")
    stamps = (first_day(tags[key]) for key in sorted(tags) if _DAY_TAG.fullmatch(key))
    return told or next((day for day in (*stamps, *map(first_day, names)) if day), None)

"""The day a scene was taken, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ..contract.dates import acquisition_date, first_day

_FILE_DATE = "TIFFTAG_DATETIME"


@dataclass(frozen=True)
class Acquisition:
    """A day, and whether it is ``certain``: a file's own date may be that of its processing."""

    day: date
    certain: bool = True


def acquisition(tags: Mapping[str, str], name: str) -> Acquisition | None:
    """Return the day of the acquisition as the backend reads it, else the file's own date; None for none."""
    day = acquisition_date(tags, name)
    if day is not None:
        return Acquisition(day)
    day = first_day(tags.get(_FILE_DATE, ""))
    return None if day is None else Acquisition(day, certain=False)

"""The day a scene was taken, from the file's tags or its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

# A day, alone or with a six-figure time of day behind it: the backend reads names in the same way.
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_:]?(\d\d)[-_:]?(\d\d)(?=\d{6}(?!\d)|(?!\d))")
_TAG = re.compile(r"ACQUI|START_?TIME|SENSING", re.IGNORECASE)
_FILE_DATE = "TIFFTAG_DATETIME"


@dataclass(frozen=True)
class Acquisition:
    """A day, and whether it is ``certain``: a file's own date may be that of its processing."""

    day: date
    certain: bool = True


def acquisition(tags: Mapping[str, str], name: str) -> Acquisition | None:
    """Return the first day in a tag about the acquisition, else in ``name``, else the file's own; None for none."""
    told = [tags[key] for key in sorted(tags) if _TAG.search(key)]
    for text in (*told, name):
        day = _first_day(text)
        if day is not None:
            return Acquisition(day)
    day = _first_day(tags.get(_FILE_DATE, ""))
    return None if day is None else Acquisition(day, certain=False)


def _first_day(text: str) -> date | None:
    for year, month, day in _DAY.findall(text):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None

"""The day a scene was taken, from its tags and its name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date

# A day, alone or with a six-figure time of day behind it.
_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)[-_:]?(\d\d)[-_:]?(\d\d)(?=\d{6}(?!\d)|(?!\d))")
_TAG = re.compile(r"ACQUI|START_?TIME|SENSING", re.IGNORECASE)


def acquisition_date(tags: Mapping[str, str], name: str) -> date | None:
    """The first day in a tag about the acquisition, else in the file's name.

    ``TIFFTAG_DATETIME`` is not used: it is when the file was written, which may be years later.
    """
    told = [tags[key] for key in sorted(tags) if _TAG.search(key)]
    return next((day for text in (*told, name) if (day := first_day(text)) is not None), None)


def first_day(text: str) -> date | None:
    """The first possible day in a text; None for none."""
    for year, month, day in _DAY.findall(text):
        try:
            return date(int(year), int(month), int(day))
        except ValueError:
            continue
    return None

"""Findings as plain columns, with the order in which they are shown: what is filtered and sorted never asks QGIS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

_TYPES = (
    str, np.int64, str, str, np.float64, str, str, np.float64, np.float64, np.float64, str, object, np.float64,
)  # fmt: skip
"""Of the columns of ``Rows``, in their order."""

QUANTITIES = ("confidence", "length", "area")
"""The columns that a range can be chosen of."""


@dataclass
class Rows:
    """Columns of equal length [n], one entry a finding.

    Attributes:
        layer: The id of its layer in QGIS.
        key: The id of its feature there, int64.
        run: The name of its run.
        scene: The name of the scene that the run was about.
        started: When the run began, in seconds since 1970; NaN where it does not say.
        label: What it is called, by the reviewer or else the model.
        review: The decision; empty while there is none.
        confidence: From 0 to 1; NaN where the model gives none.
        length: The longer side in metres; NaN where unknown.
        area: The area of its box in square metres; NaN where unknown.
        prior: The source of the prior of the chip that it was found in; empty where the layer does not say.
        text: What a search looks through, in lower case.
        box: Left, top, right and bottom in scene pixels, float64 [n, 4]; NaN where a person drew it.
    """

    layer: Any
    key: Any
    run: Any
    scene: Any
    started: Any
    label: Any
    review: Any
    confidence: Any
    length: Any
    area: Any
    prior: Any
    text: Any
    box: Any

    def __len__(self) -> int:
        return len(self.key)

    @staticmethod
    def of(records: Sequence[tuple[Any, ...]]) -> Rows:
        """Return the columns of records, each with the values of one finding in the order of the attributes."""
        columns = zip(*records) if records else ((),) * len(_TYPES)  # noqa: B905 - Python 3.9
        arrays: list[Any] = [np.array(column, dtype=kind) for column, kind in zip(columns, _TYPES)]  # noqa: B905
        arrays[-1] = arrays[-1].reshape(-1, 4)
        return Rows(*arrays)

    def only(self, chosen: Any) -> Rows:
        """Return the rows that are ``chosen``, bool [n]."""
        return Rows(*(getattr(self, one.name)[chosen] for one in fields(Rows)))

    def with_others(self, keys: Sequence[int], others: Rows) -> Rows:
        """Return the rows with those of ``keys`` replaced by ``others``, in the order of the keys; all of one layer."""
        old = ~np.isin(self.key, list(keys))
        kept = Rows(*(getattr(self, one.name)[old] for one in fields(Rows)))
        both = Rows.joined([kept, others])
        order = np.argsort(both.key, kind="stable")
        return Rows(*(getattr(both, one.name)[order] for one in fields(Rows)))

    @staticmethod
    def joined(parts: Sequence[Rows]) -> Rows:
        """Return all rows of ``parts``, one after the other."""
        if not parts:
            return Rows.of(())
        return Rows(*(np.concatenate([getattr(one, field.name) for one in parts]) for field in fields(Rows)))


@dataclass(frozen=True)
class Filter:
    """Which rows are shown: all of what is said; an empty text and None say nothing.

    Attributes:
        run, scene, label: As in the rows.
        review: A decision; empty for findings that are not reviewed; None for all.
        since, until: When the run began, in seconds since 1970, both ends included.
        ranges: By quantity the least and the most, both included; rows without such a number stay.
        words: Each must be in the row's text.
    """

    run: str = ""
    scene: str = ""
    label: str = ""
    review: str | None = None
    since: float | None = None
    until: float | None = None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    words: str = ""

    def without(self, quantity: str) -> Filter:
        """Return the filter without the range of one quantity."""
        kept = {name: ends for name, ends in self.ranges.items() if name != quantity}
        return replace(self, ranges=kept)

    def shown(self, rows: Rows) -> Any:
        """Return which rows are shown, bool [n]."""
        shown = np.ones(len(rows), dtype=bool)
        for name, (least, most) in self.ranges.items():
            shown &= ~((getattr(rows, name) < least) | (getattr(rows, name) > most))
        if self.since is not None:
            shown &= rows.started >= self.since
        if self.until is not None:
            shown &= rows.started <= self.until
        for name in ("run", "scene", "label"):
            if wanted := getattr(self, name):
                shown &= getattr(rows, name) == wanted
        if self.review is not None:
            shown &= rows.review == self.review
        for word in self.words.lower().split():
            left = np.flatnonzero(shown)
            shown[left] = [word in text for text in rows.text[left]]
        return shown


def order_of(rows: Rows, chosen: Filter, column: str = "", *, descending: bool = False) -> Any:
    """Return the numbers of the rows that are shown, in the order of ``column``; what it lacks goes last."""
    shown = np.flatnonzero(chosen.shown(rows))
    if not column:
        return shown
    values = getattr(rows, column)[shown]
    lacking = np.isnan(values) if values.dtype.kind == "f" else values == ""
    if values.dtype.kind == "U":  # ranks sort faster than texts
        values = np.unique(values, return_inverse=True)[1]
    keys = -values if descending else values
    return shown[np.lexsort((keys, lacking))]

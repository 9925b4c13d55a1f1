"""The counts of a run: for each target a number and what it was made from, or the grid cells that hold it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..contract import Finding, Value

if TYPE_CHECKING:  # QGIS 3.22 for Windows brings Python 3.9, which cannot evaluate a union
    Whole = int | None
    Share = float | None

_ROUNDED = 0.005  # a share may come with two decimals


@dataclass(frozen=True)
class AreaCount:
    """How many of a target there are in the area of a run.

    Attributes:
        target: What was counted; may be empty.
        number: How many, the least that it can be where it is not ``complete``.
        complete: Whether all of the area was counted.
        method: What the number was made from, as ``answers.method``; empty if that is not known.
        agreement: Share of the chips whose own count is the number of their detections, in [0, 1], or None.
        chips: How many chips were asked.
    """

    target: str
    number: int
    complete: bool
    method: str
    agreement: Share
    chips: int

    @property
    def agreeing(self) -> Whole:
        """How many of the chips agree; None where that is not known."""
        if self.agreement is None or not self.chips:
            return None
        agreeing = self.agreement * self.chips
        return round(agreeing) if abs(agreeing - round(agreeing)) < _ROUNDED * self.chips else None


class Counts:
    """Collects the count answers of a run as they come and go."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[str, Value]] = {}

    def add(self, finding: Finding) -> None:
        """Take a finding in; one that is no number of objects changes nothing."""
        row = finding.properties
        counted = row.get("task") == "count" if row.get("chip") is not None else row.get("count") is not None
        if finding.layer == "answers" and counted and not finding.lacks_data:
            self._rows[finding.id] = row

    def drop(self, finding_id: str) -> None:
        """Forget a finding."""
        self._rows.pop(finding_id, None)

    def areas(self) -> list[AreaCount]:
        """Return a count for each target: that of the area, or of its only chip."""
        by_target: dict[str, list[dict[str, Value]]] = {}
        for row in self._rows.values():
            by_target.setdefault(str(row.get("target") or ""), []).append(row)
        counts = (_count(target, rows) for target, rows in by_target.items())
        return [count for count in counts if count is not None]


class Cells:
    """Collects the grid cells of a run as they come and go."""

    def __init__(self) -> None:
        self._hits: dict[str, tuple[str, bool]] = {}  # target and whether it is there, by finding

    def add(self, finding: Finding) -> None:
        """Take a finding in; one that is no grid cell changes nothing."""
        if finding.layer == "grid":
            row = finding.properties
            self._hits[finding.id] = (str(row.get("target") or ""), bool(row.get("hit")))

    def drop(self, finding_id: str) -> None:
        """Forget a finding."""
        self._hits.pop(finding_id, None)

    def by_target(self) -> dict[str, tuple[int, int]]:
        """Return for each target how many cells hold it, and how many were looked at."""
        found: dict[str, tuple[int, int]] = {}
        for target, hit in self._hits.values():
            hits, cells = found.get(target, (0, 0))
            found[target] = (hits + hit, cells + 1)
        return found


def result(counts: Counts, cells: Cells) -> dict[str, Any]:
    """Return what a run has counted, for JSON; ``areas_of`` and ``cells_of`` read it."""
    return {"counts": [asdict(area) for area in counts.areas()], "cells": cells.by_target()}


def areas_of(kept: dict[str, Any]) -> list[AreaCount]:
    """Return the counts that a result holds; none if it cannot be read."""
    try:
        return [AreaCount(**area) for area in kept.get("counts") or ()]
    except TypeError:
        return []


def cells_of(kept: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return for each target how many cells hold it, and of how many; empty if that cannot be read."""
    try:
        return {target: (int(hits), int(all_)) for target, (hits, all_) in (kept.get("cells") or {}).items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def _count(target: str, rows: list[dict[str, Value]]) -> AreaCount | None:
    chips = [row for row in rows if row.get("chip") is not None]
    whole = [row for row in rows if row.get("chip") is None] or (chips if len(chips) == 1 else [])
    if not whole or not isinstance(whole[-1].get("count"), int):
        return None
    row = whole[-1]
    agreement = row.get("agreement")
    return AreaCount(
        target=target,
        number=int(row["count"] or 0),
        complete=row.get("complete") is not False,
        method=str(row.get("method") or ""),
        agreement=float(agreement) if isinstance(agreement, (int, float)) else None,
        chips=len(chips),
    )

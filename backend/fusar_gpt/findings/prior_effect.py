"""What a prior changed: two runs over the same chips, matched detection by detection, cell by cell, count by count."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from pyproj import Geod

from fusar_gpt.contract import Finding, Finished, Run, Value
from fusar_gpt.contract.prior_effect import ADDED, REMOVED, SAME, changes, overlaps_of, summary

_ELLIPSOID = Geod(ellps="WGS84")
_NUMBERS = ("objectness", "confidence")


@dataclass(frozen=True)
class ChangedDetection:
    """A row of the layer ``prior_effect``: the detection that is drawn, and its columns."""

    drawn: Finding
    columns: dict[str, Value]


@dataclass(frozen=True)
class PriorEffect:
    """What the prior of a run changed against another run.

    Attributes:
        detections: All of both runs, each once.
        by_label: Of the detections, how many of each change, by label.
        cells: Of the cells of the grid, how many were ``added``, ``removed`` or hit in both (``same``), by target.
        counts: By target: the number with the prior, ``compared`` without it, and the ``chips_changed``.
        answers: How many answers in words or classes are ``same`` and ``changed``.
    """

    detections: tuple[ChangedDetection, ...]
    by_label: dict[str, dict[str, int]]
    cells: dict[str, dict[str, int]]
    counts: dict[str, dict[str, int | None]]
    answers: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """The tables, without the detections."""
        return {
            "detections": self.by_label,
            "grid": self.cells,
            "counts": self.counts,
            "answers": self.answers,
        }


def prior_effect(ours: Finished, theirs: Finished) -> PriorEffect:
    """Compare a run with a prior (ours) with one over the same chips without it, or with another one."""
    detections = tuple(_changed_detections(ours, theirs))
    told = ((str(row.columns["label"]), str(row.columns["change"])) for row in detections)
    return PriorEffect(
        detections=detections,
        by_label=summary(told),
        cells=_changed_cells(ours.findings, theirs.findings),
        counts=_changed_counts(ours.findings, theirs.findings),
        answers=_changed_answers(ours.findings, theirs.findings),
    )


def _changed_detections(ours: Finished, theirs: Finished) -> Iterable[ChangedDetection]:
    found, compared = (
        [finding for finding in run.findings if finding.layer == "detections"] for run in (ours, theirs)
    )
    for change in changes(overlaps_of(found, compared), len(found), len(compared)):
        one = None if change.detected is None else found[change.detected]
        other = None if change.compared is None else compared[change.compared]
        drawn = one or other
        if drawn is None:  # no change is about nothing
            continue
        columns: dict[str, Value] = {
            "change": change.change,
            "label": drawn.properties.get("label"),
            "iou": change.iou,
            "distance_m": _distance_m(one, other),
            **{name: drawn.properties.get(name) for name in ("lon", "lat")},
        }
        yield ChangedDetection(
            drawn, columns | _of_run(one, ours.run, "") | _of_run(other, theirs.run, "_compared")
        )


def _of_run(finding: Finding | None, run: Run, ending: str) -> dict[str, Value]:
    """The columns that each of the two runs has."""
    columns: dict[str, Value] = {f"run{ending}": run.id, f"prior{ending}": run.prior}
    if finding is not None:
        columns |= {f"id{ending}": finding.id, f"prior{ending}": finding.properties.get("prior")}
        columns |= {f"{name}{ending}": finding.properties.get(name) for name in _NUMBERS}
    return columns


def _distance_m(one: Finding | None, other: Finding | None) -> float | None:
    """Between the centres of two detections, on the WGS84 ellipsoid; None where they have no place."""
    places = [(each.properties.get("lon"), each.properties.get("lat")) for each in (one, other) if each]
    if len(places) < 2 or any(value is None for place in places for value in place):
        return None
    distance = float(_ELLIPSOID.inv(*places[0], *places[1])[2])
    return distance if np.isfinite(distance) else None


def _changed_cells(ours: Sequence[Finding], theirs: Sequence[Finding]) -> dict[str, dict[str, int]]:
    here, there = _hits(ours), _hits(theirs)
    tables: dict[str, dict[str, int]] = {}
    for cell in sorted(here | there, key=str):
        row = tables.setdefault(str(cell[0]), {ADDED: 0, REMOVED: 0, SAME: 0})
        row[SAME if cell in here and cell in there else ADDED if cell in here else REMOVED] += 1
    return tables


def _hits(findings: Sequence[Finding]) -> set[tuple[Hashable, ...]]:
    return {
        (finding.properties.get("target"), finding.properties.get("cell"), *astuple(finding.box))
        for finding in findings
        if finding.layer == "grid" and finding.properties.get("hit")
    }


def _changed_counts(ours: Sequence[Finding], theirs: Sequence[Finding]) -> dict[str, dict[str, int | None]]:
    here, there = _answers(ours, "count"), _answers(theirs, "count")
    tables: dict[str, dict[str, int | None]] = {}
    for target in sorted({key[0] for key in here}):
        keys = [key for key in here if key[0] == target]
        area = next((key for key in keys if "chip" not in here[key].properties), keys[0])
        chips = [key for key in keys if "chip" in here[key].properties]
        tables[target] = {
            "with": _count(here, area),
            "compared": _count(there, area),
            "chips_changed": sum(_count(here, key) != _count(there, key) for key in chips),
        }
    return tables


def _count(answers: dict[tuple[Any, ...], Finding], key: tuple[Any, ...]) -> int | None:
    count = answers[key].properties.get("count") if key in answers else None
    return count if isinstance(count, int) else None


def _changed_answers(ours: Sequence[Finding], theirs: Sequence[Finding]) -> dict[str, int]:
    here, there = _answers(ours), _answers(theirs)
    said = [
        (here[key].properties.get(name), there[key].properties.get(name))
        for key in here.keys() & there.keys()
        for name in ("label", "text")
        if here[key].properties.get("task") != "count" and here[key].properties.get(name)
    ]
    same = sum(one == other for one, other in said)
    return {SAME: same, "changed": len(said) - same} if said else {}


def _answers(findings: Sequence[Finding], task: str | None = None) -> dict[tuple[Any, ...], Finding]:
    """The answers by target and place."""
    return {
        (str(finding.properties.get("target")), "chip" in finding.properties, *astuple(finding.box)): finding
        for finding in findings
        if finding.layer == "answers" and task in (None, finding.properties.get("task"))
    }

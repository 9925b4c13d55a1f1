"""Matches detections with true objects and scores them: precision, recall, F1.

The rules are those of ``fusar-train evaluate``, so that both give the same figures for the same boxes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

Overlap = tuple[int, int, float]
"""The number of a detection, the number of a true object, and their intersection over union."""


@dataclass(frozen=True)
class Pairing:
    """``partner`` of each paired detection, and the detections that are neither right nor wrong."""

    partner: dict[int, int]
    ignored: frozenset[int]


@dataclass(frozen=True)
class Score:
    """How many objects were found, falsely reported and missed."""

    found: int
    false: int
    missed: int

    def __add__(self, other: Score) -> Score:
        return Score(self.found + other.found, self.false + other.false, self.missed + other.missed)

    @property
    def precision(self) -> float | None:
        """Share of the reported that are true; None where nothing was reported."""
        return _share(self.found, self.found + self.false)

    @property
    def recall(self) -> float | None:
        """Share of the true that were found; None where there is nothing to find."""
        return _share(self.found, self.found + self.missed)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where nothing was reported and there is nothing."""
        return _share(2 * self.found, 2 * self.found + self.false + self.missed)


def pair(overlaps: Iterable[Overlap], threshold: float, difficult: Collection[int] = ()) -> Pairing:
    """Match greedily and one to one, blind to scores.

    All pairs of at least ``threshold`` are taken from the largest overlap down, each object once. Ties: the lower
    detection first, then the lower true object. ``difficult`` true objects are in no pair; a detection without a
    partner that overlaps one by the threshold is ignored (the rule of Pascal VOC).
    """
    close = [overlap for overlap in overlaps if overlap[2] >= threshold and overlap[2] > 0]
    partner: dict[int, int] = {}
    taken: set[int] = set()
    for said, true, _ in sorted(close, key=lambda one: (-one[2], one[0], one[1])):
        if said not in partner and true not in taken and true not in difficult:
            partner[said] = true
            taken.add(true)
    near = {said for said, true, _ in close if true in difficult}
    return Pairing(partner, frozenset(near.difference(partner)))


def score(pairing: Pairing, said: int, true: int, difficult: int = 0) -> Score:
    """Return the score of a pairing of ``said`` detections with ``true`` objects, of which some difficult."""
    found = len(pairing.partner)
    return Score(found, said - found - len(pairing.ignored), true - difficult - found)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None

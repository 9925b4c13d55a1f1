"""What a prior changed: the detections of a run with it against those of the same chips without it, or with another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .finding import Finding
from .geometry import SceneBox
from .matching import Overlap, pair
from .run import Columns

SAME_OBJECT = 0.5
"""The least intersection over union, in scene pixels, of two boxes of one label that are the same object."""
MOVED_BELOW = 0.75
"""The same object has moved where its two boxes overlap by less than this."""

CHANGES = ADDED, REMOVED, MOVED, SAME = "added", "removed", "moved", "same"
"""What the prior did to a detection: found only with it, only without it, elsewhere, or at the same place."""

PRIOR_EFFECT = "prior_effect"
"""The layer of changes."""
PRIOR_EFFECT_COLUMNS: Columns = {
    "change": str,
    "label": str,
    "iou": float,
    "distance_m": float,
    "objectness": float,
    "objectness_compared": float,
    "confidence": float,
    "confidence_compared": float,
    "prior": str,
    "prior_compared": str,
    "id": str,
    "id_compared": str,
    "run": str,
    "run_compared": str,
    "lon": float,
    "lat": float,
}
"""Its columns; what ends in ``_compared`` is of the run without the prior, or with the other one. Any may be null.

The geometry is the detection's, of the run with the prior unless the prior has removed it.
"""


@dataclass(frozen=True)
class Change:
    """One object: its numbers among the detections with the prior and among the others, None where it is not there."""

    change: str
    detected: int | None
    compared: int | None
    iou: float | None = None


def changes(overlaps: Iterable[Overlap], detected: int, compared: int) -> list[Change]:
    """Match greedily, as :func:`pair`: first the detections with the prior, in their order, then those removed.

    Args:
        overlaps: Number of a detection with the prior, of one without it and their IoU, where both have one label.
        detected: How many there are with the prior.
        compared: How many there are without it, or with the other one.
    """
    known = {(one, other): iou for one, other, iou in overlaps}
    partner = pair(((one, other, iou) for (one, other), iou in known.items()), SAME_OBJECT).partner
    told = []
    for one in range(detected):
        other = partner.get(one)
        if other is None:
            told.append(Change(ADDED, one, None))
        else:
            iou = known[one, other]
            told.append(Change(MOVED if iou < MOVED_BELOW else SAME, one, other, iou))
    left = set(range(compared)).difference(partner.values())
    return told + [Change(REMOVED, None, other) for other in sorted(left)]


def overlaps_of(detected: Sequence[Finding], compared: Sequence[Finding]) -> list[Overlap]:
    """The IoU, in scene pixels, of all pairs of detections of one label whose boxes touch."""
    by_left = sorted(range(len(compared)), key=lambda number: compared[number].box.left)
    widest = max((finding.box.right - finding.box.left for finding in compared), default=0.0)
    lefts = [compared[number].box.left for number in by_left]
    found = []
    for one, finding in enumerate(detected):
        box, label = finding.box, finding.properties.get("label")
        for place in range(bisect_left(lefts, box.left - widest), bisect_right(lefts, box.right)):
            other = by_left[place]
            if compared[other].properties.get("label") == label and (share := iou(box, compared[other].box)):
                found.append((one, other, share))
    return found


def iou(one: SceneBox, other: SceneBox) -> float:
    """Intersection over union of two boxes, in [0, 1]."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    if across <= 0 or down <= 0:
        return 0.0
    return across * down / (one.area + other.area - across * down)


def summary(told: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """How many of each change there are, by label, from pairs of label and change."""
    counted: dict[str, dict[str, int]] = {}
    for label, change in told:
        row = counted.setdefault(label, dict.fromkeys(CHANGES, 0))
        row[change] += 1
    return counted

"""What a prior changed: the detections of a run with a prior beside those of the same run without one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from .matching import Overlap, pair

Effect = Literal["added", "removed", "moved", "same"]
EFFECTS: tuple[Effect, ...] = get_args(Effect)
"""``added``: only with the prior; ``removed``: only without it; ``moved`` and ``same``: with and without it."""
SAME_IOU = 0.5
"""From this intersection over union on, two boxes are the same."""
MOVED_IOU = 0.1
"""From this one on, they are the same object, whose box the prior moved."""


@dataclass(frozen=True)
class Change:
    """One object: the numbers of its detections in the two runs, and their intersection over union."""

    effect: Effect
    with_prior: int | None
    without: int | None
    iou: float | None = None


def prior_effect(
    with_prior: Sequence[str], without: Sequence[str], overlaps: Iterable[Overlap]
) -> list[Change]:
    """Pair the detections of two runs, each of its own class, from the largest overlap down, one to one.

    Args:
        with_prior: The class of each detection of the run with a prior.
        without: The class of each detection of the run without one.
        overlaps: The number of a detection with a prior, of one without, and their intersection over union.

    Returns:
        A change for each detection with a prior, in their order, then for each that the prior removed.
    """
    ious = {(one, other): iou for one, other, iou in overlaps if with_prior[one] == without[other]}
    partner = pair(((one, other, iou) for (one, other), iou in ious.items()), MOVED_IOU).partner
    changes = []
    for one in range(len(with_prior)):
        other = partner.get(one)
        if other is None:
            changes.append(Change("added", one, None))
        else:
            iou = ious[one, other]
            changes.append(Change("same" if iou >= SAME_IOU else "moved", one, other, iou))
    lost = set(range(len(without))).difference(partner.values())
    return changes + [Change("removed", None, other) for other in sorted(lost)]

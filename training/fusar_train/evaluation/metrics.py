"""What is right in one answer (FUSAR-GPT, metrics of counting, localisation, classification and detection)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import Box


def corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """Boxes as float64 [N, 4]: left, top, right, bottom."""
    rows = [(box.left, box.top, box.right, box.bottom) for box in boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def overlaps(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union [N, M] of every box of ``a`` with every box of ``b``; 0 for empty boxes."""
    first, second = corners(a)[:, None], corners(b)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.where((sides > 0).all(-1), sides.prod(-1), 0.0)
    area = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (first, second)]
    union = area[0] + area[1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0))


@dataclass(frozen=True)
class Pairing:
    """Who belongs to whom on one chip.

    Attributes:
        partner: for each said box the number of its true box, -1 for none.
        ignored: for each said box whether it counts neither as right nor as wrong.
    """

    partner: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    @property
    def pairs(self) -> int:
        """How many true boxes were found."""
        return int((self.partner >= 0).sum())

    @property
    def said(self) -> int:
        """How many said boxes count."""
        return int((~self.ignored).sum())


def pair(
    said: Sequence[Box], truth: Sequence[Box], threshold: float, difficult: Sequence[bool] = ()
) -> Pairing:
    """Greedy one-to-one matching of the said boxes with the true ones, blind to scores.

    All pairs of at least ``threshold`` IoU are taken from the largest overlap down, each box once. Ties: the box
    said earlier, then the true box listed earlier. Difficult true boxes are in no pair; a said box without a
    partner that overlaps one by the threshold is ignored (the rule of Pascal VOC).
    """
    shared = overlaps(said, truth)
    hard = np.array(difficult or [False] * len(truth), dtype=bool)
    partner, free = np.full(len(said), -1), ~hard
    first, second = np.nonzero((shared >= threshold) & (shared > 0))
    for k in np.lexsort((second, first, -shared[first, second])):
        i, j = first[k], second[k]
        if partner[i] < 0 and free[j]:
            partner[i], free[j] = j, False
    near_hard = ((shared >= threshold) & (shared > 0) & hard).any(axis=1)
    return Pairing(partner, (partner < 0) & near_hard)


@dataclass(frozen=True)
class GridScore:
    """The three marks of one answer to the 3 x 3 grid task.

    Attributes:
        acc100: exactly the right cells.
        acc50: cells of IoU at least 0.5.
        top1: at least one cell in common. Without any true cell, all three want an empty answer.
    """

    acc100: bool
    acc50: bool
    top1: bool


def grid_score(said: frozenset[int] | None, truth: frozenset[int]) -> GridScore:
    """Marks an answer; one that could not be read (None) is wrong."""
    if said is None:
        return GridScore(acc100=False, acc50=False, top1=False)
    return GridScore(
        acc100=said == truth,
        acc50=2 * len(said & truth) >= len(said | truth),
        top1=bool(said & truth) if truth else not said,
    )

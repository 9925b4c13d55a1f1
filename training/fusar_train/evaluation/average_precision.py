"""Average precision of scored boxes, as the COCO evaluation defines it (checked against pycocotools)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import Box
from fusar_train.evaluation.bootstrap import Statistic, Weights, mean
from fusar_train.evaluation.metrics import overlaps

THRESHOLDS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
"""The IoUs of AP@[.5:.95]."""

_RECALLS = np.linspace(0, 1, 101)


@dataclass(frozen=True)
class ScoredChip:
    """What was said about one class on one image, and the truth.

    Attributes:
        image: the image's number.
        said: boxes in the order they were said, with their ``scores``, larger for surer.
        truth: the true boxes; those marked in ``difficult`` neither count nor harm.
    """

    image: int
    said: Sequence[Box]
    scores: Sequence[float]
    truth: Sequence[Box]
    difficult: Sequence[bool]

    @cached_property
    def overlaps(self) -> NDArray[np.float64]:
        """IoU [N, M] of the said with the true boxes."""
        return overlaps(self.said, self.truth)


def judge(chip: ScoredChip, threshold: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which said boxes, surest first, are right and which are wrong, [N] each; a difficult one's are neither.

    Each takes, of the true boxes still free, the one it overlaps most (of equals the later one), from the
    threshold on. Equal scores keep the order in which they were said. This differs from ``metrics.pair``, which
    is blind to scores.
    """
    order = np.argsort(-np.asarray(chip.scores, dtype=np.float64), kind="stable")
    shared = chip.overlaps
    hard = np.array(chip.difficult, dtype=bool)
    free = np.ones(len(chip.truth), dtype=bool)
    right, wrong = np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool)
    for place, i in enumerate(order):
        fits = free & (shared[i] >= min(threshold, 1 - 1e-10))
        fits = fits & ~hard if (fits & ~hard).any() else fits
        if not fits.any():
            wrong[place] = True
            continue
        best = np.flatnonzero(fits & (shared[i] == shared[i][fits].max()))[-1]
        free[best], right[place] = False, not hard[best]
    return right, wrong


def average_precision(chips: Sequence[ScoredChip], images: int, threshold: float) -> Statistic:
    """AP of one class at one IoU: precision, made falling, averaged over 101 recalls.

    Undefined when there is no true box. An image drawn several times by the bootstrap counts that often.
    """
    truths = np.zeros(images)
    owner, scores, right, wrong = [], [], [], []
    for chip in chips:
        truths[chip.image] += len(chip.truth) - sum(chip.difficult)
        good, bad = judge(chip, threshold)
        right.append(good)
        wrong.append(bad)
        scores.append(-np.sort(-np.asarray(chip.scores, dtype=np.float64), kind="stable"))
        owner.append(np.full(len(good), chip.image))
    order = np.argsort(-np.concatenate([*scores, np.zeros(0)]), kind="stable")
    images_of = np.concatenate([*owner, np.zeros(0, dtype=np.int64)]).astype(np.int64)[order]
    marks = [np.concatenate([*some, np.zeros(0, dtype=bool)])[order] for some in (right, wrong)]
    return Statistic(int(truths.sum()), lambda weights: _area(weights, truths, images_of, *marks))


def _area(
    weights: Weights,
    truths: NDArray[np.float64],
    images_of: NDArray[np.int64],
    right: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """AP [R] for each row of weights."""
    there = weights @ truths
    drawn = weights[:, images_of]
    found, false = (drawn * right).cumsum(axis=1), (drawn * wrong).cumsum(axis=1)
    told = found + false
    precision = np.divide(found, told, out=np.zeros_like(found), where=told > 0)
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    falling = np.concatenate([falling, np.zeros((len(weights), 1))], axis=1)
    values = np.full(len(weights), np.nan)
    for row in np.flatnonzero(there > 0):
        places = np.searchsorted(found[row] / there[row], _RECALLS, side="left")
        values[row] = falling[row, places].mean()
    return values


def mean_average_precision(classes: Sequence[Sequence[Statistic]]) -> Statistic:
    """The mean of AP over classes and, within each, over IoUs; classes without a true box are left out."""
    return mean([mean(at_ious, at_ious[0].n) for at_ious in classes])

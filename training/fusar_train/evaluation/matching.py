"""Matching predicted with true boxes, and average precision as the COCO evaluation defines it.

Two ways to match: ``match_boxes``, blind to scores, behind precision, recall and F1 (FUSAR-GPT's detection
metrics), and ``match_by_score`` behind average precision (checked against pycocotools).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.frames import Box
from fusar_train.evaluation.bootstrap import Statistic, Weights, mean

AP_IOUS = tuple(np.round(np.arange(0.5, 1.0, 0.05), 2).tolist())
"""The IoUs of AP@[.5:.95]."""

_RECALLS = np.linspace(0, 1, 101)


def corners(boxes: Sequence[Box]) -> NDArray[np.float64]:
    """Boxes as float64 [N, 4]: left, top, right, bottom."""
    rows = [(box.left, box.top, box.right, box.bottom) for box in boxes]
    return np.array(rows, dtype=np.float64).reshape(-1, 4)


def iou_matrix(a: Sequence[Box], b: Sequence[Box]) -> NDArray[np.float64]:
    """Intersection over union [N, M] of every box of ``a`` with every box of ``b``; 0 for empty boxes."""
    first, second = corners(a)[:, None], corners(b)[None]
    sides = np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2])
    shared = np.where((sides > 0).all(-1), sides.prod(-1), 0.0)
    area = [(boxes[..., 2:] - boxes[..., :2]).prod(-1) for boxes in (first, second)]
    union = area[0] + area[1] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0))


@dataclass(frozen=True)
class Matching:
    """Which true box each predicted box of one chip has found.

    Attributes:
        partner: For each predicted box the number of its true box, -1 for none.
        ignored: For each predicted box whether it counts neither as right nor as wrong.
    """

    partner: NDArray[np.int64]
    ignored: NDArray[np.bool_]

    @property
    def true_positives(self) -> int:
        """How many true boxes were found."""
        return int((self.partner >= 0).sum())

    @property
    def predicted(self) -> int:
        """How many predicted boxes count."""
        return int((~self.ignored).sum())


def match_boxes(
    predicted: Sequence[Box], truth: Sequence[Box], iou: float, difficult: Sequence[bool] = ()
) -> Matching:
    """Greedy one-to-one matching, blind to scores.

    All pairs of at least ``iou`` are taken from the largest overlap down, each box once. Ties: the box predicted
    earlier, then the true box listed earlier. Difficult true boxes are in no pair; a predicted box without a
    partner that overlaps one by the threshold is ignored (the rule of Pascal VOC).
    """
    overlap = iou_matrix(predicted, truth)
    hard = np.array(difficult or [False] * len(truth), dtype=bool)
    partner, free = np.full(len(predicted), -1), ~hard
    fits = (overlap >= iou) & (overlap > 0)
    first, second = np.nonzero(fits)
    for k in np.lexsort((second, first, -overlap[first, second])):
        i, j = first[k], second[k]
        if partner[i] < 0 and free[j]:
            partner[i], free[j] = j, False
    return Matching(partner, (partner < 0) & (fits & hard).any(axis=1))


@dataclass(frozen=True)
class Detections:
    """The predicted boxes of one class on one image, and the truth.

    Attributes:
        image: The image's number.
        predicted: Boxes in the order they were said, with their ``scores``, larger for surer, None for unknown.
        truth: The true boxes; those marked in ``difficult`` neither count nor harm.
    """

    image: int
    predicted: Sequence[Box]
    scores: Sequence[float | None]
    truth: Sequence[Box]
    difficult: Sequence[bool]

    @cached_property
    def overlap(self) -> NDArray[np.float64]:
        """IoU [N, M] of the predicted with the true boxes."""
        return iou_matrix(self.predicted, self.truth)

    def match(self, iou: float) -> Matching:
        """See ``match_boxes``."""
        return match_boxes(self.predicted, self.truth, iou, self.difficult)


def match_by_score(chip: Detections, iou: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which predicted boxes, surest first, are right and which are wrong, [N] each; a difficult one's are neither.

    Each takes, of the true boxes still free, the one it overlaps most (of equals the later one), from the
    threshold on. Equal scores keep the order in which they were said.
    """
    order = np.argsort(-np.asarray(chip.scores, dtype=np.float64), kind="stable")
    hard = np.array(chip.difficult, dtype=bool)
    free = np.ones(len(chip.truth), dtype=bool)
    right, wrong = np.zeros(len(order), dtype=bool), np.zeros(len(order), dtype=bool)
    for rank, i in enumerate(order):
        fits = free & (chip.overlap[i] >= min(iou, 1 - 1e-10))
        fits = fits & ~hard if (fits & ~hard).any() else fits
        if not fits.any():
            wrong[rank] = True
            continue
        best = np.flatnonzero(fits & (chip.overlap[i] == chip.overlap[i][fits].max()))[-1]
        free[best], right[rank] = False, not hard[best]
    return right, wrong


def average_precision(chips: Sequence[Detections], images: int, iou: float) -> Statistic:
    """AP of one class at one IoU: precision, made falling, averaged over 101 recalls. Every box needs a score.

    Undefined when there is no true box. An image drawn several times by the bootstrap counts that often.
    """
    truths = np.zeros(images)
    owner, scores = [np.zeros(0, np.int64)], [np.zeros(0)]
    right, wrong = [np.zeros(0, bool)], [np.zeros(0, bool)]
    for chip in chips:
        truths[chip.image] += len(chip.truth) - sum(chip.difficult)
        for marks, mine in zip((right, wrong), match_by_score(chip, iou), strict=True):
            marks.append(mine)
        scores.append(-np.sort(-np.asarray(chip.scores, dtype=np.float64), kind="stable"))
        owner.append(np.full(len(chip.scores), chip.image))
    order = np.argsort(-np.concatenate(scores), kind="stable")
    ordered = [np.concatenate(rows)[order] for rows in (owner, right, wrong)]
    return Statistic(int(truths.sum()), lambda weights: _area(weights, truths, *ordered))


def _area(
    weights: Weights,
    truths: NDArray[np.float64],
    images_of: NDArray[np.int64],
    right: NDArray[np.bool_],
    wrong: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """AP [R] for each row of weights."""
    true = weights @ truths
    drawn = weights[:, images_of]
    found, false = (drawn * right).cumsum(axis=1), (drawn * wrong).cumsum(axis=1)
    predicted = found + false
    precision = np.divide(found, predicted, out=np.zeros_like(found), where=predicted > 0)
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    falling = np.concatenate([falling, np.zeros((len(weights), 1))], axis=1)
    values = np.full(len(weights), np.nan)
    for row in np.flatnonzero(true > 0):
        places = np.searchsorted(found[row] / true[row], _RECALLS, side="left")
        values[row] = falling[row, places].mean()
    return values


def mean_average_precision(classes: Sequence[Sequence[Statistic]]) -> Statistic:
    """The mean of AP over classes and, within each, over IoUs; classes without a true box are left out."""
    return mean([mean(at_ious, at_ious[0].n) for at_ious in classes])

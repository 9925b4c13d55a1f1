"""Whether confidences hold: answers that are judged right or wrong, and figures of calibration and ranking."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.model.calibration import Inputs, ReliabilityBin
from fusar_gpt.tasks import Task
from fusar_train.evaluation.bootstrap import Statistic, Weights, ratio
from fusar_train.evaluation.metrics import (
    ALL,
    Cases,
    MetricKey,
    Metrics,
    boxes_asked_for,
    classes_of,
    detections_of,
    plain,
)
from fusar_train.evaluation.predictions import Prediction, TrueClass

IOU = 0.5
"""The least IoU with a true box of its class of a box that is right."""
BINS = 10
"""Of the expected calibration error, of equal width."""
SURE = 0.8
"""Precision is given of what is at least so sure."""

RIGHT = {
    Task.DETECT: f"a box overlaps a true one of its class by an IoU of at least {IOU:g}",
    Task.COUNT: "a count is exact",
    Task.LOCATE: "all nine cells are right",
    Task.CLASSIFY: "a class is right",
}
"""What being right means, by the tasks that have a confidence: texts are neither right nor wrong as a whole."""


@dataclass(frozen=True)
class Judged:
    """An answer, or one box of a detect answer: whether it is right, and how sure the model is of it."""

    image: str
    right: bool
    inputs: Inputs
    confidence: float | None


def judged(prediction: Prediction, classes: frozenset[str]) -> Iterator[Judged]:
    """What can be judged in an answer that has a score; nothing in one that could not be read.

    Boxes that overlap a difficult object are left out, as are those that name another of the ``classes`` asked about.
    """
    if prediction.task is Task.DETECT:
        boxes = boxes_asked_for(prediction, classes)
        matching = detections_of(prediction, classes).match(IOU)
        for box, partner, ignored in zip(boxes, matching.partner, matching.ignored, strict=True):
            if box.score is not None and not ignored:
                spelling = 1.0 if box.spelling is None else box.spelling
                inputs = Inputs.of_box(box.score, spelling, box.box, prediction.frame)
                yield Judged(prediction.image, bool(partner >= 0), inputs, box.confidence)
    elif prediction.task in RIGHT and prediction.answer is not None and prediction.score is not None:
        inputs = Inputs(prediction.score)
        yield Judged(prediction.image, _is_right(prediction), inputs, prediction.confidence)


def _is_right(prediction: Prediction) -> bool:
    answer, truth = prediction.answer, prediction.truth
    if isinstance(truth, TrueClass) and isinstance(answer, str):
        return plain(answer) in [plain(name) for name in (truth.label, truth.fine) if name]
    return answer == truth


def confidence_metrics(cases: Cases) -> Metrics:
    """AUROC of token probability and of confidence, and the errors of confidence, of each task that has them."""
    found: Metrics = {}
    classes = classes_of(cases.predictions)
    for task in RIGHT:
        mine = cases.of_task(task)
        rows = [
            (number, one)
            for number, prediction in zip(mine.image.tolist(), mine.predictions, strict=True)
            for one in judged(prediction, classes)
        ]
        if not rows:
            continue
        image = np.array([number for number, _ in rows])
        right = np.array([one.right for _, one in rows])
        ranks = np.array([one.inputs.probability for _, one in rows])
        found[MetricKey(task, ALL, "AUROC of token probability")] = auroc(ranks, right, image)
        sure = [one.confidence for _, one in rows]
        if all(share is not None for share in sure):
            shares = np.array(sure, dtype=np.float64)
            found |= {
                MetricKey(task, ALL, "AUROC of confidence"): auroc(shares, right, image),
                MetricKey(task, ALL, "ECE"): expected_calibration_error(shares, right, image, cases.images),
                MetricKey(task, ALL, f"P at confidence >= {SURE:g}"): precision_of_sure(
                    shares, right, image, cases.images
                ),
            }
    return found


def auroc(ranks: NDArray[np.float64], right: NDArray[np.bool_], image: NDArray[np.int64]) -> Statistic:
    """The chance that one that is right ranks above one that is wrong; ties count half. Undefined without both.

    Args:
        ranks: float64 [N], larger for surer.
        right: bool [N].
        image: int64 [N], the number of each one's image.
    """
    values, group = np.unique(ranks, return_inverse=True)
    starts = np.searchsorted(np.sort(group), np.arange(len(values)))
    order = np.argsort(group, kind="stable")

    def of(weights: Weights) -> NDArray[np.float64]:
        drawn = weights[:, image[order]]
        good = np.add.reduceat(drawn * right[order], starts, axis=1)
        bad = np.add.reduceat(drawn * ~right[order], starts, axis=1)
        below = bad.cumsum(axis=1) - bad / 2
        pairs = good.sum(axis=1) * bad.sum(axis=1)
        unknown = np.full(len(weights), np.nan)
        return np.asarray(np.divide((good * below).sum(axis=1), pairs, out=unknown, where=pairs > 0))

    return Statistic(len(ranks), of)


def bin_of(confidence: NDArray[np.float64]) -> NDArray[np.int64]:
    """The number of each confidence's bin, from 0 on."""
    return np.minimum((confidence * BINS).astype(np.int64), BINS - 1)


def expected_calibration_error(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], image: NDArray[np.int64], images: int
) -> Statistic:
    """The mean over all of |mean confidence - share right| in their bin (Naeini et al. 2015)."""
    gaps, bins = np.zeros((images, BINS)), bin_of(confidence)
    np.add.at(gaps, (image, bins), confidence - right)
    counts = np.bincount(image, minlength=images).astype(np.float64)

    def of(weights: Weights) -> NDArray[np.float64]:
        below, unknown = weights @ counts, np.full(len(weights), np.nan)
        error = np.abs(weights @ gaps).sum(axis=1)
        return np.asarray(np.divide(error, below, out=unknown, where=below > 0))

    return Statistic(len(confidence), of)


def precision_of_sure(
    confidence: NDArray[np.float64], right: NDArray[np.bool_], image: NDArray[np.int64], images: int
) -> Statistic:
    """The share that is right of those of a confidence of at least ``SURE``; undefined where there is none."""
    sure = confidence >= SURE
    good, both = (
        np.bincount(image, weights=some, minlength=images).astype(np.float64) for some in (sure & right, sure)
    )
    return ratio(good, both)


def reliability(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> list[ReliabilityBin]:
    """The bins that are not empty, by rising confidence, of confidences [N] of which some are right [N]."""
    bins = bin_of(confidence)
    return [
        ReliabilityBin(
            int(here.sum()), round(float(confidence[here].mean()), 4), round(float(right[here].mean()), 4)
        )
        for here in (bins == number for number in range(BINS))
        if here.any()
    ]

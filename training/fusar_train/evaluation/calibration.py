"""Fits a checkpoint's calibration on answers about images that it has not seen, and measures it by cross-validation."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from fusar_gpt.model.calibration import INPUTS, Calibration, MeasuredSet, TaskCalibration
from fusar_gpt.tasks import Task
from fusar_train.evaluation.confidence import (
    RIGHT,
    SURE,
    Judged,
    auroc,
    expected_calibration_error,
    judged,
    reliability,
)
from fusar_train.evaluation.metrics import classes_of
from fusar_train.evaluation.predictions import Condition, Prediction, PredictionsError

FOLDS = 10
LEAST = 15
"""A task needs at least so many right and so many wrong answers."""
_RIDGE = 1e-3
_SEED = 0

Rows = Sequence[tuple[Condition, Judged]]
Floats = NDArray[np.float64]


def calibrate(predictions: Sequence[Prediction], checkpoint_hash: str) -> tuple[Calibration, list[str]]:
    """The calibration of a checkpoint, and notices of the tasks that have none.

    It is fitted on the answers that were given with each image's own prior, if it has one; those with no or a wrong
    prior are only measured. Figures are of ``FOLDS`` parts of the images, each judged by what was fitted on the others.

    Args:
        predictions: Of that checkpoint, about images that it was not trained on.
        checkpoint_hash: SHA-256 of the checkpoint.

    Raises:
        PredictionsError: They are of another checkpoint, or there is too little of every task.
    """
    mine = [p for p in predictions if p.model.hash]
    if other := {p.model.hash for p in mine} - {checkpoint_hash}:
        raise PredictionsError(
            f"The predictions are of another checkpoint ({min(other)[:12]}, this one is {checkpoint_hash[:12]}): "
            "evaluate this checkpoint first."
        )
    rows: dict[Task, list[tuple[Condition, Judged]]] = defaultdict(list)
    for condition in dict.fromkeys(p.condition for p in mine):
        asked = [p for p in mine if p.condition == condition]
        classes = classes_of(asked)
        for prediction in asked:
            rows[prediction.task] += [(condition, one) for one in judged(prediction, classes)]
    tasks, notices = {}, []
    for task in RIGHT:
        own = [one for condition, one in rows[task] if condition.prior == "own"]
        right = sum(one.right for one in own)
        if min(right, len(own) - right) < LEAST:
            notices.append(
                f"no calibration of {task.value}: {right} right and {len(own) - right} wrong are too few"
            )
        else:
            tasks[task.value] = _calibrate(task, rows[task])
    if not tasks:
        raise PredictionsError(f"There is too little to fit on: {'; '.join(notices)}.")
    data = "; ".join(dict.fromkeys(p.condition.data for p in mine if p.condition.prior == "own"))
    return Calibration(checkpoint_hash, data, tasks), notices


def _calibrate(task: Task, rows: Rows) -> TaskCalibration:
    own = np.array([condition.prior == "own" for condition, _ in rows])
    terms = [one.inputs.terms() for _, one in rows]
    table = np.array([[row[name] for name in INPUTS] for row in terms])
    names = [name for name, column in zip(INPUTS, table[own].T, strict=True) if np.ptp(column) > 0]
    table = table[:, [INPUTS.index(name) for name in names]]
    right = np.array([one.right for _, one in rows])
    images = [one.image for _, one in rows]
    known, number = np.unique(images, return_inverse=True)
    fold = (np.random.default_rng(_SEED).permutation(len(known)) % FOLDS)[number]
    confidence = np.zeros(len(rows))
    for part in range(FOLDS):
        coefficients, intercept = fit(table[own & (fold != part)], right[own & (fold != part)], names)
        confidence[fold == part] = _logistic(table[fold == part] @ coefficients + intercept)
    coefficients, intercept = fit(table[own], right[own], names)
    sets = defaultdict(list)
    for place, (condition, _) in enumerate(rows):
        sets[condition.data, condition.prior].append(place)
    every = _measured("", "own", confidence[own], right[own])
    return TaskCalibration(
        method="logistic",
        inputs=names,
        coefficients=[round(float(c), 6) for c in coefficients],
        intercept=round(float(intercept), 6),
        right=RIGHT[task],
        n=every.n,
        images=len({images[i] for i in np.flatnonzero(own)}),
        ece=every.ece,
        auroc=every.auroc,
        reliability=reliability(confidence[own], right[own]),
        sets=[_measured(*key, confidence[some], right[some]) for key, some in sets.items()],
    )


def fit(table: Floats, right: NDArray[np.bool_], names: Sequence[str]) -> tuple[Floats, float]:
    """Coefficients [F] and intercept of a logistic regression of ``right`` [N] on a table [N, F], ridge on unit scales.

    The coefficient of the input named ``probability`` is at least 0.
    """
    middle, spread = table.mean(axis=0), np.maximum(table.std(axis=0), 1e-9)
    scaled = (table - middle) / spread

    def loss(parameters: Floats) -> tuple[float, Floats]:
        odds = parameters[0] + scaled @ parameters[1:]
        off = (_logistic(odds) - right) / len(right)
        slope = np.concatenate([[off.sum()], off @ scaled + 2 * _RIDGE * parameters[1:]])
        value = (np.logaddexp(0, odds) - right * odds).mean() + _RIDGE * (parameters[1:] ** 2).sum()
        return float(value), slope

    bounds = [(None, None), *((0 if name == "probability" else None, None) for name in names)]
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    coefficients = found[1:] / spread
    return coefficients, float(found[0] - coefficients @ middle)


def _logistic(odds: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -700, 700))))


def _measured(data: str, prior: str, confidence: Floats, right: NDArray[np.bool_]) -> MeasuredSet:
    """The figures of some answers, each an image of its own."""
    image, weights = np.arange(len(right)), np.ones((1, len(right)))
    ece = float(expected_calibration_error(confidence, right, image, len(right)).of(weights)[0])
    rank = float(auroc(confidence, right, image).of(weights)[0])
    sure = confidence >= SURE
    return MeasuredSet(
        data=data,
        prior=prior,
        n=len(right),
        confidence=round(float(confidence.mean()), 4),
        right=round(float(right.mean()), 4),
        ece=round(ece, 4),
        auroc=round(rank, 4) if np.isfinite(rank) else None,
        sure=int(sure.sum()),
        sure_right=round(float(right[sure].mean()), 4) if sure.any() else None,
    )


def lines(tasks: Mapping[str, TaskCalibration]) -> list[str]:
    """The figures of a calibration, a line each set."""
    said = []
    for task, found in tasks.items():
        said.append(
            f"{task}: {found.n} on {found.images} images, ECE {found.ece:.3f}, AUROC {_shown(found.auroc)}"
        )
        for one in found.sets:
            sure = f"of {one.sure} at {SURE:g} or more right {_shown(one.sure_right)}"
            said.append(
                f"  {one.data}, {one.prior} prior: n {one.n}, right {one.right:.3f}, mean confidence "
                f"{one.confidence:.3f}, ECE {one.ece:.3f}, AUROC {_shown(one.auroc)}, {sure}"
            )
    return said


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"

"""Predictions to figures: every metric of every task with its interval. Needs no model and no image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fusar_train.evaluation.bootstrap import Estimate, difference, estimate
from fusar_train.evaluation.java_captions import JavaCaptions
from fusar_train.evaluation.predictions import Condition, Prediction
from fusar_train.evaluation.task_statistics import (
    ALL,
    Cases,
    Confusion,
    Key,
    Statistics,
    confusions,
    statistics,
)

_GAINS = {"accuracy", "acc100", "F1@0.5", "CIDEr"}

Estimates = dict[Key, Estimate]


@dataclass(frozen=True)
class Measured:
    """All figures of one condition.

    Attributes:
        images: how many images the resampling draws from; ``questions``: how many answers were judged.
        figures: the estimates, in the order of the report.
        gains: figure minus the same model's figure without a prior on the same images, draws paired.
        confusion: the tables of coarse and, if known, fine classes.
        notices: what is left out and why.
    """

    condition: Condition
    images: int
    questions: int
    figures: Estimates
    gains: Estimates
    confusion: dict[str, Confusion]
    notices: tuple[str, ...]


def measure(predictions: Sequence[Prediction], seed: int = 0, *, java: bool = True) -> list[Measured]:
    """The figures of every condition, in the order in which the conditions first occur.

    Args:
        predictions: of any number of models, baselines and kinds of prior.
        seed: of the bootstrap; the same predictions and seed give the same figures.
        java: take the caption figures that need a Java program too.
    """
    groups: dict[Condition, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        groups[prediction.condition].append(prediction)
    images = {c: list(dict.fromkeys(p.image for p in mine)) for c, mine in groups.items()}
    with JavaCaptions() as programs:
        kept = programs if java else None
        taken = {c: statistics(cases_of(mine, images[c]), kept) for c, mine in groups.items()}
    measured = []
    for condition, mine in groups.items():
        found, notices = taken[condition]
        bare = Condition(condition.model, condition.hash, "none", condition.data)
        gains: Statistics = {}
        if condition != bare and images.get(bare) == images[condition]:
            base = taken[bare][0]
            both = [k for k in found if k in base and k.metric in _GAINS and k.cases == ALL]
            gains = {key: difference(found[key], base[key]) for key in both}
        figures = estimate([*found.values(), *gains.values()], len(images[condition]), seed)
        measured.append(
            Measured(
                condition,
                images=len(images[condition]),
                questions=len(mine),
                figures=dict(zip(found, figures, strict=False)),
                gains=dict(zip(gains, figures[len(found) :], strict=True)),
                confusion=confusions(mine),
                notices=tuple(notices),
            )
        )
    return measured


def cases_of(predictions: Sequence[Prediction], images: Sequence[str]) -> Cases:
    """Numbers the images of some answers."""
    number = {image: i for i, image in enumerate(images)}
    return Cases(predictions, np.array([number[p.image] for p in predictions], dtype=np.int64), len(images))


def to_json(measured: Sequence[Measured]) -> list[dict[str, Any]]:
    """The figures as plain objects, one a condition."""
    return [
        {
            "model": {"name": m.condition.model, "hash": m.condition.hash},
            "prior": m.condition.prior,
            "data": m.condition.data,
            "images": m.images,
            "questions": m.questions,
            "figures": [_row(key, value) for key, value in m.figures.items()],
            "gains_over_no_prior": [_row(key, value) for key, value in m.gains.items()],
            "confusion": {
                name: {"rows": table.rows, "columns": table.columns, "counts": table.counts.tolist()}
                for name, table in m.confusion.items()
            },
            "notices": m.notices,
        }
        for m in measured
    ]


def _row(key: Key, figure: Estimate) -> dict[str, Any]:
    where = {"task": key.task.value, "target": key.target, "metric": key.metric, "cases": key.cases}
    return {**where, "value": figure.value, "low": figure.low, "high": figure.high, "n": figure.n}

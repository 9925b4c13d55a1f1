"""From predictions to figures: every metric of every task with its interval. Needs no model and no image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from fusar_train.evaluation.bootstrap import Estimate, difference, estimate
from fusar_train.evaluation.captions import JavaCaptions
from fusar_train.evaluation.confidence import confidence_metrics
from fusar_train.evaluation.metrics import (
    ALL,
    Cases,
    ConfusionMatrix,
    MetricKey,
    Metrics,
    compute_metrics,
    confusion_matrices,
)
from fusar_train.evaluation.predictions import Condition, Prediction
from fusar_train.evaluation.slices import slice_metrics

_GAINS = {"accuracy", "acc100", "F1@0.5", "CIDEr"}

Estimates = dict[MetricKey, Estimate]


@dataclass(frozen=True)
class EvaluationResult:
    """All figures of one condition, with 95 % intervals.

    Attributes:
        images: How many images the resampling draws from; ``questions``: how many answers were judged.
        figures: The estimates, in the order of the report.
        gains: Figure minus the same model's figure without a prior on the same images, draws paired.
        confusion: The tables of coarse and, if known, fine classes.
        notices: What is left out and why.
    """

    condition: Condition
    images: int
    questions: int
    figures: Estimates
    gains: Estimates
    confusion: dict[str, ConfusionMatrix]
    notices: tuple[str, ...]


def evaluate_predictions(
    predictions: Sequence[Prediction], seed: int = 0, *, java: bool = True
) -> list[EvaluationResult]:
    """The figures of every condition, in the order in which the conditions first occur.

    Args:
        predictions: Of any number of models, baselines and kinds of prior.
        seed: Of the bootstrap; the same predictions and seed give the same figures.
        java: Compute the caption figures that need a Java program too.
    """
    groups: dict[Condition, list[Prediction]] = defaultdict(list)
    for prediction in predictions:
        groups[prediction.condition].append(prediction)
    images = {c: list(dict.fromkeys(p.image for p in mine)) for c, mine in groups.items()}
    with JavaCaptions() as programs:
        kept = programs if java else None
        metrics = {c: _metrics(cases_of(mine, images[c]), kept) for c, mine in groups.items()}
    results = []
    for condition, mine in groups.items():
        found, notices = metrics[condition]
        found = found | slice_metrics(cases_of(mine, images[condition]))
        without_prior = replace(condition, prior="none")
        gains: Metrics = {}
        if condition != without_prior and images.get(without_prior) == images[condition]:
            base = metrics[without_prior][0]
            both = [k for k in found if k in base and k.metric in _GAINS and k.cases == ALL]
            gains = {key: difference(found[key], base[key]) for key in both}
        figures = estimate([*found.values(), *gains.values()], len(images[condition]), seed)
        results.append(
            EvaluationResult(
                condition,
                images=len(images[condition]),
                questions=len(mine),
                figures=dict(zip(found, figures, strict=False)),
                gains=dict(zip(gains, figures[len(found) :], strict=True)),
                confusion=confusion_matrices(mine),
                notices=tuple(notices),
            )
        )
    return results


def _metrics(cases: Cases, java: JavaCaptions | None) -> tuple[Metrics, list[str]]:
    found, notices = compute_metrics(cases, java)
    return found | confidence_metrics(cases), notices


def cases_of(predictions: Sequence[Prediction], images: Sequence[str]) -> Cases:
    """Numbers the images of some answers."""
    number = {image: i for i, image in enumerate(images)}
    return Cases(predictions, np.array([number[p.image] for p in predictions], dtype=np.int64), len(images))


def to_json(results: Sequence[EvaluationResult]) -> list[dict[str, Any]]:
    """The figures as plain objects, one a condition."""
    return [
        {
            "model": {"name": result.condition.model, "hash": result.condition.hash},
            "prior": result.condition.prior,
            "data": result.condition.data,
            "images": result.images,
            "questions": result.questions,
            "figures": [asdict(key) | asdict(figure) for key, figure in result.figures.items()],
            "gains_over_no_prior": [asdict(key) | asdict(figure) for key, figure in result.gains.items()],
            "confusion": {
                name: {"rows": table.rows, "columns": table.columns, "counts": table.counts.tolist()}
                for name, table in result.confusion.items()
            },
            "notices": result.notices,
        }
        for result in results
    ]

"""The evaluation as one page: figures with intervals beside the papers', confusion, pictures of the worst errors."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fusar_gpt.findings.report import load_template
from fusar_gpt.tasks import ANY, Task
from fusar_train.evaluation.bootstrap import RESAMPLES, Estimate
from fusar_train.evaluation.captions import TOKENIZER
from fusar_train.evaluation.error_images import (
    COLOURS,
    FALSE,
    FOUND,
    MISSED,
    TRUE,
    counting_errors,
    detection_errors,
    draw,
)
from fusar_train.evaluation.metrics import ALL, MetricKey
from fusar_train.evaluation.papers import MODELS, NOTE, PAPERS
from fusar_train.evaluation.predictions import Prediction
from fusar_train.evaluation.reliability import draw_reliability, reliability_of
from fusar_train.evaluation.results import EvaluationResult

TASKS = {
    Task.COUNT: "Counting",
    Task.LOCATE: "Location in the 3 x 3 grid",
    Task.CLASSIFY: "Class of a given box",
    Task.DETECT: "Detection",
    Task.DESCRIBE: "Captions",
    Task.ASK: "Free questions",
}
METRICS = {
    "accuracy": "accuracy",
    "MAE": "mean absolute error",
    "acc100": "Acc@100",
    "acc50": "Acc@50",
    "top1": "Top1",
    "exact": "word for word",
    "SARLANG": "SARLANG's rule, what it decides",
    "SARLANG closed": "SARLANG's rule, yes, no and 0-99",
}
PRIOR_NAMES = {"own": "own prior", "none": "no prior", "wrong": "wrong prior", "unknown": "prior unknown"}
_PLAIN_NUMBERS = {"MAE"}

Pixels = Callable[[str], NDArray[np.uint8] | None]
"""The chip of an image's id; None when it is not at hand."""


def render(
    results: Sequence[EvaluationResult],
    predictions: Sequence[Prediction],
    pixels: Pixels,
    seed: int,
    alarms: Sequence[str] = (),
) -> str:
    """The page. All words of models and data are escaped; it holds no script and no address.

    Args:
        results: Those of the models, then those of the baselines.
        predictions: Those of the first result give the errors that are drawn.
        pixels: Gives the chips to draw them on.
        seed: Of the bootstrap.
        alarms: Sentences about false alarms on scenes without targets.
    """
    models = models_of(results)
    gained = [result for result in results if result.gains]
    names = ", ".join(dict.fromkeys(result.condition.model for result in models))
    data = ", ".join(dict.fromkeys(result.condition.data for result in results))
    data += f": {results[0].images} images" if results else ""
    return load_template("fusar_train.evaluation", "report.html").render(
        title=f"Evaluation of {names}" if names else "Evaluation",
        subtitle=data,
        alarms=alarms,
        beside_papers=_beside_papers(models),
        papers_note=NOTE,
        gains=_table(
            dict.fromkeys(key for result in gained for key in result.gains),
            {column(result): result.gains for result in gained},
        ),
        confusions=[
            (f"{column(result)}, {level} classes", table)
            for result in models
            for level, table in result.confusion.items()
        ],
        reliabilities=[
            (column(m), Markup(draw_reliability(bins)))  # noqa: S704 - our own drawing, its words escaped
            for m in models
            if (bins := reliability_of([p for p in predictions if p.condition == m.condition]))
        ],
        pictures=list(_pictures(results[0], predictions, pixels)) if results else [],
        colours=COLOURS,
        all_figures=_table(_keys(results), {column(result): result.figures for result in results}),
        models=dict.fromkeys((r.condition.model, r.condition.hash) for r in results if r.condition.hash),
        notices=dict.fromkeys(notice for result in results for notice in result.notices),
        resamples=RESAMPLES,
        seed=seed,
        tokenizer=TOKENIZER,
    )


def models_of(results: Sequence[EvaluationResult]) -> list[EvaluationResult]:
    """The models among models and baselines; the first baseline where there is no model."""
    return [result for result in results if result.condition.hash] or list(results[:1])


def column(result: EvaluationResult) -> str:
    """What stands over a condition's figures."""
    condition = result.condition
    return f"{condition.model}, {PRIOR_NAMES[condition.prior]}" if condition.hash else condition.model


def shown(key: MetricKey, value: float | None) -> str:
    """A figure as text: percent, or a plain number for errors; CIDEr 1.6 is written 160 as in the papers."""
    if value is None:
        return "\u2013"
    return f"{value:.2f}" if key.metric in _PLAIN_NUMBERS else f"{100 * value:.1f}"


def interval(key: MetricKey, figure: Estimate) -> str:
    """The figure's 95 % interval as text."""
    return "" if figure.low is None else f"{shown(key, figure.low)} to {shown(key, figure.high)}"


def title_of(key: MetricKey) -> str:
    """The name of a figure below its task's name."""
    metric = METRICS.get(key.metric, key.metric)
    cases = "" if key.cases == ALL else f", images {key.cases}"
    return f"{metric}{cases}" if key.target == ALL else f"{key.target}: {metric}{cases}"


def overall(key: MetricKey, figures: Mapping[MetricKey, Estimate]) -> Estimate | None:
    """The figure; where only one class was asked about, that class's stands for all."""
    if key in figures or key.target != ALL:
        return figures.get(key)
    alike = [f for other, f in figures.items() if replace(other, target=ALL) == key and other.target != ANY]
    return alike[0] if len(alike) == 1 else None


def _keys(results: Sequence[EvaluationResult]) -> list[MetricKey]:
    """All figures that any of them has, task by task, but none twice because every image has targets."""
    keys = dict.fromkeys(
        key
        for result in results
        for key, figure in result.figures.items()
        if key.cases == ALL or figure != result.figures[replace(key, cases=ALL)]
    )
    return sorted(keys, key=lambda key: list(TASKS).index(key.task))


def _beside_papers(models: Sequence[EvaluationResult]) -> dict[str, Any] | None:
    columns = {column(m): {key: f for key in PAPERS if (f := overall(key, m.figures))} for m in models}
    keys = [key for key in PAPERS if any(key in figures for figures in columns.values())]
    return _table(keys, columns, MODELS)


def _table(
    keys: Iterable[MetricKey], columns: Mapping[str, Mapping[MetricKey, Estimate]], papers: Sequence[str] = ()
) -> dict[str, Any] | None:
    """One row a figure, in the columns of conditions and then of papers; None without a row."""
    rows = []
    for key in keys:
        figures = [figures.get(key) for figures in columns.values()]
        rows.append(
            {
                "task": TASKS[key.task],
                "name": title_of(key),
                "n": next((figure.n for figure in figures if figure), ""),
                "cells": [
                    f and {"value": shown(key, f.value), "interval": interval(key, f)} for f in figures
                ],
                "papers": [shown(key, PAPERS[key][name]) if name in PAPERS[key] else "" for name in papers],
            }
        )
    return {"columns": list(columns), "papers": papers, "rows": rows} if rows else None


def _pictures(
    result: EvaluationResult, predictions: Sequence[Prediction], pixels: Pixels
) -> Iterator[dict[str, Any]]:
    """The worst errors of a result, drawn on those chips that are at hand."""
    mine = [p for p in predictions if p.condition == result.condition]
    detection = (FOUND, MISSED, FALSE)
    for title, kinds, errors in (
        ("Most missed", detection, detection_errors(mine, MISSED)),
        ("Most false alarms", detection, detection_errors(mine, FALSE)),
        ("Worst counts", (TRUE,), counting_errors(mine)),
    ):
        pictures = [
            {"text": e.text, "image": e.image, "png": base64.b64encode(draw(chip, e)).decode("ascii")}
            for e in errors
            if (chip := pixels(e.image)) is not None
        ]
        if pictures:
            yield {"title": f"{title}: {column(result)}", "kinds": kinds, "pictures": pictures}

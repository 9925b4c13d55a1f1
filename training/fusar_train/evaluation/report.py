"""The evaluation as one page: figures with intervals beside the papers', confusion, pictures of the worst errors."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.findings.report import page_template
from fusar_gpt.tasks import ANY, Task
from fusar_train.evaluation.bootstrap import RESAMPLES, Estimate
from fusar_train.evaluation.captions import TOKENIZER
from fusar_train.evaluation.figures import Measured
from fusar_train.evaluation.papers import MODELS, NOTE, PAPERS
from fusar_train.evaluation.pictures import COLOURS, FALSE, FOUND, MISSED, TRUE, Error, draw
from fusar_train.evaluation.task_statistics import ALL, Key

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
}
PRIOR_NAMES = {"own": "own prior", "none": "no prior", "wrong": "wrong prior"}
_PLAIN_NUMBERS = {"MAE"}

Pixels = Callable[[str], NDArray[np.uint8] | None]
"""The chip of an image's id; None when it is not at hand."""


@dataclass(frozen=True)
class Errors:
    """The errors of one condition that are shown: a title, what the boxes' colours mean, and the pictures."""

    title: str
    kinds: Sequence[str]
    errors: Sequence[Error]


def render(measured: Sequence[Measured], errors: Sequence[Errors], pixels: Pixels, seed: int) -> str:
    """The page. All words of models and data are escaped; it holds no script and no address.

    Args:
        measured: the figures of the models, then those of the baselines.
        errors: groups of errors to draw.
        pixels: gives the chips to draw them on.
        seed: of the bootstrap.
    """
    models = models_of(measured)
    gained = [m for m in measured if m.gains]
    names = ", ".join(dict.fromkeys(m.condition.model for m in models))
    data = ", ".join(dict.fromkeys(m.condition.data for m in measured))
    return page_template("fusar_train.evaluation", "report.html").render(
        title=f"Evaluation of {names}",
        subtitle=f"{data}: {measured[0].images} images",
        beside_papers=_beside_papers(models),
        papers_note=NOTE,
        gains=_table(
            dict.fromkeys(key for m in gained for key in m.gains), {column(m): m.gains for m in gained}
        ),
        confusions=[
            (f"{column(m)}, {name} classes", table) for m in models for name, table in m.confusion.items()
        ],
        pictures=[drawn for group in errors if (drawn := _pictures(group, pixels))["pictures"]],
        colours=COLOURS,
        all_figures=_table(_keys(measured), {column(m): m.figures for m in measured}),
        models=dict.fromkeys((m.condition.model, m.condition.hash) for m in measured if m.condition.hash),
        notices=dict.fromkeys(notice for m in measured for notice in m.notices),
        resamples=RESAMPLES,
        seed=seed,
        tokenizer=TOKENIZER,
    )


def models_of(measured: Sequence[Measured]) -> list[Measured]:
    """The models among models and baselines; the first baseline where there is no model."""
    return [m for m in measured if m.condition.hash] or list(measured[:1])


def column(measured: Measured) -> str:
    """What stands over a condition's figures."""
    condition = measured.condition
    return f"{condition.model}, {PRIOR_NAMES[condition.prior]}" if condition.hash else condition.model


def shown(key: Key, value: float | None) -> str:
    """A figure as text: percent, or a plain number for errors; CIDEr 1.6 is written 160 as in the papers."""
    if value is None:
        return "\u2013"
    return f"{value:.2f}" if key.metric in _PLAIN_NUMBERS else f"{100 * value:.1f}"


def interval(key: Key, figure: Estimate) -> str:
    """The figure's 95 % interval as text."""
    return "" if figure.low is None else f"{shown(key, figure.low)} to {shown(key, figure.high)}"


def title_of(key: Key) -> str:
    """The name of a figure below its task's name."""
    metric = METRICS.get(key.metric, key.metric)
    cases = "" if key.cases == ALL else f", images {key.cases}"
    return f"{metric}{cases}" if key.target == ALL else f"{key.target}: {metric}{cases}"


def overall(key: Key, figures: Mapping[Key, Estimate]) -> Estimate | None:
    """The figure; where only one class was asked about, that class's stands for all."""
    if key in figures or key.target != ALL:
        return figures.get(key)
    alike = [f for other, f in figures.items() if replace(other, target=ALL) == key and other.target != ANY]
    return alike[0] if len(alike) == 1 else None


def _keys(measured: Sequence[Measured]) -> list[Key]:
    """All figures that any of them has, task by task, but none twice because every image has targets."""
    keys = dict.fromkeys(
        key
        for m in measured
        for key, figure in m.figures.items()
        if key.cases == ALL or figure != m.figures[replace(key, cases=ALL)]
    )
    return sorted(keys, key=lambda key: list(TASKS).index(key.task))


def _beside_papers(models: Sequence[Measured]) -> dict[str, Any] | None:
    columns = {column(m): {key: f for key in PAPERS if (f := overall(key, m.figures))} for m in models}
    keys = [key for key in PAPERS if any(key in figures for figures in columns.values())]
    return _table(keys, columns, MODELS)


def _table(
    keys: Iterable[Key], columns: Mapping[str, Mapping[Key, Estimate]], papers: Sequence[str] = ()
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


def _pictures(group: Errors, pixels: Pixels) -> dict[str, Any]:
    """The errors of a group drawn on those chips that are at hand."""
    pictures = []
    for error in group.errors:
        image = pixels(error.image)
        if image is not None:
            png = base64.b64encode(draw(image, error)).decode("ascii")
            pictures.append({"text": error.text, "image": error.image, "png": png})
    return {"title": group.title, "kinds": group.kinds, "pictures": pictures}


DETECTION_KINDS = (FOUND, MISSED, FALSE)
COUNTING_KINDS = (TRUE,)

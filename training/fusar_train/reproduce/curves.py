"""Loss curves as a small SVG: one panel a stage, one line a row, the mean over its seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from fusar_gpt.findings.report import load_template
from fusar_train.reproduce.experiment import TrainingRun
from fusar_train.reproduce.outcome import RunOutcome

Curve = list[tuple[float, float]]
"""(step, loss)."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's, which colour-blind readers tell apart."""

_TITLES = {1: "Stage 1: descriptions", 2: "Stage 2: tasks"}
_SIZE = {"width": 380, "height": 260, "left": 52, "top": 30, "gap": 60}
_SMOOTHING = 0.85  # the logged loss is that of few steps


def draw(outcomes: Mapping[TrainingRun, RunOutcome]) -> str:
    """The picture; the axis of losses is logarithmic."""
    rows = list(dict.fromkeys(run.row for run in outcomes))
    curves = {stage: curves_of(outcomes, stage) for stage in _TITLES}
    return load_template("fusar_train.reproduce", "curves.svg").render(
        **_SIZE,
        panels=[{"title": _TITLES[stage], **_panel(mine)} for stage, mine in curves.items()],
        colours=dict(zip(rows, COLOURS, strict=False)),
        drawn=[row for row in rows if any(row in mine for mine in curves.values())],
    )


def curves_of(outcomes: Mapping[TrainingRun, RunOutcome], stage: int) -> dict[str, Curve]:
    """The smoothed mean loss of each row over its seeds, at the steps that all of them logged."""
    seeds: dict[str, list[dict[float, float]]] = defaultdict(list)
    for run, outcome in outcomes.items():
        if losses := outcome.losses.get(stage):
            seeds[run.row].append(dict(losses))
    return {row: smoothed(mean_of(some)) for row, some in seeds.items()}


def mean_of(curves: Sequence[Mapping[float, float]]) -> Curve:
    """The mean of some curves at the steps that all have."""
    steps = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [(step, sum(curve[step] for curve in curves) / len(curves)) for step in steps]


def smoothed(curve: Curve) -> Curve:
    """Exponential smoothing, without the bias of its start."""
    total = weight = 0.0
    smooth = []
    for step, loss in curve:
        total = _SMOOTHING * total + (1 - _SMOOTHING) * loss
        weight = _SMOOTHING * weight + 1 - _SMOOTHING
        smooth.append((step, total / weight))
    return smooth


def _panel(curves: Mapping[str, Curve]) -> dict[str, Any]:
    """The ticks of both axes and the line of each row, in the pixels of a panel."""
    points = [point for curve in curves.values() for point in curve]
    if not points:
        return {"ticks": [], "lines": {}}
    last = max(step for step, _ in points)
    logs = [_log(loss) for _, loss in points]
    low, high = min(logs) - 0.02, max(logs) + 0.02

    def place(step: float, log: float) -> tuple[float, float]:
        return step / last * _SIZE["width"], (high - log) / (high - low) * _SIZE["height"]

    ticks = []
    for fifth in range(6):
        step, log = last * fifth / 5, low + (high - low) * fifth / 5
        x, y = place(step, log)
        shown = {"step": f"{step:.0f}", "loss": f"{10**log:.2g}"}
        ticks.append({"x": f"{x:.1f}", "y": f"{y:.1f}", "below": f"{y + 4:.1f}", **shown})
    places = {row: [place(step, _log(loss)) for step, loss in curve] for row, curve in curves.items()}
    lines = {row: " ".join(f"{x:.1f},{y:.1f}" for x, y in mine) for row, mine in places.items()}
    return {"ticks": ticks, "lines": lines}


def _log(loss: float) -> float:
    return math.log10(max(loss, 1e-6))

"""Loss curves as a small SVG: one panel a stage, one line a row, the mean over its seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from fusar_train.reproduce.experiment import Run
from fusar_train.reproduce.outcome import Outcome

Curve = list[tuple[float, float]]
"""(step, loss)."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999")
"""Okabe and Ito's, which colour-blind readers tell apart."""

_TITLES = {1: "Stage 1: descriptions", 2: "Stage 2: tasks"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _GAP = 380, 260, 52, 30, 60
_SMOOTHING = 0.85  # the logged loss is that of few steps


def draw(outcomes: Mapping[Run, Outcome]) -> str:
    """The picture; the axis of losses is logarithmic."""
    rows = list(dict.fromkeys(run.row for run in outcomes))
    colours = dict(zip(rows, COLOURS, strict=False))
    panels = [(stage, curves_of(outcomes, stage)) for stage in _TITLES]
    width, height = 2 * (_WIDTH + _GAP) + _LEFT, _HEIGHT + _TOP + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, (stage, curves) in enumerate(panels):
        left = _LEFT + number * (_WIDTH + _GAP)
        parts += [
            f'<g transform="translate({left} {_TOP})">',
            *_panel(_TITLES[stage], curves, colours),
            "</g>",
        ]
    drawn = [row for row in rows if any(row in curves for _, curves in panels)]
    for number, row in enumerate(drawn):
        x, y = _LEFT + number * 105, height - 12
        parts.append(f'<path d="M{x} {y - 4}h18" stroke="{colours[row]}" stroke-width="2"/>')
        parts.append(f'<text x="{x + 23}" y="{y}">{row}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def curves_of(outcomes: Mapping[Run, Outcome], stage: int) -> dict[str, Curve]:
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


def _panel(title: str, curves: Mapping[str, Curve], colours: Mapping[str, str]) -> Iterator[str]:
    """One stage: frame, ticks, lines, in a box of ``_WIDTH`` x ``_HEIGHT``."""
    points = [point for curve in curves.values() for point in curve]
    yield f'<text x="0" y="-10" font-weight="bold">{title}</text>'
    yield f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="none" stroke="#888"/>'
    yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT + 34}" text-anchor="middle">step</text>'
    if not points:
        yield f'<text x="{_WIDTH / 2}" y="{_HEIGHT / 2}" text-anchor="middle">no run yet</text>'
        return
    last = max(step for step, _ in points)
    logs = [math.log10(max(loss, 1e-6)) for _, loss in points]
    low, high = min(logs) - 0.02, max(logs) + 0.02

    def place(step: float, log: float) -> tuple[float, float]:
        return step / last * _WIDTH, (high - log) / (high - low) * _HEIGHT

    for fifth in range(6):
        x, y = place(last * fifth / 5, low + (high - low) * fifth / 5)
        loss = 10 ** (low + (high - low) * fifth / 5)
        yield f'<text x="{x:.1f}" y="{_HEIGHT + 16}" text-anchor="middle">{last * fifth / 5:.0f}</text>'
        yield f'<text x="-6" y="{y + 4:.1f}" text-anchor="end">{loss:.2g}</text>'
        yield f'<path d="M0 {y:.1f}h{_WIDTH}" stroke="#ddd"/>'
    for row, curve in curves.items():
        places = (place(step, math.log10(max(loss, 1e-6))) for step, loss in curve)
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        yield f'<polyline points="{line}" fill="none" stroke="{colours[row]}" stroke-width="1.6"/>'

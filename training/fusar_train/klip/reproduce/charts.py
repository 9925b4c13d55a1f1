"""Four small charts over the share of noise: what the arms can do, and how well each rule ranks planted noise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fusar_gpt.findings.report import load_template
from fusar_train.evaluation.seeds import SeedMean
from fusar_train.klip.reproduce.experiment import ARMS, Experiment
from fusar_train.klip.reproduce.tables import TITLES, Outcome, Outcomes, means, noise_levels, summary
from fusar_train.klip.scio.rules import RULES

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which colour-blind readers tell apart."""
WIDTH, HEIGHT = 230, 170
_SHIFT = 4  # so that intervals do not hide each other

Figures = Callable[[Outcome, str], dict[str, float]]


def draw(experiment: Experiment, outcomes: Outcomes) -> str:
    """The picture."""
    arms = {arm: TITLES[arm] for arm in experiment.arms}
    names = ("retrieval: mean", "by facts: mean", "written: mean of six")
    panels = [_panel(name, list(ARMS), outcomes, summary, name) for name in names]
    rules = [rule for rule in RULES if any(rule in outcome.rules for outcome in outcomes.values())]
    panels.append(
        _panel("AUC of the screen, by rule", rules, outcomes, lambda one, rule: dict(one.rules[rule]), "AUC")
    )
    return load_template("fusar_train.klip.reproduce", "results.svg").render(
        width=WIDTH,
        height=HEIGHT,
        panels=panels,
        legends=[
            [(title, COLOURS[list(ARMS).index(arm)]) for arm, title in arms.items()],
            [(rule, COLOURS[number % len(COLOURS)]) for number, rule in enumerate(rules)],
        ],
    )


def _panel(title: str, series: list[str], outcomes: Outcomes, figures: Figures, name: str) -> dict[str, Any]:
    """The lines of a panel in its pixels, with their intervals, and the ticks of both axes."""
    levels = noise_levels(outcomes)
    found: dict[str, dict[float, SeedMean]] = {}
    for one in series:
        for noise in levels:
            mean = means(outcomes, noise, lambda outcome, one=one: figures(outcome, one)).get(name)  # type: ignore[misc]
            if mean is not None:
                found.setdefault(one, {})[noise] = mean
    known = [mean for line in found.values() for mean in line.values()]
    if not known:
        return {"title": title, "lines": [], "across": [], "up": []}
    low = min(mean.value - (mean.half or 0) for mean in known)
    high = max(mean.value + (mean.half or 0) for mean in known)
    low, high = max(low - 0.02, 0.0), min(high + 0.02, 1.0)
    last = max(levels) or 1.0

    def x(noise: float) -> float:
        return 15 + noise / last * (WIDTH - 30)

    def y(value: float) -> float:
        return (high - min(max(value, low), high)) / (high - low) * HEIGHT

    lines = []
    for one, line in found.items():
        number = series.index(one)
        points = [
            {
                "x": f"{x(noise) + _SHIFT * (number - len(series) // 2):.1f}",
                "y": f"{y(mean.value):.1f}",
                "top": f"{y(mean.value + (mean.half or 0)):.1f}",
                "bottom": f"{y(mean.value - (mean.half or 0)):.1f}",
            }
            for noise, mean in line.items()
        ]
        lines.append({"colour": COLOURS[number % len(COLOURS)], "points": points})
    ups = [low + (high - low) * fifth / 4 for fifth in range(5)]
    return {
        "title": title,
        "lines": lines,
        "across": [{"at": f"{x(noise):.1f}", "text": f"{100 * noise:g} %"} for noise in levels],
        "up": [{"at": f"{y(value):.1f}", "text": f"{100 * value:.0f}"} for value in ups],
    }

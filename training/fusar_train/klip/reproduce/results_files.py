"""The results: ``results.json`` for machines, ``results.md`` and ``results.html`` with the paper's Table 8 beside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from markupsafe import Markup

from fusar_gpt.findings.report import load_template
from fusar_gpt.output import whole_file
from fusar_train.evaluation.bootstrap import LEVEL
from fusar_train.klip.benchmarks.report import NOTE, interval, shown
from fusar_train.klip.benchmarks.section import Row
from fusar_train.klip.reproduce.charts import draw
from fusar_train.klip.reproduce.experiment import Experiment, TrainingRun
from fusar_train.klip.reproduce.tables import Outcome, sections_of

FORMAT = 1
DATA, MARKDOWN, PAGE, CHART = "results.json", "results.md", "results.html", "results.svg"
_TITLE = "FUSAR-KLIP's Table 8 in miniature"


def write_results(
    experiment: Experiment,
    runs: Sequence[TrainingRun],
    outcomes: Mapping[TrainingRun, Outcome],
    failed: Mapping[str, str],
) -> None:
    """Writes all files anew; OutputError when one cannot be written.

    Args:
        experiment: What was run.
        runs: All runs of the plan.
        outcomes: What came of those that are finished.
        failed: Why others are not, by name.
    """
    kept = {run: outcomes[run] for run in runs if run in outcomes}
    sections = sections_of(experiment, kept)
    missing = [run.name for run in runs if run not in kept and run.name not in failed]
    chart = draw(experiment, kept)
    content = {
        "format": FORMAT,
        "experiment": experiment.record(),
        "data": "simulated chips with brief texts; a share of the training texts made wrong",
        "intervals": {"level": LEVEL, "seeds": "Student's t over seeds: of noise, weights and order"},
        "paper": NOTE,
        "planned": [run.name for run in runs],
        "failed": dict(failed),
        "runs": [{"noise": run.noise, "seed": run.seed, **asdict(outcome)} for run, outcome in kept.items()],
        "tables": [asdict(section) for section in sections],
    }
    words: dict[str, Any] = {
        "title": _TITLE,
        "subtitle": f"{len(kept)} of {len(runs)} runs are measured",
        "size": experiment.size,
        "steps": experiment.settings(0).max_steps,
        "batch": experiment.settings(0).batch,
        "first": experiment.first_phase(),
        "failed": failed,
        "missing": missing,
        "note": NOTE,
        "sections": [
            {
                "title": section.title,
                "columns": section.columns,
                "notes": section.notes,
                "rows": [_line(row, False, section.columns) for row in section.rows]
                + [_line(row, True, section.columns) for row in section.paper],
            }
            for section in sections
        ],
    }
    page = load_template("fusar_train.klip.reproduce", MARKDOWN).render(**words)
    html = load_template("fusar_train.klip", f"reproduce/{PAGE}").render(
        **words,
        chart=Markup(chart),  # noqa: S704 - our own drawing, its words escaped
    )
    data = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    for name, text in ((DATA, data), (MARKDOWN, page), (PAGE, html), (CHART, chart)):
        with whole_file(experiment.out / name) as path:
            path.write_text(text, encoding="utf-8")


def _line(row: Row, paper: bool, columns: Sequence[str]) -> dict[str, Any]:
    figures = [row.figures.get(column) for column in columns]
    return {
        "name": row.name,
        "paper": paper,
        "seeds": max((figure.n for figure in figures if figure), default=0) or "",
        "cells": [figure and {"value": shown(figure), "interval": interval(figure)} for figure in figures],
    }

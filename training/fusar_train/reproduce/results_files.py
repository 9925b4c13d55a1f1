"""The results: ``results.json`` for machines, ``results.md`` with the tables beside the paper's, ``curves.svg``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from fusar_gpt.findings.report import load_template
from fusar_gpt.output import whole_file
from fusar_train.evaluation.bootstrap import LEVEL, RESAMPLES
from fusar_train.evaluation.metrics import MetricKey
from fusar_train.evaluation.papers import NOTE
from fusar_train.evaluation.seeds import SeedMean, percent
from fusar_train.reproduce.curves import draw
from fusar_train.reproduce.experiment import (
    FREE,
    METRICS,
    TABLES,
    AblationTable,
    Experiment,
    TableLine,
    TrainingRun,
)
from fusar_train.reproduce.outcome import (
    RowDifference,
    RunOutcome,
    row_difference,
    row_mean,
)

_COUNTING = next(iter(METRICS))
_DASH = "\u2013"
Outcomes = Mapping[TrainingRun, RunOutcome]
Failed = Mapping[TrainingRun, str]


def write_results(
    experiment: Experiment, runs: Sequence[TrainingRun], outcomes: Outcomes, failed: Failed
) -> None:
    """Writes all three files anew; OutputError when one cannot be written.

    Args:
        experiment: What was run.
        runs: All runs of the plan.
        outcomes: What came of those that are finished.
        failed: Why others are not.
    """
    kept = {run: outcomes[run] for run in runs if run in outcomes}
    content = json.dumps(to_json(experiment, runs, kept, failed), indent=1, allow_nan=False) + "\n"
    page = markdown(experiment, runs, kept, failed)
    for name, text in (("results.json", content), ("results.md", page), ("curves.svg", draw(kept))):
        with whole_file(experiment.out / name) as path:
            path.write_text(text, encoding="utf-8")


def to_json(
    experiment: Experiment, runs: Sequence[TrainingRun], outcomes: Outcomes, failed: Failed
) -> dict[str, Any]:
    """All that is in the page, and the figures of each class."""
    return {
        "format": 1,
        "experiment": {k: v for k, v in experiment.record().items() if k not in FREE},
        "data": "simulated chips; the prior is simulated from real AEF vectors",
        "intervals": {
            "level": LEVEL,
            "chips": f"percentile bootstrap over test chips, {RESAMPLES} resamples",
            "seeds": "Student's t over seeds, which change initial weights, order and drawn questions only",
        },
        "paper": NOTE,
        "planned": [run.name for run in runs],
        "failed": {run.name: why for run, why in failed.items()},
        "runs": [
            {**outcome.facts, "figures": [_figure(key, outcome) for key in outcome.figures]}
            for outcome in outcomes.values()
        ],
        "tables": [_table(table, outcomes) for table in TABLES],
    }


def _figure(key: MetricKey, outcome: RunOutcome) -> dict[str, Any]:
    return {"task": key.task.value, "target": key.target, "metric": key.metric} | asdict(outcome.figures[key])


def _table(table: AblationTable, outcomes: Outcomes) -> dict[str, Any]:
    lines = []
    for line in table.lines:
        found: dict[str, Any] = {"title": line.title, "row": line.row, "paper_counting_percent": line.paper}
        for key, title in METRICS.items():
            average = row_mean(outcomes, line.row, key)
            apart = row_difference(outcomes, line.row, table.baseline, key)
            found[title] = average and asdict(average)
            found[f"{title}, difference"] = apart and asdict(apart)
        lines.append(found)
    return {"title": table.title, "baseline": table.baseline, "lines": lines}


def markdown(experiment: Experiment, runs: Sequence[TrainingRun], outcomes: Outcomes, failed: Failed) -> str:
    """The page ``results.md``."""
    return load_template("fusar_train.reproduce", "results.md").render(
        experiment=experiment,
        note=NOTE,
        planned=runs,
        measured=[_run_line(run, outcome) for run, outcome in outcomes.items()],
        failed={run.name: why for run, why in failed.items()},
        missing=[run.name for run in runs if run not in outcomes and run not in failed],
        metrics=list(METRICS.values()),
        tables=[
            {
                "title": table.title,
                "lines": [_table_line(table, line, outcomes) for line in table.lines],
                "verdicts": [v for line in table.lines if (v := _verdict(table, line, outcomes))],
            }
            for table in TABLES
        ],
    )


def _table_line(table: AblationTable, line: TableLine, outcomes: Outcomes) -> list[str]:
    averages = {key: row_mean(outcomes, line.row, key) for key in METRICS}
    cells = []
    for key, average in averages.items():
        cells += [_mean(average), _apart(row_difference(outcomes, line.row, table.baseline, key))]
    seeds = max((one.n for one in averages.values() if one), default=0)
    title = f"*{line.title}*" if line.row == table.baseline else line.title
    return [title, _DASH if line.paper is None else f"{line.paper:.2f}", str(seeds), *cells]


def _run_line(run: TrainingRun, outcome: RunOutcome) -> list[str]:
    cells = []
    for key in METRICS:
        figure = outcome.figures.get(key)
        low, high = (figure.low, figure.high) if figure else (None, None)
        cells.append(f"{percent(outcome.value(key))} ({percent(low)} to {percent(high)})")
    seconds = outcome.facts.get("seconds")
    minutes = f"{seconds['training'] / 60:.1f}" if isinstance(seconds, dict) else _DASH
    return [run.name, *cells, minutes]


def _mean(average: SeedMean | None) -> str:
    if average is None:
        return _DASH
    return percent(average.value) + ("" if average.half is None else f" \u00b1 {percent(average.half)}")


def _apart(apart: RowDifference | None) -> str:
    if apart is None:
        return ""
    half, chips = apart.seeds.half, apart.chips
    text = f"{100 * apart.seeds.value:+.1f}" + ("" if half is None else f" \u00b1 {percent(half)}")
    return text if chips.low is None else f"{text} ({100 * chips.low:+.1f} to {100 * (chips.high or 0):+.1f})"


def _verdict(table: AblationTable, line: TableLine, outcomes: Outcomes) -> str | None:
    """What the counting figures say about a line, and whether the paper's say the same."""
    apart = row_difference(outcomes, line.row, table.baseline, _COUNTING)
    if apart is None:
        return None
    base = next(one for one in table.lines if one.row == table.baseline)
    if apart.seeds.half is None:
        found = f"one seed says {100 * apart.seeds.value:+.1f} points, which decides nothing"
    elif apart.decided:
        word = "more" if apart.seeds.value > 0 else "less"
        found = f"counts {word} exactly, by {abs(100 * apart.seeds.value):.1f} points"
    else:
        found = "no difference in counting can be told from that of other seeds or chips"
    # A table whose baseline the paper does not give is compared with the line the paper starts from.
    start = base.paper if base.paper is not None else next((o.paper for o in table.lines if o.paper), None)
    if line.paper is None or start is None or line.paper == start:
        return f"{line.title} against {base.title}: {found}."
    return f"{line.title} against {base.title}: {found}. The paper: {line.paper - start:+.2f} points."

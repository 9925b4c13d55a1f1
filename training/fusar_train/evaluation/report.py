"""The evaluation as one page: figures with intervals beside the papers', confusion, pictures of the worst errors."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from importlib import resources
from string import Template

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.tasks import ANY, Task
from fusar_train.evaluation.bootstrap import RESAMPLES, Estimate
from fusar_train.evaluation.captions import TOKENIZER
from fusar_train.evaluation.figures import Measured
from fusar_train.evaluation.papers import MODELS, NOTE, PAPERS
from fusar_train.evaluation.pictures import COLOURS, FALSE, FOUND, MISSED, TRUE, Error, draw
from fusar_train.evaluation.task_statistics import ALL, Confusion, Key

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
    names = ", ".join(dict.fromkeys(m.condition.model for m in models))
    data = ", ".join(dict.fromkeys(m.condition.data for m in measured))
    sections = [
        _beside_papers(models),
        _gains([m for m in measured if m.gains]),
        _confusion(models),
        *(_pictures(group, pixels) for group in errors),
        _all_figures(measured),
        _method(measured, seed),
    ]
    page = Template(resources.files(__package__).joinpath("report.html").read_text("utf-8"))
    return page.substitute(
        title=escape(f"Evaluation of {names}"),
        subtitle=escape(f"{data}: {measured[0].images} images"),
        sections="\n".join(section for section in sections if section),
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


def _cell(key: Key, figure: Estimate | None) -> str:
    if figure is None:
        return '<td class="n"></td>'
    return f'<td class="n">{shown(key, figure.value)}<small>{interval(key, figure)}</small></td>'


def _table(
    keys: Sequence[Key],
    columns: Mapping[str, Mapping[Key, Estimate]],
    foreign: Mapping[str, Mapping[Key, float]] = {},
) -> str:
    """One row a figure, grouped by task; the papers' columns last."""
    heads = "".join(f'<th class="n">{escape(name)}</th>' for name in columns)
    heads += "".join(f'<th class="n foreign">{escape(name)}</th>' for name in foreign)
    lines = [f'<div class="wide"><table><thead><tr><th></th><th class="n">n</th>{heads}</tr></thead><tbody>']
    task = None
    for key in keys:
        if key.task is not task:
            task = key.task
            span = 2 + len(columns) + len(foreign)
            lines.append(f'<tr class="task"><th colspan="{span}">{TASKS[task]}</th></tr>')
        figures = [column.get(key) for column in columns.values()]
        cells = "".join(_cell(key, figure) for figure in figures)
        for values in foreign.values():
            cells += f'<td class="n foreign">{shown(key, values[key]) if key in values else ""}</td>'
        n = next((str(figure.n) for figure in figures if figure), "")
        lines.append(f'<tr><th>{escape(title_of(key))}</th><td class="n">{n}</td>{cells}</tr>')
    return "\n".join([*lines, "</tbody></table></div>"])


def _keys(measured: Sequence[Measured]) -> list[Key]:
    """All figures that any of them has, task by task, but none twice because every image has targets."""
    keys = dict.fromkeys(
        key
        for m in measured
        for key, figure in m.figures.items()
        if key.cases == ALL or figure != m.figures[replace(key, cases=ALL)]
    )
    return sorted(keys, key=lambda key: list(TASKS).index(key.task))


def _beside_papers(models: Sequence[Measured]) -> str:
    columns = {column(m): {key: f for key in PAPERS if (f := overall(key, m.figures))} for m in models}
    keys = [key for key in PAPERS if any(key in figures for figures in columns.values())]
    if not keys:
        return ""
    foreign = {name: {key: row[name] for key, row in PAPERS.items() if name in row} for name in MODELS}
    text = (
        f"<p>In percent, with 95 % intervals. The grey columns are those of {escape(NOTE)}. "
        "They say what the task is like, not who is better.</p>"
    )
    return f"<section><h2>Beside the papers</h2>{text}{_table(keys, columns, foreign)}</section>"


def overall(key: Key, figures: Mapping[Key, Estimate]) -> Estimate | None:
    """The figure; where only one class was asked about, that class's stands for all."""
    if key in figures or key.target != ALL:
        return figures.get(key)
    alike = [f for other, f in figures.items() if replace(other, target=ALL) == key and other.target != ANY]
    return alike[0] if len(alike) == 1 else None


def _all_figures(measured: Sequence[Measured]) -> str:
    columns = {column(m): m.figures for m in measured}
    text = (
        "<p>In percent unless it is an error; CIDEr times 100. Below each figure its 95 % interval; n is the number "
        "of questions, boxes or texts behind it. Baselines stand in the last columns.</p>"
    )
    return f"<section><h2>All figures</h2>{text}{_table(_keys(measured), columns)}</section>"


def _gains(measured: Sequence[Measured]) -> str:
    if not measured:
        return ""
    keys = list(dict.fromkeys(key for m in measured for key in m.gains))
    text = (
        "<p>The figure minus that of the same model without a prior on the same images, in points. "
        "An interval that holds 0 does not show a difference.</p>"
    )
    columns = {column(m): m.gains for m in measured}
    return f"<section><h2>What the prior changes</h2>{text}{_table(keys, columns)}</section>"


def _confusion(models: Sequence[Measured]) -> str:
    tables = [
        f"<div><h3>{escape(column(m))}, {name} classes</h3>{_confusion_table(table)}</div>"
        for m in models
        for name, table in m.confusion.items()
    ]
    if not tables:
        return ""
    text = (
        "<p>Rows are the true classes, columns the names given. "
        "The stronger the colour, the larger the share of its row.</p>"
    )
    return f'<section><h2>Confusion</h2>{text}<div class="row">{"".join(tables)}</div></section>'


def _confusion_table(table: Confusion) -> str:
    heads = "".join(f'<th class="n">{escape(name)}</th>' for name in table.columns)
    lines = [f'<div class="wide"><table class="confusion"><thead><tr><th></th>{heads}</tr></thead><tbody>']
    for name, counts in zip(table.rows, table.counts, strict=True):
        shares = counts / max(counts.sum(), 1) * 0.6
        cells = [f'<td style="--share: {s:.2f}">{n}</td>' for n, s in zip(counts, shares, strict=True)]
        lines.append(f"<tr><th>{escape(name)}</th>{''.join(cells)}</tr>")
    return "".join([*lines, "</tbody></table></div>"])


def _pictures(group: Errors, pixels: Pixels) -> str:
    drawn = []
    for error in group.errors:
        image = pixels(error.image)
        if image is None:
            continue
        data = base64.b64encode(draw(image, error)).decode("ascii")
        drawn.append(
            f'<figure><img alt="{escape(error.text)}" src="data:image/png;base64,{data}">'
            f"<figcaption>{escape(error.text)}<br>{escape(error.image)}</figcaption></figure>"
        )
    if not drawn:
        return ""
    legend = "".join(
        f'<i class="{"dashed" if kind == MISSED else ""}" style="border-color: {COLOURS[kind]}"></i>{kind}'
        for kind in group.kinds
    )
    return (
        f'<section><h2>{escape(group.title)}</h2><p class="key">{legend}</p>'
        f'<div class="pictures">{"".join(drawn)}</div></section>'
    )


DETECTION_KINDS = (FOUND, MISSED, FALSE)
COUNTING_KINDS = (TRUE,)


def _method(measured: Sequence[Measured], seed: int) -> str:
    notices = dict.fromkeys(notice for m in measured for notice in m.notices)
    models = dict.fromkeys((m.condition.model, m.condition.hash) for m in measured if m.condition.hash)
    facts = [
        *(f"{escape(name)}: SHA-256 <code>{escape(digest)}</code>" for name, digest in models),
        f"Intervals: percentile bootstrap over images, {RESAMPLES} resamples, seed {seed}. One of no width (all "
        "right, or all wrong) only says that the sample shows no spread.",
        "Detection: boxes are paired one to one, largest overlap first, blind to scores; ties go to the box said "
        "first, then to the true box listed first. AP pairs by score, as COCO does.",
        f"Words of captions: {escape(TOKENIZER)}.",
        *(escape(notice) for notice in notices),
        "Every figure follows from predictions.jsonl alone: "
        "<code>fusar-train evaluate --recompute predictions.jsonl --out DIR</code>",
    ]
    return f"<section><h2>How it was measured</h2><ul>{''.join(f'<li>{fact}</li>' for fact in facts)}</ul></section>"

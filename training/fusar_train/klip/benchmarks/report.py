"""The benchmarks as a page: tables in the paper's form, its own figures below, marked as those of other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fusar_gpt.findings.report import load_template
from fusar_train.evaluation.bootstrap import RESAMPLES
from fusar_train.klip.benchmarks.section import Figure, Row, Section

FORMAT = 1
NOTE = (
    "FUSAR-KLIP's paper (Yang et al., 2025), on its own data, which is not public: not comparable with the figures "
    "measured here"
)
_DASH = "\u2013"
CHANCE = ": chance"
"""How the name of a row ends that says what chance would reach."""


@dataclass(frozen=True)
class Measured:
    """What came of one benchmark, and how many seconds it took."""

    sections: tuple[Section, ...]
    seconds: float


@dataclass(frozen=True)
class Report:
    """All benchmarks of a model on some data.

    Attributes:
        about: Which model and data; figures of others never stand in one report.
        benchmarks: By name, in the order in which they are shown.
        notes: What is to be known of the data.
    """

    about: dict[str, Any]
    benchmarks: dict[str, Measured]
    notes: tuple[str, ...] = ()


def markdown(report: Report) -> str:
    """The report as Markdown."""
    return _render("report.md", report)


def html(report: Report) -> str:
    """The report as a page without scripts or addresses; all words of models and data are escaped."""
    return _render("report.html", report)


def _render(template: str, report: Report) -> str:
    images = report.about["images"]
    return load_template("fusar_train.klip", f"benchmarks/{template}").render(
        title=f"Benchmarks of {report.about['model']}",
        subtitle=f"{images} images of the split {report.about['split']}" if images else "no described images",
        about=report.about,
        notes=report.notes,
        sections=[
            _section(one, measured.seconds)
            for measured in report.benchmarks.values()
            for one in measured.sections
        ],
        note=NOTE,
        resamples=RESAMPLES,
        dash=_DASH,
    )


def _section(section: Section, seconds: float) -> dict[str, Any]:
    lines = [(row, False) for row in section.rows] + [(row, True) for row in section.paper]
    return {
        "title": section.title,
        "columns": section.columns,
        "notes": section.notes,
        "strips": section.strips,
        "seconds": f"{seconds:.0f}",
        "rows": [
            {
                "name": f"paper: {row.name}" if paper else row.name,
                "paper": paper,
                "n": _cases(row.figures),
                "cells": [
                    {"value": shown(figure), "interval": interval(figure)} if figure else None
                    for figure in map(row.figures.get, section.columns)
                ],
            }
            for row, paper in lines
        ],
    }


def _cases(figures: Mapping[str, Figure]) -> str:
    """How many cases the figures of a row are measured on; fewest and most where they differ."""
    counts = sorted({figure.n for figure in figures.values() if figure.n})
    return "" if not counts else "\u2013".join(map(str, dict.fromkeys((counts[0], counts[-1]))))


def shown(figure: Figure) -> str:
    """A figure as text, in percent; CIDEr 1.6 is written 160 as in the papers."""
    return f"{100 * figure.value:.1f}"


def interval(figure: Figure) -> str:
    """The figure's 95 % interval as text; empty where there is none."""
    if figure.low is None or figure.high is None:
        return ""
    return f"{100 * figure.low:.1f} to {100 * figure.high:.1f}"


def for_card(report: Report) -> dict[str, dict[str, str]]:
    """What was measured of the model, by table and row, as a checkpoint's card tells it."""
    return {
        section.title: {
            row.name: _told(section, row) for row in section.rows if not row.name.endswith(CHANCE)
        }
        for measured in report.benchmarks.values()
        for section in measured.sections
    }


def _told(section: Section, row: Row) -> str:
    """The figures of a row in one line."""
    figures = [
        f"{column} {shown(figure)}{f' ({known})' if (known := interval(figure)) else ''}"
        for column in section.columns
        if (figure := row.figures.get(column))
    ]
    return f"{', '.join(figures)}; n {_cases(row.figures)}"

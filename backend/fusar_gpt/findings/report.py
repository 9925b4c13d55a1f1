"""Runs as one page for an analyst: a self-contained HTML file without scripts or links to anywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from fusar_gpt.contract import ENOUGH_DATA, LAYER_COLUMNS, SEARCH, Finding, Run, Value
from fusar_gpt.findings.finding import count_by_kind, surest_first
from fusar_gpt.output import whole_file

MAX_ROWS = 300
"""Rows of one table; the GeoPackage holds the rest."""

_CELLS = (
    "top left",
    "top centre",
    "top right",
    "middle left",
    "centre",
    "middle right",
    "bottom left",
    "bottom centre",
    "bottom right",
)
_TASKS = {
    "count": "Count",
    "locate": "Locate in a 3 x 3 grid",
    "classify": "Classify given boxes",
    "detect": "Detect",
    "describe": "Describe",
    "ask": "Ask",
    SEARCH: "Search",
}


@dataclass(frozen=True)
class ReportedRun:
    """A finished run: its findings, and its picture as PNG."""

    run: Run
    findings: Sequence[Finding]
    picture: bytes


def write_report(path: Path, results: Sequence[ReportedRun]) -> None:
    """Writes one page with a section for each run.

    Raises:
        OutputError: The file cannot be written. What stood there is untouched.
    """
    runs = [result.run for result in results]
    html = load_template("fusar_gpt.findings", "report.html").render(
        title="Radar interpretation report",
        subtitle=", ".join(dict.fromkeys(run.scene for run in runs)),
        sections=[_section(result) for result in results],
        max_rows=MAX_ROWS,
        enough_data=ENOUGH_DATA,
        meanings=dict.fromkeys(
            said for run in runs for said in (run.score_meaning, run.confidence_meaning) if said
        ),
        version=", ".join(dict.fromkeys(run.version for run in runs)),
    )
    with whole_file(path) as temporary:
        temporary.write_text(html, "utf-8")


def load_template(package: str, name: str) -> Template:
    """A template of a package, which may extend ``page.html``; HTML and SVG escape every value put into them."""
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package, ""), PackageLoader("fusar_gpt.findings", "")]),
        autoescape=select_autoescape(("html", "svg")),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(coordinates=_coordinates, utc=_utc)
    return environment.get_template(name)


def _section(result: ReportedRun) -> dict[str, Any]:
    """One run's part of the page; rows are the properties of findings."""
    run, findings = result.run, result.findings
    rows: dict[str, list[dict[str, Value]]] = {layer: [] for layer in LAYER_COLUMNS}
    for finding in sorted(findings, key=surest_first):
        rows[finding.layer].append(finding.properties)
    without_prior = None
    if run.task == SEARCH:  # no search uses one
        pass
    elif run.prior == "none":
        without_prior = "everywhere"
    elif any(finding.properties["prior"] == "none" for finding in findings):
        without_prior = "in places"
    return {
        "run": run,
        "asked": _TASKS.get(run.task, run.task) + (f": {', '.join(run.targets)}" if run.targets else ""),
        "without_prior": without_prior,
        "counts": count_by_kind(findings),
        "picture": base64.b64encode(result.picture).decode("ascii"),
        "detections": rows["detections"],
        "grid": _grid(rows["grid"]),
        "answers": rows["answers"],
    }


def _grid(cells: Iterable[dict[str, Value]]) -> list[dict[str, Any]]:
    """One row a chip and target: the cells that hold it, in words, and its middle cell."""
    asked: dict[tuple[Value, Value], list[dict[str, Value]]] = {}
    for cell in cells:
        asked.setdefault((cell["chip"], cell["target"]), []).append(cell)
    rows = []
    for (chip, target), mine in asked.items():
        hits = sorted(int(cell["cell"] or 0) for cell in mine if cell["hit"])
        rows.append(
            {
                "chip": chip,
                "target": target,
                "cells": [f"{_CELLS[number - 1]} ({number})" for number in hits],
                "centre": next((cell for cell in mine if cell["cell"] == 5), mine[0]),
            }
        )
    return rows


def _coordinates(row: Mapping[str, Value]) -> str:
    lon, lat = float(row["lon"] or 0), float(row["lat"] or 0)
    return f"{abs(lat):.5f}° {'S' if lat < 0 else 'N'}, {abs(lon):.5f}° {'W' if lon < 0 else 'E'}"


def _utc(iso: str) -> str:
    """``2026-01-02T03:04:05+00:00`` as ``2026-01-02 03:04 UTC``."""
    return f"{iso[:10]} {iso[11:16]} UTC" if iso[10:11] == "T" else iso

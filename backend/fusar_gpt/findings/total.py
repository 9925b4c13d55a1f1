"""Counts of many chips added up for the whole area."""

from __future__ import annotations

from collections.abc import Iterable

from fusar_gpt.contract import Finding, Run, SceneBox, Value
from fusar_gpt.findings.coverage import ALL, without_data
from fusar_gpt.findings.georeference import finding_at
from fusar_gpt.imagery import Scene


def area_totals(findings: Iterable[Finding], scene: Scene, run: Run) -> list[Finding]:
    """One row of ``answers`` for each target counted in several chips: the sum, over the bounds of all chips.

    Chips of a count do not overlap, but an object on their common edge may be counted twice or not at all;
    the row's text says so. A chip whose count was not understood, or that was not asked because it has no data,
    makes the sum incomplete.
    """
    counted: dict[str, list[Finding]] = {}
    for finding in findings:
        if finding.layer == "answers" and finding.properties["task"] == "count":
            counted.setdefault(str(finding.properties["target"]), []).append(finding)
    return [_total(target, rows, scene, run) for target, rows in counted.items() if len(rows) > 1]


def _total(target: str, rows: list[Finding], scene: Scene, run: Run) -> Finding:
    known = [count for row in rows if isinstance(count := row.properties["count"], int)]
    left, top = min(row.box.left for row in rows), min(row.box.top for row in rows)
    right, bottom = max(row.box.right for row in rows), max(row.box.bottom for row in rows)
    box = SceneBox(left, top, right, bottom)
    text = f"sum of {len(known)} chips; an object on a chip's edge may be counted twice or missed"
    if run.data_share is not None and run.data_share < ALL:
        text += f"; {without_data(run.data_share)} of the area has no data"
    columns: dict[str, Value] = {
        "task": "count",
        "target": target,
        "count": sum(known),
        "text": text,
        "complete": len(known) == len(rows),
        "data_share": run.data_share,
        **run.provenance(),
    }
    return finding_at(box, scene, run, "answers", columns, f"{run.id} total {target}")

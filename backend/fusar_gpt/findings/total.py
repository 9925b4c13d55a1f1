"""Counts of many chips added up for the whole area."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

import shapely

from fusar_gpt.findings.finding import Finding, Run, Value
from fusar_gpt.findings.georeference import lonlat_polygon
from fusar_gpt.frames import GroundPoints, SceneBox
from fusar_gpt.imagery import Scene


def area_totals(findings: Iterable[Finding], scene: Scene, run: Run) -> list[Finding]:
    """One row of ``answers`` for each target counted in several chips: the sum, over the bounds of all chips.

    Chips of a count do not overlap, but an object on their common edge may be counted twice or not at all;
    the row's text says so. A chip whose count was not understood makes the sum incomplete.
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
    ground = scene.to_ground(box.corners())
    lonlat = lonlat_polygon(scene.to_lonlat(box.corners()))
    centre = GroundPoints.of([(ground.x.mean(), ground.y.mean())])
    place = scene.to_lonlat(scene.to_scene(centre))
    columns: dict[str, Value] = {
        "task": "count",
        "target": target,
        "count": sum(known),
        "text": f"sum of {len(rows)} chips; an object on a chip's edge may be counted twice or missed",
        "complete": len(known) == len(rows),
        "lon": float(place.x[0]),
        "lat": float(place.y[0]),
        **run.provenance(),
    }
    name = f"{run.id} total {target}"
    return Finding(
        str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "answers",
        shapely.Polygon(ground.xy()),
        lonlat,
        box,
        columns,
    )

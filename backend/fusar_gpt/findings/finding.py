"""What findings come to in numbers, and what two boxes share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fusar_gpt.contract import PLACES, Finding, SceneBox, Task


def count_by_kind(findings: Iterable[Finding]) -> dict[str, int]:
    """The findings in a few numbers: objects by class, counts by target, grid hits, texts, places.

    A count is the area's where there is one, else the sum of the chips'.
    """
    findings = list(findings)
    counts: Counter[str] = Counter()
    for finding in findings:
        if not finding.lacks_data:
            counts.update(_kind(finding))
    for target, count in area_counts(findings).items():
        counts[f"{target} counted"] = count
    if unseen := {finding.properties["chip"] for finding in findings if finding.lacks_data}:
        counts["chips with too little data"] = len(unseen)
    return dict(counts.most_common())


def _kind(finding: Finding) -> dict[str, int]:
    """What one finding adds to which number."""
    p = finding.properties
    if finding.layer == "detections":
        return {f"{p['label']} detected": 1}
    if finding.layer == "grid":
        return {f"grid cells with {p['target']}": int(bool(p["hit"]))}
    if finding.layer == PLACES:
        return {"places found": 1}
    if p.get("label") is not None:
        return {f"{p['label']} classified": 1}
    if isinstance(count := p.get("count"), int) and "chip" in p:
        return {f"{p['target']} counted": count}
    if finding.is_unclear:
        return {"answers cut off or not understood": 1}
    return {"answers in words": 1} if p.get("text") and "chip" in p else {}


def area_counts(findings: Iterable[Finding]) -> dict[str, int]:
    """How many of each target were counted in a whole area, where it has several chips."""
    rows = [f.properties for f in findings if f.layer == "answers" and "chip" not in f.properties]
    return {
        str(row["target"]): count
        for row in rows
        if row["task"] == Task.COUNT.value and isinstance(count := row["count"], int)
    }


def surest_first(finding: Finding) -> float:
    """The key that sorts detections by falling objectness."""
    return -float(finding.properties.get("objectness") or 0)


def overlap(one: SceneBox, other: SceneBox) -> SceneBox | None:
    """What two boxes share; None if that has no area."""
    left, top = max(one.left, other.left), max(one.top, other.top)
    right, bottom = min(one.right, other.right), min(one.bottom, other.bottom)
    return SceneBox(left, top, right, bottom) if left < right and top < bottom else None

"""What findings come to in numbers, and what two boxes share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from fusar_gpt.contract import Finding, SceneBox


def count_by_kind(findings: Iterable[Finding]) -> dict[str, int]:
    """The findings in a few numbers: objects by class, counts added up by target, grid hits, texts."""
    counts: Counter[str] = Counter()
    for finding in findings:
        p = finding.properties
        if finding.lacks_data:
            counts["chips with too little data"] += 1
        elif finding.layer == "detections":
            counts[f"{p['label']} detected"] += 1
        elif finding.layer == "grid":
            counts[f"grid cells with {p['target']}"] += bool(p["hit"])
        elif p.get("label") is not None:
            counts[f"{p['label']} classified"] += 1
        elif isinstance(count := p.get("count"), int) and "chip" in p:
            counts[f"{p['target']} counted"] += count
        elif finding.is_unclear:
            counts["answers cut off or not understood"] += 1
        elif p.get("text") and "chip" in p:
            counts["answers in words"] += 1
    return dict(counts.most_common())


def surest_first(finding: Finding) -> float:
    """The key that sorts detections by falling objectness."""
    return -float(finding.properties.get("objectness") or 0)


def overlap(one: SceneBox, other: SceneBox) -> SceneBox | None:
    """What two boxes share; None if that has no area."""
    left, top = max(one.left, other.left), max(one.top, other.top)
    right, bottom = min(one.right, other.right), min(one.bottom, other.bottom)
    return SceneBox(left, top, right, bottom) if left < right and top < bottom else None

"""Findings put into words, task by task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fusar_gpt.contract import Finding, Finished
from fusar_gpt.server.chat.conversation import Pick
from fusar_gpt.server.chat.prose import Prose

LISTED = 20
"""Detections that are told one by one."""


def of_chip(found: Sequence[Finding]) -> list[Finding]:
    """What one chip's answer gave; sums over many chips are left out."""
    return [finding for finding in found if "chip" in finding.properties]


def chip_numbers(prose: Prose, found: Sequence[Finding], heading: str) -> None:
    """How many were counted or detected in one of several chips, where there are any."""
    numbers: dict[str, int] = {}
    for finding in found:
        if number := _number(finding):
            name = str(finding.properties["target"])
            numbers[name] = numbers.get(name, 0) + number
    if heading and numbers:
        prose.write(heading)
        prose.numbers(numbers, _by_target(found))
        prose.write("\n")


def count(prose: Prose, counts: Finished, chips: int) -> None:
    """The numbers of the whole area."""
    rows = [row for row in counts.findings if "chip" in row.properties]
    prose.say("in all" if chips > 1 else "in one")
    prose.numbers(_numbers(counts), _by_target(rows))
    prose.say("stop")
    _unclear(prose, rows)


def detections(prose: Prose, found: Finished, chips: int) -> None:
    """The detections as a numbered list."""
    seen = _detections(found)
    prose.numbers(_numbers(found), {})
    prose.say("listed" if seen else "detected")
    for number, finding in enumerate(seen[:LISTED], 1):
        prose.write("\n")
        prose.line(number, finding)
    if len(seen) > LISTED:
        prose.write("\n")
        prose.say("more", seen[LISTED:], number=len(seen) - LISTED)
    _unclear(prose, found.findings)


def cells(prose: Prose, found: Sequence[Finding], heading: str) -> None:
    """The cells of one chip that hold something."""
    for target, hits in _by_target([finding for finding in found if finding.properties.get("hit")]).items():
        named = ", ".join(str(finding.properties["cell"]) for finding in hits)
        prose.write(heading)
        prose.say("cells", hits, what=prose.phrases.name(target, many=True), cells=named)
        prose.write("\n")


def all_cells(prose: Prose, found: Finished, chips: int) -> None:
    """Which classes are in no cell, and in how many of all where there are several chips."""
    by_target = _by_target([finding for finding in found.findings if finding.properties.get("hit")])
    for target in found.run.targets:
        what = prose.phrases.name(target, many=True)
        if target not in by_target:
            prose.say("no cells", what=what)
            prose.write("\n")
        elif chips > 1:
            prose.say("cells in all", what=what, number=len(by_target[target]))
            prose.write("\n")
    prose.say("grid")
    _unclear(prose, found.findings)


def choose(prose: Prose, found: Finished, pick: Pick) -> tuple[int, Finding | None]:
    """The detection that is meant, with its number in the list; says so where there is none."""
    seen = _detections(found)
    if not seen:
        prose.say("none to pick")
        return 0, None
    numbers = range(1, len(seen) + 1)
    if isinstance(pick, int):
        number = pick if pick > 0 else len(seen) + 1 + pick
    else:
        number = (max if pick == "largest" else min)(numbers, key=lambda number: _size(seen[number - 1]))
    if number not in numbers:
        prose.say("too few", seen, number=len(seen))
        return 0, None
    return number, seen[number - 1]


def label(prose: Prose, rows: Sequence[Finding], chosen: tuple[int, Finding] | None = None) -> None:
    """What the model takes objects for."""
    for place, row in enumerate(rows):
        prose.write("\n" if place else "")
        named = row.properties.get("label")
        meant = [row, chosen[1]] if chosen else [row]
        if named is None:
            prose.say("no class", meant)
        elif chosen is None:
            prose.say("it is", meant, label=prose.phrases.name(str(named)))
        else:
            where = prose.phrases.place(chosen[1])
            prose.say("which is", meant, number=chosen[0], place=where, label=prose.phrases.name(str(named)))


def compare(prose: Prose, counts: Finished, found: Finished) -> dict[str, dict[str, Any]]:
    """Count and detections of each class side by side, and in words whether they agree."""
    counted, detected = _numbers(counts), _numbers(found)
    by_target = _by_target(_detections(found))
    prose.write("\n")
    if counted == detected:
        prose.say("agree", _detections(found))
    for target in detected:
        if counted.get(target, 0) != detected[target]:
            prose.say("disagree", counted=prose.phrases.number(counted.get(target, 0), target))
            number = prose.phrases.number(detected[target], target)
            prose.say("but", by_target.get(target, ()), detected=number)
            prose.say("beware")
    return {
        target: {
            "counted": counted.get(target, 0),
            "detected": number,
            "agree": counted.get(target, 0) == number,
        }
        for target, number in detected.items()
    }


def _detections(found: Finished) -> list[Finding]:
    return [finding for finding in found.findings if finding.layer == "detections"]


def _number(finding: Finding) -> int:
    """How many objects one finding stands for."""
    counted = finding.properties.get("count")
    return counted if isinstance(counted, int) else int(finding.layer == "detections")


def _numbers(finished: Finished) -> dict[str, int]:
    """For each class asked for, how many there are in all chips."""
    rows = [row for row in finished.findings if "chip" in row.properties]
    by_target = _by_target(rows)
    return {target: sum(map(_number, by_target.get(target, ()))) for target in finished.run.targets}


def _by_target(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    by_target: dict[str, list[Finding]] = {}
    for finding in found:
        by_target.setdefault(str(finding.properties["target"]), []).append(finding)
    return by_target


def _size(finding: Finding) -> float:
    length = finding.properties.get("length_m")
    return float(length) if isinstance(length, (int, float)) else finding.box.area


def _unclear(prose: Prose, found: Sequence[Finding]) -> None:
    """Answers that were cut off or not understood: silence is no empty sea."""
    rows = [row for row in found if row.layer == "answers" and "chip" in row.properties]
    if unclear := [row for row in rows if not row.properties["complete"]]:
        prose.write("\n")
        prose.say("unclear", unclear, number=len(unclear))

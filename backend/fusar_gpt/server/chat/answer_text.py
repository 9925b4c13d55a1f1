"""The text of an answer: findings in words, task by task, and which words mean which findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fusar_gpt.contract import Finding, Finished, Run, Task
from fusar_gpt.findings.georeference import DETECTIONS
from fusar_gpt.server.chat.phrases import Templates
from fusar_gpt.tasks.questions import Pick

LISTED = 20
"""The most detections that are listed one by one."""
PLACES_LISTED = 5
"""The most places of a search that are listed."""


class CitedText:
    """Text that grows, with citations of the findings that its parts mean.

    Attributes:
        text: All of it so far.
        spans: For each finding's id the ranges [start, end) of ``text``, in characters (Unicode code points),
            that mean it.
        templates: The sentences of the answer's language.
    """

    def __init__(self, templates: Templates, report: Callable[[str], None]) -> None:
        """An empty text; ``report`` is called with every piece that is added."""
        self.text = ""
        self.spans: dict[str, list[list[int]]] = {}
        self.templates = templates
        self._report = report

    def write(self, text: str, findings: Sequence[Finding] = ()) -> None:
        """Append text that means these findings."""
        start = len(self.text)
        self.text += text
        self.cite(start, findings)
        self._report(text)

    def fill(self, template: str, findings: Sequence[Finding] = (), **values: object) -> None:
        """Append a sentence of :class:`Templates` that means these findings."""
        self.write(self.templates(template, **values), findings)

    def cite(self, start: int, findings: Sequence[Finding]) -> None:
        """Note that the text from ``start`` on means these findings."""
        for finding in findings:
            self.spans.setdefault(finding.id, []).append([start, len(self.text)])

    def numbers(self, numbers: Mapping[str, int | None], findings: Mapping[str, Sequence[Finding]]) -> None:
        """Append the number of each class, which means the findings of that class."""
        for place, (target, number) in enumerate(numbers.items()):
            self.write(self.templates("and") if place else "")
            words = self.templates.number(number, target) if number is not None else ""
            words = words or self.templates("unknown", what=self.templates.name(target, many=True))
            self.write(words, findings.get(target, ()))

    def line(self, number: int, finding: Finding) -> None:
        """Append one detection of a numbered list."""
        self.fill(
            "line",
            [finding],
            number=number,
            label=self.templates.name(str(finding.properties["label"])),
            place=self.templates.place(finding),
            size=self.templates.size(finding),
            confidence=self.templates.confidence(finding),
        )


def of_chips(found: Sequence[Finding]) -> list[Finding]:
    """The findings that answer about a single chip, without the sums over several."""
    return [finding for finding in found if "chip" in finding.properties]


def write_chip_numbers(text: CitedText, found: Sequence[Finding], heading: str) -> None:
    """How many objects were counted or detected in one of several chips, if any."""
    counts = [finding for finding in found if finding.properties.get("task") == Task.COUNT.value]
    counted = _by_target([finding for finding in counts or found if _number(finding)])
    if heading and counted:
        text.write(heading)
        text.numbers({target: sum(map(_number, rows)) for target, rows in counted.items()}, _by_target(found))
        text.write("\n")


def write_count(text: CitedText, counts: Finished, chips: int) -> None:
    """The counts of the whole area."""
    merged = merged_rows(counts)
    text.fill("in all" if chips > 1 else "in one")
    text.numbers(_numbers(counts), _by_target(_detections(counts) if merged else of_chips(counts.findings)))
    text.fill("merged" if merged else "stop")
    _unclear(text, counts.findings)


def write_detections(text: CitedText, found: Finished, chips: int) -> None:
    """The detections as a numbered list."""
    seen = _detections(found)
    text.numbers(_numbers(found), {})
    text.fill("listed" if seen else "detected")
    for number, finding in enumerate(seen[:LISTED], 1):
        text.write("\n")
        text.line(number, finding)
    if len(seen) > LISTED:
        text.write("\n")
        text.fill("more", seen[LISTED:], number=len(seen) - LISTED)
    _unclear(text, found.findings)


def likeness(templates: Templates, run: Run) -> str:
    """What a search looked for."""
    words = "; ".join(run.prompts)
    return templates("like words", words=words) if words else templates("like this")


def write_places(text: CitedText, found: Finished) -> None:
    """How many places a search found, and the best of them as a numbered list."""
    text.fill("places", like=likeness(text.templates, found.run), number=len(found.findings))
    for place in found.findings[:PLACES_LISTED]:
        text.write("\n")
        row = place.properties
        at = text.templates.place(place)
        text.fill("place", [place], rank=row["rank"], place=at, percentile=row["percentile"])
    if rest := found.findings[PLACES_LISTED:]:
        text.write("\n")
        text.fill("more", rest, number=len(rest))
    text.write("\n")
    text.fill("ranked")


def write_cells(text: CitedText, found: Sequence[Finding], heading: str) -> None:
    """The grid cells of one chip that hold something."""
    for target, hits in _by_target([finding for finding in found if finding.properties.get("hit")]).items():
        named = ", ".join(str(finding.properties["cell"]) for finding in hits)
        text.write(heading)
        text.fill("cells", hits, what=text.templates.name(target, many=True), cells=named)
        text.write("\n")


def write_all_cells(text: CitedText, found: Finished, chips: int) -> None:
    """Classes that are in no cell and, if there are several chips, the number of cells of the others."""
    by_target = _by_target([finding for finding in found.findings if finding.properties.get("hit")])
    for target in found.run.targets:
        what = text.templates.name(target, many=True)
        if target not in by_target:
            text.fill("no cells", what=what)
            text.write("\n")
        elif chips > 1:
            text.fill("cells in all", what=what, number=len(by_target[target]))
            text.write("\n")
    text.fill("grid")
    _unclear(text, found.findings)


def choose_detection(text: CitedText, found: Finished, pick: Pick) -> tuple[int, Finding | None]:
    """The detection that the user means and its number in the list; (0, None), after saying so, if there is none."""
    seen = _detections(found)
    if not seen:
        text.fill("none to pick")
        return 0, None
    numbers = range(1, len(seen) + 1)
    if isinstance(pick, int):
        number = pick if pick > 0 else len(seen) + 1 + pick
    else:
        number = (max if pick == "largest" else min)(numbers, key=lambda number: _size(seen[number - 1]))
    if number not in numbers:
        text.fill("too few", seen, number=len(seen))
        return 0, None
    return number, seen[number - 1]


def write_labels(text: CitedText, rows: Sequence[Finding], chosen: tuple[int, Finding] | None = None) -> None:
    """The classes that the model names for objects."""
    for place, row in enumerate(rows):
        text.write("\n" if place else "")
        named = row.properties.get("label")
        meant = [row, chosen[1]] if chosen else [row]
        if named is None:
            text.fill("no class", meant)
        elif chosen is None:
            text.fill("it is", meant, label=text.templates.name(str(named)))
        else:
            where = text.templates.place(chosen[1])
            text.fill("which is", meant, number=chosen[0], place=where, label=text.templates.name(str(named)))


def merged_rows(counts: Finished) -> list[Finding]:
    """The rows about a whole area whose number is that of its detections."""
    return [row for row in counts.findings if row.properties.get("method") == DETECTIONS]


def write_chip_comparison(text: CitedText, counts: Finished) -> dict[str, dict[str, Any]]:
    """Say in how many chips count and detections agree, where both were asked of each; the same, for programs."""
    rows = merged_rows(counts)
    shares = {str(row.properties["target"]): float(row.properties["agreement"] or 0) for row in rows}
    numbers = _numbers(counts)
    text.write("\n")
    if all(share == 1 for share in shares.values()):
        text.fill("agree", _detections(counts))
    for target, share in shares.items():
        if share < 1:
            counted = [row for row in of_chips(counts.findings) if _is_count(row, target)]
            apart = round((1 - share) * len(counted))
            what = text.templates.name(target, many=True)
            text.fill("chips disagree", counted, what=what, number=apart, chips=len(counted))
    return {
        target: {
            "counted": numbers[target],
            "detected": numbers[target],
            "agree": share == 1,
            "agreement": share,
        }
        for target, share in shares.items()
    }


def _is_count(row: Finding, target: str) -> bool:
    """Whether it is the model's count of a chip that it was asked about."""
    return (
        row.properties.get("task") == Task.COUNT.value
        and row.properties.get("target") == target
        and not row.lacks_data
    )


def write_comparison(text: CitedText, counts: Finished, found: Finished) -> dict[str, dict[str, Any]]:
    """Say whether count and detections agree; both numbers of each class, for programs."""
    counted, detected = _numbers(counts), _numbers(found)
    by_target = _by_target(_detections(found))
    text.write("\n")
    if counted == detected:
        text.fill("agree", _detections(found))
    for target, number in detected.items():
        said = counted[target]
        if said is not None and number is not None and said != number:
            text.fill("disagree", counted=text.templates.number(said, target))
            text.fill("but", by_target.get(target, ()), detected=text.templates.number(number, target))
            text.fill("beware")
    return {
        target: {"counted": counted[target], "detected": number, "agree": counted[target] == number}
        for target, number in detected.items()
    }


def _detections(found: Finished) -> list[Finding]:
    return [finding for finding in found.findings if finding.layer == "detections"]


def _number(finding: Finding) -> int:
    """How many objects one finding stands for."""
    counted = finding.properties.get("count")
    return counted if isinstance(counted, int) else int(finding.layer == "detections")


def _numbers(finished: Finished) -> dict[str, int | None]:
    """The number of objects of each class asked for; None where no answer was understood."""
    if finished.run.task != Task.COUNT.value:
        found = _by_target(_detections(finished))
        return {target: len(found.get(target, ())) for target in finished.run.targets}
    rows = [row for row in finished.findings if row.properties.get("task") == Task.COUNT.value]
    areas = _by_target([row for row in rows if "chip" not in row.properties])
    chips = _by_target(of_chips(rows))
    numbers: dict[str, int | None] = {}
    for target in finished.run.targets:
        known = areas.get(target) or chips.get(target) or []
        counts = [count for row in known if isinstance(count := row.properties["count"], int)]
        numbers[target] = sum(counts) if counts else None
    return numbers


def _by_target(found: Sequence[Finding]) -> dict[str, list[Finding]]:
    by_target: dict[str, list[Finding]] = {}
    for finding in found:
        by_target.setdefault(str(finding.properties["target"]), []).append(finding)
    return by_target


def _size(finding: Finding) -> float:
    length = finding.properties.get("length_m")
    return float(length) if isinstance(length, (int, float)) else finding.box.area


def _unclear(text: CitedText, found: Sequence[Finding]) -> None:
    """Report chips without data, and answers cut off or not understood: they do not mean that nothing is there."""
    rows = [row for row in of_chips(found) if row.layer == "answers"]
    if unseen := [row for row in rows if row.lacks_data]:
        text.write("\n")
        text.fill("no data", unseen, number=len(unseen))
    if unclear := [row for row in rows if row.is_unclear]:
        text.write("\n")
        text.fill("unclear", unclear, number=len(unclear))

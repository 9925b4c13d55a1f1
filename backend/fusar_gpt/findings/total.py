"""What the answers about many chips come to for the whole area."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fusar_gpt.contract import Finding, Run, SceneBox, Task, Value
from fusar_gpt.findings.coverage import ALL, without_data
from fusar_gpt.findings.georeference import DETECTIONS, finding_at
from fusar_gpt.imagery import Scene
from fusar_gpt.tasks import Answer, Boxes, Count, Question

SUM = "sum of chips"
"""The ``method`` of an area's count where the model was not asked to detect: its chips' counts added up."""
_NOTHING = "no answer was understood"


class AreaNumbers:
    """What was counted and detected in an area, chip by chip.

    A chip agrees where the model's own count of it is the number of its detections there, before they are merged with
    the neighbours' and cut to the area.
    """

    def __init__(self) -> None:
        self._questions: dict[str, Question] = {}
        self._detected: dict[str, bool] = {}  # by target, whether any answer was understood
        self._agree: dict[str, list[bool]] = {}

    def add(self, answered: Iterable[tuple[Question, Answer]]) -> None:
        """The questions about one more chip, with the answers."""
        counts: dict[str, int | None] = {}
        boxes: dict[str, int | None] = {}
        for question, answer in answered:
            if (target := question.target) is None:
                continue
            self._questions.setdefault(target, question)
            if isinstance(answer, Boxes):
                boxes[target] = len(answer.boxes) if answer.complete else None
            elif isinstance(answer, Count):
                counts[target] = answer.value if answer.complete else None
        for target, number in boxes.items():
            self._detected[target] = self._detected.get(target, False) or number is not None
        for target in counts.keys() & boxes.keys():
            agrees = counts[target] is not None and counts[target] == boxes[target]
            self._agree.setdefault(target, []).append(agrees)

    def rows(self, findings: Iterable[Finding], scene: Scene, run: Run) -> list[Finding]:
        """One row of ``answers`` for each target counted in several chips, over the bounds of all chips.

        The number is that of the merged detections where the model was asked to detect the target, else the sum of
        the chips' counts: those chips do not overlap, but an object on their common edge may be counted twice or
        not at all. A chip that was cut off, not understood or not asked for want of data makes the row incomplete.
        Where detections or cells were asked for in free words, such a row says how that was understood.
        """
        by_target: dict[str, list[Finding]] = {target: [] for target in self._questions}
        for finding in findings:
            if (target := finding.properties.get("target")) in by_target:
                by_target[str(target)].append(finding)
        return [
            self._row(question, by_target[target], scene, run)
            for target, question in self._questions.items()
            if len(_counts(by_target[target])) > 1 or (question.understood and run.task != Task.COUNT.value)
        ]

    def _row(self, question: Question, found: list[Finding], scene: Scene, run: Run) -> Finding:
        columns: dict[str, Value] = {
            "task": run.task,
            "target": question.target,
            "question": question.text,
            "understood": question.understood,
            "complete": all(row.properties["complete"] for row in found if row.layer == "answers"),
            "data_share": run.data_share,
            **run.provenance(),
        }
        columns |= self._number(question, found, run)
        if run.data_share is not None and run.data_share < ALL:
            columns["text"] = f"{columns['text']}; {without_data(run.data_share)} of the area has no data"
        name = f"{run.id} total {question.target}"
        return finding_at(_bounds(found, scene), scene, run, "answers", columns, name)

    def _number(self, question: Question, found: list[Finding], run: Run) -> dict[str, Value]:
        """The row's number, what it was made from, and that in words."""
        target = str(question.target)
        if run.task == Task.LOCATE.value:
            cells = [cell for cell in found if cell.layer == "grid"]
            hits = sum(bool(cell.properties["hit"]) for cell in cells)
            where = f"{target} in {hits} of" if hits else f"no {target} in"
            text = f"{where} {_so_many(len(cells), 'cell')}" if cells else _NOTHING
            return {"count": None, "method": None, "text": text}
        if target in self._detected:
            seen = [finding for finding in found if finding.layer == "detections"]
            known = bool(seen) or self._detected[target]
            agree = self._agree.get(target, [])
            sizes = _sizes(seen) if question.understood else ""
            number = _so_many(len(seen), "detection")
            text = f"{number}, merged where chips overlap{sizes}{_disagreement(agree)}"
            return {
                "count": len(seen) if known else None,
                "method": DETECTIONS,
                "agreement": sum(agree) / len(agree) if agree else None,
                "text": text if known else _NOTHING,
            }
        counts = [count for row in _counts(found) if isinstance(count := row.properties["count"], int)]
        text = f"sum of {_so_many(len(counts), 'chip')}; an object on a chip's edge may be counted twice or missed"
        return {
            "count": sum(counts) if counts else None,
            "method": SUM,
            "text": text if counts else _NOTHING,
        }


def _counts(found: Iterable[Finding]) -> list[Finding]:
    """The rows that answer how many objects one chip has."""
    return [row for row in found if row.layer == "answers" and row.properties["task"] == Task.COUNT.value]


def _bounds(found: Sequence[Finding], scene: Scene) -> SceneBox:
    boxes = [row.box for row in found] or [SceneBox(0, 0, scene.width, scene.height)]
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    return SceneBox(left, top, max(box.right for box in boxes), max(box.bottom for box in boxes))


def _sizes(seen: Sequence[Finding]) -> str:
    lengths = [length for finding in seen if isinstance(length := finding.properties.get("length_m"), float)]
    if not lengths:
        return ""
    return (
        f", {min(lengths):.0f} to {max(lengths):.0f} m long"
        if len(lengths) > 1
        else f", {lengths[0]:.0f} m long"
    )


def _so_many(n: int, thing: str, all_of_them: str = "") -> str:
    """How many things, such as ``1 chip``; ``all_of_them`` before the number of several."""
    return f"1 {thing}" if n == 1 else f"{all_of_them}{n} {thing}s"


def _disagreement(agree: Sequence[bool]) -> str:
    """What the chips' own counts say of the detections."""
    if not agree:
        return ""
    if all(agree):
        return f"; the model's own count agrees in {_so_many(len(agree), 'chip', 'all ')}"
    others = f"{len(agree) - sum(agree)} of {_so_many(len(agree), 'chip')}"
    return f"; in {others} the model's own count is another: check them on the map"

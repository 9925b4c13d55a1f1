"""Answers in the form of SARChat, as predictions: tags, cells in words, counts, boxes ``{<x1><y1><x2><y2>}``.

A row is what ms-swift's inference writes (``messages``, ``labels``, ``response``, ``images``), or has a question, a
truth and an answer under plain names. What is measured follows from the tag of the question and from what the truth
states: a truth with boxes and cells is both located and detected. Boxes have no frame of their own; truth and answer
share one.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import ANY, Task, sarchat
from fusar_train.evaluation.answer_rows import AnswerFile, answer_rows, condition_of, left_out
from fusar_train.evaluation.predictions import (
    Condition,
    LabelledQuestion,
    PredictedAnswer,
    PredictedBox,
    Prediction,
    PredictionsError,
    TrueBox,
    TrueClass,
)

TELLS = "response"
"""The field of ms-swift's rows that no other file of answers has."""

CLASSES = ("aircraft", "ship", "car", "bridge", "tank", "harbor")
"""The benchmark's classes, those of SARDet-100K."""

_TASKS = {
    "count": Task.COUNT, "counting": Task.COUNT, "instance counting": Task.COUNT,
    "identify": Task.CLASSIFY, "identification": Task.CLASSIFY, "cls": Task.CLASSIFY, "class": Task.CLASSIFY,
    "classify": Task.CLASSIFY, "classification": Task.CLASSIFY,
    "describe": Task.DESCRIBE, "description": Task.DESCRIBE, "caption": Task.DESCRIBE, "cap": Task.DESCRIBE,
}  # fmt: skip
_QUESTION, _TRUTH = ("question", "query", "prompt"), ("labels", "gt", "truth", "ground_truth", "answer")
_SAID, _IMAGE = ("response", "prediction_text", "prediction"), ("image", "images", "id")
_FRAME = (
    1000  # boxes reach no farther, in pixels or in thousandths; a file whose boxes do gets a larger frame
)
_AND = re.compile(r"\s*(?:[,;/&]|\band\b)\s*", re.IGNORECASE)

_Asked = Iterator[tuple[LabelledQuestion, PredictedAnswer | None]]


def read_answers(path: Path) -> AnswerFile:
    """The predictions of a file of SARChat's form; rows without a question or truth are left out, and told.

    Raises:
        PredictionsError: The file cannot be read, or holds no such answer.
    """
    condition, found, incomplete = condition_of(path), list[Prediction](), 0
    for number, (_, row) in enumerate(answer_rows(path), 1):
        question, truth, said = (_text(row, names) for names in (_QUESTION, _TRUTH, _SAID))
        if not question or truth is None or said is None:
            incomplete += 1
            continue
        image = _text(row, _IMAGE) or f"row {number}"
        found += _predictions(condition, image, question, truth, said)
    if not found:
        raise PredictionsError(f"{path} holds no question with a truth and an answer: give another file.")
    side = max(
        _FRAME, *(math.ceil(edge) for p in found for box in _boxes_of(p) for edge in (box.right, box.bottom))
    )
    framed = [p.model_copy(update={"frame": (side, side)}) for p in found]
    return AnswerFile(framed, tuple(left_out(incomplete, "they lack a question, a truth or an answer")))


def _text(row: Mapping[str, Any], names: Sequence[str]) -> str | None:
    """The first of some fields that is there, as text; a question may be the last one of a conversation."""
    for name in names:
        value = row.get(name)
        if isinstance(value, list) and value:
            value = value[0]
        if isinstance(value, dict):
            value = value.get("path")
        if isinstance(value, (str, int)) and not isinstance(value, bool):
            return str(value)
    if names is _QUESTION:
        turns = row.get("messages")
        turns = [turn for turn in turns if isinstance(turn, dict)] if isinstance(turns, list) else []
        asked = [turn.get("content") for turn in turns if turn.get("role") == "user"]
        return asked[-1] if asked and isinstance(asked[-1], str) else None
    return None


def _predictions(
    condition: Condition, image: str, question: str, truth: str, said: str
) -> Iterator[Prediction]:
    for asked, answer in _asked(question, truth, said):
        yield Prediction.of(condition, image, (_FRAME, _FRAME), asked, answer, question, said)


def _asked(question: str, truth: str, said: str) -> _Asked:
    """What a row asks, with its truth and what was understood of the answer."""
    task = _TASKS.get(sarchat.tag_of(question) or "")
    target = _target(question)
    if task is Task.DESCRIBE:
        yield LabelledQuestion(task, (truth,)), said.strip() or None
    elif task is Task.CLASSIFY:
        yield LabelledQuestion(task, TrueClass(_names(truth) or truth.strip())), _names(said) or None
    else:
        found = list(_searches(task, target, truth, said))
        yield from found
        if not found:
            yield LabelledQuestion(Task.ASK, (truth,), text=question), said.strip() or None


def _searches(task: Task | None, target: str, truth: str, said: str) -> _Asked:
    """Count, cells and boxes, as far as the truth states them."""
    boxes = sarchat.find_boxes(truth)
    cells = sarchat.read_cells(truth, True, target)
    count = sarchat.read_instances(truth, True)
    if count.value is not None and (task is Task.COUNT or (count.complete and not boxes and not cells.cells)):
        yield LabelledQuestion(Task.COUNT, count.value, target), sarchat.read_instances(said, True).value
    if boxes:
        true = tuple(TrueBox(box, target) for box in boxes)
        given = tuple(PredictedBox(box, target) for box in sarchat.find_boxes(said))
        yield LabelledQuestion(Task.DETECT, true, target), given
    if sarchat.find_cells(truth) and cells.cells:
        answer = sarchat.read_cells(said, True, target)
        understood = answer.cells if answer.cells or answer.complete else None
        yield LabelledQuestion(Task.LOCATE, cells.cells, target), understood


def _target(question: str) -> str:
    """The one class that a question names, "any" for several or none."""
    named = [name for name in CLASSES if re.search(rf"\b{name}s?\b", question, re.IGNORECASE)]
    return named[0] if len(named) == 1 else ANY


def _names(text: str) -> str:
    """The classes of an answer in alphabetical order, with commas, without the words of a sentence before them."""
    label = sarchat.read_category(text, True).label or ""
    return ", ".join(sorted({name.strip(" .").lower() for name in _AND.split(label)} - {""}))


def _boxes_of(prediction: Prediction) -> Iterator[ChipBox]:
    yield from (one.box for one in prediction.true_boxes)
    yield from (one.box for one in prediction.predicted_boxes)

"""The ``predictions.jsonl`` that the FUSAR-GPT authors' inference scripts write, as predictions.

A row: ``id``, ``coordinate_size``, ``question``, ``gt`` (the manifest's answer, or null), ``prediction_text`` and, of
detection, ``detections`` (a list of ``bbox_2d`` and ``label``, null if unread) and ``parse_error``. Boxes are in a
frame of ``coordinate_size`` x ``coordinate_size`` px.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, StrictStr, ValidationError

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import ANY, Boxes, Count, Grid, Question, Task, prompt_set
from fusar_train.corpus.messages import recognise
from fusar_train.corpus.release_set import answer_text, plain_question
from fusar_train.evaluation.answer_rows import AnswerFile, answer_rows, condition_of, left_out
from fusar_train.evaluation.predictions import (
    Condition,
    LabelledQuestion,
    PredictedAnswer,
    PredictedBox,
    Prediction,
    PredictionsError,
    TrueBox,
)
from fusar_train.validation import first_fault

TELLS = "prediction_text"
"""The field that only these files have."""

_Edge = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_READ = {Task.COUNT, Task.LOCATE}


class _Detection(BaseModel):
    bbox_2d: tuple[_Edge, _Edge, _Edge, _Edge]
    label: StrictStr


class _Row(BaseModel):
    prediction_text: StrictStr
    question: Annotated[StrictStr, AfterValidator(plain_question)]
    gt: Annotated[StrictStr | None, BeforeValidator(answer_text)] = None
    coordinate_size: Annotated[int, Field(strict=True, gt=0, le=100_000)] = 504
    detections: list[_Detection] | None = None
    parse_error: str | None = None


def read_release_answers(path: Path) -> AnswerFile:
    """The predictions of a file; rows without a truth are left out, and told.

    Raises:
        PredictionsError: The file cannot be read, or a row makes no sense; it is named.
    """
    condition = condition_of(path)
    found, unread, untrue = [], 0, 0
    for number, (where, raw) in enumerate(answer_rows(path)):
        row = _row(raw, where)
        if row.gt is None:
            untrue += 1
            continue
        detects = "detections" in row.model_fields_set
        unread += detects and row.detections is None
        found.append(_prediction(row, detects, str(raw.get("id", number)), condition, where))
    notices = left_out(untrue, "they hold no gt")
    if unread:
        notices.append(
            f"{unread} of {len(found)} answers the authors' script could not read (parse_error): they count as finding "
            "nothing."
        )
    return AnswerFile(found, tuple(notices))


def _row(raw: Mapping[str, Any], where: str) -> _Row:
    try:
        return _Row.model_validate(raw)
    except ValidationError as error:
        raise PredictionsError(f"{where} makes no sense: {first_fault(error)}: remove that row.") from error


def _prediction(row: _Row, detects: bool, image: str, condition: Condition, where: str) -> Prediction:
    frame = (row.coordinate_size, row.coordinate_size)
    task, target = recognise(row.question)
    answer: PredictedAnswer | None
    if detects or task is Task.DETECT:
        truth = _true_boxes(row, target, frame, where)
        named = {box.label for box in truth}
        target = target or (named.pop() if len(named) == 1 else ANY)
        answer = _boxes(row, target, frame, detects)
        asked = LabelledQuestion(Task.DETECT, truth, target)
    elif task in _READ and (read := _understood(task, target, row.gt or "", frame)) is not None:
        answer, asked = (
            _understood(task, target, row.prediction_text, frame),
            LabelledQuestion(task, read, target),
        )
    else:
        task = Task.DESCRIBE if task is Task.DESCRIBE else Task.ASK
        text = row.question if task is Task.ASK else None
        answer, asked = (
            row.prediction_text.strip() or None,
            LabelledQuestion(task, (row.gt or "",), text=text),
        )
    return Prediction.of(condition, image, frame, asked, answer, row.question, row.prediction_text)


def _true_boxes(row: _Row, target: str | None, frame: tuple[int, int], where: str) -> tuple[TrueBox, ...]:
    said = _said(Task.DETECT, target, row.gt or "", frame)
    if not isinstance(said, Boxes) or not said.complete:
        raise PredictionsError(
            f"{where} gt is neither None nor a list of bbox_2d and label: correct or remove it."
        )
    return tuple(TrueBox(one.box, one.label) for one in said.boxes)


def _boxes(row: _Row, target: str, frame: tuple[int, int], detects: bool) -> tuple[PredictedBox, ...] | None:
    """What their script read, None if nothing; where it did not read at all, what we read."""
    if detects:
        given = row.detections
        return None if given is None else tuple(PredictedBox(ChipBox(*d.bbox_2d), d.label) for d in given)
    said = _said(Task.DETECT, target, row.prediction_text, frame)
    boxes = said.boxes if isinstance(said, Boxes) else ()
    return tuple(PredictedBox(b.box, b.label) for b in boxes) if boxes or said.complete else None


def _understood(
    task: Task, target: str | None, text: str, frame: tuple[int, int]
) -> int | frozenset[int] | None:
    """The count or cells of a text; None where it says none."""
    said = _said(task, target, text, frame)
    if isinstance(said, Grid):
        return said.cells if said.cells or said.complete else None
    return said.value if isinstance(said, Count) else None


def _said(task: Task, target: str | None, text: str, frame: tuple[int, int]) -> Any:
    return prompt_set("release").parse(Question(task, target=target or ANY), text, frame)

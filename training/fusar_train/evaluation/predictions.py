"""Predictions: every answer beside its truth, one JSON object a line, enough to compute all figures again."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import pydantic
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from fusar_gpt.errors import FusarError
from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import SEARCHES, Task
from fusar_train.validation import first_fault

PREDICTIONS_FILE = "predictions.jsonl"
PriorKind = Literal["own", "none", "wrong", "unknown"]
"""The image's own prior, none (S = 0), or the one of another place; unknown of answers that others wrote."""
PRIORS: tuple[PriorKind, ...] = ("own", "none", "wrong")
"""Those that may be asked for."""


class PredictionsError(FusarError):
    """A file of predictions cannot be read, or there is nothing to measure."""


_Whole = Annotated[int, Field(strict=True, ge=0, le=10**9)]
_Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
_Share = Annotated[float, Field(strict=True, ge=0, le=1)]
_Side = Annotated[int, Field(strict=True, ge=1, le=10**9)]
_Cell = Annotated[int, Field(strict=True, ge=1, le=9)]
Cells = frozenset[_Cell]
"""Cells of the 3 x 3 grid, numbered 1 to 9 row by row."""

_FOUR_NUMBERS: TypeAdapter[tuple[float, float, float, float]] = TypeAdapter(
    tuple[_Number, _Number, _Number, _Number]
)
_Box = Annotated[
    ChipBox,
    BeforeValidator(
        lambda value: ChipBox(*_FOUR_NUMBERS.validate_python(value)) if isinstance(value, list) else value
    ),
    PlainSerializer(lambda box: [box.left, box.top, box.right, box.bottom]),
]
"""A box in chip pixels; left, top, right and bottom in JSON."""


@pydantic.dataclasses.dataclass(frozen=True)
class PredictedBox:
    """A box that was answered, with its score (larger is surer) if it has one.

    A model's score is its objectness; ``spelling`` is the geometric mean probability of all tokens of the box,
    ``confidence`` the calibrated probability that it is right.
    """

    box: _Box
    label: str
    score: _Number | None = None
    spelling: _Share | None = None
    confidence: _Share | None = None


@pydantic.dataclasses.dataclass(frozen=True)
class TrueBox:
    """A true object; ``fine`` is its finer class, ``difficult`` that it counts neither way."""

    box: _Box
    label: str
    fine: str | None = None
    difficult: Annotated[bool, Field(strict=True)] = False


@pydantic.dataclasses.dataclass(frozen=True)
class TrueClass:
    """The true class of the object in a box, and its finer class if known."""

    label: str
    fine: str | None = None


PredictedAnswer = _Whole | Cells | str | tuple[PredictedBox, ...]
"""A parsed answer: count, cells, class name or text, boxes."""

Truth = _Whole | Cells | TrueClass | tuple[TrueBox, ...] | tuple[str, ...]
"""What would have been right: count, cells, class, boxes, texts of which any will do."""

_TEXTS: Any = Annotated[tuple[str, ...], Field(min_length=1)]
_TYPES: dict[Task, tuple[Any, Any]] = {
    Task.COUNT: (_Whole, _Whole),
    Task.LOCATE: (Cells, Cells),
    Task.CLASSIFY: (str, TrueClass),
    Task.DETECT: (tuple[PredictedBox, ...], tuple[TrueBox, ...]),
    Task.DESCRIBE: (str, _TEXTS),
    Task.ASK: (str, _TEXTS),
}
_READERS: dict[Task, dict[str, TypeAdapter[Any]]] = {
    task: {"answer": TypeAdapter(answer | None), "truth": TypeAdapter(truth)}
    for task, (answer, truth) in _TYPES.items()
}


@dataclass(frozen=True)
class LabelledQuestion:
    """One question about one image, with the truth.

    ``target`` is the class that count, locate and detect look for, ``box`` the one to classify, ``text`` the
    words of a free question.
    """

    task: Task
    truth: Truth
    target: str | None = None
    box: ChipBox | None = None
    text: str | None = None


@dataclass(frozen=True)
class Condition:
    """Under which answers were given; all answers under one condition make up one set of figures.

    Attributes:
        model: Name of the model or baseline, ``hash`` the SHA-256 of its files (empty for baselines).
        prior: Which prior was shown.
        data: Name of the data set and its split.
    """

    model: str
    hash: str
    prior: PriorKind
    data: str


@pydantic.dataclasses.dataclass(frozen=True)
class ModelId:
    """A model's name and the SHA-256 of its files; the hash of a baseline is empty."""

    name: str
    hash: str


class Prediction(BaseModel):
    """One question, what was answered and what is true: a line of the file, see docs/evaluation.md.

    Attributes:
        image: The image's id.
        frame: Width and height of the chip in pixels; boxes are in this frame.
        task, target, box, text, truth: As in ``LabelledQuestion``.
        question: The words the model was asked with; empty for baselines.
        raw: The model's own text.
        answer: What was read from it; None when nothing could be.
        score: Geometric mean token probability of the whole answer, if the model gives one.
        confidence: The calibrated probability that it is right, where the model has a calibration of the task.
        prior, model, data: See ``Condition``.
        nodes: How many AEF vectors the model was given.
        slices: Those that the image belongs to, see ``slices.SLICES``.
    """

    model_config = ConfigDict(frozen=True, protected_namespaces=())

    image: str
    frame: tuple[_Side, _Side]
    task: Task
    target: str | None
    box: _Box | None
    text: str | None
    question: str
    raw: str
    answer: PredictedAnswer | None
    truth: Truth
    score: _Number | None
    prior: PriorKind
    nodes: _Whole
    model: ModelId
    data: str
    confidence: _Share | None = None
    slices: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        condition: Condition,
        image: str,
        frame: tuple[int, int],
        asked: LabelledQuestion,
        answer: PredictedAnswer | None,
        question: str = "",
        raw: str = "",
        nodes: int = 0,
        score: float | None = None,
        confidence: float | None = None,
        slices: Iterable[str] = (),
    ) -> Prediction:
        """The answer to a question under a condition."""
        return cls(
            image=image, frame=frame, **vars(asked), question=question, raw=raw, answer=answer, score=score,
            prior=condition.prior, nodes=nodes, model=ModelId(condition.model, condition.hash), data=condition.data,
            confidence=confidence,
            slices=tuple(sorted(slices)),
        )  # fmt: skip

    @pydantic.field_validator("answer", "truth", mode="before")
    @classmethod
    def _is_of_the_task(cls, value: object, info: pydantic.ValidationInfo) -> object:
        try:
            return _READERS[info.data["task"]][info.field_name or ""].validate_python(value)
        except KeyError:
            raise ValueError("its task is unknown") from None
        except ValidationError as error:
            raise ValueError(first_fault(error).strip()) from None

    @pydantic.field_serializer("answer", "truth")
    def _in_order(self, value: Any) -> Any:
        return sorted(value) if isinstance(value, frozenset) else value

    @pydantic.model_validator(mode="after")
    def _has_what_it_looks_for(self) -> Prediction:
        if self.task in SEARCHES and self.target is None:
            raise ValueError(f"{self.task.value} has no target")
        return self

    @property
    def condition(self) -> Condition:
        """Under which it was given."""
        return Condition(self.model.name, self.model.hash, self.prior, self.data)

    @property
    def predicted_boxes(self) -> tuple[PredictedBox, ...]:
        """The boxes of a detect answer; none when it could not be read."""
        return (
            tuple(one for one in self.answer if isinstance(one, PredictedBox))
            if isinstance(self.answer, tuple)
            else ()
        )

    @property
    def true_boxes(self) -> tuple[TrueBox, ...]:
        """The true boxes of a detect question."""
        return (
            tuple(one for one in self.truth if isinstance(one, TrueBox))
            if isinstance(self.truth, tuple)
            else ()
        )

    @property
    def labelled_question(self) -> LabelledQuestion:
        """The question and its truth."""
        return LabelledQuestion(self.task, self.truth, self.target, self.box, self.text)


def write_predictions(file: TextIO, predictions: Iterable[Prediction]) -> None:
    """Appends predictions, a line each."""
    for prediction in predictions:
        row = prediction.model_dump(mode="json")
        file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")


def read_predictions(path: Path) -> list[Prediction]:
    """Reads a file of predictions.

    Raises:
        PredictionsError: It cannot be read, is empty, or a line of it is broken; the line is named.
    """
    predictions = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    predictions.append(_read_line(line, f"{path}, line {number}"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise PredictionsError(f"{path} cannot be read: {reason}. Give a predictions.jsonl.") from error
    if not predictions:
        raise PredictionsError(f"{path} holds no prediction: run fusar-train evaluate with --predictions.")
    return predictions


def _read_line(line: str, where: str) -> Prediction:
    try:
        return Prediction.model_validate_json(line)
    except ValidationError as error:
        fault = first_fault(error)[:300]
        raise PredictionsError(
            f"{where} is not a prediction ({fault}): remove that line or evaluate again."
        ) from error

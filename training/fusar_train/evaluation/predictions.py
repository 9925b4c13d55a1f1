"""Predictions: every answer beside its truth, one JSON object a line, enough to take all figures again."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from fusar_gpt.errors import FusarError
from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import SEARCHES, Task

PREDICTIONS_FILE = "predictions.jsonl"
PRIORS = ("own", "none", "wrong")
"""The image's own prior, none (S = 0), and the one of another place."""

_MOST = 10**9


class PredictionsError(FusarError):
    """A file of predictions cannot be read, or there is nothing to measure."""


@dataclass(frozen=True)
class Found:
    """A box that was said, in chip pixels, with its score (larger is surer) if it has one."""

    box: ChipBox
    label: str
    score: float | None = None


@dataclass(frozen=True)
class Target:
    """A true object in chip pixels; ``fine`` is its finer class, ``difficult`` that it counts neither way."""

    box: ChipBox
    label: str
    fine: str | None = None
    difficult: bool = False


@dataclass(frozen=True)
class Name:
    """The true class of the object in a box, and its finer class if known."""

    label: str
    fine: str | None = None


Said = int | frozenset[int] | str | tuple[Found, ...]
"""A parsed answer: count, cells 1..9, class name or text, boxes."""

Truth = int | frozenset[int] | Name | tuple[Target, ...] | tuple[str, ...]
"""What would have been right: count, cells 1..9, class, boxes, texts of which any will do."""


@dataclass(frozen=True)
class Asked:
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
        model: name of the model or baseline, ``hash`` the SHA-256 of its files (empty for baselines).
        prior: one of ``PRIORS``.
        data: the name of the data set and its split.
    """

    model: str
    hash: str
    prior: str
    data: str


@dataclass(frozen=True)
class Prediction:
    """One question, what was answered and what is true.

    Attributes:
        image: the image's id.
        frame: width and height of the chip in pixels; boxes are in this frame.
        asked: the question and its truth.
        question: the words the model was asked with; empty for baselines.
        raw: the model's own text.
        answer: what was read from it; None when nothing could be.
        nodes: how many AEF vectors the model was given.
        score: geometric mean token probability of the whole answer, if the model gives one.
    """

    condition: Condition
    image: str
    frame: tuple[int, int]
    asked: Asked
    question: str
    raw: str
    answer: Said | None
    nodes: int = 0
    score: float | None = None

    @property
    def task(self) -> Task:
        """The task asked."""
        return self.asked.task


def write_predictions(file: TextIO, predictions: Iterable[Prediction]) -> None:
    """Appends predictions, a line each."""
    for prediction in predictions:
        file.write(json.dumps(to_json(prediction), ensure_ascii=False, allow_nan=False) + "\n")


def to_json(prediction: Prediction) -> dict[str, Any]:
    """The object of one line; see docs/evaluation.md."""
    asked, condition = prediction.asked, prediction.condition
    return {
        "image": prediction.image,
        "frame": list(prediction.frame),
        "task": asked.task.value,
        "target": asked.target,
        "box": asked.box and _corners(asked.box),
        "text": asked.text,
        "question": prediction.question,
        "raw": prediction.raw,
        "answer": _plain(prediction.answer),
        "truth": _plain(asked.truth),
        "score": prediction.score,
        "prior": condition.prior,
        "nodes": prediction.nodes,
        "model": {"name": condition.model, "hash": condition.hash},
        "data": condition.data,
    }


def _corners(box: ChipBox) -> list[float]:
    return [box.left, box.top, box.right, box.bottom]


def _plain(value: object) -> Any:
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Found):
        return {"box": _corners(value.box), "label": value.label, "score": value.score}
    if isinstance(value, Target):
        known = {"box": _corners(value.box), "label": value.label, "fine": value.fine}
        return {**known, "difficult": value.difficult}
    if isinstance(value, Name):
        return {"label": value.label, "fine": value.fine}
    return value


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
        reason = getattr(error, "strerror", None) or "it is no UTF-8 text"
        raise PredictionsError(f"{path} cannot be read: {reason}. Give a predictions.jsonl.") from error
    if not predictions:
        raise PredictionsError(f"{path} holds no prediction: run fusar-train evaluate with --predictions.")
    return predictions


def _read_line(line: str, where: str) -> Prediction:
    try:
        return from_json(json.loads(line, parse_constant=_no_number))
    except (KeyError, TypeError, ValueError, RecursionError, OverflowError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        message = f"{where} is no prediction ({reason}): remove that line or evaluate again."
        raise PredictionsError(" ".join(message.split())[:400]) from error


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def from_json(row: Mapping[str, Any]) -> Prediction:
    """A prediction of one line's object; KeyError, TypeError or ValueError when something is wrong."""
    task = Task(row["task"])
    read_answer, read_truth = _READERS[task]
    width, height = (_whole(side, 1) for side in row["frame"])
    asked = Asked(
        task,
        read_truth(row["truth"]),
        _maybe(_text, row["target"]),
        _maybe(_box, row["box"]),
        _maybe(_text, row["text"]),
    )
    model = row["model"]
    condition = Condition(_text(model["name"]), _text(model["hash"]), _text(row["prior"]), _text(row["data"]))
    if condition.prior not in PRIORS:
        raise ValueError(f"prior must be one of {', '.join(PRIORS)}")
    if task in SEARCHES and asked.target is None:
        raise ValueError(f"{task.value} has no target")
    return Prediction(
        condition,
        image=_text(row["image"]),
        frame=(width, height),
        asked=asked,
        question=_text(row["question"]),
        raw=_text(row["raw"]),
        answer=_maybe(read_answer, row["answer"]),
        nodes=_whole(row["nodes"]),
        score=_maybe(_number, row["score"]),
    )


def _maybe(read: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else read(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.60} is no text")
    return value


def _whole(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= _MOST:
        raise ValueError(f"{value!r:.60} is no whole number from {least} to {_MOST}")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def _box(value: Any) -> ChipBox:
    left, top, right, bottom = map(_number, _list(value))
    return ChipBox(left, top, right, bottom)


def _list(value: Any) -> Sequence[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.60} is no list")
    return value


def _cells(value: Any) -> frozenset[int]:
    cells = frozenset(_whole(cell, 1) for cell in _list(value))
    if cells and max(cells) > 9:
        raise ValueError(f"cell {max(cells)} is not in 1..9")
    return cells


def _found(value: Any) -> tuple[Found, ...]:
    rows = _list(value)
    return tuple(Found(_box(r["box"]), _text(r["label"]), _maybe(_number, r["score"])) for r in rows)


def _targets(value: Any) -> tuple[Target, ...]:
    return tuple(
        Target(_box(row["box"]), _text(row["label"]), _maybe(_text, row["fine"]), row["difficult"] is True)
        for row in _list(value)
    )


def _name(value: Any) -> Name:
    return Name(_text(value["label"]), _maybe(_text, value["fine"]))


def _texts(value: Any) -> tuple[str, ...]:
    texts = tuple(map(_text, _list(value)))
    if not texts:
        raise ValueError("no text would be right")
    return texts


_READERS: dict[Task, tuple[Callable[[Any], Said], Callable[[Any], Truth]]] = {
    Task.COUNT: (_whole, _whole),
    Task.LOCATE: (_cells, _cells),
    Task.CLASSIFY: (_text, _name),
    Task.DETECT: (_found, _targets),
    Task.DESCRIBE: (_text, _texts),
    Task.ASK: (_text, _texts),
}

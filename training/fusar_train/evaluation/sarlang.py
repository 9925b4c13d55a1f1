"""SARLANG-1M's rule for visual questions, and its file of answers.

In lower case: an answer that holds the true one is right, be it as a part of a word or number. If the true one is yes,
no or a number from 0 to 99, any other answer is wrong. All else its authors have judged by a language model; here it is
left out, and counted.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from fusar_gpt.tasks import Task
from fusar_train.evaluation.answer_rows import AnswerFile, condition_of, left_out
from fusar_train.evaluation.predictions import LabelledQuestion, Prediction, PredictionsError

CLOSED = frozenset({"yes", "no", *map(str, range(100))})
"""The true answers that leave nothing to judge."""

_COLUMNS = ("image", "prediction", "question", "truth")
_NAMES = ("gt", "ground_truth", "ground truth", "truth", "answer")


def is_closed(truth: Sequence[str]) -> bool:
    """Whether every text that would be right is yes, no or a number from 0 to 99."""
    return bool(truth) and all(_plain(text) in CLOSED for text in truth)


def judged(said: str, truth: Sequence[str]) -> bool | None:
    """Whether an answer is right; None where the rule leaves it to a judge."""
    if any(_plain(text) in said.lower() for text in truth if text.strip()):
        return True
    return False if is_closed(truth) else None


def read_answers(path: Path) -> AnswerFile:
    """The predictions of a CSV with the columns image, prediction, question and truth, with or without a header.

    Rows without a truth are left out, and told.

    Raises:
        PredictionsError: The file cannot be read, is empty, or a row has other columns; it is named.
    """
    condition = condition_of(path)
    found, untrue = [], 0
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            for number, row in enumerate(csv.reader(stream, strict=True), 1):
                if not any(cell.strip() for cell in row) or (number == 1 and _is_header(row)):
                    continue
                if len(row) != len(_COLUMNS):
                    raise PredictionsError(
                        f"{path}, row {number} has {len(row)} columns, not {', '.join(_COLUMNS)}: correct or remove it."
                    )
                image, said, question, truth = (cell.strip() for cell in row)
                if not truth:
                    untrue += 1
                    continue
                asked = LabelledQuestion(Task.ASK, (truth,), text=question)
                found.append(Prediction.of(condition, image, (1, 1), asked, said or None, question, said))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise PredictionsError(f"{path} cannot be read: {reason}. Give a CSV of answers.") from error
    if not found:
        raise PredictionsError(f"{path} holds no answer beside its truth: give another file.")
    return AnswerFile(found, tuple(left_out(untrue, "they hold no true answer")))


def _is_header(row: Sequence[str]) -> bool:
    return row[-1].strip().lower() in _NAMES


def _plain(text: str) -> str:
    return text.strip().lower()

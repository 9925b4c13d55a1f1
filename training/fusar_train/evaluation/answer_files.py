"""Files of answers, ours or another program's: which reader a file needs is seen from its first row."""

from __future__ import annotations

from pathlib import Path

from fusar_train.evaluation import release_answers, sarchat, sarlang
from fusar_train.evaluation.answer_rows import AnswerFile, answer_rows
from fusar_train.evaluation.predictions import PredictionsError, read_predictions


def read_answers(path: Path, benchmark: str | None = None) -> AnswerFile:
    """The predictions of a file.

    Args:
        path: Our ``predictions.jsonl``, the FUSAR-GPT authors', ms-swift's rows of SARChat, or SARLANG's CSV.
        benchmark: "sarchat" or "sarlang", where the file does not tell.

    Raises:
        PredictionsError: It cannot be read as that.
    """
    if benchmark == "sarlang" or path.suffix.lower() == ".csv":
        return sarlang.read_answers(path)
    fields = _fields_of(path)
    if benchmark == "sarchat" or sarchat.TELLS in fields:
        return sarchat.read_answers(path)
    if release_answers.TELLS in fields:
        return release_answers.read_release_answers(path)
    return AnswerFile(read_predictions(path))


def _fields_of(path: Path) -> set[str]:
    """The fields of the first row; none of a file that cannot be read, which its reader explains."""
    try:
        return next((set(row) for _, row in answer_rows(path)), set())
    except PredictionsError:
        return set()

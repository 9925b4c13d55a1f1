"""What the readers of answers that other programs wrote have in common: rows in, predictions and notices out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import json_file, json_lines
from fusar_train.evaluation.predictions import Condition, Prediction, PredictionsError

_PLAIN = "predictions"  # the name that says nothing: the folder's is taken


@dataclass(frozen=True)
class AnswerFile:
    """What a file of answers holds; ``notices`` say what of it is left out, and why."""

    predictions: list[Prediction]
    notices: tuple[str, ...] = ()


def answer_rows(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The objects of a JSON Lines file, or of one JSON list, each with its place.

    Raises:
        PredictionsError: The file cannot be read, or a row of it is no object; it is named.
    """
    try:
        with path.open("rb") as stream:
            whole = stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
        items = enumerate(json_file(path), 1) if whole else ()
        rows = ((f"{path}, item {number},", item) for number, item in items) if whole else json_lines(path)
        for where, row in rows:
            if isinstance(row, CorpusError):
                raise row
            if not isinstance(row, dict):
                raise PredictionsError(f"{where} is no object: remove it.")
            yield where, row
    except OSError as error:
        raise PredictionsError(f"{path} cannot be read: {error.strerror}. Give a file of answers.") from error
    except CorpusError as error:
        raise PredictionsError(str(error)) from error


def condition_of(path: Path) -> Condition:
    """Of answers whose model and prior the file does not name."""
    name = path.absolute().parent.name if path.stem == _PLAIN else path.stem
    return Condition(name or _PLAIN, "", "unknown", path.name)


def left_out(count: int, why: str) -> list[str]:
    """The sentence on rows that are left out; none for none."""
    return [f"{count} {'row is' if count == 1 else 'rows are'} left out: {why}."] if count else []

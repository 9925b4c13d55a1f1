"""What was decided about every sub-text, on disk: a line each, so that a killed run goes on by the same decisions."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import json_lines
from fusar_train.klip.data import SLOTS, KlipData
from fusar_train.klip.scio.rebuild import Rebuilt
from fusar_train.klip.scio.screen import Judged
from fusar_train.klip.settings import KlipError

FOLDER = "scio"
"""Within the folder of the run."""
FILE = "decisions.jsonl"


@dataclass(frozen=True)
class Round:
    """What was decided after one phase: all sub-texts as judged, and those that were rewritten or meant to be."""

    judged: list[Judged]
    rebuilt: list[Rebuilt]


def decisions_file(work: Path, number: int, last: int) -> Path:
    """The file of the decisions after phase ``number``, counted from 1; those after the last are ``FILE``."""
    return work / FOLDER / (FILE if number == last else f"decisions-{number}.jsonl")


def write_decisions(file: Path, data: KlipData, made: Round) -> None:
    """Writes the decisions, whole or not at all; OutputError where that fails."""
    file.parent.mkdir(exist_ok=True)
    with whole_file(file) as temporary, temporary.open("w", encoding="utf-8") as stream:
        for line in lines_of(data, made):
            stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")


def lines_of(data: KlipData, made: Round) -> Iterator[dict[str, Any]]:
    """The decisions as JSON: id, keys, key, version, text, what was measured, and what became of it."""
    rewritten = {(one.record, one.place): one for one in made.rebuilt}
    for one in made.judged:
        told = data.sub_texts[one.record][one.place]
        keys, key = SLOTS[told.slot]
        line: dict[str, Any] = {
            "id": data.records[one.record].id,
            "keys": keys,
            "key": key,
            "version": told.version,
            "text": told.text,
            "values": _rounded(one.values),
            "score": _finite(one.score),
            "threshold": _finite(one.threshold),
            "noisy": one.noisy,
            "rewritten": False,
        }
        if new := rewritten.get((one.record, one.place)):
            line |= {
                "rewritten": new.after is not None,
                "before": new.before,
                "after": new.after,
                "values_before": _rounded(new.values_before),
                "values_after": _rounded(new.values_after),
                "accepted": new.accepted,
            }
        yield line


def read_decisions(file: Path, data: KlipData) -> Round:
    """The decisions of a file.

    Raises:
        KlipError: It is missing, makes no sense, or was made for other texts.
    """
    made = Round([], [])
    told = ((record, place) for record, several in enumerate(data.sub_texts) for place in range(len(several)))
    again = "Begin the run anew, without --resume, in another folder."
    try:
        for (record, place), (where, line) in zip(told, json_lines(file), strict=True):
            if isinstance(line, CorpusError):
                raise line
            one = data.sub_texts[record][place]
            if (line["id"], line["text"]) != (data.records[record].id, one.text):
                raise KlipError(f"{where} is about another text than the run's. {again}")
            _add(made, record, place, line)
    except (CorpusError, KeyError, TypeError, ValueError) as error:
        raise KlipError(
            f"{file} does not hold the decisions about all sub-texts ({error}). {again}"
        ) from error
    return made


def _add(made: Round, record: int, place: int, line: dict[str, Any]) -> None:
    score, threshold = (_number(line[name]) for name in ("score", "threshold"))
    made.judged.append(Judged(record, place, line["values"], score, bool(line["noisy"]), threshold))
    if "before" in line:
        values = line["values_before"], line["values_after"]
        made.rebuilt.append(
            Rebuilt(record, place, line["before"], line["after"], *values, bool(line["accepted"]))
        )


def changes(rounds: Sequence[Round]) -> tuple[dict[tuple[int, int], str], set[tuple[int, int]]]:
    """What is said otherwise, and what the decoder is not to learn, by record and place, after some rounds.

    What was rewritten in an earlier round stays so; what the last screen calls noise is not learned unless it was
    rewritten then.
    """
    said = {
        (one.record, one.place): one.after
        for made in rounds
        for one in made.rebuilt
        if one.accepted and one.after is not None
    }
    if not rounds:
        return said, set()
    now = {(one.record, one.place) for one in rounds[-1].rebuilt if one.accepted}
    return said, {(one.record, one.place) for one in rounds[-1].judged if one.noisy} - now


def _rounded(values: dict[str, float]) -> dict[str, float | None]:
    return {name: _finite(value) for name, value in values.items()}


def _finite(value: float) -> float | None:
    return float(f"{value:.6g}") if abs(value) < float("inf") else None


def _number(value: float | None) -> float:
    return float("-inf") if value is None else float(value)

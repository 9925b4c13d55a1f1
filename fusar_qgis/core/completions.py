"""Reads the events of a streamed chat completion; anything unexpected raises ProtocolError."""

from __future__ import annotations

import json
from dataclasses import dataclass

from ..contract import ProtocolError
from .chat import Answered, Json, read_chips, read_mentions
from .markdown import clean

PATH = "/v1/chat/completions"
DONE = "[DONE]"


@dataclass(frozen=True)
class TextPiece:
    """The next words of the answer."""

    text: str


@dataclass(frozen=True)
class ChipsDone:
    """``done`` of ``chips`` chips of one of the answer's runs are looked at."""

    task: str
    done: int
    chips: int


@dataclass(frozen=True)
class Refused:
    """The backend cannot go on; ``problem`` is its one line."""

    problem: str


def read_piece(data: str) -> TextPiece | ChipsDone | Answered | Refused | None:
    """Read the data of one event of the stream; None for one that tells nothing."""
    try:
        piece = json.loads(data)
        if "error" in piece:
            return Refused(clean(str(piece["error"]["message"])))
        return _piece(piece)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise ProtocolError(str(error)) from error


def _piece(piece: Json) -> TextPiece | ChipsDone | Answered | None:
    grounds = piece.get("fusar") or {}
    if "progress" in grounds:
        progress = grounds["progress"]
        return ChipsDone(str(progress["task"]), int(progress["done"]), int(progress["chips"]))
    choice = piece["choices"][0] if piece["choices"] else {}
    if choice.get("finish_reason") is not None:
        return _answered(grounds, cut=choice["finish_reason"] == "length")
    words = choice.get("delta", {}).get("content") or ""
    return TextPiece(clean(str(words))) if words else None


def _answered(grounds: Json, *, cut: bool) -> Answered:
    check = grounds.get("self_check") or {}
    runs = [dict(run) for run in (grounds.get("run"), check.get("run")) if run]
    features = (grounds.get("findings") or {"features": []})["features"]
    mentions = read_mentions(features)
    said = (grounds.get("understood"), *(each.finding.properties.get("understood") for each in mentions))
    understood = clean(str(next(filter(None, said), "")))
    chips = read_chips(grounds.get("chips") or ())
    return Answered(tuple(runs), mentions, check.get("agree"), cut, understood, chips)

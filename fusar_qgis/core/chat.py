"""Conversations about areas of scenes: questions, answers, and the findings that an answer's words mean."""

from __future__ import annotations

import base64
import json
import uuid
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from typing import Any

from ..contract import Finding
from .markdown import Link, clean

Json = Any  # whatever json.loads returned: what is read from it is checked by reading it

LIMIT = 1_000_000
"""Characters that the conversations of one project may take in its file."""

CONVERSATIONS = 50
TURNS_SENT = 20
LONGEST_QUESTION = 4000
_LONGEST_ANSWER = 200_000
_NAME = 40
_VERSION = 1


@dataclass(frozen=True)
class ChatTarget:
    """What a question is about.

    ``layer`` is the id of the scene's layer and ``scene`` its name. ``area`` is a GeoJSON geometry in ``area_crs``,
    x (east) first; ``boxes``, in the same CRS, is a FeatureCollection of the objects that "this" means, and
    ``findings`` the ids of those that are findings of a run.
    """

    layer: str
    scene: str
    area: dict[str, Any]
    area_crs: str
    boxes: dict[str, Any] | None = None
    findings: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelOptions:
    """What the analyst lets the question be answered with; a model without a name is the backend's first."""

    model: str = ""
    prior: str = "none"
    year: int | None = None
    band: int | None = None


@dataclass(frozen=True)
class Mention:
    """A finding, and the ranges [start, end) of the answer, in code points, that mean it."""

    finding: Finding
    spans: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class SeenChip:
    """Where a chip lies: a GeoJSON geometry in ``crs``, x (east) first."""

    footprint: dict[str, Any]
    crs: str


@dataclass(frozen=True)
class Answered:
    """What a complete answer rests on: its runs' provenance (the one that checks last) and its findings.

    ``understood`` is what the question was taken for, such as ``count ship``; empty where the backend does not say.
    ``chips`` are the places that the model saw; none where the backend does not say.
    """

    runs: tuple[dict[str, Any], ...] = ()
    mentions: tuple[Mention, ...] = ()
    agrees: bool | None = None
    cut: bool = False
    understood: str = ""
    chips: tuple[SeenChip, ...] = ()


@dataclass
class Turn:
    """One question and its answer so far.

    ``state`` is ``asked``, ``answered``, ``stopped`` or ``failed``; then ``problem`` says why. ``picture`` is a JPEG
    of the area on the map, ``chip`` one of a chip as the model saw it, of ``chips`` in all; ``chip_area`` is where
    that lies, a GeoJSON geometry in ``chip_crs``, x (east) first. ``first_word_s`` is how long the first word took.
    """

    question: str
    target: ChatTarget
    options: ModelOptions = ModelOptions()
    asked: str = field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="seconds"))
    state: str = "asked"
    problem: str = ""
    answer: str = ""
    rests_on: Answered = Answered()
    picture: bytes = b""
    chip: bytes = b""
    chip_area: dict[str, Any] | None = None
    chip_crs: str = ""
    chips: int = 0
    first_word_s: float | None = None

    @property
    def run(self) -> dict[str, Any]:
        """The provenance of the answer, empty where nothing was run."""
        return self.rests_on.runs[0] if self.rests_on.runs else {}

    def concerns(self, findings: Collection[str]) -> bool:
        """Whether it was asked about one of these findings, by their ids, or its answer speaks of one."""
        used = {mention.finding.id for mention in self.rests_on.mentions}.union(self.target.findings)
        return not used.isdisjoint(findings)

    def places(self) -> list[tuple[Link, tuple[Finding, ...]]]:
        """The answer's links, each with the findings that its words mean; narrow ones first."""
        meant: dict[tuple[int, int], list[Finding]] = {}
        for mention in self.rests_on.mentions:
            for span in mention.spans:
                meant.setdefault(span, []).append(mention.finding)
        spans = sorted(meant, key=lambda span: (span[1] - span[0], span))
        return [(Link(*span, f"#{n}"), tuple(meant[span])) for n, span in enumerate(spans)]


@dataclass
class Conversation:
    """Questions and answers under one name; an empty name is made of the first question."""

    name: str = ""
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    turns: list[Turn] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Its name, else its first question, shortened; empty while there is neither."""
        if self.name or not self.turns:
            return self.name
        words = " ".join(self.turns[0].question.split())
        return words if len(words) <= _NAME else f"{words[: _NAME - 1].rstrip()}…"

    def about(self, findings: Collection[str]) -> Turn | None:
        """Return the last turn about one of these findings, or None."""
        return next((turn for turn in reversed(self.turns) if turn.concerns(findings)), None)

    def messages(self) -> list[dict[str, str]]:
        """The conversation for the backend: the last turns that were answered, and the question that is open."""
        *before, last = self.turns
        told = [turn for turn in before if turn.state == "answered" and turn.answer.strip()]
        messages = []
        for turn in told[-TURNS_SENT:]:
            messages.append({"role": "user", "content": turn.question})
            messages.append({"role": "assistant", "content": turn.answer})
        return [*messages, {"role": "user", "content": last.question}]


def request(
    conversation: Conversation, scene: str, model: str, *, prior_network: bool = False
) -> dict[str, Any]:
    """Return the body of ``POST /v1/chat/completions`` for the last turn.

    Args:
        conversation: Its last turn is asked.
        scene: How the backend knows the scene.
        model: The name of a checkpoint.
        prior_network: Whether the prior may be fetched.
    """
    turn = conversation.turns[-1]
    target, options = turn.target, turn.options
    fusar = {
        "scene": scene,
        "area": target.area,
        "area_crs": target.area_crs,
        "boxes": target.boxes,
        "prior": options.prior,
        "prior_network": prior_network,
        "year": options.year,
        "band": options.band,
    }
    known = {name: value for name, value in fusar.items() if value is not None}
    return {"model": model, "messages": conversation.messages(), "stream": True, "fusar": known}


def write_conversations(conversations: list[Conversation], limit: int = LIMIT) -> str:
    """Return the conversations as ASCII text of at most ``limit`` characters for a project file.

    What is too much goes oldest first: pictures, then chips, findings, and whole turns.
    """
    kept = conversations[-CONVERSATIONS:]
    rows = [[_turn_row(turn) for turn in conversation.turns] for conversation in kept]
    oldest_first = sorted((row for turns in rows for row in turns), key=lambda row: str(row["asked"]))
    excess = _length(rows) + sum(200 + _length(one.name[:200]) for one in kept) + 200 - limit
    for names in (("picture", "chip"), ("seen",), ("mentions",), None):
        for row in oldest_first:
            if excess <= 0:
                break
            excess -= sum(_length(row.pop(name)) for name in names or tuple(row) if name in row)
    data = {
        "version": _VERSION,
        "conversations": [
            {"id": one.id, "name": one.name[:200], "turns": [row for row in turns if row]}
            for one, turns in zip(kept, rows)  # noqa: B905 - QGIS for Windows has Python 3.9
        ],
    }
    return json.dumps(data)


def read_conversations(text: str) -> list[Conversation]:
    """Return the conversations of a project file; what cannot be read is left out. Never raises."""
    try:
        data = json.loads(text) if text else {}
        rows = data["conversations"] if data.get("version") == _VERSION else []
        return [_conversation(row) for row in rows if isinstance(row, dict)]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []


def read_mentions(features: Json) -> tuple[Mention, ...]:
    """Read the features of an answer, with their spans. Raises ValueError, KeyError or TypeError."""
    return tuple(
        Mention(Finding.from_json(feature), tuple((int(a), int(b)) for a, b in feature.get("spans") or ()))
        for feature in features
    )


def read_chips(rows: Json) -> tuple[SeenChip, ...]:
    """Read the chips of an answer. Raises ValueError, KeyError or TypeError."""
    return tuple(SeenChip(dict(row["footprint"]), str(row["crs"])) for row in rows)


def _conversation(row: Json) -> Conversation:
    return Conversation(
        clean(str(row.get("name") or "")), str(row.get("id") or uuid.uuid4().hex), list(_turns(row))
    )


def _turns(row: Json) -> Iterator[Turn]:
    for turn in row.get("turns") or ():
        try:
            yield _turn(turn)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue


def _turn_row(turn: Turn) -> dict[str, Any]:
    return {
        "question": turn.question,
        "ground": asdict(turn.target),
        "means": asdict(turn.options),
        "asked": turn.asked,
        "state": turn.state,
        "problem": turn.problem,
        "answer": turn.answer,
        "runs": list(turn.rests_on.runs),
        "agrees": turn.rests_on.agrees,
        "cut": turn.rests_on.cut,
        "understood": turn.rests_on.understood,
        "mentions": [_feature(mention) for mention in turn.rests_on.mentions],
        "picture": base64.b64encode(turn.picture).decode("ascii"),
        "chip": base64.b64encode(turn.chip).decode("ascii"),
        "chip_area": turn.chip_area,
        "chip_crs": turn.chip_crs,
        "chips": turn.chips,
        "seen": [asdict(chip) for chip in turn.rests_on.chips],
        "first_word_s": turn.first_word_s,
    }


def _turn(row: Json) -> Turn:
    state = row["state"] if row["state"] in ("answered", "failed") else "stopped"
    rests_on = Answered(
        tuple(dict(run) for run in row["runs"]),
        read_mentions(row.get("mentions") or ()),
        row["agrees"] if isinstance(row["agrees"], bool) else None,
        row["cut"] is True,
        clean(str(row.get("understood") or "")),
        read_chips(row.get("seen") or ()),
    )
    seconds = row.get("first_word_s")
    return Turn(
        question=clean(str(row["question"])),
        target=_target(row["ground"]),
        options=_model_options(row["means"]),
        asked=str(row["asked"]),
        state=state,
        problem=clean(str(row["problem"])),
        answer=clean(str(row["answer"]))[:_LONGEST_ANSWER],
        rests_on=rests_on,
        picture=base64.b64decode(row.get("picture") or ""),
        chip=base64.b64decode(row.get("chip") or ""),
        chip_area=dict(row["chip_area"]) if row.get("chip_area") else None,
        chip_crs=str(row.get("chip_crs") or ""),
        chips=int(row["chips"]),
        first_word_s=float(seconds) if seconds is not None else None,
    )


def _target(row: Json) -> ChatTarget:
    boxes = row.get("boxes")
    return ChatTarget(
        str(row["layer"]),
        clean(str(row["scene"])),
        dict(row["area"]),
        str(row["area_crs"]),
        None if boxes is None else dict(boxes),
        tuple(str(one) for one in row.get("findings") or ()),
    )


def _model_options(row: Json) -> ModelOptions:
    year, band = row.get("year"), row.get("band")
    return ModelOptions(
        str(row["model"]),
        str(row["prior"]),
        None if year is None else int(year),
        None if band is None else int(band),
    )


def _feature(mention: Mention) -> dict[str, Any]:
    """The mention as the backend sends it, whose reader reads it again."""
    return {**mention.finding.to_json(), "spans": mention.spans}


def _length(value: Json) -> int:
    return len(json.dumps(value))

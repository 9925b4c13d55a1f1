"""The short wording of the tiny model, read by ``CompactPrompts`` and written by the ``render_*`` functions.

======== ===================== ===============================================
task     prompt                answer
======== ===================== ===============================================
count    count ship            7
locate   locate ship           1 5 9 | none
classify classify 12 30 40 52  ship
detect   detect ship           6 6 ship 100 90 120 110; 6 8 ship 130 90 150 108 | none
describe describe              free text
ask      ask <text>            free text
======== ===================== ===============================================

A detected object is: row and column of the box's centre in a grid of 14 x 14, as the model's visual tokens are, class,
x1 y1 x2 y2 in whole chip pixels. The place only helps the model to find the next object: unlike a coordinate it is
either right or wrong, and objects come in its order. Reading ignores it. Training writes its answers with
the ``render_*`` functions, so that training and serving cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import grammars
from fusar_gpt.tasks.answers import Answer, Boxes, LabelledBox
from fusar_gpt.tasks.question import ANY, CLASS_NAME, Question, Task
from fusar_gpt.tasks.reading import (
    NUMBER,
    box_of,
    plain_label,
    read,
    says_none,
    without_fences,
)

NONE = "none"
GRID = 14
"""Rows and columns of the places of detected objects."""
_MAX_COUNT = 999
_PIECE = re.compile(r"[^;\n]+")
_OBJECT = re.compile(
    rf"\s*(?P<object>(?:[0-9]+\s+){{0,2}}(?P<label>{CLASS_NAME})"
    + "".join(rf"\s+(?P<{corner}>{NUMBER})" for corner in ("x1", "y1", "x2", "y2"))
    + r")[\s.]*"
)
_MAX_TOKENS = {
    Task.COUNT: 8,
    Task.LOCATE: 32,
    Task.CLASSIFY: 24,
    Task.DETECT: 768,
    Task.DESCRIBE: 256,
    Task.ASK: 128,
}


class CompactPrompts:
    """The prompt set ``compact``."""

    name = "compact"

    def prompt(self, question: Question, frame_size: tuple[int, int]) -> str:
        """The words to ask; a box to classify is rounded to whole pixels of the frame (width, height)."""
        word = question.task.value
        if question.task is Task.ASK:
            return f"{word} {' '.join((question.text or '').split())}"
        if question.task is Task.CLASSIFY and question.box is not None:
            return f"{word} {_corners(_whole_pixels(question.box, frame_size))}"
        return word if question.task is Task.DESCRIBE else f"{word} {question.target}"

    def grammar(self, question: Question) -> str | None:
        """The EBNF of the table above; None for free text."""
        label = question.target if question.task is Task.DETECT else None
        return {
            Task.COUNT: grammars.COUNT,
            Task.LOCATE: _LOCATE_GRAMMAR,
            Task.CLASSIFY: f"root ::= label\n{_label_rule(None)}",
            Task.DETECT: f"{_DETECT_GRAMMAR}{_label_rule(label)}",
        }.get(question.task)

    def max_tokens(self, question: Question) -> int:
        """Enough for about 60 objects with one token a word and a number."""
        return _MAX_TOKENS[question.task]

    def parse(
        self, question: Question, text: str, frame_size: tuple[int, int], *, finished: bool = True
    ) -> Answer:
        """The typed answer; never raises."""
        if question.task is Task.DETECT:
            return _read_boxes(text, finished=finished)
        return read(question.task, text, finished=finished)


def render_count(count: int) -> str:
    """The answer to count; ValueError outside 0..999."""
    if not 0 <= count <= _MAX_COUNT:
        raise ValueError(f"no count from 0 to {_MAX_COUNT}: {count}")
    return str(count)


def render_grid(cells: Iterable[int]) -> str:
    """The answer to locate, for cells 1..9 in any order; ValueError for other cells."""
    ordered = sorted(set(cells))
    if not all(1 <= cell <= 9 for cell in ordered):
        raise ValueError(f"cells outside 1..9: {ordered}")
    return " ".join(map(str, ordered)) or NONE


def render_label(label: str) -> str:
    """The answer to classify; ValueError when the grammar would not allow it."""
    if not re.fullmatch(CLASS_NAME, label, re.ASCII) or label == NONE:
        raise ValueError(f"no class name of ASCII words that begin with a letter: {label!r}")
    return label


def render_boxes(objects: Iterable[tuple[ChipBox, str]], frame_size: tuple[int, int]) -> str:
    """The answer to detect: objects sorted by row and column of their centre, then top, then left.

    Boxes are clipped to the frame (width, height) and rounded to whole pixels, at least one pixel a side.
    """
    rows = []
    for box, label in objects:
        whole = _whole_pixels(box, frame_size)
        row, col = _place(whole, frame_size)
        rows.append((row, col, whole[1], whole[0], f"{row} {col} {render_label(label)} {_corners(whole)}"))
    return "; ".join(row[-1] for row in sorted(rows)) or NONE


def _place(whole: tuple[int, int, int, int], frame_size: tuple[int, int]) -> tuple[int, int]:
    (left, top, right, bottom), (width, height) = whole, frame_size
    return (top + bottom) * GRID // (2 * height), (left + right) * GRID // (2 * width)


def _whole_pixels(box: ChipBox, frame_size: tuple[int, int]) -> tuple[int, int, int, int]:
    width, height = frame_size
    left = min(max(round(box.left), 0), width - 1)
    top = min(max(round(box.top), 0), height - 1)
    right = min(max(round(box.right), left + 1), width)
    bottom = min(max(round(box.bottom), top + 1), height)
    return left, top, right, bottom


def _corners(whole: tuple[int, int, int, int]) -> str:
    return " ".join(map(str, whole))


def _read_boxes(raw: str, *, finished: bool) -> Boxes:
    boxes = []
    complete = finished
    for piece in _PIECE.finditer(without_fences(raw)):
        cut = not finished and piece.end() == len(raw)  # its last number may have lost digits
        found = None if cut else _OBJECT.fullmatch(piece.group())
        box = box_of(found["x1"], found["y1"], found["x2"], found["y2"]) if found else None
        if found and box:
            start, end = found.span("object")
            span = (piece.start() + start, piece.start() + end)
            boxes.append(LabelledBox(box, plain_label(found["label"]), span))
        elif piece.group().strip(" .").lower() not in ("", NONE):
            complete = False
    return Boxes(raw, complete=complete and (bool(boxes) or says_none(raw)), boxes=tuple(boxes))


_LOCATE_GRAMMAR = f'root ::= "{NONE}" | from1\n{grammars.rising_cells(" ")}'

_DETECT_GRAMMAR = (
    f'root ::= "{NONE}" | object ("; " object)*\n'
    'object ::= place " " place " " label " " pixel " " pixel " " pixel " " pixel\n'
    'place ::= [0-9] | "1" [0-3]\n'
    'pixel ::= "0" | [1-9] [0-9]? [0-9]? [0-9]?\n'
)


def _label_rule(target: str | None) -> str:
    if target is None or target == ANY:
        return 'label ::= word (" " word)*\nword ::= [a-zA-Z] [a-zA-Z0-9_-]*\n'
    return f'label ::= "{target}"\n'

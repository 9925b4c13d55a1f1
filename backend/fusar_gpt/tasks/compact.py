"""The short answers of the tiny model: read by the ``read_*`` functions and written by the ``render_*`` functions.

======== ===================== ===============================================
task     prompt                answer
======== ===================== ===============================================
count    count ship            17 90 92: 3 | 0
locate   locate ship           17 90 92: 1 5 | none
classify classify 12 30 40 52  ship
detect   detect ship           90 ship l12 u22 r24 d14; 92 ship l14 u22 r22 d12 | none
describe describe              free text
ask      ask <text>            free text
======== ===================== ===============================================

The answer to count or locate stands behind the colon. Before it come the cells of the objects, as in detect: a tiny
model counts what it has written far better than what it sees. They may be left out, as by older checkpoints.

A detected object is: the cell of a 14 x 14 grid that holds the box's centre, counted from 0 row by row as the model's
visual tokens are; class; and how far the box reaches over that cell, in whole chip pixels: left from its right side, up
from its bottom, right from its left side, down from its top. ``90 ship l12 u22 r24 d14`` is the box 100 90 120 110 of a
chip of 224 px. So these numbers are never negative and depend on what is there, not on where the cell lies: a tiny
model learns that from far fewer chips than a coordinate. No cell is listed twice. Training writes its answers with the
``render_*`` functions, so that training and serving cannot disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks.answers import ANY, CLASS_NAME, Answer, Boxes, FrameSize, LabelledBox
from fusar_gpt.tasks.reading import plain_label, rising_cells_rule, says_none, without_fences

NONE = "none"
GRID = 14
"""Rows and columns of the cells that detected objects are in."""
Corners = tuple[int, int, int, int]
_MAX_COUNT = 999
SEEN = ":"
"""Separates the cells where objects are seen from the answer."""
SIDES = "lurd"
_PIECE = re.compile(r"[^;\n]+")
_OBJECT = re.compile(
    rf"\s*(?P<object>(?P<cell>[0-9]{{1,3}})\s+(?P<label>{CLASS_NAME})"
    + "".join(rf"\s+{side}(?P<{side}>[0-9]{{1,4}})" for side in SIDES)
    + r")[\s.]*",
)


def fields(target: str | None, text: str, box: ChipBox | None, frame_size: FrameSize) -> dict[str, str]:
    """What the prompts say of a question; a box in whole pixels of the frame."""
    corners = () if box is None else _whole_pixels(box, frame_size)
    return {"target": target or "", "text": " ".join(text.split()), "box": " ".join(map(str, corners))}


def read_after_cells(
    read: Callable[[str, bool], Answer], raw: str, finished: bool, *context: object
) -> Answer:
    """What ``read`` makes of the text behind the colon, or of all of it where there is no colon."""
    _, colon, answer = raw.rpartition(SEEN)
    # Without a colon, an answer that was cut off has only cells of where the objects are.
    return replace(read(answer if colon or finished else "", finished), raw=raw)


def seen_in(boxes: Iterable[ChipBox], frame_size: FrameSize) -> list[int]:
    """The cells of the 14 x 14 grid over the frame (width, height) that hold the boxes' centres, rising."""
    return sorted({_cell(_whole_pixels(box, frame_size), frame_size) for box in boxes})


def render_count(count: int, seen: Iterable[int] = ()) -> str:
    """The answer to count, for objects ``seen_in`` some cells; ValueError outside 0..999."""
    if not 0 <= count <= _MAX_COUNT:
        raise ValueError(f"no count from 0 to {_MAX_COUNT}: {count}")
    return _behind(seen, str(count))


def render_grid(cells: Iterable[int], seen: Iterable[int] = ()) -> str:
    """The answer to locate, for 3 x 3 cells 1..9 in any order and objects ``seen_in`` others; ValueError."""
    ordered = sorted(set(cells))
    if not all(1 <= cell <= 9 for cell in ordered):
        raise ValueError(f"cells outside 1..9: {ordered}")
    return _behind(seen, " ".join(map(str, ordered)) or NONE)


def _behind(seen: Iterable[int], answer: str) -> str:
    cells = " ".join(map(str, seen))
    return f"{cells}{SEEN} {answer}" if cells else answer


def render_label(label: str) -> str:
    """The answer to classify; ValueError when the grammar would not allow it."""
    if not re.fullmatch(CLASS_NAME, label, re.ASCII) or label == NONE:
        raise ValueError(f"no class name of ASCII words that begin with a letter: {label!r}")
    return label


def render_boxes(objects: Iterable[tuple[ChipBox, str]], frame_size: FrameSize) -> str:
    """The answer to detect: objects sorted by the cell of their centre.

    Boxes are clipped to the frame (width, height) and rounded to whole pixels, at least one pixel a side. A cell is
    listed once, with the topmost, then leftmost of its objects: a model that could repeat a cell would do so without
    end.
    """
    rows: dict[int, tuple[int, int, str]] = {}
    for box, label in objects:
        left, top, right, bottom = _whole_pixels(box, frame_size)
        cell = _cell((left, top, right, bottom), frame_size)
        edges = _cell_edges(cell, frame_size)
        reaches = (edges[2] - left, edges[3] - top, right - edges[0], bottom - edges[1])
        sides = " ".join(f"{side}{reach}" for side, reach in zip(SIDES, reaches, strict=True))
        row = (top, left, f"{cell} {render_label(label)} {sides}")
        rows[cell] = min(row, rows.get(cell, row))
    return "; ".join(rows[cell][-1] for cell in sorted(rows)) or NONE


def _cell(whole: Corners, frame_size: FrameSize) -> int:
    (left, top, right, bottom), (width, height) = whole, frame_size
    return (top + bottom) * GRID // (2 * height) * GRID + (left + right) * GRID // (2 * width)


def _cell_edges(cell: int, frame_size: FrameSize) -> Corners:
    """Left, top, right and bottom of a cell in whole pixels."""
    (row, col), (width, height) = divmod(cell, GRID), frame_size
    return col * width // GRID, row * height // GRID, (col + 1) * width // GRID, (row + 1) * height // GRID


def _whole_pixels(box: ChipBox, frame_size: FrameSize) -> Corners:
    width, height = frame_size
    left = min(max(round(box.left), 0), width - 1)
    top = min(max(round(box.top), 0), height - 1)
    right = min(max(round(box.right), left + 1), width)
    bottom = min(max(round(box.bottom), top + 1), height)
    return left, top, right, bottom


def read_boxes(raw: str, finished: bool, _: str | None, frame_size: FrameSize) -> Boxes:
    """The detected objects; a piece that is not one of the table's objects makes the answer incomplete."""
    boxes = []
    cells: set[int] = set()
    complete = finished
    for piece in _PIECE.finditer(without_fences(raw)):
        cut = not finished and piece.end() == len(raw)  # its last number may have lost digits
        found = None if cut else _OBJECT.fullmatch(piece.group())
        box = _box(found, frame_size) if found else None
        if found and box and int(found["cell"]) not in cells:
            cells.add(int(found["cell"]))
            boxes.append(_labelled(box, found, piece.start()))
        elif piece.group().strip(" .").lower() not in ("", NONE):
            complete = False
    return Boxes(raw, complete=complete and (bool(boxes) or says_none(raw)), boxes=tuple(boxes))


def _labelled(box: ChipBox, found: re.Match[str], at: int) -> LabelledBox:
    """The object of the piece that begins ``at``: the mark before it says that one comes, its cell where."""
    (start, end), (first, last) = found.span("object"), found.span("cell")
    mark = [(at - 1, at)] if at else []
    deciding = (*mark, (at + first, at + last))
    return LabelledBox(box, plain_label(found["label"]), (at + start, at + end), deciding)


def _box(found: re.Match[str], frame_size: FrameSize) -> ChipBox | None:
    """The box of an object; None for a cell that the grid lacks or sides that leave nothing between them."""
    cell = int(found["cell"])
    left, up, right, down = (int(found[side]) for side in SIDES)
    edges = _cell_edges(cell, frame_size)
    box = (edges[2] - left, edges[3] - up, edges[0] + right, edges[1] + down)
    if cell >= GRID * GRID or box[0] >= box[2] or box[1] >= box[3]:
        return None
    return ChipBox(*box)


def detect_grammar(target: str | None) -> str:
    """The EBNF of answers to detect; every object has the target as its label."""
    label = _LABEL_RULE if target in (None, ANY) else f'label ::= "{target}"\n'
    return (
        f'root ::= "{NONE}" | object ("; " object)*\n{_CELL_RULE}'
        'object ::= cell " " label " l" reach " u" reach " r" reach " d" reach\n'
        f'reach ::= "0" | [1-9] [0-9]? [0-9]? [0-9]?\n{label}'
    )


_LABEL_RULE = 'label ::= word (" " word)*\nword ::= [a-zA-Z] [a-zA-Z0-9_-]*\n'
_CELL_RULE = 'cell ::= [0-9] | [1-9] [0-9] | "1" [0-8] [0-9] | "19" [0-5]\n'
_SEEN_RULE = f'{_CELL_RULE}seen ::= cell (" " cell)* "{SEEN} "\n'
COUNT_GRAMMAR = f'root ::= "0" | seen? [1-9] [0-9]? [0-9]?\n{_SEEN_RULE}'
LOCATE_GRAMMAR = f'root ::= "{NONE}" | seen? from1\n{_SEEN_RULE}{rising_cells_rule(" ")}'
LABEL_GRAMMAR = f"root ::= label\n{_LABEL_RULE}"

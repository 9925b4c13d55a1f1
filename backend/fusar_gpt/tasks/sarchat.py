"""Counts, cells and classes in the form of SARChat, a public benchmark of the group that made FUSAR-GPT.

A question begins with its task in brackets; cells of the 3 x 3 grid are named in words, from top left to bottom right;
a box is ``{<x1><y1><x2><y2>}``. The sentences are this project's. That the released checkpoint understands this form
better than another one its authors have not said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import release
from fusar_gpt.tasks.answers import Count, FrameSize, Grid, Label
from fusar_gpt.tasks.reading import (
    NUMBER,
    box_of,
    read_count,
    read_grid,
    read_label,
    rising_cells_rule,
    says_none,
)

CELLS = (
    "top left", "top center", "top right", "center left", "center", "center right",
    "bottom left", "bottom center", "bottom right",
)  # fmt: skip
"""The names of the cells 1..9."""

COUNT_PROMPT = (
    "[count] This is a SAR image. How many instances of {target} does it show? Write the number of instances, then the "
    "box of each as {{<x1><y1><x2><y2>}} in pixels. If there are none, write 0."
)
LOCATE_PROMPT = (
    "[grounding] This is a SAR image, divided into 3 rows and 3 columns of equal cells: "
    f"{', '.join(CELLS)}. Which of these cells contain {{target}}? Write their names, separated by commas. "
    "If there are none, write none."
)
CLASSIFY_PROMPT = (
    "[identify] This is a SAR image. What is the category of the object in the box {box}? "
    "Write the name of the category only."
)

_BOX = re.compile(r"(?:\{\s?)?" + rf"<\s*({NUMBER})\s*>[\s,]*" * 4 + r"\}?")
_MARK = re.compile(r"</?[A-Za-z]\w*>")  # such as <delim> between boxes, <p> around a name
_TAG = re.compile(r"\[\s*([A-Za-z][\w -]*)\]")
_ROWS = {"top": 0, "upper": 0, "bottom": 2, "lower": 2}
_COLS = {"left": 0, "right": 2}
_MIDDLE = ("center", "centre", "central", "middle", "mid")
_ROW, _COL, _MID = ("|".join(words) for words in (_ROWS, _COLS, _MIDDLE))
_GAP = r"(?:[ \t]+|[ \t]*-[ \t]*)"
_CELL = re.compile(
    rf"(?<![\w-])(?:(?:{_ROW}|{_MID}){_GAP}(?:{_COL}|{_MID})|(?:{_COL}|{_MID}){_GAP}(?:{_ROW}|{_MID})|{_ROW}|{_COL}|{_MID})"
    r"(?![\w-])",
    re.IGNORECASE | re.ASCII,
)
_FILLER = re.compile(
    r"\b(?:and|the|in|at|on|of|is|are|there|it|they|this|these|image|sar|cells?|corners?|regions?|parts?|areas?|edges?|"
    r"located|an?|targets?)\b|[\s.,;:()\[\]{}<>'\"0-9/&-]+",
    re.IGNORECASE | re.ASCII,
)
_NOT = re.compile(r"\b(?:no|not|without|except|neither|nor)\b|n't\b", re.IGNORECASE | re.ASCII)
_LEADING = re.compile(
    r"^(?:(?:it|this|that|the (?:object|target|category)(?: of the object)?)\s+(?:is|shows)|category\s*:|class\s*:)\s*"
    r"(?:an?\s+|the\s+)?",
    re.IGNORECASE | re.ASCII,
)


def fields(target: str | None, text: str, box: ChipBox | None, frame_size: FrameSize) -> dict[str, str]:
    """What the prompts say of a question: as the release's, but boxes in this form."""
    said = release.fields(target, text, box, frame_size)
    return {**said, "box": "" if box is None else render_box(box)}


def render_box(box: ChipBox) -> str:
    """A box in whole pixels."""
    return "{" + "".join(f"<{round(edge)}>" for edge in (box.left, box.top, box.right, box.bottom)) + "}"


def find_boxes(text: str) -> list[ChipBox]:
    """The boxes of a text, in order; what spans no area is none."""
    return [box for found in _BOX.finditer(text) if (box := box_of(*found.groups()))]


def without_boxes(text: str) -> str:
    """The text without its boxes, and without the cells in brackets that may stand behind them."""
    return re.sub(r"\(\s*" + _CELL.pattern + r"\s*\)", " ", _BOX.sub(" ", text), flags=_CELL.flags)


def find_cells(text: str) -> frozenset[int]:
    """The cells 1..9 that a text names in words."""
    return frozenset(_cell(found.group()) for found in _CELL.finditer(text))


def tag_of(text: str) -> str | None:
    """The task in brackets with which a question begins, in lower case; None where there is none."""
    found = _TAG.match(text.replace("<image>", " ").strip())
    return found[1].strip().lower() if found else None


def read_instances(raw: str, finished: bool, *_: object) -> Count:
    """The number of instances, else that of the boxes; where the two differ, the number, as not fully understood."""
    boxes = len(find_boxes(raw))
    said = read_count(without_boxes(_unmarked(_TAG.sub(" ", raw))), finished)
    value = boxes if said.value is None and boxes else said.value
    agrees = not boxes or value == boxes
    return Count(raw, complete=finished and value is not None and agrees, value=value)


def read_cells(raw: str, finished: bool, target: str | None = None, *_: object) -> Grid:
    """The cells named in words, else in numbers; what else the text says makes it not fully understood.

    With a negation beside them, the cells may be those that hold nothing: none is read.
    """
    tagged = _TAG.sub(lambda tag: " " if tag[1].strip().lower() not in CELLS else tag[0], raw)
    text = _BOX.sub(" ", _unmarked(tagged))
    cells = find_cells(text)
    if not cells:
        return read_grid(raw, finished)
    if says_none(text) or _NOT.search(text):
        return Grid(raw, complete=False, cells=frozenset())
    named = rf"\b{re.escape(target)}(?:s|es)?\b" if target else r"(?!)"
    rest = re.sub(named, " ", _CELL.sub(" ", text), flags=re.IGNORECASE)
    return Grid(raw, complete=finished and not _FILLER.sub(" ", rest).strip(), cells=cells)


def read_category(raw: str, finished: bool, *_: object) -> Label:
    """The class name, without the tag, boxes and words of a sentence that may stand before it."""
    text = without_boxes(_unmarked(_TAG.sub(" ", raw, count=1))).strip()
    label = read_label(_LEADING.sub("", text), finished)
    return Label(raw, complete=label.complete, label=label.label)


def _unmarked(text: str) -> str:
    return _MARK.sub(" ", text)


def _cell(words: str) -> int:
    """The cell of one or two words, in either order."""
    row = col = 1
    for word in re.split(r"[\s-]+", words.lower()):
        row, col = _ROWS.get(word, row), _COLS.get(word, col)
    return 3 * row + col + 1


def render_cells(cells: Sequence[int]) -> str:
    """Cells 1..9 in words, as ``LOCATE_GRAMMAR`` allows them; "none" for none."""
    return ", ".join(CELLS[cell - 1] for cell in sorted(set(cells))) or "none"


def render_instances(boxes: Sequence[ChipBox]) -> str:
    """How many, then the boxes, as ``COUNT_GRAMMAR`` allows them."""
    return ": ".join(filter(None, (str(len(boxes)), ", ".join(map(render_box, boxes)))))


COUNT_GRAMMAR = r"""root ::= "0" | [1-9] [0-9]? [0-9]? (": " box (", " box)*)?
box ::= "{<" pixel "><" pixel "><" pixel "><" pixel ">}"
pixel ::= "0" | "-"? [1-9] [0-9]? [0-9]? [0-9]?
"""
LOCATE_GRAMMAR = f'root ::= "none" | from1\n{rising_cells_rule(", ", CELLS)}'

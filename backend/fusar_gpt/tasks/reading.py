"""Tolerant readers of a model's text, shared by the prompt sets. None of them raises on any text.

``finished`` is False when the model ran into its limit of tokens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks.answers import Count, Grid, Label, Text

NUMBER = r"[-+]?[0-9]{1,9}(?:\.[0-9]{0,20})?(?:[eE][-+]?[0-9]{1,3})?"
"""A coordinate in a text."""

_FARTHEST_PX = 1e6  # a coordinate farther out than this is noise, not a pixel
_LONGEST_LABEL = 60
_WHOLE = re.compile(r"(?<![\w.+-])[0-9]{1,6}(?![\w-]|\.[0-9])", re.ASCII)
_LIST = re.compile(r"\[[^\[\]]*\]")
_NONE = re.compile(r"(?<![\w])(?:none|null)(?![\w])", re.IGNORECASE | re.ASCII)
_FENCE = re.compile(r"(?:```|''')[ \t]*(?:json|text)?", re.IGNORECASE)
_SMALL = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "no", "none")
_WORD = re.compile(rf"(?<![\w-])(?:{'|'.join(_SMALL)})(?![\w-])", re.IGNORECASE | re.ASCII)


def says_none(text: str) -> bool:
    """True when the text holds the word ``none`` (or JSON's ``null``), in any case."""
    return _NONE.search(text) is not None


def without_fences(text: str) -> str:
    """The text with code fences, be they backticks or three apostrophes, blanked out; as long as before."""
    return _FENCE.sub(lambda fence: " " * len(fence.group()), text)


def read_count(raw: str, finished: bool, *_: object) -> Count:
    """The one number the text gives in digits, else in a small word. Two different numbers are no answer."""
    numbers = {int(match) for match in _WHOLE.findall(raw)}
    if not numbers:
        words = {word.lower() for word in _WORD.findall(raw)}
        numbers = {0 if word in ("no", "none") else _SMALL.index(word) for word in words}
    value = numbers.pop() if len(numbers) == 1 else None
    return Count(raw, complete=finished and value is not None, value=value)


def read_grid(raw: str, finished: bool, *_: object) -> Grid:
    """The cell numbers of the first list in brackets, else all numbers of the text that can be a cell."""
    listed = _LIST.search(raw)
    numbers = [int(match) for match in _WHOLE.findall(listed.group() if listed else raw)]
    cells = frozenset(number for number in numbers if 1 <= number <= 9)
    empty = not numbers and (says_none(raw) or (listed is not None and not listed.group()[1:-1].strip()))
    closed = raw.count("[") == raw.count("]")
    understood = closed and bool(numbers) and all(1 <= number <= 9 for number in numbers)
    return Grid(raw, complete=finished and (understood or empty), cells=cells)


def read_label(raw: str, finished: bool, *_: object) -> Label:
    """The class name a short text consists of; a sentence is no class name."""
    lines = without_fences(raw).strip().splitlines()
    label = plain_label(lines[0].strip(" \t\"'.。")) if lines else ""
    understood = 0 < len(label) <= _LONGEST_LABEL and not set(label) & set("{}[]")
    none = understood and label.lower() in ("none", "null")
    return Label(raw, complete=finished and understood, label=label if understood and not none else None)


def read_text(raw: str, finished: bool, *_: object) -> Text:
    """The text itself."""
    text = raw.strip()
    return Text(raw, complete=finished and bool(text), text=text)


def plain_label(label: str) -> str:
    """The label on one line, without characters that no file format could store."""
    return " ".join("".join(c if c.isprintable() else " " for c in label).split())


def box_of(*numbers: str) -> ChipBox | None:
    """The box of two opposite corners x1, y1, x2, y2, in any order; None when they span no box."""
    values = [float(number) for number in numbers]
    if any(abs(value) > _FARTHEST_PX for value in values):
        return None
    x1, y1, x2, y2 = values
    box = ChipBox(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
    return box if box.area > 0 else None


def rising_cells_rule(separator: str, names: Sequence[str] = "123456789") -> str:
    """The grammar rule ``from1``: cells 1..9 by their names in rising order, each at most once, at least one."""
    rules = [f'from{n} ::= "{names[n - 1]}" ("{separator}" from{n + 1})? | from{n + 1}' for n in range(1, 9)]
    return "\n".join([*rules, f'from9 ::= "{names[8]}"', ""])

"""The typed answers of the model about one chip. ``raw`` is always the model's own text."""

from __future__ import annotations

from dataclasses import dataclass

from fusar_gpt.frames import Box, ChipBox

ANY = "any"
"""The target that stands for every class the model knows."""

CLASS_NAME = r"[^\W\d_][\w-]*(?:[ ][^\W\d_][\w-]*)*"
"""A class name: words that each begin with a letter, so that a number beside a name is never part of it."""

FrameSize = tuple[int, int]
"""Width and height of the chip in pixels."""


@dataclass(frozen=True)
class _Answer:
    """What every answer holds: ``complete`` is False when the text was cut off or not fully understood."""

    raw: str
    complete: bool


@dataclass(frozen=True)
class Count(_Answer):
    """How many; None when no single number could be read."""

    value: int | None


@dataclass(frozen=True)
class Grid(_Answer):
    """The cells of the 3 x 3 grid that hold the target: 1..9, row by row from the top left."""

    cells: frozenset[int]


@dataclass(frozen=True)
class Label(_Answer):
    """The class of the object in the box; None when the model named none."""

    label: str | None


Span = tuple[int, int]
"""A range ``[start, end)`` of characters in ``raw``."""


@dataclass(frozen=True)
class LabelledBox:
    """One detected object, with the characters that it was read from.

    ``deciding`` are the ranges that say, one after the other, that an object is here, rather than none or one
    elsewhere; what else is in ``span`` only spells how far it reaches.
    """

    box: ChipBox
    label: str
    span: Span
    deciding: tuple[Span, ...]


@dataclass(frozen=True)
class Boxes(_Answer):
    """The detected objects in the order of the text. Boxes may reach outside the frame."""

    boxes: tuple[LabelledBox, ...]


@dataclass(frozen=True)
class Text(_Answer):
    """A description or a reply in words."""

    text: str


Answer = Count | Grid | Label | Boxes | Text


def cell_of(box: Box, frame_size: FrameSize) -> int:
    """The cell 1..9 of the 3 x 3 grid over a frame (width, height) that holds the centre of ``box``.

    A centre outside the frame belongs to the nearest cell.
    """
    width, height = frame_size
    col = min(max(int((box.left + box.right) / 2 * 3 // width), 0), 2)
    row = min(max(int((box.top + box.bottom) / 2 * 3 // height), 0), 2)
    return 3 * row + col + 1

"""The JSON answers of the authors' released checkpoint, and of those trained with its wording."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks.answers import ANY, Boxes, FrameSize, LabelledBox
from fusar_gpt.tasks.reading import NUMBER, box_of, plain_label, rising_cells_rule, says_none

# A flat JSON object; braces inside a quoted string do not end it.
_OBJECT = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', re.DOTALL)
_COORDINATE = rf"[\"']?({NUMBER})[\"']?"
_BOX = re.compile(
    rf"[\"']bbox(?:_2d)?[\"']\s*:\s*\[\s*{_COORDINATE}" + rf"\s*,\s*{_COORDINATE}" * 3 + r"\s*,?\s*\]"
)
_LABEL = re.compile(r"[\"']label[\"']\s*:\s*(?:(\"(?:[^\"\\]|\\.)*\")|'([^']*)')", re.DOTALL)


def fields(target: str | None, text: str, box: ChipBox | None, _: FrameSize) -> dict[str, str]:
    """What the prompts say of a question; pixels are those of the chip as the model sees it."""
    return {
        "target": "target of any kind" if target == ANY else target or "",
        "text": text,
        "box": "" if box is None else ", ".join(map(str, _whole_pixels(box))),
    }


def render_boxes(objects: Iterable[tuple[ChipBox, str]]) -> str:
    """The released checkpoint's answer to detect: whole pixels, which may lie outside the frame."""
    rows = [{"bbox_2d": _whole_pixels(box), "label": label} for box, label in objects]
    return json.dumps(rows, ensure_ascii=False) if rows else "None"


def read_boxes(raw: str, finished: bool, target: str | None, _: FrameSize) -> Boxes:
    """Every complete object of the text; an object without a label is taken for what was asked."""
    boxes = []
    understood = True
    for found in _OBJECT.finditer(raw):
        corners = _BOX.findall(found.group())
        box = box_of(*corners[-1]) if corners else None  # a repeated key: the last one rules, as in JSON
        if box is None:
            understood = False
        else:
            boxes.append(LabelledBox(box, _label(found.group()) or target or ANY, found.span()))
    rest = _OBJECT.sub("", raw)
    closed = all(rest.count(left) == rest.count(right) for left, right in ("[]", "{}"))
    answered = bool(boxes) or says_none(rest) or re.search(r"\[\s*\]", rest) is not None
    return Boxes(raw, complete=finished and understood and closed and answered, boxes=tuple(boxes))


def _whole_pixels(box: ChipBox) -> list[int]:
    return [round(edge) for edge in (box.left, box.top, box.right, box.bottom)]


def _label(text: str) -> str:
    found = _LABEL.findall(text)
    if not found:
        return ""
    quoted, bare = found[-1]
    try:
        label = str(json.loads(quoted, strict=False)) if quoted else bare
    except json.JSONDecodeError:  # an escape that JSON does not know
        label = quoted[1:-1]
    return plain_label(label)


COUNT_GRAMMAR = 'root ::= "0" | [1-9] [0-9]? [0-9]?\n'
"""A whole number from 0 to 999."""

LOCATE_GRAMMAR = f'root ::= "None" | "[" from1 "]"\n{rising_cells_rule(", ")}'

DETECT_GRAMMAR = r"""root ::= "None" | "[" object (", " object)* "]"
object ::= "{\"bbox_2d\": [" pixel ", " pixel ", " pixel ", " pixel "], \"label\": \"" label "\"}"
pixel ::= "0" | "-"? [1-9] [0-9]? [0-9]? [0-9]?
label ::= [^"\\\n] [^"\\\n]*
"""

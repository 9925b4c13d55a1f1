"""The JSON answers of the authors' released checkpoint, and of those trained with its wording."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks.answers import ANY, Boxes, FrameSize, LabelledBox, Span
from fusar_gpt.tasks.reading import NUMBER, box_of, plain_label, rising_cells_rule, says_none

# A flat JSON object; braces inside a quoted string do not end it.
_OBJECT = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', re.DOTALL)
_COORDINATE = rf"[\"']?({NUMBER})[\"']?"
_BOX = re.compile(
    rf"[\"']bbox(?:_2d)?[\"']\s*:\s*\[\s*{_COORDINATE}" + rf"\s*,\s*{_COORDINATE}" * 3 + r"\s*,?\s*\]"
)
_LABEL = re.compile(r"[\"']label[\"']\s*:\s*(\"(?:[^\"\\]|\\.)*\"|'[^']*')", re.DOTALL)


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
        corners = _last(_BOX, raw, found.span())
        box = box_of(*corners.groups()) if corners else None
        if corners is None or box is None:
            understood = False
            continue
        named = _last(_LABEL, raw, found.span())
        deciding = (corners.span(1), *([named.span(1)] if named else []))
        boxes.append(LabelledBox(box, _label(named) or target or ANY, found.span(), deciding))
    rest = _OBJECT.sub("", raw)
    closed = all(rest.count(left) == rest.count(right) for left, right in ("[]", "{}"))
    answered = bool(boxes) or says_none(rest) or re.search(r"\[\s*\]", rest) is not None
    return Boxes(raw, complete=finished and understood and closed and answered, boxes=tuple(boxes))


def _whole_pixels(box: ChipBox) -> list[int]:
    return [round(edge) for edge in (box.left, box.top, box.right, box.bottom)]


def _last(pattern: re.Pattern[str], raw: str, span: Span) -> re.Match[str] | None:
    """The last match within a range of the text: of a repeated key the last one rules, as in JSON."""
    matches = list(pattern.finditer(raw, *span))
    return matches[-1] if matches else None


def _label(named: re.Match[str] | None) -> str:
    if named is None:
        return ""
    quoted = named[1]
    try:
        label = str(json.loads(quoted, strict=False)) if quoted[0] == '"' else quoted[1:-1]
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

"""The wording of the authors' released checkpoint.

Detection is the only task that checkpoint was published with: its prompt and its answer are theirs byte for
byte, double spaces, three apostrophes and U+2019 included. The other tasks are worded in the same manner.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from fusar_gpt.contract import Task
from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import grammars
from fusar_gpt.tasks.answers import Answer, Boxes, LabelledBox
from fusar_gpt.tasks.question import ANY, Question
from fusar_gpt.tasks.reading import (
    NUMBER,
    box_of,
    plain_label,
    read,
    says_none,
)

_DETECT = (
    "This is a SAR image. Please carefully check the image and detect the following object: {target}. "
    "Output each detected target\u2019s bbox coordinates in JSON format. "
    "The format of the bbox coordinates is:  "
    '\'\'\'json [ {{  "bbox_2d": [x1, y1, x2, y2], "label": "category name" }}, '
    '{{  "bbox_2d": [x1, y1, x2, y2], "label": "category name" }} ]  \'\'\'  '
    "If there are no such targets in the image, simply respond with None."
)
_COUNT = (
    "This is a SAR image. Please carefully check the image and count the following object: {target}. "
    "Respond with one integer only. If there are no such targets in the image, simply respond with 0."
)
_LOCATE = (
    "This is a SAR image. The image is divided into 3 rows and 3 columns of equal cells, numbered 1 to 9 "
    "from left to right and from top to bottom. Please carefully check the image and find the cells that "
    "contain the following object: {target}. Output the cell numbers as a JSON list. "
    "If there are no such targets in the image, simply respond with None."
)
_CLASSIFY = (
    "This is a SAR image. Please carefully check the object in the bounding box [{box}] and classify it. "
    "Respond with the category name only."
)
_DESCRIBE = "This is a SAR image. Please carefully check the image and describe it."

_MAX_TOKENS = {
    Task.COUNT: 8,
    Task.LOCATE: 48,
    Task.CLASSIFY: 24,
    Task.DETECT: 2048,
    Task.DESCRIBE: 512,
    Task.ASK: 512,
}

# A flat JSON object; braces inside a quoted string do not end it.
_OBJECT = re.compile(r'\{(?:[^{}"]|"(?:[^"\\]|\\.)*")*\}', re.DOTALL)
_COORDINATE = rf"[\"']?({NUMBER})[\"']?"
_BOX = re.compile(
    rf"[\"']bbox(?:_2d)?[\"']\s*:\s*\[\s*{_COORDINATE}" + rf"\s*,\s*{_COORDINATE}" * 3 + r"\s*,?\s*\]"
)
_LABEL = re.compile(r"[\"']label[\"']\s*:\s*(?:(\"(?:[^\"\\]|\\.)*\")|'([^']*)')", re.DOTALL)


class ReleasePrompts:
    """The prompt set ``release``."""

    name = "release"

    def prompt(self, question: Question, frame_size: tuple[int, int]) -> str:
        """The words to ask; pixels are those of the chip as the model sees it."""
        target = "target of any kind" if question.target == ANY else question.target
        if question.task is Task.ASK:
            return question.text or ""
        if question.task is Task.CLASSIFY and question.box is not None:
            box = question.box
            corners = (round(value) for value in (box.left, box.top, box.right, box.bottom))
            return _CLASSIFY.format(box=", ".join(map(str, corners)))
        wording = {Task.COUNT: _COUNT, Task.LOCATE: _LOCATE, Task.DETECT: _DETECT}
        return wording.get(question.task, _DESCRIBE).format(target=target)

    def grammar(self, question: Question) -> str | None:
        """The EBNF of answers that are not words; detection in the form the checkpoint was tuned on."""
        return {Task.COUNT: grammars.COUNT, Task.LOCATE: _LOCATE_GRAMMAR, Task.DETECT: _DETECT_GRAMMAR}.get(
            question.task
        )

    def max_tokens(self, question: Question) -> int:
        """Enough for about 60 objects in Qwen's tokens, one token a digit."""
        return _MAX_TOKENS[question.task]

    def parse(
        self, question: Question, text: str, frame_size: tuple[int, int], *, finished: bool = True
    ) -> Answer:
        """The typed answer; never raises."""
        if question.task is Task.DETECT:
            return _read_boxes(text, question.target or ANY, finished=finished)
        return read(question.task, text, finished=finished)


def render_boxes(objects: Iterable[tuple[ChipBox, str]]) -> str:
    """The released checkpoint's answer to detect: whole pixels, which may lie outside the frame."""
    rows = [
        {"bbox_2d": [round(value) for value in (box.left, box.top, box.right, box.bottom)], "label": label}
        for box, label in objects
    ]
    return json.dumps(rows, ensure_ascii=False) if rows else "None"


def _read_boxes(raw: str, target: str, *, finished: bool) -> Boxes:
    """Every complete object of the text; an object without a label is taken for what was asked."""
    boxes = []
    understood = True
    for found in _OBJECT.finditer(raw):
        corners = _BOX.findall(found.group())
        box = box_of(*corners[-1]) if corners else None  # a repeated key: the last one rules, as in JSON
        if box is None:
            understood = False
        else:
            boxes.append(LabelledBox(box, _label(found.group()) or target, found.span()))
    rest = _OBJECT.sub("", raw)
    closed = all(rest.count(left) == rest.count(right) for left, right in ("[]", "{}"))
    answered = bool(boxes) or says_none(rest) or re.search(r"\[\s*\]", rest) is not None
    return Boxes(raw, complete=finished and understood and closed and answered, boxes=tuple(boxes))


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


_LOCATE_GRAMMAR = f'root ::= "None" | "[" from1 "]"\n{grammars.rising_cells(", ")}'

_DETECT_GRAMMAR = r"""root ::= "None" | "[" object (", " object)* "]"
object ::= "{\"bbox_2d\": [" pixel ", " pixel ", " pixel ", " pixel "], \"label\": \"" label "\"}"
pixel ::= "0" | "-"? [1-9] [0-9]? [0-9]? [0-9]?
label ::= [^"\\\n] [^"\\\n]*
"""

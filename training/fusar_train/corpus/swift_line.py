"""One line of ms-swift's JSONL: who said what, the image, and what each box is called.

The names in ``objects.ref`` and the boxes in ``objects.bbox`` stand for the placeholders of all messages, question and
answer, in order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.box_format import is_share
from fusar_train.corpus.dataset import scene_box
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.record import number_of

IMAGE, BBOX, REF = "<image>", "<bbox>", "<ref-object>"

_MARK = re.compile(rf"{BBOX}|{REF}")
_STATED = re.compile(r'"label"\s*:\s*"([^"\\]+)"')
_TYPES = ("real", "norm1")
_ROUNDING = 1.01
Edges = list[float]


@dataclass(frozen=True)
class SwiftLine:
    """What a line says.

    Attributes:
        turns: Role and text, in order; the parts of a text joined.
        image: Its one image, as named.
        refs: The names, in order.
        corners: The numbers of each box, in pixels or, where ``shares`` says so, as shares of the image's sides.
    """

    turns: tuple[tuple[str, str], ...]
    image: str
    refs: tuple[str, ...]
    corners: tuple[Edges, ...]
    shares: tuple[bool, ...]

    def boxes(self, size: tuple[int, int], where: str) -> list[SceneBox]:
        """The boxes in pixels of an image of that width and height; CorpusError when they cannot lie on it."""
        made = []
        for numbers, shared in zip(self.corners, self.shares, strict=True):
            if shared and max(map(abs, numbers)) > _ROUNDING:
                raise CorpusError(
                    f"{where} has the box {numbers} as norm1, whose numbers end at 1: correct it."
                )
            if not shared and is_share(numbers) and min(size) > 1:
                raise CorpusError(
                    f'{where} has the box {numbers}, smaller than a pixel: say "bbox_type": "norm1" if it is a share '
                    "of the image, or correct it."
                )
            scale = size * 2 if shared else (1, 1, 1, 1)
            box = scene_box([n * s for n, s in zip(numbers, scale, strict=True)], f"{where} objects")
            if box.left >= size[0] or box.top >= size[1] or box.right <= 0 or box.bottom <= 0:
                raise CorpusError(
                    f"{where} has the box {numbers} outside its image of {size[0]} x {size[1]} px: boxes are pixels of "
                    "the image file, or norm1; correct it."
                )
            made.append(box)
        return made

    def names(self, where: str) -> list[str | None]:
        """What each box is called: by its JSON object, the name before it, or else the one behind; None if by nothing.

        Raises:
            CorpusError: There are other numbers of placeholders than of names or boxes.
        """
        texts = [text for _, text in self.turns]
        marks = Counter(mark for text in texts for mark in _MARK.findall(text))
        for mark, given in ((BBOX, len(self.corners)), (REF, len(self.refs))):
            if marks[mark] not in (0, given):
                less = "more" if marks[mark] > given else "fewer"
                listed = "boxes" if mark == BBOX else "refs"
                raise CorpusError(
                    f"{where} has {less} {mark} than {listed} in objects ({marks[mark]} and {given}): "
                    "correct or remove it."
                )
        if not marks[REF] and self.refs:
            one = len(self.refs) == 1
            if not one and len(self.refs) != len(self.corners):
                raise CorpusError(
                    f"{where} has {len(self.refs)} refs for {len(self.corners)} boxes and no {REF} that tells which is "
                    "whose: correct or remove it."
                )
            return [self.refs[0]] * len(self.corners) if one else list(self.refs)
        refs = iter(self.refs)
        found = [name for texts in self._exchanges() for name in _named(texts, refs, where)]
        return found or [None] * len(self.corners)

    def _exchanges(self) -> list[list[str]]:
        """The texts, each question with its answer."""
        exchanges: list[list[str]] = [[]]
        for role, text in self.turns:
            if role == "user":
                exchanges.append([])
            exchanges[-1].append(text)
        return exchanges


def read_line(raw: Any, where: str) -> SwiftLine:
    """The line of a JSON object.

    Raises:
        CorpusError: It lacks messages or images, has another number of images than one, or boxes that are none.
    """
    try:
        turns = tuple((str(turn["role"]), _text(turn["content"])) for turn in raw["messages"])
        images = [image["path"] if isinstance(image, dict) else image for image in _images(raw)]
        stated = raw.get("objects") or {}
        refs = tuple(str(ref) for ref in stated.get("ref") or ())
        boxes = list(stated.get("bbox") or ())
        kinds = stated.get("bbox_type") or "real"
    except (AttributeError, KeyError, TypeError) as error:
        raise CorpusError(f"{where} has no messages and images as ms-swift writes them ({error}).") from error
    shown = sum(text.count(IMAGE) for _, text in turns)
    if len(images) != 1 or not isinstance(images[0], str) or shown > 1:
        count = max(len(images), shown)
        raise CorpusError(f"{where} has {count} images; a record has one: remove the line.")
    with naming(f"{where} objects"):
        corners = tuple(_corners(one) for one in boxes)
    return SwiftLine(turns, images[0], refs, corners, _shares(kinds, len(boxes), where))


def _text(content: Any) -> str:
    """A text, or the parts of one: the images among them become tags."""
    if isinstance(content, str):
        return content
    return "".join(IMAGE if part["type"].startswith("image") else str(part["text"]) for part in content)


def _images(raw: Any) -> list[Any]:
    """The images that a line lists, else those among the parts of its messages."""
    if raw.get("images"):
        listed = raw["images"]
        return listed if isinstance(listed, list) else [listed]
    parts = [
        part for turn in raw["messages"] if isinstance(turn["content"], list) for part in turn["content"]
    ]
    return [part["image"] for part in parts if part["type"] == "image"] or raw["images"]


def _corners(numbers: Any) -> Edges:
    if len(numbers) != 4:
        raise ValueError(f"a box has four numbers, not {len(numbers)}: {str(numbers)[:100]}")
    return [number_of(number) for number in numbers]


def _shares(kinds: Any, count: int, where: str) -> tuple[bool, ...]:
    """For each box whether it is a share of the image's sides; ``bbox_type`` is a word, or a list of one or of all."""
    listed = kinds if isinstance(kinds, list) else [kinds]
    if len(listed) == 1:
        listed *= count
    if len(listed) != count or not all(kind in _TYPES for kind in listed):
        raise CorpusError(
            f"{where} has bbox_type {str(kinds)[:80]}; write real or norm1, for all boxes or for each."
        )
    return tuple(kind == "norm1" for kind in listed)


def _named(texts: list[str], refs: Iterator[str], where: str) -> list[str | None]:
    """The name of each box of a question and its answer; what one of them only names is the box of the other."""
    found = [_names(text, refs) for text in texts]
    names = [name for named, _ in found for name in named]
    free = [name for _, spare in found for name in spare]
    missing = [number for number, name in enumerate(names) if name is None]
    if len(set(free)) == 1:
        free = free[:1] * len(missing)
    if missing and free:
        if len(missing) != len(free):
            raise CorpusError(
                f"{where} names {len(free)} things and has {len(missing)} boxes without a name: "
                f"write {REF} beside each {BBOX}."
            )
        for number, name in zip(missing, free, strict=True):
            names[number] = name
    return names


def _names(text: str, refs: Iterator[str]) -> tuple[list[str | None], list[str]]:
    """The name of each box of a text, and the names that no box has, of its own placeholders, taken off ``refs``.

    Where a box comes first, boxes stand before their names, else behind. A JSON object is a text of its own.
    """
    names: list[str | None] = []
    spare: list[str] = []
    for part in re.split(r"[{}]", text):
        marks = _MARK.findall(part)
        last = next((label for label in _STATED.findall(part) if label != REF), None)
        waits = bool(marks) and marks[0] == BBOX and last is None
        waiting: list[int] = []
        for mark in marks:
            if mark == REF:
                last = next(refs)
                if not waiting:
                    spare.append(last)
                for number in waiting:
                    names[number] = last
                waiting = []
            else:
                names.append(last)
                if last in spare[-1:]:
                    spare.pop()
                if waits:
                    waiting.append(len(names) - 1)
    return names, spare

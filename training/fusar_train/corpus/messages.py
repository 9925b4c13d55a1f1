"""Questions and right answers about a chip's objects, in the words of the backend's prompt sets, and back."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from fusar_gpt.frames import Box, ChipBox, SceneBox
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.tasks import ANY, SEARCHES, Question, Task, cell_of, compact, prompt_set, release
from fusar_train.corpus.labels import plain_name
from fusar_train.corpus.record import Message, RecordObject, on_chip

MOST_CLASSIFIED = 3
"""Objects of one chip whose class is asked."""

_PLACES = (
    "in the upper left", "at the top", "in the upper right", "on the left", "in the middle", "on the right",
    "in the lower left", "at the bottom", "in the lower right",
)  # fmt: skip
_NAMED_PLACES = 3
_CAPTIONS = (
    "A SAR image with {things}.",
    "This SAR image shows {things}.",
    "{things} can be seen in this SAR image.",
    "The SAR image holds {things}.",
)
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


@dataclass(frozen=True)
class PlacedObject:
    """An object of the record with its box in the chip's pixels."""

    item: RecordObject
    box: ChipBox


def messages(
    objects: Sequence[RecordObject],
    plan: ResizePlan,
    classes: Sequence[str],
    words: str,
    rng: np.random.Generator,
    fine: bool = False,
    caption: str | None = None,
) -> list[Message]:
    """All questions about one chip.

    Args:
        objects: What is on it, in scene pixels.
        plan: From the scene to the chip.
        classes: The labels of which every object is listed; only these are counted, located and detected, and
            only they appear in the template caption.
        words: Name of the backend's prompt set.
        rng: Chooses the objects to classify and the caption's template.
        fine: Answer classification with the fine label, where there is one.
        caption: Somebody's description, which replaces the template's.
    """
    size = (plan.width, plan.height)
    classes = [plain_name(label) for label in classes]
    placed = [PlacedObject(_in_words(item), on_chip(item.box, plan)) for item in objects]
    made = [search(task, label, placed, words, size) for task in SEARCHES for label in classes]
    if len(classes) > 1:
        made += [search(task, ANY, _of(placed, classes), words, size) for task in SEARCHES]
    sure = [one for one in placed if not one.item.difficult]
    for i in sorted(rng.permutation(len(sure))[:MOST_CLASSIFIED]):
        item = sure[i].item
        answer = item.fine if fine and item.fine else item.label
        answer = compact.render_label(answer) if words == "compact" else answer
        question = Question(Task.CLASSIFY, box=_whole_pixels(sure[i].box))
        made.append(_message(question, answer, words, size, item.box))
    if caption is None and classes:
        caption = describe(_of(placed, classes), classes, size, int(rng.integers(len(_CAPTIONS))))
    return made if caption is None else [*made, description(caption, words, size)]


def _in_words(item: RecordObject) -> RecordObject:
    """The object with names that questions and answers may hold."""
    return replace(item, label=plain_name(item.label), fine=item.fine and plain_name(item.fine))


def search(
    task: Task, target: str, objects: Sequence[PlacedObject], words: str, size: tuple[int, int]
) -> Message:
    """Count, locate or detect a class, or "any"."""
    found = [(one.box, one.item.label) for one in objects if target in (one.item.label, ANY)]
    return _message(Question(task, target=target), search_answer(task, found, words, size), words, size)


def search_answer(task: Task, found: Sequence[tuple[ChipBox, str]], words: str, size: tuple[int, int]) -> str:
    """The right answer to a search that the objects ``found``, each a box and a label, fit."""
    if words != "compact":
        if task is Task.COUNT:
            return str(len(found))
        if task is Task.LOCATE:
            cells = {cell_of(box, size) for box, _ in found}
            return json.dumps(sorted(cells)) if cells else "None"
        ordered = sorted(found, key=lambda one: _reading_order(one[0], size))
        return release.render_boxes((_whole_pixels(box), label) for box, label in ordered)
    seen = compact.seen_in((box for box, _ in found), size)
    if task is Task.COUNT:
        return compact.render_count(len(found), seen)
    if task is Task.LOCATE:
        return compact.render_grid({cell_of(box, size) for box, _ in found}, seen)
    return compact.render_boxes(found, size)


def description(caption: str, words: str, size: tuple[int, int]) -> Message:
    """The question to describe the chip, answered by a caption."""
    return _message(Question(Task.DESCRIBE), caption, words, size)


def _message(
    question: Question, answer: str, words: str, size: tuple[int, int], box: SceneBox | None = None
) -> Message:
    text = prompt_set(words).prompt(question, size)
    return Message(task=question.task, target=question.target, box=box, question=text, answer=answer)


def describe(
    objects: Sequence[PlacedObject], classes: Sequence[str], size: tuple[int, int], template: int
) -> str:
    """A template caption: how many of each class, of which fine classes, and where.

    The wording of every template is this project's; FUSAR-KLIP too builds captions of class, number and place.
    """
    things = [_things(label, _of(objects, [label]), size) for label in classes if _of(objects, [label])]
    if not things:
        things = [f"no {' and no '.join(plural(label, 2) for label in classes)}"]
    joined = things[0] if len(things) == 1 else f"{', '.join(things[:-1])} and {things[-1]}"
    text = _CAPTIONS[template].format(things=joined)
    return text[0].upper() + text[1:]


def plural(label: str, count: int) -> str:
    """Such as "ships"; "aircraft" and the like do not occur among labels."""
    if count == 1:
        return label
    return f"{label}es" if label.endswith(("s", "sh", "ch", "x")) else f"{label}s"


def recognise(text: str) -> tuple[Task, str | None]:
    """The task and target of a question in the release's words; any other text is a free question.

    A question to classify does not say its box here.
    """
    plain = " ".join(text.split())
    for task, pattern in _patterns().items():
        if found := pattern.fullmatch(plain):
            said = found.groupdict().get("target")
            return task, ANY if said == "target of any kind" else said
    return Task.ASK, None


@cache
def _patterns() -> dict[Task, re.Pattern[str]]:
    """Made from the prompts themselves, so that they cannot go out of step."""
    prompts = prompt_set("release")
    slots = {"TARGETSLOT": r"(?P<target>.{1,60}?)", "1, 2, 3, 4": r"[^\]]*"}
    asked = [Question(task, target="TARGETSLOT") for task in SEARCHES]
    asked += [Question(Task.CLASSIFY, box=ChipBox(1, 2, 3, 4)), Question(Task.DESCRIBE)]
    patterns = {}
    for question in asked:
        form = re.escape(" ".join(prompts.prompt(question, (504, 504)).split()))
        for slot, pattern in slots.items():
            form = form.replace(re.escape(slot), pattern)
        patterns[question.task] = re.compile(form)
    return patterns


def _of(objects: Sequence[PlacedObject], classes: Sequence[str]) -> list[PlacedObject]:
    return [one for one in objects if one.item.label in classes]


def _whole_pixels(box: ChipBox) -> ChipBox:
    """The box rounded as the release's words round it, but at least one pixel a side: a flat one is no answer."""
    left, top, right, bottom = (round(edge) for edge in (box.left, box.top, box.right, box.bottom))
    return ChipBox(left, top, max(right, left + 1), max(bottom, top + 1))


def _reading_order(box: Box, size: tuple[int, int]) -> tuple[int, float, float]:
    return cell_of(box, size), box.top, box.left


def _things(label: str, objects: Sequence[PlacedObject], size: tuple[int, int]) -> str:
    count = len(objects)
    number = _NUMBERS[count] if count < len(_NUMBERS) else str(count)
    kinds = sorted({one.item.fine for one in objects if one.item.fine})
    which = f" ({', '.join(kinds)})" if kinds else ""
    cells = sorted({cell_of(one.box, size) for one in objects})
    few = len(cells) <= _NAMED_PLACES
    where = " and ".join(_PLACES[cell - 1] for cell in cells) if few else "in many places"
    return f"{number} {plural(label, count)}{which} {where}"

"""The tasks: how each prompt set words them and reads the answers.

A new task is a name and what it needs in the contract's ``Task``, and an entry here, if its answer is one of the
types of ``answers.py``.
A prompt set is the wording that a checkpoint was trained with; the checkpoint's card names it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from fusar_gpt.contract import Need, Task
from fusar_gpt.errors import TaskError
from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import compact, release, sarchat
from fusar_gpt.tasks.answers import CLASS_NAME, Answer, FrameSize
from fusar_gpt.tasks.reading import read_count, read_grid, read_label, read_text


@dataclass(frozen=True)
class Question:
    """One question about one chip.

    Attributes:
        task: What is asked.
        target: The class that count, locate and detect look for, or ``"any"``.
        text: The analyst's own words: for ask, else where a free question was taken for this task.
        box: The object to classify, in chip pixels.

    Raises:
        TaskError: The task lacks what it needs, or the target is not a plain name.
    """

    task: Task
    target: str | None = None
    text: str | None = None
    box: ChipBox | None = None

    def __post_init__(self) -> None:
        if self.target is not None:
            _check_target(self.target)
        given = {
            "target": self.target is not None,
            "box": self.box is not None,
            "text": (self.text or "").strip(),
        }
        if (needed := self.task.needs) and not given[needed]:
            raise TaskError(f"The task {self.task.value} needs {_NEEDED[needed]}")

    @property
    def understood(self) -> str | None:
        """What a free question was taken for, such as ``count ship``; None where nothing had to be understood."""
        if self.task is Task.ASK or not self.text:
            return None
        return " ".join(filter(None, (self.task.value, self.target)))


_NEEDED: dict[Need, str] = {
    "target": "a target: name a class such as ship, or any.",
    "box": "the box of an object: give the boxes to classify.",
    "text": "a question: write what you want to know.",
}


def _check_target(target: str) -> None:
    """A target is pasted into prompts and grammars, so it must be a plain name."""
    if not re.fullmatch(CLASS_NAME, target) or len(target) > 60 or target.lower() == "none":
        raise TaskError(f"{target!r} is not a target: use a class name of letters and digits such as ship.")


@dataclass(frozen=True)
class Form:
    """How one prompt set asks one task.

    Attributes:
        prompt: The words to the model, with the fields ``{target}``, ``{text}`` and ``{box}``.
        max_tokens: The most tokens an answer may take; with boxes, enough for about 60 objects.
        read: From text, whether the model finished it, the target and the frame's size to the answer; never raises.
        grammar: EBNF (xgrammar, root rule ``root``) of all allowed answers, or how to make it from the target;
            None for free text.
    """

    prompt: str
    max_tokens: int
    read: Callable[[str, bool, str | None, FrameSize], Answer]
    grammar: str | Callable[[str | None], str] | None = None


@dataclass(frozen=True)
class _TaskDefinition:
    """A task's form in each prompt set."""

    compact: Form
    release: Form


_TASKS: Mapping[Task, _TaskDefinition] = {
    Task.COUNT: _TaskDefinition(
        compact=Form(
            "count {target}", 80, partial(compact.read_after_cells, read_count), compact.COUNT_GRAMMAR
        ),
        release=Form(
            "This is a SAR image. Please carefully check the image and count the following object: {target}. "
            "Respond with one integer only. If there are no such targets in the image, simply respond with 0.",
            8,
            read_count,
            release.COUNT_GRAMMAR,
        ),
    ),
    Task.LOCATE: _TaskDefinition(
        compact=Form(
            "locate {target}", 80, partial(compact.read_after_cells, read_grid), compact.LOCATE_GRAMMAR
        ),
        release=Form(
            "This is a SAR image. The image is divided into 3 rows and 3 columns of equal cells, numbered 1 to 9 "
            "from left to right and from top to bottom. Please carefully check the image and find the cells that "
            "contain the following object: {target}. Output the cell numbers as a JSON list. "
            "If there are no such targets in the image, simply respond with None.",
            48,
            read_grid,
            release.LOCATE_GRAMMAR,
        ),
    ),
    Task.CLASSIFY: _TaskDefinition(
        compact=Form("classify {box}", 24, read_label, compact.LABEL_GRAMMAR),
        release=Form(
            "This is a SAR image. Please carefully check the object in the bounding box [{box}] and classify it. "
            "Respond with the category name only.",
            24,
            read_label,
        ),
    ),
    Task.DETECT: _TaskDefinition(
        compact=Form("detect {target}", 768, compact.read_boxes, compact.detect_grammar),
        release=Form(
            # The authors' own words byte for byte: double spaces, three apostrophes and U+2019 included.
            "This is a SAR image. Please carefully check the image and detect the following object: {target}. "
            "Output each detected target\u2019s bbox coordinates in JSON format. "
            "The format of the bbox coordinates is:  "
            '\'\'\'json [ {{  "bbox_2d": [x1, y1, x2, y2], "label": "category name" }}, '
            '{{  "bbox_2d": [x1, y1, x2, y2], "label": "category name" }} ]  \'\'\'  '
            "If there are no such targets in the image, simply respond with None.",
            2048,
            release.read_boxes,
            release.DETECT_GRAMMAR,
        ),
    ),
    Task.DESCRIBE: _TaskDefinition(
        compact=Form("describe", 256, read_text),
        release=Form(
            "This is a SAR image. Please carefully check the image and describe it.", 512, read_text
        ),
    ),
    Task.ASK: _TaskDefinition(
        compact=Form("ask {text}", 128, read_text), release=Form("{text}", 512, read_text)
    ),
}
"""Detection is the only task that the authors' checkpoint was published with; ``release`` words the others alike."""

_SARCHAT: Mapping[Task, Form] = {
    Task.COUNT: Form(sarchat.COUNT_PROMPT, 1024, sarchat.read_instances, sarchat.COUNT_GRAMMAR),
    Task.LOCATE: Form(sarchat.LOCATE_PROMPT, 64, sarchat.read_cells, sarchat.LOCATE_GRAMMAR),
    Task.CLASSIFY: Form(sarchat.CLASSIFY_PROMPT, 24, sarchat.read_category),
}
"""What the prompt set ``sarchat`` words otherwise than ``release``; not confirmed by the authors."""


@dataclass(frozen=True)
class PromptSet:
    """Question to prompt, and text to answer. ``frame_size`` is (width, height) of the chip in pixels.

    Attributes:
        name: The name a checkpoint's card gives.
    """

    name: str
    _forms: Mapping[Task, Form]
    _fields: Callable[[str | None, str, ChipBox | None, FrameSize], dict[str, str]]

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks that it has words for."""
        return tuple(task for task in Task if task in self._forms)

    def prompt(self, question: Question, frame_size: FrameSize) -> str:
        """The words to ask the model; a box is rounded to whole pixels of the chip."""
        fields = self._fields(question.target, question.text or "", question.box, frame_size)
        return self._forms[question.task].prompt.format(**fields)

    def grammar(self, question: Question) -> str | None:
        """The EBNF (xgrammar, root rule ``root``) of all allowed answers, or None for free text."""
        grammar = self._forms[question.task].grammar
        return grammar(question.target) if callable(grammar) else grammar

    def max_tokens(self, question: Question) -> int:
        """The most tokens an answer may take."""
        return self._forms[question.task].max_tokens

    def parse(self, question: Question, text: str, frame_size: FrameSize, *, finished: bool = True) -> Answer:
        """The typed answer; never raises. ``finished`` is False when the model ran into ``max_tokens``."""
        return self._forms[question.task].read(text, finished, question.target, frame_size)


_PROMPT_SETS = {
    "compact": PromptSet("compact", {task: of.compact for task, of in _TASKS.items()}, compact.fields),
    "release": PromptSet("release", {task: of.release for task, of in _TASKS.items()}, release.fields),
    "sarchat": PromptSet(
        "sarchat", {task: _SARCHAT.get(task, of.release) for task, of in _TASKS.items()}, sarchat.fields
    ),
}


def prompt_set(name: str) -> PromptSet:
    """The prompt set of that name.

    Raises:
        TaskError: There is none.
    """
    if name not in _PROMPT_SETS:
        raise TaskError(
            f"Unknown prompt set {name!r}: the checkpoint's card must say one of {', '.join(_PROMPT_SETS)}."
        )
    return _PROMPT_SETS[name]

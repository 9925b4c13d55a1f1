"""What an analyst may ask about one chip."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fusar_gpt.contract import SEARCHES, Task
from fusar_gpt.errors import TaskError
from fusar_gpt.frames import ChipBox

ANY = "any"
"""The target that stands for every class the model knows."""

CLASS_NAME = r"[^\W\d_][\w-]*(?:[ ][^\W\d_][\w-]*)*"
"""A class name: words that each begin with a letter, so that a number beside a name is never part of it."""


@dataclass(frozen=True)
class Question:
    """One question about one chip.

    Attributes:
        task: What is asked.
        target: The class that count, locate and detect look for, or ``"any"``.
        text: The analyst's own words, for ask.
        box: The object to classify, in chip pixels.

    Raises:
        TaskError: The task lacks what it needs.
    """

    task: Task
    target: str | None = None
    text: str | None = None
    box: ChipBox | None = None

    def __post_init__(self) -> None:
        if self.target is not None:
            _check_target(self.target)
        if self.task in SEARCHES and self.target is None:
            raise TaskError(f"The task {self.task.value} needs a target: name a class such as ship, or any.")
        if self.task is Task.CLASSIFY and self.box is None:
            raise TaskError("The task classify needs the box of an object: give the boxes to classify.")
        if self.task is Task.ASK and not (self.text and self.text.strip()):
            raise TaskError("The task ask needs a question: write what you want to know.")


def _check_target(target: str) -> None:
    """A target is pasted into prompts and grammars, so it must be a plain name."""
    if not re.fullmatch(CLASS_NAME, target) or len(target) > 60 or target.lower() == "none":
        raise TaskError(f"{target!r} is not a target: use a class name of letters and digits such as ship.")

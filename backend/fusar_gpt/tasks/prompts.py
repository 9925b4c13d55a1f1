"""A prompt set: the wording one checkpoint was trained with, and how to read what it answers."""

from __future__ import annotations

from typing import Protocol

from fusar_gpt.errors import TaskError
from fusar_gpt.tasks.answers import Answer
from fusar_gpt.tasks.compact import CompactPrompts
from fusar_gpt.tasks.question import Question
from fusar_gpt.tasks.release import ReleasePrompts


class PromptSet(Protocol):
    """Question to prompt, and text to answer. ``frame_size`` is (width, height) of the chip in pixels."""

    @property
    def name(self) -> str:
        """The name a checkpoint's card gives."""
        ...

    def prompt(self, question: Question, frame_size: tuple[int, int]) -> str:
        """The words to ask the model."""
        ...

    def grammar(self, question: Question) -> str | None:
        """The EBNF (xgrammar, root rule ``root``) of all allowed answers, or None for free text."""
        ...

    def max_tokens(self, question: Question) -> int:
        """The most tokens an answer may take."""
        ...

    def parse(
        self, question: Question, text: str, frame_size: tuple[int, int], *, finished: bool = True
    ) -> Answer:
        """The typed answer; never raises. ``finished`` is False when the model ran into ``max_tokens``."""
        ...


def prompt_set(name: str) -> PromptSet:
    """The prompt set of that name.

    Raises:
        TaskError: There is none.
    """
    sets: dict[str, PromptSet] = {"compact": CompactPrompts(), "release": ReleasePrompts()}
    if name not in sets:
        raise TaskError(
            f"Unknown prompt set {name!r}: the checkpoint's card must say one of {', '.join(sets)}."
        )
    return sets[name]

"""Tasks: question to prompt, and text to answer. The only place that knows any checkpoint's wording."""

from fusar_gpt.contract import SEARCHES, Task
from fusar_gpt.tasks.abilities import Abilities
from fusar_gpt.tasks.answers import (
    ANY,
    Answer,
    Boxes,
    Count,
    FrameSize,
    Grid,
    Label,
    LabelledBox,
    Text,
    cell_of,
)
from fusar_gpt.tasks.definitions import PromptSet, Question, prompt_set

__all__ = [
    "ANY",
    "SEARCHES",
    "Abilities",
    "Answer",
    "Boxes",
    "Count",
    "FrameSize",
    "Grid",
    "Label",
    "LabelledBox",
    "PromptSet",
    "Question",
    "Task",
    "Text",
    "cell_of",
    "prompt_set",
]

"""One question of every task, and how the tests read an answer to it."""

from __future__ import annotations

from hypothesis import settings

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import Boxes, Count, Grid, Label, Question, Task, Text, prompt_set

FRAME = (224, 224)
patient = settings(deadline=None)  # a busy machine is no failure
BOX = ChipBox(12, 30, 40, 52)
QUESTIONS = {
    Task.COUNT: Question(Task.COUNT, "ship"),
    Task.LOCATE: Question(Task.LOCATE, "ship"),
    Task.CLASSIFY: Question(Task.CLASSIFY, box=BOX),
    Task.DETECT: Question(Task.DETECT, "ship"),
    Task.DESCRIBE: Question(Task.DESCRIBE),
    Task.ASK: Question(Task.ASK, text="Is the harbour busy?"),
}
ANSWERS = dict(zip(Task, (Count, Grid, Label, Boxes, Text, Text), strict=True))
SETS = ("compact", "release", "sarchat")


def read(name: str, task: Task, text: str, *, finished: bool = True):
    return prompt_set(name).parse(QUESTIONS[task], text, FRAME, finished=finished)


def corners(answer: Boxes) -> list[tuple[float, ...]]:
    return [(b.box.left, b.box.top, b.box.right, b.box.bottom) for b in answer.boxes]


def one(numbers: str, label: str = "plane") -> str:
    return f'{{"bbox_2d": [{numbers}], "label": "{label}"}}'

"""What the tiny model is asked about a chip, with the right answers, in the compact prompt set's words."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import ANY, SEARCHES, Question, Task, prompt_set
from fusar_gpt.tasks.compact import GRID, NONE, render_boxes, render_label
from fusar_train.corpus.chip import LABELS, LabelledChip
from fusar_train.corpus.messages import search_answer
from fusar_train.simulation.ground import COVER_NAMES
from fusar_train.simulation.land import PLACES
from fusar_train.simulation.records import caption, main_covers

TEXTS = {
    "place": "what is this place?",
    "cover": "what covers most of the area?",
    "water": "is there water?",
    "ship": "are there ships?",
    "plane": "are there planes?",
}
"""The free questions the tiny model learns. Anything else it is asked, it has never seen."""
DECOY_CELLS = 3
"""Nearer to an object, in cells, what is said might have meant it."""


@dataclass(frozen=True)
class QuestionAnswer:
    """A question with the right answer as text.

    ``decoys`` are the numbers of objects in the answer that are not there: the model sees them said, but does not
    learn to say them. It learns how to go on after a false alarm of its own.
    """

    question: Question
    answer: str
    decoys: frozenset[int] = frozenset()

    def prompt(self, frame_size: tuple[int, int]) -> str:
        """The question in the model's words."""
        return prompt_set("compact").prompt(self.question, frame_size)


def ask(chip: LabelledChip, task: Task, target: str) -> QuestionAnswer:
    """A count, locate or detect question for a class or "any"."""
    found = [(item.box, item.label) for item in chip.objects if target in (item.label, ANY)]
    return QuestionAnswer(Question(task, target=target), search_answer(task, found, "compact", chip.size))


def with_decoy(pair: QuestionAnswer, size: tuple[int, int], rng: np.random.Generator) -> QuestionAnswer:
    """A detect pair with a small box said where nothing is near; the pair itself if something is."""
    said = [] if pair.answer == NONE else pair.answer.split("; ")
    cells = [divmod(int(one.split()[0]), GRID) for one in said]
    row, col = (int(place) for place in rng.integers(GRID, size=2))
    if any(abs(row - y) < DECOY_CELLS and abs(col - x) < DECOY_CELLS for y, x in cells):
        return pair
    x, y = (col + 0.5) * size[0] / GRID, (row + 0.5) * size[1] / GRID
    reach = rng.uniform(2, 15, 2)
    label = str(rng.choice(LABELS)) if pair.question.target == ANY else str(pair.question.target)
    decoy = render_boxes([(ChipBox(x - reach[0], y - reach[1], x + reach[0], y + reach[1]), label)], size)
    place = sum(cell < (row, col) for cell in cells)
    return replace(pair, answer="; ".join([*said[:place], decoy, *said[place:]]), decoys=frozenset([place]))


def free(chip: LabelledChip, topic: str) -> QuestionAnswer:
    """One of the free questions of ``TEXTS`` about a simulated chip."""
    if topic == "place":
        answer = chip.place or ""
    elif topic == "cover":
        answer = main_covers(chip)[0]
    else:
        present = bool((chip.cover == 0).any()) if topic == "water" else bool(chip.boxes(topic))
        answer = "yes" if present else "no"
    return QuestionAnswer(Question(Task.ASK, text=TEXTS[topic]), answer)


def pairs(chip: LabelledChip, rng: np.random.Generator) -> list[QuestionAnswer]:
    """Several questions of all tasks about one chip, in random order."""
    made = [ask(chip, task, label) for task in SEARCHES for label in LABELS]
    made.append(ask(chip, SEARCHES[rng.integers(len(SEARCHES))], ANY))
    for i in rng.permutation(len(chip.objects))[:2]:
        item = chip.objects[i]
        drawn = Question(Task.CLASSIFY, box=jittered(item.box, chip.size, rng))
        made.append(QuestionAnswer(drawn, render_label(item.label)))
    if chip.place is not None:
        made.append(QuestionAnswer(Question(Task.DESCRIBE), caption(chip)))
        made.append(free(chip, list(TEXTS)[rng.integers(len(TEXTS))]))
    return [made[i] for i in rng.permutation(len(made))]


def jittered(box: ChipBox, size: tuple[int, int], rng: np.random.Generator) -> ChipBox:
    """The box as an analyst might draw it, off by up to a few pixels a side."""
    d = rng.uniform(-3, 3, 4)
    left = min(max(box.left + d[0], 0.0), size[0] - 2.0)
    top = min(max(box.top + d[1], 0.0), size[1] - 2.0)
    right, bottom = max(box.right + d[2], left + 2), max(box.bottom + d[3], top + 2)
    return ChipBox(left, top, min(size[0], right), min(size[1], bottom))


def vocabulary() -> list[str]:
    """The words of all answers and free questions, so that the tokenizer can make each one token."""
    text = " ".join([*PLACES, *COVER_NAMES, *TEXTS.values(), "mostly some no yes"])
    words = text.lower().replace("-", " ").replace("?", "").split()
    return sorted({word for word in words if word.isalpha()})

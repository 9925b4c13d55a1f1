"""Blind guessers and the classical detector, judged on the same questions as the model."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from fusar_gpt.tasks import SEARCHES, Task, cell_of
from fusar_train.evaluation.cfar import Cfar
from fusar_train.evaluation.labelled_images import LabelledImages
from fusar_train.evaluation.predictions import (
    Condition,
    LabelledQuestion,
    PredictedAnswer,
    PredictedBox,
    Prediction,
    TrueBox,
    TrueClass,
    Truth,
)

ALWAYS_1, COMMONEST, NEIGHBOUR, CFAR = "always 1", "commonest answer", "next image's truth", "CA-CFAR"

_CFAR_CLASS = "ship"


def always_one(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Answers 1 to every count: most images that have a target have exactly one."""
    return [guessed(p, ALWAYS_1, 1) for p in predictions if p.task is Task.COUNT]


def commonest(
    predictions: Sequence[Prediction], seen: Sequence[LabelledQuestion], origin: str
) -> list[Prediction]:
    """Always answers what is commonest for the task and target in ``seen``, to detect always "nothing".

    ``origin`` names where ``seen`` is from: the train split, or for want of one the questions asked themselves.
    """
    answers: dict[tuple[Task, str | None], Counter[PredictedAnswer]] = defaultdict(Counter)
    for asked in seen:
        if asked.task in (Task.COUNT, Task.LOCATE, Task.CLASSIFY):
            answers[asked.task, asked.target][as_answer(asked.truth)] += 1
    found = []
    for p in predictions:
        known = answers.get((p.task, p.target))
        if p.task is Task.DETECT or known:
            answer = () if known is None else known.most_common(1)[0][0]
            found.append(guessed(p, f"{COMMONEST} ({origin})", answer))
    return found


def neighbour(predictions: Sequence[Prediction]) -> list[Prediction]:
    """Answers with the truth of the next image of which the same was asked: chance with the right spread."""
    groups: dict[tuple[Task, str | None], list[Prediction]] = defaultdict(list)
    for p in predictions:
        if p.task in (*SEARCHES, Task.DESCRIBE):
            groups[p.task, p.target].append(p)
    return [
        guessed(p, NEIGHBOUR, as_answer(mine[(i + 1) % len(mine)].truth))
        for mine in groups.values()
        for i, p in enumerate(mine)
    ]


def as_answer(truth: Truth) -> PredictedAnswer:
    """The answer that says exactly what is true."""
    if isinstance(truth, TrueClass):
        return truth.label
    if isinstance(truth, int | frozenset):
        return truth
    if truth and isinstance(truth[0], str):
        return truth[0]
    return tuple(PredictedBox(t.box, t.label) for t in truth if isinstance(t, TrueBox))


def guessed(prediction: Prediction, name: str, answer: PredictedAnswer) -> Prediction:
    """The same question with a baseline's answer."""
    condition = Condition(name, "", "none", prediction.data)
    asked = prediction.labelled_question
    return Prediction.of(
        condition, prediction.image, prediction.frame, asked, answer, slices=prediction.slices
    )


def detect_by_cfar(images: LabelledImages, tasks: Sequence[Task], cfar: Cfar) -> Iterator[Prediction]:
    """CA-CFAR's boxes, their number and their cells.

    It knows no classes: it answers for ships where ships are asked about, else for every class.

    Args:
        images: Opened without a card: the detector wants the image's own pixels.
        tasks: Which questions are answered, of count, locate and detect.
        cfar: The detector's settings.
    """
    condition = Condition(CFAR, "", "none", images.name)
    for index in range(len(images)):
        image = images[index]
        asked = [a for a in image.questions if a.task in SEARCHES and a.task in tasks]
        ships = [a for a in asked if a.target == _CFAR_CLASS]
        boxes = cfar.detect(image.pixels) if asked else []
        for question in ships or asked:
            label = question.target or _CFAR_CLASS
            answer: PredictedAnswer = tuple(PredictedBox(box, label, score) for box, score in boxes)
            if question.task is Task.COUNT:
                answer = len(boxes)
            elif question.task is Task.LOCATE:
                answer = frozenset(cell_of(box, image.frame) for box, _ in boxes)
            yield Prediction.of(condition, image.id, image.frame, question, answer, slices=image.slices)

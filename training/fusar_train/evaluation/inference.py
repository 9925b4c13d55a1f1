"""Asks a model about labelled images, through the serving engine, prompts and parsers; keeps answer beside truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from fusar_gpt.certainty import Certainty, calibration_of, certainty
from fusar_gpt.engine import DecodeRequest, Engine, Reply
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, Label, Question, Task, prompt_set
from fusar_train.corpus.chip import no_prior
from fusar_train.evaluation.labelled_images import LabelledImage, LabelledImages
from fusar_train.evaluation.predictions import (
    Condition,
    LabelledQuestion,
    PredictedAnswer,
    PredictedBox,
    Prediction,
    PredictionsError,
)

_BATCH = 32  # images a call of the engine: it fills its batches from all their questions


def ask(
    engine: Engine,
    images: LabelledImages,
    condition: Condition,
    tasks: Sequence[Task] = tuple(Task),
    show: Callable[[int], None] = lambda done: None,
) -> Iterator[list[Prediction]]:
    """Asks every question of some tasks about every image; greedy.

    Args:
        engine: What answers.
        images: What is asked about, at the size of the engine's card.
        condition: Says which prior is shown: ``own`` (if the image has one), ``none`` or ``wrong``.
        tasks: Which questions are asked.
        show: Takes how many images are done.

    Yields:
        The answers about the next few images, in order.

    Raises:
        PredictionsError: No image has a question of these tasks, or none has another place's prior.
    """
    asked_any = False
    for start in range(0, len(images), _BATCH):
        indexes = range(start, min(start + _BATCH, len(images)))
        batch = [with_prior(images, index, condition.prior) for index in indexes]
        cases = [(image, asked) for image in batch for asked in image.questions if asked.task in tasks]
        if cases:
            asked_any = True
            yield answered(engine, cases, condition)
        show(indexes.stop)
    if not asked_any:
        names = ", ".join(task.value for task in tasks)
        raise PredictionsError(f"{images.name} has nothing to ask for {names}: take other tasks or data.")


def with_prior(images: LabelledImages, index: int, prior: str) -> LabelledImage:
    """An image with its own prior, none, or that of the next image of another place that has one."""
    image = images[index]
    if prior == "own":
        return image
    if prior == "none":
        return image.with_vectors(*no_prior())
    for step in range(1, len(images)):
        other = images[(index + step) % len(images)]
        if other.place != image.place and len(other.values):
            return image.with_vectors(other.values, other.positions)
    raise PredictionsError(f"{images.name} has no prior of another place than {image.id}'s: leave out wrong.")


@dataclass(frozen=True)
class Answered:
    """What came of one question: the prompt, the reply, what was understood of it, and how sure the model is."""

    prompt: str
    reply: Reply
    answer: Answer
    sure: Certainty


def replies(engine: Engine, cases: Sequence[tuple[LabelledImage, Question]]) -> list[Answered]:
    """What comes of each question, as when serving."""
    prompts = prompt_set(engine.card.prompt_set)
    requests = [
        DecodeRequest(
            image.pixels,
            image.values,
            image.positions,
            prompts.prompt(question, image.frame),
            prompts.grammar(question),
            prompts.max_tokens(question),
        )
        for image, question in cases
    ]
    calibration, _ = calibration_of(engine.card, engine.hash)
    found = []
    for (image, asked), request, reply in zip(
        cases, requests, engine.answer(requests, lambda: False), strict=True
    ):
        answer = prompts.parse(asked, reply.text, image.frame, finished=reply.finished)
        sure = certainty(asked.task, answer, reply.probability, calibration, image.frame)
        found.append(Answered(request.prompt, reply, answer, sure))
    return found


def answered(
    engine: Engine, cases: Sequence[tuple[LabelledImage, LabelledQuestion]], condition: Condition
) -> list[Prediction]:
    """The engine's answers to some questions beside the truth."""
    questions = [(image, Question(a.task, target=a.target, text=a.text, box=a.box)) for image, a in cases]
    return [
        Prediction.of(
            condition,
            image.id,
            image.frame,
            asked,
            said(each),
            question=each.prompt,
            raw=each.reply.text,
            nodes=len(image.values),
            score=each.sure.probability,
            confidence=each.sure.confidence,
            slices=image.slices,
        )
        for (image, asked), each in zip(cases, replies(engine, questions), strict=True)
    ]


def said(answered: Answered) -> PredictedAnswer | None:
    """What was understood of an answer; None for nothing."""
    answer = answered.answer
    if isinstance(answer, Count):
        return answer.value
    if isinstance(answer, Grid):
        return answer.cells if answer.cells or answer.complete else None
    if isinstance(answer, Label):
        return answer.label
    if isinstance(answer, Boxes):
        boxes = tuple(
            PredictedBox(
                item.box, item.label, sure.objectness, answered.reply.probability(item.span), sure.confidence
            )
            for item, sure in zip(answer.boxes, answered.sure.boxes, strict=True)
        )
        return boxes if boxes or answer.complete else None
    return answer.text or None

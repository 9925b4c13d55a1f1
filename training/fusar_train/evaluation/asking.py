"""Asks a model about examples, through the serving engine, prompts and parsers, and keeps answer beside truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from fusar_gpt.engine import DecodeRequest, Engine, Reply
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, Label, Question, Task, prompt_set
from fusar_train.corpus.chip import no_prior
from fusar_train.evaluation.examples import Example, Examples
from fusar_train.evaluation.predictions import Asked, Condition, Found, Prediction, PredictionsError, Said

_BATCH = 32  # images a call of the engine: it fills its batches from all their questions


def ask(
    engine: Engine,
    examples: Examples,
    condition: Condition,
    tasks: Sequence[Task] = tuple(Task),
    show: Callable[[int], None] = lambda done: None,
) -> Iterator[list[Prediction]]:
    """Asks every question of some tasks about every example; greedy.

    Args:
        engine: what answers.
        examples: what is asked about, at the size of the engine's card.
        condition: says which prior is shown: ``own`` (if the example has one), ``none`` or ``wrong``.
        tasks: which questions are asked.
        show: is told how many examples are done.

    Yields:
        The answers about the next few examples, in order.

    Raises:
        PredictionsError: No example has a question of these tasks, or none has another place's prior.
    """
    asked_any = False
    for start in range(0, len(examples), _BATCH):
        indexes = range(start, min(start + _BATCH, len(examples)))
        batch = [with_prior(examples, index, condition.prior) for index in indexes]
        cases = [(example, asked) for example in batch for asked in example.asked if asked.task in tasks]
        if cases:
            asked_any = True
            yield answered(engine, cases, condition)
        show(indexes.stop)
    if not asked_any:
        names = ", ".join(task.value for task in tasks)
        raise PredictionsError(f"{examples.name} has nothing to ask for {names}: take other tasks or data.")


def with_prior(examples: Examples, index: int, prior: str) -> Example:
    """An example with its own prior, none, or that of the next example of another place that has one."""
    example = examples[index]
    if prior == "own":
        return example
    if prior == "none":
        return example.with_vectors(*no_prior())
    for step in range(1, len(examples)):
        other = examples[(index + step) % len(examples)]
        if other.place != example.place and len(other.values):
            return example.with_vectors(other.values, other.positions)
    raise PredictionsError(
        f"{examples.name} has no prior of another place than {example.id}'s: leave out wrong."
    )


def replies(engine: Engine, cases: Sequence[tuple[Example, Question]]) -> list[tuple[str, Answer, Reply]]:
    """The prompt, the parsed answer and the reply to each question, as when serving."""
    prompts = prompt_set(engine.card.prompt_set)
    requests = [
        DecodeRequest(
            example.image,
            example.values,
            example.positions,
            prompts.prompt(question, example.frame),
            prompts.grammar(question),
            prompts.max_tokens(question),
        )
        for example, question in cases
    ]
    found = []
    given = engine.answer(requests, lambda: False)
    for (example, question), request, reply in zip(cases, requests, given, strict=True):
        answer = prompts.parse(question, reply.text, example.frame, finished=reply.finished)
        found.append((request.prompt, answer, reply))
    return found


def answered(
    engine: Engine, cases: Sequence[tuple[Example, Asked]], condition: Condition
) -> list[Prediction]:
    """The engine's answers to some questions beside the truth."""
    questions = [(e, Question(a.task, target=a.target, text=a.text, box=a.box)) for e, a in cases]
    return [
        Prediction(
            condition,
            image=example.id,
            frame=example.frame,
            asked=asked,
            question=prompt,
            raw=reply.text,
            answer=said(answer, reply),
            nodes=len(example.values),
            score=reply.score((0, len(reply.text))),
        )
        for (example, asked), (prompt, answer, reply) in zip(cases, replies(engine, questions), strict=True)
    ]


def said(answer: Answer, reply: Reply) -> Said | None:
    """What was understood of an answer; None for nothing."""
    if isinstance(answer, Count):
        return answer.value
    if isinstance(answer, Grid):
        return answer.cells if answer.cells or answer.complete else None
    if isinstance(answer, Label):
        return answer.label
    if isinstance(answer, Boxes):
        boxes = tuple(Found(item.box, item.label, reply.score(item.span)) for item in answer.boxes)
        return boxes if boxes or answer.complete else None
    return answer.text or None

"""What a stage learns from: the questions of stored records, in an order that depends on the seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from fusar_gpt.errors import FusarError
from fusar_gpt.model import Card, FusarGptProcessor
from fusar_gpt.model.processor import Prior
from fusar_gpt.tasks import Task
from fusar_train.corpus.chip import no_prior
from fusar_train.corpus.messages import description, messages
from fusar_train.corpus.record import Message, Record
from fusar_train.corpus.records import read_records
from fusar_train.stages.settings import Settings, StageError

_WITH_PIXELS = (Task.DETECT, Task.CLASSIFY)  # their texts give coordinates


@dataclass(frozen=True)
class TrainingExample:
    """One question about one chip and its answer.

    Attributes:
        name: The record and the task, for messages.
        image: uint8 [H, W] or [H, W, 3], of the card's size.
        prior: float32 [S, 64] and [S, 2] as (y, x) in [0, 1] of the chip; S may be 0.
        prompt, answer: In the card's words.
    """

    name: str
    image: NDArray[np.uint8]
    prior: Prior
    prompt: str
    answer: str


@dataclass(frozen=True)
class ExampleSet:
    """The examples of some records; their images and priors are read when an example is asked for.

    Attributes:
        records: Those that have a question.
        questions: The record and the message of each example.
        card: Of the model that learns.
    """

    records: Sequence[Record]
    questions: Sequence[tuple[Record, Message]]
    card: Card

    def __len__(self) -> int:
        return len(self.questions)

    def __getitem__(self, index: int) -> TrainingExample:
        """StageError, with the record's name, when its image or prior cannot be read."""
        record, message = self.questions[index]
        try:
            image, plan = record.chip(self.card)
            prior = record.vectors(plan)
        except FusarError as error:
            raise StageError(f"Record {record.id}: {error}") from error
        name = f"{record.id} ({message.task.value})"
        return TrainingExample(name, image, prior, message.question, message.answer)

    def prior(self, index: int) -> Prior:
        """The prior alone of an example."""
        record, _ = self.questions[index]
        return record.vectors(record.plan(self.card))

    def fingerprint(self) -> str:
        """SHA-256 over all records' names, questions and answers, in order."""
        total = hashlib.sha256()
        for record, message in self.questions:
            total.update(repr((record.id, message.question, message.answer)).encode())
        return total.hexdigest()


def load_examples(paths: Sequence[Path], card: Card, settings: Settings) -> ExampleSet:
    """All examples of some data sets, each record checked.

    Raises:
        CorpusError: A record makes no sense; its file and line are named.
        StageError: There is no example, or a record's image or prior is missing or unfit; the record is named.
    """
    questions: list[tuple[Record, Message]] = []
    for record in (one for path in paths for one in read_records(path)):
        if settings.split not in (None, record.split):
            continue
        try:
            asked = _questions(record, card, settings)
            _check_files(record)
        except FusarError as error:
            raise StageError(f"Record {record.id}: {error}") from error
        questions += [(record, message) for message in asked if message.task in settings.tasks]
    if not questions:
        which = f"of the split {settings.split}" if settings.split else "at all"
        raise StageError(
            f"{', '.join(map(str, paths))}: no record {which} has a question of {', '.join(settings.tasks)}. "
            "Give other data, or other tasks or another split with --set."
        )
    return ExampleSet(list({id(record): record for record, _ in questions}.values()), questions, card)


def _questions(record: Record, card: Card, settings: Settings) -> list[Message]:
    """The record's own messages, or those that follow from its objects and caption."""
    size = (card.width, card.height)
    said = list(record.messages)
    if not said:
        digest = hashlib.sha256(record.id.encode()).digest()
        rng = np.random.default_rng((settings.seed, *digest[:8]))
        plan, classes = record.plan(card), record.complete()
        return messages(
            record.objects, plan, classes, card.prompt_set, rng, settings.fine_labels, record.caption
        )
    if record.provenance.get("prompt_set", card.prompt_set) != card.prompt_set or (
        record.text_frame() != size and any(message.task in _WITH_PIXELS for message in said)
    ):
        words, (width, height) = record.provenance.get("prompt_set", "other"), record.text_frame()
        raise StageError(
            f"its questions are in {words} words for chips of {width} x {height} px, and this model wants "
            f"{card.prompt_set} ones for {size[0]} x {size[1]}: make them anew with fusar-train data derive."
        )
    if record.caption is not None and all(message.task is not Task.DESCRIBE for message in said):
        said.append(description(record.caption, card.prompt_set, size))
    return said


def _check_files(record: Record) -> None:
    """Before a long run: the image is there, and so is the prior, of the right size and year."""
    record.size()
    year, imaged = record.prior_year(), record.provenance.get("year")
    if year is not None and imaged is not None and year != imaged:
        raise StageError(
            f"its prior {record.prior} is of {year}, and the image of {imaged}: export that year's."
        )


class Schedule(Dataset[TrainingExample]):
    """The examples of a whole run, step by step: epoch after epoch, each in an order of its own.

    Item i is a function of the settings and i alone. So it does not matter how many processes share the work,
    how many read ahead, or where a run was interrupted.

    Attributes:
        examples: What is shown.
        batch: Examples a step, over all processes.
        steps: Of the whole run.
    """

    def __init__(self, examples: ExampleSet, settings: Settings) -> None:
        self.examples = examples
        self.batch = settings.batch
        self._settings = settings
        self._with_prior = [number for number, (record, _) in enumerate(examples.questions) if record.prior]
        self.steps = settings.max_steps or max(round(settings.epochs * len(examples) / self.batch), 1)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self.steps * self.batch

    def __getitem__(self, place: int) -> TrainingExample:
        epoch, within = divmod(place, len(self.examples))
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._settings.seed, epoch))
            self._order = (epoch, rng.permutation(len(self.examples)))
        example = self.examples[int(self._order[1][within])]
        return replace(example, prior=self._spoilt(example.prior, place))

    def _spoilt(self, prior: Prior, place: int) -> Prior:
        """The prior, none, or another example's, in the shares of the settings."""
        settings = self._settings
        if not settings.priors:
            return no_prior()
        if not len(prior[0]):
            return prior
        rng = np.random.default_rng((settings.seed, 1, place))
        chance = rng.random()
        if chance < settings.drop_prior:
            return no_prior()
        if chance < settings.drop_prior + settings.swap_prior:
            return self.examples.prior(int(rng.choice(self._with_prior)))
        return prior


@dataclass(frozen=True)
class Collator:
    """Examples to the model's batch, as the processor makes it; ``records`` holds their names."""

    processor: FusarGptProcessor

    def __call__(self, examples: Sequence[TrainingExample]) -> dict[str, Any]:
        """The batch, with labels."""
        batch: dict[str, Any] = self.processor(
            [example.image for example in examples],
            [example.prompt for example in examples],
            [example.prior for example in examples],
            [example.answer for example in examples],
        )
        return {**batch, "records": [example.name for example in examples]}

"""What a stage learns from: the questions of stored records, in an order that depends on the seed alone."""

from __future__ import annotations

import hashlib
from collections import Counter
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
from fusar_train.corpus.sidecars import described_by
from fusar_train.corpus.texts.questions import sub_text_messages, within
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
        notes: What was left out or cut, for whoever started the run.
    """

    records: Sequence[Record]
    questions: Sequence[tuple[Record, Message]]
    card: Card
    notes: Sequence[str] = ()

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


def load_examples(
    paths: Sequence[Path], card: Card, settings: Settings, texts: str | None = None
) -> ExampleSet:
    """All examples of some data sets, each record checked.

    Args:
        paths: Folders, JSONL files or shards of records.
        card: Of the model that learns.
        settings: Which tasks, split and sub-texts.
        texts: The describer whose sub-texts are read where somebody has described the records.

    Raises:
        CorpusError: A record makes no sense, its file and line are named; or the describer has described nothing.
        StageError: There is no example, or a record's image or prior is missing or unfit; the record is named.
    """
    questions: list[tuple[Record, Message]] = []
    notes: Counter[str] = Counter()
    readable = [(path, described_by(texts, path)) for path in paths]
    if texts is not None and not any(describer for _, describer in readable):
        raise StageError(
            f"{', '.join(map(str, paths))}: nobody has described these records, so not {texts!r}."
        )
    for record in (one for path, describer in readable for one in read_records(path, describer)):
        if settings.split not in (None, record.split):
            continue
        try:
            asked = _questions(record, card, settings)
            _check_files(record)
        except FusarError as error:
            raise StageError(f"Record {record.id}: {error}") from error
        chosen = [message for message in asked if message.task in settings.tasks]
        chosen += _of_sub_texts(record, asked, card, settings, notes)
        questions += [(record, message) for message in chosen]
    if not questions:
        which = f"of the split {settings.split}" if settings.split else "at all"
        raise StageError(
            f"{', '.join(map(str, paths))}: no record {which} has a question of {', '.join(settings.tasks)}. "
            "Give other data, or other tasks or another split with --set."
        )
    records = list({id(record): record for record, _ in questions}.values())
    return ExampleSet(records, questions, card, [f"{times} {note}" for note, times in notes.items()])


def _questions(record: Record, card: Card, settings: Settings) -> list[Message]:
    """The record's own messages, or those that follow from its objects and caption."""
    size = (card.width, card.height)
    said = list(record.messages)
    if not said:
        digest = hashlib.sha256(record.id.encode()).digest()
        rng = np.random.default_rng((settings.seed, *digest[:8]))
        plan, classes = record.plan(card), record.complete()
        made = messages(
            record.objects, plan, classes, card.prompt_set, rng, settings.fine_labels, record.caption
        )
        if record.caption is None and record.texts and settings.sub_texts != "none":
            return [message for message in made if message.task is not Task.DESCRIBE]  # sub-texts say more
        return made
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


def _of_sub_texts(
    record: Record, others: Sequence[Message], card: Card, settings: Settings, notes: Counter[str]
) -> list[Message]:
    """What a record's sub-texts answer, where descriptions are learnt; too long answers end with a whole sentence."""
    if Task.DESCRIBE not in settings.tasks or not record.texts:
        return []
    plain = all(message.task is not Task.DESCRIBE for message in others)
    size, kept = (card.width, card.height), []
    made = sub_text_messages(record, card.prompt_set, size, settings.sub_texts, settings.seed, plain=plain)
    for message in made:
        answer = within(message.answer, settings.longest_text)
        if len(answer) < len(message.answer):
            done = "cut behind a sentence" if answer else "left out, as no sentence of them is that short"
            notes[
                f"answers from sub-texts with more than {settings.longest_text} characters were {done}"
            ] += 1
        if answer:
            kept.append(replace(message, answer=answer))
    return kept


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

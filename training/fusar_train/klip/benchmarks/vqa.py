"""Visual question answering in six kinds (FUSAR-KLIP 4.4): the model fine-tuned, against the same from scratch."""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.retrieval import Klip, KlipModel, KlipTokenizer
from fusar_gpt.retrieval.decoding import Blank, Filled, decoder_inputs, prompt, write_blanks
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record
from fusar_train.corpus.records import read_leniently
from fusar_train.corpus.sidecars import WITHOUT_TEXTS
from fusar_train.corpus.texts.facts import Facts
from fusar_train.evaluation.bootstrap import ratio
from fusar_train.klip import losses
from fusar_train.klip.benchmarks.fine_tuning import Recipe, fit
from fusar_train.klip.benchmarks.options import BenchmarkOptions, grey_images, in_batches
from fusar_train.klip.benchmarks.section import Figure, Row, Section, measured
from fusar_train.klip.benchmarks.vqa_questions import ALL, KINDS, VisualQuestion, questions_of
from fusar_train.klip.settings import KlipError
from fusar_train.klip.trainer import computes_in_half

KEY = "answer"
_WARM_UP = 0.05
_GROUPS = 4
_LONGEST = 40


def _paper(name: str, *percent: float) -> Row:
    return Row(name, {kind: Figure(value / 100, 0) for kind, value in zip(KINDS, percent, strict=True)})


PAPER = (
    _paper("CLIP, ViT-B", 56.13, 69.99, 26.58, 86.37, 42.08, 76.37),
    _paper("BLIP, ViT-B", 76.66, 89.55, 79.76, 82.51, 39.34, 77.19),
    _paper("FUSAR-KLIP, ViT-B", 98.70, 96.43, 97.89, 99.45, 89.07, 93.58),
    _paper("FUSAR-KLIP, ViT-L", 98.91, 93.36, 98.16, 90.89, 96.72, 81.42),
)
"""Table 6."""


@dataclass(frozen=True)
class AskedImage:
    """An image and the questions about it."""

    record: Record
    questions: tuple[VisualQuestion, ...]


def sections(options: BenchmarkOptions) -> list[Section]:
    """The share of right answers of each kind, with intervals over images.

    Raises:
        FusarError: There are no images to learn from, or none to ask about, or an image cannot be read.
    """
    test = asked_images(options.described.data.records, options.seed)
    if not test:
        raise KlipError(
            f"The records of the split {options.split} tell neither counts nor land cover: nothing can be asked."
        )
    train = training_images(options)
    klip = options.klip
    torch.manual_seed(options.seed)
    networks = {
        f"{options.name}, fine-tuned": copy.deepcopy(klip.model),
        "the same from scratch": KlipModel(klip.model.config).to(klip.device),
    }
    rows = []
    for name, model in networks.items():
        learn(model, klip, train, options, name)
        rows.append(_row(name, test, answers(model, klip, test), options.seed))
    rows.append(_row("the commonest answer", test, commonest(train, test), options.seed))
    questions = sum(len(one.questions) for one in train)
    return [
        Section(
            "vqa",
            "Visual question answering",
            KINDS,
            tuple(rows),
            PAPER,
            (
                f"Networks learn from {questions} questions about {len(train)} images of the split train, each seen "
                f"{options.epochs} times, learning rate {options.learning_rate:g}, by the words of the answers alone "
                "(the paper keeps ITC and ITM). They write the answer; it is right word for word.",
                "Questions and answers come from truth and land cover: of each class in view the number, and the "
                "region (1 to 9, row by row) where it lies in one only; the kinds of targets; the main land cover "
                "where it leads by 5 % of the image; all that cover 5 % and more; that of a region, where it has more "
                "than half.",
                f"Of {ALL} all must be named and no other.",
                "The commonest answer: that of the training images to the same question.",
            ),
        )
    ]


def asked_images(records: Sequence[Record], seed: int) -> list[AskedImage]:
    """The records about which anything can be asked."""
    found = []
    for record in records:
        try:
            questions = questions_of(record, Facts.of(record, prior=False), seed)
        except CorpusError:
            continue
        if questions:
            found.append(AskedImage(record, tuple(questions)))
    return found


def training_images(options: BenchmarkOptions) -> list[AskedImage]:
    """Images of the split train, at most ``train_limit`` drawn by the seed; they need no sub-texts.

    Raises:
        KlipError: There are none about which anything can be asked.
    """
    records = [
        record
        for path in options.data
        for record in read_leniently(path, WITHOUT_TEXTS)
        if not isinstance(record, CorpusError) and record.split == "train"
    ]
    order = np.random.default_rng(options.seed).permutation(len(records))[: options.train_limit]
    found = asked_images([records[number] for number in order], options.seed)
    if not found:
        raise KlipError(
            f"{len(records)} records of the split train, and none that tells counts or land cover: the answers must be "
            "learned from some. Give such records with one more --data."
        )
    return found


def learn(
    model: KlipModel, klip: Klip, train: Sequence[AskedImage], options: BenchmarkOptions, title: str
) -> None:
    """Teaches a model the answers (eq. 6, the question visible); the order is the same for all models.

    Raises:
        KlipError: The loss is not finite, or an image cannot be read.
    """
    half = computes_in_half("auto", klip.device)

    def loss(rows: Tensor) -> Tensor:
        with torch.autocast(klip.device.type, torch.bfloat16, enabled=half):
            return _loss(model, klip, [train[row] for row in rows.tolist()])

    recipe = Recipe(options.epochs, rate=options.learning_rate, warmup=_WARM_UP, seed=options.seed)
    fit(model, model, loss, len(train), recipe, title)


def _loss(model: KlipModel, klip: Klip, some: Sequence[AskedImage]) -> Tensor:
    """The mean over the answers' tokens of their negative log-likelihood."""
    images = torch.from_numpy(grey_images([one.record for one in some], klip.image_px)).to(klip.device)
    tokens, _ = model.encode_images(images)
    rows = [row for row, one in enumerate(some) for _ in one.questions]
    texts = [filled(klip.tokenizer, question) for one in some for question in one.questions]
    inputs = decoder_inputs(klip.tokenizer, texts)
    total, count = losses.writing(model, inputs.to(klip.device), tokens[rows], _GROUPS)
    return total / count


def filled(tokenizer: KlipTokenizer, question: VisualQuestion) -> Filled:
    """The question, and the answer in its blank."""
    visible = tokenizer.sentence([tokenizer.pieces(question.text), [tokenizer.mask]])
    return Filled(visible, [(prompt(tokenizer, KEY), tokenizer.pieces(question.answer))])


@torch.inference_mode()
def answers(model: KlipModel, klip: Klip, test: Sequence[AskedImage]) -> list[list[bool]]:
    """Whether each answer that the model writes is right, by image."""
    found: list[list[bool]] = []
    with progress_bar(len(test), "images", "questions") as show:
        for at, records in in_batches([one.record for one in test]):
            tokens, _ = model.encode_images(
                torch.from_numpy(grey_images(records, klip.image_px)).to(klip.device)
            )
            asked = test[at : at + len(records)]
            rows = [row for row, one in enumerate(asked) for _ in one.questions]
            questions = [question for one in asked for question in one.questions]
            blanks = [Blank(KEY, (question.text, None)) for question in questions]
            said = write_blanks(model, klip.tokenizer, tokens[rows], blanks, _LONGEST)
            right = iter(
                text == _as_written(klip.tokenizer, question.answer)
                for text, question in zip(said, questions, strict=True)
            )
            found += [[next(right) for _ in one.questions] for one in asked]
            show(at + len(records))
    return found


def _as_written(tokenizer: KlipTokenizer, answer: str) -> str:
    return tokenizer.decode(tokenizer.pieces(answer))


def commonest(train: Sequence[AskedImage], test: Sequence[AskedImage]) -> list[list[bool]]:
    """Whether the commonest answer to the same question is right, by image; to one never asked, that of its kind."""
    known: dict[str, Counter[str]] = defaultdict(Counter)
    for one in train:
        for question in one.questions:
            known[question.about][question.answer] += 1
            known[question.kind][question.answer] += 1

    def right(question: VisualQuestion) -> bool:
        counts = known[question.about] or known[question.kind]
        return question.answer in dict(counts.most_common(1))

    return [[right(question) for question in one.questions] for one in test]


def _row(name: str, test: Sequence[AskedImage], right: Sequence[Sequence[bool]], seed: int) -> Row:
    sums = by_kind(test, right)
    statistics = {kind: ratio(*sums[kind]) for kind in KINDS if sums[kind][1].any()}
    return Row(name, measured(statistics, len(test), seed))


def by_kind(
    test: Sequence[AskedImage], right: Sequence[Sequence[bool]]
) -> Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Right answers and questions of each kind by image, float64 [images] each."""
    sums = {kind: (np.zeros(len(test)), np.zeros(len(test))) for kind in KINDS}
    for number, (one, verdicts) in enumerate(zip(test, right, strict=True)):
        for question, verdict in zip(one.questions, verdicts, strict=True):
            sums[question.kind][0][number] += verdict
            sums[question.kind][1][number] += 1
    return sums

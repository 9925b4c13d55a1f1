"""Training batches: simulated and real chips with their questions, as the model wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fusar_gpt.model.processor import FusarGptProcessor, encode_priors
from fusar_gpt.tasks import SEARCHES, Task
from fusar_train.corpus.chip import LabelledChip
from fusar_train.corpus.ssdd import random_cut, read_voc, split
from fusar_train.pretrain.dense import dense_targets
from fusar_train.pretrain.packing import Packed, Packer, said_cells
from fusar_train.pretrain.questions import Pair, frame_size, pairs, with_decoy
from fusar_train.simulation.chip import CHIP_PX, TRAIN_STREAM, simulate_chip, spoil_prior

POOL = 8
"""Batches made together of remembered chips, so that chips of few objects need not wait for crowded ones."""

QUESTIONS = 6
"""Questions a remembered chip is asked at a time; it comes back."""

DECOYS = 0.4
"""Share of detect questions whose answer gets a decoy, if there is room."""


@dataclass(frozen=True)
class Mixture:
    """How training records are mixed.

    Attributes:
        real: folder of real images (see ``corpus.ssdd``), None for simulation only.
        real_share: share of real chips.
        crowd: share of simulated chips with fewer than two objects that are passed over: they teach little.
        no_prior, wrong_prior: shares of simulated chips without a prior and with another chip's.
    """

    real: Path | None
    real_share: float = 0.25
    crowd: float = 0.0
    no_prior: float = 0.17
    wrong_prior: float = 0.17

    def records(self, seed: int) -> Iterator[LabelledChip]:
        """Records without end; the same seed gives the same ones. Chip numbers start at ``seed``."""
        rng = np.random.default_rng(seed)
        real = split(read_voc(self.real))[0] if self.real else []
        before = simulate_chip(seed, TRAIN_STREAM)
        number = seed
        while True:
            if real and rng.random() < self.real_share:
                yield random_cut(real[rng.integers(len(real))], CHIP_PX, rng)
                continue
            number += 1
            record = simulate_chip(number, TRAIN_STREAM)
            if len(record.objects) < 2 and rng.random() < self.crowd:
                continue
            yield spoil_prior(record, before, rng, self.no_prior, self.wrong_prior)
            before = record


@dataclass(frozen=True)
class Batch:
    """N chips: the model's image and prior inputs, the dense truth, and their questions.

    A batch of remembered chips has their visual tokens [N, T, C] instead of inputs and dense truth.
    """

    packed: Packed
    inputs: dict[str, Tensor] = field(default_factory=dict)
    dense: dict[str, Tensor] = field(default_factory=dict)
    tokens: Tensor | None = None


def questions(record: LabelledChip, rng: np.random.Generator) -> list[Pair]:
    """The questions about a record, some with a decoy in their answer."""
    size = frame_size(record)
    return [
        with_decoy(one, size, rng) if one.question.task is Task.DETECT and rng.random() < DECOYS else one
        for one in pairs(record, rng)
    ]


def few(asked: list[Pair]) -> list[Pair]:
    """As many of some questions as a remembered chip is asked at a time, those first whose answer says objects."""
    return sorted(asked, key=lambda one: one.question.task not in SEARCHES or not said_cells(one))[:QUESTIONS]


def model_inputs(records: Sequence[LabelledChip], processor: FusarGptProcessor) -> dict[str, Tensor]:
    """The images and priors of some records, as the model wants them."""
    inputs = processor.encode_images([record.image for record in records])
    return inputs | encode_priors([(record.values, record.positions) for record in records])


class Batches:
    """Endless, seeded streams of batches; whichever is asked, no chip comes anew that came before."""

    def __init__(
        self, mixture: Mixture, processor: FusarGptProcessor, model: Any, size: int, seed: int
    ) -> None:
        self.processor, self.size = processor, size
        self.packer = Packer(processor, model.model)
        self.records = mixture.records(seed)
        self.rng = np.random.default_rng((seed, 1))

    def __iter__(self) -> Iterator[Batch]:
        """Batches of new chips without end."""
        while True:
            records = list(islice(self.records, self.size))
            truth = dense_targets(records, self.processor.card.patch * self.processor.card.merge)
            packed = self.packer([questions(record, self.rng) for record in records])
            yield Batch(packed, model_inputs(records, self.processor), truth)

    def remembered(self, chips: int, look: Callable[[dict[str, Tensor]], Tensor]) -> Iterator[Batch]:
        """Batches without end of so many new chips, looked at once and asked anew each time.

        ``look`` gives the visual tokens of inputs; what it looks with must not change any more.
        """
        memory: list[tuple[LabelledChip, Tensor]] = []
        while len(memory) < chips:
            records = list(islice(self.records, self.size))
            with torch.no_grad():
                tokens = look(model_inputs(records, self.processor))
            memory += zip(records, tokens.half(), strict=True)
            yield self.ask(records, tokens)
        while True:
            order = self.rng.permutation(len(memory))[: POOL * self.size]
            pool = sorted((memory[i] for i in order), key=lambda one: len(one[0].objects))
            for start in self.rng.permutation(np.arange(0, len(pool), self.size)):
                asked, seen = zip(*pool[start : start + self.size], strict=True)
                yield self.ask(asked, torch.stack(seen).float())

    def ask(self, records: Sequence[LabelledChip], tokens: Tensor) -> Batch:
        """A batch of a few questions about remembered chips."""
        return Batch(self.packer([few(questions(record, self.rng)) for record in records]), tokens=tokens)

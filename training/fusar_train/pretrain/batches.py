"""Training batches: simulated and real chips with their questions, as the model wants them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from fusar_gpt.model.processor import FusarGptProcessor, encode_priors
from fusar_gpt.tasks import SEARCHES, Task
from fusar_train.corpus.chip import LabelledChip
from fusar_train.corpus.ssdd import Annotated, annotated, random_cut, read_voc, split
from fusar_train.pretrain.dense import dense_targets
from fusar_train.pretrain.packing import Packed, Packer, object_cells
from fusar_train.pretrain.questions import QuestionAnswer, pairs, with_decoy
from fusar_train.simulation.chip import CHIP_PX, TRAIN_STREAM, drop_or_swap_prior, simulate_chip
from fusar_train.simulation.pasted import cut_outs
from fusar_train.simulation.varied import simulate_varied_chip
from fusar_train.validation import Number

POOL = 8
"""Batches made together of remembered chips, so that chips of few objects need not wait for crowded ones."""

QUESTIONS = 6
"""Questions a remembered chip is asked at a time; it comes back."""

DECOYS = 0.4
"""Share of detect questions whose answer gets a decoy, if there is room."""


@validated(frozen=True, config=ConfigDict(extra="forbid"))
class Mixture:
    """How simulated chips with a right, a wrong or no prior, and real chips, are mixed.

    Attributes:
        real_share: share of real chips.
        varied: share of simulated chips that are of ``simulation.varied``: crowds, full ports, badly stretched images.
        crowd: share of simulated chips with fewer than two objects that are passed over: they teach little.
        no_prior, wrong_prior: shares of simulated chips without a prior and with another chip's.
    """

    real_share: Number = 0.25
    varied: Number = 0.0
    crowd: Number = 0.0
    no_prior: Number = 0.17
    wrong_prior: Number = 0.17

    def chips(self, seed: int, *folders: Path, planes: Path | None = None) -> Iterator[LabelledChip]:
        """Chips without end; the same seed gives the same ones. The simulated ones' numbers start at ``seed``.

        ``folders`` hold real images: records, of which those of the split "train" are shown, or SSDD as it comes (see
        ``corpus.ssdd``). None for simulation only. ``planes``: records of single planes for varied chips' aprons.
        """
        rng = np.random.default_rng(seed)
        real = [image for folder in folders for image in real_images(folder)]
        parked = cut_outs(planes) if planes else ()
        before = simulate_chip(seed, TRAIN_STREAM)
        number = seed
        while True:
            if real and rng.random() < self.real_share:
                if (cut := random_cut(real[rng.integers(len(real))], CHIP_PX, rng)) is not None:
                    yield cut
                continue
            number += 1
            varied = self.varied > 0 and rng.random() < self.varied
            chip = (
                simulate_varied_chip(number, TRAIN_STREAM, parked)
                if varied
                else simulate_chip(number, TRAIN_STREAM)
            )
            if len(chip.objects) < 2 and rng.random() < self.crowd:
                continue
            yield drop_or_swap_prior(chip, before, rng, self.no_prior, self.wrong_prior)
            before = chip


def real_images(folder: Path) -> list[Annotated]:
    """The images of a folder that may be learned from. Raises CorpusError for records that cannot be read."""
    return split(read_voc(folder))[0] if (folder / "Annotations").is_dir() else annotated(folder)


@dataclass(frozen=True)
class Batch:
    """N chips: the model's image and prior inputs, the dense truth of tokens and of their cells, and their questions.

    A batch of remembered chips has their visual tokens [N, T, C] instead of inputs and dense truth.
    """

    packed: Packed
    inputs: dict[str, Tensor] = field(default_factory=dict)
    dense: dict[str, Tensor] = field(default_factory=dict)
    cells: dict[str, Tensor] = field(default_factory=dict)
    tokens: Tensor | None = None


def questions(chip: LabelledChip, rng: np.random.Generator) -> list[QuestionAnswer]:
    """The questions about a chip, some with a decoy in their answer."""
    return [
        with_decoy(one, chip.size, rng) if one.question.task is Task.DETECT and rng.random() < DECOYS else one
        for one in pairs(chip, rng)
    ]


def few_questions(asked: list[QuestionAnswer]) -> list[QuestionAnswer]:
    """As many of the questions as a remembered chip is asked at a time, first those whose answer names objects."""
    return sorted(asked, key=lambda one: one.question.task not in SEARCHES or not object_cells(one))[
        :QUESTIONS
    ]


def model_inputs(chips: Sequence[LabelledChip], processor: FusarGptProcessor) -> dict[str, Tensor]:
    """The images and priors of some chips, as the model wants them."""
    inputs = processor.encode_images([chip.image for chip in chips])
    return inputs | encode_priors([(chip.values, chip.positions) for chip in chips])


class Batches:
    """Endless, seeded streams of batches; neither stream shows a chip that the other has shown."""

    def __init__(
        self,
        chips: Iterator[LabelledChip],
        processor: FusarGptProcessor,
        model: Any,
        size: int,
        seed: int,
        fine: int = 1,
    ) -> None:
        self.chips, self.processor, self.size, self.fine = chips, processor, size, fine
        self.packer = Packer(processor, model.model)
        self.rng = np.random.default_rng((seed, 1))

    def __iter__(self) -> Iterator[Batch]:
        """Batches of new chips without end."""
        while True:
            chips = list(islice(self.chips, self.size))
            token_px = self.processor.card.patch * self.processor.card.merge
            tokens, cells = (dense_targets(chips, token_px, fine) for fine in (1, self.fine))
            packed = self.packer([questions(chip, self.rng) for chip in chips])
            yield Batch(packed, model_inputs(chips, self.processor), tokens, cells)

    def remembered(self, count: int, encode: Callable[[dict[str, Tensor]], Tensor]) -> Iterator[Batch]:
        """Batches without end of ``count`` new chips, encoded once and asked anew each time.

        ``encode`` gives the visual tokens [N, T, C] of inputs; its weights must not change any more.
        """
        memory: list[tuple[LabelledChip, Tensor]] = []
        while len(memory) < count:
            chips = list(islice(self.chips, self.size))
            with torch.no_grad():
                tokens = encode(model_inputs(chips, self.processor))
            memory += zip(chips, tokens.half(), strict=True)
            yield self._ask(chips, tokens)
        while True:
            order = self.rng.permutation(len(memory))[: POOL * self.size]
            pool = sorted((memory[i] for i in order), key=lambda one: len(one[0].objects))
            for start in self.rng.permutation(np.arange(0, len(pool), self.size)):
                asked, seen = zip(*pool[start : start + self.size], strict=True)
                yield self._ask(asked, torch.stack(seen).float())

    def _ask(self, chips: Sequence[LabelledChip], tokens: Tensor) -> Batch:
        return Batch(self.packer([few_questions(questions(chip, self.rng)) for chip in chips]), tokens=tokens)

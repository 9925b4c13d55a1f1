"""The endless stream of training records: simulated chips with right, wrong or no prior, and real chips among them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fusar_train.corpus.record import Record
from fusar_train.corpus.ssdd import random_cut, read_voc, split
from fusar_train.simulation import CHIP_PX, simulate_chip, spoil_prior

TRAIN_STREAM, CHOICE_STREAM, TEST_STREAM = 1, 2, 7
"""Simulation streams: for training, for choosing between models, and for the figures that are reported."""


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

    def records(self, seed: int) -> Iterator[Record]:
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

"""Training batches: records with their questions, as the model wants them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from torch import Tensor

from fusar_gpt.model.processor import FusarGptProcessor, encode_priors
from fusar_train.corpus.mixture import Mixture
from fusar_train.corpus.questions import pairs
from fusar_train.corpus.record import Record
from fusar_train.stages.dense import dense_targets
from fusar_train.stages.packing import Packed, Packer


@dataclass(frozen=True)
class Batch:
    """N chips: the model's image and prior inputs, the dense truth, and their questions."""

    inputs: dict[str, Tensor]
    dense: dict[str, Tensor]
    packed: Packed


def make_batch(
    records: list[Record], processor: FusarGptProcessor, packer: Packer, rng: np.random.Generator
) -> Batch:
    """A batch of some records."""
    inputs = processor.encode_images([record.image for record in records])
    inputs.update(encode_priors([(record.values, record.positions) for record in records]))
    truth = dense_targets(records, processor.card.patch * processor.card.merge)
    return Batch(inputs, truth, packer([pairs(record, rng) for record in records]))


class Batches:
    """An endless, seeded stream of batches."""

    def __init__(
        self, mixture: Mixture, processor: FusarGptProcessor, model: Any, size: int, seed: int
    ) -> None:
        self.mixture, self.processor, self.size, self.seed = mixture, processor, size, seed
        self.packer = Packer(processor, model.model)

    def __iter__(self) -> Iterator[Batch]:
        """Batches without end."""
        records = self.mixture.records(self.seed)
        rng = np.random.default_rng((self.seed, 1))
        while True:
            yield make_batch(list(islice(records, self.size)), self.processor, self.packer, rng)

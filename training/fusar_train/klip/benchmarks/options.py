"""What the benchmarks are asked to measure: a model, described images, and the data sets of single benchmarks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.cli.terminal import progress_bar
from fusar_gpt.retrieval import Klip
from fusar_gpt.tasks.questions import is_chinese
from fusar_train.corpus.record import Record
from fusar_train.klip.batches import grey_image
from fusar_train.klip.data import SLOTS, KlipData, SubText, read_data, readable
from fusar_train.klip.settings import KlipError

BATCH = 64


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions:
    """What ``fusar-train klip evaluate`` was asked for; every benchmark takes from it what it needs.

    Attributes:
        klip: The model.
        name: What it is called in the tables.
        data: Folders or files of records with sub-texts.
        texts: Name of the describer; None for the only one.
        split: Of the records that are measured on.
        limit: At most so many of them, drawn by ``seed``.
        seed: Of draws, of training from scratch and of the bootstrap.
        facts: Slots whose facts decide a hit in retrieval by facts; None for counts and main land cover, by truth.
        queries: A file of typed queries; None for those that come along.
        train_limit: Images that networks are fine-tuned on, at most.
        epochs: How often each is seen.
        learning_rate: Of fine-tuning, the same for all that are compared.
        classes: A data set of classes, for classification.
        water: A data set of water masks, for segmentation.
        clip: A folder of an open_clip model to compare with.
        water_classes: What the codes of the water masks mean; any classes may be named.
        boxes: Records of ships and planes, for detection.
        vision_start: File with the image tower's supervised start; None looks for that of the model's own run.
        simulated: Simulated chips that each vision benchmark learns from; a third as many test it; 0 for none.
        vision_epochs: How often a vision benchmark sees each image; None for each benchmark's own.
    """

    klip: Klip
    name: str
    data: tuple[Path, ...]
    texts: str | None = None
    split: str = "test"
    limit: int | None = None
    seed: int = 0
    facts: tuple[int, ...] | None = None
    queries: Path | None = None
    train_limit: int = 4000
    epochs: int = 3
    learning_rate: float = 5e-4
    classes: Path | None = None
    water: Path | None = None
    clip: Path | None = None
    water_classes: str = "sen1floods11"
    boxes: Path | None = None
    vision_start: Path | None = None
    simulated: int = 1500
    vision_epochs: int | None = None

    @cached_property
    def described(self) -> Described:
        """The images that are measured on, with their texts; read once.

        Raises:
            FusarError: There are none, or the model cannot read their texts.
        """
        return Described(self.klip, self.read(self.split, self.limit))

    def read(self, split: str, limit: int | None) -> KlipData:
        """The records of a split, as the model's tokenizer reads them, at most ``limit`` drawn by the seed.

        Raises:
            FusarError: There are none, or the model cannot read their texts.
        """
        data = read_data(self.data, self.texts, split)
        remedy = "this model was trained on another language. Give --texts of its language, or another model."
        data = readable(data, self.klip.tokenizer, self.klip.model.config.text.longest, remedy)
        if limit is None or limit >= len(data):
            return data
        drawn = np.sort(np.random.default_rng(self.seed).permutation(len(data))[:limit]).tolist()
        return replace(
            data, records=[data.records[n] for n in drawn], sub_texts=[data.sub_texts[n] for n in drawn]
        )


@dataclass(frozen=True)
class Described:
    """Described images and a model's vectors of them.

    Attributes:
        klip: The model.
        data: The N records with sub-texts.
    """

    klip: Klip
    data: KlipData

    def __len__(self) -> int:
        return len(self.data)

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """The images' vectors [N, E], made once.

        Raises:
            KlipError: An image cannot be read, or a vector is not finite.
        """
        found = []
        with progress_bar(len(self), "images", "images") as show:
            for at, records in in_batches(self.data.records):
                found.append(self.klip.embed_images(grey_images(records, self.klip.image_px)))
                show(at + len(records))
        return checked(np.concatenate(found))

    def text_vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Vectors [M, E] of texts; equal texts are read once, so that they have equal vectors.

        Raises:
            KlipError: A vector is not finite.
        """
        number: dict[str, int] = {text: n for n, text in enumerate(dict.fromkeys(texts))}
        return checked(self.klip.embed_texts(list(number)))[[number[text] for text in texts]]

    def text_of(self, told: Sequence[SubText]) -> str:
        """Some sub-texts as one text, told as in training; the last ones are left out where they do not fit."""
        longest, words, pieces = self.klip.model.config.text.longest - 2, 0, list[str]()
        for one in told:
            text = f"{SLOTS[one.slot][1]}: {one.text}" if self.klip.card.with_keys >= 0.5 else one.text
            words += len(self.klip.tokenizer.pieces(text))
            if words > longest and pieces:
                break
            pieces.append(text)
        return " ".join(pieces)

    @property
    def versions(self) -> int:
        """How many texts a record has of one key set, such as in two languages."""
        return 1 + max(one.version for several in self.data.sub_texts for one in several)

    def version_name(self, version: int) -> str:
        """What tables call the texts of a version, with their language; empty where there is one version only."""
        if self.versions == 1:
            return ""
        texts = [one.text for several in self.data.sub_texts for one in several if one.version == version]
        chinese = sum(map(is_chinese, texts)) > len(texts) / 2
        return f", texts {version + 1}{' (Chinese)' if chinese else ''}"


def in_batches(records: Sequence[Record]) -> Iterator[tuple[int, Sequence[Record]]]:
    """Records in batches, each with the number of its first."""
    for at in range(0, len(records), BATCH):
        yield at, records[at : at + BATCH]


def grey_images(records: Sequence[Record], side: int) -> NDArray[np.uint8]:
    """The records' images as the tower sees them, uint8 [N, side, side]; KlipError when one cannot be read."""
    return np.stack([grey_image(record, side) for record in records])


def checked(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vectors; KlipError when one is not finite."""
    if bad := int((~np.isfinite(vectors)).any(-1).sum()):
        raise KlipError(
            f"The model gives {bad} of {len(vectors)} vectors that are not finite: train it again, with a lower "
            "learning_rate."
        )
    return vectors

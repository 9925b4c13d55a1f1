"""What a step sees: images, texts of whole key sets or of a few sub-texts, and sub-texts to be written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from fusar_gpt.errors import FusarError
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.retrieval import KlipTokenizer
from fusar_gpt.retrieval.decoding import DecoderInputs, Filled, decoder_inputs, prompt
from fusar_train.corpus.record import Record, resized, whole_window
from fusar_train.klip.data import SLOTS, KlipData, SubText, key_sets, length_of, rows_of
from fusar_train.klip.settings import KlipError, KlipSettings


@dataclass(frozen=True)
class Example:
    """One image and one text about it.

    Attributes:
        record: Number of its record.
        image: Grey, uint8 [side, side].
        sub_texts: Those the text is made of.
        with_keys: Whether it is told as "Key: text".
        blanks: Places among ``sub_texts`` that are to be written; may be none.
        context: Whether the others are visible then.
    """

    record: int
    image: NDArray[np.uint8]
    sub_texts: tuple[SubText, ...]
    with_keys: bool
    blanks: tuple[int, ...]
    context: bool


@dataclass(frozen=True)
class KlipBatch:
    """N examples as the model takes them.

    Attributes:
        records: Numbers of the records, int64 [N].
        images: uint8 [N, side, side].
        ids, mask: The texts, int64 and bool [N, L].
        image_facts: What is told of each image in all its texts, int64 [N, slots].
        text_facts: What each text tells, int64 [N, slots].
        asked: The examples with blanks, int64 [B].
        decoder: Their texts with blanks; of no rows where there are none.
    """

    records: Tensor
    images: Tensor
    ids: Tensor
    mask: Tensor
    image_facts: Tensor
    text_facts: Tensor
    asked: Tensor
    decoder: DecoderInputs

    def to(self, device: torch.device) -> KlipBatch:
        """The batch on a device."""
        tensors = {
            one.name: getattr(self, one.name).to(device) for one in fields(KlipBatch) if one.name != "decoder"
        }
        return KlipBatch(**tensors, decoder=self.decoder.to(device))


def grey_image(record: Record, side: int) -> NDArray[np.uint8]:
    """The record's window as the image tower sees it, stretched to uint8 [side, side].

    Raises:
        KlipError: The image cannot be read; the record is named.
    """
    try:
        pixels = record.pixels()
    except FusarError as error:
        raise KlipError(f"Record {record.id}: {error}") from error
    if pixels.ndim == 3:
        pixels = np.array(Image.fromarray(pixels).convert("L"))
    window = replace(whole_window(record), col=0, row=0)
    return resized(pixels, ResizePlan(window, side, side, 1, 1))


class Schedule(Dataset[Example]):
    """The examples of a whole run in order: epoch after epoch, each in an order of its own.

    Item i is a function of data, settings and i alone, as in ``fusar_train.stages``: so processes that share the work,
    processes that read ahead and a run that goes on after a crash make the same steps.
    """

    def __init__(self, data: KlipData, settings: KlipSettings, side: int) -> None:
        self.data, self.side = data, side
        self._settings = settings
        self.steps_an_epoch = len(data) / settings.batch
        self.steps = settings.max_steps or max(round(settings.epochs * self.steps_an_epoch), 1)
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.zeros(0, np.int64))

    def __len__(self) -> int:
        return self.steps * self._settings.batch

    def __getitem__(self, place: int) -> Example:
        epoch, within = divmod(place, len(self.data))
        if self._order[0] != epoch:
            rng = np.random.default_rng((self._settings.seed, epoch))
            self._order = (epoch, rng.permutation(len(self.data)))
        return self.example(
            int(self._order[1][within]), np.random.default_rng((self._settings.seed, 1, place))
        )

    def example(self, number: int, rng: np.random.Generator) -> Example:
        """A record's image with one of the texts that can be made of its sub-texts."""
        settings = self._settings
        told = self._drawn(self.data.sub_texts[number], rng)
        may = [place for place, one in enumerate(told) if one.learnt]
        most = min(len(may), settings.blanks) if rng.random() < settings.written else 0
        blanks = rng.permutation(may)[: int(rng.integers(1, most + 1))].tolist() if most else []
        return Example(
            record=number,
            image=grey_image(self.data.records[number], self.side),
            sub_texts=told,
            with_keys=bool(rng.random() < settings.with_keys),
            blanks=tuple(sorted(blanks)),
            context=bool(rng.random() >= settings.without_context),
        )

    def _drawn(self, told: tuple[SubText, ...], rng: np.random.Generator) -> tuple[SubText, ...]:
        """The sub-texts of one key set, or a few of all in any order; no more than the model reads."""
        if rng.random() < self._settings.whole:
            texts = key_sets(told)
            chosen = texts[int(rng.integers(len(texts)))]
        else:
            version = told[int(rng.integers(len(told)))].version
            those = [one for one in told if one.version == version]
            few = int(rng.integers(1, self._settings.most_sub_texts + 1))
            chosen = [those[place] for place in rng.permutation(len(those))[:few]]
        while len(chosen) > 1 and length_of(chosen) > self._settings.longest:
            del chosen[int(rng.integers(len(chosen)))]
        return tuple(chosen)


class Collator:
    """Makes a batch of examples."""

    def __init__(self, data: KlipData, tokenizer: KlipTokenizer) -> None:
        self._data, self._tokenizer = data, tokenizer
        self._prompts = [prompt(tokenizer, blank_key(slot)) for slot in range(len(SLOTS))]
        self._headings = [tokenizer.pieces(f"{key}:") for _, key in SLOTS]

    def __call__(self, examples: Sequence[Example]) -> KlipBatch:
        """The batch of some examples."""
        texts = self._tokenizer.batch([self._text(one) for one in examples])
        asked = [row for row, one in enumerate(examples) if one.blanks]
        filled = [self._filled(examples[row]) for row in asked] or [Filled([self._tokenizer.start], [])]
        records = [one.record for one in examples]
        return KlipBatch(
            records=torch.tensor(records),
            images=torch.from_numpy(np.stack([one.image for one in examples])),
            ids=texts.ids,
            mask=texts.mask,
            image_facts=torch.from_numpy(self._data.fact_rows(records)),
            text_facts=torch.from_numpy(rows_of([one.sub_texts for one in examples])),
            asked=torch.tensor(asked, dtype=torch.int64),
            decoder=decoder_inputs(self._tokenizer, filled),
        )

    def _text(self, example: Example) -> list[int]:
        return self._tokenizer.sentence(self._piece(one, example.with_keys) for one in example.sub_texts)

    def _piece(self, one: SubText, with_keys: bool) -> Sequence[int]:
        return [*self._headings[one.slot], *one.tokens] if with_keys else one.tokens

    def _filled(self, example: Example) -> Filled:
        """The text with its blanks; a blank alone where the context is hidden."""
        visible: list[Sequence[int]] = [[self._tokenizer.mask]]
        if example.context:
            visible = [
                [self._tokenizer.mask] if place in example.blanks else self._piece(one, example.with_keys)
                for place, one in enumerate(example.sub_texts)
            ]
        blanks = [
            (self._prompts[one.slot], list(one.tokens))
            for one in map(example.sub_texts.__getitem__, example.blanks)
        ]
        return Filled(self._tokenizer.sentence(visible), blanks)


def blank_key(slot: int) -> str:
    """How the decoder is told what a blank is about: key set and key, since both sets have a Location."""
    return " ".join(SLOTS[slot])

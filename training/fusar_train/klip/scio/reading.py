"""How a model in training reads sub-texts: vectors (ITC), matching scores (ITM) and likelihoods (MLM), many at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from fusar_gpt.retrieval.decoding import NOT_LEARNT, Blank, Filled, decoder_inputs, prompt, write_blanks
from fusar_train.klip.batches import blank_key, grey_image
from fusar_train.klip.data import SLOTS, SubText, length_of, most_tokens
from fusar_train.klip.train import Prepared

CHUNK = 64
"""Images that are held at a time."""
_BUDGET = 6144
"""Tokens of a batch: texts of like length go together."""

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """A sub-text of an image, in the text that it is part of.

    Attributes:
        record: Number of the record.
        place: Of the sub-text among those of the record.
        row: Of the image in the chunk.
        text: The whole text, sub-text by sub-text, with this one.
        places: Of these among those of the record.
        at: Where it stands there.
    """

    record: int
    place: int
    row: int
    text: tuple[SubText, ...]
    places: tuple[int, ...]
    at: int

    @property
    def own(self) -> SubText:
        """The sub-text itself."""
        return self.text[self.at]

    @property
    def rest(self) -> tuple[SubText, ...]:
        """The text without it."""
        return self.text[: self.at] + self.text[self.at + 1 :]


@dataclass(frozen=True)
class Chunk:
    """Some images as the model sees them: tokens [N, T, C] and unit vectors [N, E], with all their sub-texts."""

    tokens: Tensor
    vectors: Tensor
    cases: list[Case]


class Reader:
    """Reads what ``Prepared.data`` holds with the model as it is now; it is left in evaluation mode."""

    def __init__(self, prepared: Prepared) -> None:
        self.data, self.settings = prepared.data, prepared.run.settings
        self.model, self.tokenizer = prepared.trainer.model.eval(), prepared.tokenizer
        self.device = self.model.log_temperature.device
        self._prompts = [prompt(self.tokenizer, blank_key(slot)) for slot in range(len(SLOTS))]
        told = self.settings.with_keys >= 0.5  # as most texts were in training
        self._headings = [self.tokenizer.pieces(f"{key}:") if told else [] for _, key in SLOTS]

    def chunk(self, numbers: Sequence[int]) -> Chunk:
        """Some records; KlipError where an image cannot be read."""
        cases = [case for row, number in enumerate(numbers) for case in self.cases(number, row)]
        return Chunk(*self.images(numbers), cases)

    @torch.inference_mode()
    def images(self, numbers: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Tokens [N, T, C] and unit vectors [N, E] of some records' images; KlipError where one cannot be read."""
        side = self.model.config.image.image_px
        images = [grey_image(self.data.records[number], side) for number in numbers]
        pixels = np.stack(images) if images else np.zeros((0, side, side), np.uint8)
        return self.model.encode_images(torch.from_numpy(pixels).to(self.device))

    def cases(self, number: int, row: int = 0) -> Iterator[Case]:
        """All sub-texts of a record, each in the whole text of its key set and version, or as much as is read of it."""
        told = self.data.sub_texts[number]
        for place, one in enumerate(told):
            text = [place]
            for other, each in enumerate(told):
                together = (each.version, SLOTS[each.slot][0]) == (one.version, SLOTS[one.slot][0])
                if together and other != place:
                    several = [told[n] for n in (*text, other)]
                    text += [other] if length_of(several) <= self.settings.longest else []
            text.sort()
            yield Case(number, place, row, tuple(told[n] for n in text), tuple(text), text.index(place))

    def sentence(self, text: Sequence[SubText]) -> tuple[int, ...]:
        """The token ids of a text."""
        return tuple(self.tokenizer.sentence([*self._headings[one.slot], *one.tokens] for one in text))

    @torch.inference_mode()
    def vectors(self, sentences: Sequence[tuple[int, ...]]) -> Tensor:
        """Unit vectors [N, E] of texts; equal ones are read once."""
        different = {each: n for n, each in enumerate(dict.fromkeys(sentences))}
        known = list(different)
        found = self.vectors_of_nothing(len(known))
        for rows in by_length([len(each) for each in known]):
            ids, mask = self._padded([known[n] for n in rows])
            found[rows] = self.model.encode_texts(ids, mask)[1]
        return found[[different[each] for each in sentences]]

    def vectors_of_nothing(self, count: int) -> Tensor:
        """Zeros [N, E]."""
        return torch.zeros(count, self.model.config.embedding, device=self.device)

    @torch.inference_mode()
    def match(self, sentences: Sequence[tuple[int, ...]], tokens: Tensor, rows: Sequence[int]) -> Values:
        """The score of ITM [N], as log-odds that text and image belong together: a sum of logarithms never saturates.

        Args:
            sentences: Texts.
            tokens: Of images.
            rows: Which of them each text is matched with.
        """
        found = np.zeros(len(sentences))
        for some in by_length([len(each) for each in sentences]):
            ids, mask = self._padded([sentences[n] for n in some])
            states, _ = self.model.encode_texts(ids, mask)
            logits = self.model.match(states, mask, tokens[[rows[n] for n in some]])
            found[some] = (logits[:, 1] - logits[:, 0]).cpu().numpy()
        return found

    @torch.inference_mode()
    def likelihood(
        self,
        cases: Sequence[Case],
        visible: Sequence[Sequence[SubText | None]],
        tokens: Tensor,
        looked_at: Sequence[Sequence[int]],
    ) -> Values:
        """The logarithm of the likelihood that the decoder writes each sub-text, summed over its tokens [K, N].

        Args:
            cases: Their own sub-texts are what is written.
            visible: The text that is seen, None for the blank.
            tokens: Of images.
            looked_at: K times, which image each is written for: the text itself is read only once.
        """
        filled = [
            Filled(self._visible(text), [(self._prompts[case.own.slot], list(case.own.tokens))])
            for case, text in zip(cases, visible, strict=True)
        ]
        found = np.zeros((len(looked_at), len(cases)))
        for some in by_length([one.longest_reach for one in filled]):
            inputs = decoder_inputs(self.tokenizer, [filled[n] for n in some])
            ids, mask, positions, labels = (
                each.to(self.device) for each in (inputs.ids, inputs.mask, inputs.positions, inputs.labels)
            )
            read = self.model.text(ids, mask, positions)
            for k, rows in enumerate(looked_at):
                states = self.model.text.fused(read, mask, tokens[[rows[n] for n in some]])
                found[k, some] = self._log_likelihood(states, labels).cpu().numpy()
        return found

    def _log_likelihood(self, states: Tensor, labels: Tensor) -> Tensor:
        learnt = labels != NOT_LEARNT
        words = self.model.text.words(states[learnt]).float()
        loss = functional.cross_entropy(words, labels[learnt], reduction="none")
        return -torch.zeros(len(labels), device=self.device).index_add_(0, learnt.nonzero()[:, 0], loss)

    @torch.inference_mode()
    def write(
        self, cases: Sequence[Case], visible: Sequence[Sequence[SubText | None]], tokens: Tensor
    ) -> list[str]:
        """What the decoder writes in place of each case's own sub-text (eq. 13)."""
        found = [""] * len(cases)
        blanks = [
            Blank(blank_key(case.own.slot), tuple(None if one is None else self._words(one) for one in text))
            for case, text in zip(cases, visible, strict=True)
        ]
        for some in by_length([len(self._visible(text)) for text in visible]):
            written = write_blanks(
                self.model,
                self.tokenizer,
                tokens[[cases[n].row for n in some]],
                [blanks[n] for n in some],
                most_tokens(self.settings.longest),
            )
            for n, text in zip(some, written, strict=True):
                found[n] = text.strip()
        return found

    def _words(self, one: SubText) -> str:
        return f"{SLOTS[one.slot][1]}: {one.text}" if self._headings[one.slot] else one.text

    def _visible(self, text: Sequence[SubText | None]) -> list[int]:
        pieces = [
            [self.tokenizer.mask] if one is None else [*self._headings[one.slot], *one.tokens] for one in text
        ]
        return self.tokenizer.sentence(pieces)

    def _padded(self, sentences: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
        texts = self.tokenizer.batch(sentences)
        return texts.ids.to(self.device), texts.mask.to(self.device)


def by_length(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of texts of like length, as many together as a batch holds."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[number] * (len(batch) + 1) > _BUDGET:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def blanked(case: Case, context: bool = True) -> tuple[SubText | None, ...]:
    """The case's text with a blank in place of the sub-text (eq. 12); the blank alone without ``context``."""
    if not context:
        return (None,)
    return (*case.text[: case.at], None, *case.text[case.at + 1 :])

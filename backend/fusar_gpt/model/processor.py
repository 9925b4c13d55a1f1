"""Turns images, prompts and priors into the padded batch of tensors that the model takes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from transformers import PreTrainedTokenizerBase, Qwen2VLImageProcessorPil

from fusar_gpt.errors import PriorError
from fusar_gpt.model.chat_template import render_chat
from fusar_gpt.model.config import VEC_DIM
from fusar_gpt.model.folder import Card

Prior = tuple[NDArray[np.float32], NDArray[np.float32]]
IGNORED = -100  # the label of tokens that carry no loss

_LOG = logging.getLogger(__name__)
_EDGE = 1e-3  # tolerance of positions outside the image
_SLOT = "\x00"  # stands for the prompt while the chat template is cut in two


class FusarGptProcessor:
    """Turns chips at the model's own size, prompts and priors into a left-padded batch.

    One image a prompt. Serving and training use the same object, so they cannot disagree about an input.

    Attributes:
        prefix: Token ids of everything before the prompt, the same for every chip.
        image_span: Where in ``prefix`` the image tokens stand.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, image_processor: Qwen2VLImageProcessorPil, card: Card
    ) -> None:
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.card = card
        head, tail = self._template()
        image = tokenizer.convert_tokens_to_ids("<|image_pad|>")
        at = head.index(image)
        tokens = card.token_rows * card.token_cols
        self.prefix = (*head[:at], *[image] * tokens, *head[at + 1 :])
        self.image_span = slice(at, at + tokens)
        self._tail = tail
        self._ramps = _ramps(card.width, card.height) if card.position_ramps else None

    def __call__(
        self,
        images: Sequence[NDArray[np.uint8]],
        prompts: Sequence[str],
        priors: Sequence[Prior] | None = None,
        answers: Sequence[str] | None = None,
    ) -> dict[str, Tensor]:
        """Make a batch of N chips.

        Args:
            images: N of uint8 [height, width] grey or [height, width, 3] RGB, already of the card's size.
            prompts: N texts; special tokens inside them are taken as plain text.
            priors: N of (values [S, 64], positions [S, 2] as (y, x) in [0, 1]); S may differ and may be 0.
            answers: N texts to learn; adds ``labels``, which cover the answers and their end token only.

        Returns:
            ``input_ids``, ``attention_mask``, ``mm_token_type_ids`` [N, T]; ``pixel_values``,
            ``image_grid_thw`` [N, 3]; ``aef_values`` [N, S, 64], ``aef_coords`` [N, S, 2], ``aef_mask``
            [N, S]; with answers also ``labels`` [N, T].

        Raises:
            ValueError: an image of another size, or lists of different lengths: the caller's mistake.
        """
        if priors is None:
            priors = [(np.zeros((0, VEC_DIM), np.float32), np.zeros((0, 2), np.float32))] * len(images)
        if not len(images) == len(prompts) == len(priors):
            raise ValueError(f"{len(images)} images, {len(prompts)} prompts and {len(priors)} priors")
        batch = self.encode_text(prompts, answers)
        batch.update(self.encode_images(images))
        batch.update(encode_priors(priors))
        return batch

    def encode_text(self, prompts: Sequence[str], answers: Sequence[str] | None = None) -> dict[str, Tensor]:
        """The text half of a batch: ids, masks, token types and, with answers, labels."""
        rows = [[*self.prefix, *self.ids_after_image(prompt)] for prompt in prompts]
        labels = [[IGNORED] * len(row) for row in rows]
        for i, answer in enumerate(answers or ()):
            learnt = [*self._plain(answer), self.tokenizer.eos_token_id]
            rows[i] += learnt
            labels[i] += learnt
        length = max(map(len, rows))
        ids = torch.full((len(rows), length), self.tokenizer.pad_token_id)
        attention = torch.zeros_like(ids)
        types = torch.zeros_like(ids)
        targets = torch.full_like(ids, IGNORED)
        for i, row in enumerate(rows):
            start = length - len(row)
            ids[i, start:] = torch.tensor(row)
            attention[i, start:] = 1
            types[i, start:][self.image_span] = 1
            targets[i, start:] = torch.tensor(labels[i])
        batch = {"input_ids": ids, "attention_mask": attention, "mm_token_type_ids": types}
        return batch if answers is None else {**batch, "labels": targets}

    def ids_after_image(self, prompt: str) -> list[int]:
        """Token ids of the prompt and of the template's end, where the answer begins."""
        return [*self._plain(prompt), *self._tail]

    def encode_images(self, images: Sequence[NDArray[np.uint8]]) -> dict[str, Tensor]:
        """The image half of a batch: ``pixel_values`` and ``image_grid_thw``."""
        card = self.card
        for image in images:
            size = (card.height, card.width)
            if image.dtype != np.uint8 or image.shape not in (size, (*size, 3)):
                raise ValueError(f"the model sees uint8 {list(size)}, not {image.dtype} {list(image.shape)}")
        coloured = [self._channels(image) for image in images]
        encoded = self.image_processor(
            images=coloured, do_resize=False, input_data_format="channels_last", return_tensors="pt"
        )
        grid = encoded["image_grid_thw"]
        planned = torch.tensor([1, card.height // card.patch, card.width // card.patch])
        if not bool((grid == planned).all()):
            raise ValueError(
                f"the image processor made the grid {grid.tolist()}, planned was {planned.tolist()}"
            )
        return {"pixel_values": encoded["pixel_values"], "image_grid_thw": grid}

    def _channels(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Uint8 [H, W, 3]: colours as they are, grey three times, or grey and the two position ramps."""
        if self._ramps is None:
            return image if image.ndim == 3 else np.stack([image] * 3, axis=-1)
        grey = image if image.ndim == 2 else np.asarray(Image.fromarray(image).convert("L"))
        return np.concatenate([grey[..., None], self._ramps], axis=-1)

    def _plain(self, text: str) -> list[int]:
        """Token ids of a text in which nothing counts as a special token; lone surrogates become '?'."""
        clean = text.encode("utf-8", "replace").decode("utf-8")
        ids: list[int] = self.tokenizer(clean, add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return ids

    def _template(self) -> tuple[list[int], list[int]]:
        """Token ids of the chat template before and after the prompt."""
        text = render_chat(self.tokenizer, _SLOT)
        head, _, tail = text.partition(_SLOT)
        ids = [self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (head, tail)]
        return ids[0], ids[1]


def encode_priors(priors: Sequence[Prior]) -> dict[str, Tensor]:
    """Pad N priors to one S (0 when all are empty).

    Args:
        priors: N of (values [S, 64], positions [S, 2] as (y, x) in [0, 1]). Rows that are not finite have no
            data: they are left out, and a warning counts them.

    Returns:
        ``aef_values`` float32 [N, S, 64], ``aef_coords`` float32 [N, S, 2] and ``aef_mask`` bool [N, S].

    Raises:
        PriorError: A prior of another shape, or positions that are not normalised.
    """
    rows = [_finite_rows(*prior) for prior in priors]
    given, most = sum(len(values) for values, _ in priors), max((len(row) for row in rows), default=0)
    if dropped := given - sum(map(len, rows)):
        _LOG.warning("dropped %d of %d prior vectors that are not finite", dropped, given)
    values = torch.zeros(len(rows), most, VEC_DIM)
    coords = torch.zeros(len(rows), most, 2)
    mask = torch.zeros(len(rows), most, dtype=torch.bool)
    for i, row in enumerate(rows):
        values[i, : len(row)] = torch.from_numpy(row[:, :VEC_DIM])
        coords[i, : len(row)] = torch.from_numpy(row[:, VEC_DIM:])
        mask[i, : len(row)] = True
    return {"aef_values": values, "aef_coords": coords, "aef_mask": mask}


def _finite_rows(values: NDArray[np.float32], positions: NDArray[np.float32]) -> NDArray[np.float32]:
    """Vector and position of each node that has both, float32 [S, 66]."""
    values, positions = np.asarray(values), np.asarray(positions)
    if values.ndim != 2 or values.shape[1] != VEC_DIM or positions.shape != (len(values), 2):
        raise PriorError(
            f"a prior must be vectors [S, {VEC_DIM}] at positions [S, 2], not {list(values.shape)} at "
            f"{list(positions.shape)}: export all {VEC_DIM} bands and one (y, x) each."
        )
    with np.errstate(over="ignore"):  # a number too large for float32 is not finite
        rows = np.concatenate([values, positions], axis=1, dtype=np.float32, casting="unsafe")
    rows = rows[np.isfinite(rows).all(axis=1)]
    places = rows[:, VEC_DIM:]
    if not ((places >= -_EDGE) & (places <= 1 + _EDGE)).all():
        raise PriorError(
            f"a prior's positions reach from {places.min():g} to {places.max():g}: they must be normalised, "
            "(y, x) as fractions 0 to 1 of the image's height and width."
        )
    np.clip(places, 0, 1, out=places)
    return rows


def _ramps(width: int, height: int) -> NDArray[np.uint8]:
    """Uint8 [H, W, 2]: x and y of every pixel from 0 to 255; the vision tower knows no absolute position."""
    x = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    y = np.broadcast_to(np.linspace(0, 255, height)[:, None], (height, width))
    return np.stack([x, y], axis=-1).round().astype(np.uint8)

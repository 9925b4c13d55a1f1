"""A loaded FUSAR-KLIP: vectors of images and texts, how well they match, and texts written for images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from fusar_gpt.errors import CheckpointError, TaskError
from fusar_gpt.model.klip_card import KlipCard
from fusar_gpt.model.store import find_folder
from fusar_gpt.retrieval.decoding import Blank, write_blanks
from fusar_gpt.retrieval.folder import read_klip
from fusar_gpt.retrieval.model import KlipModel
from fusar_gpt.retrieval.tokenizer import KlipTokenizer

BATCH = 64


@dataclass(frozen=True)
class Klip:
    """A checkpoint, ready to run.

    Its methods raise TaskError for images that are not grey levels of its size, or not as many as the texts beside
    them.

    Attributes:
        model: In evaluation mode on ``device``.
        tokenizer: Its tokenizer.
        card: Its card; ``card.hash`` tells whose vectors can be compared.
        device: Where it computes.
    """

    model: KlipModel
    tokenizer: KlipTokenizer
    card: KlipCard
    device: torch.device

    @property
    def image_px(self) -> int:
        """The side of the images that it sees."""
        return self.model.config.image.image_px

    @torch.inference_mode()
    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, E] of grey images uint8 [N, image_px, image_px]."""
        found = [self._seen(images[at : at + BATCH])[1] for at in range(0, len(images), BATCH)]
        return self._joined(found)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, E] of texts; TooLarge for a text that is longer than the model reads."""
        found = [self._read(texts[at : at + BATCH])[2] for at in range(0, len(texts), BATCH)]
        return self._joined(found)

    @torch.inference_mode()
    def match(self, images: NDArray[np.uint8], texts: Sequence[str]) -> NDArray[np.float32]:
        """The probability float32 [N] that each image and its text belong together (eq. 5)."""
        self._check_pairs(images, texts)
        found = [np.zeros(0, np.float32)]
        for at in range(0, len(texts), BATCH):
            states, mask, _ = self._read(texts[at : at + BATCH])
            logits = self.model.match(states, mask, self._seen(images[at : at + BATCH])[0])
            found.append(logits.softmax(-1)[:, 1].cpu().numpy())
        return np.concatenate(found)

    @torch.inference_mode()
    def write(self, images: NDArray[np.uint8], blanks: Sequence[Blank], longest: int = 48) -> list[str]:
        """For each image, what stands in a blank of its text (eq. 13), in at most ``longest`` tokens."""
        self._check_pairs(images, blanks)
        found: list[str] = []
        for at in range(0, len(blanks), BATCH):
            tokens, _ = self._seen(images[at : at + BATCH])
            found += write_blanks(self.model, self.tokenizer, tokens, blanks[at : at + BATCH], longest)
        return found

    def _check_pairs(self, images: NDArray[np.uint8], others: Sequence[object]) -> None:
        if len(images) != len(others):
            raise TaskError(
                f"There are {len(images)} images and {len(others)} texts beside them: give one text an image."
            )

    def _joined(self, found: Sequence[Tensor]) -> NDArray[np.float32]:
        nothing = np.zeros((0, self.model.config.embedding), np.float32)
        return np.concatenate([nothing, *(vectors.cpu().numpy() for vectors in found)])

    def _seen(self, images: NDArray[np.uint8]) -> tuple[Tensor, Tensor]:
        return self.model.encode_images(grey_levels(images, self.image_px).to(self.device))

    def _read(self, texts: Sequence[str]) -> tuple[Tensor, Tensor, Tensor]:
        encoded = self.tokenizer.encode(texts, self.model.config.text.longest)
        mask = encoded.mask.to(self.device)
        states, vectors = self.model.encode_texts(encoded.ids.to(self.device), mask)
        return states, mask, vectors


def grey_levels(images: NDArray[np.uint8], side: int) -> Tensor:
    """Images as a tensor uint8 [N, side, side]; TaskError where they are no such grey levels."""
    if images.dtype != np.uint8 or images.shape[1:] != (side, side):
        raise TaskError(
            f"Images must be grey levels, uint8 [N, {side}, {side}], not {images.dtype} {list(images.shape)}: "
            "stretch them to 8 bits and resize them first."
        )
    return torch.from_numpy(np.ascontiguousarray(images))


def device_called(name: str) -> torch.device:
    """Where to compute: ``auto`` is a GPU where there is one. Raises CheckpointError where the device is not there."""
    gpu = torch.cuda.is_available()
    if name not in ("auto", "cpu") and not (name.startswith("cuda") and gpu):
        raise CheckpointError(f"there is no device {name!r} here: take auto or cpu")
    return torch.device(("cuda" if gpu else "cpu") if name == "auto" else name)


def load_klip(name_or_dir: str | Path, *, device: str = "auto") -> Klip:
    """Loads a checkpoint for use: a name in the store, a folder or a model hub id.

    Raises:
        CheckpointError: It is missing, broken or no FUSAR-KLIP, or the device is not there.
    """
    where = device_called(device)
    model, tokenizer, card = read_klip(find_folder(str(name_or_dir), "klip-tiny"))
    return Klip(model.eval().to(where), tokenizer, card, where)

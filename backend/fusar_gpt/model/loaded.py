"""The model for scripts: images of any size and their priors to visual tokens or text."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from fusar_gpt.errors import TaskError
from fusar_gpt.model.checkpoint import Checkpoint, load_checkpoint
from fusar_gpt.model.config import VEC_DIM
from fusar_gpt.model.decoding import greedy, visual_tokens
from fusar_gpt.model.folder import Card
from fusar_gpt.model.processor import Prior

_LOG = logging.getLogger(__name__)
_EIGHT_BIT = ("1", "L", "LA", "P", "RGB", "RGBA")
_TOGETHER = 8  # images or questions at a time
_NO_PRIOR = (np.zeros((0, VEC_DIM), np.float32), np.zeros((0, 2), np.float32))


def load(name_or_dir: str | Path, *, device: str = "auto", dtype: str | None = None) -> LoadedModel:
    """Load a checkpoint for scripts.

    Args:
        name_or_dir: "tiny", the name of a stored checkpoint, a folder, or a model hub id.
        device: "auto", "cpu", "cuda", "cuda:1", ...
        dtype: "float32", "bfloat16" or "float16"; None is float32 on the CPU and the checkpoint's own elsewhere.

    Raises:
        CheckpointError: It cannot be loaded.
        ValueError: An unknown dtype.
    """
    return LoadedModel(load_checkpoint(name_or_dir, device=device, dtype=dtype))


@dataclass(frozen=True)
class LoadedModel:
    """A checkpoint that answers about images; :class:`~fusar_gpt.engine.LocalEngine` serves scans better.

    An image is a PIL image of 8 bits a channel and any size. Its prior is (features float32 [S, 64], positions
    float32 [S, 2] as (y, x) in [0, 1] of that image), or None.
    """

    checkpoint: Checkpoint

    @property
    def card(self) -> Card:
        """What the checkpoint wants to be fed and what it is."""
        return self.checkpoint.card

    def visual_tokens(self, images: Sequence[Image.Image], priors: Sequence[Prior | None]) -> list[Tensor]:
        """The visual tokens after TLM, one [H*W, C] an image, row-major (FUSAR-GPT eq. 11)."""
        pixels, vectors = self._framed(images, priors)
        tokens: list[Tensor] = []
        for start in range(0, len(pixels), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            tokens += visual_tokens(self.checkpoint, pixels[part], vectors[part])
        return tokens

    def answer(
        self,
        images: Sequence[Image.Image],
        priors: Sequence[Prior | None],
        prompts: Sequence[str],
        max_new_tokens: int = 512,
    ) -> list[str]:
        """The model's greedy answer to one prompt an image, free of any grammar."""
        if len(prompts) != len(images):
            raise TaskError(f"{len(images)} images but {len(prompts)} prompts: give one prompt an image")
        pixels, vectors = self._framed(images, priors)
        return greedy(self.checkpoint, pixels, vectors, prompts, max_new_tokens, batch_size=_TOGETHER)

    def _framed(
        self, images: Sequence[Image.Image], priors: Sequence[Prior | None]
    ) -> tuple[list[NDArray[np.uint8]], list[Prior]]:
        if len(priors) != len(images):
            raise TaskError(f"{len(images)} images but {len(priors)} priors: give None where there is none")
        if not self.card.uses_prior and any(prior is not None for prior in priors):
            _LOG.warning("%s was trained on images alone: no prior changes its answers", self.card.name)
        pairs = [
            frame(image, prior or _NO_PRIOR, self.card) for image, prior in zip(images, priors, strict=True)
        ]
        return [pixels for pixels, _ in pairs], [prior for _, prior in pairs]


def frame(image: Image.Image, prior: Prior, card: Card) -> tuple[NDArray[np.uint8], Prior]:
    """An image and its prior as the model sees them: uint8 [height, width, 3], positions within the frame.

    Stretched cards resize to the frame whatever the shape, bicubic as the authors' release does; others keep
    the shape, centred on black.
    """
    if image.mode not in _EIGHT_BIT:
        raise TaskError(
            f"an image of mode {image.mode} has no agreed way to 8 bits: compress its range first, as "
            "fusar_gpt.imagery.Stretch does"
        )
    width, height = card.width, card.height
    if card.aspect == "undistorted":
        scale = min(width / image.width, height / image.height)
        width, height = (max(round(side * scale), 1) for side in (image.width, image.height))
    resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = (card.width - width) // 2, (card.height - height) // 2
    framed = Image.new("RGB", (card.width, card.height))
    framed.paste(resized, (left, top))
    values, positions = prior
    share = np.array([height / card.height, width / card.width])
    corner = np.array([top / card.height, left / card.width])
    return np.asarray(framed), (values, (positions * share + corner).astype(np.float32))

"""Momentum encoders and the queue of what they have seen (MoCo, ALBEF): more candidates for ITC than a batch has."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from fusar_gpt.retrieval import KlipModel
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT


@dataclass(frozen=True)
class Keys:
    """Candidates for ITC.

    Attributes:
        images, texts: Their unit vectors [M, E].
        image_facts, text_facts: What they tell, int64 [M, slots].
    """

    images: Tensor
    texts: Tensor
    image_facts: Tensor
    text_facts: Tensor

    def followed_by(self, other: Keys) -> Keys:
        """These candidates and then others."""
        return Keys(
            *(torch.cat(both) for both in zip(vars(self).values(), vars(other).values(), strict=True))
        )


class MomentumEncoders(nn.Module):
    """Copies of both encoders that follow them slowly; they never learn themselves."""

    def __init__(self, model: KlipModel, momentum: float) -> None:
        super().__init__()
        self._momentum = momentum
        self.copy = deepcopy(model).requires_grad_(False)
        self.copy.text.fusion = nn.ModuleList()  # they encode, and neither match nor write
        self.copy.text.head, self.copy.match_head = nn.Identity(), nn.Identity()  # type: ignore[assignment]

    @torch.no_grad()
    def follow(self, model: KlipModel) -> None:
        """One step towards the encoders."""
        theirs = dict(model.named_parameters())
        for name, mine in self.copy.named_parameters():
            mine.lerp_(theirs[name], 1 - self._momentum)

    @torch.no_grad()
    def encode(self, images: Tensor, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Unit vectors [N, E] of images and of texts."""
        return self.copy.encode_images(images)[1], self.copy.encode_texts(ids, mask)[1]


class Queue(nn.Module):
    """The last vectors of the momentum encoders, with what they tell; the oldest are replaced."""

    def __init__(self, size: int, embedding: int) -> None:
        super().__init__()
        self.size = size
        self.images, self.texts = (nn.Buffer(torch.zeros(size, embedding)) for _ in range(2))
        self.image_facts, self.text_facts = (
            nn.Buffer(torch.full((size, len(SLOTS)), UNKNOWN_FACT)) for _ in range(2)
        )
        self.seen = nn.Buffer(torch.zeros((), dtype=torch.int64))

    def keys(self) -> Keys:
        """What it holds by now."""
        held = min(int(self.seen), self.size)
        return Keys(self.images[:held], self.texts[:held], self.image_facts[:held], self.text_facts[:held])

    @torch.no_grad()
    def add(self, new: Keys) -> None:
        """Puts vectors in the place of the oldest."""
        if not self.size:
            return
        last = {name: value[-self.size :] for name, value in vars(new).items()}
        count = len(last["images"])
        at = (self.seen + torch.arange(count, device=self.images.device)) % self.size
        for name, value in last.items():
            getattr(self, name)[at] = value.to(getattr(self, name).dtype)
        self.seen.add_(count)


def parts(**modules: nn.Module) -> dict[str, Tensor]:
    """The weights and buffers of several modules under their names."""
    return {
        f"{name}.{key}": value for name, one in modules.items() for key, value in one.state_dict().items()
    }


def put_back(saved: Mapping[str, Tensor], **modules: nn.Module) -> None:
    """Loads what ``parts`` gave; RuntimeError where it does not fit."""
    for name, module in modules.items():
        mine = {
            key.removeprefix(f"{name}."): value for key, value in saved.items() if key.startswith(f"{name}.")
        }
        module.load_state_dict(mine)

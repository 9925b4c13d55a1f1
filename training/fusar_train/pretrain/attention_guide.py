"""Shows the language model where to look: some of its attention is drawn to the visual token that a word is about.

Left to itself, it takes thousands of steps to find out that a word of a box can be read off one of 196 tokens. Nothing
of this is left in the checkpoint.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from fusar_train.pretrain.packing import PREFIX, Packed

LAYERS = (1, 2)
"""The layers that ``packed.look`` is for: the one before them is left to find out which object a word belongs to."""
HEADS = 4
"""Guided heads of each; the others look where they like."""
BACK = 2
"""The kind of a visual token's look back; the others are 1 for one ahead of what was said, and 0."""


def let_watch(model: Any) -> None:
    """Have the language model's attention keep what ``where_loss`` needs, at each call until the next one."""
    model.model.language_model.config._attn_implementation = "watched"


def where_loss(model: Any, packed: Packed) -> Tensor:
    """Cross-entropy of where the guided heads looked in the last call, against ``packed.look``; zero if nowhere.

    Finding the next object is the hardest look and the rarest, so these count as much as all others, and so do the
    looks back of the visual tokens, which make it easy: the next object is the one that has looked at this one.
    """
    sees = packed.mask()[:, 0]
    losses = torch.zeros(())
    for layer, looks in zip(LAYERS, packed.look, strict=True):
        attention = model.model.language_model.layers[layer].self_attn
        query, key = attention.watched
        entropies, kinds = [], []
        for chip, look in enumerate(looks):
            rows = look >= 0
            scores = query[chip, :HEADS, rows] @ key[chip, :HEADS].transpose(-1, -2) * attention.scaling
            scores = scores.masked_fill(~sees[chip, rows], -torch.inf)
            truth = look[rows].expand(HEADS, -1)
            entropies.append(functional.cross_entropy(scores.movedim(-1, 1), truth, reduction="none").mean(0))
            back = packed.question[chip, rows] == PREFIX
            kinds.append(torch.where(back, BACK, (look[rows] != packed.look[0, chip, rows]).long()))
        entropy, kind = torch.cat(entropies), torch.cat(kinds)
        losses = losses + sum(entropy[kind == one].mean() for one in range(BACK + 1) if (kind == one).any())
    return losses


def _watched_attention(
    module: nn.Module, query: Tensor, key: Tensor, *rest: Any, **options: Any
) -> tuple[Tensor, None]:
    module.watched = query, key  # type: ignore[assignment]
    return sdpa_attention_forward(module, query, key, *rest, **options)  # type: ignore[no-any-return]


AttentionInterface.register("watched", _watched_attention)

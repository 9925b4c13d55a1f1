"""The language model's losses on packed questions: of its answers, and of where its attention goes.

Some of its attention is drawn to the visual token that a word is about. Left to itself, it takes thousands of steps to
find out that a word of a box can be read off one of 196 tokens. Nothing of this is left in the checkpoint.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from fusar_gpt.model.processor import IGNORED
from fusar_gpt.model.tiny import LARGEST_NUMBER, LARGEST_REACH, SIDES
from fusar_train.pretrain.packing import PREFIX, Packed

FAR_PX = 20.0
SIDE_WEIGHT = 2.0
"""A box has four numbers that only looking tells, among many words that are soon known."""
LAYERS = (1, 2)
"""The layers that ``packed.attend`` is for: the one before them is left to find out which object a word belongs to."""
HEADS = 4
"""Guided heads of each; the others look where they like."""
BACK = 2
"""The kind of a visual token's look back; the others are 1 for one ahead of what was said, and 0."""


def visual_tokens(model: Any, batch: dict[str, Tensor]) -> Tensor:
    """The chips' visual tokens after TLM, [N, T, C]."""
    images = model.model.get_image_features(
        batch["pixel_values"],
        batch["image_grid_thw"],
        batch["aef_values"],
        batch["aef_coords"],
        batch["aef_mask"],
        return_dict=True,
    )
    return torch.stack(images.pooler_output)


def hidden_states(model: Any, packed: Packed, tokens: Tensor) -> Tensor:
    """The language model's last states [N, T, C] on packed questions."""
    embedded = model.get_input_embeddings()(packed.ids)
    slots = (packed.ids == model.config.image_token_id)[..., None].expand_as(embedded)
    embedded = embedded.masked_scatter(slots, tokens.to(embedded.dtype))
    out = model.model.language_model(
        inputs_embeds=embedded,
        position_ids=packed.positions,
        attention_mask={"full_attention": packed.mask()},
        use_cache=False,
    )
    return out.last_hidden_state  # type: ignore[no-any-return]


def number_tokens(tokenizer: Any) -> Tensor:
    """The tokens of the numbers 0..224 with a blank before them, int64 [225]."""
    return torch.tensor(tokenizer.convert_tokens_to_ids([f"Ġ{n}" for n in range(LARGEST_NUMBER + 1)]))


def side_tokens(tokenizer: Any) -> Tensor:
    """The tokens of " l0" to " d128", int64 [4, 129]."""
    words = [f"Ġ{side}{reach}" for side in SIDES for reach in range(LARGEST_REACH + 1)]
    return torch.tensor(tokenizer.convert_tokens_to_ids(words)).reshape(len(SIDES), -1)


def order_numbers(model: Any, tokenizer: Any) -> None:
    """Starts the numbers' embeddings on a curve, so that numbers that differ little look alike from the first.

    The curve of a box's side is shorter, and each side has its own place.
    """
    table = model.get_input_embeddings().weight
    scale = 2**0.5 * model.config.text_config.initializer_range
    sides = side_tokens(tokenizer)
    apart = functional.normalize(torch.randn(len(sides), 1, table.shape[1]), dim=-1)
    with torch.no_grad():
        table[number_tokens(tokenizer)] = _curve(LARGEST_NUMBER, table.shape[1]) * scale
        table[sides] = (_curve(LARGEST_REACH, table.shape[1]) + apart * (table.shape[1] / 2) ** 0.5) * scale


def _curve(largest: int, channels: int) -> Tensor:
    waves = torch.exp(torch.linspace(0.0, 4.6, channels // 2)) * torch.pi / largest
    angles = torch.arange(largest + 1)[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class LanguageLoss:
    """Cross-entropy on the answers.

    A box that reaches a pixel too far is nearly right, so its label is a Gaussian over the neighbouring numbers, and
    the expected number is drawn to the true one.
    """

    def __init__(self, tokenizer: Any, softness_px: float = 1.0) -> None:
        self.numbers = number_tokens(tokenizer)
        self.sides = side_tokens(tokenizer)
        reaches = torch.arange(LARGEST_REACH + 1)
        self.side, self.reach = (torch.full((len(tokenizer),), -1) for _ in range(2))
        self.side[self.sides] = torch.arange(len(self.sides))[:, None]
        self.reach[self.sides] = reaches
        self.soft = torch.softmax(-((reaches[:, None] - reaches) ** 2) / (2 * softness_px**2), dim=-1)

    def __call__(self, model: Any, packed: Packed, states: Tensor) -> dict[str, Tensor]:
        """Losses ``answers`` and ``sides`` (per label, weighted) and ``distance`` (in units of 20 px)."""
        learnt = packed.labels != IGNORED
        logits = model.lm_head(states[learnt]).float()
        labels, weights = packed.labels[learnt], packed.weights[learnt]
        total = weights.sum()
        of_side = self.side[labels] >= 0
        entropy = functional.cross_entropy(logits[~of_side], labels[~of_side], reduction="none")
        losses = {"answers": (entropy * weights[~of_side]).sum() / total}
        if of_side.any():
            labels, weights = labels[of_side], weights[of_side] * SIDE_WEIGHT / total
            mine = self.sides[self.side[labels]]
            logs = functional.log_softmax(logits[of_side], dim=-1).gather(1, mine)
            truth = self.reach[labels]
            losses["sides"] = -((self.soft[truth] * logs).sum(-1) * weights).sum()
            expected = (logs.exp() * torch.arange(LARGEST_REACH + 1)).sum(-1)
            losses["distance"] = ((expected - truth).abs() * weights).sum() / FAR_PX
        return losses


def record_attention(model: Any) -> None:
    """Have the language model's attention keep what ``attention_loss`` needs, at each call until the next one."""
    model.model.language_model.config._attn_implementation = "recorded"


def attention_loss(model: Any, packed: Packed) -> Tensor:
    """Cross-entropy of where the guided heads looked in the last call, against ``packed.attend``; zero if nowhere.

    Finding the next object is the hardest look and the rarest, so these count as much as all others, and so do the
    looks back of the visual tokens, which make it easy: the next object is the one that has looked at this one.
    """
    sees = packed.mask()[:, 0]
    losses = torch.zeros(())
    for layer, looks in zip(LAYERS, packed.attend, strict=True):
        attention = model.model.language_model.layers[layer].self_attn
        query, key = attention.recorded
        entropies, kinds = [], []
        for chip, look in enumerate(looks):
            rows = look >= 0
            scores = query[chip, :HEADS, rows] @ key[chip, :HEADS].transpose(-1, -2) * attention.scaling
            scores = scores.masked_fill(~sees[chip, rows], -torch.inf)
            truth = look[rows].expand(HEADS, -1)
            entropies.append(functional.cross_entropy(scores.movedim(-1, 1), truth, reduction="none").mean(0))
            back = packed.question[chip, rows] == PREFIX
            kinds.append(torch.where(back, BACK, (look[rows] != packed.attend[0, chip, rows]).long()))
        entropy, kind = torch.cat(entropies), torch.cat(kinds)
        losses = losses + sum(entropy[kind == one].mean() for one in range(BACK + 1) if (kind == one).any())
    return losses


def _recorded_attention(
    module: nn.Module, query: Tensor, key: Tensor, *rest: Any, **options: Any
) -> tuple[Tensor, None]:
    module.recorded = query, key  # type: ignore[assignment]
    return sdpa_attention_forward(module, query, key, *rest, **options)  # type: ignore[no-any-return]


AttentionInterface.register("recorded", _recorded_attention)

"""The language loss on packed questions, with softened coordinates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from fusar_gpt.model.processor import IGNORED
from fusar_train.stages.packing import Packed

SIDE = 224
FAR_PX = 20.0


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
    return torch.tensor(tokenizer.convert_tokens_to_ids([f"Ġ{n}" for n in range(SIDE + 1)]))


def order_numbers(model: Any, tokenizer: Any) -> None:
    """Starts the numbers' embeddings on a curve, so that numbers that differ little look alike from the first."""
    table = model.get_input_embeddings().weight
    waves = torch.exp(torch.linspace(0.0, 4.6, table.shape[1] // 2)) * torch.pi / SIDE
    angles = torch.arange(SIDE + 1)[:, None] * waves
    curve = torch.cat([angles.sin(), angles.cos()], dim=1)
    with torch.no_grad():
        table[number_tokens(tokenizer)] = curve * (2**0.5 * model.config.text_config.initializer_range)


class LanguageLoss:
    """Cross-entropy on the answers.

    A coordinate that is a pixel off is nearly right, so its label is a Gaussian over the neighbouring numbers, and
    the expected number is drawn to the true one.
    """

    def __init__(self, tokenizer: Any, softness_px: float = 2.0) -> None:
        self.numbers = number_tokens(tokenizer)
        self.value = torch.full((len(tokenizer),), -1)
        self.value[self.numbers] = torch.arange(SIDE + 1)
        steps = torch.arange(SIDE + 1)
        self.soft = torch.softmax(-((steps[:, None] - steps) ** 2) / (2 * softness_px**2), dim=-1)

    def corners(self, logits: Tensor, pixels: Tensor) -> Tensor:
        """Cross-entropy of corner logits [M, 4, 225] against softened pixels [M, 4]."""
        return -(self.soft[pixels] * functional.log_softmax(logits, dim=-1)).sum(-1).mean()

    def __call__(self, model: Any, packed: Packed, states: Tensor) -> dict[str, Tensor]:
        """Losses ``answers`` and ``coordinates`` (per label, weighted) and ``distance`` (in units of 20 px)."""
        learnt = packed.labels != IGNORED
        logits = model.lm_head(states[learnt]).float()
        labels, weights, coordinate = packed.labels[learnt], packed.weights[learnt], packed.coordinate[learnt]
        total = weights.sum()
        words = ~coordinate
        entropy = functional.cross_entropy(logits[words], labels[words], reduction="none")
        losses = {"answers": (entropy * weights[words]).sum() / total}
        if coordinate.any():
            logs = functional.log_softmax(logits[coordinate], dim=-1)[:, self.numbers]
            truth = self.value[labels[coordinate]]
            entropy = -(self.soft[truth] * logs).sum(-1)
            losses["coordinates"] = (entropy * weights[coordinate]).sum() / total
            expected = (logs.exp() * torch.arange(SIDE + 1)).sum(-1)
            losses["distance"] = ((expected - truth).abs() * weights[coordinate]).sum() / total / FAR_PX
        return losses

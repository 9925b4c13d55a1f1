"""FUSAR-KLIP: two towers whose vectors are compared (ITC), a head that matches (ITM), a decoder that writes (MLM)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusar_gpt.retrieval.config import KlipConfig
from fusar_gpt.retrieval.image_tower import ImageTower
from fusar_gpt.retrieval.text_tower import TextTower

TEMPERATURE = 0.07
TEMPERATURES = (0.001, 0.5)
"""The temperature that training starts from, and its limits (ALBEF's)."""


class KlipModel(nn.Module):
    """FUSAR-KLIP (Yang et al., 2025, 3.3)."""

    def __init__(self, config: KlipConfig) -> None:
        super().__init__()
        self.config = config
        self.image = ImageTower(config.image)
        self.text = TextTower(config.text)
        self.image_projection = nn.Linear(self.image.pooled_size, config.embedding)
        self.text_projection = nn.Linear(config.text.hidden, config.embedding)
        self.see = (
            nn.Identity()
            if config.image.hidden == config.text.hidden
            else nn.Linear(config.image.hidden, config.text.hidden)
        )
        # A small tower's cross-attention begins as a mean over tokens: it learns much sooner when each knows the whole.
        self.recall = nn.Linear(self.image.pooled_size, config.text.hidden) if config.image.grid else None
        self.match_head = nn.Linear(config.text.hidden, 2)
        self.log_temperature = nn.Parameter(torch.tensor(TEMPERATURE).log())

    @property
    def temperature(self) -> Tensor:
        """Tau of eq. 4, within ``TEMPERATURES``."""
        return self.log_temperature.exp().clamp(*TEMPERATURES)

    def encode_images(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Tokens [N, 1 + T, C] as the text tower looks at them and unit vectors [N, E] of images uint8 [N, side, side].

        f_v of eq. 8.
        """
        tokens = self.image(images)
        pooled = self.image.pooled(tokens)
        vectors = self.image_projection(pooled)
        seen = self.see(tokens)
        if self.recall is not None:
            seen = seen + self.recall(pooled).unsqueeze(1)
        return seen, functional.normalize(vectors.float(), dim=-1)

    def encode_texts(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """States [N, L, C] and unit vectors [N, E] of texts: ids int64 [N, L], mask bool [N, L]; f_t of eq. 9."""
        states = self.text(ids, mask)
        return states, functional.normalize(
            self.text_projection(self.text.pooled(states, mask)).float(), dim=-1
        )

    def match(self, states: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """Logits [N, 2], the second for "they belong together" (eq. 5), of texts' states and images' tokens."""
        fused = self.text.fused(states, mask, tokens)
        logits: Tensor = self.match_head(self.text.pooled(fused, mask))
        return logits.float()

    def decode(self, ids: Tensor, mask: Tensor, positions: Tensor, tokens: Tensor) -> Tensor:
        """States [N, L, C] whose ``text.words`` tell the next token, of text and image (eq. 6).

        Args:
            ids: int64 [N, L], what is visible and what is written so far.
            mask: bool [N, L, L], which token (second) each token (first) may look at.
            positions: int64 [N, L].
            tokens: Of ``encode_images``.
        """
        return self.text.fused(self.text(ids, mask, positions), mask, tokens)

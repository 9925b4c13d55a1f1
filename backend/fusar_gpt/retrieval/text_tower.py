"""The text tower: transformers' BERT layers, first over the text alone, then with cross-attention to an image.

One stack serves all three losses, as in ALBEF and BLIP: its lower layers give the text's vector (ITC), all of them
match text and image (ITM) and write what is masked (MLM).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertConfig
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer, BertPredictionHeadTransform

from fusar_gpt.retrieval.config import TextTowerConfig
from fusar_gpt.retrieval.image_tower import initial_spread


class TextTower(nn.Module):
    """Masks are bool, True where a token may be looked at: [N, L] by key, or [N, L, L] by query and key."""

    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.config = config
        alone, fused = bert_config(config), bert_config(config, fused=True)
        self.embeddings = BertEmbeddings(alone)
        self.layers = nn.ModuleList(BertLayer(alone) for _ in range(config.layers))
        self.fusion = nn.ModuleList(BertLayer(fused) for _ in range(config.fusion_layers))
        self.head = BertPredictionHeadTransform(alone)
        self.bias = nn.Parameter(torch.zeros(config.vocabulary))
        spread = initial_spread(config.hidden)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=spread)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, ids: Tensor, mask: Tensor, positions: Tensor | None = None) -> Tensor:
        """States [N, L, C] of the text alone, of token ids int64 [N, L]."""
        states: Tensor = self.embeddings(ids, position_ids=positions)
        for layer in self.layers:
            states = layer(states, _by_head(mask))
        return states

    def fused(self, states: Tensor, mask: Tensor, tokens: Tensor) -> Tensor:
        """States [N, L, C] that have looked at the image's tokens [N, T, C]."""
        for layer in self.fusion:
            states = layer(states, _by_head(mask), encoder_hidden_states=tokens)
        return states

    def pooled(self, states: Tensor, mask: Tensor) -> Tensor:
        """One vector [N, C] a text, of states [N, L, C] and mask [N, L]."""
        if self.config.pool == "first":
            return states[:, 0]
        there = mask.unsqueeze(-1).to(states.dtype)
        return (states * there).sum(1) / there.sum(1)

    def words(self, states: Tensor) -> Tensor:
        """Logits [..., vocabulary] of the next token, by the embeddings' own weights."""
        return functional.linear(self.head(states), self.embeddings.word_embeddings.weight, self.bias)


def _by_head(mask: Tensor) -> Tensor:
    """The mask as attention wants it, [N, 1, 1 or L, L]."""
    return mask[:, None, None] if mask.ndim == 2 else mask[:, None]


def bert_config(config: TextTowerConfig, *, fused: bool = False) -> BertConfig:
    """The library's configuration, of layers with cross-attention where ``fused``."""
    return BertConfig(
        vocab_size=config.vocabulary,
        hidden_size=config.hidden,
        num_hidden_layers=config.fusion_layers if fused else config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.mlp,
        max_position_embeddings=config.longest,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        pad_token_id=None,
        is_decoder=fused,
        add_cross_attention=fused,
        attn_implementation="sdpa",
    )

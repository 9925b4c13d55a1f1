"""A vision tower that sees finer: convolutions, few transformer tokens, and a map of half a token that goes round them.

Small objects are lost in Qwen's patches when a model is small: a patch of 16 px is one vector from the start. Here
convolutions look at pixels (Xiao et al., 2021), the transformer works on few tokens, and what it finds is brought
back to a map of half a token's side, beside what the convolutions saw there (as in U-Net; Ronneberger et al., 2015).
Four cells of that map make a token, so that a token keeps where within it things lie.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLRMSNorm,
)
from transformers.vision_utils import get_vision_cu_seqlens, get_vision_position_ids

from fusar_gpt.model.config import FusarVisionConfig

HALF = 2
"""Cells of the fine map along a token's side."""


class StemConv(nn.Conv2d):
    """A 3 x 3 convolution that begins as He et al. (2015) say: the library's own start is far too small for it."""

    def __init__(self, before: int, channels: int, stride: int = 1) -> None:
        super().__init__(before, channels, 3, stride=stride, padding=1)

    def reset_parameters(self) -> None:
        """Random weights, no bias."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class StemVisionTower(Qwen2_5_VisionTransformerPretrainedModel):
    """Qwen2.5-VL's vision blocks behind a convolutional stem; every block sees the whole image.

    Each convolution of ``config.stem`` halves the map, until a cell is half a token wide: [24, 48, 96] for tokens of
    16 px. One more convolution makes the tokens.
    """

    config: FusarVisionConfig

    def __init__(self, config: FusarVisionConfig) -> None:
        super().__init__(config)
        assert config.stem is not None
        channels, fine, hidden = (config.in_channels, *config.stem), config.stem[-1], config.hidden_size
        self.patch_embed = nn.ModuleList(StemConv(*pair, stride=2) for pair in pairwise(channels))
        self.to_tokens = StemConv(fine, hidden, stride=2)
        self.to_fine = nn.Linear(hidden, HALF**2 * fine)
        self.mix = StemConv(2 * fine, fine)
        self.norm = Qwen2_5_VLRMSNorm(HALF**2 * fine)
        self.merger = nn.Linear(HALF**2 * fine, config.out_hidden_size)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, StemConv):
            module.reset_parameters()
        else:
            super()._init_weights(module)

    def forward(
        self, hidden_states: Tensor, grid_thw: Tensor, **kwargs: object
    ) -> BaseModelOutputWithPooling:
        """Tokens [all tokens, out_hidden_size] as ``pooler_output``, row by row, of images of one size.

        Args:
            hidden_states: Patches [all tokens, channels * patch * patch], row by row.
            grid_thw: [images, 3], each (1, rows, columns).
            **kwargs: For the attention.

        Raises:
            ValueError: Images of several sizes.
        """
        rows, columns = (int(side) for side in grid_thw[0, 1:])
        if not bool((grid_thw == grid_thw[0]).all()):
            raise ValueError(f"a vision tower with a stem takes images of one size, not {grid_thw.tolist()}")
        fine = self.images(hidden_states, rows, columns)
        for step in self.patch_embed:
            fine = functional.gelu(step(fine))
        tokens = self.to_tokens(fine).flatten(2).transpose(1, 2).flatten(0, 1)
        tokens = self.attended(tokens, grid_thw, **kwargs)
        said = self.to_fine(tokens).reshape(len(fine), rows, columns, -1).permute(0, 3, 1, 2)
        both = torch.cat([functional.pixel_shuffle(said, HALF), fine], dim=1)
        cells = fine + functional.gelu(self.mix(both))
        folded = functional.pixel_unshuffle(cells, HALF).flatten(2).transpose(1, 2).flatten(0, 1)
        return BaseModelOutputWithPooling(
            last_hidden_state=tokens, pooler_output=self.merger(self.norm(folded))
        )

    def images(self, patches: Tensor, rows: int, columns: int) -> Tensor:
        """The images [N, channels, height, width] that the image processor cut into patches."""
        side, channels = self.patch_size, self.config.in_channels
        cut = patches.reshape(-1, rows, columns, channels, side, side).permute(0, 3, 1, 4, 2, 5)
        return cut.reshape(-1, channels, rows * side, columns * side)

    def attended(self, tokens: Tensor, grid_thw: Tensor, **kwargs: object) -> Tensor:
        """The tokens after all blocks, each of which sees the whole of its image."""
        places = self.rotary_pos_emb(tokens, get_vision_position_ids(grid_thw, 1))
        ends = get_vision_cu_seqlens(grid_thw)
        for block in self.blocks:
            tokens = block(tokens, cu_seqlens=ends, position_embeddings=places, **kwargs)
        return tokens

"""The image tower: transformers' ViT over a grey image, with its own patches or with a convolutional stem."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import ViTConfig, ViTModel

from fusar_gpt.retrieval.config import ImageTowerConfig


class ConvStem(nn.Module):
    """Convolutions of stride 2 in place of ViT's patches (Xiao et al., 2021): small models learn faster with them.

    Nothing is normalised, so that dark stays dark. Their map is folded into tokens, so that a token keeps where within
    it things lie.
    """

    def __init__(self, config: ImageTowerConfig) -> None:
        super().__init__()
        steps: list[nn.Module] = [
            nn.PixelUnshuffle(2)
        ]  # a third of the time of a convolution over all pixels
        before = 4
        for channels in config.stem:
            steps += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.ReLU()]
            before = channels
        self.steps = nn.Sequential(*steps)
        fold = config.token_px // 2 ** (1 + len(config.stem))
        self.projection = nn.Conv2d(before, config.hidden, fold, stride=fold)
        for module in self.modules():
            if isinstance(module, nn.Conv2d) and module.bias is not None:
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, pixels: Tensor) -> Tensor:
        """Tokens [N, T, C] row by row, of pixels [N, 1, H, W]."""
        tokens: Tensor = self.projection(self.steps(pixels))
        return tokens.flatten(2).transpose(1, 2)


class ImageTower(nn.Module):
    """From grey images to tokens, and from tokens to one vector an image."""

    def __init__(self, config: ImageTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.vit = ViTModel(vit_config(config), add_pooling_layer=False)
        if config.stem:
            self.vit.embeddings.patch_embeddings = ConvStem(config)
            with torch.no_grad():
                self.vit.embeddings.position_embeddings[0, 1:] = places(
                    config.image_px // config.token_px, config.hidden
                )
        self.pooled_size = config.hidden * (1 + config.grid**2)

    def forward(self, images: Tensor) -> Tensor:
        """Tokens float32 [N, 1 + T, C], the first for the whole image, of images uint8 [N, side, side]."""
        pixels = ((images.float() / 255 - self.config.mean) / self.config.std).unsqueeze(1)
        if not self.config.stem:
            pixels = pixels.expand(-1, 3, -1, -1)
        tokens: Tensor = self.vit(pixels).last_hidden_state
        return tokens

    def pooled(self, tokens: Tensor) -> Tensor:
        """One vector [N, pooled_size] an image: its first token, and the mean token of each cell of the grid."""
        if not self.config.grid:
            return tokens[:, 0]
        side = self.config.image_px // self.config.token_px
        plane = tokens[:, 1:].transpose(1, 2).reshape(len(tokens), -1, side, side)
        cells = functional.adaptive_avg_pool2d(plane, self.config.grid)
        return torch.cat([tokens[:, 0], cells.flatten(1)], dim=1)


def places(side: int, hidden: int) -> Tensor:
    """Sines and cosines of row and column, float32 [side * side, hidden], where learning of places begins.

    Random places are learned so slowly by a small tower that it hardly tells where things are.
    """
    count = -(-hidden // 4)
    speeds = np.pi / 2 ** np.linspace(0, 4, count)
    angles = (np.arange(side)[:, None] + 0.5) * speeds
    waves = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    rows, cols = np.broadcast_arrays(waves[:, None], waves[None])
    flat = np.concatenate([rows, cols], axis=-1).reshape(side * side, -1)[:, :hidden]
    return torch.tensor(flat, dtype=torch.float32)


def initial_spread(hidden: int) -> float:
    """The standard deviation of initial weights: 0.02 for the libraries' width of 768, more for narrower towers.

    With 0.02, a narrow tower begins with all images in one place, and contrast does not start.
    """
    return float(0.02 * (768 / hidden) ** 0.5)


def vit_config(config: ImageTowerConfig) -> ViTConfig:
    """The library's configuration."""
    return ViTConfig(
        image_size=config.image_px,
        patch_size=config.token_px,
        num_channels=1 if config.stem else 3,
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.mlp,
        hidden_dropout_prob=config.dropout,
        attention_probs_dropout_prob=config.dropout,
        initializer_range=initial_spread(config.hidden),
        attn_implementation="sdpa",
    )

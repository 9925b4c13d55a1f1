"""From a ViT's one coarse grid to a fine one, by deconvolutions as in ViTDet's simple feature pyramid."""

from __future__ import annotations

import math

from torch import Tensor, nn

from fusar_train.klip.benchmarks.encoders import Encoder

CELL_PX = 8
"""About the side of a fine cell."""


class Neck(nn.Module):
    """Doubles a grid of the encoder, or of ``inward`` channels made of it, until its cells have about 8 px.

    Attributes:
        cell_px: The side of a fine cell in pixels of the image.
        cells: Rows and columns of the fine grid.
    """

    def __init__(self, encoder: Encoder, channels: int, inward: int | None = None) -> None:
        super().__init__()
        doublings = max(round(math.log2(encoder.token_px / CELL_PX)), 0)
        steps: list[nn.Module] = [
            nn.Conv2d(inward or encoder.channels, channels, 1),
            nn.GroupNorm(1, channels),
        ]
        for _ in range(doublings):
            steps += [
                nn.GELU(),
                nn.ConvTranspose2d(channels, channels, 2, stride=2),
                nn.GroupNorm(1, channels),
            ]
        self.steps = nn.Sequential(*steps, nn.GELU(), nn.Conv2d(channels, channels, 3, padding=1), nn.GELU())
        self.cell_px = encoder.token_px / 2**doublings
        self.cells = encoder.image_px // encoder.token_px * 2**doublings

    def forward(self, grid: Tensor) -> Tensor:
        """Features [N, channels, cells, cells] of a grid [N, C, rows, cols]."""
        fine: Tensor = self.steps(grid)
        return fine

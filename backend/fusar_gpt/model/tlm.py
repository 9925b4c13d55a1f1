"""TLM, token-wise linear modulation: vectors scale and shift the visual tokens (FUSAR-GPT eq. 4-11)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from transformers import initialization as init

EPSILON = 1e-6  # the epsilon of eq. 8, as in the authors' release


class TlmLinear(nn.Linear):
    """A linear layer that knows its own initial spread, so that the library's initialiser cannot miss it.

    The library skips modules without parameters of their own, so a zero start must sit on a leaf like this.
    """

    def __init__(self, in_features: int, out_features: int, std: float) -> None:
        self.std = std
        super().__init__(in_features, out_features)

    def reset_parameters(self) -> None:
        """Normal weights of the layer's own spread and zero bias; loaded weights are left alone."""
        init.normal_(self.weight, mean=0.0, std=self.std)
        init.zeros_(self.bias)


class TokenwiseLinearModulation(nn.Module):
    """Modulates visual tokens by the vectors near them; a fresh one is the exact identity.

    ``w1`` starts with unit spread because the vectors have unit length; ``w2`` starts at zero.
    """

    def __init__(self, channels: int, hidden: int, vec_dim: int, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma
        self.w1 = TlmLinear(vec_dim, hidden, std=1.0)
        self.w2 = TlmLinear(hidden, 2 * channels, std=0.0)
        self.activation = nn.SiLU()

    def forward(
        self, tokens: Tensor, grid: tuple[int, int], values: Tensor, coords: Tensor, mask: Tensor
    ) -> Tensor:
        """Modulate the tokens of N images that share one grid.

        Args:
            tokens: [N, H*W, C], row-major; any floating type.
            grid: (H, W), the merged token grid.
            values: [N, S, D] vectors; S may be 0.
            coords: [N, S, 2] positions (y, x) on the image in [0, 1].
            mask: [N, S] bool, False where a row is padding; its content does not matter then.

        Returns:
            [N, H*W, C] of the tokens' type. Tokens far from every node, or of an image without any, are
            unchanged, and the graph is kept so that a batch without any prior still has a backward pass.
        """
        weights = gaussian_weights(grid, coords, mask, self.sigma).to(self.w1.weight.dtype)
        values = values.masked_fill(~mask[..., None], 0.0).to(self.w1.weight.dtype)
        hidden = self.activation(self.w1(values))  # eq. 4
        # W2 is linear, so interpolating the hidden vectors first gives the same field as eq. 10 for less
        # work; its bias then counts as much as the weights of a token sum to.
        field = nn.functional.linear(weights @ hidden, self.w2.weight)
        field = (field + weights.sum(-1, keepdim=True) * self.w2.bias).float()
        gamma, beta = field.chunk(2, dim=-1)
        return (tokens.float() * (1 + gamma) + beta).to(tokens.dtype)  # eq. 11


def gaussian_weights(grid: tuple[int, int], coords: Tensor, mask: Tensor, sigma: float) -> Tensor:
    """The weight of every node on every token, float32 [N, H*W, S] (FUSAR-GPT eq. 6-9).

    Eq. 8's epsilon is written as one more node of logit log(epsilon) whose softmax share is dropped: the
    same value, but it cannot divide by zero, and a token that no node reaches has weights of zero.
    """
    height, width = grid
    rows = torch.arange(height, device=coords.device, dtype=torch.float32)
    cols = torch.arange(width, device=coords.device, dtype=torch.float32)
    coords = coords.float().masked_fill(~mask[..., None], 0.0)
    dy = rows[:, None] - (coords[:, None, :, 0] * (height - 1))  # [N, H, S]
    dx = cols[:, None] - (coords[:, None, :, 1] * (width - 1))  # [N, W, S]
    squared = dy[:, :, None] ** 2 + dx[:, None] ** 2  # [N, H, W, S]
    logits = (-squared / (2 * sigma**2)).flatten(1, 2).masked_fill(~mask[:, None], -torch.inf)
    nothing = logits.new_full((*logits.shape[:2], 1), math.log(EPSILON))
    return torch.cat([logits, nothing], dim=-1).softmax(dim=-1)[..., :-1]

"""Fusion of a prior into the visual tokens: TLM (FUSAR-GPT eq. 4-11), and sum and concat to compare (Table 6, Fig. 7).

TLM is token-wise linear modulation: the vectors scale and shift the tokens.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import initialization as init

from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.interpolation import Interpolation, Kernel, interpolation


class TlmLinear(nn.Linear):
    """A linear layer with its own standard deviation at initialisation.

    The library's initialiser skips modules without parameters of their own, so a zero start needs a leaf module.
    """

    def __init__(self, in_features: int, out_features: int, std: float) -> None:
        self.std = std
        super().__init__(in_features, out_features)

    def reset_parameters(self) -> None:
        """Normal weights with standard deviation ``std``, and zero bias; loaded weights are left alone."""
        init.normal_(self.weight, mean=0.0, std=self.std)
        init.zeros_(self.bias)


class PriorFusion(nn.Module, ABC):
    """Fuses a prior into the visual tokens: its vectors become a field over the tokens, which ``fuse`` applies.

    ``w1`` starts with unit variance because the vectors have unit length; ``w2`` starts at zero, so the field
    of a fresh one is zero everywhere. Computes in float32 whatever type the tokens have.
    """

    fields = 1
    """Channels of the field for each channel of the tokens."""

    def __init__(self, channels: int, hidden: int, vec_dim: int, kernel: Kernel) -> None:
        """``channels`` is C of the tokens, ``hidden`` h of eq. 4, ``vec_dim`` D."""
        super().__init__()
        self.channels = channels
        self.kernel = kernel
        self.w1 = TlmLinear(vec_dim, hidden, std=1.0)
        self.w2 = TlmLinear(hidden, self.fields * channels, std=0.0)

    @abstractmethod
    def fuse(self, tokens: Tensor, field: Tensor, coverage: Tensor) -> Tensor:
        """Tokens [T, C] fused with the field [T, fields * C]; ``coverage`` [T, 1] is 0 where no node reaches."""

    def forward(
        self,
        tokens: Sequence[Tensor],
        grids: Sequence[tuple[int, int]],
        values: Tensor,
        coords: Tensor,
        mask: Tensor,
    ) -> list[Tensor]:
        """Fuse the priors of N images into their tokens.

        Args:
            tokens: N of [H*W, C], row-major; any floating type, grids may differ.
            grids: N of (H, W), the merged token grids.
            values: [N, S, D] vectors; S may be 0.
            coords: [N, S, 2] positions (y, x) on the image in [0, 1].
            mask: [N, S] bool, False where a row is padding; its content does not matter then.

        Returns:
            N of [H*W, C] of the tokens' type. Tokens far from every node, or of an image without any, are
            unchanged, and the graph is kept so that a batch without any prior still has a backward pass.

        Raises:
            ValueError: The arguments do not belong together.
        """
        if not len(tokens) == len(grids) == len(values) == len(coords) == len(mask):
            raise ValueError(f"{len(tokens)} images but priors for {len(values)}")
        coords, mask = coords.cpu(), mask.cpu()
        with torch.autocast(values.device.type, enabled=False):
            return [
                self._fuse_image(tokens[i], grids[i], values[i][mask[i]], coords[i][mask[i]])
                for i in range(len(tokens))
            ]

    def _fuse_image(self, tokens: Tensor, grid: tuple[int, int], values: Tensor, coords: Tensor) -> Tensor:
        height, width = grid
        if tokens.shape != (height * width, self.channels):
            raise ValueError(f"tokens of {list(tokens.shape)}, not [{height} * {width}, {self.channels}]")
        if not len(values) and not torch.is_grad_enabled():
            return tokens
        mapping = interpolation(self.kernel, (height, width), coords)
        wide = torch.promote_types(self.w2.weight.dtype, torch.float32)
        coverage = mapping.coverage.to(values.device, wide)[:, None]
        fused = [
            self.fuse(tokens[span].to(wide), field, coverage[span]).to(tokens.dtype)
            for span, field in self._field(values, mapping, coverage, tokens.dtype)
        ]
        return torch.cat(fused)

    def _field(
        self, values: Tensor, mapping: Interpolation, coverage: Tensor, dtype: torch.dtype
    ) -> Iterator[tuple[slice, Tensor]]:
        """Eq. 4 and 10: the field [T, fields * C] in blocks of tokens, for tokens of ``dtype``.

        W2 is linear, so it may act on the nodes or, after the hidden vectors were interpolated, on the tokens;
        it acts where that is less work. The release rounds what W2 makes of a node to the tokens' type.
        """
        weight, bias, wide = self.w2.weight, self.w2.bias, coverage.dtype
        hidden = functional.silu(self.w1(values.to(self.w1.weight.dtype)), inplace=True)
        rounds = self.kernel.merge is not None and dtype.itemsize < wide.itemsize
        at_nodes = len(values) * weight.numel() + mapping.cost * weight.shape[0]
        at_tokens = len(coverage) * weight.numel() + mapping.cost * weight.shape[1]
        if rounds or at_nodes <= at_tokens:
            nodes = self.w2(hidden)
            yield from mapping.blocks((nodes.to(dtype) if rounds else nodes).to(wide))
            return
        near = torch.cat([block for _, block in mapping.blocks(hidden.to(wide))]).to(weight.dtype)
        # The bias counts as much as the weights of a token sum to.
        field = torch.addcmul(functional.linear(near, weight).to(wide), coverage, bias.to(wide))
        yield slice(None), field


class TokenwiseLinearModulation(PriorFusion):
    """TLM: the first half of the field scales the tokens, the second shifts them; a fresh one is the identity."""

    fields = 2

    def fuse(self, tokens: Tensor, field: Tensor, coverage: Tensor) -> Tensor:
        """Eq. 11: x' = x * (1 + gamma) + beta."""
        gamma, beta = field.chunk(2, dim=-1)
        return torch.addcmul(tokens + beta, tokens, gamma)


class SumFusion(PriorFusion):
    """Adds the field to the tokens; a fresh one is the exact identity."""

    def fuse(self, tokens: Tensor, field: Tensor, coverage: Tensor) -> Tensor:
        """Token by token, x' = x + f."""
        return tokens + field


class ConcatFusion(PriorFusion):
    """A linear layer takes token and field side by side; a fresh one is the exact identity.

    The paper gives no formula. Here the layer's matrix is [1 + A, B], so that A = 0 leaves the tokens bit for
    bit. B must not start at zero: with W2 = 0 as well neither would ever get a gradient.
    """

    def __init__(self, channels: int, hidden: int, vec_dim: int, kernel: Kernel) -> None:
        super().__init__(channels, hidden, vec_dim, kernel)
        self.from_tokens = TlmLinear(channels, channels, std=0.0)
        self.from_field = TlmLinear(channels, channels, std=channels**-0.5)

    def fuse(self, tokens: Tensor, field: Tensor, coverage: Tensor) -> Tensor:
        """Token by token, x' = x + c (A x + B f + b); the coverage c leaves a token far from every node alone."""
        change: Tensor = self.from_tokens(tokens.to(self.from_tokens.weight.dtype))
        change = change + self.from_field(field.to(self.from_field.weight.dtype))
        return tokens + coverage * change


class NoFusion(nn.Module):
    """Leaves every token as it is and has no weights: the model was trained on images alone."""

    def forward(self, tokens: Sequence[Tensor], *_: object) -> list[Tensor]:
        """The tokens of N images, whatever the priors."""
        return list(tokens)


FUSIONS: dict[str, type[PriorFusion]] = {
    "modulate": TokenwiseLinearModulation,
    "sum": SumFusion,
    "concat": ConcatFusion,
}


def fusion(config: FusarGptConfig) -> PriorFusion | NoFusion:
    """The fusion that a configuration names, fresh."""
    settings, vision = config.tlm or {}, config.vision_config
    if settings["fusion"] == "none":
        return NoFusion()
    merge = vision.spatial_merge_size if settings["variant"] == "release" else None
    kernel = Kernel(float(settings["sigma"]), merge)
    make = FUSIONS[settings["fusion"]]
    return make(vision.out_hidden_size, settings["hidden"], settings["vec_dim"], kernel)

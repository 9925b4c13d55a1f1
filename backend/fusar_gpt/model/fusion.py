"""The other ways to fuse a prior that the paper compares TLM with: sum and concat (FUSAR-GPT Table 6, Fig. 7)."""

from __future__ import annotations

from torch import Tensor

from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.interpolation import Kernel
from fusar_gpt.model.tlm import PriorFusion, TlmLinear, TokenwiseLinearModulation


class SumFusion(PriorFusion):
    """Adds the field to the tokens; a fresh one is the exact identity."""

    def __init__(self, channels: int, hidden: int, vec_dim: int, kernel: Kernel) -> None:
        super().__init__(channels, channels, hidden, vec_dim, kernel)

    def fuse(self, tokens: Tensor, field: Tensor, coverage: Tensor) -> Tensor:
        """Token by token, x' = x + f."""
        return tokens + field


class ConcatFusion(PriorFusion):
    """A linear layer takes token and field side by side; a fresh one is the exact identity.

    The paper gives no formula. Here the layer's matrix is [1 + A, B], so that A = 0 leaves the tokens bit for
    bit. B must not start at zero: with W2 = 0 as well neither would ever get a gradient.
    """

    def __init__(self, channels: int, hidden: int, vec_dim: int, kernel: Kernel) -> None:
        super().__init__(channels, channels, hidden, vec_dim, kernel)
        self.from_tokens = TlmLinear(channels, channels, std=0.0)
        self.from_field = TlmLinear(channels, channels, std=channels**-0.5)

    def fuse(self, tokens: Tensor, field: Tensor, coverage: Tensor) -> Tensor:
        """Token by token, x' = x + c (A x + B f + b); the coverage c leaves a token far from every node alone."""
        change: Tensor = self.from_tokens(tokens.to(self.from_tokens.weight.dtype))
        change = change + self.from_field(field.to(self.from_field.weight.dtype))
        return tokens + coverage * change


FUSIONS: dict[str, type[TokenwiseLinearModulation | SumFusion | ConcatFusion]] = {
    "modulate": TokenwiseLinearModulation,
    "sum": SumFusion,
    "concat": ConcatFusion,
}


def fusion(config: FusarGptConfig) -> PriorFusion:
    """The fusion that a configuration names, fresh."""
    settings, vision = config.tlm or {}, config.vision_config
    merge = vision.spatial_merge_size if settings["variant"] == "release" else None
    kernel = Kernel(float(settings["sigma"]), merge)
    make = FUSIONS[settings["fusion"]]
    return make(vision.out_hidden_size, settings["hidden"], settings["vec_dim"], kernel)

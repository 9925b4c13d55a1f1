"""The configuration: Qwen2.5-VL's plus one dictionary for TLM."""

from __future__ import annotations

from typing import Any

from transformers import Qwen2_5_VLConfig

VEC_DIM = 64  # length of an AlphaEarth Foundations vector


class FusarGptConfig(Qwen2_5_VLConfig):
    """Qwen2.5-VL with token-wise linear modulation (TLM, FUSAR-GPT eq. 4-11).

    ``tlm`` holds ``hidden`` (width h of eq. 4), ``vec_dim`` (D), ``sigma`` (eq. 7, in steps of the merged
    token grid) and ``variant``: "paper", the only arithmetic so far. Missing entries get their defaults.
    """

    model_type = "fusar_gpt"

    tlm: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: object) -> None:
        """Fill the defaults; ValueError for settings that no TLM can have."""
        super().__post_init__(**kwargs)
        hidden = max(128, 4 * self.vision_config.out_hidden_size)
        defaults = {"hidden": hidden, "vec_dim": VEC_DIM, "sigma": 1.0, "variant": "paper"}
        given = self.tlm or {}
        if unknown := set(given) - set(defaults):
            raise ValueError(f"unknown TLM settings: {', '.join(sorted(unknown))}")
        self.tlm = {**defaults, **given}
        if self.tlm["variant"] != "paper":
            raise ValueError(f"unknown TLM variant: {self.tlm['variant']}")
        if not (self.tlm["sigma"] > 0 and self.tlm["hidden"] > 0 and self.tlm["vec_dim"] > 0):
            raise ValueError(f"TLM settings must be positive: {self.tlm}")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: object) -> FusarGptConfig:
        """Read a configuration; a plain Qwen2.5-VL one becomes ours instead of keeping its model type."""
        config: FusarGptConfig = super().from_dict({**config_dict, "model_type": cls.model_type}, **kwargs)
        return config

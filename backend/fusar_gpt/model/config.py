"""The configuration: Qwen2.5-VL's plus one dictionary for TLM."""

from __future__ import annotations

import math
from typing import Any

from transformers import Qwen2_5_VLConfig

VEC_DIM = 64  # length of an AlphaEarth Foundations vector

_CHOICES = {"variant": ("paper", "release"), "fusion": ("modulate", "sum", "concat", "none")}


class FusarGptConfig(Qwen2_5_VLConfig):
    """Qwen2.5-VL with token-wise linear modulation (TLM, FUSAR-GPT eq. 4-11).

    ``tlm`` holds ``hidden`` (width h of eq. 4), ``vec_dim`` (D), ``sigma`` (eq. 7), ``variant`` and ``fusion``.
    The variant "paper" is eq. 6-11 on the merged token grid, "release" what the authors' released weights were
    trained with (see ``Kernel``); sigma counts steps of the token grid in the first and of the patch grid, before
    merging, in the second. The fusion is "modulate" (TLM), "sum" or "concat" for comparison (Table 6), or "none" for a
    model that sees images only.
    Missing entries get their defaults, but a stored configuration must name its variant and a release its sigma.
    """

    model_type = "fusar_gpt"

    tlm: dict[str, Any] | None = None

    def __post_init__(self, **kwargs: object) -> None:
        """Fill in the defaults; ValueError for invalid TLM settings."""
        super().__post_init__(**kwargs)
        hidden = max(128, 4 * self.vision_config.out_hidden_size)
        defaults = {
            "hidden": hidden,
            "vec_dim": VEC_DIM,
            "sigma": 1.0,
            "variant": "paper",
            "fusion": "modulate",
        }
        given = self.tlm or {}
        if unknown := set(given) - set(defaults):
            raise ValueError(f"unknown TLM settings: {', '.join(sorted(unknown))}")
        self.tlm = {**defaults, **given}
        for name, choices in _CHOICES.items():
            if self.tlm[name] not in choices:
                raise ValueError(f"unknown TLM {name}: {self.tlm[name]}, it must be {' or '.join(choices)}")
        if self.tlm["variant"] == "release" and "sigma" not in given:
            raise ValueError("a TLM of the variant release must name its sigma")
        sizes = [self.tlm[name] for name in ("sigma", "hidden", "vec_dim")]
        if not all(size > 0 and math.isfinite(size) for size in sizes):
            raise ValueError(f"TLM settings must be positive: {self.tlm}")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: object) -> FusarGptConfig:
        """Read a configuration; a plain Qwen2.5-VL one becomes ours instead of keeping its model type.

        Raises:
            ValueError: Its TLM names no variant: two of them compute different functions of the same weights.
        """
        if config_dict.get("tlm") and "variant" not in config_dict["tlm"]:
            raise ValueError("the configuration names no TLM variant: paper or release")
        config: FusarGptConfig = super().from_dict({**config_dict, "model_type": cls.model_type}, **kwargs)
        return config

"""The configuration: Qwen2.5-VL's plus one dictionary for TLM."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import (
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLVisionConfig,
)

VEC_DIM = 64  # length of an AlphaEarth Foundations vector

_CHOICES = {"variant": ("paper", "release"), "fusion": ("modulate", "sum", "concat", "none")}


class FusarVisionConfig(Qwen2_5_VLVisionConfig):
    """Qwen2.5-VL's vision tower, and optionally one with a stem.

    ``stem``: channels of the convolutions in place of patches (``StemVisionTower``), each of which halves the map until
    a cell is half a token wide; None for Qwen's own tower.
    """

    stem: list[int] | None = None

    def __post_init__(self, **kwargs: object) -> None:
        """ValueError for a stem that does not come out at half a token."""
        super().__post_init__(**kwargs)
        if self.stem is None:
            return
        if not self.stem or not all(isinstance(size, int) and 1 <= size <= 4096 for size in self.stem):
            raise ValueError(f"a stem is a list of channels from 1 to 4096, not {self.stem}")
        if self.patch_size != 2 ** (len(self.stem) + 1) or self.spatial_merge_size != 1:
            raise ValueError(
                f"a stem of {len(self.stem)} convolutions has patches of {2 ** (len(self.stem) + 1)} px that are not "
                f"merged, not of {self.patch_size} px merged {self.spatial_merge_size} x {self.spatial_merge_size}"
            )
        if self.temporal_patch_size != 1:
            raise ValueError("a stem sees single images: temporal_patch_size must be 1")


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
    sub_configs_defaults: ClassVar[dict[str, Any]] = {
        "vision_config": FusarVisionConfig,
        "text_config": Qwen2_5_VLTextConfig,
    }

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

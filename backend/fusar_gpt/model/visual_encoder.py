"""The vision tower and TLM of a checkpoint without its language model, which runs elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from fusar_gpt.model.adapter import Adapter, check_targets, merge
from fusar_gpt.model.base import current_name
from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.fusar import FusarGptForConditionalGeneration
from fusar_gpt.model.tlm import fusion

_VISUAL, _TLM = "model.visual.", "model.tlm."


def build_visual_encoder(
    config: FusarGptConfig,
    files: Iterable[Path],
    tlm_file: Path | None,
    adapter: Adapter | None,
    dtype: torch.dtype,
    attention: str,
) -> FusarGptForConditionalGeneration:
    """The model with only its vision tower and TLM in memory.

    The rest is on torch's meta device: it takes no memory, and running it is an error.

    Args:
        config: The checkpoint's.
        files: Those with the weights of the whole model, whose other weights are not read.
        tlm_file: That with TLM's weights, where they are not among the others.
        adapter: Merged where it changes the vision tower.
        dtype: Of the vision tower; TLM is float32.
        attention: The implementation of attention.

    Raises:
        ValueError: A weight is missing, or does not fit; what torch and safetensors raise about damaged files.
    """
    with torch.device("meta"):
        model = FusarGptForConditionalGeneration(config)
    tower = type(model.model.visual)
    visual = tower._from_config(config.vision_config, dtype=dtype, attn_implementation=attention)
    visual.load_state_dict(_read(files, _VISUAL), strict=True)
    tlm = fusion(config).float()
    tlm.load_state_dict(_read([tlm_file] if tlm_file else files, "" if tlm_file else _TLM), strict=True)
    model.model.visual, model.model.tlm = visual, tlm
    if adapter is not None:
        check_targets(adapter, model)
        here = {name: pair for name, pair in adapter.pairs.items() if name.startswith(_VISUAL)}
        merge(model, replace(adapter, pairs=here))
    return model


def to_device(model: FusarGptForConditionalGeneration, device: torch.device) -> None:
    """Move what is in memory."""
    model.model.visual.to(device)
    model.model.tlm.to(device)


def _read(files: Iterable[Path], prefix: str) -> dict[str, Tensor]:
    """The weights whose name begins so, by the rest of their name."""
    found = {}
    for path in files:
        with safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - no dictionary
                name = current_name(key) if prefix else key
                if name.startswith(prefix):
                    found[name[len(prefix) :]] = file.get_tensor(key)
    return found

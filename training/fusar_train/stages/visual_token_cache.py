"""A cache of visual tokens on disk: a frozen encoder gives the same in every epoch, stage and run."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from fusar_gpt.output import whole_file
from fusar_train.stages.settings import StageError

_TOKENS = "tokens"


def cache_visual_tokens(encoder: Any, folder: Path) -> None:
    """From now on the encoder computes the tokens of an image once and keeps them in files, one an image.

    Encoders and images are known by their bytes, so several processes and bases may share a folder. Tokens before TLM
    are kept: the prior does not matter.

    Raises:
        StageError: The encoder trains. Its forward raises OutputError when new tokens cannot be written.
    """
    if any(weight.requires_grad for weight in encoder.parameters()):
        raise StageError(
            "Visual tokens can be kept only while the encoder is frozen: set lora_vision to false."
        )
    compute, merged = encoder.forward, int(encoder.spatial_merge_size) ** 2
    own = folder / _digest(*encoder.state_dict().values())[:16]

    def forward(hidden_states: Tensor, grid_thw: Tensor, **options: Any) -> BaseModelOutputWithPooling:
        """As Qwen's encoder, but for ``last_hidden_state``, which nobody reads."""
        patches = grid_thw.prod(-1).tolist()
        images = list(zip(torch.split(hidden_states, patches), grid_thw, strict=True))
        names = [_digest(*image) for image in images]
        paths = [own / name[:2] / f"{name[2:]}.safetensors" for name in names]
        tokens = [_read(path, hidden_states.device) for path in paths]
        if new := [number for number, one in enumerate(tokens) if one is None]:
            pixels = torch.cat([images[number][0] for number in new])
            output = compute(pixels, grid_thw=grid_thw[new], **options)
            sizes = [patches[number] // merged for number in new]
            for number, computed in zip(new, torch.split(output.pooler_output, sizes), strict=True):
                tokens[number] = computed
                paths[number].parent.mkdir(parents=True, exist_ok=True)
                with whole_file(paths[number]) as temporary:
                    temporary.write_bytes(save({_TOKENS: computed.detach().cpu().contiguous()}))
        return BaseModelOutputWithPooling(pooler_output=torch.cat([one for one in tokens if one is not None]))

    encoder.forward = forward


def _digest(*tensors: Tensor) -> str:
    total = hashlib.sha256()
    for tensor in tensors:
        total.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def _read(path: Path, device: torch.device) -> Tensor | None:
    """The tokens in a file; None when it is not there, or broken."""
    try:
        tokens: Tensor = load_file(path, device=str(device))[_TOKENS]
    except (OSError, SafetensorError, KeyError):
        return None
    return tokens

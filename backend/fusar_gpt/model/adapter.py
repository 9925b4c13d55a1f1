"""LoRA adapters as PEFT writes them: read, checked against a model, and added to its weights."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from fusar_gpt.model.base import current_name

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

_KEY = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<half>[AB])\.weight")

# Settings that do not matter once the adapter is trained, or that are read below. Any other setting that is on
# could change what the adapter computes, so it is refused.
_UNDERSTOOD = {
    *("peft_type", "peft_version", "task_type", "auto_mapping", "inference_mode", "revision"),
    *(
        "base_model_name_or_path",
        "r",
        "lora_alpha",
        "lora_dropout",
        "use_rslora",
        "bias",
        "init_lora_weights",
    ),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
    *("megatron_core", "qalora_group_size", "runtime_config"),
}
# Other initialisations change the base: they subtract the adapter's initial value from it.
_PLAIN_START = (True, False, "gaussian", "eva", "orthogonal")


@dataclass(frozen=True, eq=False)
class Adapter:
    """A LoRA adapter: W x + scale * B A x for every module of ``pairs``.

    ``pairs`` maps the module's name in the current layout, such as
    "model.language_model.layers.0.self_attn.q_proj", to A [r, in] and B [out, r].
    """

    config: dict[str, Any]
    rank: int
    scale: float
    pairs: dict[str, tuple[Tensor, Tensor]]

    @property
    def base_name(self) -> str | None:
        """The base's name in the adapter's settings: a hub id or a path on somebody's machine."""
        name = self.config.get("base_model_name_or_path")
        return name if isinstance(name, str) and name.strip() else None


def read_adapter(folder: Path) -> Adapter:
    """Read an adapter; ValueError or OSError unless every setting and weight is understood."""
    config = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
    if not isinstance(config, dict):
        raise ValueError(f"{CONFIG_FILE} is not a JSON object")
    rank, scale = _settings(config)
    if not (folder / WEIGHTS_FILE).is_file():
        raise ValueError(f"it has no {WEIGHTS_FILE}, the only format of weights that is read")
    halves: dict[str, dict[str, Tensor]] = {}
    with safe_open(folder / WEIGHTS_FILE, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118 - no dictionary
            match = _KEY.fullmatch(key)
            if not match:
                raise ValueError(f"{WEIGHTS_FILE} holds {key}, which is not a LoRA weight of a linear layer")
            both = halves.setdefault(current_name(match["module"]), {})
            if match["half"] in both:
                raise ValueError(f"{WEIGHTS_FILE} holds {key} in two layouts")
            both[match["half"]] = file.get_tensor(key)
    if not halves:
        raise ValueError(f"{WEIGHTS_FILE} holds no weights")
    return Adapter(config, rank, scale, {name: _pair(name, both, rank) for name, both in halves.items()})


def write_adapter(folder: Path, adapter: Adapter) -> None:
    """Write an adapter in the current layout, naming exactly the modules it holds weights for.

    The original list may match more: "up_proj" is a name in the vision tower too.
    """
    config = {
        **{key: value for key, value in adapter.config.items() if key in _UNDERSTOOD},
        "target_modules": sorted(adapter.pairs),
        "exclude_modules": None,
        "layers_to_transform": None,
        "layers_pattern": None,
        "inference_mode": True,
    }
    (folder / CONFIG_FILE).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    tensors = {
        f"base_model.model.{module}.lora_{half}.weight": tensor.contiguous()
        for module, pair in adapter.pairs.items()
        for half, tensor in zip("AB", pair, strict=True)
    }
    save_file(tensors, folder / WEIGHTS_FILE, {"format": "pt"})


def check_targets(adapter: Adapter, model: PreTrainedModel) -> None:
    """ValueError unless every pair fits a linear layer of the model whose weight is its own."""
    for name, (a, b) in adapter.pairs.items():
        layer = _layer(model, name)
        if layer is None or f"{name}.weight" in model.all_tied_weights_keys:
            raise ValueError(f"the adapter changes {name}, which is not a linear layer of the base")
        if (layer.in_features, layer.out_features) != (a.shape[1], b.shape[0]):
            raise ValueError(
                f"the adapter's {name} maps {a.shape[1]} to {b.shape[0]} channels, "
                f"the base's {layer.in_features} to {layer.out_features}"
            )


@torch.no_grad()
def merge(model: nn.Module, adapter: Adapter) -> None:
    """Add the adapter to the model's weights: W + scale * B A in float32, then back to the type of W."""
    for name, (a, b) in adapter.pairs.items():
        weight = model.get_submodule(name).weight
        if not isinstance(weight, Tensor):
            raise TypeError(f"{name} has no weight")
        a, b = a.to(weight.device, torch.float32), b.to(weight.device, torch.float32)
        weight.copy_(weight.float() + adapter.scale * (b @ a))


def _settings(config: dict[str, Any]) -> tuple[int, float]:
    """Rank and scale; ValueError unless the adapter is plain LoRA."""
    if config.get("peft_type") != "LORA":
        raise ValueError(f"the adapter is of type {config.get('peft_type')}, and only LORA is understood")
    if config.get("bias", "none") != "none":
        raise ValueError(f"the adapter trains biases ({config['bias']}), and only plain LoRA is understood")
    start = config.get("init_lora_weights", True)
    if start not in _PLAIN_START:
        raise ValueError(f"the adapter starts as {start}, which belongs to a changed base: convert it first")
    if strange := sorted(key for key, value in config.items() if value and key not in _UNDERSTOOD):
        raise ValueError(f"the adapter uses {', '.join(strange)}, and only plain LoRA is understood")
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise ValueError(f"the adapter's rank is {rank}")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or not 0 < alpha < math.inf:
        raise ValueError(f"the adapter's lora_alpha is {alpha}")
    return rank, alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _pair(name: str, both: dict[str, Tensor], rank: int) -> tuple[Tensor, Tensor]:
    if len(both) < 2:
        raise ValueError(f"the adapter's {name} has lora_{next(iter(both))} but not its other half")
    for half, tensor, axis in (("A", both["A"], 0), ("B", both["B"], 1)):
        if tensor.ndim != 2 or tensor.shape[axis] != rank:
            raise ValueError(
                f"lora_{half} of {name} is {list(tensor.shape)}, which is not of rank {rank} as {CONFIG_FILE} says"
            )
        if not (tensor.is_floating_point() and bool(tensor.isfinite().all())):
            raise ValueError(f"lora_{half} of {name} holds values that are not finite")
    return both["A"], both["B"]


def _layer(model: nn.Module, name: str) -> nn.Linear | None:
    try:
        layer = model.get_submodule(name)
    except AttributeError:
        return None
    return layer if isinstance(layer, nn.Linear) else None

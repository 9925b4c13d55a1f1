"""The vision transformer of a CLIP as open_clip stores it (RemoteCLIP, GeoRSCLIP, SkyScript, CLIP itself and others).

A folder has ``open_clip_config.json`` and weights as safetensors. They are read into transformers' CLIP, which computes
the same; so open_clip itself, torchvision and timm are not needed. Nothing in the folder is run.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import CLIPVisionConfig, CLIPVisionModel

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.folder import refused
from fusar_train.klip.settings import KlipError

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's colours, where a folder states no others."""
_KNOWN = {"image_size", "layers", "width", "patch_size", "head_width", "mlp_ratio"}
_HARMLESS = {"patch_dropout", "output_tokens"}
_LARGEST = 16384
_PARTS = {
    "ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn.out_proj": "self_attn.out_proj", "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}  # fmt: skip


def read_open_clip(folder: Path) -> tuple[CLIPVisionModel, tuple[float, ...], tuple[float, ...]]:
    """The vision transformer in float32, and the mean and deviation of its colours.

    Raises:
        KlipError: The folder is none of open_clip's, has no safetensors, or its image encoder is no plain ViT.
    """
    file = folder / CONFIG_FILE
    if not file.is_file():
        raise KlipError(
            f"{folder} is no open_clip model (it has no {CONFIG_FILE}): give the folder of one, such as a downloaded "
            "model of the hub."
        )
    weights = next((folder / name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    if weights is None:
        raise KlipError(
            f"{folder} has no {WEIGHTS_FILES[0]}: weights in other forms may run code and are not read. Store them as "
            "safetensors first."
        )
    try:
        with refused(f"{folder} cannot be read as an open_clip model", "get it again"):
            stated = json.loads(file.read_text(encoding="utf-8"))
            config = _config(stated["model_cfg"])
            colours = stated.get("preprocess_cfg", {})
            state = _renamed(load_file(weights), config)
            with torch.device("meta"):
                model = CLIPVisionModel(config)
            _check(model, state)
            model = CLIPVisionModel(config)
            model.load_state_dict(state, strict=False)  # what may lack are numbers of places
            return model, *(_three(colours.get(*one)) for one in (("mean", _MEAN), ("std", _STD)))
    except CheckpointError as error:
        raise KlipError(f"{error}.") from error


def _config(stated: dict[str, Any]) -> CLIPVisionConfig:
    """The library's configuration; ValueError unless it is that of a plain ViT of sensible sizes."""
    vision = stated["vision_cfg"]
    odd = sorted(name for name, value in vision.items() if name not in _KNOWN | _HARMLESS and value)
    if odd or not isinstance(vision.get("layers"), int):
        raise ValueError(f"its image encoder is no plain ViT ({', '.join(odd) or 'layers'})")
    sizes = {name: vision[name] for name in ("image_size", "layers", "width", "patch_size")}
    sizes |= {"head_width": vision.get("head_width", 64)}
    if bad := [name for name, value in sizes.items() if type(value) is not int or not 1 <= value <= _LARGEST]:
        raise ValueError(f"{', '.join(bad)} of its image encoder makes no sense")
    return CLIPVisionConfig(
        hidden_size=sizes["width"],
        intermediate_size=int(sizes["width"] * float(vision.get("mlp_ratio", 4.0))),
        num_hidden_layers=sizes["layers"],
        num_attention_heads=sizes["width"] // sizes["head_width"],
        image_size=sizes["image_size"],
        patch_size=sizes["patch_size"],
        hidden_act="quick_gelu" if stated.get("quick_gelu") else "gelu",
        attn_implementation="sdpa",
    )


def _renamed(state: dict[str, Tensor], config: CLIPVisionConfig) -> dict[str, Tensor]:
    """Open_clip's weights of the image encoder under the library's names."""
    mine = {key.removeprefix("visual."): value.float() for key, value in state.items() if "visual." in key}
    names = {
        "class_embedding": "embeddings.class_embedding",
        "conv1.weight": "embeddings.patch_embedding.weight",
        "positional_embedding": "embeddings.position_embedding.weight",
        "ln_pre.weight": "pre_layrnorm.weight",
        "ln_pre.bias": "pre_layrnorm.bias",
        "ln_post.weight": "post_layernorm.weight",
        "ln_post.bias": "post_layernorm.bias",
    }
    found = {new: mine[old] for old, new in names.items()}
    for number in range(int(config.num_hidden_layers)):
        old, new = f"transformer.resblocks.{number}", f"encoder.layers.{number}"
        for kind in ("weight", "bias"):
            for theirs, ours in _PARTS.items():
                found[f"{new}.{ours}.{kind}"] = mine[f"{old}.{theirs}.{kind}"]
            three = mine[f"{old}.attn.in_proj_{kind}"].chunk(3)
            for name, value in zip(("q_proj", "k_proj", "v_proj"), three, strict=True):
                found[f"{new}.self_attn.{name}.{kind}"] = value
    return found


def _check(model: CLIPVisionModel, state: dict[str, Tensor]) -> None:
    """ValueError unless the weights are those of the model."""
    wanted = {name: value.shape for name, value in model.named_parameters()}
    found = {name: value.shape for name, value in state.items()}
    if wrong := sorted(name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)):
        raise ValueError(f"weights do not fit the configuration: {', '.join(wrong[:3])}")


def _three(values: Any) -> tuple[float, ...]:
    colours = tuple(float(value) for value in values)
    if len(colours) != 3:
        raise ValueError("mean and std have three colours")
    return colours

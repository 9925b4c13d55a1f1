"""CLIPs of open_clip's form as encoders of a search: RemoteCLIP, GeoRSCLIP, the CLIPs of SAR, the user's own.

A folder as open_clip writes it has ``open_clip_config.json``, weights as safetensors and ``tokenizer.json``. They are
read into transformers' CLIP, which computes the same, so neither open_clip nor its torchvision and timm are needed.
Nothing in the folder is run and nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import Tensor
from torch.nn import functional
from transformers import (
    CLIPTextConfig,
    CLIPTextModelWithProjection,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.folder import refused, sha256
from fusar_gpt.retrieval.klip import BATCH, device_called, grey_levels
from fusar_gpt.retrieval.tokenizer import read_tokenizer, refuse_longer

OPEN_CLIP = "open_clip:"
"""Before the folder in an encoder's name."""
CONFIG_FILE, TOKENIZER_FILE = "open_clip_config.json", "tokenizer.json"
WEIGHTS_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors")

_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""Of CLIP's colours, where a folder states no others."""
_LARGEST = {
    **{"image_size": 4096, "patch_size": 256, "layers": 128, "width": 8192, "head_width": 1024, "heads": 128},
    **{"context_length": 4096, "vocab_size": 1 << 20, "embed_dim": 8192},
}
_USUAL = {"head_width": 64, "context_length": 77, "vocab_size": 49408, "heads": 8}
_READ = {*_LARGEST, "mlp_ratio", "quick_gelu", "vision_cfg", "text_cfg"}
_DECIDES_NO_VECTOR = {
    *("patch_dropout", "output_tokens", "output_dict", "custom_text", "init_logit_scale", "init_logit_bias"),
    *("attn_pooler_queries", "attn_pooler_heads", "timm_pool", "timm_proj", "pad_id", "eos_id", "cast_dtype"),
    *("hf_tokenizer_name", "hf_model_pretrained", "hf_proj_type", "hf_pooler_type"),
}
"""Of training, or of parts that a plain CLIP has not."""
_SCALES = ("logit_scale", "logit_bias")
_PLAIN = {"pos_embed_type": ("learnable",), "pool_type": ("tok", "argmax"), "proj_type": ("linear",)}
_THEIRS = {
    "vision_model.": "visual.",
    "text_model.": "",
    "embeddings.class_embedding": "class_embedding",
    "embeddings.patch_embedding": "conv1",
    "embeddings.position_embedding.weight": "positional_embedding",
    "embeddings.token_embedding": "token_embedding",
    "encoder.layers": "transformer.resblocks",
    "pre_layrnorm": "ln_pre",
    "post_layernorm": "ln_post",
    "final_layer_norm": "ln_final",
    "layer_norm": "ln_",
    "self_attn": "attn",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "visual_projection.weight": "visual.proj",
    "text_projection.weight": "text_projection",
}
"""Parts of the names of weights: transformers' and open_clip's."""
_TURNED = ("visual_projection.weight", "text_projection.weight")
"""Stored as [in, out]."""
_USABLE = "give a CLIP of a plain vision transformer and CLIP's own text transformer"


@dataclass(frozen=True)
class OpenClipEncoder:
    """A CLIP of open_clip's form as an :class:`~fusar_gpt.retrieval.encoder.Encoder`.

    Attributes:
        name: ``open_clip:`` and its folder's name.
        hash: SHA-256 of its configuration, weights and tokenizer.
        images, texts: Its two encoders, in float32.
        mean, std: Of the colours that it sees, [1, 3, 1, 1], where 1 is the brightest.
        tokenizer: Its tokenizer, which ends each text with its highest token.
        device: Where it computes.
    """

    name: str
    hash: str
    images: CLIPVisionModelWithProjection
    texts: CLIPTextModelWithProjection
    mean: Tensor
    std: Tensor
    tokenizer: Tokenizer
    device: torch.device
    demonstration: bool = False
    pixel_m: tuple[float, float] | None = None
    words: frozenset[str] = frozenset()

    @property
    def image_px(self) -> int:
        """The side of the images that it sees."""
        return int(self.images.config.image_size)

    @property
    def dimensions(self) -> int:
        """Of both towers' projections."""
        return int(self.texts.config.projection_dim)

    def words_of(self, text: str) -> list[str]:
        """The words of a text in small letters, Chinese characters one by one."""
        return re.findall(r"[\u3400-\u9fff]|[^\W\d_\u3400-\u9fff]+", text.lower())

    @torch.inference_mode()
    def embed_images(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, dimensions] of grey images uint8 [N, image_px, image_px], shown as equal colours.

        Raises:
            TaskError: They are no such images.
        """
        found = []
        for at in range(0, len(images), BATCH):
            grey = grey_levels(images[at : at + BATCH], self.image_px).to(self.device)
            pixels = (grey[:, None].float() / 255 - self.mean) / self.std
            found.append(self.images(pixel_values=pixels).image_embeds)
        return self._unit(found)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Unit vectors float32 [N, dimensions] of texts.

        Raises:
            TooLarge: One is longer than the model reads.
        """
        tokens = [self.tokenizer.encode(text).ids for text in texts]
        refuse_longer(texts, tokens, int(self.texts.config.max_position_embeddings))
        found = []
        for at in range(0, len(texts), BATCH):
            some = [torch.tensor(one) for one in tokens[at : at + BATCH]]
            # No token sees those behind it, so what stands behind the last changes nothing.
            ids = torch.nn.utils.rnn.pad_sequence(some, batch_first=True).to(self.device)
            found.append(self.texts(input_ids=ids).text_embeds)
        return self._unit(found)

    def _unit(self, found: Sequence[Tensor]) -> NDArray[np.float32]:
        nothing = np.zeros((0, self.dimensions), np.float32)
        return np.concatenate([nothing, *(functional.normalize(one, dim=-1).cpu().numpy() for one in found)])


def load_open_clip(folder: Path, *, device: str = "auto") -> OpenClipEncoder:
    """An encoder from a folder of open_clip's form.

    Raises:
        CheckpointError: The folder is none, lacks safetensors or a tokenizer, is broken or no CLIP of a plain vision
            transformer and a text transformer, or the device is not there.
    """
    where = device_called(device)
    images, *colours = read_image_tower(folder)
    if not (folder / TOKENIZER_FILE).is_file():
        raise CheckpointError(
            f"{folder} has no {TOKENIZER_FILE}, and nothing is downloaded: put that of the CLIP that it was made from "
            "there"
        )
    weights = _weights_of(folder)
    with refused(f"{folder} cannot be used", _USABLE):
        config = _text_config(_stated(folder)[0])
    with refused(f"{folder} cannot be read as an open_clip model", "get it again"):
        tokenizer = _tokenizer(folder, config)
        texts = _tower(CLIPTextModelWithProjection, config, weights)
    total = hashlib.sha256()
    for path in (folder / CONFIG_FILE, weights, folder / TOKENIZER_FILE):
        total.update(f"{path.name} {sha256(path)}\n".encode())
    mean, std = (torch.tensor(one, device=where).reshape(1, 3, 1, 1) for one in colours)
    return OpenClipEncoder(
        name=f"{OPEN_CLIP}{folder.resolve().name}",
        hash=total.hexdigest(),
        images=images.eval().to(where),
        texts=texts.eval().to(where),
        mean=mean,
        std=std,
        tokenizer=tokenizer,
        device=where,
    )


def read_image_tower(
    folder: Path,
) -> tuple[CLIPVisionModelWithProjection, tuple[float, ...], tuple[float, ...]]:
    """The image encoder of a folder of open_clip's form in float32, and the mean and deviation of its colours.

    Whatever its text encoder is.

    Raises:
        CheckpointError: The folder is none, lacks safetensors, is broken, or its image encoder is no plain ViT.
    """
    weights = _weights_of(folder)
    stated, colours = _stated(folder)
    with refused(f"{folder} cannot be used", _USABLE):
        config = _vision_config(stated)
    with refused(f"{folder} cannot be read as an open_clip model", "get it again"):
        mean, std = (_three(colours.get(name) or usual) for name, usual in (("mean", _MEAN), ("std", _STD)))
        if min(std) <= 0:
            raise ValueError("std must be above 0")
        return _tower(CLIPVisionModelWithProjection, config, weights), mean, std


def _weights_of(folder: Path) -> Path:
    """The file of a folder's weights; CheckpointError where there is none that can be read without running code."""
    if not (folder / CONFIG_FILE).is_file():
        raise CheckpointError(
            f"{folder} is no open_clip model (it has no {CONFIG_FILE}): give the folder of one, such as a downloaded "
            "model of the hub"
        )
    found = next((folder / name for name in WEIGHTS_FILES if (folder / name).is_file()), None)
    if found is None:
        raise CheckpointError(
            f"{folder} has no {WEIGHTS_FILES[0]}: weights in other forms may run code and are not read, so load them "
            "with open_clip where you trust them, and store model.state_dict() with safetensors.torch.save_file"
        )
    return found


def _stated(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a folder says of its model, and of the colours that it sees."""
    with refused(f"{folder} cannot be read as an open_clip model", "get it again"):
        stated = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
        return dict(stated.get("model_cfg", stated)), dict(stated.get("preprocess_cfg") or {})


def _vision_config(stated: Mapping[str, Any]) -> CLIPVisionConfig:
    """The library's configuration; ValueError unless it is that of a plain ViT of sensible sizes."""
    vision = dict(stated["vision_cfg"])
    side = vision.get("image_size")
    if isinstance(side, list):
        if len(side) != 2 or side[0] != side[1]:
            raise ValueError(f"its images are {' x '.join(map(str, side))} px, and slices are square")
        vision["image_size"] = side[0]
    if odd := _odd(vision):
        raise ValueError(f"its image encoder is no plain ViT: {', '.join(odd)}")
    sizes = _sizes(vision, ("image_size", "patch_size", "layers", "width", "head_width"))
    if sizes["patch_size"] > sizes["image_size"]:
        raise ValueError("its patches are larger than its images")
    return CLIPVisionConfig(
        **_transformer(stated, vision, sizes["width"] // sizes["head_width"]),
        image_size=sizes["image_size"],
        patch_size=sizes["patch_size"],
    )


def _text_config(stated: Mapping[str, Any]) -> CLIPTextConfig:
    """The library's configuration; ValueError unless it is that of CLIP's text transformer, of sensible sizes."""
    text = dict(stated["text_cfg"])
    if odd := _odd(stated) + _odd(text):
        raise ValueError(f"its text encoder is not CLIP's: {', '.join(odd)}")
    sizes = _sizes(text, ("vocab_size", "context_length", "heads"))
    return CLIPTextConfig(
        **_transformer(stated, text, sizes["heads"]),
        vocab_size=sizes["vocab_size"],
        max_position_embeddings=sizes["context_length"],
        eos_token_id=2,  # which the library takes for the highest token of a text, as open_clip does
        bos_token_id=None,
        pad_token_id=None,
    )


def _odd(stated: Mapping[str, Any]) -> list[str]:
    """The settings of a model that is no plain CLIP."""
    known = _READ | _DECIDES_NO_VECTOR
    return sorted(
        name
        for name, value in stated.items()
        if value and (name not in known or isinstance(value, list)) and value not in _PLAIN.get(name, ())
    )


def _sizes(stated: Mapping[str, Any], names: Sequence[str]) -> dict[str, int]:
    """Some whole numbers of a configuration; ValueError for one that is missing, none or out of reason."""
    sizes = {name: stated.get(name, _USUAL.get(name)) for name in names}
    if bad := [
        name for name, value in sizes.items() if type(value) is not int or not 1 <= value <= _LARGEST[name]
    ]:
        raise ValueError(f"{', '.join(bad)} makes no sense")
    return sizes


def _transformer(stated: Mapping[str, Any], tower: Mapping[str, Any], heads: int) -> dict[str, Any]:
    """What the library's configurations of both towers have in common."""
    sizes = _sizes({**tower, "embed_dim": stated.get("embed_dim")}, ("layers", "width", "embed_dim"))
    ratio = float(tower.get("mlp_ratio", 4.0))
    if not (heads and sizes["width"] % heads == 0 and 0 < ratio <= 16):
        raise ValueError("heads or mlp_ratio make no sense")
    return {
        "hidden_size": sizes["width"],
        "intermediate_size": int(sizes["width"] * ratio),
        "num_hidden_layers": sizes["layers"],
        "num_attention_heads": heads,
        "projection_dim": sizes["embed_dim"],
        "hidden_act": "quick_gelu" if stated.get("quick_gelu") else "gelu",
        "attn_implementation": "sdpa",
    }


def _three(values: Any) -> tuple[float, ...]:
    colours = tuple(float(value) for value in values)
    if len(colours) != 3 or not np.isfinite(colours).all():
        raise ValueError("mean and std have three colours")
    return colours


def _tokenizer(folder: Path, config: CLIPTextConfig) -> Tokenizer:
    """A folder's tokenizer; ValueError unless it fits the text encoder."""
    found = read_tokenizer(folder / TOKENIZER_FILE)
    found.no_padding()
    found.no_truncation()
    if found.get_vocab_size() > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {found.get_vocab_size()} tokens and the model {config.vocab_size}"
        )
    ids = found.encode("ships").ids
    if len(ids) < 3 or ids.index(max(ids)) != len(ids) - 1:
        raise ValueError("the tokenizer does not end a text with its highest token, as that of a CLIP does")
    return found


def _tower(kind: Any, config: Any, weights: Path) -> Any:
    """An encoder with its weights in float32; ValueError unless they fit, which is seen before memory is taken."""
    with torch.device("meta"):
        model = kind(config)
    shapes = {name: list(weight.shape) for name, weight in model.named_parameters()}
    of_images = kind is CLIPVisionModelWithProjection
    with safe_open(weights, framework="pt") as file:
        keys = [key for key in file.keys() if key.startswith("visual.") == of_images and key not in _SCALES]  # noqa: SIM118 - no mapping
        stored = {key.removeprefix("text."): file.get_slice(key) for key in keys}
        _check_shapes(shapes, {key: weight.get_shape() for key, weight in stored.items()})
        state = {name: _weight(name, stored, rows=shape[0]) for name, shape in shapes.items()}
    if broken := [name for name, weight in state.items() if not bool(weight.isfinite().all())]:
        raise ValueError(f"weights are not finite: {', '.join(broken[:3])}")
    model.load_state_dict(state, assign=True)
    for part in model.modules():
        if hasattr(part, "position_ids"):  # not stored, so it lies on the meta device still
            part.position_ids = torch.arange(part.position_ids.shape[-1])[None]
    return model


def _check_shapes(shapes: Mapping[str, list[int]], stored: Mapping[str, list[int]]) -> None:
    """ValueError unless open_clip's weights are those that the library's CLIP wants."""
    wanted = {}
    for name, (rows, *others) in shapes.items():
        theirs, third = _source(name)
        wanted[theirs] = (
            [*others, rows] if name in _TURNED else [rows if third is None else 3 * rows, *others]
        )
    if wrong := sorted(key for key in wanted.keys() | stored.keys() if wanted.get(key) != stored.get(key)):
        raise ValueError(f"weights do not fit the configuration: {', '.join(wrong[:3])}")


def _weight(name: str, stored: Mapping[str, Any], rows: int) -> Tensor:
    """A weight of the library's CLIP, from open_clip's."""
    theirs, third = _source(name)
    weight: Tensor = stored[theirs][:] if third is None else stored[theirs][third * rows : (third + 1) * rows]
    return (weight.T if name in _TURNED else weight).float().contiguous()


def _source(name: str) -> tuple[str, int | None]:
    """Where open_clip has a weight of the library's CLIP: its name, and which third of it where three are one."""
    for ours, theirs in _THEIRS.items():
        name = name.replace(ours, theirs)
    for third, letter in enumerate("qkv"):
        if f".{letter}_proj." in name:
            return name.replace(f"{letter}_proj.", "in_proj_"), third
    return name, None

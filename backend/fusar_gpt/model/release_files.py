"""The files of a released folder that stand beside its adapter: what image it sees, and TLM, if it has one."""

from __future__ import annotations

import json
import math
import pickle
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.adapter import CONFIG_FILE
from fusar_gpt.model.config import VEC_DIM
from fusar_gpt.model.folder import BROKEN

FILM_FILE = "vec64_film.pt"
SETTINGS_FILE = "tlm_config.json"
IMAGES_ONLY_FILE = "image_text_config.json"
FORMAT = "tlm_original_train_patch_resize_v1"
IMAGE_SIZE = 504  # px, where a release does not say
RELEASED_SIGMA = 2.0  # where a release does not say

STAGES = ("stage1", "stage2")
"""The folders of the authors' repository, as ``--stage`` names them."""

_LAYERS = {"0.weight": "w1.weight", "0.bias": "w1.bias", "2.weight": "w2.weight", "2.bias": "w2.bias"}
_DEPTH = 3  # folders below SRC in which a release is looked for


@dataclass(frozen=True)
class Settings:
    """What image a release sees, in px, and its TLM: ``sigma`` is None for an adapter of images alone.

    ``hidden_mult`` is None if not given.
    """

    width: int
    height: int
    sigma: float | None = None
    hidden_mult: float | None = None


def find_release(source: Path, stage: str | None = None) -> Path:
    """The released folder that ``source`` is, or the only one inside it (of that stage); CheckpointError otherwise."""
    if not source.is_dir():
        raise CheckpointError(f"there is no folder {source}: give the folder of the released adapter")
    found = [source]
    if not (source / CONFIG_FILE).is_file():
        inside = (path for depth in range(1, _DEPTH + 1) for path in source.glob("*/" * depth + CONFIG_FILE))
        found = sorted({path.parent for path in inside})
    if not found:
        raise CheckpointError(f"{source} holds no {CONFIG_FILE}: give the folder of the released adapter")
    chosen = [path for path in found if stage in (None, stage_of(path))]
    if len(chosen) == 1:
        return chosen[0]
    choices = ", ".join(str(path.relative_to(source)) for path in chosen or found if path != source)
    if not chosen:
        there = f"holds {choices}" if choices else "is one adapter of no named stage"
        raise CheckpointError(f"{source} {there}, not the folder of {stage}: get it, or leave --stage out")
    raise CheckpointError(f"{source} holds several adapters: give one of its folders {choices}, or a --stage")


def stage_of(source: Path) -> str | None:
    """The authors' stage by the folder's name or its parent's, as in ``stage2/detection``; None if they say none."""
    return next((name for name in reversed(source.absolute().parts[-2:]) if name in STAGES), None)


def read_settings(source: Path, sigma: float | None) -> Settings:
    """The settings of a released folder and of the user; ValueError when they contradict or are missing."""
    film = (source / FILM_FILE).is_file()
    plain = _read(source / IMAGES_ONLY_FILE)
    if plain is None:
        if not film:
            raise ValueError(
                f"it has no {FILM_FILE}, nor an {IMAGES_ONLY_FILE} that says that it needs none: get the whole folder"
            )
        return _tlm_settings(source, sigma, IMAGE_SIZE)
    size = plain.get("image_size")
    uses_tlm = plain.get("use_tlm")
    if not isinstance(uses_tlm, bool):
        raise ValueError(f"use_tlm in {IMAGES_ONLY_FILE} must be true or false, not {uses_tlm}")
    if uses_tlm and not film:
        raise ValueError(
            f"{IMAGES_ONLY_FILE} says use_tlm true, and there is no {FILM_FILE}: get the whole folder"
        )
    if uses_tlm:
        settings = _tlm_settings(source, sigma, size)
        if (settings.width, settings.height) != _size(size):
            raise ValueError(
                f"{IMAGES_ONLY_FILE} says image_size {size}, and {SETTINGS_FILE} {settings.width} x {settings.height}: "
                "keep the one that it was trained with"
            )
        return settings
    if film or (source / SETTINGS_FILE).is_file():
        raise ValueError(
            f"{IMAGES_ONLY_FILE} says use_tlm false, and a TLM lies beside it: keep only what belongs to the adapter"
        )
    if sigma is not None:
        raise ValueError(f"{IMAGES_ONLY_FILE} says that it has no TLM: leave --sigma out")
    return Settings(*_size(size))


def _tlm_settings(source: Path, sigma: float | None, image_size: Any) -> Settings:
    """The settings of ``tlm_config.json``; where there is none, the user's sigma and an ``image_size``."""
    content = _read(source / SETTINGS_FILE)
    if content is None:
        if sigma is None:
            raise ValueError(
                f"it has no {SETTINGS_FILE}: give --sigma (the authors trained their released folders with "
                f"{RELEASED_SIGMA:g})"
            )
        content = {"format": FORMAT, "sigma": sigma}
    if content.get("format") != FORMAT:
        raise ValueError(f"{SETTINGS_FILE} is not of the format {FORMAT}")
    if content.get("vec_dim", VEC_DIM) != VEC_DIM:
        raise ValueError(f"{SETTINGS_FILE} says vec_dim {content['vec_dim']}, and AEF vectors have {VEC_DIM}")
    own = _positive(content.get("sigma"), "sigma")
    if sigma is not None and sigma != own:
        raise ValueError(f"{SETTINGS_FILE} says sigma {own:g}, and --sigma says {sigma:g}: leave --sigma out")
    multiple = content.get("hidden_mult")
    width, height = _size(content.get("image_size", image_size))
    return Settings(width, height, own, None if multiple is None else _positive(multiple, "hidden_mult"))


def read_film(path: Path) -> dict[str, Tensor]:
    """TLM's two layers in float32 under our names; ValueError when the file holds anything else.

    Sequential(Linear(64, h), SiLU, Linear(h, 2C)) in the authors' file; gamma is the first half of 2C, as here.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old pickle protocols
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{FILM_FILE} holds something else than tensors, which is not run") from error
    except BROKEN as error:
        raise ValueError(f"{FILM_FILE} is broken") from error
    layers = content.get("film_mlp") if isinstance(content, dict) else None
    if not isinstance(layers, dict) or set(content) - {"film_mlp", "score"} or set(layers) != set(_LAYERS):
        raise ValueError(f"{FILM_FILE} is not of the released structure (film_mlp with {', '.join(_LAYERS)})")
    tensors = {}
    for key, ours in _LAYERS.items():
        tensor = layers[key]
        if not (isinstance(tensor, Tensor) and tensor.is_floating_point() and bool(tensor.isfinite().all())):
            raise ValueError(f"{key} in {FILM_FILE} holds values that are not finite")
        tensors[ours] = tensor.detach().float().contiguous()
    return tensors


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object, None where there is no file; ValueError for anything else."""
    if not path.is_file():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict):
        raise ValueError(f"{path.name} is not a JSON object")
    return content


def _positive(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"{what} must be a positive number, not {value}")
    return float(value)


def _size(value: Any) -> tuple[int, int]:
    """Width and height in px of an image_size, one number or two."""
    both = value if isinstance(value, list) else [value, value]
    if len(both) != 2 or not all(
        isinstance(one, int) and not isinstance(one, bool) and one > 0 for one in both
    ):
        raise ValueError(f"image_size must be a number of px or [width, height], not {value}")
    return both[0], both[1]

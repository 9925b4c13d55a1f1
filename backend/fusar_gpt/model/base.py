"""The base model of an adapter: a published Qwen2.5-VL in a folder or on the hub, with either layout of names."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import GenerationConfig, Qwen2_5_VLConfig

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import hub
from fusar_gpt.model.config import FusarGptConfig
from fusar_gpt.model.folder import Card, refuse_code, refused, sha256
from fusar_gpt.model.fusar import OLDER_NAMES, FusarGptForConditionalGeneration

BASE_FILES = ("*.safetensors", "*.json", "*.jinja", "merges.txt")

_TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


@dataclass(frozen=True)
class Base:
    """A base model on disk. ``name`` is what a card records: a hub id or an absolute path."""

    name: str
    folder: Path
    files: tuple[Path, ...]

    def sizes(self) -> dict[str, int]:
        """Bytes of every file of weights."""
        return {path.name: path.stat().st_size for path in self.files}

    def digests(self) -> dict[str, str]:
        """SHA-256 of every file of weights; a minute or so for 16 GB."""
        return {path.name: sha256(path) for path in self.files}


def open_base(name: str, report: Callable[[str], None]) -> Base:
    """The base in a folder, or of a hub id, downloaded unless it is cached.

    CheckpointError when there is none, or its weights are incomplete or not safetensors.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        name = str(folder.resolve())
    elif folder.exists() or not hub.HUB_ID.fullmatch(name):
        raise CheckpointError(
            f"{name} is not a base model: give the folder of a Qwen2.5-VL checkpoint or its hub id"
        )
    else:
        folder = _of_hub(name, report)
    return Base(name, folder, _weight_files(folder))


def reopen_base(card: Card) -> Base:
    """The base that a card names; CheckpointError when it is missing or changed since the import.

    Compares sizes, not digests, which would take a minute at every start.
    """
    name = str(card.base)
    if Path(name).is_absolute() and not Path(name).is_dir():
        raise CheckpointError(f"the base of {card.name} is missing from {name}: put it back or import again")
    folder = Path(name) if Path(name).is_absolute() else _of_hub(name, lambda line: None)
    base = Base(name, folder, _weight_files(folder))
    if changed := sorted(dict(base.sizes().items() ^ card.base_sizes.items())):
        raise CheckpointError(
            f"the base of {card.name} in {folder} has changed since the import ({', '.join(changed[:3])}): "
            "put it back or import again"
        )
    return base


def check_digests(base: Base, card: Card) -> None:
    """CheckpointError unless the SHA-256 of all the base's weight files are those of the import."""
    digests = base.digests()
    if wrong := sorted(name for name, value in card.base_digests.items() if digests.get(name) != value):
        raise CheckpointError(
            f"the base in {base.folder} has other weights now ({', '.join(wrong[:3])}): import again"
        )


def read_base_config(base: Base) -> FusarGptConfig:
    """The base's configuration as ours, with all its end tokens; CheckpointError when it is not a Qwen2.5-VL."""
    with refused(f"{base.folder} is not a Qwen2.5-VL that can be a base", "give another --base"):
        content = json.loads((base.folder / "config.json").read_text(encoding="utf-8"))
        if content["model_type"] != Qwen2_5_VLConfig.model_type:
            raise ValueError(f"its model type is {content['model_type']}")
        if content.get("quantization_config"):
            raise ValueError("its weights are quantised")
        config = FusarGptConfig.from_dict(content)
        ends = config.text_config.eos_token_id
        if (base.folder / "generation_config.json").is_file():
            found = GenerationConfig.from_pretrained(
                base.folder, local_files_only=True, trust_remote_code=False
            )
            ends = found.eos_token_id or ends
        config.text_config.eos_token_id = ends
        return config


def check_weights(base: Base, config: FusarGptConfig) -> FusarGptForConditionalGeneration:
    """The model on the meta device, after checking that the base's weights have exactly its names and shapes.

    Sets the configuration's dtype to that of most weights. CheckpointError when names or shapes differ.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    types: Counter[str] = Counter()
    for path in base.files:
        with refused(f"{path} is broken", "get the base again"), safe_open(path, framework="pt") as file:
            for key in file.keys():  # noqa: SIM118 - no dictionary
                part = file.get_slice(key)
                shapes[current_name(key)] = tuple(part.get_shape())
                types[part.get_dtype()] += 1
    config.dtype = _TYPES.get(max(types, key=lambda name: types[name], default=""), torch.float32)
    with torch.device("meta"):
        model = FusarGptForConditionalGeneration(config)
    tied = set(model.all_tied_weights_keys)
    expected = {
        name: tuple(tensor.shape)
        for name, tensor in model.state_dict().items()
        if not name.startswith("model.tlm.") and name not in tied
    }
    for name in sorted(expected.keys() | shapes.keys() - tied):
        if expected.get(name) != shapes.get(name):
            raise CheckpointError(
                f"the weights in {base.folder} do not fit its configuration ({name} is {shapes.get(name)}, "
                f"not {expected.get(name)}): get the base again"
            )
    return model


def check_names(theirs: str | None, base: Base, report: Callable[[str], None]) -> None:
    """CheckpointError if the base is clearly another model; a note if the names merely differ.

    The same weights are kept under many names, so only a family or size that both names contain is compared.
    """
    ours = _base_name(base.name)
    if theirs is None or ours is None:
        return
    theirs = _base_name(theirs) or theirs
    adapter, other = _family_and_size(theirs), _family_and_size(ours)
    if any(adapter[key] != other[key] for key in adapter.keys() & other.keys()):
        raise CheckpointError(
            f"the adapter was trained on {theirs}, and this base is {ours}: give --base {theirs}"
        )
    if theirs.lower() != ours.lower():
        report(
            f"note: the adapter calls its base {theirs}, this one is called {ours}; only sizes are compared"
        )


def current_name(name: str) -> str:
    """A weight's or module's name in the current layout; published files use an older one."""
    for pattern, replacement in OLDER_NAMES:
        name = re.sub(pattern, replacement, name)
    return name


def _of_hub(name: str, report: Callable[[str], None]) -> Path:
    folder = hub.cached(name, BASE_FILES)
    if folder is None:
        remote = hub.look_up(name, BASE_FILES)
        hub.check_space([remote])
        folder = hub.fetch(remote, report)
    return folder


def _weight_files(folder: Path) -> tuple[Path, ...]:
    """The weight files that the library would read; CheckpointError when one is missing, or code must be run."""
    refuse_code(folder)
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if single.is_file():
        return (single,)
    if not index.is_file():
        raise CheckpointError(f"{folder} has no weights as safetensors: give a folder with model.safetensors")
    with refused(f"{index} cannot be read", "get the base again"):
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    if missing := [name for name in names if Path(name).name != name or not (folder / name).is_file()]:
        raise CheckpointError(f"{folder} lacks {', '.join(missing[:3])}: get the base again")
    return tuple(folder / name for name in names)


def _family_and_size(name: str) -> dict[str, str]:
    """What a model's name contains: its family with its version, and its size in billions."""
    name = name.lower()
    found = {}
    if family := re.search(r"qwen[-_]?(\d+(?:[-_.]\d+(?![\d.]*b))?)?", name):
        vision = "vl" in re.split(r"[^a-z]+", name)
        found["family"] = f"{re.sub('[-_]', '.', family[1] or '')} {vision}"
    if size := re.search(r"(?<![\d.])(\d+(?:\.\d+)?)b(?![a-z])", name):
        found["size"] = size[1]
    return found


def _base_name(name: str) -> str | None:
    """The model's name in a hub id or path; None for a snapshot folder's hash outside the hub's cache."""
    parts = [part for part in re.split(r"[\\/]+", name.strip()) if part]
    for part in parts:
        if part.startswith("models--"):
            return part.split("--")[-1]
    return None if not parts or re.fullmatch(r"[0-9a-f]{40}", parts[-1]) else parts[-1]

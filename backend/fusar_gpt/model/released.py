"""Import of a checkpoint as the authors release it: a PEFT adapter, TLM's two layers, and a base elsewhere.

No code of theirs is run: ``vec64_film.pt`` is read only if it holds nothing but tensors, and becomes safetensors.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2VLImageProcessorPil

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import hub
from fusar_gpt.model.adapter import CONFIG_FILE, check_targets, read_adapter, write_adapter
from fusar_gpt.model.base import BASE_FILES, Base, check_weights, open_base, read_base_config
from fusar_gpt.model.checkpoint import check_fit, quiet
from fusar_gpt.model.config import VEC_DIM, FusarGptConfig
from fusar_gpt.model.folder import (
    BROKEN,
    TLM_FILE,
    Card,
    deciding_files,
    refuse_code,
    refused,
    staged,
    write_card,
)
from fusar_gpt.model.processor import FusarGptProcessor
from fusar_gpt.model.store import new_folder
from fusar_gpt.model.tiny import CHAT_TEMPLATE

FILM_FILE = "vec64_film.pt"
SETTINGS_FILE = "tlm_config.json"
FORMAT = "tlm_original_train_patch_resize_v1"
IMAGE_SIZE = 504  # px, where a release does not say
RELEASED_SIGMA = 2.0  # where a release does not say

RELEASE = "kkcyy/FUSAR-GPT"
SUBFOLDER = "stage2/detection"
BASE = "Qwen/Qwen2.5-VL-7B-Instruct"

# Qwen2.5-VL's turn format, for folders without any chat template.
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}" + CHAT_TEMPLATE
)

_LAYERS = {"0.weight": "w1.weight", "0.bias": "w1.bias", "2.weight": "w2.weight", "2.bias": "w2.bias"}
_RELEASE_FILES = (*BASE_FILES, FILM_FILE)
_DEPTH = 3  # folders below SRC in which a release is looked for


@dataclass(frozen=True)
class Settings:
    """The settings of ``tlm_config.json``, or their defaults; ``hidden_mult`` is None if not given."""

    sigma: float
    width: int
    height: int
    hidden_mult: float | None


def pull(
    repo: str = RELEASE,
    *,
    base: str = BASE,
    subfolder: str | None = None,
    sigma: float | None = None,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Card:
    """Download a release and its base into the hub's cache and import it into the store.

    Args:
        repo: the release's hub id.
        base: the base's hub id.
        subfolder: of the repository that holds the adapter; None takes the only one, of the authors'
            repository the detection stage.
        sigma: as ``import_release``'s; None takes 2 for the authors' repository unless it says otherwise.
        name: in the store; None takes the repository's.
        report: called with a line before each long step.

    Raises:
        CheckpointError: no network, no room, a corrupted file, or a release that does not fit.
    """
    name = name or repo.rpartition("/")[2].lower()
    out = new_folder(name)
    if subfolder is None:
        subfolder = SUBFOLDER if repo == RELEASE else _only_adapter(repo)
    inside = f"{subfolder.strip('/')}/" if subfolder else ""
    release = hub.look_up(repo, [inside + pattern for pattern in _RELEASE_FILES])
    weights = hub.look_up(base, BASE_FILES)
    hub.check_space([release, weights])
    source = hub.fetch(release, report) / inside
    hub.fetch(weights, report)
    if repo == RELEASE and sigma is None and not (source / SETTINGS_FILE).is_file():
        sigma = RELEASED_SIGMA
    return import_release(source, base, out, sigma=sigma, name=name, report=report)


def import_release(
    source: Path,
    base: str,
    out: Path,
    *,
    sigma: float | None = None,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Card:
    """Write a released folder as the checkpoint folder ``out``; the base stays where it is.

    Args:
        source: the released folder, or one above it that holds no other.
        base: the folder or hub id of the Qwen2.5-VL that the adapter was trained on.
        out: a folder that does not exist yet, or is empty.
        sigma: of the Gaussian weights; needed when the release has no ``tlm_config.json``.
        name: of the checkpoint; None takes the folder's.
        report: called with a line before each long step, and with notes.

    Raises:
        CheckpointError: something does not fit; nothing is written.
    """
    source = find_release(source.expanduser())
    refuse_code(source)
    with refused(f"{source} cannot be imported"):
        settings = read_settings(source, sigma)
        adapter = read_adapter(source)
        film = read_film(source / FILM_FILE)
    opened = open_base(base, report)
    _check_names(adapter.base_name, opened, report)
    config = read_base_config(opened)
    with refused(f"{source} cannot be imported"):
        config.tlm = {**(config.tlm or {}), **_tlm_settings(config, film, settings)}
        model = check_weights(opened, config)
        check_targets(adapter, model)
        card = _card(source, name or out.name, config, settings, opened)
        tokenizer = _tokenizer(source, opened)
        images = _image_processor(source, opened, config, report)
        config.text_config.pad_token_id = tokenizer.pad_token_id
        check_fit(config, FusarGptProcessor(tokenizer, images, card))
    report(f"computing the checksums of {opened.folder}")
    card.base_digests.update(opened.digests())
    with staged(out) as stage, quiet():
        config.save_pretrained(stage)
        write_adapter(stage, adapter)
        save_file(film, stage / TLM_FILE, {"format": "pt"})
        tokenizer.save_pretrained(stage)
        images.save_pretrained(stage)
        return write_card(stage, card, deciding_files(stage))


def find_release(source: Path) -> Path:
    """The released folder that ``source`` is, or the only one inside it; CheckpointError otherwise."""
    if not source.is_dir():
        raise CheckpointError(f"there is no folder {source}: give the folder of the released adapter")
    if (source / CONFIG_FILE).is_file():
        return source
    inside = sorted(
        {path.parent for depth in range(1, _DEPTH + 1) for path in source.glob("*/" * depth + CONFIG_FILE)}
    )
    if not inside:
        raise CheckpointError(f"{source} holds no {CONFIG_FILE}: give the folder of the released adapter")
    if len(inside) > 1:
        choices = ", ".join(str(path.relative_to(source)) for path in inside)
        raise CheckpointError(f"{source} holds several adapters: give one of its folders {choices}")
    return inside[0]


def read_settings(source: Path, sigma: float | None) -> Settings:
    """The settings of a released folder and of the user; ValueError when they contradict or are missing."""
    path = source / SETTINGS_FILE
    content: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    if content is None:
        if sigma is None:
            raise ValueError(
                f"it has no {SETTINGS_FILE}: give --sigma (the authors trained their released folders with "
                f"{RELEASED_SIGMA:g})"
            )
        content = {"format": FORMAT, "sigma": sigma}
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"{SETTINGS_FILE} is not of the format {FORMAT}")
    if content.get("vec_dim", VEC_DIM) != VEC_DIM:
        raise ValueError(f"{SETTINGS_FILE} says vec_dim {content['vec_dim']}, and AEF vectors have {VEC_DIM}")
    own = _positive(content.get("sigma"), "sigma")
    if sigma is not None and sigma != own:
        raise ValueError(f"{SETTINGS_FILE} says sigma {own:g}, and --sigma says {sigma:g}: leave --sigma out")
    multiple = content.get("hidden_mult")
    width, height = _size(content.get("image_size", IMAGE_SIZE))
    return Settings(own, width, height, None if multiple is None else _positive(multiple, "hidden_mult"))


def read_film(path: Path) -> dict[str, Tensor]:
    """TLM's two layers in float32 under our names; ValueError when the file holds anything else.

    Sequential(Linear(64, h), SiLU, Linear(h, 2C)) in the authors' file; gamma is the first half of 2C, as here.
    """
    if not path.is_file():
        raise ValueError(f"it has no {FILM_FILE}")
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


def _check_names(theirs: str | None, base: Base, report: Callable[[str], None]) -> None:
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


def _tlm_settings(config: FusarGptConfig, film: dict[str, Tensor], settings: Settings) -> dict[str, Any]:
    """The ``tlm`` entry of the configuration; ValueError unless the layers fit the base's width."""
    channels = config.text_config.hidden_size
    hidden = len(film["w1.weight"])
    expected = {
        "w1.weight": (hidden, VEC_DIM),
        "w1.bias": (hidden,),
        "w2.weight": (2 * channels, hidden),
        "w2.bias": (2 * channels,),
    }
    for name, shape in expected.items():
        if tuple(film[name].shape) != shape:
            raise ValueError(
                f"TLM's {name} is {list(film[name].shape)}, and a base of "
                f"{channels} channels needs {list(shape)}"
            )
    if settings.hidden_mult is not None and hidden != max(128, int(settings.hidden_mult * channels)):
        raise ValueError(
            f"TLM's hidden width is {hidden}, and {SETTINGS_FILE} says {settings.hidden_mult:g} times {channels}"
        )
    return {"variant": "release", "sigma": settings.sigma, "hidden": hidden, "vec_dim": VEC_DIM}


def _card(source: Path, name: str, config: FusarGptConfig, settings: Settings, base: Base) -> Card:
    """The card, still without digests; ValueError for an image that is no whole number of tokens."""
    return Card(
        name=name,
        title=f"FUSAR-GPT, released by its authors ({source.name})",
        prompt_set="release",
        width=settings.width,
        height=settings.height,
        patch=config.vision_config.patch_size,
        merge=config.vision_config.spatial_merge_size,
        ground_m=None,
        targets=[],
        demonstration=False,
        prior_years=None,
        licence="those of the release (the authors': MIT) and of its base",
        trained_on="SAR images with AlphaEarth Foundations vectors, as the release says",
        aspect="stretched",
        base=base.name,
        base_sizes=base.sizes(),
        **_abilities(),
    )


def _abilities() -> dict[str, Any]:
    """What a release's card says that it can be asked: anything, since the authors published no list of tasks.

    Its base answers any question in words. What was published of the adapter is detection alone, so ``tasks`` stays
    unknown and runs say so: the others are asked and may be answered badly.
    """
    return {"tasks": None, "free_questions": True}


def _tokenizer(source: Path, base: Base) -> PreTrainedTokenizerBase:
    """The release's tokenizer, else the base's, with the first chat template that either folder holds."""
    folders = (source, base.folder)
    loaded = [_read_tokenizer(folder) for folder in folders if _has_tokenizer(folder)]
    if not loaded:
        raise ValueError(f"neither it nor {base.folder} holds a tokenizer")
    tokenizer = loaded[0]
    templates = [*(one.chat_template for one in loaded), *map(_template_beside, folders), QWEN_TEMPLATE]
    template = next(filter(None, templates))
    tokenizer.chat_template = template["default"] if isinstance(template, dict) else template
    return tokenizer


def _has_tokenizer(folder: Path) -> bool:
    return (folder / "tokenizer.json").is_file() or (folder / "vocab.json").is_file()


def _read_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    with quiet():
        return AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, padding_side="left"
        )


def _template_beside(folder: Path) -> str | None:
    """A chat template that older tools wrote for the processor alone."""
    path = folder / "chat_template.json"
    content: Any = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    template: str | None = content.get("chat_template")
    return template


def _image_processor(
    source: Path, base: Base, config: FusarGptConfig, report: Callable[[str], None]
) -> Qwen2VLImageProcessorPil:
    """The release's image processor, else the base's; whatever class the file names, the numbers are Qwen's."""
    for folder in (source, base.folder):
        # Newer libraries write one file for the whole processor.
        for name in ("preprocessor_config.json", "processor_config.json"):
            path = folder / name
            if path.is_file() and (name.startswith("pre") or "image_processor" in path.read_text("utf-8")):
                return Qwen2VLImageProcessorPil.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False
                )
    report(
        f"neither {source} nor {base.folder} has an image processor: taking Qwen2.5-VL's own mean and spread"
    )
    vision = config.vision_config
    return Qwen2VLImageProcessorPil(
        patch_size=vision.patch_size,
        temporal_patch_size=vision.temporal_patch_size,
        merge_size=vision.spatial_merge_size,
    )


def _only_adapter(repo: str) -> str:
    """The folder of a repository's only adapter; CheckpointError when it holds several."""
    files = hub.look_up(repo, [f"*{CONFIG_FILE}"]).files
    folders = sorted(file.filename.rpartition("/")[0] for file in files)
    if len(folders) > 1:
        raise CheckpointError(f"{repo} holds several adapters: give one as --subfolder {', '.join(folders)}")
    return folders[0]

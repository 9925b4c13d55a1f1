"""Import of a checkpoint as the authors release it: a PEFT adapter, TLM's two layers, and a base elsewhere.

An adapter that was trained on images alone has no TLM. No code of theirs is run: ``vec64_film.pt`` is read only if it
holds nothing but tensors, and becomes safetensors.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, Qwen2VLImageProcessorPil

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import hub
from fusar_gpt.model.adapter import CONFIG_FILE, check_targets, read_adapter, write_adapter
from fusar_gpt.model.base import BASE_FILES, Base, check_names, check_weights, open_base, read_base_config
from fusar_gpt.model.checkpoint import check_fit, quiet
from fusar_gpt.model.config import VEC_DIM, FusarGptConfig
from fusar_gpt.model.folder import TLM_FILE, Card, deciding_files, refuse_code, refused, staged, write_card
from fusar_gpt.model.processor import FusarGptProcessor
from fusar_gpt.model.release_files import (
    FILM_FILE,
    RELEASED_SIGMA,
    SETTINGS_FILE,
    Settings,
    find_release,
    read_film,
    read_settings,
    stage_of,
)
from fusar_gpt.model.store import new_folder
from fusar_gpt.model.tiny import CHAT_TEMPLATE

RELEASE = "kkcyy/FUSAR-GPT"
SUBFOLDER = "stage2/detection"
_SUBFOLDERS = {None: SUBFOLDER, "stage1": "stage1", "stage2": SUBFOLDER}
BASE = "Qwen/Qwen2.5-VL-7B-Instruct"

# Qwen2.5-VL's turn format, for folders without any chat template.
QWEN_TEMPLATE = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}" + CHAT_TEMPLATE
)

_RELEASE_FILES = (*BASE_FILES, FILM_FILE)


def pull(
    repo: str = RELEASE,
    *,
    base: str = BASE,
    subfolder: str | None = None,
    stage: str | None = None,
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
        stage: "stage1" or "stage2", instead of ``subfolder``.
        sigma: as ``import_release``'s; None takes 2 for the authors' repository unless it says otherwise.
        name: in the store; None takes the repository's, and for a stage its name too.
        report: called with a line before each long step.

    Raises:
        CheckpointError: no network, no room, a corrupted file, or a release that does not fit.
    """
    name = name or "-".join(filter(None, (repo.rpartition("/")[2].lower(), stage)))
    out = new_folder(name)
    if subfolder is None:
        subfolder = _SUBFOLDERS[stage] if repo == RELEASE else _only_adapter(repo, stage)
    inside = f"{subfolder.strip('/')}/" if subfolder else ""
    release = hub.look_up(repo, [inside + pattern for pattern in _RELEASE_FILES])
    weights = hub.look_up(base, BASE_FILES)
    hub.check_space([release, weights])
    source = hub.fetch(release, report) / inside
    hub.fetch(weights, report)
    if repo == RELEASE and (source / FILM_FILE).is_file() and not (source / SETTINGS_FILE).is_file():
        sigma = RELEASED_SIGMA if sigma is None else sigma
    return import_release(source, base, out, sigma=sigma, name=name, report=report)


def import_release(
    source: Path,
    base: str,
    out: Path,
    *,
    stage: str | None = None,
    sigma: float | None = None,
    name: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Card:
    """Write a released folder as the checkpoint folder ``out``; the base stays where it is.

    Args:
        source: the released folder, or one above it that holds no other of that stage.
        base: the folder or hub id of the Qwen2.5-VL that the adapter was trained on.
        out: a folder that does not exist yet, or is empty.
        stage: "stage1" or "stage2", where ``source`` holds both; None takes the only one.
        sigma: of the Gaussian weights; needed when a release with TLM has no ``tlm_config.json``.
        name: of the checkpoint; None takes the folder's.
        report: called with a line before each long step, and with notes.

    Raises:
        CheckpointError: something does not fit; nothing is written.
    """
    source = find_release(source.expanduser(), stage)
    refuse_code(source)
    with refused(f"{source} cannot be imported"):
        settings = read_settings(source, sigma)
        adapter = read_adapter(source)
        film = None if settings.sigma is None else read_film(source / FILM_FILE)
    opened = open_base(base, report)
    check_names(adapter.base_name, opened, report)
    config = read_base_config(opened)
    with refused(f"{source} cannot be imported"):
        config.tlm = {
            **(config.tlm or {}),
            **(_tlm_of(config, film, settings) if film else {"fusion": "none"}),
        }
        model = check_weights(opened, config)
        check_targets(adapter, model)
        card = _card(source, name or out.name, config, settings, opened)
        tokenizer = _tokenizer(source, opened)
        images = _image_processor(source, opened, config, report)
        config.text_config.pad_token_id = tokenizer.pad_token_id
        check_fit(config, FusarGptProcessor(tokenizer, images, card))
    report(f"computing the checksums of {opened.folder}")
    card.base_digests.update(opened.digests())
    with staged(out) as folder, quiet():
        config.save_pretrained(folder)
        write_adapter(folder, adapter)
        if film:
            save_file(film, folder / TLM_FILE, {"format": "pt"})
        tokenizer.save_pretrained(folder)
        images.save_pretrained(folder)
        return write_card(folder, card, deciding_files(folder))


def _tlm_of(config: FusarGptConfig, film: dict[str, Tensor], settings: Settings) -> dict[str, Any]:
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
    title, images = "FUSAR-GPT, released by its authors", "SAR images with AlphaEarth Foundations vectors"
    if settings.sigma is None:
        title, images = "FUSAR-GPT on images alone, no prior used", "SAR images without any prior"
    return Card(
        name=name,
        title=f"{title} ({source.name})",
        width=settings.width,
        height=settings.height,
        patch=config.vision_config.patch_size,
        merge=config.vision_config.spatial_merge_size,
        ground_m=None,
        targets=[],
        demonstration=False,
        prior_years=None,
        licence="those of the release (the authors': MIT) and of its base",
        trained_on=f"{images}, as the release says",
        aspect="stretched",
        base=base.name,
        base_sizes=base.sizes(),
        uses_prior=settings.sigma is not None,
        **_abilities(stage_of(source)),
    )


def _abilities(stage: str | None) -> dict[str, Any]:
    """What the authors say of a stage: the first describes and replies in words, the second was published to detect.

    Their base answers any question in words. How the paper's other tasks are worded they do not say; ``sarchat``
    follows the form of a public benchmark. Of a folder that names no stage, ``tasks`` stays unknown.
    """
    if stage == "stage1":
        return {"prompt_set": "release", "tasks": ["describe"], "free_questions": True}
    return {
        "prompt_set": "sarchat",
        "tasks": ["detect"] if stage == "stage2" else None,
        "free_questions": True,
        "unconfirmed_tasks": ["count", "locate", "classify"],
    }


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


def _only_adapter(repo: str, stage: str | None) -> str:
    """The folder of a repository's only adapter (of that stage); CheckpointError when there are several or none."""
    files = hub.look_up(repo, [f"*{CONFIG_FILE}"]).files
    folders = sorted(file.filename.rpartition("/")[0] for file in files)
    chosen = [folder for folder in folders if stage in (None, stage_of(Path(folder)))]
    if len(chosen) != 1:
        what = "several adapters" if chosen else f"no adapter of {stage}"
        raise CheckpointError(f"{repo} holds {what}: give one as --subfolder {', '.join(chosen or folders)}")
    return chosen[0]

"""The base of a stage: a FUSAR-GPT checkpoint, or a plain Qwen2.5-VL that gets a fresh TLM."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoTokenizer, GenerationConfig, Qwen2VLImageProcessorPil

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import (
    Card,
    FusarGptConfig,
    FusarGptForConditionalGeneration,
    FusarGptProcessor,
    load_checkpoint,
)
from fusar_gpt.model.base import check_weights, open_base, read_base_config
from fusar_gpt.model.checkpoint import Checkpoint, check_fit, quiet, read_config
from fusar_gpt.model.folder import BROKEN, CARD_FILE
from fusar_gpt.model.released import QWEN_TEMPLATE
from fusar_gpt.model.store import FUSAR_KLIP, find, kind_of
from fusar_gpt.model.tlm import fusion
from fusar_train.stages.settings import Settings, StageError

TRAINING_FILE = "training.json"
_TYPES = {"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}


def find_base(name: str, report: Callable[[str], None]) -> Path:
    """The folder of a bundled or stored checkpoint, a path, or a hub id, which is fetched if need be.

    Raises:
        CheckpointError: There is none, or it is a FUSAR-KLIP, which no stage starts from.
    """
    folder = find(name) or Path(name).expanduser()
    if kind_of(folder) == FUSAR_KLIP:
        Card.read(folder)  # refuses it in its own words
    return folder if folder.is_dir() else open_base(name, report).folder


def stages_of(folder: Path) -> list[dict[str, Any]]:
    """The stages that made a checkpoint, the first one first; empty for one that no stage here made.

    Raises:
        StageError: It says so in a way that makes no sense.
    """
    path = folder / TRAINING_FILE
    if not path.is_file():
        return []
    try:
        stages: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["stages"]
        if not all(stage["stage"] in (1, 2) for stage in stages):
            raise ValueError("a stage is neither 1 nor 2")
    except BROKEN as error:
        raise StageError(f"{path} makes no sense ({error}): get the checkpoint again.") from error
    return stages


def check_stage(stage: int, folder: Path, without_stage1: bool) -> None:
    """StageError unless the base is one that this stage may start from."""
    done = [one["stage"] for one in stages_of(folder)]
    if stage == 1 and 2 in done:
        raise StageError(
            f"{folder} is a result of stage 2: start stage 1 from a base or a result of stage 1."
        )
    if stage == 2 and 1 not in done and not without_stage1:
        raise StageError(
            f"{folder} is no result of stage 1: run stage1 first, or say --without-stage1 to do without it."
        )


def open_base_checkpoint(
    folder: Path, settings: Settings, *, device: str, dtype: torch.dtype | None, attention: str
) -> Checkpoint:
    """The base of a stage; ``dtype`` None keeps the type of its files.

    Its hash changes when the base does.

    Raises:
        CheckpointError: It cannot be loaded.
        StageError: The settings do not fit it.
    """
    torch.manual_seed(settings.seed)  # of a fresh TLM
    try:
        if not (folder / CARD_FILE).is_file():
            return _plain_qwen(folder, settings, device, dtype, attention)
        dtype = dtype or _stored_type(folder)
        loaded = load_checkpoint(folder, device=device, dtype=dtype, attention=attention)
        if settings.tlm is not None:
            _renew_tlm(loaded.model, settings.tlm)
        return replace(loaded, card=_learning_card(loaded, settings))
    except BROKEN as error:
        reason = " ".join(str(error).split())[:300]
        raise StageError(f"The settings do not fit the base {folder}: {reason}.") from error


def _learning_card(base: Checkpoint, settings: Settings) -> Card:
    """The card of a base whose TLM may be new, and that will be taught this project's words in place of a guess.

    Raises:
        StageError: TLM is to be trained, and there is none.
    """
    fused = (base.model.config.tlm or {})["fusion"] != "none"
    if "tlm" in settings.trainables and not fused:
        raise StageError(
            f"{base.card.name} was trained on images alone and has no TLM to train: set trainables to lora and priors "
            "to false, or give it a TLM with the setting tlm: {fusion: modulate}."
        )
    words = "release" if base.card.prompt_set == "sarchat" else base.card.prompt_set
    return replace(base.card, prompt_set=words, uses_prior=fused)


def _renew_tlm(model: FusarGptForConditionalGeneration, settings: Mapping[str, Any]) -> None:
    """A fresh TLM of other settings in place of the model's; ValueError when none can have them."""
    tlm = {**(model.config.tlm or {}), **settings}
    config = FusarGptConfig.from_dict({**model.config.to_dict(), "tlm": tlm})
    model.config.tlm = model.model.config.tlm = config.tlm
    model.model.tlm = fusion(config).to(next(model.parameters()).device)


def _stored_type(folder: Path) -> torch.dtype | None:
    """The commonest type of a checkpoint's weights, or what it says of a base that lies elsewhere; None if unknown."""
    if Card.read(folder).base is not None:
        told: torch.dtype | None = read_config(folder).dtype
        return told
    types: Counter[str] = Counter()
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            names = [name for name in file.keys() if not name.startswith("model.tlm.")]  # noqa: SIM118
            types.update(file.get_slice(name).get_dtype() for name in names)
    return _TYPES.get(types.most_common(1)[0][0] if types else "")


def _plain_qwen(
    folder: Path, settings: Settings, device: str, dtype: torch.dtype | None, attention: str
) -> Checkpoint:
    """A published Qwen2.5-VL; its TLM is fresh and the settings' ``chip`` stands for its card."""
    base = open_base(str(folder), lambda line: None)
    config = read_base_config(base)
    if settings.tlm is not None:
        config.tlm = FusarGptConfig.from_dict(
            {**config.to_dict(), "tlm": {"variant": "paper", **settings.tlm}}
        ).tlm
    check_weights(base, config)
    tokenizer = AutoTokenizer.from_pretrained(
        folder, local_files_only=True, trust_remote_code=False, padding_side="left"
    )
    tokenizer.chat_template = tokenizer.chat_template or QWEN_TEMPLATE
    config.text_config.pad_token_id = tokenizer.pad_token_id
    images = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    card = _card(folder, config, settings)
    processor = FusarGptProcessor(tokenizer, images, card)
    check_fit(config, processor)
    with quiet():
        model = FusarGptForConditionalGeneration.from_pretrained(
            folder,
            config=config,
            local_files_only=True,
            trust_remote_code=False,
            use_safetensors=True,
            dtype=dtype or config.dtype or torch.float32,
            attn_implementation=attention,
        )
    model.model.tlm.float()
    text = config.text_config
    model.generation_config = GenerationConfig(eos_token_id=text.eos_token_id, pad_token_id=text.pad_token_id)
    sizes = json.dumps([base.name, base.sizes()], sort_keys=True)
    digest = hashlib.sha256(sizes.encode()).hexdigest()
    return Checkpoint(model.to(device), processor, card, digest, torch.device(device))


def _card(folder: Path, config: FusarGptConfig, settings: Settings) -> Card:
    """The card of a plain base; ValueError or TypeError when ``chip`` does not say what it must."""
    if not settings.chip:
        raise CheckpointError(f"{folder} has no card: say under chip in the settings what chips it gets.")
    return Card(
        **{
            "name": folder.name,
            "title": f"{folder.name}, a Qwen2.5-VL",
            "prompt_set": "release",
            "patch": config.vision_config.patch_size,
            "merge": config.vision_config.spatial_merge_size,
            "ground_m": None,
            "targets": [],
            "demonstration": False,
            "prior_years": None,
            "licence": "that of the base",
            "trained_on": "what its makers say",
            "free_questions": True,
            **settings.chip,
        }
    )

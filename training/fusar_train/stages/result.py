"""The checkpoint that a stage leaves: the base with what was trained in it, its card, and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import Card, FusarGptForConditionalGeneration, save_checkpoint
from fusar_gpt.model.adapter import Adapter, write_adapter
from fusar_gpt.model.folder import TLM_FILE, staged
from fusar_train.corpus.record import Record
from fusar_train.stages import lora
from fusar_train.stages.base_checkpoint import TRAINING_FILE, Start, open_start, stages_of
from fusar_train.stages.examples import Examples
from fusar_train.stages.settings import Settings, StageError

ADAPTER_FOLDER = "adapter"
_PACKAGES = ("fusar-gpt", "torch", "transformers", "peft", "accelerate")
_AIMS = {1: "knowledge injection", 2: "task execution"}


@dataclass(frozen=True)
class Result:
    """How a stage was run. ``log`` is what ``log.jsonl`` holds."""

    stage: int
    base: str
    folder: Path
    data: tuple[Path, ...]
    settings: Settings
    steps: int
    log: list[dict[str, float]]


def check_free(out: Path) -> None:
    """StageError unless the result can go to ``out``: before a long run, not after it."""
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise StageError(f"{out} exists already: give a new folder.")


def write_result(out: Path, trained: Mapping[str, Tensor], result: Result, examples: Examples) -> Card:
    """Writes the whole checkpoint, or nothing.

    The base is opened afresh in the type of its files, so that every weight that did not train stays bit for bit.

    Raises:
        StageError: The folder cannot be written; the run can be resumed and then only writes.
    """
    settings = result.settings
    start = open_start(result.folder, settings, device="cpu", dtype=None, attention="sdpa")
    tlm, adapter = lora.tlm_of(trained), lora.adapter_of(trained, settings, result.base)
    lora.apply(start.model, tlm, adapter)
    if settings.weights != "base":
        _convert(start.model, getattr(torch, settings.weights))
    card = _card(out, result, start, examples)
    try:
        with staged(out) as stage:
            save_checkpoint(stage, start.model, start.processor, card, dtype=None)
            if settings.adapter:
                _write_apart(stage / ADAPTER_FOLDER, adapter, start.model)
            entry = {"stages": [*stages_of(result.folder), _entry(result, start, examples)]}
            (stage / TRAINING_FILE).write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
            (stage / "README.md").write_text(_readme(card, result, examples), encoding="utf-8")
    except CheckpointError as error:
        raise StageError(f"{error}; nothing trained is lost: go on with --resume.") from error
    return card


def _convert(model: FusarGptForConditionalGeneration, dtype: torch.dtype) -> None:
    """Another number type for all but TLM."""
    for part in (model.model.visual, model.model.language_model, model.lm_head):
        part.to(dtype)


def _write_apart(folder: Path, adapter: Adapter | None, model: FusarGptForConditionalGeneration) -> None:
    """The adapter as PEFT reads it, and TLM."""
    folder.mkdir()
    if adapter is not None:
        write_adapter(folder, adapter)
    save_file(model.model.tlm.state_dict(), folder / TLM_FILE, {"format": "pt"})
    for path in folder.iterdir():
        path.chmod(0o644)


def _card(out: Path, result: Result, start: Start, examples: Examples) -> Card:
    """The base's card with the stage's share in it."""
    base, records = start.card, examples.records
    targets = {item.label for record in records for item in record.objects} - set(base.targets)
    years = [record.provenance["year"] for record in records if record.prior and "year" in record.provenance]
    years += base.prior_years or []
    return replace(
        base,
        name=out.name,
        title=f"{base.title}, after stage {result.stage}",
        targets=[*base.targets, *sorted(targets)],
        prior_years=[min(years), max(years)] if years else None,
        licence="; ".join(dict.fromkeys([base.licence, *_said(records, "licence")])),
        trained_on=f"{base.trained_on}; stage {result.stage}: {', '.join(_said(records, 'dataset'))}",
        base=None,
        base_digests={},
        base_sizes={},
    )


def _said(records: Sequence[Record], key: str) -> list[str]:
    """The different values of an entry of the records' provenance."""
    return sorted({str(record.provenance.get(key, f"unknown {key}")) for record in records})


def _entry(result: Result, start: Start, examples: Examples) -> dict[str, Any]:
    losses = [line["loss"] for line in result.log]
    return {
        "stage": result.stage,
        "base": result.base,
        "base_card": start.card.name,
        "base_sha256": start.hash,
        "data": [str(path) for path in result.data],
        "datasets": _said(examples.records, "dataset"),
        "simulated": sum(bool(record.provenance.get("simulated")) for record in examples.records),
        "records": len(examples.records),
        "examples": len(examples),
        "examples_sha256": examples.fingerprint(),
        "settings": result.settings.record(),
        "steps": result.steps,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _readme(card: Card, result: Result, examples: Examples) -> str:
    settings = result.settings
    losses = [line["loss"] for line in result.log] or [float("nan")]
    return f"""# {card.name}

{card.title} ({_AIMS[result.stage]}, FUSAR-GPT eq. 12-15).

- Base: `{result.base}`
- Data: {len(examples)} questions on {len(examples.records)} records ({", ".join(_said(examples.records, "dataset"))})
- Trained: {settings.trainables}; LoRA r = {settings.lora_rank}, alpha = {settings.lora_alpha}
- {result.steps} steps of {settings.batch} examples, learning rate {settings.learning_rate:g}, seed {settings.seed}
- Loss at the first and last entry of the log: {losses[0]:.4f}, {losses[-1]:.4f}
- Licence: {card.licence}

`{TRAINING_FILE}` holds all settings of this stage and of those before it. No figure of merit was measured here: see
`fusar-train evaluate`.
"""

"""The checkpoint that a stage leaves: the base with what was trained in it, its card, and how it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model import Card, save_checkpoint
from fusar_gpt.model.adapter import write_adapter
from fusar_gpt.model.checkpoint import Checkpoint
from fusar_gpt.model.folder import CARD_TASKS, TLM_FILE, staged
from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.questions import taught
from fusar_train.stages import lora
from fusar_train.stages.base_checkpoint import TRAINING_FILE, open_base_checkpoint, stages_of
from fusar_train.stages.examples import ExampleSet
from fusar_train.stages.run_log import read_log
from fusar_train.stages.settings import StageConfig, StageError

ADAPTER_FOLDER = "adapter"
_PACKAGES = ("fusar-gpt", "torch", "transformers", "peft", "accelerate")
_AIMS = {1: "knowledge injection", 2: "task execution"}


def check_free(out: Path) -> None:
    """StageError unless the result can go to ``out``: before a long run, not after it."""
    if out.is_symlink() or (out.exists() and not (out.is_dir() and not any(out.iterdir()))):
        raise StageError(f"{out} exists already: give a new folder.")


def write_result(
    config: StageConfig, folder: Path, trained: Mapping[str, Tensor], examples: ExampleSet, steps: int
) -> None:
    """Writes the whole checkpoint, or nothing.

    The base in ``folder`` is opened afresh in the type of its files, so that every weight that did not train stays bit
    for bit.

    Raises:
        StageError: The folder cannot be written; the run can be resumed and then only writes.
    """
    settings = config.settings
    base = open_base_checkpoint(folder, settings, device="cpu", dtype=None, attention="sdpa")
    adapter = lora.put_in(base.model, trained, settings, config.base)
    if settings.weights != "base":
        parts = base.model.model
        for part in (parts.visual, parts.language_model, base.model.lm_head):  # all but TLM
            part.to(getattr(torch, settings.weights))
    card = _card(config, base.card, examples)
    log = read_log(config.work)
    try:
        with staged(config.out) as stage:
            save_checkpoint(stage, base.model, base.processor, card, dtype=None)
            if settings.adapter:
                apart = stage / ADAPTER_FOLDER
                apart.mkdir()
                if adapter is not None:
                    write_adapter(apart, adapter)
                if card.uses_prior:
                    save_file(base.model.model.tlm.state_dict(), apart / TLM_FILE, {"format": "pt"})
                for path in apart.iterdir():
                    path.chmod(0o644)
            stages = {"stages": [*stages_of(folder), _entry(config, base, examples, steps, log)]}
            (stage / TRAINING_FILE).write_text(json.dumps(stages, indent=2) + "\n", encoding="utf-8")
            (stage / "README.md").write_text(_readme(card, config, examples, steps, log), encoding="utf-8")
    except CheckpointError as error:
        raise StageError(f"{error}; nothing trained is lost: go on with --resume.") from error


def _card(config: StageConfig, base: Card, examples: ExampleSet) -> Card:
    """The base's card with the stage's share in it."""
    records = examples.records
    targets = {item.label for record in records for item in record.objects} - set(base.targets)
    years = [year for record in records if record.prior and (year := record.provenance.get("year"))]
    years += base.prior_years or []
    sizes = [size for record in records if (size := record.provenance.get("pixel_m"))] + (base.pixel_m or [])
    sensors = {name for record in records if (name := record.provenance.get("sensor"))} | {
        *(base.sensors or ())
    }
    return replace(
        base,
        name=config.out.name,
        title=f"{base.title}, after stage {config.stage}",
        targets=[*base.targets, *sorted(targets)],
        prior_years=[min(years), max(years)] if years else None,
        licence="; ".join(dict.fromkeys([base.licence, *_stated(records, "licence")])),
        trained_on=f"{base.trained_on}; stage {config.stage}: {', '.join(_stated(records, 'dataset'))}",
        pixel_m=[min(sizes), max(sizes)] if sizes else None,
        tasks=_taught(base, examples),
        taught_questions=_questions(base, examples),
        sensors=sorted(sensors) or None,
        unconfirmed_tasks=None,
        base=None,
        base_digests={},
        base_sizes={},
        calibration=None,
    )


def _taught(base: Card, examples: ExampleSet) -> list[str] | None:
    """The tasks that base and stage taught; None where the card of a base says nothing of its abilities."""
    if base.tasks is None and base.free_questions is None:
        return None
    asked = {*(base.tasks or ()), *(message.task.value for _, message in examples.questions)}
    return [task for task in CARD_TASKS if task in asked] or None


def _questions(base: Card, examples: ExampleSet) -> list[str]:
    """The questions in words of a base that answers no others, with those that sub-texts taught it."""
    if base.free_questions is not False:
        return base.taught_questions
    asked = taught((message for _, message in examples.questions), base.prompt_set)
    return list(dict.fromkeys([*base.taught_questions, *asked]))


def _stated(records: Sequence[Record], key: str) -> list[str]:
    """The different values of an entry of the records' provenance."""
    return sorted({str(record.provenance.get(key) or f"unknown {key}") for record in records})


def _entry(
    config: StageConfig, base: Checkpoint, examples: ExampleSet, steps: int, log: list[dict[str, float]]
) -> dict[str, Any]:
    return {
        "stage": config.stage,
        "base": config.base,
        "base_card": base.card.name,
        "base_sha256": base.hash,
        "data": [str(path) for path in config.data],
        "datasets": _stated(examples.records, "dataset"),
        "simulated": sum(bool(record.provenance.get("simulated")) for record in examples.records),
        "records": len(examples.records),
        "examples": len(examples),
        "examples_sha256": examples.fingerprint(),
        "settings": config.settings.record(),
        "steps": steps,
        "first_loss": log[0]["loss"] if log else None,
        "last_loss": log[-1]["loss"] if log else None,
        "versions": {name: version(name) for name in _PACKAGES},
    }


def _readme(
    card: Card, config: StageConfig, examples: ExampleSet, steps: int, log: list[dict[str, float]]
) -> str:
    settings, records = config.settings, examples.records
    losses = [line["loss"] for line in log] or [float("nan")]
    return f"""# {card.name}

{card.title} ({_AIMS[config.stage]}, FUSAR-GPT eq. 12-15).

- Base: `{config.base}`
- Data: {len(examples)} questions on {len(records)} records ({", ".join(_stated(records, "dataset"))})
- Trained: {settings.trainables}; LoRA r = {settings.lora_rank}, alpha = {settings.lora_alpha}
- {steps} steps of {settings.batch} examples, learning rate {settings.learning_rate:g}, seed {settings.seed}
- Loss at the first and last entry of the log: {losses[0]:.4f}, {losses[-1]:.4f}
- Licence: {card.licence}

`{TRAINING_FILE}` holds all settings of this stage and of those before it. No figure of merit was measured here: see
`fusar-train evaluate`.
"""

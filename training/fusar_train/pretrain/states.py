"""Where a training run of the tiny model is, saved whole so that a stopped or killed run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fusar_gpt.errors import FusarError

FOLDER = "resume"
_PROGRESS, _WEIGHTS, _HEAD, _OPTIMIZERS = (
    "progress.json",
    "model.safetensors",
    "head.safetensors",
    "optimizers.pt",
)


class PretrainError(FusarError):
    """A run that cannot begin or go on."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Attributes:
        phase: Number of the phase that it is in, from 0.
        step: Steps of it that are done.
        seconds: Time spent in it.
        resumed: How often the run has gone on; each time with chips of its own.
    """

    phase: int = 0
    step: int = 0
    seconds: float = 0.0
    resumed: int = 0


def save_progress(
    out: Path,
    progress: Progress,
    model: nn.Module,
    head: nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
) -> None:
    """Writes the state beside the checkpoint; the one before stays until this one is whole."""
    partial, place, old = (out / f"{FOLDER}{end}" for end in (".partial", "", ".old"))
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    # Tied weights are one tensor under two names, which safetensors does not store.
    save_file({name: value.detach().clone() for name, value in model.named_parameters()}, partial / _WEIGHTS)
    save_file(head.state_dict(), partial / _HEAD)
    torch.save([one.state_dict() for one in optimizers], partial / _OPTIMIZERS)
    (partial / _PROGRESS).write_text(json.dumps(asdict(progress)) + "\n", encoding="utf-8")
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    partial.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def read_progress(out: Path) -> Progress:
    """How far the run in ``out`` is. Raises PretrainError where there is none to go on with."""
    try:
        return Progress(**json.loads((_saved(out) / _PROGRESS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise PretrainError(f"{out} holds no run to go on with: leave out --resume to begin one.") from error


def load_weights(out: Path, model: nn.Module, head: nn.Module) -> None:
    """Puts the saved weights into model and head. Raises PretrainError where they are broken or of other sizes."""
    try:
        model.load_state_dict(load_file(_saved(out) / _WEIGHTS), strict=False)
        head.load_state_dict(load_file(_saved(out) / _HEAD))
    except (OSError, RuntimeError, SafetensorError) as error:
        raise PretrainError(f"The run in {out} cannot be gone on with: {_short(error)}.") from error


def load_optimizers(out: Path, optimizers: Sequence[torch.optim.Optimizer]) -> None:
    """Puts the optimizers' saved states back. Raises PretrainError where they are broken or of another phase."""
    try:
        saved = torch.load(_saved(out) / _OPTIMIZERS, map_location="cpu", weights_only=True)
        for one, state in zip(optimizers, saved, strict=True):
            one.load_state_dict(state)
    except (OSError, RuntimeError, ValueError) as error:
        raise PretrainError(f"The run in {out} cannot be gone on with: {_short(error)}.") from error


def _saved(out: Path) -> Path:
    """The last state that is whole: between two renames it is the old one."""
    place = out / FOLDER
    return place if place.is_dir() else place.with_name(f"{FOLDER}.old")


def _short(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]

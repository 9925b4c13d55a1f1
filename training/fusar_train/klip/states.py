"""The states that a run goes on from: weights, queue and optimizer in a numbered folder that appears whole."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from fusar_gpt.model.folder import BROKEN
from fusar_train.klip.momentum import parts, put_back
from fusar_train.klip.settings import KlipError
from fusar_train.stages.trainer import NUMBERED, PARTIAL, STATE_FILE, WEIGHTS_FILE, numbered, sync

_OPTIMIZER_FILE = "optimizer.pt"


def save_state(
    work: Path, step: int, keep: int, optimizer: torch.optim.Optimizer, **modules: nn.Module
) -> None:
    """Writes the state after a step beside the others, and removes all but the last ``keep``; process 0 only.

    Raises:
        KlipError: It cannot be written; the states before it stay.
    """
    state = PartialState()
    partial, name = work / PARTIAL, f"{NUMBERED}{step}"
    if state.is_main_process:
        try:
            shutil.rmtree(partial, ignore_errors=True)
            (partial / name).mkdir(parents=True)
            tensors = {key: value.detach().cpu().clone() for key, value in parts(**modules).items()}
            save_file(tensors, partial / name / WEIGHTS_FILE)
            torch.save(optimizer.state_dict(), partial / name / _OPTIMIZER_FILE)
            (partial / name / STATE_FILE).write_text(json.dumps({"step": step}) + "\n", encoding="utf-8")
            sync(partial / name)
            shutil.rmtree(work / name, ignore_errors=True)
            (partial / name).rename(work / name)
            for _, old in numbered(work)[:-keep]:
                shutil.rmtree(old)
        except (OSError, SafetensorError, RuntimeError) as error:  # torch.save on a full disk: RuntimeError
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
            raise KlipError(
                f"Step {step} cannot be saved in {work}: {reason}. {saved_sentence(work)} Make room first."
            ) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    state.wait_for_everyone()


def load_state(folder: Path, optimizer: torch.optim.Optimizer, **modules: nn.Module) -> int:
    """Puts a saved state back; returns its step. KlipError when it cannot be read or belongs to another model."""
    try:
        put_back(load_file(folder / WEIGHTS_FILE), **modules)
        saved: dict[str, Any] = torch.load(folder / _OPTIMIZER_FILE, map_location="cpu", weights_only=True)
        optimizer.load_state_dict(saved)
        step: int = json.loads((folder / STATE_FILE).read_text(encoding="utf-8"))["step"]
        return step
    except (*BROKEN, pickle.UnpicklingError) as error:
        raise KlipError(f"{folder} cannot be read: remove it to go on from the one before.") from error


def saved_sentence(work: Path) -> str:
    """A sentence about what there is to resume from."""
    steps = [step for step, _ in numbered(work)]
    return f"Step {steps[-1]} is saved in {work}: go on with --resume." if steps else "Nothing was saved yet."

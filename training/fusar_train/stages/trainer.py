"""The training loop: transformers' Trainer with a loss over the tokens of the whole step and saves that are whole."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import gather_object
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback
from transformers.trainer_callback import PrinterCallback

from fusar_gpt.model.folder import BROKEN
from fusar_gpt.model.processor import IGNORED
from fusar_train.stages.lora import trained
from fusar_train.stages.settings import StageError

WEIGHTS_FILE = "trained.safetensors"
STATE_FILE = "trainer_state.json"
NUMBERED = "checkpoint-"
PARTIAL = ".partial"


class StageTrainer(Trainer):
    """Trains a stage in the folder ``work``, which holds a few numbered checkpoints to resume from.

    A checkpoint is the weights that train (safetensors), the optimizer, the schedule and the random numbers
    (torch files without anything but tensors and plain values, loaded with ``weights_only``).
    """

    def __init__(self, *, work: Path, keep: int, **options: Any) -> None:
        super().__init__(**options)
        self.remove_callback(PrinterCallback)
        self.add_callback(_FiniteGradients(self))
        # Qwen2.5-VL says no, as its own loss is a mean; the loss below wants to know the tokens of the whole step.
        self.model_accepts_loss_kwargs = True
        self.records: list[str] = []
        self._work = work
        self._keep = keep
        self._run_folder = work

    def _get_train_sampler(self, train_dataset: object = None) -> SequentialSampler:
        """The schedule is the order; it has been shuffled."""
        return SequentialSampler(self.train_dataset)

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | None = None,
    ) -> Tensor:
        """The negative log-likelihood of the answers (FUSAR-GPT eq. 13, 15), a mean over the step's tokens.

        The sum over this process's tokens is divided by the number of tokens of all processes and micro-batches,
        and multiplied by the number of processes because gradients are averaged over these.
        """
        labels, names = inputs.pop("labels"), inputs.pop("records")
        self.records += names
        learnt = (labels != IGNORED).nonzero()[:, 1]
        last = labels.shape[1] - int(learnt.min())  # answers stand at the end; only their logits are made
        logits = model(**inputs, logits_to_keep=last + 1).logits[:, :-1]
        targets = labels[:, -last:].flatten()
        total = functional.cross_entropy(
            logits.flatten(0, 1).float(), targets, ignore_index=IGNORED, reduction="sum"
        )
        tokens = (targets != IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
        loss: Tensor = total / tokens
        finite = torch.isfinite(loss.detach()).float().reshape(1)
        if not bool(self.accelerator.gather(finite).all()):  # in every process when the loss of any is not
            raise self.not_finite("loss", [] if bool(finite) else names)
        scaled: Tensor = loss * self.accelerator.num_processes
        return scaled

    def not_finite(self, what: str, names: list[str]) -> StageError:
        """Why the step stops, with the names of the records of all processes."""
        named: list[str] = gather_object(names)
        more = f" and {len(named) - 8} more" if len(named) > 8 else ""
        return StageError(
            f"The {what} is not finite at step {self.state.global_step + 1}, at {', '.join(named[:8])}{more}. Look at "
            f"what these records hold, or lower learning_rate. {self.saved()}"
        )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """As the library, which takes the whole schedule for one epoch; the real one is logged."""
        examples = len(self.train_dataset.examples)
        self.state.epoch = self.state.global_step * self.train_dataset.batch / examples
        super().log(logs, start_time)

    def saved(self) -> str:
        """A sentence about what there is to resume from."""
        steps = [step for step, _ in numbered(self._work)]
        return f"Step {steps[-1]} is saved in {self._work}." if steps else "Nothing was saved yet."

    def _get_output_dir(self, trial: object = None) -> str:
        return str(self._run_folder)

    def _save_checkpoint(self, model: nn.Module, trial: object = None) -> None:
        """Writes the checkpoint beside the others and renames it when it is whole."""
        partial = self._work / PARTIAL
        number = f"{NUMBERED}{self.state.global_step}"
        self._run_folder = partial
        with self._explained():
            if self.args.should_save:
                shutil.rmtree(partial, ignore_errors=True)
            self.accelerator.wait_for_everyone()
            super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                sync(partial / number)
                shutil.rmtree(self._work / number, ignore_errors=True)
                (partial / number).rename(self._work / number)
                partial.rmdir()
                for _, old in numbered(self._work)[: -self._keep]:
                    shutil.rmtree(old)
            self.accelerator.wait_for_everyone()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, SafetensorError, RuntimeError) as error:  # torch.save on a full disk: RuntimeError
            shutil.rmtree(self._work / PARTIAL, ignore_errors=True)
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:200]
            raise StageError(
                f"Step {self.state.global_step} cannot be saved in {self._work}: {reason}. {self.saved()} Make room "
                "and go on with --resume."
            ) from error
        finally:
            self._run_folder = self._work

    def _save(self, output_dir: str | None = None, state_dict: Mapping[str, Tensor] | None = None) -> None:
        """The weights that train, and nothing else."""
        folder = Path(output_dir or self._work)
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self._trained(state_dict), folder / WEIGHTS_FILE)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        if self.is_fsdp_enabled:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        saved = load_file(Path(resume_from_checkpoint) / WEIGHTS_FILE)
        weights = trained(self.model)
        if {name: tensor.shape for name, tensor in saved.items()} != {n: w.shape for n, w in weights.items()}:
            raise StageError(
                f"{resume_from_checkpoint} holds other weights than this stage trains: begin anew."
            )
        with torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(saved[name])

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        with _readable(checkpoint):
            super()._load_optimizer_and_scheduler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        with _readable(checkpoint):
            super()._load_rng_state(checkpoint)

    def result(self) -> dict[str, Tensor]:
        """The trained weights on the CPU; whole in process 0 at least."""
        state = self.accelerator.get_state_dict(self.model) if self.is_fsdp_enabled else None
        return self._trained(state)

    def _trained(self, state: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        names = trained(self.model)
        found = names if state is None else {name: state[name] for name in names if name in state}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


class _FiniteGradients(TrainerCallback):
    """Stops before a step would write NaN or infinity into the weights, though the loss was still finite."""

    def __init__(self, trainer: StageTrainer) -> None:
        self._trainer = trainer

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Looks at the gradients, which are the same in all processes by now."""
        trainer = self._trainer
        names, trainer.records = trainer.records, []
        gradients = [weight.grad for weight in trained(trainer.model).values() if weight.grad is not None]
        if gradients and not bool(torch.isfinite(torch.nn.utils.get_total_norm(gradients))):
            raise trainer.not_finite("gradient", names)


def numbered(work: Path) -> list[tuple[int, Path]]:
    """The checkpoints of a run with their steps, the last one last."""
    found = [path for path in work.glob(f"{NUMBERED}*") if path.name.removeprefix(NUMBERED).isdigit()]
    return sorted((int(path.name.removeprefix(NUMBERED)), path) for path in found)


def latest(work: Path) -> Path | None:
    """The last checkpoint that is whole; half-written ones after it are removed. None without any."""
    shutil.rmtree(work / PARTIAL, ignore_errors=True)
    for _, path in reversed(numbered(work)):
        if _whole(path):
            return path
        shutil.rmtree(path)
    return None


def _whole(path: Path) -> bool:
    """Whether a checkpoint's files are there and can be opened."""
    try:
        json.loads((path / STATE_FILE).read_text(encoding="utf-8"))
        with safe_open(path / WEIGHTS_FILE, framework="pt") as file:
            return len(file.keys()) > 0 and all(one.stat().st_size for one in path.iterdir())
    except (OSError, ValueError, SafetensorError):
        return False


@contextmanager
def _readable(checkpoint: str | None) -> Iterator[None]:
    """StageError for files that are broken, or hold more than tensors and plain values."""
    try:
        yield
    except (*BROKEN, pickle.UnpicklingError) as error:
        raise StageError(f"{checkpoint} cannot be read: remove it to go on from the one before.") from error


def sync(folder: Path) -> None:
    """Waits until the files are on the disk: the rename must not get there before them."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())

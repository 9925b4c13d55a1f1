"""What a stage reports while it runs: a progress bar or lines, ``log.jsonl``, TensorBoard."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped]
from transformers import TrainerCallback

LOG_FILE = "log.jsonl"
_LOGGED = ("step", "epoch", "loss", "learning_rate", "grad_norm")


class RunLog(TrainerCallback):
    """Progress on stderr, and every logged figure as a line of ``log.jsonl``; process 0 only.

    ``more`` names figures of this kind of training that are logged, too, and shown beside the loss.
    """

    def __init__(self, work: Path, title: str, more: Sequence[str] = ()) -> None:
        self._more = tuple(more)
        self._path = work / LOG_FILE
        self._title = title
        self._bar: Any = None
        self._start = 0.0
        self._first = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Drops what a run that was killed had logged after its last checkpoint."""
        if not state.is_world_process_zero:
            return
        self._start, self._first = time.monotonic(), state.global_step
        kept = [line for line in read_log(self._path.parent) if line["step"] <= state.global_step]
        self._path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
        if sys.stderr.isatty():
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc=self._title, unit="step")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Moves the bar."""
        if self._bar is not None:
            self._bar.update()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any
    ) -> None:
        """One line to the file, and to stderr where there is no bar."""
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        kept = (*_LOGGED, *self._more)
        line = {name: value for name, value in {**logs, "step": state.global_step}.items() if name in kept}
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        if self._bar is not None:
            self._bar.set_postfix(loss=f"{logs['loss']:.4f}")
            return
        steps = max(state.global_step - self._first, 1)
        shown = "".join(f"{name} {logs[name]:.4f}, " for name in self._more if name in logs)
        left = (time.monotonic() - self._start) / steps * (state.max_steps - state.global_step)
        print(
            f"{self._title}: step {state.global_step} of {state.max_steps}, epoch {logs.get('epoch', 0):.2f}, "
            f"loss {logs['loss']:.4f}, {shown}{_duration(left)} left",
            file=sys.stderr,
            flush=True,
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.close()


def report(line: str) -> None:
    """A line for whoever waits."""
    print(line, file=sys.stderr, flush=True)


def read_log(work: Path) -> list[dict[str, float]]:
    """The lines of a run's log; a last line that was cut short is left out."""
    path = work / LOG_FILE
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def tensorboard(work: Path, resumed: Path | None) -> list[TrainerCallback]:
    """The callback that writes to ``work/tensorboard``; a notice and none where it is not installed.

    What was written there after the checkpoint ``resumed`` is hidden.
    """
    if importlib.util.find_spec("tensorboard") is None:
        print(
            f"note: tensorboard is not installed (pip install tensorboard), so figures go to {work / LOG_FILE} only",
            file=sys.stderr,
        )
        return []
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    step = 0 if resumed is None else int(resumed.name.rpartition("-")[2])
    return [TensorBoardCallback(SummaryWriter(str(work / "tensorboard"), purge_step=step + 1))]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"

"""A run that is killed, or finds the disk full, loses nothing; and two processes make the run that one makes."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from stage_samples import losses, train

from fusar_train.stages import trainer
from fusar_train.stages.settings import StageError
from fusar_train.stages.trainer import WEIGHTS_FILE, latest, numbered

SETTINGS = {"max_steps": 6, "lora_dropout": 0.2, "batch": 2, "micro_batch": 1, "save_every": 2}

# A process that saves twice and then waits in the middle of its second save, for ever.
HANGS = """
import sys, time
from pathlib import Path
import torch
from stage_samples import train
from fusar_train.stages.trainer import StageTrainer
torch.set_num_threads(1)
save = StageTrainer._save_rng_state
def hang(self, folder):
    if self.state.global_step == 4:
        time.sleep(600)
    save(self, folder)
StageTrainer._save_rng_state = hang
train(1, sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), **SETTINGS)
"""

# What each of two processes runs, sharing the work of one.
SHARES = """
import sys
from pathlib import Path
import torch
from stage_samples import train
torch.set_num_threads(1)
train(1, sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), **SETTINGS)
"""


@pytest.fixture(scope="module")
def uninterrupted(base, data, tmp_path_factory):
    return train(1, base, data, tmp_path_factory.mktemp("resume") / "whole", **SETTINGS)


def start(script, settings, *arguments, launcher=()):
    """A Python process that runs a script from a file."""
    path = Path(arguments[-1]).with_suffix(".py")
    path.write_text(f"SETTINGS = {settings!r}\n{script}")
    samples = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": samples, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, *launcher, str(path), *map(str, arguments)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_a_run_killed_in_the_middle_of_a_save_goes_on_as_if_nothing_had_happened(
    base, data, uninterrupted, tmp_path
):
    out, work = tmp_path / "out", tmp_path / "out.run"
    process = start(HANGS, SETTINGS, base, data, out)
    half = work / ".partial/checkpoint-4/optimizer.pt"
    until = time.monotonic() + 60
    while not half.exists() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    _, told = process.communicate()
    assert half.exists(), told
    assert process.returncode == -signal.SIGKILL
    assert [step for step, _ in numbered(work)] == [2]
    assert len(losses(out)) == 4

    with pytest.raises(StageError, match=r"holds a run that was not finished: go on with --resume"):
        train(1, base, data, out, **SETTINGS)
    with pytest.raises(StageError, match=r"was begun with other batch, learning_rate: give the same"):
        train(1, base, data, out, resume=True, **{**SETTINGS, "learning_rate": 1.0, "batch": 3})
    train(1, base, data, out, resume=True, **SETTINGS)
    assert losses(out) == losses(uninterrupted), "to the last bit, dropout included"
    mine, whole = (load_file(folder / "model.safetensors") for folder in (out, uninterrupted))
    assert all(torch.equal(mine[name], tensor) for name, tensor in whole.items())
    assert sorted(path.name for path in work.iterdir()) == ["log.jsonl", "run.json"]


def test_two_processes_make_the_run_that_one_makes(base, data, tmp_path):
    settings = {**SETTINGS, "lora_dropout": 0.0, "max_steps": 4, "learning_rate": 1e-3}
    one, two = tmp_path / "one", tmp_path / "two"
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    process = start(SHARES, settings, base, data, two, launcher=launcher)
    train(1, base, data, one, **settings)
    _, told = process.communicate(timeout=100)
    assert process.returncode == 0, told
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    mine, theirs = (load_file(folder / "model.safetensors") for folder in (one, two))
    assert all(torch.allclose(mine[name], theirs[name], atol=2e-4) for name in mine)


def test_a_full_disk_leaves_the_checkpoint_before(base, data, uninterrupted, tmp_path, monkeypatch):
    out, work = tmp_path / "out", tmp_path / "out.run"
    save = trainer.save_file

    def full(tensors, path, *rest):
        if "checkpoint-4" in str(path):
            Path(path).write_bytes(b"cut short")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(tensors, path, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(trainer, "save_file", full)
        with pytest.raises(
            StageError, match=r"Step 4 cannot be saved in .*: No space left on device. Step 2 is"
        ):
            train(1, base, data, out, **SETTINGS)
    assert sorted(path.name for path in work.iterdir()) == ["checkpoint-2", "log.jsonl", "run.json"]
    assert not out.exists()
    train(1, base, data, out, resume=True, **SETTINGS)
    assert losses(out) == losses(uninterrupted)


def test_a_full_disk_at_the_very_end_loses_nothing(base, data, uninterrupted, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def full(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("fusar_train.stages.result.save_file", full)
        with pytest.raises(StageError, match=r"No space left on device.*go on with --resume"):
            train(1, base, data, out, **SETTINGS)
    assert not out.exists()
    assert not list(tmp_path.glob(".out*"))
    train(1, base, data, out, resume=True, **SETTINGS)
    mine, whole = (load_file(folder / "model.safetensors") for folder in (out, uninterrupted))
    assert all(torch.equal(mine[name], tensor) for name, tensor in whole.items())
    assert losses(out) == losses(uninterrupted)


def test_old_checkpoints_go_and_broken_ones_are_passed_over(base, data, tmp_path, monkeypatch):
    out, work = tmp_path / "out", tmp_path / "out.run"
    monkeypatch.setattr("fusar_train.stages.two_stage.write_result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(1, base, data, out, **SETTINGS)
    assert [step for step, _ in numbered(work)] == [4, 6], "keep is 2"
    weights = work / "checkpoint-6" / WEIGHTS_FILE
    weights.write_bytes(weights.read_bytes()[:-100])
    (work / ".partial/checkpoint-8").mkdir(parents=True)
    assert latest(work) == work / "checkpoint-4"
    assert sorted(path.name for path in work.glob("*check*")) == ["checkpoint-4"]
    assert not (work / ".partial").exists()
    assert latest(tmp_path / "none") is None


def interrupt(*arguments):
    raise KeyboardInterrupt


def test_there_must_be_something_to_resume(base, data, tmp_path):
    with pytest.raises(StageError, match="holds no run to resume"):
        train(1, base, data, tmp_path / "out", resume=True)


def test_a_checkpoint_never_runs_code_when_it_is_loaded(base, data, tmp_path, monkeypatch):
    """Optimizer, schedule and random numbers are read with ``weights_only``: a pickle with a call is refused."""
    out, work = tmp_path / "out", tmp_path / "out.run"
    monkeypatch.setattr("fusar_train.stages.two_stage.write_result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(1, base, data, out, **SETTINGS)
    for name in ("optimizer.pt", "scheduler.pt", "rng_state.pth"):
        path = work / "checkpoint-4" / name
        whole = path.read_bytes()
        torch.save(Calls(tmp_path / "ran"), path)
        trainer.shutil.rmtree(work / "checkpoint-6", ignore_errors=True)
        with pytest.raises(StageError, match=r"checkpoint-4.* cannot be read"):
            train(1, base, data, out, resume=True, **SETTINGS)
        path.write_bytes(whole)
    assert not (tmp_path / "ran").exists()


class Calls:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)

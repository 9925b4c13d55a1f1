"""One run in a process of its own: python -m fusar_train.reproduce.worker OUT ROW SEED, or OUT PRESET for the base."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from fusar_gpt.engine import LocalEngine
from fusar_gpt.errors import FusarError
from fusar_gpt.model import load_checkpoint
from fusar_gpt.output import whole_file
from fusar_gpt.tasks import SEARCHES
from fusar_train.child_processes import end_with_parent
from fusar_train.evaluation.inference import ask
from fusar_train.evaluation.labelled_images import open_images
from fusar_train.evaluation.predictions import PREDICTIONS_FILE, Condition, write_predictions
from fusar_train.pretrain.train import train_tiny
from fusar_train.reproduce.experiment import (
    BASE_SETTINGS,
    PRESETS,
    RESULT_FILE,
    ROWS,
    Experiment,
    Preset,
    TrainingRun,
    read_experiment,
    stage_folder,
    work_folder,
)
from fusar_train.stages.settings import Settings, StageConfig
from fusar_train.stages.trainer import numbered
from fusar_train.stages.two_stage import run_stage


def run_one(experiment: Experiment, run: TrainingRun) -> None:
    """Trains the stages of a run that are not finished yet, measures the result and says so in ``result.json``.

    Raises:
        FusarError: A stage cannot be trained or the result cannot be measured; repeated, it goes on from there.
    """
    folder = experiment.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    base, started = experiment.base, time.monotonic()
    for stage, settings in experiment.settings(run).items():
        train(experiment, run, stage, settings, base)
        base = str(stage_folder(folder, stage))
    trained = time.monotonic()
    sha256 = predict(experiment, run, base)
    seconds = {"training": round(trained - started), "measuring": round(time.monotonic() - trained)}
    result = {"row": run.row, "seed": run.seed, "checkpoint_sha256": sha256, "seconds": seconds}
    with whole_file(folder / RESULT_FILE) as path:
        path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if not experiment.keep:
        for stage in (1, 2):
            shutil.rmtree(stage_folder(folder, stage), ignore_errors=True)


def train(experiment: Experiment, run: TrainingRun, stage: int, settings: Settings, base: str) -> None:
    """Trains a stage, or goes on with it; does nothing when its checkpoint is there."""
    out = stage_folder(experiment.folder(run), stage)
    if out.exists():
        return
    work = work_folder(experiment.folder(run), stage)
    order = StageConfig(
        stage=stage,
        base=base,
        data=(experiment.data("train"),),
        out=out,
        work=work,
        settings=settings,
        resume=bool(numbered(work)),
        without_stage1=ROWS[run.row].stage1 is None,
        report="none",
        device=experiment.device,
        visual_tokens=experiment.out / "visual-tokens",
    )
    run_stage(order)


def predict(experiment: Experiment, run: TrainingRun, checkpoint: str) -> str:
    """Asks a checkpoint about the test chips and writes ``predictions.jsonl``; returns the checkpoint's hash."""
    engine = LocalEngine(load_checkpoint(checkpoint, device=experiment.device))
    examples = open_images(str(experiment.data("test")), "test", engine.card)
    condition = Condition(run.name, engine.hash, ROWS[run.row].prior, examples.name)
    with (
        whole_file(experiment.folder(run) / PREDICTIONS_FILE) as path,
        path.open("w", encoding="utf-8") as file,
    ):
        for batch in ask(engine, examples, condition, SEARCHES):
            write_predictions(file, batch)
    return engine.hash


def make_base(out: Path, preset: Preset) -> None:
    """Trains the base that has never been shown a prior into ``out/base``; begins anew when it was interrupted."""
    settings = yaml.safe_load(BASE_SETTINGS.read_text(encoding="utf-8"))
    for phase in settings["phases"]:
        phase["steps"] = preset.base_steps or phase["steps"]
    partial, chosen = out / "base.partial", out / "base.yaml"
    shutil.rmtree(partial, ignore_errors=True)
    chosen.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    train_tiny(partial, recipe=chosen)
    partial.rename(out / "base")


def main(arguments: Sequence[str]) -> int:
    """Makes the base (OUT, PRESET) or carries out a run (OUT, ROW, SEED); 1 after a failure, told in one line."""
    end_with_parent()
    out, *what = arguments
    try:
        if len(what) == 1:
            make_base(Path(out), PRESETS[what[0]])
        else:
            run_one(read_experiment(Path(out)), TrainingRun(what[0], int(what[1])))
    except FusarError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

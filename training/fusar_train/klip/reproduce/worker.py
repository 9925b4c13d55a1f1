"""One part of the experiment in a process: python -m fusar_train.klip.reproduce.worker OUT PRESET ARMS NOISE SEED.

NOISE is "vision" for what all runs of a seed begin with.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from fusar_gpt.errors import FusarError
from fusar_gpt.output import whole_file
from fusar_gpt.retrieval import Klip
from fusar_gpt.retrieval.image_tower import ImageTower
from fusar_train.child_processes import end_with_parent
from fusar_train.klip.reproduce.chips import Truth, make_noise
from fusar_train.klip.reproduce.experiment import ARMS, RESULT_FILE, VISION, Experiment, Start, TrainingRun
from fusar_train.klip.reproduce.measuring import figures_of
from fusar_train.klip.reproduce.screening import Found, Shares, rewritten_figures
from fusar_train.klip.result import card_of
from fusar_train.klip.scio.decisions import Round, decisions_file
from fusar_train.klip.scio.loop import PHASES, train_scio
from fusar_train.klip.scio.measures import measure
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.klip.scio.rules import RULES
from fusar_train.klip.scio.screen import judge
from fusar_train.klip.settings import KlipRun, image_config
from fusar_train.klip.train import Prepared, prepare
from fusar_train.klip.vision_start import FILE as VISION_FILE
from fusar_train.klip.vision_start import start_vision
from fusar_train.stages.run_folder import RUN_FILE
from fusar_train.stages.run_log import read_log, report
from fusar_train.stages.trainer import NUMBERED, numbered

FIRST, SCREEN, REBUILD, RULES_FILE = "first", "screen", "rebuild", "rules.json"


def run_one(experiment: Experiment, run: TrainingRun) -> None:
    """Trains the first phase of a run, compares the rules, goes on in each arm, and says so in ``result.json``.

    What is finished is not done again. All that it went on from is removed at the end.

    Raises:
        FusarError: A part cannot be trained or measured; repeated, it goes on from there.
    """
    folder = experiment.folder(run)
    folder.mkdir(parents=True, exist_ok=True)
    make_noise(experiment, run)
    truth = Truth.read(experiment.data("train"), run)
    parts = {arm: folder / f"{arm}.json" for arm in experiment.arms}
    if not all(path.is_file() for path in [folder / RULES_FILE, *parts.values()]):
        first = open_part(experiment, run, FIRST)
        first.trainer.train(experiment.first_phase())
        if not (folder / RULES_FILE).is_file():
            write_json(folder / RULES_FILE, compare_rules(first, truth, experiment.size.compared))
    for arm, path in parts.items():
        if not path.is_file():
            report(f"arm: {arm}")
            write_json(path, go_on(experiment, run, arm, truth))
    measured = {arm: folder / f"{arm}.json" for arm in ARMS if (folder / f"{arm}.json").is_file()}
    found = {arm: json.loads(path.read_text(encoding="utf-8")) for arm, path in measured.items()}
    rules = json.loads((folder / RULES_FILE).read_text(encoding="utf-8"))
    write_json(folder / RESULT_FILE, {"noise": run.noise, "seed": run.seed, "rules": rules, "arms": found})
    for name in (FIRST, *parts):
        shutil.rmtree(work_folder(experiment, run, name), ignore_errors=True)


def open_part(experiment: Experiment, run: TrainingRun, name: str) -> Prepared:
    """A run's first phase or arm, at its beginning or at the step where it was stopped.

    Raises:
        FusarError: Its data or states cannot be read.
    """
    work = work_folder(experiment, run, name)
    resume = bool(numbered(work))
    if not resume:
        work.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(experiment.folder(Start(run.seed)) / VISION_FILE, work / VISION_FILE)
    asked = KlipRun(
        data=(experiment.data("train"),),
        texts=run.texts,
        out=experiment.folder(run) / f"{name}-klip",
        work=work,
        settings=experiment.settings(run.seed),
        resume=resume,
    )
    return prepare(asked)


def work_folder(experiment: Experiment, run: TrainingRun, name: str) -> Path:
    """What a part goes on from."""
    return experiment.folder(run) / f"{name}.run"


def compare_rules(first: Prepared, truth: Truth, most: int) -> dict[str, Shares]:
    """How well every rule finds the noise of the first records, as the model after the first phase sees them."""
    data = first.data
    some = replace(data, records=data.records[:most], sub_texts=data.sub_texts[:most])
    names = {name for rule in RULES.values() for name in rule.measures}
    measured = measure(replace(first, data=some), names)
    share = ScioOptions().share
    return {rule: Found.of(some, judge(measured, rule, share), truth).figures() for rule in RULES}


def go_on(experiment: Experiment, run: TrainingRun, arm: str, truth: Truth) -> dict[str, Any]:
    """Trains an arm to its end; its figures on unseen chips, and of each round of SCIO."""
    begin_arm(experiment, run, arm)
    prepared = open_part(experiment, run, arm)
    options, rounds = ARMS[arm], tuple[Round, ...]()
    if options is None:
        prepared.trainer.train()
    else:
        rounds = train_scio(prepared, options).rounds
    trainer = prepared.trainer
    card = card_of(prepared.run, prepared.data, prepared.tokenizer, trainer.step, read_log(prepared.run.work))
    klip = Klip(trainer.model.eval(), prepared.tokenizer, card, PartialState().device)
    return {
        "figures": figures_of(experiment, klip),
        "rounds": [_round(prepared, one, truth) for one in rounds],
    }


def _round(prepared: Prepared, made: Round, truth: Truth) -> dict[str, Shares]:
    found = {"screened": Found.of(prepared.data, made.judged, truth).figures()}
    if made.rebuilt:
        found["rewritten"] = rewritten_figures(prepared.data, made.rebuilt, truth)
    return found


def begin_arm(experiment: Experiment, run: TrainingRun, arm: str) -> None:
    """Copies the state that an arm begins with, unless it is there: whole or not at all.

    It is that after the first phase. Rebuilding begins after the second phase, where the arm that only screens is
    there: up to then both do the same.
    """
    work = work_folder(experiment, run, arm)
    if numbered(work):
        return
    steps = experiment.settings(run.seed).max_steps or 0
    screened = work_folder(experiment, run, SCREEN)
    second = screened / f"{NUMBERED}{round(steps * 2 / PHASES)}"
    if arm == REBUILD and second.is_dir():
        state, decisions = second, decisions_file(screened, 1, PHASES - 1)
    else:
        state = work_folder(experiment, run, FIRST) / f"{NUMBERED}{experiment.first_phase()}"
        decisions = None
    partial = work.with_name(f"{work.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(work, ignore_errors=True)
    shutil.copytree(state, partial / state.name)
    for file in (RUN_FILE, VISION_FILE):
        shutil.copyfile(state.parent / file, partial / file)
    if decisions is not None:
        copy = decisions_file(partial, 1, PHASES - 1)
        copy.parent.mkdir()
        shutil.copyfile(decisions, copy)
    partial.rename(work)


def make_start(experiment: Experiment, start: Start) -> None:
    """Teaches an image tower, unless it is taught, into the folder of the start."""
    folder = experiment.folder(start)
    folder.mkdir(parents=True, exist_ok=True)
    settings = experiment.settings(start.seed)
    assert not isinstance(settings.image, str)
    torch.manual_seed(start.seed)
    start_vision(ImageTower(image_config(settings.image)), settings, folder, PartialState().device)


def write_json(path: Path, content: Any) -> None:
    """Writes a file that appears whole."""
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def main(arguments: Sequence[str]) -> int:
    """Carries out a part; 1 after a failure, told in one line."""
    end_with_parent()
    out, preset, arms, what, seed = arguments
    experiment = Experiment(Path(out), preset, tuple(arms.split(",")))
    PartialState(cpu=not torch.cuda.is_available())
    try:
        if what == VISION:
            make_start(experiment, Start(int(seed)))
        else:
            run_one(experiment, TrainingRun(float(what), int(seed)))
    except FusarError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``fusar-train reproduce``: chips, base, every run in a process of its own, and the results after each."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from safetensors import safe_open

from fusar_gpt.model.folder import Card, digest
from fusar_gpt.model.store import find
from fusar_gpt.output import whole_file
from fusar_train import child_processes
from fusar_train.child_processes import LOG_FILE, MOST_JOBS, Child, Log, close, cores, reason
from fusar_train.evaluation.seeds import MOST_SEEDS
from fusar_train.reproduce.experiment import (
    EXPERIMENT_FILE,
    FREE,
    PRESETS,
    RESULT_FILE,
    ROWS,
    Experiment,
    Preset,
    ReproduceError,
    TrainingRun,
    data_folder,
    plan,
)
from fusar_train.reproduce.outcome import RunOutcome, read_outcome
from fusar_train.reproduce.results_files import write_results
from fusar_train.simulation.records import write_chips

_TLM = "model.tlm.w2.weight"


def run(args: argparse.Namespace) -> None:
    """Goes on with the experiment in ``--out``, or begins it.

    Raises:
        FusarError: It cannot start, or a run failed; results of the others are written and the failed ones named.
    """
    preset = PRESETS["smoke" if args.smoke else "full"]
    seeds = args.seeds or preset.seeds
    if seeds > MOST_SEEDS:  # the table of the t-distribution ends there
        raise ReproduceError(f"{seeds} seeds are too many: take 1 to {MOST_SEEDS}.")
    runs = plan(chosen_rows(args.rows), seeds)
    log = Log(args.out)
    try:
        experiment = begin(args, preset, log)
        jobs = min(args.jobs or min(cores(), MOST_JOBS), len(runs))
        outcomes, failed = carry_out(experiment, runs, jobs, log)
    except KeyboardInterrupt:
        raise ReproduceError(f"Stopped. Repeat the command to go on in {args.out}.") from None
    log.say(f"{len(outcomes)} of {len(runs)} runs are measured: {args.out / 'results.md'}")
    if failed:
        raise ReproduceError(
            f"{len(failed)} of {len(runs)} runs failed ({', '.join(run.name for run in failed)}): results.md says "
            "why; repeat the command to try them again."
        )


def chosen_rows(names: Sequence[str] | None) -> list[str]:
    """The rows named, in the order of the plan; all by default."""
    if unknown := sorted(set(names or ()) - set(ROWS)):
        raise ReproduceError(f"There is no row {unknown[0]}: take some of {', '.join(ROWS)}.")
    return [row for row in ROWS if names is None or row in names]


def begin(args: argparse.Namespace, preset: Preset, log: Log) -> Experiment:
    """Makes the chips and the base where they are not there yet, and writes down what the experiment is.

    Raises:
        ReproduceError: The folder holds another experiment, or the base cannot be made.
    """
    check_preset(args.out, preset)
    for split, count in (("train", preset.train), ("test", preset.test)):
        if not data_folder(args.out, split).exists():
            log.say(f"simulating {count} {split} chips")
            write_chips(data_folder(args.out, split), split, 0, count)
    base = find(args.base) or Path(args.base) if args.base else args.out / "base"
    if not args.base and not base.is_dir():
        log.say(f"training the base, which is shown no prior: {args.out}/base.partial/log.txt tells how far")
        make_base(args.out, preset)
    sha256 = digest(base, Card.read(base))
    experiment = Experiment(
        args.out, preset.name, str(base.absolute()), sha256, knows_prior(base), args.device, args.keep
    )
    write_experiment(experiment)
    return experiment


def check_preset(out: Path, preset: Preset) -> None:
    """Before anything is made: the folder's experiment, if it has one, is of this preset."""
    path = out / EXPERIMENT_FILE
    if path.is_file() and (before := stored(path).get("preset")) != preset.name:
        raise ReproduceError(f"{out} holds the {before} experiment: give another --out for this one.")


def stored(path: Path) -> dict[str, object]:
    """What was written down of an experiment."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, dict):
            raise ValueError("it is no object")
    except (OSError, ValueError) as error:
        raise ReproduceError(f"{path} cannot be read ({error}): begin anew in another folder.") from error
    return content


def write_experiment(experiment: Experiment) -> None:
    """Writes ``experiment.json``; ReproduceError when one of another base, data or settings is there."""
    path, now = experiment.out / EXPERIMENT_FILE, experiment.record()
    if path.is_file():
        before = stored(path)
        changed = sorted(
            k for k in now.keys() | before.keys() if k not in FREE and now.get(k) != before.get(k)
        )
        if changed:
            raise ReproduceError(
                f"The experiment in {experiment.out} was begun with other {', '.join(changed)}: give the same, or "
                "another --out."
            )
    with whole_file(path) as temporary:
        temporary.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


def knows_prior(base: Path) -> bool:
    """Whether a base's TLM is anything but the identity."""
    for path in base.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            if _TLM in set(file.keys()):
                return bool(torch.any(file.get_tensor(_TLM)))
    return False


def make_base(out: Path, preset: Preset) -> None:
    """Trains the base in a process of its own; what it says goes to ``base.log``."""
    child = opened([str(out), preset.name], out / "base.log", cores())
    try:
        status = child.wait()
    finally:
        close(child)
    if status:
        raise ReproduceError(f"The base could not be made: {reason(out / 'base.log', status)}")


def carry_out(
    experiment: Experiment, runs: Sequence[TrainingRun], jobs: int, log: Log
) -> tuple[dict[TrainingRun, RunOutcome], dict[TrainingRun, str]]:
    """Does what is left of the runs, ``jobs`` at a time.

    Returns:
        What came of each run that is finished, and why each of the others failed.
    """
    finished = {run: read_outcome(experiment, run) for run in runs if is_finished(experiment, run)}
    failed: dict[TrainingRun, str] = {}
    waiting = [run for run in runs if run not in finished]
    log.say(f"{len(runs)} runs, {len(finished)} of them finished before; {jobs} at a time")
    write_results(experiment, runs, finished, failed)
    for run, status in statuses(experiment, waiting, jobs, log):
        if status == 0 and is_finished(experiment, run):
            finished[run] = read_outcome(experiment, run)
            log.say(f"{run.name}: {finished[run].said()} ({len(finished)} of {len(runs)} runs)")
        else:
            failed[run] = reason(experiment.folder(run) / LOG_FILE, status)
            log.say(f"{run.name} failed: {failed[run]}")
        write_results(experiment, runs, finished, failed)
    return finished, failed


def is_finished(experiment: Experiment, run: TrainingRun) -> bool:
    """Whether a run was measured."""
    return (experiment.folder(run) / RESULT_FILE).is_file()


def statuses(
    experiment: Experiment, runs: Sequence[TrainingRun], jobs: int, log: Log
) -> Iterator[tuple[TrainingRun, int]]:
    """Carries out runs, some at a time; gives each with its exit status when it ends."""

    def begin_run(run: TrainingRun) -> Child:
        log.say(f"{run.name} begins")
        folder = experiment.folder(run)
        folder.mkdir(parents=True, exist_ok=True)
        words = [str(experiment.out), run.row, str(run.seed)]
        return opened(words, folder / LOG_FILE, max(cores() // jobs, 1))

    return child_processes.statuses(runs, jobs, begin_run)


def opened(arguments: Sequence[str], log: Path, threads: int) -> Child:
    """A process of ``fusar_train.reproduce.worker``."""
    return child_processes.opened("fusar_train.reproduce.worker", arguments, log, threads)

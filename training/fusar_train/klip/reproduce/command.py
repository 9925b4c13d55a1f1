"""``fusar-train klip reproduce``: chips, image towers, every run in a process of its own, and results after each."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from fusar_train import child_processes
from fusar_train.child_processes import LOG_FILE, MOST_JOBS, Child, Log, cores, opened, reason
from fusar_train.evaluation.seeds import MOST_SEEDS
from fusar_train.klip.reproduce.chips import make_chips
from fusar_train.klip.reproduce.experiment import (
    ARMS,
    NOISE,
    PRESETS,
    RESULT_FILE,
    VISION,
    Experiment,
    Start,
    TrainingRun,
    open_experiment,
    plan,
)
from fusar_train.klip.reproduce.results_files import PAGE, write_results
from fusar_train.klip.reproduce.tables import Outcome
from fusar_train.klip.settings import KlipError
from fusar_train.klip.vision_start import FILE as VISION_FILE

WORKER = "fusar_train.klip.reproduce.worker"


def run(args: argparse.Namespace) -> None:
    """Goes on with the experiment in ``--out``, or begins it.

    Raises:
        FusarError: It cannot start, or a run failed; results of the others are written and the failed ones named.
    """
    preset = PRESETS["smoke" if args.smoke else "full"]
    runs = plan(shares(args.noise), seeds(args.seeds or preset.seeds))
    experiment = Experiment(args.out, preset.name, arms(args.arms))
    until = None if args.minutes is None else time.monotonic() + 60 * args.minutes
    log = Log(args.out)
    try:
        open_experiment(experiment)
        for split, count in (("train", preset.train), ("test", preset.test)):
            if not experiment.data(split).exists():
                log.say(f"simulating {count} {split} chips")
            make_chips(experiment, split)
        outcomes, failed = carry_out(experiment, runs, args.jobs or min(cores(), MOST_JOBS), until, log)
    except KeyboardInterrupt:
        raise KlipError(f"Stopped. Repeat the command to go on in {args.out}.") from None
    left = sum(one not in outcomes and one.name not in failed for one in runs)
    more = f"; {left} are not finished: repeat the command to go on" if left else ""
    log.say(f"{len(outcomes)} of {len(runs)} runs are measured: {args.out / PAGE}{more}")
    if failed:
        raise KlipError(f"Failed: {', '.join(failed)}. results.md says why; repeat the command to try again.")


def shares(asked: Sequence[float] | None) -> list[float]:
    """The shares of noise, in order; KlipError for one that makes no sense."""
    if wrong := [share for share in asked or () if not 0 <= share < 1]:
        raise KlipError(
            f"A share of noise of {wrong[0]:g} makes no sense: give shares from 0 on and below 1."
        )
    return sorted({round(share, 4) for share in asked}) if asked else list(NOISE)


def seeds(asked: int) -> int:
    """How many seeds; KlipError for more than the t-distribution is known for."""
    if asked > MOST_SEEDS:
        raise KlipError(f"{asked} seeds are too many: take 1 to {MOST_SEEDS}.")
    return asked


def arms(asked: Sequence[str] | None) -> tuple[str, ...]:
    """The arms named, in the order of the table; all by default."""
    if unknown := sorted(set(asked or ()) - set(ARMS)):
        raise KlipError(f"There is no arm {unknown[0]!r}: take some of {', '.join(ARMS)}.")
    return tuple(arm for arm in ARMS if asked is None or arm in asked)


def carry_out(
    experiment: Experiment, runs: Sequence[TrainingRun], jobs: int, until: float | None, log: Log
) -> tuple[dict[TrainingRun, Outcome], dict[str, str]]:
    """Does what is left, ``jobs`` processes at a time.

    Returns:
        What came of each run that is finished, and why others failed, by name.
    """
    finished = {one: found for one in runs if (found := read_outcome(experiment, one)) is not None}
    failed: dict[str, str] = {}
    log.say(f"{len(runs)} runs, {len(finished)} of them finished before; {jobs} at a time")
    write_results(experiment, runs, finished, failed)
    waiting = [one for one in runs if one not in finished]
    starts = [Start(seed) for seed in sorted({one.seed for one in waiting})]
    starts = [one for one in starts if not (experiment.folder(one) / VISION_FILE).is_file()]
    for start, status in _statuses(experiment, starts, jobs, until, log):
        if status:
            failed[start.name] = reason(experiment.folder(start) / LOG_FILE, status)
            log.say(f"{start.name} failed: {failed[start.name]}")
    ready = [one for one in waiting if (experiment.folder(Start(one.seed)) / VISION_FILE).is_file()]
    for one, status in _statuses(experiment, ready, jobs, until, log):
        assert isinstance(one, TrainingRun)
        found = read_outcome(experiment, one)
        if status == 0 and found is not None:
            finished[one] = found
            log.say(f"{one.name} is measured ({len(finished)} of {len(runs)} runs)")
        else:
            failed[one.name] = reason(experiment.folder(one) / LOG_FILE, status)
            log.say(f"{one.name} failed: {failed[one.name]}")
        write_results(experiment, runs, finished, failed)
    write_results(experiment, runs, finished, failed)
    return finished, failed


def _statuses(
    experiment: Experiment,
    parts: Sequence[TrainingRun | Start],
    jobs: int,
    until: float | None,
    log: Log,
) -> Iterator[tuple[TrainingRun | Start, int]]:
    at_once = max(min(jobs, len(parts)), 1)

    def begin(part: TrainingRun | Start) -> Child:
        log.say(f"{part.name} begins")
        folder = experiment.folder(part)
        folder.mkdir(parents=True, exist_ok=True)
        what = VISION if isinstance(part, Start) else repr(part.noise)
        words = [str(experiment.out), experiment.preset, ",".join(experiment.arms), what, str(part.seed)]
        return opened(WORKER, words, folder / LOG_FILE, max(cores() // at_once, 1))

    return child_processes.statuses(parts, at_once, begin, until)


def read_outcome(experiment: Experiment, run: TrainingRun) -> Outcome | None:
    """What came of a run; None while it, or an arm that is asked for, is not finished.

    Raises:
        KlipError: Its file is broken.
    """
    path: Path = experiment.folder(run) / RESULT_FILE
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        outcome = Outcome(content["rules"], content["arms"])
        return outcome if set(experiment.arms) <= set(outcome.arms) else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise KlipError(f"{path} makes no sense ({error}): remove {path.parent} and repeat.") from error

"""SCIO's loop (FUSAR-KLIP algorithm 1): train, screen, train without the noise, screen and rebuild, train on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from accelerate import PartialState

from fusar_train.klip.data import KlipData
from fusar_train.klip.scio.decisions import Round, changes, decisions_file, read_decisions, write_decisions
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.klip.scio.rebuild import check_acceptance, rebuild
from fusar_train.klip.scio.screen import check_rule, screen
from fusar_train.klip.settings import KlipError
from fusar_train.klip.train import Prepared
from fusar_train.stages.run_log import report

PHASES = 3
"""Phases of equal length; the paper's are of 12 epochs each (4.1)."""


@dataclass(frozen=True)
class ScioOutcome:
    """What SCIO did: a round of decisions after each phase but the last."""

    rounds: tuple[Round, ...]


def train_scio(prepared: Prepared, options: ScioOptions) -> ScioOutcome:
    """Trains a prepared run to its end, by SCIO; one that was stopped goes on with the phase that it was in.

    1. On all texts. 2. Without the noise among what the decoder learns; ITC and ITM still see all. 3. With the noise
    rewritten where the new text is better. Before the second and the third phase all sub-texts are screened, by the
    model as it is then.

    Raises:
        KlipError: Options make no sense, the run is shorter than its phases, or as ``KlipTrainer.train``,
            ``screen`` and ``rebuild``. What is saved stays.
    """
    check_rule(options.rule, options.share)
    check_acceptance(options.acceptance, options.margin)
    trainer = prepared.trainer
    if trainer.steps < PHASES:
        raise KlipError(
            f"{trainer.steps} steps are too few for {PHASES} phases: train longer, or without --scio."
        )
    rounds: list[Round] = []
    for number, end in enumerate(phase_ends(trainer.steps), 1):
        trainer.data = cleaned(prepared, rounds)
        if trainer.step < end:
            _say(f"phase {number} of {PHASES}: to step {end}")
            trainer.train(end)
        if number < PHASES:
            rounds.append(_decided(prepared, options, number, end))
    return ScioOutcome(tuple(rounds))


def phase_ends(steps: int) -> Iterator[int]:
    """The number of steps made when each phase ends."""
    return (round(steps * number / PHASES) for number in range(1, PHASES + 1))


def cleaned(prepared: Prepared, rounds: Sequence[Round]) -> KlipData:
    """What is learned from after some rounds."""
    said, unlearnt = changes(rounds)
    return prepared.data.changed(prepared.tokenizer, said, unlearnt) if rounds else prepared.data


def _decided(prepared: Prepared, options: ScioOptions, number: int, end: int) -> Round:
    """The round after a phase: that on disk, or a new one."""
    file = decisions_file(prepared.run.work, number, PHASES - 1)
    there = file.is_file()
    PartialState().wait_for_everyone()
    if there:
        return read_decisions(file, prepared.data)
    if prepared.trainer.step > end:
        raise KlipError(
            f"{file} is missing, by which the run has gone on after step {end}: begin anew, without --resume, in "
            "another folder."
        )
    current = replace(prepared, data=prepared.trainer.data)
    judged = screen(current, options.rule, options.share)
    rewrites = options.rebuild and number > 1  # by a decoder that has learned without noise
    rebuilt = (
        rebuild(current, judged, options.margin, options.acceptance, every_key=options.every_key)
        if rewrites
        else []
    )
    made = Round(judged, rebuilt)
    if PartialState().is_main_process:
        write_decisions(file, prepared.data, made)
    PartialState().wait_for_everyone()
    noisy, taken = sum(one.noisy for one in judged), sum(one.accepted for one in rebuilt)
    more = f", {len(rebuilt)} written again, {taken} of these taken" if rewrites else ""
    _say(f"{noisy} of {len(judged)} sub-texts are called noise ({noisy / max(len(judged), 1):.1%}){more}")
    return made


def _say(line: str) -> None:
    if PartialState().is_main_process:
        report(f"scio: {line}")

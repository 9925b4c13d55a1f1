"""``fusar-train klip``: from a corpus with sub-texts to a FUSAR-KLIP checkpoint (Yang et al., 2025, 3.3).

While a run goes on, everything that it needs after a crash lies in a folder of its own, ``work``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState

from fusar_gpt.retrieval import Klip, KlipTokenizer, load_klip
from fusar_train.klip.data import KlipData, check_count, fitted, read_data
from fusar_train.klip.result import check_free, write_result
from fusar_train.klip.settings import KlipError, KlipRun, KlipSettings
from fusar_train.klip.start import new_model, open_tokenizer
from fusar_train.klip.states import saved_sentence
from fusar_train.klip.trainer import FIGURES, KlipTrainer
from fusar_train.klip.vision_start import start_vision
from fusar_train.stages.run_folder import RUN_FILE, open_run_folder
from fusar_train.stages.run_log import RunLog, report
from fusar_train.stages.trainer import numbered

HARMLESS = (
    *("workers", "save_every", "keep", "log_every", "weights_type", "demonstration"),
    *("learning_rate", "max_grad_norm"),  # lower ones may save a run whose loss was not finite
)
"""Settings that may differ when a run is resumed: they change nothing that was learned so far."""


@dataclass(frozen=True)
class Prepared:
    """A run that is ready to train.

    Attributes:
        run: What was asked for.
        trainer: At the step that it goes on from.
        tokenizer: Of the texts.
        data: What it learns from.
    """

    run: KlipRun
    trainer: KlipTrainer
    tokenizer: KlipTokenizer
    data: KlipData


def train_klip(run: KlipRun) -> None:
    """Trains a model on the texts as they are and writes its checkpoint.

    Raises:
        FusarError: Something is wrong with data or settings, or went wrong on the way; the line says what was saved.
    """
    prepared = prepare(run)
    with stopping(run):
        prepared.trainer.train()
    finish(prepared)


def prepare(run: KlipRun) -> Prepared:
    """Everything up to the first step: data read and checked, model made or put back.

    Raises:
        FusarError: Data, settings or what the model starts from make no sense, or there is no run to resume.
    """
    check_free(run.out)
    settings = run.settings
    state = PartialState(cpu=run.device == "cpu" or not torch.cuda.is_available())
    if settings.batch % state.num_processes:
        raise KlipError(
            f"A batch of {settings.batch} cannot be shared out to {state.num_processes} processes: set another."
        )
    if run.resume and not (run.work / RUN_FILE).is_file():
        raise KlipError(
            f"{run.work} holds no run to resume: leave --resume out, or give its folder as --work."
        )
    data = read_data(run.data, run.texts, settings.split)
    check_count(data, settings)  # before gigabytes are fetched
    base = None if run.base is None else load_klip(run.base, device="cpu")
    tokenizer = open_tokenizer(settings, data) if base is None else base.tokenizer
    data = fitted(data, tokenizer, settings if base is None else as_base(settings, base))
    if state.is_main_process:
        for note in data.notes:
            report(f"note: {note}")
    model = new_model(settings, tokenizer) if base is None else base.model
    found = open_run(run, data, tokenizer, "" if base is None else base.card.hash)
    if settings.vision_start and found is None and base is None:
        start_vision(model.image.to(state.device), settings, run.work, state.device)
    log = RunLog(run.work, "klip", (*FIGURES, "tau"))
    trainer = KlipTrainer(model, tokenizer, data, settings, run.work, state.device, log)
    if found is not None:
        trainer.resume(found)
    if state.is_main_process:
        weights = sum(weight.numel() for weight in model.parameters()) / 1e6
        report(
            f"klip: {len(data)} images with {sum(map(len, data.sub_texts))} sub-texts, {len(tokenizer)} tokens, "
            f"{weights:.2f} M weights, {trainer.steps} steps of {settings.batch}"
        )
    return Prepared(run, trainer, tokenizer, data)


def as_base(settings: KlipSettings, base: Klip) -> KlipSettings:
    """The settings with what the base decides; KlipError where it cannot be trained so."""
    longest = base.model.config.text.longest
    if settings.longest > longest:
        raise KlipError(f"{base.card.name} reads {longest} tokens: --set longest={longest} or less.")
    return replace(settings, tokenizer=base.card.name)


@contextmanager
def stopping(run: KlipRun) -> Iterator[None]:
    """Says what was saved where the user stops the run."""
    try:
        yield
    except KeyboardInterrupt:
        raise KlipError(f"Stopped. {saved_sentence(run.work)}") from None


def finish(prepared: Prepared, more: Mapping[str, Any] | None = None) -> None:
    """Writes the checkpoint, ``more`` into its card, and removes what the run would go on from."""
    state, run = PartialState(), prepared.run
    if state.is_main_process:
        trainer = prepared.trainer
        write_result(run, trainer.model, prepared.tokenizer, trainer.data, trainer.step, more)
        for _, path in numbered(run.work):
            shutil.rmtree(path)
    state.wait_for_everyone()


def open_run(run: KlipRun, data: KlipData, tokenizer: KlipTokenizer, base: str = "") -> Path | None:
    """Makes the run's folder, or finds the state to go on from in it; None for the beginning.

    Args:
        run: What was asked for.
        data: What it learns from.
        tokenizer: Of the texts.
        base: The hash of what it starts from; empty where that is nothing.

    Raises:
        KlipError: It holds a run and ``resume`` was not said, or a run of other settings, texts or tokenizer.
    """
    kept = {name: value for name, value in run.settings.record().items() if name not in HARMLESS}
    tokens = hashlib.sha256(tokenizer.backend.to_str().encode()).hexdigest()
    more: dict[str, Any] = {} if run.scio is None else {"scio": asdict(run.scio)}
    more |= {"base": base} if base else {}
    described = json.loads(
        json.dumps({"sub-texts": data.fingerprint(), "vocabulary": tokens, **more, **kept})
    )
    return open_run_folder(run.work, described, resume=run.resume, failure=KlipError)

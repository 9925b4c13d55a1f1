"""``fusar-train klip --scio``: a run with SCIO from end to end, and what it leaves for whoever wants to see it."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

from accelerate import PartialState

from fusar_train.klip.scio.cleaned_texts import write_cleaned
from fusar_train.klip.scio.decisions import FOLDER, changes
from fusar_train.klip.scio.loop import ScioOutcome, cleaned, train_scio
from fusar_train.klip.scio.options import ScioOptions
from fusar_train.klip.scio.page import write_page
from fusar_train.klip.scio.rebuild import check_acceptance
from fusar_train.klip.scio.screen import check_rule
from fusar_train.klip.settings import KlipError, KlipRun
from fusar_train.klip.train import Prepared, finish, prepare, stopping
from fusar_train.stages.run_log import report

PAGE = "index.html"


def train_klip_scio(run: KlipRun) -> None:
    """Trains a model while its texts are screened and rebuilt, writes its checkpoint, and what was decided.

    In the folder of the run, ``scio/`` holds the decisions (``decisions.jsonl``), a page that shows them beside the
    images (``index.html``), and the texts that are left (``texts/NAME-scio.jsonl``).

    Raises:
        FusarError: As ``train_klip``; or the options make no sense, before anything is read.
    """
    options = run.scio or ScioOptions()
    check_rule(options.rule, options.share)
    check_acceptance(options.acceptance, options.margin)
    prepared = prepare(run)
    _check_names(prepared)
    with stopping(run):
        outcome = train_scio(prepared, options)
        if PartialState().is_main_process:
            write_account(prepared, options, outcome)
    finish(prepared, {"scio": {**asdict(options), **figures(prepared, outcome)}})


def write_account(prepared: Prepared, options: ScioOptions, outcome: ScioOutcome) -> None:
    """Writes the page and the cleaned texts; OutputError where they cannot be written."""
    said, dropped = changes(outcome.rounds)
    work, after = prepared.run.work, cleaned(prepared, outcome.rounds)
    dropped -= said.keys()
    by = {"scio": {"rule": options.rule, "share": options.share, "run": prepared.run.out.name}}
    files = write_cleaned(work, prepared.run.texts, prepared.data, after, dropped, by)
    page = work / FOLDER / PAGE
    write_page(page, prepared.data, options, outcome.rounds)
    report(f"scio: {page} shows the decisions; the texts that are left: {', '.join(map(str, files))}")


def figures(prepared: Prepared, outcome: ScioOutcome) -> dict[str, Any]:
    """What the card says about each round."""
    return {
        "sub_texts": sum(map(len, prepared.data.sub_texts)),
        "noisy": [sum(one.noisy for one in made.judged) for made in outcome.rounds],
        "rewritten": [sum(one.after is not None for one in made.rebuilt) for made in outcome.rounds],
        "accepted": [sum(one.accepted for one in made.rebuilt) for made in outcome.rounds],
    }


def _check_names(prepared: Prepared) -> None:
    """KlipError where two records have one name: nobody could tell which of them a decision is about."""
    names = Counter(record.id for record in prepared.data.records)
    if twice := next((name for name, count in names.items() if count > 1), None):
        raise KlipError(
            f"Two records are called {twice!r}, and SCIO's decisions could not tell them apart: import each data set "
            "with its own --name."
        )

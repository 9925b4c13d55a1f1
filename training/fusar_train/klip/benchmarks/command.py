"""``fusar-train klip evaluate``: one benchmark after another; the report is written anew after each."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fusar_gpt.errors import FusarError, OutputError
from fusar_gpt.model.folder import KLIP_CARD_FILE
from fusar_gpt.model.klip_card import KlipCard
from fusar_gpt.model.store import find_folder
from fusar_gpt.output import whole_file
from fusar_gpt.retrieval import load_klip
from fusar_train.klip.benchmarks import BENCHMARKS
from fusar_train.klip.benchmarks.encoders import start_beside
from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.benchmarks.report import FORMAT, Measured, Report, for_card, html, markdown
from fusar_train.klip.benchmarks.section import Section
from fusar_train.klip.data import SLOTS
from fusar_train.klip.settings import KlipError
from fusar_train.stages.run_log import report as tell

JSON_FILE, MARKDOWN_FILE, HTML_FILE = "report.json", "report.md", "report.html"
_TEXTS = ("retrieval", "facts", "queries", "captions", "vqa")
"""The benchmarks that need described images."""

Sections = Callable[[BenchmarkOptions], list[Section]]


def run(arguments: argparse.Namespace) -> None:
    """Measures what was asked for. What fails is told at the end; all else is measured.

    Raises:
        FusarError: Model or data cannot be read, the report cannot be written, or a benchmark failed.
    """
    options = options_of(arguments)
    report = open_report(arguments.out, options, described=any(name in _TEXTS for name in arguments.only))
    failed = []
    for name in arguments.only:
        tell(f"benchmark: {name}")
        begun = time.monotonic()
        sections: Sections = import_module(f"fusar_train.klip.benchmarks.{name}").sections
        try:
            found = sections(options)
        except FusarError as error:
            failed.append(f"{name} was not measured: {error}")
            continue
        report.benchmarks[name] = Measured(tuple(found), round(time.monotonic() - begun, 1))
        write(arguments.out, report)
    if report.benchmarks:
        print(arguments.out / HTML_FILE)
        if arguments.card:
            put_on_card(find_folder(arguments.model), report)
    if failed:
        raise KlipError(" ".join(failed))


def options_of(arguments: argparse.Namespace) -> BenchmarkOptions:
    """The options of the command line, with the model loaded.

    Raises:
        FusarError: The model cannot be loaded, or an option makes no sense.
    """
    if not (math.isfinite(arguments.learning_rate) and arguments.learning_rate > 0):
        raise KlipError(f"--learning-rate {arguments.learning_rate} is no positive number: take 5e-4.")
    klip = load_klip(arguments.model, device=arguments.device)
    same = (
        *("texts", "split", "limit", "seed", "queries", "train_limit", "epochs", "learning_rate"),
        *("classes", "water", "clip", "water_classes", "boxes", "simulated", "vision_epochs"),
    )
    return BenchmarkOptions(
        klip=klip,
        name=klip.card.name,
        data=tuple(arguments.data or ()),
        facts=slots_of(arguments.facts) if arguments.facts else None,
        vision_start=arguments.vision_start or start_beside(arguments.model),
        **{name: getattr(arguments, name) for name in same},
    )


def put_on_card(folder: Path, report: Report) -> None:
    """Writes the figures into the card of a checkpoint, in place of those before; nothing else of it changes.

    Raises:
        FusarError: The card cannot be read or written.
    """
    card = replace(KlipCard.read(folder), figures=for_card(report))
    with whole_file(folder / KLIP_CARD_FILE) as temporary:
        temporary.write_text(card.text(), encoding="utf-8")


def slots_of(text: str) -> tuple[int, ...]:
    """The numbers of keys told as "targets Count,terrain Terrain"; KlipError for an unknown one."""
    names = [" ".join(one.split()) for one in text.split(",")]
    known = [" ".join(slot) for slot in SLOTS]
    if wrong := [name for name in names if name not in known]:
        raise KlipError(f"--facts: {wrong[0]!r} is no key. Take some of: {', '.join(known)}.")
    return tuple(sorted({known.index(name) for name in names}))


def open_report(out: Path, options: BenchmarkOptions, *, described: bool) -> Report:
    """The report in a folder, if it is about the same model and data, or a new one.

    Args:
        out: The folder.
        options: What is measured.
        described: Described images are asked for.

    Raises:
        FusarError: The folder holds another report or cannot be made, or there are no described images.
    """
    if described and not options.data:
        raise KlipError("Say what to measure on with --data CORPUS, or take other benchmarks with --only.")
    about = {
        "model": options.name,
        "sha256": options.klip.card.hash,
        "demonstration": options.klip.card.demonstration,
        "split": options.split,
        "seed": options.seed,
        "images": len(options.described) if options.data else 0,
        "texts_sha256": options.described.data.fingerprint() if options.data else "",
    }
    notes = options.described.data.notes if options.data else ()
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {out}: {error.strerror}. Give another --out.") from error
    before = _read(out / JSON_FILE)
    if before is None:
        return Report(about, {}, notes)
    if before.about != about:
        raise KlipError(f"{out} holds the report of another model or of other data: give another --out.")
    return before


def _read(path: Path) -> Report | None:
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content.pop("format", None) != FORMAT:
            raise ValueError("another format")
        return TypeAdapter(Report).validate_python(content)
    except (OSError, ValueError, AttributeError, ValidationError) as error:
        raise KlipError(f"{path} is no report of this command: give another --out.") from error


def write(out: Path, report: Report) -> None:
    """Writes all three files anew; OutputError when one cannot be written."""
    order = {name: report.benchmarks[name] for name in BENCHMARKS if name in report.benchmarks}
    whole = Report(report.about, order, report.notes)
    content: dict[str, Any] = {"format": FORMAT, **asdict(whole)}
    for name, text in (
        (JSON_FILE, json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"),
        (MARKDOWN_FILE, markdown(whole)),
        (HTML_FILE, html(whole)),
    ):
        with whole_file(out / name) as path:
            path.write_text(text, encoding="utf-8")

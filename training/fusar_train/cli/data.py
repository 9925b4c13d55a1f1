"""``fusar-train data``: import data sets, derive questions, split, check, look at them, export."""

from __future__ import annotations

import argparse
import csv
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_train.cli.data_import import add_import_arguments
from fusar_train.cli.options import add_out, whole

if TYPE_CHECKING:
    from fusar_gpt.model.folder import Card
    from fusar_train.corpus.overlap import Overlap
    from fusar_train.corpus.record import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands. Heavy imports wait until one runs."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_import_arguments(
        commands.add_parser("import", help="read a public data set into a folder of records")
    )
    _add_derive(commands.add_parser("derive", help="cut chips and make questions and answers from the boxes"))
    _add_split(commands.add_parser("split", help="divide into train, val and test by scene"))

    check = commands.add_parser("check", help="look for leaks and faults; exit status 1 if there are any")
    check.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    check.add_argument("--shared-scenes", action="store_true", help="only note scenes that lie in two splits")
    _add_overlaps(check)
    check.set_defaults(run=_check)

    preview = commands.add_parser("preview", help="draw a contact sheet with the truth")
    preview.add_argument("folder", type=Path, metavar="DIR")
    add_out(preview, metavar="PNG")
    preview.add_argument("--count", type=int, default=24, help="default: %(default)s")
    preview.set_defaults(run=_preview)

    export = commands.add_parser("export", help="write ms-swift's JSONL, or WebDataset shards")
    export.add_argument("format", choices=["ms-swift", "shards"])
    export.add_argument("folder", type=Path, metavar="DIR")
    add_out(export, "a file, or a folder for shards", "PATH")
    export.add_argument(
        "--per-shard", type=int, default=1000, help="records in a shard (default %(default)s)"
    )
    export.set_defaults(run=_export)


def _add_derive(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR")
    add_out(parser)
    parser.add_argument("--prompt-set", choices=["release", "compact"], default="release")
    parser.add_argument(
        "--model", type=Path, metavar="DIR", help="checkpoint folder whose card gives the chip's size"
    )
    share = parser.add_mutually_exclusive_group()
    share.add_argument(
        "--empty-share", type=float, default=0.2, help="of chips without targets (default %(default)s)"
    )
    share.add_argument(
        "--as-it-comes", dest="empty_share", action="store_const", const=None, help="cut none, leave none out"
    )
    parser.add_argument(
        "--window-px", type=int, metavar="PX", help="cut chips of this side where the pixel size is unknown"
    )
    parser.add_argument("--fine", action="store_true", help="answer classification with fine labels")
    parser.add_argument("--seed", type=int, default=0)
    parser.set_defaults(run=_derive)


def _add_split(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--shares", type=shares, default=(0.7, 0.15, 0.15), metavar="TRAIN,VAL,TEST")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--again", action="store_true", help="draw anew where a split is given, even an official one"
    )
    _add_overlaps(parser)
    parser.set_defaults(run=_split)


def _add_overlaps(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--without-overlaps",
        action="store_true",
        help="do not look for crops of the same ground, which takes long for many thousands of images",
    )
    parser.add_argument("--pairs", type=Path, metavar="CSV", help="write the pairs that show the same ground")
    parser.add_argument("--jobs", type=whole, metavar="N", help="threads (default: one a CPU core)")


def _derive(arguments: argparse.Namespace) -> None:
    from fusar_train.corpus.derive import DeriveOptions, derive
    from fusar_train.corpus.records import read_records

    card = _card_of(arguments.prompt_set, arguments.model)
    given = (arguments.empty_share, arguments.seed, arguments.window_px, arguments.fine)
    options = DeriveOptions(card, arguments.prompt_set, *given)
    made = derive(read_records(arguments.folder), arguments.out, options)
    print(
        f"{arguments.out}: {made.chips} chips, {made.empty} without a target, {made.crops} of them cut for balance, "
        f"{made.questions} questions; left out: {made.doubtful} with doubtful truth, {made.surplus} surplus empty"
    )


def _split(arguments: argparse.Namespace) -> None:
    from collections import Counter

    from fusar_train.corpus.overlap import outermost
    from fusar_train.corpus.records import read_records, replace_splits
    from fusar_train.corpus.sidecars import WITHOUT_TEXTS
    from fusar_train.corpus.splits import assign_splits

    records = list(read_records(arguments.folder, WITHOUT_TEXTS))
    if all(record.split for record in records) and not arguments.again:
        print("note: every record has a split and keeps it; --again draws new ones", file=sys.stderr)
    numbers = outermost(records)
    compared = [records[number] for number in numbers]
    overlaps = [
        replace(found, one=numbers[found.one], other=numbers[found.other])
        for found in _overlaps(arguments, compared, [record.scene for record in compared])
    ]
    divided = assign_splits(
        records, arguments.shares, arguments.seed, again=arguments.again, overlaps=overlaps
    )
    replace_splits(divided, arguments.folder)
    counts = Counter(record.split for record in divided)
    wanted = zip(("train", "val", "test"), arguments.shares, strict=True)
    if empty := [split for split, share in wanted if share > 0 and not counts[split]]:
        scenes = len({record.scene for record in records})
        print(
            f"note: nothing came to {' and '.join(empty)}: {scenes} scenes, which are dealt whole, are too few or too "
            "unequal, or keep the splits they have; try another --seed or --again",
            file=sys.stderr,
        )
    listed = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    print(f"{arguments.folder}: {listed}")


def _overlaps(
    arguments: argparse.Namespace,
    records: Sequence[Record],
    scenes: Sequence[str],
    splits: Sequence[str] | None = None,
) -> list[Overlap]:
    """The pairs that show the same ground; written down if that is wanted."""
    from fusar_gpt.cli.terminal import progress_bar
    from fusar_gpt.output import whole_file
    from fusar_train.corpus.overlap import PAIRS_PER_SECOND, find_overlaps, pair_count, picture_of

    if arguments.without_overlaps:
        return []
    pairs = pair_count(scenes, splits)
    if pairs > PAIRS_PER_SECOND * 10:
        cores = arguments.jobs or os.cpu_count() or 1
        minutes = max(round(pairs / PAIRS_PER_SECOND / cores / 60), 1)
        print(
            f"note: looking for the same ground in {pairs:,} pairs, about {minutes} minutes on {cores} cores; "
            "--without-overlaps leaves it out",
            file=sys.stderr,
        )
    pictures = [picture_of(record) for record in records]
    with progress_bar(len(records), "images", "same ground") as show:
        found = list(find_overlaps(pictures, scenes, splits, jobs=arguments.jobs, show=show))
    if arguments.pairs:
        rows = [(records[o.one].id, records[o.other].id, *o.shift, f"{o.correlation:.3f}") for o in found]
        with whole_file(arguments.pairs) as path, path.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([("one", "other", "right_px", "down_px", "correlation"), *rows])
    print(f"{len(found):9} pairs of images that show the same ground")
    return found


def _check(arguments: argparse.Namespace) -> None:
    """Prints counts, notes and faults; CorpusError if there are faults."""
    from fusar_train.corpus.check import check
    from fusar_train.corpus.errors import CorpusError

    report = check(
        arguments.folders, shared_scenes=arguments.shared_scenes, compare=partial(_overlaps, arguments)
    )
    for what, number in sorted(report.counts.items()):
        print(f"{number:9} {what}")
    for note in report.notes:
        print(f"note: {note}")
    for fault in report.faults:
        print(f"fault: {fault}", file=sys.stderr)
    if report.faults:
        raise CorpusError(f"{len(report.faults)} faults, see above: mend them before training.")


def _preview(arguments: argparse.Namespace) -> None:
    from fusar_train.corpus.preview import write_preview
    from fusar_train.corpus.records import read_records
    from fusar_train.corpus.sidecars import WITHOUT_TEXTS

    shown = write_preview(list(read_records(arguments.folder, WITHOUT_TEXTS)), arguments.out, arguments.count)
    print(f"{arguments.out}: {len(shown)} records")


def _export(arguments: argparse.Namespace) -> None:
    from fusar_train.corpus.records import read_records
    from fusar_train.corpus.shards import write_shards
    from fusar_train.corpus.swift import write_swift

    records = read_records(arguments.folder)
    if arguments.format == "shards":
        print(f"{arguments.out}: {len(write_shards(records, arguments.out, arguments.per_shard))} shards")
    else:
        print(f"{arguments.out}: {write_swift(records, arguments.out)} lines")


def _card_of(prompt_set: str, folder: Path | None) -> Card:
    """The card of a checkpoint, else that of the bundled tiny model or of the authors' release."""
    import fusar_gpt
    from fusar_gpt.model.folder import Card

    if folder is not None:
        return Card.read(folder)
    if prompt_set == "compact":
        return Card.read(Path(fusar_gpt.__file__).parent / "checkpoints" / "tiny")
    return Card(
        name="release",
        title="The frame of the authors' release",
        prompt_set="release",
        width=504,
        height=504,
        patch=14,
        merge=2,
        ground_m=None,
        targets=[],
        demonstration=False,
        prior_years=None,
        licence="",
        trained_on="",
        aspect="stretched",
    )


def shares(text: str) -> tuple[float, float, float]:
    """Three shares that sum to 1."""
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError("must be three numbers such as .7,.15,.15")
    return values

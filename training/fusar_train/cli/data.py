"""``fusar-train data``: import data sets, derive questions, split, check, look at them, export."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_train.cli.options import add_out

if TYPE_CHECKING:
    from fusar_gpt.model.folder import Card
    from fusar_train.corpus.errors import CorpusError

FORMATS = (
    "ssdd", "hrsid", "sardet-100k", "sar-aircraft", "fusar-ship", "fusar-gpt", "voc", "coco", "class-folders",
    "ms-swift",
)  # fmt: skip
"""As in ``corpus.formats``, which is too heavy to import for a help text."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands. Heavy imports wait until one runs."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_import(commands.add_parser("import", help="read a public data set into a folder of records"))
    _add_derive(commands.add_parser("derive", help="cut chips and make questions and answers from the boxes"))
    _add_split(commands.add_parser("split", help="divide into train, val and test by scene"))

    check = commands.add_parser("check", help="look for leaks and faults; exit status 1 if there are any")
    check.add_argument("folders", type=Path, nargs="+", metavar="DIR")
    check.add_argument("--shared-scenes", action="store_true", help="only note scenes that lie in two splits")
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


def _add_import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("format", choices=FORMATS, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("source", type=Path, metavar="SRC", help="the data set's folder or file")
    add_out(parser)
    parser.add_argument("--name", type=name, help="begins every id (default: the format's)")
    parser.add_argument("--licence", help="as it shall stand in every record")
    parser.add_argument("--sensor")
    parser.add_argument(
        "--pixel-m", type=positive, metavar="M", help="metres to a pixel, if one value holds for all"
    )
    parser.add_argument("--year", type=int, help="year of acquisition, if one holds for all")
    parser.add_argument(
        "--scene", type=pattern, metavar="REGEX", help="its first group, in an image's name, is the scene"
    )
    parser.add_argument("--skip-bad", action="store_true", help="leave out bad records and say which")
    parser.set_defaults(run=_import_set)


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
    parser.set_defaults(run=_split)


def _import_set(arguments: argparse.Namespace) -> None:
    from fusar_train.corpus.formats import import_dataset

    left_out = 0

    def skip(error: CorpusError) -> None:
        nonlocal left_out
        left_out += 1
        print(f"left out: {error}", file=sys.stderr)

    facts = {
        key: getattr(arguments, key) for key in ("name", "licence", "sensor", "pixel_m", "year", "scene")
    }
    count = import_dataset(
        arguments.format, arguments.source, arguments.out, facts, skip=skip if arguments.skip_bad else None
    )
    print(f"{arguments.out}: {count} records" + (f", {left_out} left out" if left_out else ""))


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

    from fusar_train.corpus.records import read_records, replace_records
    from fusar_train.corpus.splits import assign_splits

    records = list(read_records(arguments.folder))
    divided = assign_splits(records, arguments.shares, arguments.seed, again=arguments.again)
    replace_records(divided, arguments.folder)
    counts = Counter(record.split for record in divided)
    listed = ", ".join(f"{counts[split]} {split}" for split in ("train", "val", "test"))
    print(f"{arguments.folder}: {listed}")


def _check(arguments: argparse.Namespace) -> None:
    """Prints counts, notes and faults; CorpusError if there are faults."""
    from fusar_train.corpus.check import check
    from fusar_train.corpus.errors import CorpusError

    report = check(arguments.folders, shared_scenes=arguments.shared_scenes)
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

    shown = write_preview(list(read_records(arguments.folder)), arguments.out, arguments.count)
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


def positive(text: str) -> float:
    """A number above 0."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def name(text: str) -> str:
    """A word that may begin an id."""
    if not re.fullmatch(r"\w[\w-]*", text):
        raise argparse.ArgumentTypeError("must be letters, digits, - and _")
    return text


def pattern(text: str) -> re.Pattern[str]:
    """A regular expression with one group."""
    try:
        found = re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"is no regular expression: {error}") from error
    if found.groups < 1:
        raise argparse.ArgumentTypeError("must have a group, such as ^(P[0-9]+)_")
    return found


def shares(text: str) -> tuple[float, float, float]:
    """Three shares that sum to 1."""
    values = tuple(float(part) for part in text.split(","))
    if len(values) != 3:
        raise argparse.ArgumentTypeError("must be three numbers such as .7,.15,.15")
    return values

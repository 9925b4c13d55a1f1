"""``fusar-train data import``: its options, and what it tells."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_train.cli.options import add_out, whole

if TYPE_CHECKING:
    from fusar_train.corpus.errors import CorpusError

FORMATS = (
    "ssdd", "hrsid", "sardet-100k", "sar-aircraft", "fusar-ship", "fusar-gpt", "voc", "coco", "class-folders",
    "ms-swift", "sar-acd", "s1-anchorages", "masks", "s1rtc-landcover", "sen1floods11",
)  # fmt: skip
"""As in ``corpus.formats``, which is too heavy to import for a help text."""

PRODUCTS = ("water", "sen1floods11", "terramesh", "esri", "dynamic-world", "worldcover")
"""As in ``corpus.cover_classes``."""

BOX_FORMATS = ("xywh", "xyxy", "xywh-share", "xyxy-share")


def add_import_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options. Heavy imports wait until it runs."""
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
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="CSV",
        help="table of images and their groups, which stay together (default: groups, scenes or chips.csv in SRC)",
    )
    parser.add_argument("--group-column", metavar="NAME", help="its column of groups")
    for option, what in (("exclude", "left out"), ("heldout", "the test split")):
        parser.add_argument(
            f"--{option}",
            type=Path,
            action="append",
            default=[],
            metavar="TXT",
            help=f"list of images, one a line, that are {what} (besides {option}_ids.txt in SRC); may be repeated",
        )
    parser.add_argument(
        "--map",
        type=Path,
        metavar="JSON",
        help='labels by class name: {"name": "label"} or ["label", "fine"]',
    )
    parser.add_argument(
        "--box-format",
        choices=BOX_FORMATS,
        help="what COCO's boxes are (default: xywh; refused if they are not)",
    )
    parser.add_argument(
        "--first-pixel",
        type=int,
        choices=[0, 1],
        help="from what VOC's boxes count (default: as the set shows)",
    )
    _add_masks(parser.add_argument_group("scenes with masks"))
    parser.add_argument("--skip-bad", action="store_true", help="leave out bad records and say which")
    parser.set_defaults(run=_import_set)


def _add_masks(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--classes",
        metavar="NAME|FILE",
        help=f"what their codes mean: {', '.join(PRODUCTS)}, or YAML or JSON {{code: name}}, null for no data",
    )
    group.add_argument(
        "--pair",
        type=pair,
        metavar="IMAGES=MASKS",
        help="what both are called, * being the same text: 'S1/*.tif=LULC/*.tif' (default: the usual names)",
    )
    group.add_argument("--band", help="band or polarisation to read (default: VV, then HH, then the first)")
    group.add_argument(
        "--quantity", choices=["power", "amplitude", "db", "grey"], help="what scenes store (default: judged)"
    )
    group.add_argument("--tile-px", type=whole, metavar="PX", help="cut scenes into tiles of this side")


def _import_set(arguments: argparse.Namespace) -> None:
    from fusar_gpt.contract.radiometry import quantity_of
    from fusar_train.corpus.cover_classes import read_classes
    from fusar_train.corpus.formats import import_dataset
    from fusar_train.corpus.image_tables import TableOptions
    from fusar_train.corpus.labels import read_map

    left_out = 0

    def skip(error: CorpusError) -> None:
        nonlocal left_out
        left_out += 1
        print(f"left out: {error}", file=sys.stderr)

    given = (
        "name", "licence", "sensor", "pixel_m", "year", "scene", "box_format", "first_pixel",
    )  # fmt: skip
    facts = {key: getattr(arguments, key) for key in given}
    masks = {
        "classes": read_classes(arguments.classes) if arguments.classes else None,
        "pair": arguments.pair,
        "band": arguments.band,
        "quantity": quantity_of(arguments.quantity),
        "tile_px": arguments.tile_px,
    }
    count = import_dataset(
        arguments.format,
        arguments.source,
        arguments.out,
        facts | {"masks": masks, "map": read_map(arguments.map) if arguments.map else None},
        tables=TableOptions(
            arguments.groups,
            arguments.group_column,
            arguments.exclude,
            arguments.heldout,
            by_name=arguments.scene is not None,
        ),
        skip=skip if arguments.skip_bad else None,
        tell=lambda line: print(f"note: {line}", file=sys.stderr),
    )
    print(f"{arguments.out}: {count} records" + (f", {left_out} left out" if left_out else ""))


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


def pair(text: str) -> tuple[str, str]:
    """What scenes and their masks are called."""
    from fusar_train.corpus.mask_pairs import read_pair

    try:
        return read_pair(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error

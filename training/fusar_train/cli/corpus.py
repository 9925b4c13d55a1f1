"""``fusar-train corpus``: from scenes to described slices."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_gpt import prior_options
from fusar_gpt.contract import AUTO_PRIOR, FETCHED_PRIORS, NO_PRIOR
from fusar_train.cli import describe
from fusar_train.cli.data import shares
from fusar_train.cli.options import add_out, whole

if TYPE_CHECKING:
    from fusar_train.corpus.slices.build import BuildOptions, BuildResult
    from fusar_train.corpus.slices.screening import ScreenOptions

MOST_JOBS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the subcommands. Heavy imports wait until one runs."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_build(
        commands.add_parser("build", help="cut scenes into slices of equal ground, screened, with priors")
    )
    describe.add_describe_arguments(
        commands.add_parser("describe", help="eight sub-texts a slice, by a vision model or by templates")
    )


def _add_build(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "scenes",
        type=Path,
        nargs="+",
        metavar="SCENES",
        help="scenes, folders of them, lists (.txt, .csv) or STAC items (.json)",
    )
    add_out(parser, "for everything; repeat the command to go on there, with more scenes to add them")
    parser.add_argument(
        "--scales",
        type=_metres,
        default=(2048.0, 1024.0, 512.0),
        metavar="L,M,S",
        help="ground side in metres of large, medium and small slices; default: 2048,1024,512",
    )
    parser.add_argument(
        "--max-px",
        type=whole,
        default=5120,
        metavar="PX",
        help="slices of more pixels a side are reduced (default %(default)s)",
    )
    parser.add_argument(
        "--jobs", type=whole, metavar="N", help=f"processes; default: one a core, at most {MOST_JOBS}"
    )
    _add_screening(parser)
    parser.add_argument(
        "--prior",
        default=AUTO_PRIOR,
        metavar="|".join((*FETCHED_PRIORS, "FILE", NO_PRIOR)),
        help="AEF vectors of each slice; auto: from the cache, a file beside the scene, COGs or Earth Engine, "
        "else none; default: %(default)s",
    )
    parser.add_argument("--year", type=int, metavar="Y", help="year of the prior; default: each scene's")
    parser.add_argument("--shares", type=shares, default=(0.7, 0.15, 0.15), metavar="TRAIN,VAL,TEST")
    parser.add_argument("--seed", type=int, default=0, help="draws the splits")
    prior_options.add_arguments(parser)
    parser.set_defaults(run=_build)


def _add_screening(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("screening")
    group.add_argument(
        "--regions",
        action="append",
        default=[],
        metavar="FILE|landcover|texture",
        help="keep only what lies in these polygons, looks like port, airport or built-up land by its prior, or is "
        "densely textured; may be given several times",
    )
    group.add_argument(
        "--like",
        action="append",
        type=_place,
        default=[],
        metavar="NAME=LON,LAT",
        help="keep only ground whose prior is like that of this place; may be given several times",
    )
    group.add_argument(
        "--examples",
        type=Path,
        metavar="DIR",
        help="pictures of slices in folders rich and poor, instead of the examples that ship",
    )
    group.add_argument("--no-screen", action="store_true", help="keep slices that show little, too")
    group.add_argument("--keep-water", action="store_true", help="keep slices of open water")
    group.add_argument("--keep-monotonous", action="store_true", help="keep slices of one kind of ground")
    group.add_argument(
        "--min-data", type=_share, metavar="SHARE", help="of a slice that must have data; default: 0.5"
    )
    group.add_argument(
        "--richness",
        type=_share,
        metavar="SHARE",
        help="of the nearest labelled examples that must be rich; default: 0.5",
    )


def _build(arguments: argparse.Namespace) -> None:
    """Prints what was built, and what is wrong with scenes; CorpusError where nothing was."""
    from fusar_train.corpus.errors import CorpusError
    from fusar_train.corpus.slices.build import build

    jobs = arguments.jobs or min(os.cpu_count() or 1, MOST_JOBS)
    try:
        result = build(arguments.scenes, arguments.out, _options(arguments), jobs, _note)
    except KeyboardInterrupt:
        raise CorpusError(f"Stopped. Repeat the command to go on in {arguments.out}.") from None
    _show(result, arguments.out)


def _options(arguments: argparse.Namespace) -> BuildOptions:
    from fusar_train.corpus.slices.build import BuildOptions
    from fusar_train.corpus.slices.src import SrcOptions

    settings = prior_options.PriorSettings.of(arguments)
    return BuildOptions(
        src=SrcOptions(arguments.scales, arguments.max_px),
        screen=_screen(arguments, settings),
        prior=arguments.prior,
        priors=settings,
        year=arguments.year,
        shares=arguments.shares,
        seed=arguments.seed,
    )


def _screen(arguments: argparse.Namespace, settings: prior_options.PriorSettings) -> ScreenOptions:
    from contextlib import closing

    from fusar_gpt.frames import LonLatPoints
    from fusar_gpt.priors import open_prior
    from fusar_train.corpus.slices.regions import prototype_at
    from fusar_train.corpus.slices.screening import ScreenOptions

    like = []
    for name, lon, lat in arguments.like:
        with closing(open_prior(arguments.prior, settings, _note)) as source:
            like.append(prototype_at(source, name, LonLatPoints.of([(lon, lat)]), arguments.year))
    given = {"min_data": arguments.min_data, "richness": arguments.richness}
    return ScreenOptions(
        screen=not arguments.no_screen,
        regions=tuple(arguments.regions),
        like=tuple(like),
        drop_water=not arguments.keep_water,
        drop_monotonous=not arguments.keep_monotonous,
        examples=arguments.examples,
        **{name: share for name, share in given.items() if share is not None},
    )


def _show(result: BuildResult, out: Path) -> None:
    from fusar_train.corpus.slices.slice import SCALES, Fate

    for fault in result.faults:
        print(f"fault: {fault}", file=sys.stderr)
    listed = ", ".join(f"{result.slices.get((scale, Fate.KEPT.value), 0)} {scale}" for scale in SCALES)
    print(
        f"{out}: {result.kept} slices kept of {sum(result.slices.values())} ({listed}), {result.scenes} scenes"
    )
    for fate in Fate:
        count = sum(result.slices.get((scale, fate.value), 0) for scale in SCALES)
        if count and fate is not Fate.KEPT:
            print(f"{count:9} dropped: {fate.value}")
    print(f"why, on a map: {out / 'map.html'}")


def _note(line: str) -> None:
    print(f"note: {line}", file=sys.stderr)


def _metres(text: str) -> tuple[float, float, float]:
    """Three lengths in metres."""
    sides = tuple(float(part) for part in text.split(","))
    if len(sides) != 3:
        raise ValueError(text)
    return sides


def _share(text: str) -> float:
    """A share, 0 to 1."""
    if not 0 <= (share := float(text)) <= 1:
        raise ValueError(text)
    return share


def _place(text: str) -> tuple[str, float, float]:
    """A name and a place in degrees."""
    name, _, place = text.partition("=")
    lon, lat = (float(part) for part in place.split(","))
    if not name or not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise ValueError(text)
    return name, lon, lat

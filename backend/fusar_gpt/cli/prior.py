"""``fusar prior``: fetch a prior, look at one, keep the cache, say what is wrong. Light to import."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm  # type: ignore[import-untyped]

from fusar_gpt import prior_options
from fusar_gpt.contract import FETCHED_PRIORS
from fusar_gpt.errors import PriorError
from fusar_gpt.prior_options import PriorSettings

if TYPE_CHECKING:
    from fusar_gpt.priors.field import Origin
    from fusar_gpt.priors.tiles import BoundingBox, CodesOf, Tile

_CACHE = ("cache_folder", "cache_bytes")
_DRAWN = ("Software", "fusar prior show")
_REACH = ("root", "ee_project", "ee_credentials", "ee_url", "high_volume", "requester_pays", "deadline_s")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The subcommands of ``fusar prior``."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_fetch(actions.add_parser("fetch", help="write the prior of a place to a file"))

    show = actions.add_parser("show", help="draw channels 1, 16 and 9 of a prior file as red, green and blue")
    show.add_argument("file", type=Path, metavar="FILE")
    show.add_argument("--out", type=Path, required=True, metavar="x.png")
    add_overwrite(show)
    show.set_defaults(run=run_show, usage_error=show.error)

    add_cache(actions.add_parser("cache", help="what has been fetched and kept"))

    doctor = actions.add_parser("doctor", help="say which source works, and what to do about the others")
    prior_options.add_arguments(doctor, only=(*_REACH, *_CACHE), prefix="")
    doctor.set_defaults(run=run_doctor)


def add_fetch(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar prior fetch``."""
    parser.add_argument("--bbox", type=bbox, required=True, metavar="W,S,E,N", help="degrees, WGS84")
    parser.add_argument("--year", type=int, required=True, metavar="Y")
    parser.add_argument("--source", choices=FETCHED_PRIORS, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="prior.tif|prior.npz",
        help="all pixels as 64 bands of int8 codes, or the nodes of the grid as vectors",
    )
    add_overwrite(parser)
    settings = (*_REACH, *_CACHE, "nodes", "resampling")
    prior_options.add_arguments(parser, only=settings, prefix="")
    parser.set_defaults(run=run_fetch, usage_error=parser.error)


def add_overwrite(parser: argparse.ArgumentParser) -> None:
    """What allows to replace a file that the command did not write."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file at --out that this command did not write"
    )


def add_cache(parser: argparse.ArgumentParser) -> None:
    """``fusar prior cache info|clear|warm``."""
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="info|clear|warm")
    info = verbs.add_parser("info", help="folder, number of tiles, size and limit")
    info.set_defaults(run=run_cache_info)
    clear = verbs.add_parser("clear", help="remove the tiles")
    clear.add_argument("--key", help="only those of one source, by the name that info shows")
    clear.set_defaults(run=run_cache_clear)
    for verb in (info, clear):
        prior_options.add_arguments(verb, only=_CACHE, prefix="")

    warm = verbs.add_parser("warm", help="fetch all tiles of a place now, to work offline later")
    where = warm.add_mutually_exclusive_group(required=True)
    where.add_argument("--bbox", type=bbox, metavar="W,S,E,N", help="degrees, WGS84")
    where.add_argument("--scene", type=Path, metavar="SCENE", help="the ground of a scene")
    warm.add_argument("--year", type=int, required=True, action="append", metavar="Y", help="repeatable")
    warm.add_argument("--source", choices=FETCHED_PRIORS, default="auto", help="default: %(default)s")
    prior_options.add_arguments(warm, only=(*_REACH, *_CACHE), prefix="")
    warm.set_defaults(run=run_cache_warm)


def bbox(text: str) -> tuple[float, float, float, float]:
    """Four numbers W,S,E,N."""
    west, south, east, north = (float(part) for part in text.split(","))
    return west, south, east, north


def run_fetch(args: argparse.Namespace) -> int:
    """``fusar prior fetch``."""
    form = args.out.suffix.lower()
    if form not in (".tif", ".npz"):
        args.usage_error("--out must end in .tif or .npz")
    if form == ".tif" and (args.prior_nodes or args.prior_resampling):
        args.usage_error("--nodes and --resampling are for .npz: a .tif keeps every pixel as it is")
    from fusar_gpt.output import check_output
    from fusar_gpt.priors.files import is_written_prior
    from fusar_gpt.priors.tiles import BoundingBox

    settings, box = PriorSettings.of(args), BoundingBox(*args.bbox)
    if said := check_output(args.out, is_written_prior, inputs={}, overwrite=args.overwrite):
        report(said)
    said = fetch_raster(args, settings, box) if form == ".tif" else fetch_points(args, settings, box)
    print(f"written: {args.out} ({said})")
    return 0


def fetch_points(args: argparse.Namespace, settings: PriorSettings, box: BoundingBox) -> str:
    """Writes the nodes; returns what they are, in words."""
    from fusar_gpt.output import whole_file
    from fusar_gpt.priors import open_prior
    from fusar_gpt.priors.files import write_points

    with closing(open_prior(args.source, settings, report)) as source:
        field = source.prior(box.footprint(), args.year)
    if not len(field):
        raise PriorError(
            f"{field.source} has no data there (AEF leaves out open water): nothing was written."
        )
    with whole_file(args.out) as temporary:
        write_points(temporary, field)
    return f"{len(field)} vectors, {field.source}, year {field.year}"


def fetch_raster(args: argparse.Namespace, settings: PriorSettings, box: BoundingBox) -> str:
    """Writes the pixels, from the first source that has them; returns what they are, in words."""
    from fusar_gpt.output import whole_file
    from fusar_gpt.priors.files import raster_tiles, write_raster

    def write(codes: CodesOf, origin: Origin) -> str:
        with whole_file(args.out) as temporary:
            covered = write_raster(temporary, box, codes, origin)
            if not covered:
                raise PriorError("it has no data there, AEF leaves out open water")
        return f"{covered:.1%} covered, {origin.source}, year {origin.year}"

    return from_first(args, settings, raster_tiles(box), args.year, write)


def run_show(args: argparse.Namespace) -> int:
    """``fusar prior show``."""
    if args.out.suffix.lower() != ".png":
        args.usage_error("--out must end in .png")
    from PIL.PngImagePlugin import PngInfo

    from fusar_gpt.output import check_output, whole_file
    from fusar_gpt.priors.preview import draw_prior

    if said := check_output(args.out, is_drawn_prior, inputs={"prior": args.file}, overwrite=args.overwrite):
        report(said)
    picture, lines = draw_prior(args.file)
    mark = PngInfo()
    mark.add_text(*_DRAWN)
    with whole_file(args.out) as temporary:
        picture.save(temporary, pnginfo=mark)
    print(*lines, f"written: {args.out}", sep="\n")
    return 0


def is_drawn_prior(path: Path) -> bool:
    """Whether a picture was drawn by ``fusar prior show``."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return picture.info.get(_DRAWN[0]) == _DRAWN[1]
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def run_cache_info(args: argparse.Namespace) -> int:
    """``fusar prior cache info``."""
    from fusar_gpt.priors.source import open_cache

    info = open_cache(PriorSettings.of(args)).info()
    print(f"{info.folder}: {info.tiles} tiles, {megabytes(info.bytes)} of {megabytes(info.limit_bytes)}")
    for key, size in sorted(info.by_source.items()):
        print(f"  {key}: {megabytes(size)}")
    return 0


def run_cache_clear(args: argparse.Namespace) -> int:
    """``fusar prior cache clear``."""
    from fusar_gpt.priors.source import open_cache

    print(f"removed: {open_cache(PriorSettings.of(args)).clear(args.key)} tiles")
    return 0


def run_cache_warm(args: argparse.Namespace) -> int:
    """``fusar prior cache warm``."""
    from fusar_gpt.priors.source import open_cache
    from fusar_gpt.priors.tiles import BoundingBox

    settings = PriorSettings.of(args)
    box = BoundingBox(*args.bbox) if args.bbox else box_of_scene(args.scene)
    tiles = list(box.tiles())
    needed, limit = len(tiles) * len(args.year) * 2**20, open_cache(settings).limit_bytes
    if needed > limit:
        raise PriorError(
            f"{len(tiles)} tiles a year need {megabytes(needed)}, and {megabytes(limit)} may be kept: "
            "raise --cache-limit or take less."
        )
    for year in args.year:
        print(f"kept: {from_first(args, settings, tiles, year, partial(prefetch_tiles, tiles))}")
    return 0


def prefetch_tiles(tiles: Sequence[Tile], codes: CodesOf, origin: Origin) -> str:
    """Reads all tiles, which keeps them; returns what they are, in words."""
    for done, tile in enumerate(tiles, 1):
        codes(tile)
        if done % 100 == 0:
            report(f"{done} of {len(tiles)} tiles")
    return f"{len(tiles)} tiles, {origin.source}, year {origin.year}"


def box_of_scene(path: Path) -> BoundingBox:
    """The ground of a whole scene. SceneError when it cannot be opened."""
    import numpy as np
    import shapely

    from fusar_gpt.frames import ScenePoints
    from fusar_gpt.imagery import open_scene
    from fusar_gpt.priors.tiles import BoundingBox

    with open_scene(path) as scene:
        outline = shapely.segmentize(shapely.box(0, 0, scene.width, scene.height), scene.width / 32)
        return BoundingBox.around(scene.to_lonlat(ScenePoints.of(np.asarray(outline.exterior.coords))))


def from_first(
    args: argparse.Namespace,
    settings: PriorSettings,
    tiles: Sequence[Tile],
    year: int,
    work: Callable[[CodesOf, Origin], str],
) -> str:
    """What comes of the work with the first source that does not fail. Unavailable if all do."""
    from fusar_gpt.priors.source import open_tiled

    with closing(open_tiled(args.source, settings, report)) as source:
        return source.first(lambda tiled: work(*tiled.open_tiles(tiles, year)))


def run_doctor(args: argparse.Namespace) -> int:
    """``fusar prior doctor``: 0 where at least one source works, else 1."""
    from fusar_gpt.priors.source import TILED, describe_source, open_cache

    settings = PriorSettings.of(args)
    cache = open_cache(settings)
    info = cache.info()
    size, limit = f"{info.bytes / 1e6:,.0f}", f"{info.limit_bytes / 1e6:,.0f}"
    kept = [
        f"of {key}, years {', '.join(map(str, cache.years(key)))}: {megabytes(size)}"
        for key, size in sorted(info.by_source.items())
    ]
    print("cache", f"{info.tiles} tiles, {size} of {limit} MB, in {info.folder}", *kept, sep="\n  ")
    working = []
    for name in TILED:
        title = f"cog ({settings.cogs})" if name == "cog" else name
        works, lines = describe_source(name, settings)
        print(title, *lines, sep="\n  ", flush=True)
        working += [name] * works
    if not working:
        print("No source of priors works from here: --prior auto uses the cache, and files beside scenes.")
    return 0 if working else 1


def megabytes(number: int) -> str:
    """Bytes in words."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def report(line: str) -> None:
    """A line for the person at the terminal, above the progress bar if one is shown."""
    tqdm.write(f"fusar: {line}", file=sys.stderr)

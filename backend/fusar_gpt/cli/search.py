"""``fusar search``: the places of a scene that are like words or examples, on a map or as a table."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusar_gpt.cli.interpret import (
    add_area,
    add_numbers,
    add_server,
    area_given,
    check_scale,
    in_json,
    metres,
    number,
    numbers_given,
)
from fusar_gpt.cli.prior import report
from fusar_gpt.contract import DEFAULT_ENCODER, Example, MapPoint, SearchRequest
from fusar_gpt.contract.search import MAX_EXAMPLES, MAX_SIZES, MAX_TEXTS, MAX_TOP
from fusar_gpt.errors import Cancelled, FusarError, OutputError, TaskError

if TYPE_CHECKING:
    from fusar_gpt.contract import Event, Finished, SearchPlan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar search``, which others script against."""
    parser.epilog = (
        "fusar search index|list|remove care for the indexes that are kept; a scene of that name is ./index"
    )
    parser.add_argument(
        "scene", nargs="+", type=Path, metavar="SCENE", help="a georeferenced SAR raster; each is searched"
    )
    what = parser.add_argument_group("what to find", "Several are averaged; --unlike leads away.")
    what.add_argument("--text", action="append", default=[], metavar="WORDS", help="in the encoder's words")
    for option, meaning in (("like", "what it looks like"), ("unlike", "what is not meant")):
        what.add_argument(
            f"--{option}",
            type=lonlat,
            action="append",
            default=[],
            metavar="LON,LAT",
            help=f"{meaning}: a place",
        )
        what.add_argument(
            f"--{option}-area", type=Path, action="append", default=[], metavar="FILE[:LAYER]",
            help=f"{meaning}: polygons, each a place",
        )  # fmt: skip
    add_area(parser)
    parser.add_argument(
        "--top", type=number, default=20, metavar="N", help="places a scene; default: %(default)s"
    )
    add_index_options(parser)
    parser.add_argument(
        "--explain", action="store_true", help="say which words an encoder has for each place"
    )
    parser.add_argument(
        "--out", type=Path, metavar="OUT.gpkg|.geojson|.parquet", help="default: print a table"
    )
    parser.add_argument(
        "--heat", type=Path, metavar="OUT.tif", help="percentiles all over one scene, as a GeoTIFF"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace files at --out and --heat that fusar search did not write",
    )
    parser.add_argument(
        "--json", action="store_true", help="print run, counts and places as a JSON object a scene"
    )
    add_server(parser)
    parser.set_defaults(run=run_search, usage_error=parser.error)


def add_index_options(parser: argparse.ArgumentParser) -> None:
    """What decides an index."""
    parser.add_argument(
        "--encoder", metavar="NAME|DIR|HUB_ID|open_clip:DIR", help=f"default: {DEFAULT_ENCODER}"
    )
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda[:N]", help="default: %(default)s")
    parser.add_argument(
        "--ground-m", type=metres, action="append", default=[], metavar="METRES",
        help="ground side of a slice; may be repeated; default: that of the images the encoder was taught",
    )  # fmt: skip
    parser.add_argument(
        "--overlap",
        type=share,
        metavar="S",
        help="share of a slice that the next sees too, 0 to 0.9; default: 0.5",
    )
    add_numbers(parser)


def lonlat(text: str) -> MapPoint:
    """A point LON,LAT in degrees."""
    lon, lat = (float(part) for part in text.split(","))
    if not (abs(lon) <= 360 and abs(lat) <= 90):
        raise ValueError(text)
    return MapPoint("Point", (lon, lat))


def share(text: str) -> float:
    """A number from 0 to 0.9."""
    value = float(text)
    if not 0 <= value <= 0.9:
        raise ValueError(text)
    return value


def run_search(args: argparse.Namespace) -> int:
    """``fusar search``: stream the search of each scene to the terminal, then write or print its places."""
    check_usage(args)
    check_outputs(args)
    requests = requests_from(args)
    from fusar_gpt.cli.terminal import show_progress
    from fusar_gpt.contract import Finished

    where = events_from_server(requests, args) if args.server else events_from_here(requests, args)
    with indexes_kept(), closing(where) as events:
        finished = [event for event in show_progress(events) if isinstance(event, Finished)]
    deliver(finished, args)
    return 0


def check_usage(args: argparse.Namespace) -> None:
    """Wrong combinations are usage errors (exit 2), as argparse's own are."""
    from fusar_gpt.findings.place_files import SUFFIXES

    out, heat = (path.suffix.lower() if path else None for path in (args.out, args.heat))
    wrong = {
        "say what to find: --text WORDS, or --like LON,LAT for a place that is like it": not (
            args.text or args.like or args.like_area
        ),
        "--text is empty: write what to find": not all(text.strip() for text in args.text),
        f"--text may be given {MAX_TEXTS} times": len(args.text) > MAX_TEXTS,
        f"--top may be {MAX_TOP} at most": args.top > MAX_TOP,
        "--out must end in .gpkg, .geojson or .parquet": out not in (None, *SUFFIXES),
        "--heat must end in .tif, as GeoTIFFs do": heat not in (None, ".tif", ".tiff"),
        "--heat goes with one scene: each has a map of its own": heat and len(args.scene) > 1,
        "--token-file and --ca-file go with --server URL": not args.server
        and (args.token_file or args.ca_file),
        "--device is an option of fusar serve, not of --server": args.server and args.device != "auto",
    }
    for message, applies in wrong.items():
        if applies:
            args.usage_error(message)
    check_index_options(args)


def check_index_options(args: argparse.Namespace) -> None:
    """What decides an index."""
    check_scale(args)
    if len(args.ground_m) > MAX_SIZES:
        args.usage_error(f"--ground-m may be given {MAX_SIZES} times")


def check_outputs(args: argparse.Namespace) -> None:
    """Before anything is computed: outputs must be writable, and no input nor somebody else's file."""
    from fusar_gpt.findings import check_output, is_heat_file, is_places_file
    from fusar_gpt.geoparquet import check_pyarrow
    from fusar_gpt.imagery import split_layer

    areas = [path for path in (args.area, *args.like_area, *args.unlike_area) if path]
    inputs: dict[str, Path | None] = {f"area {path}": split_layer(path)[0] for path in areas}
    inputs |= {f"scene {path}": path for path in args.scene}
    for path, ours in ((args.out, is_places_file), (args.heat, is_heat_file)):
        if path and path.suffix.lower() == ".parquet":
            check_pyarrow()
        if path and (said := check_output(path, ours, inputs=inputs, overwrite=args.overwrite)):
            report(said)


def requests_from(args: argparse.Namespace) -> list[SearchRequest]:
    """A request for each scene. Raises AreaError on unreadable files, TaskError where there are too many examples."""
    like, unlike = ([*points, *polygons_in(areas)] for points, areas in (
        (args.like, args.like_area), (args.unlike, args.unlike_area)
    ))  # fmt: skip
    if max(len(like), len(unlike)) > MAX_EXAMPLES:
        raise TaskError(f"there are more than {MAX_EXAMPLES} examples: give those that matter most")
    area = area_given(args)
    where: dict[str, Any] = {"area": area.outline(), "area_crs": area.crs_text()} if area else {}
    request = SearchRequest(
        str(args.scene[0]),
        texts=tuple(args.text),
        like=tuple(like),
        unlike=tuple(unlike),
        top=args.top,
        encoder=args.encoder,
        ground_m=tuple(args.ground_m),
        overlap=args.overlap,
        explain=args.explain,
        heat=args.heat is not None,
        **where,
        **numbers_given(args),
    )
    return [replace(request, scene=str(scene)) for scene in dict.fromkeys(args.scene)]


def polygons_in(files: Sequence[Path]) -> list[Example]:
    """Every polygon of vector files in WGS84. Raises AreaError where one cannot be read."""
    from fusar_gpt.imagery import read_named_polygons

    return [
        area.outline() for file in files for area, _ in read_named_polygons(file, (), report, "EPSG:4326")
    ]


def events_from_here(
    requests: Sequence[SearchRequest], args: argparse.Namespace
) -> Generator[Event, None, None]:
    """Search on this machine, one scene after the other."""
    from fusar_gpt.retrieval.encoder import open_encoder
    from fusar_gpt.search import plan_search, search

    encoder = open_encoder(args.encoder or DEFAULT_ENCODER, device=args.device)
    yield from every(
        requests, lambda request: plan_search(request, encoder), lambda request: search(request, encoder)
    )


def events_from_server(
    requests: Sequence[SearchRequest], args: argparse.Namespace
) -> Generator[Event, None, None]:
    """Have a server search, with an encoder that it has."""
    from fusar_gpt.client import Client
    from fusar_gpt.connection import find_token

    token = find_token(args.server, args.token_file)
    with Client(args.server, token, ca_file=args.ca_file, report=report) as client:
        yield from every(requests, client.plan_search, client.search)


def every(
    requests: Sequence[SearchRequest],
    plan: Callable[[SearchRequest], SearchPlan],
    search: Callable[[SearchRequest], Generator[Event, None, None]],
) -> Generator[Event, None, None]:
    """The events of all searches; before the first, what each has to index is told, and what is wrong with any."""
    several = len(requests) > 1
    for request in requests:
        with scene_named(request, several):
            planned = plan(request)
        if missing := planned.slices - planned.ready:
            report(
                f"{Path(request.scene).name}: {missing} of {planned.slices} slices must be indexed first, about "
                f"{duration(planned.seconds)}; the index is kept for the next search"
            )
    for request in requests:
        with scene_named(request, several):
            yield from search(request)


@contextmanager
def scene_named(request: SearchRequest, several: bool) -> Iterator[None]:
    """Of several scenes, failures name the one that they are about."""
    try:
        yield
    except FusarError as error:
        name = Path(request.scene).name
        if several and name not in str(error):
            error.args = (f"{name}: {error}",)
        raise


@contextmanager
def indexes_kept() -> Iterator[None]:
    """Ctrl+C loses nothing that was indexed."""
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Cancelled(
            "cancelled, nothing was written; what was indexed is kept, and the same command goes on from there"
        ) from stop


def duration(seconds: float) -> str:
    """A time that is only known roughly."""
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def deliver(finished: Sequence[Finished], args: argparse.Namespace) -> None:
    """Write what was asked for, then print the places. Raises OutputError."""
    from fusar_gpt.cli.terminal import show_places
    from fusar_gpt.findings import write_heat, write_places

    if args.heat:
        heat = finished[0].heat
        if heat is None:
            raise OutputError(
                f"Cannot write {args.heat}: the server made no heat map, bring it to this version."
            )
        write_heat(args.heat, heat, finished[0].run)
    told: tuple[str, ...] = ()
    if args.out:
        told = write_places(
            args.out, [one.run for one in finished], [place for one in finished for place in one.findings]
        )
    for warning in told:
        report(warning)
    for one in finished if args.json else ():
        print(json.dumps(in_json(one, told), allow_nan=False))
    if not args.json:
        show_places(finished, table=not args.out)
        for path in filter(None, (args.out, args.heat)):
            print(f"written: {path}")

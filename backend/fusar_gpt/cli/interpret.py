"""``fusar interpret``: an area of a scene, here or on a server, into one GeoPackage."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusar_gpt import engine_options, prior_options
from fusar_gpt.cli.prior import report
from fusar_gpt.contract import AUTO_PRIOR, FETCHED_PRIORS, NO_PRIOR, QUANTITIES
from fusar_gpt.tasks import Task

if TYPE_CHECKING:
    from fusar_gpt.contract import Event, Finished, InterpretRequest
    from fusar_gpt.imagery import Area


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar interpret``, which others script against."""
    parser.add_argument("scene", type=Path, metavar="SCENE", help="a georeferenced SAR raster")
    where = add_area(parser)
    where.add_argument(
        "--places",
        type=Path,
        metavar="FILE[:LAYER]",
        help="what fusar search wrote, or any polygons: about a chip each",
    )
    parser.add_argument(
        "--top", type=number, metavar="N", help="only the best so many of --places; default: all"
    )
    parser.add_argument("--task", required=True, choices=[task.value for task in Task])
    parser.add_argument(
        "--target", action="append", default=[], metavar="NAME", help="default: all the model knows"
    )
    parser.add_argument("--question", metavar="TEXT", help="what to ask (task ask)")
    parser.add_argument(
        "--boxes", type=Path, metavar="FILE[:LAYER]", help="polygons to classify (task classify)"
    )
    engine_options.add_arguments(parser)
    parser.add_argument(
        "--aspect",
        choices=["undistorted", "stretched"],
        help="stretch ground of any shape to the model's frame, or show more ground; default: the model's own",
    )
    parser.add_argument(
        "--ground-m",
        type=metres,
        metavar="METRES",
        help="ground side of a chip; a small one magnifies a coarse scene, at most twofold; default: the model's own",
    )
    parser.add_argument(
        "--prior",
        default=AUTO_PRIOR,
        metavar="|".join((*FETCHED_PRIORS, "FILE", NO_PRIOR)),
        help="AEF vectors; auto: from the cache, a file beside the scene, COGs or Earth Engine, else none; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--compare-prior",
        metavar="|".join((*FETCHED_PRIORS, "FILE", NO_PRIOR)),
        help="interpret once more with this prior, and say what --prior added, removed and moved",
    )
    parser.add_argument("--year", type=int, metavar="Y", help="year of the prior; default: the scene's")
    add_numbers(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT.gpkg")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace a file at --out that fusar interpret did not write"
    )
    parser.add_argument(
        "--json", action="store_true", help="print run, counts and findings as one JSON object"
    )
    prior_options.add_arguments(parser)
    add_server(parser)
    parser.set_defaults(run=run_interpret, usage_error=parser.error)


def add_area(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Where to look; returns the group of which only one may be given."""
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--area",
        type=Path,
        metavar="FILE[:LAYER]",
        help="polygons in any vector format; default: those of all its layers",
    )
    where.add_argument(
        "--bbox", type=bbox, metavar="W,S,E,N", help="in degrees W > E is across the antimeridian"
    )
    parser.add_argument("--bbox-crs", default="EPSG:4326", metavar="CRS", help="default: %(default)s")
    return where


def add_numbers(parser: argparse.ArgumentParser) -> None:
    """Which band is read, and what its numbers are."""
    parser.add_argument(
        "--band", metavar="NAME|N", help="polarisation or band number; default: the scene's co-pol"
    )
    parser.add_argument(
        "--quantity",
        type=str.lower,
        choices=QUANTITIES,
        help="what the band's numbers are; default: judged by names, units, range and texture",
    )
    parser.add_argument(
        "--scale",
        type=float,
        metavar="N",
        help="multiply the stored numbers by this, such as 0.01 for decibels times 100; default: as the file states",
    )


def add_server(parser: argparse.ArgumentParser) -> None:
    """Where else than here the model may run."""
    group = parser.add_argument_group("server", "Files are sent to it; server:/PATH names one that it has.")
    group.add_argument("--server", metavar="URL", help="let this fusar serve do it, with its own models")
    group.add_argument(
        "--token-file", type=Path, metavar="FILE", help="its token; default: FUSAR_TOKEN, else as served here"
    )
    group.add_argument("--ca-file", type=Path, metavar="FILE", help="certificates (PEM) to trust for https")


def metres(text: str) -> float:
    """A positive finite number."""
    value = float(text)
    if not 0 < value < math.inf:
        raise ValueError(text)
    return value


def number(text: str) -> int:
    """A number of things, at least one."""
    if (value := int(text)) < 1:
        raise ValueError(text)
    return value


def bbox(text: str) -> tuple[float, float, float, float]:
    """Four numbers W,S,E,N."""
    parts = [float(part) for part in text.split(",")]
    if len(parts) != 4:
        raise ValueError(text)
    return parts[0], parts[1], parts[2], parts[3]


def run_interpret(args: argparse.Namespace) -> int:
    """``fusar interpret``: stream the run to the terminal, then write one GeoPackage."""
    check_usage(args)
    request = request_from(args)
    from fusar_gpt.cli.terminal import show_progress
    from fusar_gpt.contract import Finished

    check_out(args)
    requests = [request]
    if args.compare_prior is not None:
        requests.append(replace(request, prior=args.compare_prior))
    with closing(
        events_from_server(requests, args) if args.server else events_from_here(requests, args)
    ) as events:
        deliver([event for event in show_progress(events) if isinstance(event, Finished)], args)
    return 0


def check_out(args: argparse.Namespace) -> None:
    """Before anything is computed: the output must be writable, and no input nor somebody else's file."""
    from fusar_gpt.findings import check_output, is_findings_file, is_places_file
    from fusar_gpt.imagery import split_layer

    read = {"area": args.area, "boxes": args.boxes, "file of places": args.places}
    inputs = {what: split_layer(path)[0] if path else None for what, path in read.items()}
    inputs |= {"scene": args.scene, "prior": Path(args.prior)}
    if args.compare_prior is not None:
        inputs["compared prior"] = Path(args.compare_prior)

    def ours(path: Path) -> bool:
        return is_findings_file(path) and not is_places_file(path)

    if said := check_output(args.out, ours, inputs=inputs, overwrite=args.overwrite):
        report(said)


def events_from_here(
    requests: Sequence[InterpretRequest], args: argparse.Namespace
) -> Generator[Event, None, None]:
    """Interpret on this machine, one request after the other."""
    from fusar_gpt.engine import open_engine
    from fusar_gpt.interpret import interpret

    engine = open_engine(engine_options.EngineOptions.of(args))
    settings = prior_options.PriorSettings.of(args)
    for request in requests:
        yield from interpret(request, engine, settings=settings, report=report)


def events_from_server(
    requests: Sequence[InterpretRequest], args: argparse.Namespace
) -> Generator[Event, None, None]:
    """Have a server interpret, with the model it has unless one is named."""
    from fusar_gpt.client import Client
    from fusar_gpt.connection import find_token

    model = None if args.model == engine_options.EngineOptions().model else args.model
    settings = prior_options.PriorSettings.of(args)
    allowed, network = settings.allow_none, not settings.offline
    requests = [
        replace(request, model=model, allow_no_prior=allowed, prior_network=network) for request in requests
    ]
    token = find_token(args.server, args.token_file)
    with Client(args.server, token, ca_file=args.ca_file, report=report) as client:
        for request in requests:
            yield from client.run(request)


def deliver(finished: Sequence[Finished], args: argparse.Namespace) -> None:
    """Write the GeoPackage of one run or two that are compared, then print what was asked for. Raises OutputError."""
    from fusar_gpt.cli.terminal import show_effect, show_summary
    from fusar_gpt.findings import prior_effect, write_geopackage

    effect = prior_effect(*finished) if len(finished) == 2 else None
    findings = [finding for one in finished for finding in one.findings]
    told = write_geopackage(args.out, [one.run for one in finished], findings, effect)
    for warning in told:
        report(warning)
    if args.json:
        shown, *compared = (in_json(one, told) for one in finished)
        if effect is not None:
            shown["comparison"] = compared[0] | effect.to_json()
        print(json.dumps(shown, allow_nan=False))
        return
    for one in finished:
        show_summary(one)
    if effect is not None:
        show_effect(effect, *(one.run.prior for one in finished))
    print(f"written: {args.out}")


def in_json(finished: Finished, told: Sequence[str]) -> dict[str, Any]:
    """Run, counts and findings."""
    from fusar_gpt.contract import to_geojson
    from fusar_gpt.findings import count_by_kind

    run = replace(finished.run, warnings=(*finished.run.warnings, *told))
    counts = count_by_kind(finished.findings)
    return {"run": run.record(), "counts": counts, "findings": to_geojson(finished.findings)}


def check_usage(args: argparse.Namespace) -> None:
    """Wrong combinations are usage errors (exit 2), as argparse's own are."""
    check_place(args)
    task = Task(args.task)
    if args.out.suffix.lower() != ".gpkg":
        args.usage_error("--out must end in .gpkg, as GeoPackages do")
    check_scale(args)
    if args.top is not None and args.places is None:
        args.usage_error("--top goes with --places FILE")
    somewhere = any(place is not None for place in (args.area, args.bbox, args.places))
    if not (somewhere or (task is Task.CLASSIFY and args.boxes)):
        args.usage_error("say where: --area FILE, --bbox W,S,E,N or --places FILE")
    if args.compare_prior == args.prior:
        args.usage_error("--compare-prior is the same as --prior: name another one, such as none")
    if task is Task.CLASSIFY and not args.boxes:
        args.usage_error("--task classify needs --boxes FILE")
    if task is Task.ASK and not args.question:
        args.usage_error("--task ask needs --question TEXT")


def check_scale(args: argparse.Namespace) -> None:
    """What numbers are multiplied by."""
    if args.scale is not None and not 0 < args.scale <= 1e12:
        args.usage_error("--scale must be a number above 0, such as 0.01")


def check_place(args: argparse.Namespace) -> None:
    """What the one who starts a server has decided cannot be asked of it, and the other way round."""
    chosen = engine_options.EngineOptions.of(args)
    if not args.server:
        if args.token_file or args.ca_file:
            args.usage_error("--token-file and --ca-file go with --server URL")
        if problem := chosen.problem():
            args.usage_error(problem)
        return
    if chosen != engine_options.EngineOptions(model=chosen.model):
        args.usage_error(
            "--device, --dtype, --quantize, --batch and --engine are options of fusar serve, not of --server"
        )
    for option in prior_options.OPTIONS:
        if option.setting not in ("allow_none", "offline") and getattr(args, option.dest) is not None:
            args.usage_error(f"--{option.flag} is an option of fusar serve, not of --server")


def request_from(args: argparse.Namespace) -> InterpretRequest:
    """The request that the arguments describe. Raises AreaError on unreadable files."""
    from fusar_gpt.findings import read_places
    from fusar_gpt.imagery import read_polygons
    from fusar_gpt.planning import request_for

    area = area_given(args)
    if args.places is not None:
        area = read_places(args.places, args.scene, args.top, report)
    return request_for(
        args.scene,
        Task(args.task),
        targets=tuple(args.target),
        area=area,
        question=args.question,
        boxes=read_polygons(args.boxes, report) if args.boxes else (),
        prior=args.prior,
        year=args.year,
        aspect=args.aspect,
        ground_m=args.ground_m,
        **numbers_given(args),
    )


def area_given(args: argparse.Namespace) -> Area | None:
    """The polygons of --area or --bbox. Raises AreaError."""
    from fusar_gpt.imagery import Area, area_from_file

    if args.area is not None:
        return area_from_file(args.area, report)
    if args.bbox is not None:
        west, south, east, north = args.bbox
        return Area.from_bbox(west, south, east, north, args.bbox_crs)
    return None


def numbers_given(args: argparse.Namespace) -> dict[str, Any]:
    """The fields of a request that say what is read of a scene."""
    band = int(args.band) if args.band and args.band.isdecimal() else args.band
    return {"band": band, "quantity": args.quantity, "scale": args.scale}

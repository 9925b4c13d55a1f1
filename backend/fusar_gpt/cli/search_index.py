"""``fusar search index|list|remove``: the indexes that searches keep."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from fusar_gpt.cli.interpret import numbers_given
from fusar_gpt.cli.prior import megabytes, report
from fusar_gpt.cli.search import add_index_options, check_index_options, indexes_kept
from fusar_gpt.contract import DEFAULT_ENCODER, SearchRequest

if TYPE_CHECKING:
    from fusar_gpt.retrieval.encoder import Encoder

COMMANDS = ("index", "list", "remove")
"""What may follow ``fusar search`` instead of a scene."""


def add_commands(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    """The commands as those of ``fusar``, named ``search index`` and so on."""
    index = add_parser("search index", help="index scenes, so that their first search is quick")
    index.add_argument("scene", nargs="+", type=Path, metavar="SCENE")
    add_index_options(index)
    index.add_argument(
        "--footprints", type=Path, metavar="OUT.parquet", help="write the slices as GeoParquet"
    )
    index.set_defaults(run=run_index, usage_error=index.error)
    listed = add_parser("search list", help="the indexes that are kept")
    listed.add_argument("--json", action="store_true", help="print one JSON array")
    listed.set_defaults(run=run_list)
    remove = add_parser("search remove", help="remove an index, or all")
    which = remove.add_mutually_exclusive_group(required=True)
    which.add_argument("key", nargs="?", metavar="KEY", help="as fusar search list prints it")
    which.add_argument("--all", action="store_true", help="all that are not in use")
    remove.set_defaults(run=run_remove)


def run_index(args: argparse.Namespace) -> int:
    """``fusar search index``: all slices of whole scenes."""
    check_index_options(args)
    if args.footprints:
        check_footprints(args)
    from fusar_gpt.retrieval.encoder import open_encoder

    encoder = open_encoder(args.encoder or DEFAULT_ENCODER, device=args.device)
    with indexes_kept():
        for path in dict.fromkeys(args.scene):
            index_scene(path, encoder, args)
    return 0


def check_footprints(args: argparse.Namespace) -> None:
    """Before anything is computed: the file must be writable, and no scene nor somebody else's."""
    from fusar_gpt.findings import check_output
    from fusar_gpt.geoparquet import check_pyarrow, has_columns

    if args.footprints.suffix.lower() != ".parquet":
        args.usage_error("--footprints must end in .parquet")
    if len(args.scene) > 1 or len(args.ground_m) > 1:
        args.usage_error("--footprints goes with one scene and one --ground-m")
    check_pyarrow()
    check_output(
        args.footprints,
        lambda path: has_columns(path, "slice", "encoder_hash"),
        inputs={"scene": args.scene[0]},
        overwrite=False,
    )


def index_scene(path: Path, encoder: Encoder, args: argparse.Namespace) -> None:
    """One scene, at each ground size as a search would look at it. Raises as a search."""
    import numpy as np

    from fusar_gpt.cli.terminal import progress_bar
    from fusar_gpt.imagery import open_scene
    from fusar_gpt.retrieval.index import fill, scene_index
    from fusar_gpt.retrieval.index_folder import write_footprints
    from fusar_gpt.search import ground_sides, overlap_of

    request = SearchRequest(str(path), texts=("any",), ground_m=tuple(args.ground_m), overlap=args.overlap)
    with open_scene(path, **numbers_given(args)) as scene:
        for side_m in ground_sides(request, encoder, scene):
            with scene_index(scene, encoder, side_m, overlap_of(request)) as index:
                for note in index.notes:
                    report(note)
                missing = index.missing(np.ones(len(index.lattice), bool))
                with progress_bar(len(missing), "slices", scene.name) as show:
                    for done in fill(index, missing, scene, encoder):
                        show(done)
                print(f"{scene.name}: {len(index.lattice)} slices, {len(missing)} of them new")
                if args.footprints:
                    write_footprints(index, scene, args.footprints)
                    print(f"written: {args.footprints}")


def run_list(args: argparse.Namespace) -> int:
    """``fusar search list``."""
    from fusar_gpt.retrieval.index_folder import default_folder, entries, limit_bytes

    kept = entries()
    if args.json:
        print(json.dumps([asdict(entry) for entry in kept], default=str, indent=2))
        return 0
    for entry in kept:
        done = "whole" if entry.done == entry.slices else f"{entry.done} of {entry.slices} slices"
        print(
            f"{entry.key}  {entry.used:%Y-%m-%d %H:%M}  {megabytes(entry.bytes):>9}  {entry.scene} {entry.band}, "
            f"{entry.encoder}, {entry.side_m:.0f} m, {done}"
        )
    taken, limit = megabytes(sum(entry.bytes for entry in kept)), megabytes(limit_bytes())
    print(f"{len(kept)} kept, {taken} of {limit}, in {default_folder()}")
    return 0


def run_remove(args: argparse.Namespace) -> int:
    """``fusar search remove``."""
    from fusar_gpt.retrieval.index_folder import remove, remove_all

    freed = remove_all() if args.all else remove(args.key)
    print(f"removed, {megabytes(freed)} are free")
    return 0

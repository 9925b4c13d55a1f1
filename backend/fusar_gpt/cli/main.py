"""The ``fusar`` command: interpret or search a scene, fetch priors, serve QGIS, show the demo, say what is missing.

Exit status: 0 done, 1 failed with one line on stderr and no partial output, 2 wrong usage.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import threading
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fusar_gpt import __version__
from fusar_gpt.cli import checkpoint, interpret, prior, search, search_index
from fusar_gpt.errors import FusarError

NETWORK_DRIVERS = ("HTTP", "WMS", "WCS", "WMTS", "STACIT", "STACTA", "DAAS", "EEDA", "EEDAI", "PLMOSAIC")
"""GDAL's drivers that call a server that a file or its name says."""

COORDINATES = ("--bbox", "--like", "--unlike")
"""The options whose value may begin with a minus."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    forbid_network_drivers()
    args = build_parser().parse_args(join_words(sys.argv[1:] if argv is None else argv))
    try:
        return int(args.run(args))
    except FusarError as error:
        print(f"fusar: {error}", file=sys.stderr)
    except BrokenPipeError:  # the reader of our output has left, as ``head`` does; nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        print("fusar: cancelled, nothing was written", file=sys.stderr, flush=True)
        if argv is None and len(threading.enumerate()) > 1:
            os._exit(
                1
            )  # Python would wait for threads that wait for a server, and nobody wants what they bring
    return 1


def forbid_network_drivers() -> None:
    """Have GDAL forget them, which it does while it starts, and PROJ fetch no grids."""
    skipped = os.environ.get("GDAL_SKIP", "")
    others = skipped.split("," if "," in skipped else None)
    os.environ["GDAL_SKIP"] = ",".join(dict.fromkeys([*filter(None, others), *NETWORK_DRIVERS]))
    os.environ["PROJ_NETWORK"] = "OFF"


def join_words(argv: Sequence[str]) -> list[str]:
    """Words that belong together as one, which argparse would not see.

    It takes the western longitude of ``--like -120,34`` for an option, and ``search index`` for a scene.
    """
    words: list[str] = []
    for word in argv:
        if words and words[-1] in COORDINATES:
            words[-1] += f"={word}"
        elif words == ["search"] and word in search_index.COMMANDS:
            words[-1] += f" {word}"
        else:
            words.append(word)
    return words


def build_parser() -> argparse.ArgumentParser:
    """The arguments of every subcommand. Heavy imports wait until a command runs."""
    parser = argparse.ArgumentParser(prog="fusar", description="Ask FUSAR-GPT about a SAR scene.")
    parser.add_argument("--version", action="version", version=f"fusar {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    interpret.add_arguments(commands.add_parser("interpret", help="interpret an area of a scene"))
    search.add_arguments(commands.add_parser("search", help="find places of a scene by words or by example"))
    search_index.add_commands(commands.add_parser)
    checkpoint.add_arguments(
        commands.add_parser("checkpoint", help="import, fetch, list, export or remove models")
    )
    prior.add_arguments(commands.add_parser("prior", help="fetch and look at AEF vectors, keep their cache"))

    doctor = commands.add_parser("doctor", help="what is installed, what is missing and how to get it")
    doctor.set_defaults(run=run_doctor)

    demo = commands.add_parser("demo", help="interpret the sample scenes with the bundled tiny model")
    demo.add_argument("--out", type=Path, default=Path("fusar-demo"), metavar="DIR")
    demo.set_defaults(run=run_demo)

    samples = commands.add_parser("samples", help="where the sample scenes are")
    samples.add_argument("--json", action="store_true", help="print one JSON array")
    samples.set_defaults(run=run_samples)

    serve = commands.add_parser("serve", help="start the server that QGIS talks to")
    from fusar_gpt.server.options import add_arguments  # light: no model code

    add_arguments(serve)
    serve.set_defaults(run=run_serve)
    return parser


def run_doctor(args: argparse.Namespace) -> int:
    """``fusar doctor``."""
    from fusar_gpt.cli.doctor import examine

    return examine()


def run_demo(args: argparse.Namespace) -> int:
    """``fusar demo``."""
    from fusar_gpt.cli.demo import demonstrate

    return demonstrate(args.out)


def run_samples(args: argparse.Namespace) -> int:
    """``fusar samples``: paths as they are on this machine."""
    from fusar_gpt.samples import SAMPLES

    if args.json:
        print(json.dumps([asdict(sample) for sample in SAMPLES], default=str, indent=2))
    else:
        for sample in SAMPLES:
            print(f"{sample.title}\n  {sample.scene}")
    return 0


def run_serve(args: argparse.Namespace) -> int:
    """``fusar serve``."""
    from fusar_gpt.server.serve import run

    return run(args)

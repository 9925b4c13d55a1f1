"""``fusar-train klip reproduce``: the paper's Table 8 in miniature."""

from __future__ import annotations

import argparse
import math

from fusar_train.child_processes import MOST_JOBS
from fusar_train.cli.options import add_out, whole
from fusar_train.evaluation.seeds import MOST_SEEDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar-train klip reproduce``; ``run`` carries them out."""
    add_out(parser, "for everything; repeat the command to go on there")
    parser.add_argument(
        "--seeds", type=whole, metavar="N", help=f"of each share of noise, 1 to {MOST_SEEDS}; default: 3"
    )
    parser.add_argument(
        "--noise",
        type=_shares,
        metavar="S,S",
        help="shares of wrong sub-texts; default: 0,0.1,0.2,0.4",
    )
    parser.add_argument(
        "--arms",
        type=lambda text: text.split(","),
        metavar="A,A",
        help="of none (no screening), screen, rebuild; default: all",
    )
    parser.add_argument(
        "--jobs", type=whole, metavar="N", help=f"runs at once; default: one a core, at most {MOST_JOBS}"
    )
    parser.add_argument(
        "--minutes", type=_minutes, metavar="M", help="stop after so many; repeat the command to go on"
    )
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, to see that it runs")
    parser.set_defaults(run=run)


def _shares(text: str) -> list[float]:
    try:
        return [float(one) for one in text.split(",")]
    except ValueError as error:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be shares such as 0,0.2: numbers with commas between"
        ) from error


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = math.nan
    if not 0 < minutes < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of minutes above 0")
    return minutes


def run(arguments: argparse.Namespace) -> None:
    """Runs the experiment; FusarError with one line where it cannot, or where a run failed."""
    from fusar_train.klip.reproduce import command

    command.run(arguments)

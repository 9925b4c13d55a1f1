"""``fusar-train reproduce``."""

from __future__ import annotations

import argparse

from fusar_train.child_processes import MOST_JOBS
from fusar_train.cli.options import add_out, whole
from fusar_train.evaluation.seeds import MOST_SEEDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``fusar-train reproduce``."""
    add_out(parser, "for everything; repeat the command to go on there")
    parser.add_argument(
        "--base",
        metavar="NAME|DIR",
        help="train from this checkpoint; by default one is made that knows no prior",
    )
    parser.add_argument("--rows", type=_words, metavar="R,R", help="only these ways to train; default: all")
    parser.add_argument(
        "--seeds", type=whole, metavar="N", help=f"of each row, 1 to {MOST_SEEDS}; default: 3"
    )
    parser.add_argument(
        "--jobs", type=whole, metavar="N", help=f"runs at once; default: one a core, at most {MOST_JOBS}"
    )
    parser.add_argument("--keep", action="store_true", help="keep the checkpoints after they are measured")
    parser.add_argument("--smoke", action="store_true", help="a few steps of everything, to see that it runs")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    parser.set_defaults(run=run)


def _words(text: str) -> list[str]:
    return text.split(",")


def run(args: argparse.Namespace) -> None:
    """Runs the experiment; FusarError with one line where it cannot, or where a run failed."""
    from fusar_train.reproduce import scheduler

    scheduler.run(args)

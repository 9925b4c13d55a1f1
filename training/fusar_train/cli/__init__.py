"""``fusar-train``: simulate chips, prepare data, train, measure. Heavy imports wait until a command runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from fusar_gpt.errors import FusarError
from fusar_train.cli import corpus, data, evaluate, klip, reproduce, simulate, train


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="fusar-train", description="Build data for, train and measure FUSAR-GPT."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")
    simulate.add_arguments(commands.add_parser("simulate", help="write simulated SAR with truth and prior"))
    train.add_tiny_arguments(
        commands.add_parser(
            "tiny", help="train the bundled tiny model from scratch (about 50 min on two cores)"
        )
    )
    evaluate.add_card_arguments(
        commands.add_parser("card", help="measure a tiny model on held-out chips and write its model card")
    )
    data.add_arguments(commands.add_parser("data", help="import, check, split, word and preview data sets"))
    corpus.add_arguments(commands.add_parser("corpus", help="from scenes to described slices with priors"))
    evaluate.add_arguments(
        commands.add_parser("evaluate", help="measure a checkpoint on data, with a report")
    )
    evaluate.add_calibrate_arguments(
        commands.add_parser(
            "calibrate", help="from token probabilities to confidences, on a checkpoint's card"
        )
    )
    reproduce.add_arguments(
        commands.add_parser("reproduce", help="the paper's ablations in miniature, on simulated chips")
    )
    klip.add_arguments(
        commands.add_parser("klip", help="train FUSAR-KLIP: search and describe images by texts")
    )
    for stage, what in ((1, "teach a base the prior and SAR's look"), (2, "teach it the tasks")):
        train.add_arguments(stage, commands.add_parser(f"stage{stage}", help=what))
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 done, 1 failed with one line on stderr, 2 wrong usage."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except FusarError as error:
        print(f"fusar-train: {error}", file=sys.stderr)
        return 1
    return 0

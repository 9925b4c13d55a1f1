"""``fusar-train klip evaluate``: the benchmarks of a FUSAR-KLIP."""

from __future__ import annotations

import argparse

from fusar_train.cli.options import add_out


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar-train klip evaluate``; ``run`` carries them out."""
    add_out(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Carries it out; FusarError with one line when it cannot."""
    raise NotImplementedError

"""The options of ``fusar-train evaluate``. Light to import: no model code."""

from __future__ import annotations

import argparse
from pathlib import Path

from fusar_gpt.tasks import Task
from fusar_train.evaluation.predictions import PREDICTIONS_FILE, PRIORS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``fusar-train evaluate``."""
    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="a checkpoint's folder or name, or cfar"
    )
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="a folder of records, simulated:N, or ssdd:FOLDER"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="for report, figures and predictions")
    parser.add_argument(
        "--predictions", type=Path, metavar="FILE", help=f"default: {PREDICTIONS_FILE} in --out"
    )
    parser.add_argument(
        "--tasks", type=tasks, default=tuple(Task), metavar="T,T", help="such as count,detect; default: all"
    )
    parser.add_argument("--split", default="test", choices=["train", "val", "test"])
    parser.add_argument(
        "--prior", type=priors, default=("own",), metavar="P,P", help="of own (default), none, wrong"
    )
    parser.add_argument("--limit", type=positive, metavar="N", help="ask about N images, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draws and bootstrap; default: 0")
    parser.add_argument(
        "--recompute", type=Path, metavar="FILE", help="take the figures of these predictions; no model"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    """Evaluates; raises FusarError with one line where it cannot."""
    from fusar_train.evaluation import command

    command.run(args)


def tasks(text: str) -> tuple[Task, ...]:
    """The tasks of a list with commas."""
    try:
        return tuple(dict.fromkeys(Task(word.strip()) for word in text.split(",")))
    except ValueError:
        names = ", ".join(task.value for task in Task)
        raise argparse.ArgumentTypeError(f"{text!r} must be some of {names}") from None


def priors(text: str) -> tuple[str, ...]:
    """The kinds of prior of a list with commas."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if not set(words) <= set(PRIORS):
        raise argparse.ArgumentTypeError(f"{text!r} must be some of {', '.join(PRIORS)}")
    return words


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)

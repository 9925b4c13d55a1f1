"""``fusar-train``: simulate, train the tiny model, measure a checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fusar_gpt.errors import FusarError
from fusar_train.cli_data import add_arguments as add_data_arguments
from fusar_train.cli_evaluate import add_arguments as add_evaluate_arguments
from fusar_train.stages.command import add_arguments as add_stage_arguments

SHEET = (8, 4)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="fusar-train", description="Build data for, train and measure FUSAR-GPT."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    simulate = commands.add_parser(
        "simulate", help="write simulated SAR: the sample scene or a sheet of chips"
    )
    simulate.add_argument("what", choices=["scene", "chips"])
    simulate.add_argument("--out", type=Path, required=True, metavar="DIR")
    simulate.add_argument("--seed", type=int, help="default: the seed of the bundled sample")
    simulate.set_defaults(run=run_simulate)

    tiny = commands.add_parser(
        "tiny", help="train the bundled tiny model from scratch (about 50 min on two cores)"
    )
    tiny.add_argument("--out", type=Path, required=True, metavar="DIR", help="where the checkpoint goes")
    tiny.add_argument(
        "--real", type=Path, metavar="DIR", help="SSDD images to mix in (JPEGImages, Annotations)"
    )
    tiny.add_argument("--settings", type=Path, metavar="YAML", help="default: fusar_train/stages/tiny.yaml")
    tiny.add_argument(
        "--start", type=Path, metavar="DIR", help="begin from this checkpoint, not from scratch"
    )
    tiny.set_defaults(run=run_tiny)

    card = commands.add_parser("card", help="measure a tiny model on held-out chips and write its model card")
    card.add_argument("--model", default="tiny", help="a checkpoint folder; default: the bundled one")
    card.add_argument("--out", type=Path, required=True, metavar="DIR", help="for README.md and figures.json")
    card.add_argument("--real", type=Path, metavar="DIR", help="SSDD images; their held-out part is measured")
    card.add_argument("--count", type=int, default=300, help="simulated test chips (default 300)")
    card.set_defaults(run=run_card)

    add_data_arguments(commands.add_parser("data", help="import, check, split, word and preview data sets"))
    add_evaluate_arguments(
        commands.add_parser("evaluate", help="measure a checkpoint on data, with a report")
    )
    for stage, what in ((1, "teach a base the prior and SAR's look"), (2, "teach it the tasks")):
        add_stage_arguments(stage, commands.add_parser(f"stage{stage}", help=what))
    return top


def run_simulate(arguments: argparse.Namespace) -> None:
    """Writes the sample scene, or a contact sheet of chips with their boxes."""
    from fusar_train.simulation.scene import SEED, write_scene
    from fusar_train.simulation.sheet import write_sheet

    if arguments.what == "scene":
        paths = write_scene(arguments.out, SEED if arguments.seed is None else arguments.seed)
    else:
        paths = [write_sheet(arguments.out, arguments.seed or 0, SHEET)]
    for path in paths:
        print(path)


def run_tiny(arguments: argparse.Namespace) -> None:
    """Trains."""
    from fusar_train.stages.tiny import SETTINGS, train_tiny

    train_tiny(arguments.out, arguments.real, arguments.settings or SETTINGS, arguments.start)


def run_card(arguments: argparse.Namespace) -> None:
    """Measures and writes the card."""
    from fusar_gpt.engine import LocalEngine
    from fusar_gpt.model import load_checkpoint
    from fusar_train.corpus.questions import TEXTS
    from fusar_train.corpus.ssdd import read_voc, split
    from fusar_train.evaluation.card import write_card
    from fusar_train.evaluation.measure import measure_all

    checkpoint = load_checkpoint(arguments.model, device="cpu")
    results = measure_all(LocalEngine(checkpoint), arguments.count, arguments.real)
    train, test = split(read_voc(arguments.real)) if arguments.real else ([], [])
    log = Path(arguments.model) / "log.txt"
    facts = {
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()) / 1e6,
        "questions": ", ".join(f'"{text}"' for text in TEXTS.values()),
        "count": arguments.count,
        "run": how_long(log),
        "train": len(train),
        "test": len(test),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_card(arguments.out, results, facts)


def how_long(log: Path) -> str:
    """A training log in short: its remarks (lines that begin with #) and the last line of each phase, as a list."""
    if not log.is_file():
        return "No log of the run lies beside the model.\n"
    lines = log.read_text(encoding="utf-8").splitlines()
    remarks = [line[1:].strip() for line in lines if line.startswith("#")]
    last = {line.split(" ", 1)[0]: line.split(":", 1)[0] for line in lines if not line.startswith("#")}
    return "\n".join([*remarks, "", *(f"- {phase}" for phase in last.values()), ""])


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; 0 done, 1 failed with one line on stderr, 2 wrong usage."""
    arguments = parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except FusarError as error:
        print(f"fusar-train: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

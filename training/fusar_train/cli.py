"""``fusar-train``: simulate, train the tiny model, measure a checkpoint."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from fusar_gpt.errors import FusarError
from fusar_train.cli_data import add_arguments as add_data_arguments
from fusar_train.cli_evaluate import add_arguments as add_evaluate_arguments
from fusar_train.cli_evaluate import positive
from fusar_train.cli_reproduce import add_arguments as add_reproduce_arguments
from fusar_train.stages.command import add_arguments as add_stage_arguments

SHEET = (8, 4)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="fusar-train", description="Build data for, train and measure FUSAR-GPT."
    )
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    simulate = commands.add_parser("simulate", help="write simulated SAR with truth and prior")
    kinds = simulate.add_subparsers(required=True, metavar="scene|chips|records|probe")
    scene = kinds.add_parser("scene", help="a georeferenced scene, its prior and its truth")
    scene.add_argument("--out", type=Path, required=True, metavar="DIR")
    scene.add_argument("--seed", type=int, help="default: the seed of the bundled sample")
    scene.add_argument("--place", default="harbour", help="harbour, or a kind of place of the chips")
    scene.add_argument("--size", type=int, metavar="PX", help="rows and columns; default: the sample's")
    scene.add_argument("--pixel-m", type=float, metavar="M", help="pixel spacing, 0.5 to 20")
    scene.add_argument("--looks", type=int, default=4, help="default: %(default)s")
    scene.set_defaults(run=run_simulate_scene)
    chips = kinds.add_parser("chips", help="a contact sheet of training chips beside their priors")
    chips.add_argument("--out", type=Path, required=True, metavar="DIR")
    chips.add_argument("--seed", type=int, default=0, help="number of the first chip")
    chips.set_defaults(run=run_simulate_chips)
    records = kinds.add_parser("records", help="chips as stored records, to train and evaluate with")
    records.add_argument("--out", type=Path, required=True, metavar="DIR", help="a new folder")
    records.add_argument("--count", type=positive, required=True, metavar="N", help="chips")
    records.add_argument("--first", type=int, default=0, metavar="K", help="number of the first chip")
    records.add_argument(
        "--stream", choices=["train", "val", "test"], default="train", help="they share no chip"
    )
    records.set_defaults(run=run_simulate_records)
    probe = kinds.add_parser("probe", help="how much the image alone, and how much the prior, can tell")
    probe.add_argument("--count", type=int, default=200, help="chips (default %(default)s)")
    probe.set_defaults(run=run_simulate_probe)

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
    card.add_argument("--twin", metavar="DIR", help="the same model trained without a prior, to compare with")
    card.set_defaults(run=run_card)

    add_data_arguments(commands.add_parser("data", help="import, check, split, word and preview data sets"))
    add_evaluate_arguments(
        commands.add_parser("evaluate", help="measure a checkpoint on data, with a report")
    )
    add_reproduce_arguments(
        commands.add_parser("reproduce", help="the paper's ablations in miniature, on simulated chips")
    )
    for stage, what in ((1, "teach a base the prior and SAR's look"), (2, "teach it the tasks")):
        add_stage_arguments(stage, commands.add_parser(f"stage{stage}", help=what))
    return top


def run_simulate_scene(arguments: argparse.Namespace) -> None:
    """Writes a scene."""
    from fusar_train.simulation.land import PIXEL_M
    from fusar_train.simulation.radar import Sensor
    from fusar_train.simulation.scene import SEED, SHAPE, write_scene

    pixel_m = arguments.pixel_m or PIXEL_M
    paths = write_scene(
        arguments.out,
        SEED if arguments.seed is None else arguments.seed,
        place=arguments.place,
        shape=(arguments.size, arguments.size) if arguments.size else SHAPE,
        pixel_m=pixel_m,
        sensor=Sensor(pixel_m, (1.3 * pixel_m, 1.3 * pixel_m), looks=arguments.looks),
    )
    for path in paths:
        print(path)


def run_simulate_chips(arguments: argparse.Namespace) -> None:
    """Writes a contact sheet."""
    from fusar_train.simulation.sheet import write_sheet

    print(write_sheet(arguments.out, arguments.seed, SHEET))


def run_simulate_records(arguments: argparse.Namespace) -> None:
    """Writes chips as records."""
    from fusar_train.simulation.records import write_chips

    write_chips(arguments.out, arguments.stream, arguments.first, arguments.count)
    print(arguments.out)


def run_simulate_probe(arguments: argparse.Namespace) -> None:
    """Prints what ideal counters reach."""
    from fusar_train.corpus.mixture import TEST_STREAM
    from fusar_train.simulation.ambiguity import measure

    for label in ("ship", "plane"):
        share = measure(arguments.count, label, TEST_STREAM)
        print(
            f"{label}: {share.ambiguous:.0%} of {arguments.count} chips hold an object that the image cannot decide; "
            f"counted exactly by the best image-only counter {share.best:.1%}, with the prior {share.prior:.1%}"
        )


def run_tiny(arguments: argparse.Namespace) -> None:
    """Trains."""
    from fusar_train.stages.tiny import SETTINGS, train_tiny

    train_tiny(arguments.out, arguments.real, arguments.settings or SETTINGS, arguments.start)


def run_card(arguments: argparse.Namespace) -> None:
    """Measures and writes the card."""
    from fusar_gpt.engine import LocalEngine
    from fusar_gpt.model import load_checkpoint
    from fusar_gpt.model.checkpoint import find_folder
    from fusar_train.corpus.questions import TEXTS
    from fusar_train.corpus.ssdd import read_voc, split
    from fusar_train.evaluation.card import measure_all, write_card

    checkpoint = load_checkpoint(arguments.model, device="cpu")
    twin = LocalEngine(load_checkpoint(arguments.twin, device="cpu")) if arguments.twin else None
    results = measure_all(LocalEngine(checkpoint), arguments.count, arguments.real, twin=twin)
    train, test = split(read_voc(arguments.real)) if arguments.real else ([], [])
    facts = {
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()) / 1e6,
        "questions": ", ".join(f'"{text}"' for text in TEXTS.values()),
        "count": arguments.count,
        "run": how_long(find_folder(arguments.model)),
        "twin": how_long(find_folder(arguments.twin)) if arguments.twin else "",
        "train": len(train),
        "test": len(test),
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_card(arguments.out, results, facts)


def how_long(folder: Path) -> str:
    """A model's training log in short: its remarks (lines that begin with #) and the last line of each phase."""
    log = folder / "log.txt"
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

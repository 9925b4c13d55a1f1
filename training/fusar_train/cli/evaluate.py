"""``fusar-train evaluate`` and ``fusar-train card``."""

from __future__ import annotations

import argparse
from pathlib import Path

from fusar_gpt.tasks import Task
from fusar_train.cli.options import add_out, whole
from fusar_train.evaluation.predictions import PREDICTIONS_FILE, PRIORS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``fusar-train evaluate``."""
    parser.add_argument(
        "checkpoint", nargs="?", metavar="CHECKPOINT", help="a checkpoint's folder or name, or cfar"
    )
    parser.add_argument(
        "data", nargs="?", metavar="DATA", help="a folder of records, simulated:N, varied:N, or ssdd:FOLDER"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="for report, figures and predictions")
    parser.add_argument(
        "--predictions",
        type=Path,
        metavar="FILE",
        help=f"where answers are written (default: {PREDICTIONS_FILE} in --out); without a checkpoint, answers to "
        "measure: ours, the authors' predictions.jsonl, or those of a benchmark",
    )
    parser.add_argument(
        "--benchmark",
        choices=["sarchat", "sarlang", "xview3"],
        help="whose form and rules --predictions are of, where the file does not tell",
    )
    parser.add_argument("--truth", type=Path, metavar="FILE", help="of xview3: the labels, as CSV")
    parser.add_argument(
        "--shore",
        type=Path,
        metavar="DIR",
        help="of xview3: SCENE_shoreline.npy, where detections lack the distance",
    )
    parser.add_argument(
        "--tasks", type=tasks, default=tuple(Task), metavar="T,T", help="such as count,detect; default: all"
    )
    parser.add_argument("--split", default="test", choices=["train", "val", "test", "calibration"])
    parser.add_argument(
        "--prior", type=priors, default=("own",), metavar="P,P", help="of own (default), none, wrong"
    )
    parser.add_argument("--limit", type=whole, metavar="N", help="ask about N images, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draws and bootstrap; default: 0")
    parser.add_argument(
        "--overlaps", action="store_true", help="tell apart the images of ground of the train split (minutes)"
    )
    parser.add_argument(
        "--brighter",
        type=decibels,
        default=0.0,
        metavar="DB",
        help="show the images so many dB brighter, such as 6 or -6",
    )
    add_without_targets(parser)
    parser.add_argument(
        "--recompute", type=Path, metavar="FILE", help="the same as --predictions without a checkpoint"
    )
    parser.set_defaults(run=run)


def add_without_targets(parser: argparse.ArgumentParser) -> None:
    """The option for scenes in which all that is found is false."""
    parser.add_argument(
        "--without-targets",
        type=Path,
        metavar="DIR",
        help="GeoTIFFs that show none of the model's classes: false alarms per 100 km2",
    )


def run(args: argparse.Namespace) -> None:
    """Evaluates; raises FusarError with one line where it cannot."""
    from fusar_train.evaluation import command

    command.run(args)


def add_calibrate_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``fusar-train calibrate``."""
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a checkpoint's folder or name")
    parser.add_argument(
        "predictions",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="its predictions.jsonl on images it has not seen, by fusar-train evaluate",
    )
    add_out(parser, "for calibration.json and reliability.svg")
    parser.add_argument("--write", action="store_true", help="put it on the checkpoint's card too")
    parser.set_defaults(run=_calibrate)


def _calibrate(arguments: argparse.Namespace) -> None:
    from fusar_train.evaluation import command

    command.calibrate_checkpoint(arguments)


def tasks(text: str) -> tuple[Task, ...]:
    """The tasks of a list with commas."""
    try:
        return tuple(dict.fromkeys(Task(word.strip()) for word in text.split(",")))
    except ValueError:
        names = ", ".join(task.value for task in Task)
        raise argparse.ArgumentTypeError(f"{text!r} must be some of {names}") from None


def decibels(text: str) -> float:
    """A number of dB that leaves something to see."""
    value = float(text)
    if not -40 <= value <= 40:
        raise argparse.ArgumentTypeError(f"{text} dB is out of bounds: take -40 to 40")
    return value


def priors(text: str) -> tuple[str, ...]:
    """The kinds of prior of a list with commas."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",")))
    if not set(words) <= set(PRIORS):
        raise argparse.ArgumentTypeError(f"{text!r} must be some of {', '.join(PRIORS)}")
    return words


def add_card_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``fusar-train card``."""
    parser.add_argument("--model", default="tiny", help="a checkpoint folder; default: the bundled one")
    add_out(parser, "for README.md and figures.json")
    parser.add_argument(
        "--real",
        type=Path,
        metavar="DIR",
        help="SSDD images; their held-out part is measured, new ground apart",
    )
    parser.add_argument("--count", type=int, default=300, help="simulated test chips (default 300)")
    parser.add_argument(
        "--twin", metavar="DIR", help="the same model trained without a prior, to compare with"
    )
    add_without_targets(parser)
    parser.set_defaults(run=_card)


def _card(arguments: argparse.Namespace) -> None:
    from fusar_gpt.certainty import calibration_of
    from fusar_gpt.engine import LocalEngine
    from fusar_gpt.model import load_checkpoint
    from fusar_gpt.model.store import find_folder
    from fusar_train.corpus.ssdd import read_voc, shared_ground, split
    from fusar_train.evaluation.card import measure_all, write_card
    from fusar_train.evaluation.reliability import RELIABILITY_FILE, draw_reliability
    from fusar_train.pretrain.questions import TEXTS

    checkpoint = load_checkpoint(arguments.model, device="cpu")
    twin = LocalEngine(load_checkpoint(arguments.twin, device="cpu")) if arguments.twin else None
    results = measure_all(
        LocalEngine(checkpoint),
        arguments.count,
        arguments.real,
        twin=twin,
        without_targets=arguments.without_targets,
    )
    train, test = split(read_voc(arguments.real)) if arguments.real else ([], [])
    facts = {
        "parameters": sum(p.numel() for p in checkpoint.model.parameters()) / 1e6,
        "questions": ", ".join(f'"{text}"' for text in TEXTS.values()),
        "count": arguments.count,
        "run": _how_long(find_folder(arguments.model)),
        "twin": _how_long(find_folder(arguments.twin)) if arguments.twin else "",
        "train": len(train),
        "test": len(test),
        "shared_ground": len(shared_ground(arguments.real)) if arguments.real else 0,
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    if found := calibration_of(checkpoint.card, checkpoint.hash)[0]:
        facts["calibration"] = [(task, one) for task, of in found.tasks.items() for one in of.sets]
        drawing = draw_reliability({task: of.reliability for task, of in found.tasks.items()})
        (arguments.out / RELIABILITY_FILE).write_text(drawing, encoding="utf-8")
    write_card(arguments.out, results, facts)


def _how_long(folder: Path) -> str:
    """A model's training log in short: its remarks (lines that begin with #) and the last line of each phase."""
    log = folder / "log.txt"
    if not log.is_file():
        return "No log of the run lies beside the model.\n"
    lines = log.read_text(encoding="utf-8").splitlines()
    remarks = [line[1:].strip() for line in lines if line.startswith("#")]
    last = {line.split(" ", 1)[0]: line.split(":", 1)[0] for line in lines if not line.startswith("#")}
    return "\n".join([*remarks, "", *(f"- {phase}" for phase in last.values()), ""])

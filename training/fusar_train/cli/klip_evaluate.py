"""``fusar-train klip evaluate``: the benchmarks of a FUSAR-KLIP."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from fusar_gpt.errors import FusarError
from fusar_train.cli.options import add_described, add_out, whole
from fusar_train.klip.benchmarks import BENCHMARKS

_PACKAGES = ("accelerate", "scipy", "sklearn", "yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar-train klip evaluate``; ``run`` carries them out."""
    parser.add_argument("model", metavar="MODEL", help="a FUSAR-KLIP's folder or name")
    add_described(parser)
    parser.add_argument("--split", default="test", choices=["train", "val", "test"], help="default: test")
    add_out(parser, "for report.html, report.md and report.json; what it holds of the same is kept")
    parser.add_argument(
        "--only", type=_names, default=BENCHMARKS, metavar="B,B", help=f"of {', '.join(BENCHMARKS)}"
    )
    parser.add_argument("--limit", type=whole, metavar="N", help="measure on N images, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of draws and bootstrap; default: 0")
    parser.add_argument(
        "--facts",
        metavar="KEYS",
        help='whose facts decide a hit by facts, such as "targets Count,terrain Terrain"; by default the counts and '
        "the main land cover of the truth",
    )
    parser.add_argument(
        "--queries",
        type=Path,
        metavar="FILE",
        help="typed queries with their truth; default: 30 that come along",
    )
    training = parser.add_argument_group(
        "networks that are trained on the way (vqa and the vision benchmarks)"
    )
    training.add_argument(
        "--train-limit", type=whole, default=4000, metavar="N", help="on at most N images; default: 4000"
    )
    training.add_argument("--epochs", type=whole, default=3, metavar="N", help="default: 3")
    training.add_argument("--learning-rate", type=float, default=5e-4, metavar="R", help="default: 5e-4")
    _add_vision(parser.add_argument_group("classification, detection and segmentation"))
    parser.add_argument("--card", action="store_true", help="put the figures on the checkpoint's card, too")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    parser.set_defaults(run=run)


def _add_vision(group: argparse._ArgumentGroup) -> None:
    """What the vision benchmarks measure on, beside simulated chips."""
    group.add_argument(
        "--classes", type=Path, metavar="DATA", help="of classification: records that show one object each"
    )
    group.add_argument("--boxes", type=Path, metavar="DATA", help="of detection: records of ships and planes")
    group.add_argument(
        "--water", type=Path, metavar="DIR", help="of segmentation: a folder of scenes and their masks"
    )
    group.add_argument(
        "--water-classes",
        default="sen1floods11",
        metavar="NAME|FILE",
        help="what their codes mean, as for fusar-train data import; default: sen1floods11",
    )
    group.add_argument("--clip", type=Path, metavar="DIR", help="an open_clip model to compare with")
    group.add_argument(
        "--vision-start",
        type=Path,
        metavar="FILE",
        help="the image tower's supervised start, to compare with; default: vision.safetensors in MODEL.run",
    )
    group.add_argument(
        "--simulated",
        type=_from_zero,
        default=1500,
        metavar="N",
        help="simulated chips that each learns from, a third as many test it; 0: none; default: 1500",
    )
    group.add_argument(
        "--vision-epochs", type=whole, metavar="N", help="how often each image is seen; default: 8 to 20"
    )


def _from_zero(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 0 on")
    return int(text)


def _names(text: str) -> tuple[str, ...]:
    words = [word.strip() for word in text.split(",")]
    if wrong := [word for word in words if word not in BENCHMARKS]:
        raise argparse.ArgumentTypeError(f"{wrong[0]!r} is none of {', '.join(BENCHMARKS)}")
    return tuple(name for name in BENCHMARKS if name in words)


def run(arguments: argparse.Namespace) -> None:
    """Measures and reports; FusarError with one line when it cannot."""
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise FusarError(f"Benchmarks need {', '.join(missing)}: pip install 'fusar-gpt[train]'.")
    from fusar_train.klip.benchmarks import command

    command.run(arguments)

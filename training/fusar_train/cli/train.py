"""``fusar-train tiny``, ``fusar-train stage1`` and ``fusar-train stage2``."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from fusar_gpt.errors import FusarError
from fusar_train.cli.options import add_out
from fusar_train.pretrain import TINY

BUILT_IN = ("7b", "tiny")
PACKAGES = ("accelerate", "yaml", "peft")


def add_tiny_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar-train tiny``."""
    add_out(parser, "where the checkpoint goes")
    parser.add_argument(
        "--real",
        type=Path,
        action="append",
        default=[],
        metavar="DIR",
        help="records with ships to mix in, or SSDD as it comes (JPEGImages, Annotations); may be repeated",
    )
    parser.add_argument(
        "--settings", type=Path, default=TINY, metavar="YAML", help="default: fusar_train/pretrain/tiny.yaml"
    )
    parser.add_argument(
        "--start", type=Path, metavar="DIR", help="begin from this checkpoint, not from scratch"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in --out, which was stopped"
    )
    parser.set_defaults(run=_tiny)


def _tiny(arguments: argparse.Namespace) -> None:
    from fusar_train.pretrain.train import train_tiny

    train_tiny(
        arguments.out,
        arguments.real,
        arguments.settings,
        arguments.start,
        planes=arguments.planes,
        resume=arguments.resume,
    )


def add_arguments(stage: int, parser: argparse.ArgumentParser) -> None:
    """The arguments of stage 1 or 2; ``run`` carries them out."""
    origin = "a checkpoint, a plain Qwen2.5-VL" if stage == 1 else "a result of stage1"
    parser.add_argument("--base", required=True, help=f"{origin}: name, folder or hub id")
    parser.add_argument(
        "--data", type=Path, required=True, action="append", metavar="DIR", help="records; may be repeated"
    )
    if stage == 1:
        parser.add_argument(
            "--texts", metavar="NAME", help="whose sub-texts to learn, where several described the records"
        )
    add_out(parser, "the checkpoint; a new folder")
    parser.add_argument(
        "--settings", metavar="7b|tiny|YAML", help="default: tiny for the bundled tiny model, else 7b"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting; may be repeated"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="logs and what a run resumes from; default: OUT.run"
    )
    parser.add_argument(
        "--visual-tokens",
        type=Path,
        metavar="DIR",
        help="keep the frozen encoder's tokens of each image here, so that other epochs, stages and runs save its time",
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --work")
    parser.add_argument(
        "--report", choices=["tensorboard", "trackio", "wandb", "none"], default="tensorboard"
    )
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    if stage == 2:
        parser.add_argument(
            "--without-stage1", action="store_true", help="start from a base that stage 1 has not seen"
        )
    parser.set_defaults(run=run, stage=stage, without_stage1=False, texts=None)


def run(arguments: argparse.Namespace) -> None:
    """Trains the stage; FusarError with one line when it cannot."""
    if missing := [name for name in PACKAGES if importlib.util.find_spec(name) is None]:
        raise FusarError(f"Training needs {', '.join(missing)}: pip install 'fusar-gpt[train]'.")
    if arguments.report in ("trackio", "wandb") and importlib.util.find_spec(arguments.report) is None:
        raise FusarError(f"{arguments.report} is not installed: pip install {arguments.report}.")
    from fusar_train.stages.settings import RECIPES, Settings, StageConfig, StageError
    from fusar_train.stages.two_stage import run_stage
    from fusar_train.validation import read_yaml

    name = arguments.settings or ("tiny" if arguments.base == "tiny" else "7b")
    path = RECIPES / f"stage{arguments.stage}_{name}.yaml" if name in BUILT_IN else Path(name)
    config = StageConfig(
        stage=arguments.stage,
        base=arguments.base,
        data=tuple(arguments.data),
        out=arguments.out,
        work=arguments.work or arguments.out.with_name(f"{arguments.out.name}.run"),
        settings=read_yaml(path, Settings, arguments.set),
        resume=arguments.resume,
        without_stage1=arguments.without_stage1,
        report=arguments.report,
        device=arguments.device,
        visual_tokens=arguments.visual_tokens,
        texts=arguments.texts,
    )
    try:
        run_stage(config)
    except KeyboardInterrupt:
        raise StageError(f"Stopped. What was saved lies in {config.work}: go on with --resume.") from None
    except FusarError as error:
        first, *more = str(error).strip().splitlines()
        # A process that reads ahead hands its error over with its whole traceback; the last line is the message.
        raise StageError(more[-1].partition("Error: ")[2] if more else first) from error
    print(config.out)

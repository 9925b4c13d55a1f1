"""``fusar-train klip``: FUSAR-KLIP's dual encoder from a corpus with sub-texts, its benchmarks, its Table 8."""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path

from fusar_gpt.errors import FusarError
from fusar_train.cli import klip_evaluate, klip_reproduce
from fusar_train.cli.options import add_described
from fusar_train.klip.scio.options import ACCEPTANCE_NAMES, RULE_NAMES, ScioOptions

_PACKAGES = ("accelerate", "yaml")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar-train klip`` and of what stands below it; ``run`` trains."""
    below = parser.add_subparsers(metavar="[evaluate|reproduce]", title="instead of training")
    klip_evaluate.add_arguments(below.add_parser("evaluate", help="benchmarks of a checkpoint"))
    klip_reproduce.add_arguments(below.add_parser("reproduce", help="Table 8 in miniature"))
    add_described(parser)
    parser.add_argument("--out", type=Path, metavar="PATH", help="the checkpoint; a new folder")
    parser.add_argument(
        "--settings", default="tiny", metavar="tiny|paper|FILE", help="default: tiny, for CPUs"
    )
    parser.add_argument(
        "--base", metavar="NAME|DIR", help="train on from this FUSAR-KLIP, with its towers and tokenizer"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="change one setting; may be repeated"
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="log and what a run resumes from; default: OUT.run"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the run in --work")
    parser.add_argument("--device", choices=["auto", "cpu"], default="auto")
    _add_scio_arguments(
        parser.add_argument_group("SCIO: texts are screened and rewritten between the phases")
    )
    parser.set_defaults(run=run)


def _add_scio_arguments(group: argparse._ArgumentGroup) -> None:
    usual = ScioOptions()
    group.add_argument(
        "--scio",
        nargs="?",
        const=usual.rule,
        metavar="RULE",
        help=f"what is noise: {', '.join(RULE_NAMES)}; default: {usual.rule}",
    )
    group.add_argument(
        "--share", type=float, metavar="PART", help=f"of sub-texts called noise; default: {usual.share}"
    )
    group.add_argument(
        "--no-rebuild", action="store_const", const=False, help="keep noise out, rewrite nothing"
    )
    group.add_argument(
        "--margin",
        type=float,
        metavar="M",
        help=f"by how much a rewritten sub-text must be better; default: {usual.margin}",
    )
    group.add_argument(
        "--accept",
        metavar="NAME",
        help=f"when it is taken: {', '.join(ACCEPTANCE_NAMES)}; default: {usual.acceptance}",
    )
    group.add_argument("--every-key", action="store_const", const=True, help="rewrite counts and places, too")


def _scio_options(arguments: argparse.Namespace) -> ScioOptions | None:
    given = {
        "share": arguments.share,
        "rebuild": arguments.no_rebuild,
        "margin": arguments.margin,
        "acceptance": arguments.accept,
        "every_key": arguments.every_key,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if arguments.scio is None and given:
        raise FusarError(
            "--share, --no-rebuild, --margin, --accept and --every-key belong to --scio: give it, too."
        )
    return None if arguments.scio is None else ScioOptions(rule=arguments.scio, **given)


def run(arguments: argparse.Namespace) -> None:
    """Trains; FusarError with one line when it cannot."""
    if not (arguments.data and arguments.out):
        raise FusarError(
            "Say what to train on with --data CORPUS, and where the checkpoint goes with --out DIR."
        )
    if missing := [name for name in _PACKAGES if importlib.util.find_spec(name) is None]:
        raise FusarError(f"Training needs {', '.join(missing)}: pip install 'fusar-gpt[train]'.")
    from fusar_train.klip.scio.command import train_klip_scio
    from fusar_train.klip.settings import BUILT_IN, RECIPES, KlipError, KlipRun, KlipSettings
    from fusar_train.klip.train import train_klip
    from fusar_train.validation import read_yaml

    name = arguments.settings
    asked = KlipRun(
        data=tuple(arguments.data),
        texts=arguments.texts,
        base=arguments.base,
        out=arguments.out,
        work=arguments.work or arguments.out.with_name(f"{arguments.out.name}.run"),
        settings=read_yaml(
            RECIPES / f"{name}.yaml" if name in BUILT_IN else Path(name), KlipSettings, arguments.set
        ),
        resume=arguments.resume,
        device=arguments.device,
        scio=_scio_options(arguments),
    )
    try:
        train_klip_scio(asked) if asked.scio else train_klip(asked)
    except FusarError as error:
        first, *more = str(error).strip().splitlines()
        # A process that reads ahead hands its error over with its whole traceback; the last line is the message.
        raise KlipError(more[-1].partition("Error: ")[2] if more else first) from error
    print(asked.out)

"""The command line of ``fusar serve`` and the server's own settings. Light to import: no model, no web framework."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from fusar_gpt import engine_options, prior_options
from fusar_gpt.contract import DEFAULT_ENCODER
from fusar_gpt.folders import user_folder

TOKEN_FILE = Path("~/.cache/fusar/server.json")
DAY_S = 86400.0
GIB = 2**30


@dataclass(frozen=True)
class Options:
    """The server's own settings.

    Attributes:
        jobs: How many jobs run at a time.
        keep_results_s: Seconds after its end that a job is deleted.
        keep_scenes_s: Seconds after its last use that an uploaded scene is deleted.
        max_upload: Bytes of the largest scene that may be uploaded.
        hold_jobs: Whether the jobs that an earlier server left unfinished wait until a client resumes them.
        origins: Web origins whose pages may call, such as ``https://map.example``.
    """

    jobs: int = 2
    keep_results_s: float = 7 * DAY_S
    keep_scenes_s: float = 7 * DAY_S
    max_upload: int = 4 * GIB
    hold_jobs: bool = False
    origins: Sequence[str] = ()

    @classmethod
    def of(cls, args: argparse.Namespace) -> Options:
        """The options that were parsed."""
        return cls(**{field.name: getattr(args, field.name) for field in fields(cls)})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``fusar serve``."""
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen on; default: %(default)s")
    add("--port", type=int, default=0, help="default: any free port")
    add(
        "--root",
        action="append",
        type=Path,
        metavar="DIR",
        help="a folder that clients may name scenes in, repeatable; default: the home folder",
    )
    engine_options.add_arguments(parser)
    prior_options.add_arguments(parser)
    add(
        "--encoder",
        default=DEFAULT_ENCODER,
        metavar="NAME|DIR|HUB_ID|open_clip:DIR",
        help="what searches compare words and images with by default; default: %(default)s",
    )
    add(
        "--state",
        type=Path,
        metavar="DIR",
        help="where jobs and uploaded scenes are kept; default: FUSAR_STATE, else the user's state folder",
    )
    days = number("days", 3650, DAY_S)
    for flag, field, parse, form, text in (
        ("--jobs", "jobs", number("a whole number", 64, kind=int), "N", "jobs at a time; default: 2"),
        ("--keep-results", "keep_results_s", days, "DAYS", "delete a job so long after its end; default: 7"),
        (
            "--keep-scenes",
            "keep_scenes_s",
            days,
            "DAYS",
            "delete an upload so long after its use; default: 7",
        ),
        (
            "--max-upload",
            "max_upload",
            number("GiB", 1024, GIB),
            "GIB",
            "size of the largest upload; default: 4",
        ),
    ):
        add(flag, dest=field, type=parse, default=getattr(Options, field), metavar=form, help=text)
    add(
        "--allow-origin",
        dest="origins",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web origin whose pages may call, repeatable; default: none",
    )
    add(
        "--hold-jobs",
        action="store_true",
        help="pause the jobs that an earlier server left unfinished, until a client resumes them",
    )
    add("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM): serve https")
    add("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    add("--token", help="default: the variable FUSAR_TOKEN, else a random one")
    add(
        "--tokens",
        type=Path,
        metavar="FILE",
        help="a line NAME TOKEN for each analyst, beside the token that all share",
    )
    add("--token-file", type=Path, default=TOKEN_FILE, help="default: %(default)s")
    add("--child", action="store_true", help="print one JSON line, stop when stdin closes")


def state_folder(given: Path | None) -> Path:
    """Where a server keeps its state: the given folder, else ``FUSAR_STATE``, else the user's state folder."""
    if given is not None:
        return given.expanduser()
    if named := os.environ.get("FUSAR_STATE", "").strip():
        return Path(named).expanduser()
    mixed = sys.platform in ("win32", "darwin")  # state and data share a folder there
    return user_folder("state") / ("fusar/state" if mixed else "fusar")


def number(
    what: str, most: int, unit: float = 1, kind: Callable[[str], float] = float
) -> Callable[[str], float]:
    """Parses a number above zero and up to ``most``, such as "days", and multiplies it by its unit."""

    def parse(text: str) -> float:
        try:
            parsed = kind(text)
        except ValueError:
            parsed = 0
        if not 0 < parsed <= most:
            raise argparse.ArgumentTypeError(f"expected {what} above 0 and up to {most}, found {text!r}")
        return type(unit)(parsed * unit)  # bytes stay whole

    return parse

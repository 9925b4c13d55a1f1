"""The command line of ``fusar serve`` and the server's own settings. Light to import: no model, no web framework."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from fusar_gpt import engine_options, prior_options
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
        origins: Web origins whose pages may call, such as ``https://map.example``.
    """

    jobs: int = 2
    keep_results_s: float = 7 * DAY_S
    keep_scenes_s: float = 7 * DAY_S
    max_upload: int = 4 * GIB
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
        "--state",
        type=Path,
        metavar="DIR",
        help="where jobs and uploaded scenes are kept; default: FUSAR_STATE, else the user's state folder",
    )
    add("--jobs", type=count, default=Options.jobs, metavar="N", help="jobs at a time; default: 2")
    add(
        "--keep-results",
        dest="keep_results_s",
        type=days,
        default=Options.keep_results_s,
        metavar="DAYS",
        help="delete a job so long after its end; default: 7",
    )
    add(
        "--keep-scenes",
        dest="keep_scenes_s",
        type=days,
        default=Options.keep_scenes_s,
        metavar="DAYS",
        help="delete an uploaded scene so long after its last use; default: 7",
    )
    add(
        "--max-upload",
        type=gigabytes,
        default=Options.max_upload,
        metavar="GIB",
        help="size of the largest uploaded scene; default: 4",
    )
    add(
        "--allow-origin",
        dest="origins",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web origin whose pages may call, repeatable; default: none",
    )
    add("--tls-cert", type=Path, metavar="FILE", help="certificate (PEM): serve https")
    add("--tls-key", type=Path, metavar="FILE", help="its private key (PEM)")
    add("--token", help="default: the variable FUSAR_TOKEN, else a random one")
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


def count(text: str) -> int:
    """A whole number from 1 to 64."""
    if not 1 <= (number := int(text)) <= 64:
        raise ValueError(text)
    return number


def days(text: str) -> float:
    """Days above zero and up to ten years, as seconds."""
    if not 0 < (number := float(text)) <= 3650:
        raise ValueError(text)
    return number * DAY_S


def gigabytes(text: str) -> int:
    """GiB above zero and up to 1024, as bytes."""
    if not 0 < (number := float(text)) <= 1024:
        raise ValueError(text)
    return int(number * GIB)

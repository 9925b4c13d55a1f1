"""What the one who starts a server may choose about it, besides the model. Light to import."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from fusar_gpt.folders import user_folder

DAY_S = 86400.0


@dataclass(frozen=True)
class Options:
    """The server's own settings.

    Attributes:
        jobs: How many jobs run at a time.
        keep_results_s: Seconds after its end that a job is forgotten.
        keep_scenes_s: Seconds after its last use that an uploaded scene is forgotten.
        max_upload: Bytes of the largest scene that may be uploaded.
        origins: Web origins whose pages may call, such as ``https://map.example``.
    """

    jobs: int = 2
    keep_results_s: float = 7 * DAY_S
    keep_scenes_s: float = 7 * DAY_S
    max_upload: int = 4 * 2**30
    origins: tuple[str, ...] = ()

    @classmethod
    def of(cls, args: argparse.Namespace) -> Options:
        """The options that were parsed."""
        return cls(args.jobs, args.keep_results, args.keep_scenes, args.max_upload, tuple(args.allow_origin))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Let ``fusar serve`` take the options."""
    parser.add_argument(
        "--state",
        type=Path,
        metavar="DIR",
        help="where jobs and uploaded scenes are kept; default: FUSAR_STATE, else the user's state folder",
    )
    parser.add_argument("--jobs", type=count, default=2, metavar="N", help="jobs at a time; default: 2")
    parser.add_argument(
        "--keep-results", type=days, default=7 * DAY_S, metavar="DAYS", help="then forget them; default: 7"
    )
    parser.add_argument(
        "--keep-scenes", type=days, default=7 * DAY_S, metavar="DAYS", help="unused uploads; default: 7"
    )
    parser.add_argument(
        "--max-upload", type=gigabytes, default=4 * 2**30, metavar="GIB", help="a scene at most; default: 4"
    )
    parser.add_argument(
        "--allow-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="a web origin whose pages may call, repeatable; default: none",
    )


def state_folder(given: Path | None) -> Path:
    """Where a server keeps its state: what was given, else ``FUSAR_STATE``, else the user's state folder."""
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
    """Seconds of so many days, above zero and up to ten years."""
    if not 0 < (number := float(text)) <= 3650:
        raise ValueError(text)
    return number * DAY_S


def gigabytes(text: str) -> int:
    """Bytes of so many GiB, above zero and up to 1024."""
    if not 0 < (number := float(text)) <= 1024:
        raise ValueError(text)
    return int(number * 2**30)

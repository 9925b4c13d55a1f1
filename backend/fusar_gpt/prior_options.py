"""Where priors come from and how they are fetched: the options that every command with a prior shares.

Each option may stand in the environment instead: ``--prior-root`` is the variable ``FUSAR_PRIOR_ROOT``. Light
to import.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Container
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fusar_gpt.errors import PriorError

PREFIX = "prior-"
MIRROR = "https://data.source.coop/tge-labs/aef/v1/annual"
"""A public copy of the COGs that needs no account (Source Cooperative)."""
BUCKET = "gs://alphaearth_foundations"
"""Google's own, which a project may have to pay for."""

RESAMPLINGS = NEAREST, BILINEAR = "nearest", "bilinear"
LARGEST_GRID = 512
"""Nodes a side that a user may ask for."""

_UNITS = {"": 1, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_WORDS = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


def size(text: str) -> int:
    """Bytes, as ``500MB`` or ``20GB``."""
    match = re.fullmatch(r"([0-9]+)\s*(|MB|GB|TB)", text.strip().upper())
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNITS[match[2]]


def seconds(text: str) -> float:
    """A waiting time above zero and up to an hour."""
    if not 0 < (number := float(text)) <= 3600:
        raise ValueError(text)
    return number


def nodes(text: str) -> tuple[int, int]:
    """N_lon and N_lat, 2 to 512 each, as ``16,16``."""
    across, up = (int(part) for part in text.split(","))
    if not (2 <= across <= LARGEST_GRID and 2 <= up <= LARGEST_GRID):
        raise ValueError(text)
    return across, up


def resampling(text: str) -> str:
    """How a node's vector is taken from the pixels."""
    if text not in RESAMPLINGS:
        raise ValueError(text)
    return text


def folder(text: str) -> Path:
    """A path, ``~`` allowed."""
    return Path(text).expanduser()


def switch(text: str) -> bool:
    """Yes or no, as the environment says it."""
    if (found := _WORDS.get(text.strip().lower())) is None:
        raise ValueError(text)
    return found


@dataclass(frozen=True)
class PriorSettings:
    """How priors are fetched, as the help of ``OPTIONS`` says. The value None leaves the choice to the source."""

    root: str | None = None
    ee_project: str | None = None
    ee_credentials: Path | None = None
    ee_url: str | None = None
    high_volume: bool = False
    requester_pays: str | None = None
    deadline_s: float = 30.0
    cache_folder: Path | None = None
    cache_bytes: int | None = None
    nodes: tuple[int, int] | None = None
    resampling: str = NEAREST
    allow_none: bool = False
    offline: bool = False

    @property
    def cogs(self) -> str:
        """Where the COGs are: the root, else the bucket for who pays, else the mirror."""
        return self.root or (BUCKET if self.requester_pays else MIRROR)

    @classmethod
    def of(cls, args: argparse.Namespace | None = None) -> PriorSettings:
        """What the command line says, else the environment, else the defaults.

        Raises:
            PriorError: A variable of the environment has an invalid value.
        """
        chosen: dict[str, Any] = {}
        for option in OPTIONS:
            value = getattr(args, option.dest, None)
            value = option.from_environment() if value is None else value
            if value is not None:
                chosen[option.setting] = value
        return cls(**chosen)


@dataclass(frozen=True)
class Option:
    """How a user gives one of the settings.

    Attributes:
        setting: Its name in ``PriorSettings``.
        flag: The option of ``fusar interpret``, without dashes in front.
        form: What its value looks like; empty for a switch.
        parse: From text to value; ValueError for an invalid one.
        help: One line.
    """

    setting: str
    flag: str
    form: str
    parse: Callable[[str], Any]
    help: str

    @property
    def dest(self) -> str:
        """The attribute of the parsed arguments."""
        return self.flag.replace("-", "_")

    def from_environment(self) -> Any:
        """The value of the option's variable, None where it is not set. PriorError when it is invalid."""
        variable = f"FUSAR_{self.dest.upper()}"
        text = os.environ.get(variable, "").strip()
        if not text:
            return None
        try:
            return self.parse(text)
        except ValueError as error:
            raise PriorError(
                f"The variable {variable} is {text!r}: set it to {self.form or 'yes or no'}, or unset it."
            ) from error


OPTIONS = (
    Option("root", "prior-root", "FOLDER|URL", str, f"where the COGs are; default: {MIRROR}"),
    Option("ee_project", "prior-ee-project", "ID", str, "Google Cloud project registered for Earth Engine"),
    Option(
        "ee_credentials", "prior-ee-credentials", "FILE", folder, "key of a service account, or a saved login"
    ),
    Option("ee_url", "prior-ee-url", "URL", str, "base address of the Earth Engine API, if it is another"),
    Option("high_volume", "prior-ee-high-volume", "", switch, "use Earth Engine's high-volume endpoint"),
    Option(
        "requester_pays", "prior-requester-pays", "ID", str, "project that pays for reading Google's bucket"
    ),
    Option("deadline_s", "prior-deadline", "S", seconds, "seconds until a tile is given up; default: 30"),
    Option(
        "cache_folder", "prior-cache", "FOLDER", folder, "where fetched tiles are kept; default: your cache"
    ),
    Option(
        "cache_bytes", "prior-cache-limit", "SIZE", size, "how much is kept, such as 500MB; default: 4 GB"
    ),
    Option(
        "nodes", "prior-nodes", "NLON,NLAT", nodes, "grid over a chip; default: every 10 m, at most 16 a side"
    ),
    Option(
        "resampling",
        "prior-resampling",
        "nearest|bilinear",
        resampling,
        "for nodes between pixels; default: nearest",
    ),
    Option(
        "offline", "prior-offline", "", switch, "use only what is at hand: cache and files, never a network"
    ),
    Option(
        "allow_none", "allow-no-prior", "", switch, "go on without a prior where none can be had, and say so"
    ),
)


def add_arguments(
    parser: argparse.ArgumentParser, *, only: Container[str] | None = None, prefix: str = PREFIX
) -> None:
    """Let a command take the settings, or ``only`` some of them; below ``fusar prior`` without the prefix."""
    group = parser.add_argument_group("priors")
    for option in OPTIONS:
        if only is not None and option.setting not in only:
            continue
        flag = "--" + re.sub(f"^{PREFIX}", prefix, option.flag)
        if option.form:
            group.add_argument(
                flag, dest=option.dest, type=option.parse, metavar=option.form, help=option.help
            )
        else:
            group.add_argument(flag, dest=option.dest, action="store_const", const=True, help=option.help)

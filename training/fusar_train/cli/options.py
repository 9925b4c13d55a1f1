"""What several commands share: a folder to write to, and numbers with limits."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_out(parser: argparse.ArgumentParser, text: str | None = None, metavar: str = "DIR") -> None:
    """Adds the required ``--out``."""
    parser.add_argument("--out", type=Path, required=True, metavar=metavar, help=text)


def whole(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)

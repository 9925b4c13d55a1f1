"""What several commands share: a folder to write to, and numbers with limits."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_out(parser: argparse.ArgumentParser, text: str | None = None, metavar: str = "DIR") -> None:
    """Adds the required ``--out``."""
    parser.add_argument("--out", type=Path, required=True, metavar=metavar, help=text)


def add_described(parser: argparse.ArgumentParser) -> None:
    """Adds ``--data`` and ``--texts``: records, and whose sub-texts of them."""
    parser.add_argument(
        "--data",
        type=Path,
        action="append",
        metavar="CORPUS",
        help="records with sub-texts; may be repeated",
    )
    parser.add_argument(
        "--texts", metavar="NAME", help="whose sub-texts, where several have described the records"
    )


def whole(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must be a whole number from 1 on")
    return int(text)

"""Where each platform wants a program to keep what belongs to its user."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal

_XDG = {"cache": "~/.cache", "data": "~/.local/share", "state": "~/.local/state"}


def user_folder(kind: Literal["cache", "data", "state"]) -> Path:
    """The folder for what can be fetched again, for data, or for a program's state, without the program's name."""
    if sys.platform == "win32":
        place = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        place = "~/Library/Caches" if kind == "cache" else "~/Library/Application Support"
    else:
        place = os.environ.get(f"XDG_{kind.upper()}_HOME") or _XDG[kind]
    return Path(place).expanduser()

"""The folder of all indexes: what is in it, what may go, and how fast this machine fills it.

An index is a folder in it, named by its key, with ``index.json``, ``vectors.npy`` and ``data.npy``; see
:mod:`fusar_gpt.retrieval.index`. What begins with ``.fusar-`` is being made or removed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from fusar_gpt.errors import OutputError
from fusar_gpt.folders import user_folder
from fusar_gpt.prior_options import size
from fusar_gpt.retrieval.footprints import NOT_READ
from fusar_gpt.retrieval.footprints import write_footprints as write_footprints
from fusar_gpt.retrieval.locking import moved_away

ABOUT, VECTORS, DATA = "index.json", "vectors.npy", "data.npy"
TEMPORARY = ".fusar-"
"""How the names of what is being made or removed begin."""

DEFAULT_LIMIT = 2 * 2**30
"""Bytes that indexes may take unless $FUSAR_SEARCH_LIMIT says otherwise."""
USUAL_SECONDS = 0.005
"""A slice, by the bundled encoder on one core."""

_RATES = "seconds.json"
_KEY = re.compile(r"[0-9a-f]{16}")
_STALE_S = 3600.0  # what is half made or half removed for so long belongs to a process that died


@dataclass(frozen=True)
class IndexEntry:
    """An index that is kept.

    Attributes:
        key: Its name for :func:`remove`, 16 hexadecimal digits.
        scene: Name of the scene's file.
        encoder: Name of the encoder.
        band: Of the scene.
        side_m: Ground side of a slice in metres.
        slices: How many slices the scene has.
        done: How many of them were looked at.
        bytes: What it takes on the disk.
        used: When it was last opened, in UTC.
        folder: Where it lies.
    """

    key: str
    scene: str
    encoder: str
    band: str
    side_m: float
    slices: int
    done: int
    bytes: int
    used: datetime
    folder: Path


def default_folder() -> Path:
    """Where indexes are kept: in $FUSAR_CACHE, else in the platform's place for what can be made again."""
    if home := os.environ.get("FUSAR_CACHE"):
        return Path(home).expanduser() / "search"
    return user_folder("cache") / "fusar-gpt" / "search"


def entries(folder: Path | None = None) -> list[IndexEntry]:
    """The indexes that are kept, the last used first; None is the user's own folder. What is damaged is left out."""
    found = []
    for place in _places(folder or default_folder()):
        with suppress(OSError, ValueError, KeyError, TypeError):  # damaged, or just removed
            found.append(_entry(place))
    return sorted(found, key=lambda entry: entry.used, reverse=True)


def remove(key: str, folder: Path | None = None) -> int:
    """Removes an index; returns the bytes that are free now.

    Raises:
        OutputError: There is no such index, it is in use, or it cannot be removed.
    """
    place = (folder or default_folder()) / key
    if not _KEY.fullmatch(key) or not place.is_dir():
        raise OutputError(f"There is no index {key!r}: see their keys with fusar search list.")
    with _explained(place):
        freed = discard(place)
    if freed is None:
        raise OutputError(f"The index {key} is in use: end the search that uses it, then remove it.")
    return freed


def remove_all(folder: Path | None = None) -> int:
    """Removes all indexes that are not in use, and nothing else; returns the bytes that are free now.

    Raises:
        OutputError: One cannot be removed.
    """
    freed = 0
    for place in _places(folder or default_folder()):
        with _explained(place):
            freed += discard(place) or 0
    return freed


def discard(place: Path) -> int | None:
    """Removes the index at a place, damaged or not; returns the bytes that are free now, None where it is in use.

    Raises:
        OSError: It cannot be removed.
    """
    freed = _bytes(place)
    trash = place.with_name(f"{TEMPORARY}{place.name}-{time.time_ns()}")
    try:
        if not (place / ABOUT).is_file():
            place.rename(trash)
        elif not moved_away(place / ABOUT, trash):
            return None
    except FileNotFoundError:  # another process did it
        return 0
    shutil.rmtree(trash, ignore_errors=True)
    return freed


@contextmanager
def _explained(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(
            f"The index in {place} cannot be removed ({reason}): check its permissions."
        ) from error


def keep_limit(folder: Path) -> None:
    """Removes the indexes that were used longest ago, none that is in use, until the rest is within the limit.

    Raises:
        OutputError: $FUSAR_SEARCH_LIMIT is no size.
    """
    limit = limit_bytes()
    for left in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _STALE_S:
                shutil.rmtree(left, ignore_errors=True)
    kept = []
    for place in _places(folder):
        with suppress(OSError):
            kept.append((_used(place), _bytes(place), place))
    total = sum(taken for _, taken, _ in kept)
    for _, taken, place in sorted(kept):
        if total <= limit:
            return
        with suppress(OSError):
            total -= taken if discard(place) is not None else 0


def limit_bytes() -> int:
    """Bytes that indexes may take: $FUSAR_SEARCH_LIMIT, such as 500MB. OutputError: it is no size."""
    text = os.environ.get("FUSAR_SEARCH_LIMIT", "").strip()
    try:
        return size(text) if text else DEFAULT_LIMIT
    except ValueError as error:
        raise OutputError(
            f"The variable FUSAR_SEARCH_LIMIT is {text!r}: set it to a size such as 500MB, or unset it."
        ) from error


def seconds_a_slice(folder: Path | None = None, encoder_hash: str | None = None) -> float:
    """How long this machine last took to index a slice, with that encoder or any; 0.005 where that is not known."""
    rates = _rates(folder or default_folder())
    return rates.get(encoder_hash or next(reversed(rates), ""), USUAL_SECONDS)


def remember_seconds(seconds: float, folder: Path, encoder_hash: str) -> None:
    """Keeps what :func:`seconds_a_slice` tells; where the folder cannot be written, nothing."""
    rates = _rates(folder)
    rates.pop(encoder_hash, None)
    with suppress(OSError), tempfile.TemporaryDirectory(prefix=TEMPORARY, dir=folder) as beside:
        written = Path(beside, _RATES)
        written.write_text(json.dumps(rates | {encoder_hash: seconds}), encoding="utf-8")
        written.replace(folder / _RATES)


def _rates(folder: Path) -> dict[str, float]:
    """Seconds a slice by the encoder's hash, the last measured last."""
    try:
        read = json.loads((folder / _RATES).read_text(encoding="utf-8"))
        return {str(name): float(seconds) for name, seconds in read.items() if 0 < seconds < float("inf")}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _places(folder: Path) -> Iterator[Path]:
    """The folders of indexes."""
    with suppress(OSError):
        for place in sorted(folder.iterdir()):
            if _KEY.fullmatch(place.name) and place.is_dir():
                yield place


def _entry(place: Path) -> IndexEntry:
    about: dict[str, Any] = json.loads((place / ABOUT).read_text(encoding="utf-8"))
    data = np.load(place / DATA, mmap_mode="r")
    return IndexEntry(
        key=place.name,
        scene=about["scene"],
        encoder=about["encoder"],
        band=about["band"],
        side_m=about["side_m"],
        slices=about["slices"],
        done=int((data != NOT_READ).sum()),
        bytes=_bytes(place),
        used=datetime.fromtimestamp(_used(place), timezone.utc),
        folder=place,
    )


def _used(place: Path) -> float:
    """When it was last opened: whoever opens it touches the file."""
    about = place / ABOUT
    return about.stat().st_mtime if about.is_file() else 0.0


def _bytes(place: Path) -> int:
    return sum(file.stat().st_size for file in place.glob("*") if file.is_file())

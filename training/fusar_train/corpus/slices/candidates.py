"""What may be a scene: a file or product that somebody named, or that a search of a folder found."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from pathlib import Path, PurePath

from fusar_gpt.contract.dates import first_day

Tell = Callable[[str], None]
"""Takes a whole sentence about what was left out or chosen."""

PLAIN_SUFFIXES = (".tif", ".tiff", ".safe")
"""Endings that a scene's name does without."""

_LONGEST = 100


@dataclass(frozen=True, kw_only=True)
class Stated:
    """What a list or catalogue says of a scene; None where it does not."""

    sensor: str | None = None
    acquired: str | None = None
    polarisation: str | None = None
    licence: str | None = None
    attribution: str | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A raster or product that may be a scene.

    Attributes:
        path: The file, or the folder of a product.
        where: What an error begins with: the list and line, or the path.
        name: What the scene is called if no other has the name; see ``name_of``.
        band: As for ``open_scene``.
        trusted: Named by the user, or found in a folder of theirs; if not, somebody's list names it, and a raster
            policy decides.
        searched: Found by a search, so that what turns out to be no scene is left out, and no error.
        stated: What is said of it.
    """

    path: Path
    where: str
    name: str
    band: str | None = None
    trusted: bool = True
    searched: bool = False
    stated: Stated = field(default_factory=Stated)


def name_of(path: PurePath | str) -> str:
    """A scene's name from its relative path, or the id that a catalogue gives: folders are joined by full stops.

    It depends on nothing else, so that other scenes may come and go. A name whose characters had to be changed, or that
    was cut, ends in a short hash.
    """
    path = PurePath(path)
    parts = [
        unicodedata.normalize("NFC", part) for part in path.parts if part not in (path.anchor, ".", "..")
    ]
    if parts and PurePath(parts[-1]).suffix.lower() in PLAIN_SUFFIXES:
        parts[-1] = parts[-1][: parts[-1].rindex(".")]
    whole = ".".join(parts)
    name = re.sub(r"[^\w.-]+", "_", whole).strip(".")[:_LONGEST] or "scene"
    return name if name == whole else f"{name}-{_hash(whole)}"


class Names:
    """Gives each scene a name of its own: the plain one, where it is taken one with the folder before it."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, candidate: Candidate) -> str:
        """A name that no scene had before, also where letters large and small are one (file names)."""
        name = next(one for one in self._proposed(candidate) if one.casefold() not in self._taken)
        self._taken.add(name.casefold())
        return name

    def _proposed(self, candidate: Candidate) -> Iterable[str]:
        name, path = candidate.name, candidate.path.absolute()
        yield name
        if candidate.band is not None:
            yield f"{name}.{name_of(candidate.band)}"
        yield f"{name_of(path.parent.name)[: _LONGEST // 2]}.{name}"
        for number in count():
            yield f"{name[:_LONGEST]}-{_hash(f'{path} {candidate.band} {number}')}"


def day_in(text: object) -> str | None:
    """The day in a time stamp or table cell, ISO 8601; None for none."""
    day = first_day(str(text)) if text else None
    return day.isoformat() if day else None


def _hash(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:6]

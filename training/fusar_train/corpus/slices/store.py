"""A corpus on disk: blocks that are there whole or not at all, and ``corpus.json``, which says how it is built."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import fusar_gpt
from fusar_gpt.errors import OutputError
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.output import whole_file
from fusar_gpt.priors import PriorField
from fusar_train.corpus.errors import CorpusError, naming
from fusar_train.corpus.files import json_file
from fusar_train.corpus.prior_file import Vectors
from fusar_train.corpus.record import Record
from fusar_train.corpus.shards import write_shard
from fusar_train.corpus.sidecars import SPLITS_FILE
from fusar_train.corpus.slices.index import keeps_any, write_rows
from fusar_train.corpus.slices.slice import SliceRow

CORPUS_FILE = "corpus.json"
PARTS_FOLDER = "parts"
"""Holds the rows of each block; the index is made of them."""

_FORMAT = 1
_LOCK = ".building"
_TEMPORARY = ".fusar-*"  # what a killed process leaves of a file, by ``whole_file``


@dataclass(frozen=True, kw_only=True)
class SliceRecord(Record):
    """A record whose image, uint8 [h, w], and prior are in memory until its shard is written."""

    grey: NDArray[np.uint8]
    field: PriorField

    def pixels(self) -> NDArray[np.uint8]:
        """The image."""
        return self.grey

    def vectors(self, plan: ResizePlan | None = None) -> Vectors:
        """The prior's vectors and positions."""
        return self.field.values, self.field.positions

    def prior_year(self) -> int | None:
        """The year that they describe."""
        return self.field.year


@dataclass(frozen=True, kw_only=True)
class SceneState:
    """What a corpus knows of a scene that it has slices of.

    Attributes:
        path: Where it was.
        fingerprint: Of its content: slices of another one under the same name would be mixed with its own.
        stretch: Limits in decibels, the same for all of its slices.
        bounds: The part of it that is cut: column, row, width and height in pixels.
        blocks: How many it has.
        group: The name of its group, the ``scene`` of its records.
        footprint: Its outline as WKT, WGS 84 (lon, lat).
        facts: Sensor, day, licence and the like.
    """

    path: str
    fingerprint: str
    stretch: tuple[float, float]
    bounds: tuple[int, int, int, int]
    blocks: int
    group: str
    footprint: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusFolder:
    """A corpus's folder; made by :func:`open_corpus`.

    Attributes:
        path: Where it is.
        scenes: What is known of its scenes, by name.
        splits: The split of each group.
        built: How it is built: options by name.
    """

    path: Path
    scenes: Mapping[str, SceneState]
    splits: Mapping[str, str]
    built: Mapping[str, Any]

    def keep(self, faults: Sequence[str] = (), **changed: Any) -> CorpusFolder:
        """The folder with other scenes or splits, written down. OutputError: it cannot be."""
        folder = replace(self, **changed)
        said = {
            "format": _FORMAT,
            "version": fusar_gpt.__version__,
            "built": dict(folder.built),
            "scenes": {name: asdict(state) for name, state in folder.scenes.items()},
            "faults": list(faults),
        }
        _write_json(self.path / CORPUS_FILE, said)
        _write_json(self.path / SPLITS_FILE, dict(folder.splits))
        return folder

    def done(self) -> set[str]:
        """The names of the blocks that are there whole."""
        shards = {path.stem for path in self.path.glob("*.tar")}
        return {part.stem for part in self.parts() if part.stem in shards or not keeps_any(part)}

    def parts(self) -> list[Path]:
        """The files of the rows of blocks."""
        return sorted((self.path / PARTS_FOLDER).glob("*.parquet"))


def write_block(folder: Path, name: str, rows: Iterable[SliceRow], records: Sequence[SliceRecord]) -> None:
    """Stores a block: its shard, if a slice was kept, then its rows, which make it done.

    Raises:
        OutputError: They cannot be written.
    """
    if records:
        write_shard(records, folder / f"{name}.tar")
    write_rows(rows, folder / PARTS_FOLDER / f"{name}.parquet")


@contextmanager
def open_corpus(path: Path, built: Mapping[str, Any]) -> Iterator[CorpusFolder]:
    """A new corpus, or one that is gone on with; nobody else may while this one does.

    Args:
        path: Its folder.
        built: All options that change what is built, by name, as JSON has them.

    Raises:
        CorpusError: The folder holds something else, or a corpus that was built in another way.
        OutputError: It cannot be written, or another process is building there.
    """
    file = path / CORPUS_FILE
    try:
        if path.is_dir() and not file.is_file() and any(not _is_ours(one) for one in path.iterdir()):
            raise CorpusError(
                f"{path} holds other things and no {CORPUS_FILE}: give the name of a new folder."
            )
        (path / PARTS_FOLDER).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"Cannot make {path}: {error.strerror or error}. Give another --out.") from error
    with _locked(path):
        _clear(path)
        folder = _stored(path, built) if file.is_file() else CorpusFolder(path, {}, {}, built)
        try:
            yield folder
        finally:
            _clear(path)
            if not file.is_file():
                _leave_nothing(path)


def _leave_nothing(path: Path) -> None:
    """Removes what a build that has cut nothing has made; blocks that are there stay."""
    with suppress(OSError):
        (path / PARTS_FOLDER).rmdir()
        (path / _LOCK).unlink()
        path.rmdir()


def _is_ours(left: Path) -> bool:
    """Whether it is what a build leaves that ended before it had written ``CORPUS_FILE``."""
    return left.name in (_LOCK, PARTS_FOLDER) or left.match(_TEMPORARY)


def _stored(path: Path, built: Mapping[str, Any]) -> CorpusFolder:
    file = path / CORPUS_FILE
    stored = json_file(file)
    with naming(str(file)):
        if stored["format"] != _FORMAT:
            raise CorpusError(
                f"{path} was built by another version of this program: build into a new folder."
            )
        if not stored["scenes"]:
            return CorpusFolder(path, {}, {}, built)
        before = dict(stored["built"])
        now = json.loads(json.dumps(built))
        changed = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
        if changed:
            told = "; ".join(f"{name}: {before.get(name)}, now {now.get(name)}" for name in changed)
            raise CorpusError(
                f"{path} was built with other options ({told}): give the same, or another --out."
            )
        scenes = {
            name: SceneState(
                **{**state, "stretch": tuple(state["stretch"]), "bounds": tuple(state["bounds"])}
            )
            for name, state in stored["scenes"].items()
        }
    splits = path / SPLITS_FILE
    return CorpusFolder(path, scenes, json_file(splits) if splits.is_file() else {}, before)


def _write_json(path: Path, content: Any) -> None:
    with whole_file(path) as temporary:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
        temporary.write_text(text + "\n", encoding="utf-8")


def _clear(path: Path) -> None:
    """Removes what was half written."""
    for folder in (path, path / PARTS_FOLDER):
        for left in folder.glob(_TEMPORARY):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the folder; the system lets go of it when this process ends, however it does."""
    with (path / _LOCK).open("w") as stream:
        if os.name == "posix":
            import fcntl

            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise OutputError(f"Another process is building in {path}: wait until it is done.") from None
        yield

"""Tables and lists beside a data set that say more of its images: groups of near-copies, splits, what to leave out.

A table is a CSV with a column that names images and columns for their group and split; a list is a text file with one
image a line. An image is named by its path from some folder on, with or without its suffix: ``A220/001.jpg``, ``001``.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Generic, TypeVar

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import csv_rows, text_lines
from fusar_train.corpus.images import SUFFIXES
from fusar_train.corpus.record import Record

T = TypeVar("T")

TABLES = ("groups.csv", "scenes.csv", "chips.csv")
"""Names of tables that are used without being asked for, the first that is there."""

EXCLUDED, HELD_OUT = "exclude_ids.txt", "heldout_ids.txt"
"""Names of lists that are used without being asked for."""

SPLIT_NAMES: Mapping[str, str] = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
"""What the splits are called in tables and folders, and here."""

_NAMES = ("id", "image", "image_id", "file", "filename", "file_name", "path", "chip", "name")
_GROUPS = ("group", "scene", "similar_group", "dup_group", "duplicate_group")
"""Columns of groups, alone or with a number behind, the surest to hold all near-copies together first."""

_NO_GROUP = ("", "-", "nan", "none", "null")


@dataclass(frozen=True)
class TableOptions:
    """What the user says of tables and lists.

    Attributes:
        groups: The table; None takes one of ``TABLES`` in the data set's folder.
        group_column: Its column of groups; None takes the first that is called as one.
        exclude, heldout: Lists besides those in the folder.
        by_name: The scene is told by the image's name, so that a table that nobody named does not group.
    """

    groups: Path | None = None
    group_column: str | None = None
    exclude: Sequence[Path] = ()
    heldout: Sequence[Path] = ()
    by_name: bool = False


@dataclass
class _ByImage(Generic[T]):
    """What a file says, by the words of an image's name; and which images have been found in it."""

    path: Path
    said: dict[tuple[str, ...], T] = field(default_factory=dict)
    found: dict[tuple[str, ...], Path] = field(default_factory=dict)

    def add(self, name: str, value: T, where: str) -> None:
        """CorpusError where the image is named twice, differently, or not at all."""
        words = _words(name)
        if not words:
            raise CorpusError(f"{where} names no image: correct or remove it.")
        if self.said.setdefault(words, value) != value:
            raise CorpusError(f"{where} says of {name!r} something else than a line before: correct one.")

    def of(self, record: Record, root: Path) -> T | None:
        """What it says of a record's image, by the longest name that fits; CorpusError where that fits another too."""
        image = record.image
        inner = image.relative_to(root) if image.is_relative_to(root) else Path(image.name)
        for words in (_words(inner.as_posix()), _words(record.id)[1:]):
            for first in range(len(words)):
                name = words[first:]
                if name in self.said:
                    if self.found.setdefault(name, image) != image:
                        raise CorpusError(
                            f"{self.path}: {'/'.join(name)} is the name of both {self.found[name]} and {image}: name "
                            "images with their folders there."
                        )
                    return self.said[name]
        return None

    def unused(self) -> list[str]:
        """The names that no image has."""
        return ["/".join(words) for words in self.said if words not in self.found]


class ImageTables:
    """What tables and lists say of the images of one data set.

    Attributes:
        scenes: The splits of the records of each scene met so far.
    """

    def __init__(self, source: Path, name: str, options: TableOptions, notes: Counter[str]) -> None:
        """Reads the tables and lists of the data set ``name`` in ``source``, its folder or file.

        Raises:
            CorpusError: One cannot be read, says two things of one image, or lacks a column that was asked for.
        """
        self._root = (source if source.is_dir() else source.parent).absolute()
        self._name, self._options, self._notes = name, options, notes
        self._column: str | None = None
        self._groups: list[_ByImage[str]] = []
        self._splits: list[_ByImage[str]] = []
        self._excluded = [_listed(path) for path in _lists(self._root, EXCLUDED, options.exclude)]
        self._splits += [_listed(path, "test") for path in _lists(self._root, HELD_OUT, options.heldout)]
        self.scenes: dict[str, set[str | None]] = defaultdict(set)
        self._alone: list[str] = []
        self._classes: dict[str, dict[str, str]] = defaultdict(dict)
        table = options.groups or next((at for at in map(self._root.joinpath, TABLES) if at.is_file()), None)
        if table is not None:
            self._read_table(table)

    def placed(self, record: Record) -> Record | None:
        """The record with the scene and split that are said of it; None where it is to be left out.

        Raises:
            CorpusError: A name fits two images.
        """
        for listed in self._excluded:
            if listed.of(record, self._root):
                self._notes[f"an image was left out, as {listed.path.name} says"] += 1
                return None
        for table in self._groups:
            group = table.of(record, self._root)
            if group is None:
                self._alone.append(record.id)
            else:
                record = replace(record, scene=f"{self._name}/{self._column}-{group}")
        said = next((split for table in self._splits if (split := table.of(record, self._root))), None)
        if said is not None:
            record = replace(record, split=said)
        self.scenes[record.scene].add(record.split)
        if len(record.objects) == 1 and not record.complete():
            (item,) = record.objects
            self._classes[record.scene].setdefault(item.fine or item.label, record.id)
        return record

    def finish(self) -> None:
        """Notes what the user must know once all records have been placed.

        Raises:
            CorpusError: A table or list that was asked for names none of the images.
        """
        asked = {self._options.groups, *self._options.exclude, *self._options.heldout}
        tables: list[_ByImage[str]] = [*self._excluded, *self._groups, *self._splits]
        for table in tables:
            unused = table.unused()
            if table.path in asked and table.said and not table.found:
                raise CorpusError(
                    f"{table.path} names none of the images, but such as {unused[0]!r}: check it."
                )
            if unused:
                self._notes[
                    f"{table.path.name}: {len(unused)} names are of no image here, such as {unused[0]}"
                ] = 1
        for table in self._groups:
            grouped = sum(scene.startswith(f"{self._name}/{self._column}-") for scene in self.scenes)
            self._notes[
                f"{table.path.name}: images of one {self._column} are one scene, {grouped} in all"
            ] = 1
            if self._alone:
                self._notes[
                    f"{table.path.name}: {len(self._alone)} images have no {self._column} there, such as "
                    f"{self._alone[0]}: each is taken for a scene of its own, which may leak"
                ] = 1
        self._note_conflicts()

    def _note_conflicts(self) -> None:
        mixed = [of for of in self._classes.values() if len(of) > 1]
        if mixed:
            (one, first), (two, second), *_ = mixed[0].items()
            self._notes[
                f"{len(mixed)} groups hold several classes, such as {first} ({one}) and {second} ({two}): where they "
                "are copies, a label is wrong"
            ] = 1
        torn = sorted(scene for scene, splits in self.scenes.items() if len(splits) > 1)
        if torn:
            self._notes[
                f"{len(torn)} scenes lie in several splits, or partly in none, such as {torn[0]}: "
                "fusar-train data split --again draws splits by scene"
            ] = 1

    def _read_table(self, path: Path) -> None:
        asked = path == self._options.groups
        columns, rows = csv_rows(path)
        names = next((column for column in _NAMES for own in columns if own.lower() == column), None)
        naming = next((own for own in columns if own.lower() == names), None)
        if naming is None:
            self._unusable(path, f"has no column that names images ({', '.join(_NAMES)})", columns, asked)
            return
        column = self._group_column(columns)
        splitting = next((own for own in columns if own.lower() in ("split", "subset")), None)
        if column is None and (asked or splitting is None):
            wanted = self._options.group_column or "group, scene, similar_group or dup_group"
            self._unusable(path, f"has no column of groups ({wanted})", columns, asked)
            return
        groups: _ByImage[str] = _ByImage(path)
        splits: _ByImage[str] = _ByImage(path)
        for where, row in rows:
            name = row.get(naming) or ""
            if column is not None and (group := (row.get(column) or "").strip()).lower() not in _NO_GROUP:
                groups.add(name, group, where)
            if splitting is not None and (split := (row.get(splitting) or "").strip()):
                splits.add(name, split_named(split, where), where)
        if column is not None and self._options.by_name and not asked:
            self._notes[
                f"{path.name} does not group the images, since --scene does: --groups {path.name} would"
            ] = 1
        elif column is not None:
            self._column = column
            self._groups.append(groups)
        self._splits.append(splits)

    def _group_column(self, columns: Sequence[str]) -> str | None:
        if (wanted := self._options.group_column) is not None:
            return next((own for own in columns if own == wanted), None)
        bare = {own: re.sub(r"_?[0-9]+$", "", own.lower()) for own in columns}
        fitting = [own for own in columns if bare[own] in _GROUPS]
        return min(fitting, key=lambda own: _GROUPS.index(bare[own]), default=None)

    def _unusable(self, path: Path, why: str, columns: Sequence[str], asked: bool) -> None:
        told = f"{path.name} {why}, but {', '.join(columns) or 'none at all'}"
        if asked or self._options.group_column is not None:
            raise CorpusError(f"{told}: name the column of groups with --group-column, or rename one.")
        self._notes[f"{told}: it was not used"] = 1


def split_named(name: str, where: str) -> str:
    """The split of that name; CorpusError where there is none."""
    if (split := SPLIT_NAMES.get(name.strip().lower())) is None:
        raise CorpusError(f"{where} names the split {name!r}, which is none of {', '.join(SPLIT_NAMES)}.")
    return split


def _lists(root: Path, name: str, given: Sequence[Path]) -> Iterator[Path]:
    own = root / name
    yield from given
    if own.is_file() and own not in given:
        yield own


def _listed(path: Path, value: str = "listed") -> _ByImage[str]:
    listed: _ByImage[str] = _ByImage(path)
    for where, line in text_lines(path):
        listed.add(line, value, where)
    return listed


def _words(name: str) -> tuple[str, ...]:
    """The words of an image's name, without its suffix."""
    path = PurePosixPath(name.strip().replace("\\", "/"))
    path = path.with_suffix("") if path.suffix.lower() in SUFFIXES else path
    return tuple(part for part in path.parts if part not in (".", "/"))

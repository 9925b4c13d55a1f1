"""Reading files that others made: JSON, JSON lines and XML, each with limits and errors that name the place."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePath, PurePosixPath
from typing import Any, NoReturn

from fusar_train.corpus.errors import CorpusError

LINE_BYTES = 16 * 2**20
"""The longest line of a JSONL file, and the largest XML file."""

_LITTER = {"__macosx", "thumbs.db", "desktop.ini"}

JSON_BYTES = 2 * 2**30
"""The largest JSON file; COCO's are below 500 MB."""


def json_of(text: bytes, where: str) -> Any:
    """The JSON value of a text.

    Raises:
        CorpusError: No UTF-8, no JSON, nested beyond reason, or a number that JSON does not know (NaN).
    """

    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no number in JSON")

    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is no JSON ({error}): correct or remove it.") from error


def json_file(path: Path) -> Any:
    """The JSON value of a whole file; CorpusError as ``json_of``, or when it is missing or too large."""
    return json_of(_content(path, JSON_BYTES), str(path))


def json_lines(path: Path) -> Iterator[tuple[str, Any | CorpusError]]:
    """The lines of a JSONL file, each with its place ("FILE, line 3"); empty lines are passed over.

    A bad line comes as its error, so that a caller may go on with the next.

    Raises:
        CorpusError: The file cannot be read, or a line is longer than ``LINE_BYTES``.
    """
    with _explained(path), path.open("rb") as stream:
        for number in count(1):
            line, where = stream.readline(LINE_BYTES + 1), f"{path}, line {number},"
            if not line:
                return
            if len(line) > LINE_BYTES:
                raise CorpusError(f"{where} is longer than {LINE_BYTES >> 20} MB: that is no record.")
            if line.strip():
                try:
                    value = json_of(line, where)
                except CorpusError as error:
                    value = error
                yield where, value


def json_rows(path: Path) -> Iterator[tuple[str, Any | CorpusError]]:
    """As ``json_lines``, but a ``.json`` file is one list, whose items come with their place ("FILE, item 3")."""
    if path.suffix.lower() != ".json":
        yield from json_lines(path)
        return
    items = json_file(path)
    if not isinstance(items, list):
        raise CorpusError(f"{path} is no list of objects: give a .jsonl file, or a list in a .json file.")
    yield from ((f"{path}, item {number},", item) for number, item in enumerate(items, 1))


def text_file(path: Path) -> str:
    """The text of a file: UTF-8, or UTF-16 that says so, as Windows' Notepad writes it.

    Raises:
        CorpusError: It is missing, larger than ``LINE_BYTES``, or no text.
    """
    content = _content(path, LINE_BYTES)
    try:
        text = content.decode("utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path} is no UTF-8 text ({error.reason}): save it as UTF-8.") from error
    if "\0" in text:
        raise CorpusError(f"{path} is no text: it holds zero bytes.")
    return text


def csv_rows(path: Path) -> tuple[list[str], list[tuple[str, dict[str, str]]]]:
    """The columns of a table with a line of titles, and its rows with their places ("FILE, line 3").

    Cells are parted by commas, or by semicolons or tabs where the titles have no comma.

    Raises:
        CorpusError: It cannot be read, is longer than ``LINE_BYTES``, or a row has more cells than titles.
    """
    lines = [line for _, line in text_lines(path, comments=False)]
    title = lines[0] if lines else ""
    mark = next((mark for mark in ",;\t" if mark in title), ",")
    try:
        reader = csv.DictReader(lines, delimiter=mark)
        rows = [(f"{path}, row {number},", row) for number, row in enumerate(reader, 1)]
    except csv.Error as error:
        raise CorpusError(f"{path} is no table ({error}): correct or remove it.") from error
    for where, row in rows:
        if None in row:
            raise CorpusError(f"{where} has more cells than there are titles: correct it.")
    return [title or "" for title in reader.fieldnames or ()], rows


def text_lines(path: Path, *, comments: bool = True) -> list[tuple[str, str]]:
    """The lines of a text that are not empty, each with its place; with ``comments``, those from # on are none.

    Raises:
        CorpusError: It cannot be read, or is longer than ``LINE_BYTES``.
    """
    listed = [
        (f"{path}, line {number},", line) for number, line in enumerate(text_file(path).splitlines(), 1)
    ]
    return [
        (where, line) for where, line in listed if line.strip() and not (comments and line.startswith("#"))
    ]


def xml_file(path: Path) -> ET.Element:
    """The root of an XML file.

    Raises:
        CorpusError: It is missing, too large or no XML, or it has a DOCTYPE, whose entities could expand
            without bound or read other files.
    """
    parser = ET.XMLParser(target=_NoDoctype(path))  # noqa: S314 - refuses every DOCTYPE, hence entities
    try:
        parser.feed(_content(path, LINE_BYTES))
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError) as error:
        raise CorpusError(f"{path} is no XML ({error}): correct or remove it.") from error
    return root


def inside(folder: Path, name: object, where: str) -> Path:
    """The file ``name`` of a folder, as an absolute path; a backslash parts folders as / does.

    Raises:
        CorpusError: ``name`` is no relative path that stays inside the folder, or a link leads out of it.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts if isinstance(name, str) else ()
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in str(name):
        raise CorpusError(f"{where}: {str(name)[:200]!r} is no path inside {folder}: give a relative one.")
    path = folder.absolute().joinpath(*parts)
    check_links(folder, path, where)
    return path


def check_links(folder: Path, path: Path, where: str) -> None:
    """Refuses a file of a folder that a link leads out of it; a path that lies elsewhere to begin with is not judged.

    Raises:
        CorpusError: It is such a link, or one that leads nowhere or in a circle.
    """
    try:
        if path.is_relative_to(folder.absolute()) and not path.resolve().is_relative_to(folder.resolve()):
            raise CorpusError(f"{where}: {path} is a link out of {folder}: put the file itself there.")
    except (OSError, RuntimeError, ValueError) as error:
        raise CorpusError(f"{where}: {str(path)[:200]} is no usable path ({error}).") from error


def is_litter(path: PurePath) -> bool:
    """Whether a path in a data set is what a desktop or a notebook left there: hidden, or in such a folder."""
    return any(
        (part.startswith(".") and part not in (".", "..")) or part.lower() in _LITTER for part in path.parts
    )


def without_litter(root: Path, paths: Iterable[Path], notes: Counter[str]) -> list[Path]:
    """The paths below a folder, sorted, without litter, which is counted among the notes."""
    found = {path: is_litter(path.relative_to(root)) for path in sorted(paths)}
    for path, litter in found.items():
        if litter:
            notes[f"{_litter_name(path.relative_to(root))} is no part of the data and was left out"] += 1
    return [path for path, litter in found.items() if not litter]


def _litter_name(path: PurePath) -> str:
    named = next(part for part in path.parts if is_litter(PurePath(part)))
    return named if named != path.name else f"{named[:2]}*{path.suffix}" if named.startswith("._") else named


class _NoDoctype(ET.TreeBuilder):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def doctype(self, name: str, public: str | None, system: str | None) -> NoReturn:
        """Called before anything that the DOCTYPE declares takes effect."""
        raise CorpusError(f"{self._path} has a DOCTYPE, which is not read: remove that line.")


def _content(path: Path, limit: int) -> bytes:
    with _explained(path):
        if path.stat().st_size > limit:
            raise CorpusError(f"{path} is larger than {limit >> 20} MB: that is no annotation or list.")
        return path.read_bytes()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error}): check the path.") from error

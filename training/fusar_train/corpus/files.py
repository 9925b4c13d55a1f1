"""Reading files that others made: JSON, JSON lines and XML, each with limits and errors that name the place."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

from fusar_train.corpus.errors import CorpusError

LINE_BYTES = 16 * 2**20
"""The longest line of a JSONL file, and the largest XML file."""

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
    """The file ``name`` of a folder, as an absolute path.

    Raises:
        CorpusError: ``name`` is no relative path that stays inside the folder.
    """
    parts = PurePosixPath(name.replace("\\", "/")).parts if isinstance(name, str) else ()
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in str(name):
        raise CorpusError(f"{where}: {name!r} is no path inside {folder}: give a relative one.")
    return folder.absolute().joinpath(*parts)


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
            raise CorpusError(f"{path} is larger than {limit >> 20} MB: that is no annotation.")
        return path.read_bytes()


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise CorpusError(f"{path} cannot be read ({error.strerror or error}): check the path.") from error

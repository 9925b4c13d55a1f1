"""Lists of scenes: one path a line, or a table (CSV) with a column of paths and others about them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import text_file
from fusar_train.corpus.slices.candidates import Candidate, Stated, Tell, day_in, name_of
from fusar_train.corpus.slices.scene_folder import is_product, search
from fusar_train.corpus.slices.sensors import POLARISATIONS, sensor_of

LISTS = (".txt", ".lst", ".list")
TABLES = (".csv", ".tsv")

_COLUMNS = {
    "path": ("path", "file", "filename", "scene", "image", "href", "location"),
    "name": ("name", "id"),
    "band": ("band",),
    "sensor": ("sensor", "platform", "satellite", "mission"),
    "acquired": ("acquired", "date", "day", "datetime", "time", "acquisition_date"),
    "polarisation": ("polarisation", "polarization", "pol"),
    "licence": ("licence", "license"),
    "attribution": ("attribution", "credit"),
}

_TOO_MANY = "too many cells"


def read_list(file: Path, tell: Tell) -> Iterator[Candidate | CorpusError]:
    """The scenes of a list, in its order; paths are relative to the list's folder.

    Blank lines and lines that begin with # are passed over. A folder is searched, a product is one scene.

    Args:
        file: The list; ``TABLES`` have a header, whose columns may be called as in docs/corpus.md, or only paths.
        tell: Takes what was left out.

    Raises:
        CorpusError: The file cannot be read, is no UTF-8 text, or its header names no column of paths.
    """
    rows = _table(file, tell) if file.suffix.lower() in TABLES else _lines(file)
    for number, row in rows:
        where = f"{file}, line {number}"
        try:
            yield from _entries(file, row, where, tell)
        except CorpusError as error:
            yield error


def is_remote(path: str) -> bool:
    """Whether a path is an address, which is never followed; a Windows drive is none."""
    scheme, parted, _ = path.replace("\\", "/").partition(":/")
    return path.startswith(("/vsi", "//")) or bool(parted and len(scheme) > 1 and scheme.isascii())


def _entries(file: Path, row: dict[str, str], where: str, tell: Tell) -> Iterator[Candidate | CorpusError]:
    if parting := row.get(_TOO_MANY):
        raise CorpusError(
            f"{where}: there are more cells than columns: put a cell that holds {parting!r} in quotes."
        )
    written = row.get("path", "")
    if not written:
        raise CorpusError(f"{where}: there is no path: write one, or remove the line.")
    path = placed(file.parent, written, where)
    stated = _stated(row, where)
    if path.is_dir() and path.suffix.lower() != ".safe" and not is_product(path):
        if any(row.get(key) for key in ("name", "band")):
            raise CorpusError(
                f"{where}: {written} is a folder, which has no one name or band: name its scenes."
            )
        for found in search(path, tell):
            yield found if isinstance(found, CorpusError) else _listed(found, where, stated)
        return
    name = row.get("name") or relative_name(written)
    yield Candidate(
        path=path,
        where=f"{where}, {written}",
        name=name_of(name),
        band=row.get("band") or None,
        trusted=False,
        stated=stated,
    )


def placed(folder: Path, written: str, where: str) -> Path:
    """The path that somebody wrote, relative to a folder; a backslash parts folders where no file is called so.

    Raises:
        CorpusError: It is an address, or nothing is there.
    """
    if is_remote(written):
        raise CorpusError(f"{where}: {written} is not on this machine: download it first.")
    try:
        for form in (written, written.replace("\\", "/")):
            path = folder / Path(form).expanduser()
            if path.exists():
                return path
    except (OSError, RuntimeError, ValueError) as error:
        raise CorpusError(f"{where}: {written[:200]!r} is no usable path ({error}).") from error
    raise CorpusError(f"{where}: {written[:300]} does not exist: check the path.")


def relative_name(written: str) -> str:
    """What a scene is called by the path that somebody wrote: all of a relative one, the last part of another."""
    windows, posix = PureWindowsPath(written), PurePosixPath(written.replace("\\", "/"))
    outside = windows.is_absolute() or posix.is_absolute() or ".." in posix.parts or posix.parts[:1] == ("~",)
    return posix.name if outside else str(posix)


def _listed(found: Candidate, where: str, stated: Stated) -> Candidate:
    return Candidate(
        path=found.path,
        where=f"{where}, {found.path}",
        name=found.name,
        trusted=False,
        searched=True,
        stated=stated,
    )


def _stated(row: dict[str, str], where: str) -> Stated:
    facts = {key: row[key] for key in ("licence", "attribution") if row.get(key)}
    if written := row.get("sensor"):
        facts["sensor"] = sensor_of([written]) or written
    if written := row.get("acquired"):
        if (day := day_in(written)) is None:
            raise CorpusError(f"{where}: {written[:60]!r} is no day: write it as 2024-05-31.")
        facts["acquired"] = day
    if written := row.get("polarisation"):
        if written.upper() not in POLARISATIONS:
            raise CorpusError(f"{where}: {written[:60]!r} is no polarisation: write VV, HH, VH or HV.")
        facts["polarisation"] = written.upper()
    return Stated(**facts)


def _lines(file: Path) -> Iterator[tuple[int, dict[str, str]]]:
    for number, line in enumerate(text_file(file).splitlines(), 1):
        path = line.strip()
        if len(path) > 1 and path[0] == path[-1] and path[0] in "\"'":
            path = path[1:-1]
        if path and not path.startswith("#"):
            yield number, {"path": path}


def _table(file: Path, tell: Tell) -> Iterator[tuple[int, dict[str, str]]]:
    text = text_file(file)
    first = next((line for line in text.splitlines() if line.strip() and not line.startswith("#")), "")
    parting = max("\t;,", key=first.count)
    header: list[str | None] = []
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=parting, strict=True)
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or cells[0].startswith("#"):
                continue
            if not header:
                header = _header(file, cells, tell)
                if header != ["path"] or cells[0].lower() in _COLUMNS["path"]:
                    continue
            if len(cells) > len(header):
                yield reader.line_num, {_TOO_MANY: parting}
                continue
            yield reader.line_num, {key: cell for key, cell in zip(header, cells, strict=False) if key}
    except csv.Error as error:
        raise CorpusError(
            f"{file}, line {reader.line_num}, is no row of a table ({error}): correct it."
        ) from error


def _header(file: Path, cells: list[str], tell: Tell) -> list[str | None]:
    """The meaning of each column; a table of one column needs no header."""
    known = {word: key for key, words in _COLUMNS.items() for word in words}
    header = [known.get(cell.lower().replace(" ", "_")) for cell in cells]
    if len(cells) == 1 and header[0] is None:
        return ["path"]
    if header.count("path") != 1:
        raise CorpusError(
            f"{file}: the first row names no column 'path', or several: give it a header such as path,band,sensor."
        )
    if unknown := [cell for cell, key in zip(cells, header, strict=True) if key is None]:
        tell(f"{file}: columns that are not read: {', '.join(unknown)}.")
    return header

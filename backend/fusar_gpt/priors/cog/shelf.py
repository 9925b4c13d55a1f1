"""What has been learnt of an index, on disk: rows without outlines, 100 bytes a file."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog.files import Bounds, CogFile, overlap_on_earth

_TABLES = """
    CREATE TABLE IF NOT EXISTS known (area TEXT PRIMARY KEY, at REAL NOT NULL);
    CREATE TABLE IF NOT EXISTS file (
        path TEXT PRIMARY KEY, year INTEGER, crs TEXT, "left" REAL, bottom REAL, "right" REAL, top REAL,
        west REAL, south REAL, east REAL, north REAL);
    CREATE INDEX IF NOT EXISTS by_south ON file (south);
"""
_BUSY_S = 5.0
_MAGIC = b"SQLite format 3\0"


class Shelf:
    """Rows of one index, shared by threads and processes. A damaged one is thrown away.

    Args:
        path: The SQLite file.

    Raises:
        PriorError: It cannot be read or written; so for all that follows.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not _sound(path):
                path.unlink()
        except OSError as error:
            raise PriorError(f"{path.parent} cannot be written: choose another cache folder.") from error
        with self._transaction() as database:
            database.executescript(_TABLES)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise PriorError(
                f"{self._path} cannot be used ({error}): remove it, or make room there."
            ) from error

    def age(self, area: str) -> float | None:
        """Seconds since an area was put here, None if it never was."""
        with self._transaction() as database:
            row = database.execute("SELECT at FROM known WHERE area = ?", (area,)).fetchone()
        return None if row is None else max(0.0, time.time() - row[0])

    def put(self, area: str, files: Iterable[CogFile], check: Callable[[], None] = lambda: None) -> None:
        """Keeps the files of an area, all of them or none; ``check`` may raise in between."""
        with self._transaction() as database:
            for number, file in enumerate(files):
                if number % 1000 == 0:
                    check()
                row = (file.path, file.year, file.crs, *file.bounds, *file.lonlat)
                database.execute(f"INSERT OR REPLACE INTO file VALUES ({','.join('?' * len(row))})", row)  # noqa: S608
            database.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (area, time.time()))

    def within(self, around: Bounds) -> list[CogFile]:
        """The files that touch a rectangle of degrees, by path."""
        question = "SELECT * FROM file WHERE south < ? AND north > ? ORDER BY path"
        with self._transaction() as database:
            rows = database.execute(question, (around[3], around[1])).fetchall()
        files = (
            CogFile(path, year, crs, tuple(numbers[:4]), tuple(numbers[4:]))
            for path, year, crs, *numbers in rows
        )
        return [file for file in files if overlap_on_earth(file.lonlat, around)]


def _sound(path: Path) -> bool:
    """Whether a file is a database, or none yet."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC

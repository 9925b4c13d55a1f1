"""The journal's file: made whole, checked when it is opened, and set aside where it is damaged.

SQLite notices pages that contradict each other, but neither a flipped bit inside a value nor a damaged end of its
write-ahead log, which it drops without a word. So every row has a checksum, and the number of transactions is kept
a second time, in a small file beside the journal.
"""

from __future__ import annotations

import os
import re
import sqlite3
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from fusar_gpt.server.journal_recovery import Recovered, recover
from fusar_gpt.server.journal_tables import SUMMED, TABLES, VERSION, checksum, crc_of

FILE = "jobs.sqlite"
COUNT_FILE = "jobs.count"
_DAMAGE = ("malformed", "not a database", "decode to UTF-8", "user-defined function")
"""What SQLite says about a damaged file; a full disk or another server is none."""
_COUNT = re.compile(rb"([0-9a-f]{32}) (\d{20}) (\d{20})\n")


@dataclass
class EntryCount:
    """How many transactions a journal has seen, and how many of them were firm (a job came, ended or was deleted)."""

    id: str
    entries: int = 0
    firm: int = 0

    @classmethod
    def read(cls, path: Path) -> EntryCount | None:
        """The count beside a journal; None where there is none that can be read."""
        with suppress(OSError):
            if match := _COUNT.fullmatch(path.read_bytes()):
                return cls(match[1].decode(), int(match[2]), int(match[3]))
        return None

    def encode(self) -> bytes:
        """The content of the file, always of the same length, so that writing it needs no room on the disk."""
        return f"{self.id} {self.entries:020d} {self.firm:020d}\n".encode("ascii")


@dataclass
class OpenFile:
    """An open journal: its database, its count, the open file of the count, and what was wrong with it, if anything."""

    db: sqlite3.Connection
    count: EntryCount
    beside: int
    notice: str | None

    def close(self) -> None:
        """Close both files."""
        self.db.close()
        os.close(self.beside)

    def counted(self, *, firm: bool) -> None:
        """Write the count after a transaction."""
        self.count.entries += 1
        self.count.firm += firm
        os.lseek(self.beside, 0, os.SEEK_SET)
        os.write(self.beside, self.count.encode())


def open_file(folder: Path, busy_s: float) -> OpenFile:
    """Open the journal of a state folder, or make it; a damaged one is set aside and what can be read carried over.

    Raises OSError and sqlite3.Error where the folder cannot be used, or another server uses it.
    """
    path = folder / FILE
    beside = EntryCount.read(folder / COUNT_FILE)
    if not path.exists() and beside is None and not Path(f"{path}-wal").exists():
        _create(path, EntryCount(uuid.uuid4().hex))
    db, problem = _checked(path, beside, busy_s)
    notice = None
    if problem is not None:
        notice = _replaced(path, db, beside, problem)
        db, problem = _checked(path, None, busy_s)
    if db is None or problem is not None:
        raise sqlite3.DatabaseError(problem)
    count = EntryCount(*db.execute("SELECT id, entries, firm FROM state").fetchone())
    number = os.open(folder / COUNT_FILE, os.O_CREAT | os.O_RDWR | os.O_TRUNC, 0o600)
    os.write(number, count.encode())
    return OpenFile(db, count, number, notice)


def _checked(
    path: Path, beside: EntryCount | None, busy_s: float
) -> tuple[sqlite3.Connection | None, str | None]:
    """The open database, None if it is not one, and what is wrong with it."""
    if not path.exists():
        return None, "its file is missing"
    if path.is_file() and not path.stat().st_size:  # SQLite would delete the log beside it
        return None, "its file is empty"
    if not (path.is_file() and os.access(path, os.R_OK | os.W_OK)):
        return None, "its file cannot be read and written"
    db = sqlite3.connect(path, timeout=busy_s, isolation_level=None, check_same_thread=False)
    try:
        _prepare(db)
        return db, _problem(db, beside)
    except sqlite3.Error as error:
        if not any(sign in str(error) for sign in _DAMAGE):
            db.close()
            raise
        return db, str(error)


def _prepare(db: sqlite3.Connection) -> None:
    db.create_function("crc", -1, checksum, deterministic=True)
    for pragma in (
        "locking_mode = EXCLUSIVE",  # else two servers would run the same jobs
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "secure_delete = ON",  # what is deleted cannot be recovered from the file
        "foreign_keys = ON",
    ):
        db.execute(f"PRAGMA {pragma}")
    db.execute("BEGIN IMMEDIATE")  # takes the lock that keeps other servers out
    db.execute("COMMIT")


def _problem(db: sqlite3.Connection, beside: EntryCount | None) -> str | None:
    """What is wrong with a database, in words; None if nothing is. Raises sqlite3.DatabaseError likewise."""
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version != VERSION:
        return f"it is of version {version}, not {VERSION}"
    found = {sql for (sql,) in db.execute("SELECT sql FROM sqlite_master WHERE type = 'table'")}
    if not found.issuperset(TABLES):
        return "its tables are not those of this version"
    (checked,) = db.execute("PRAGMA quick_check(1)").fetchone()
    if checked != "ok":
        return f"its pages are damaged: {' '.join(checked.split())[:200]}"
    for table in SUMMED:
        query = f"SELECT count(*) FROM {table} WHERE sum IS NOT {crc_of(table)}"  # noqa: S608 - our own words
        if altered := db.execute(query).fetchone()[0]:
            return f"{altered} of its {table} do not have the content that was written"
    return _lost(db, beside)


def _lost(db: sqlite3.Connection, beside: EntryCount | None) -> str | None:
    """Whether the journal is shorter than its count, or another one's."""
    states = db.execute("SELECT id, entries, firm FROM state").fetchall()
    if len(states) != 1:
        return "its state is missing"
    count = EntryCount(*states[0])
    if beside is None:
        return None
    if count.id != beside.id:
        return "it is the journal of another folder, or its log is"
    if count.entries < beside.entries:
        return f"its last {beside.entries - count.entries} entries are missing"
    return None


def _replaced(path: Path, db: sqlite3.Connection | None, beside: EntryCount | None, problem: str) -> str:
    """Put a new journal with what can be read of a damaged one in its place; what happened, in words."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    _create(fresh, beside or EntryCount(uuid.uuid4().hex))
    found = Recovered()
    if db is not None:
        target = sqlite3.connect(fresh, isolation_level=None)
        try:
            found = recover(db, target, resume=not _firm_lost(db, beside))
        finally:
            target.close()
    if db is not None and os.name == "nt":  # which renames no open file
        db.close()
    name = _set_aside(path)
    if db is not None:  # closed after the renaming, so that SQLite does not write the log into it
        db.close()
    fresh.rename(path)
    return f"the journal was damaged ({problem}): it is kept as {name}; {found.in_words()}"


def _firm_lost(db: sqlite3.Connection, beside: EntryCount | None) -> bool:
    """Whether the end or deletion of a job may be among what is missing."""
    if beside is None:
        return False
    try:
        states = db.execute("SELECT id, firm FROM state").fetchall()
    except sqlite3.Error:
        return True
    return not any(name == beside.id and firm >= beside.firm for name, firm in states)


def _set_aside(path: Path) -> str:
    """Rename a journal and its log; its new name."""
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S.%fZ")
    name = f"{path.name}.damaged-{stamp}"
    for suffix in ("", "-wal", "-shm", "-journal"):
        with suppress(FileNotFoundError):
            Path(f"{path}{suffix}").rename(path.with_name(name + suffix))
    return name


def _create(path: Path, count: EntryCount) -> None:
    """Make an empty journal, whole or not at all."""
    fresh = path.with_name(f"{path.name}.part")
    fresh.unlink(missing_ok=True)
    os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))  # only its owner reads the findings
    db = sqlite3.connect(fresh, isolation_level=None)
    try:
        db.execute("PRAGMA auto_vacuum = FULL")
        db.execute("BEGIN")
        for statement in TABLES:
            db.execute(statement)
        db.execute("INSERT INTO state VALUES (?, ?, ?)", (count.id, count.entries, count.firm))
        db.execute(f"PRAGMA user_version = {VERSION}")
        db.execute("COMMIT")
    finally:
        db.close()
    fresh.rename(path)

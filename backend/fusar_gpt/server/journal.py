"""The journal: the requests, engine replies, events and results of all jobs, in one SQLite file.

An event is written here before any client receives it, so after a crash no client knows more than the journal.
SQLite's write-ahead log makes every transaction complete or absent, even after kill -9. A power cut may lose the last
events; the resumed job computes them again. That a job came, ended or was deleted is on the disk before it is said.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from fusar_gpt.contract import SEARCH
from fusar_gpt.engine import Reply
from fusar_gpt.errors import FusarError
from fusar_gpt.server.journal_file import open_file

BUSY_S = 5.0  # a server that is shutting down may hold the file that long
SEARCH_INPUTS = f'{{"{SEARCH}":'
"""How the inputs of a search begin. No older server has written any such."""
PAGE = 256
"""The most events that one query reads."""

logger = logging.getLogger(__name__)


class JournalError(FusarError):
    """The journal cannot be opened, read or written."""


@dataclass(frozen=True)
class Record:
    """The row of a job.

    Attributes:
        id: Names the job.
        client: Who submitted it, for the fair queue.
        inputs: The request, as JSON; a search stands in an object that says so, and an interpretation as it came.
        run: The id of its run.
        started: The start of its run, UTC, ISO 8601.
        created: When it was submitted, likewise.
        status: OGC's status code, or ``paused``; in the file ``accepted`` until the job has ended, was dismissed or is
            paused.
        message: One line for the user.
        progress: Percent of its chips that are answered.
        finished: When it ended, likewise; None before.
    """

    id: str
    client: str
    inputs: str
    run: str
    started: str
    created: str
    status: str = "accepted"
    message: str = "Waiting for its turn."
    progress: int = 0
    finished: str | None = None

    @property
    def process(self) -> str:
        """The process that the job executes, by how its inputs begin."""
        return SEARCH if self.inputs.startswith(SEARCH_INPUTS) else "interpret"


class Journal:
    """One file, used by one server at a time; safe to use from any thread.

    Attributes:
        notice: What was wrong with the file when it was opened and what became of it; None if nothing.
    """

    def __init__(self, folder: Path) -> None:
        """Open the journal of a state folder, or create it; a damaged one is set aside and what can be read goes on.

        Raises JournalError if the folder cannot be used, or another server uses it.
        """
        self._lock = threading.Lock()
        self._offset = time.time() - time.monotonic()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = open_file(folder, BUSY_S)
        except (OSError, sqlite3.Error) as error:
            hint = "another server uses it" if "locked" in str(error) else str(error)
            raise JournalError(f"cannot keep jobs in {folder} ({hint}); choose another --state") from error
        self._db, self.notice = self._file.db, self._file.notice
        if self.notice is not None:
            logger.warning("%s", self.notice)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    def clock(self) -> float:
        """Seconds since 1970, counted monotonically from the opening on: setting the system clock changes no age."""
        return self._offset + time.monotonic()

    def add(self, record: Record) -> None:
        """Insert a new job."""
        columns = ", ".join(field.name for field in fields(Record))
        with self._writing(firm=True) as db:
            db.execute(
                f"INSERT INTO jobs ({columns}, tries, sum) "  # noqa: S608 - our own words
                "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, crc(?1, ?2, ?3, ?4, ?5, ?6))",
                astuple(record),
            )

    def dismiss(self, job: str) -> None:
        """Mark a job as cancelled by the user, so that no restart resumes it."""
        with self._writing(firm=True) as db:
            db.execute("UPDATE jobs SET status = 'dismissed' WHERE id = ?", (job,))

    def pause(self, job: str, *, paused: bool) -> None:
        """Mark a job that has not ended as one that no restart resumes, or as one that goes on."""
        with self._writing(firm=True) as db:
            status = "paused" if paused else "accepted"
            db.execute("UPDATE jobs SET status = ?, tries = 0 WHERE id = ?", (status, job))

    def begin(self, job: str) -> int:
        """Count a start of a job; the number of starts since its last event."""
        with self._writing() as db:
            db.execute("UPDATE jobs SET tries = tries + 1 WHERE id = ?", (job,))
            ((tries,),) = db.execute("SELECT tries FROM jobs WHERE id = ?", (job,)).fetchall()
        return int(tries)

    def append(
        self,
        job: str,
        number: int,
        event: bytes,
        replies: Iterable[tuple[bytes, Reply]] = (),
        progress: tuple[int, str] | None = None,
    ) -> None:
        """Insert an event with the replies behind it, and update the progress (percent, message) if one is given."""
        with self._writing() as db:
            db.executemany(_REPLY, _rows(job, replies))
            db.execute(_EVENT, (job, number, event))
            db.execute("UPDATE jobs SET tries = 0 WHERE id = ?", (job,))
            if progress is not None:
                db.execute("UPDATE jobs SET progress = ?, message = ? WHERE id = ?", (*progress, job))

    def finish(self, record: Record, number: int, event: bytes, results: str | None) -> None:
        """Write the end of a job: its row, its last event and its results. Its replies are deleted."""
        with self._writing(firm=True) as db:
            db.execute(
                "UPDATE jobs SET status = ?, message = ?, progress = ?, finished = ?, ended = ? WHERE id = ?",
                (record.status, record.message, record.progress, record.finished, self.clock(), record.id),
            )
            db.execute(_EVENT, (record.id, number, event))
            db.execute("DELETE FROM replies WHERE job = ?", (record.id,))
            if results is not None:
                db.execute("INSERT INTO results VALUES (?1, ?2, crc(?1, ?2))", (record.id, results))

    def delete(self, job: str) -> None:
        """Delete a job with its events, replies and results."""
        with self._writing(firm=True) as db:
            db.execute("DELETE FROM jobs WHERE id = ?", (job,))

    def delete_older(self, seconds: float) -> None:
        """Delete the jobs that ended more than so many seconds ago."""
        with self._writing() as db:
            db.execute("DELETE FROM jobs WHERE ended < ?", (self.clock() - seconds,))

    def find(self, job: str) -> Record | None:
        """The job of an id; None if there is none."""
        return next(self._records("WHERE id = ?", job), None)

    def unfinished(self) -> list[Record]:
        """The jobs that have not ended, oldest first."""
        return list(self._records("WHERE finished IS NULL ORDER BY number"))

    def recent(self, limit: int, offset: int = 0) -> list[Record]:
        """Jobs, newest first."""
        return list(self._records("ORDER BY number DESC LIMIT ? OFFSET ?", limit, offset))

    def counts(self) -> dict[str, int]:
        """The number of jobs of each status."""
        return dict(self._read("SELECT status, count(*) FROM jobs GROUP BY status"))

    def event_count(self, job: str) -> int:
        """The number of events of a job."""
        ((number,),) = self._read("SELECT coalesce(max(number), 0) FROM events WHERE job = ?", job)
        return int(number)

    def events(self, job: str, after: int, limit: int = PAGE) -> list[bytes]:
        """The events of a job with numbers above ``after``, in order."""
        query = "SELECT data FROM events WHERE job = ? AND number > ? ORDER BY number LIMIT ?"
        return [bytes(data) for (data,) in self._read(query, job, after, limit)]

    def results(self, job: str) -> str | None:
        """The results of a job as JSON; None if it has none."""
        rows = self._read("SELECT data FROM results WHERE job = ?", job)
        return str(rows[0][0]) if rows else None

    def reply(self, job: str, key: bytes) -> Reply | None:
        """The engine's reply to the request with that key; None if it is not journalled."""
        query = "SELECT text, token_ends, logprobs, finished FROM replies WHERE job = ? AND key = ?"
        for text, ends, logprobs, finished in self._read(query, job, key):
            return Reply(
                text, tuple(json.loads(ends)), np.frombuffer(logprobs, "<f8"), finished=bool(finished)
            )
        return None

    def _records(self, condition: str, *values: object) -> Iterator[Record]:
        columns = ", ".join(field.name for field in fields(Record))
        rows = self._read(f"SELECT {columns} FROM jobs {condition}", *values)  # noqa: S608 - our own words
        return (Record(*row) for row in rows)

    def _read(self, query: str, *values: object) -> list[Any]:
        with self._lock:
            try:
                return self._db.execute(query, values).fetchall()
            except sqlite3.Error as error:
                raise _explained(error) from error

    @contextmanager
    def _writing(self, *, firm: bool = False) -> Iterator[sqlite3.Connection]:
        """One transaction, rolled back on any error; a firm one is on the disk when it returns.

        Raises JournalError for an error of SQLite.
        """
        with self._lock:
            try:
                self._db.execute(f"PRAGMA synchronous = {'FULL' if firm else 'NORMAL'}")
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("UPDATE state SET entries = entries + 1, firm = firm + ?", (firm,))
                self._db.execute("COMMIT")
            except BaseException as error:
                with suppress(sqlite3.Error):  # some errors roll back by themselves
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _explained(error) from error
                raise
            with suppress(OSError):  # the count may stay behind the journal, never the other way round
                self._file.counted(firm=firm)


_EVENT = "INSERT INTO events VALUES (?1, ?2, ?3, crc(?1, ?2, ?3))"
_REPLY = "INSERT OR REPLACE INTO replies VALUES (?1, ?2, ?3, ?4, ?5, ?6, crc(?1, ?2, ?3, ?4, ?5, ?6))"


def _rows(job: str, replies: Iterable[tuple[bytes, Reply]]) -> Iterator[tuple[Any, ...]]:
    for key, reply in replies:
        logprobs = np.asarray(reply.logprobs, "<f8").tobytes()
        yield job, key, reply.text, json.dumps(reply.token_ends), logprobs, reply.finished


def _explained(error: sqlite3.Error) -> JournalError:
    """The error as a message for the user."""
    if "full" in str(error):
        return JournalError("the server's disk is full; free some space on it, then start the job again")
    return JournalError(f"the server's journal cannot be used ({error}); check its disk, then start again")

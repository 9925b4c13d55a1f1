"""What can still be read of a damaged journal, carried over into a new one: whole jobs only."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from fusar_gpt.contract import Ended
from fusar_gpt.server import wire
from fusar_gpt.server.journal_tables import SUMMED, checksum, crc_of

STATUSES = ("accepted", "paused", "dismissed", "successful", "failed")
_COLUMNS = {
    "jobs": "id, client, inputs, run, started, created, status, message, progress, finished, ended, tries",
    "events": "number, data",
    "replies": "key, text, token_ends, logprobs, finished",
    "results": "data",
}
_NOT_RESUMED = "The server's journal was damaged and may lack the end of this job; start it again."


@dataclass
class Recovered:
    """How many jobs were carried over, left behind, and carried over as failed since their end may be missing."""

    jobs: int = 0
    lost: int = 0
    stopped: int = 0

    def in_words(self) -> str:
        """The same in words."""
        words = f"{self.jobs} of its jobs were recovered"
        if self.lost:
            words += f", {self.lost} could not be read"
        if self.stopped:
            words += f", {self.stopped} of them do not run again, as their end may be missing"
        return words


def recover(db: sqlite3.Connection, target: sqlite3.Connection, *, resume: bool) -> Recovered:
    """Copy every job that is whole from a damaged database.

    Args:
        db: The damaged database, in any version of the tables.
        target: An empty journal.
        resume: Whether jobs that have not ended run again; if not, they become failed ones.

    Raises sqlite3.Error if the target cannot be written.
    """
    found = Recovered()
    reader = _Reader(db)
    for job in reader.jobs():
        target.execute("BEGIN")
        try:
            whole = _copy(job, reader, target, found, resume=resume)
            target.execute("COMMIT" if whole else "ROLLBACK")
        except sqlite3.Error:
            target.execute("ROLLBACK")
            raise
        found.jobs += whole
        found.lost += not whole
    found.lost += reader.unreadable
    return found


def _copy(
    job: dict[str, Any], reader: _Reader, target: sqlite3.Connection, found: Recovered, *, resume: bool
) -> bool:
    """Copy one job; false if it has ended and something of it is missing."""
    events = list(reader.events(job["id"]))
    results = reader.rows("results", job["id"])
    ended = job["finished"] is not None
    if ended and not (events and b"event: end\n" in events[-1]):
        return False
    if job["status"] == "successful" and not results:
        return False
    if not ended and not resume and job["status"] == "accepted":
        found.stopped += 1
        now = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        job |= {"status": "failed", "message": _NOT_RESUMED, "finished": now, "ended": time.time()}
        last = Ended("failed", _NOT_RESUMED)
        events.append(wire.sse(len(events) + 1, last.name, wire.encode(last.to_json())))
        ended = True
    _insert(target, "jobs", job)
    for number, data in enumerate(events, 1):
        _insert(target, "events", {"job": job["id"], "number": number, "data": data})
    for table, rows in (
        ("results", results),
        ("replies", [] if ended else reader.rows("replies", job["id"])),
    ):
        for row in rows:
            _insert(target, table, {"job": job["id"]} | row)
    return True


def _insert(target: sqlite3.Connection, table: str, row: Mapping[str, Any]) -> None:
    total = checksum(*(row[name] for name in SUMMED[table].split(", ")))
    names, marks = ", ".join(row), ", ".join("?" * len(row))
    target.execute(
        f"INSERT INTO {table} ({names}, sum) VALUES ({marks}, ?)",  # noqa: S608 - our own words
        (*row.values(), total),
    )


class _Reader:
    """Reads the rows of a damaged database that can be read and have their checksum, if they have one.

    Attributes:
        unreadable: Jobs that could not be read, as far as they were noticed.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self.unreadable = 0
        self._db = db

    def jobs(self) -> Iterator[dict[str, Any]]:
        """The jobs in their order; from the other end behind a place that cannot be read."""
        seen: set[str] = set()
        later: list[dict[str, Any]] = []
        for job in self._query("jobs", "ORDER BY number"):
            seen.add(job["id"])
            yield job
        for job in self._query("jobs", "ORDER BY number DESC"):
            if job["id"] in seen:
                break
            later.append(job)
        yield from reversed(later)

    def events(self, job: str) -> Iterator[bytes]:
        """The events of a job from its first on, as far as none is missing."""
        for number, row in enumerate(self._query("events", "WHERE job = ? ORDER BY number", job), 1):
            if row["number"] != number:
                return
            yield bytes(row["data"])

    def rows(self, table: str, job: str) -> list[dict[str, Any]]:
        """What else belongs to a job."""
        return list(self._query(table, "WHERE job = ?", job))

    def _query(self, table: str, condition: str, *values: str) -> Iterator[dict[str, Any]]:
        """The good rows of a query until one cannot be read."""
        names = _COLUMNS[table].split(", ")
        good = f"sum IS {crc_of(table)}" if self._has_sums(table) else "1"
        query = f"SELECT {good}, {_COLUMNS[table]} FROM {table} {condition}"  # noqa: S608 - our own words
        with suppress(sqlite3.Error):
            for whole, *row in self._db.execute(query, values):
                found = dict(zip(names, row, strict=True))
                if whole and found.get("status", "failed") in STATUSES:
                    yield found
                elif table == "jobs" and not condition.endswith("DESC"):
                    self.unreadable += 1

    def _has_sums(self, table: str) -> bool:
        with suppress(sqlite3.Error):
            return any(column[1] == "sum" for column in self._db.execute(f"PRAGMA table_info({table})"))
        return False

"""One job on its way, in a journal that a crash does not harm."""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any, Literal

from fusar_gpt.contract import Ended, Event, Finished, Progress
from fusar_gpt.engine import Reply
from fusar_gpt.errors import FusarError
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.server import wire
from fusar_gpt.server.events import EventLog
from fusar_gpt.server.journal import Journal, JournalError, Record

CANCELLED = "Cancelled."
TRIES = 10
"""How often a job may begin again without having come any further."""

End = Literal["successful", "failed", "dismissed"]

logger = logging.getLogger(__name__)


def new_record(client: str, inputs: str) -> Record:
    """A job that was just submitted; ``inputs`` is JSON."""
    identity = RunIdentity.new()
    return Record(
        id=uuid.uuid4().hex,
        client=client,
        inputs=inputs,
        run=identity.id,
        started=identity.started,
        created=_now(),
    )


class Job:
    """One order: where it stands, and what it has told. Every event is in the journal before anyone hears of it.

    A job that begins again after a crash tells its events again; those that are in the journal are compared and
    go no further. One worker runs it; everything else is safe from any thread.
    """

    def __init__(self, record: Record, journal: Journal) -> None:
        """A job as the journal has it."""
        self.record = record
        self.log = EventLog(journal, record.id, ended=record.finished is not None)
        self._journal = journal
        self._told = 0  # events told in this life of the server
        self._results: str | None = None
        self._fresh: list[tuple[bytes, Reply]] = []
        self._pace = Pace()
        self._cancel = threading.Event()
        self._leave = threading.Event()
        self._ending = record.finished is not None
        self._owed = False
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Names the job."""
        return self.record.id

    @property
    def identity(self) -> RunIdentity:
        """The run that it is, also when it begins again."""
        return RunIdentity(self.record.run, self.record.started)

    @property
    def results(self) -> str | None:
        """What it came to, as JSON; None before its end and where it has none."""
        return self._journal.results(self.id)

    @property
    def left(self) -> bool:
        """Whether this server has gone away from it; the next one takes it up."""
        return self._leave.is_set()

    def cancelled(self) -> bool:
        """The flag that the interpreter looks at."""
        return self._cancel.is_set() or self._leave.is_set()

    def cancel(self) -> None:
        """Stop the job: at once while it waits, at the next token while it runs, never after its end."""
        with self._lock:
            if self._ending:
                return
            waiting = self.record.status == "accepted"
            self._cancel.set()
            self.record = replace(self.record, status="dismissed", message=CANCELLED)
        try:
            self._journal.dismiss(self.id)
        except JournalError as error:
            logger.warning("job %s: a restart would take it up again: %s", self.id, error)
        if waiting:
            self.end("dismissed", CANCELLED)

    def leave(self) -> None:
        """Stop without an end: this server goes, the job stays in the journal."""
        self._leave.set()
        self.log.leave()

    def begin(self) -> bool:
        """Take the job off the queue; false where it was cancelled meanwhile."""
        with self._lock:
            if self.record.status != "accepted" or self.left:
                return False
            self.record = replace(self.record, status="running", message="Opening the scene.")
            return True

    def check_tries(self) -> None:
        """Raises FusarError for a job that takes the server down with it, time and again; JournalError."""
        if self._journal.begin(self.id) > TRIES:
            raise FusarError(
                f"the server went down {TRIES} times at this point of the job; draw a smaller area, or tell its owner"
            )

    def recall(self, key: bytes) -> Reply | None:
        """What the engine replied to the request of a key before the job began again."""
        return self._journal.reply(self.id, key) if self._told < self.log.count else None

    def remember(self, key: bytes, reply: Reply) -> None:
        """Take in a reply; it goes to the journal with the next event."""
        self._fresh.append((key, reply))

    def take(self, event: Event) -> None:
        """Take in what the interpreter yields: the results are kept, all else is told.

        Raises JournalError where it cannot be written, FusarError where a job that begins again tells something
        else than before.
        """
        data = wire.encode(event.to_json())
        if isinstance(event, Finished):
            self._results = data
            return
        again = self._told < self.log.count
        progress = self._advance(event, again=again) if isinstance(event, Progress) else None
        sent = wire.sse(self._told + 1, event.name, data)
        if not again:
            self._journal.append(self.id, self._told + 1, sent, self._fresh, progress)
            self._fresh = []
            self.log.tell(sent)
        elif not _same(self._journal.events(self.id, self._told, 1)[0], sent):
            raise FusarError("the scene, prior or model has changed since the job began; start it again")
        self._told += 1

    def _advance(self, event: Progress, *, again: bool) -> tuple[int, str]:
        percent = 100 * event.done // max(1, event.total)
        with self._lock:
            self._pace.advance(event.done, event.total, again=again)
            if not self._cancel.is_set():
                self.record = replace(self.record, progress=percent, message=event.message)
        return percent, event.message

    def end(self, status: End, message: str) -> None:
        """Tell the ``end``. A cancel that came first wins, and so does a journal that cannot take it in."""
        with self._lock:
            if self._ending:
                return
            self._ending = True
            if self._cancel.is_set():
                status, message = "dismissed", CANCELLED
        record, event = self._ended(status, message)
        try:
            results = self._results if status == "successful" else None
            self._journal.finish(record, self.log.count + 1, event, results)
        except JournalError as error:
            logger.warning("job %s: its end is not in the journal: %s", self.id, error)
            self._owed = True
            if status == "successful":
                record, event = self._ended("failed", str(error))
        with self._lock:
            self.record = record
        self.log.tell(event, last=True)

    def _ended(self, status: End, message: str) -> tuple[Record, bytes]:
        progress = 100 if status == "successful" else self.record.progress
        record = replace(self.record, status=status, message=message, progress=progress, finished=_now())
        event = Ended(status, message)
        return record, wire.sse(self.log.count + 1, event.name, wire.encode(event.to_json()))

    def settle(self) -> bool:
        """Whether the end is in the journal; one that it could not take in is tried again."""
        if self._owed:
            try:
                self._journal.finish(self.record, self.log.count, self.log.latest, None)
            except JournalError:
                return False
            self._owed = False
        return self.record.finished is not None

    def state(self) -> dict[str, Any]:
        """OGC API - Processes' statusInfo; ``eta_s`` is how many seconds a running job still takes."""
        with self._lock:
            record, left_s = self.record, self._pace.left_s()
        state = {
            "jobID": record.id,
            "type": "process",
            "processID": "interpret",
            "status": record.status,
            "progress": record.progress,
            "message": record.message,
            "created": record.created,
            "finished": record.finished,
            "eta_s": left_s if record.status == "running" else None,
        }
        relations = {"self": "", "monitor": "/events", "results": "/results"}
        links = [{"rel": rel, "href": f"/jobs/{record.id}{path}"} for rel, path in relations.items()]
        return {key: value for key, value in state.items() if value is not None} | {"links": links}


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _same(before: bytes, now: bytes) -> bool:
    """Whether an event is told again; where its prior came from may be told in other words, once it is cached."""
    return before == now or _essence(before) == _essence(now)


def _essence(event: bytes) -> Any:
    head, _, data = event.partition(b"data: ")
    content = json.loads(data)
    content.get("run", {}).pop("prior_note", None)
    return head, content


class Pace:
    """How fast chips are answered, by a clock that nobody sets."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._start = self._done = self._total = 0

    def advance(self, done: int, total: int, *, again: bool) -> None:
        """Take in how far it is; ``again`` where the answers were there already."""
        if again or self._began is None:
            self._began, self._start = time.monotonic(), done
        self._done, self._total = done, total

    def left_s(self) -> float | None:
        """Seconds until all is done; None while nobody can tell."""
        answered = self._done - self._start
        if self._began is None or answered < 1:
            return None
        passed = time.monotonic() - self._began
        return round(passed / answered * (self._total - self._done), 1)

"""One job: its state, its events, and its record in the journal, from which it resumes after a crash."""

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
PAUSED = "Paused."
WAITING = "Waiting for its turn."
TRIES = 10
"""How often a job is started in a row without reaching its next event, before it fails."""

End = Literal["successful", "failed", "dismissed"]

logger = logging.getLogger(__name__)


def new_record(client: str, inputs: str) -> Record:
    """The record of a job that was just submitted; ``inputs`` is JSON."""
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
    """One job: its state and its events. Every event is in the journal before any client receives it.

    A job that is resumed, after a pause or a crash, repeats its run from the start. The events that are in the journal
    already are compared with the repeated ones and not sent again. One worker thread runs a job at a time; every other
    method may be called from any thread.
    """

    def __init__(self, record: Record, journal: Journal, account: str = "") -> None:
        """A job; ``account`` is who submitted it to this server, for the bounds of the queue."""
        self.record = record
        self.account = account
        self.log = EventLog(journal, record.id, ended=record.finished is not None)
        self._journal = journal
        self._emitted = 0  # events of this run so far, those repeated after a restart included
        self._results: str | None = None
        self._warnings: tuple[str, ...] = ()
        self._new_replies: list[tuple[bytes, Reply]] = []
        self._pace = Pace()
        self._cancel = threading.Event()
        self._leave = threading.Event()
        self._paused_at: float | None = None
        if record.status == "paused":
            self.record = replace(record, message=PAUSED)
            self._paused_at = time.monotonic()
        self._ending = record.finished is not None
        self._unsaved_end = False
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """The id of the job."""
        return self.record.id

    @property
    def identity(self) -> RunIdentity:
        """The identity of its run; the same when it is resumed."""
        return RunIdentity(self.record.run, self.record.started)

    @property
    def results(self) -> str | None:
        """Its results as JSON; None before its end, and for a job that was cancelled or failed."""
        return self._journal.results(self.id)

    @property
    def left(self) -> bool:
        """Whether this server is shutting down without ending the job; the next server resumes it."""
        return self._leave.is_set()

    @property
    def is_pausing(self) -> bool:
        """Whether the run must stop after the batch of chips under way, to be resumed later."""
        return self._paused_at is not None and not self._cancel.is_set()

    @property
    def paused_s(self) -> float:
        """Seconds since this server has known the job as a paused one; 0 for one that is not."""
        return 0.0 if self._paused_at is None else time.monotonic() - self._paused_at

    def cancelled(self) -> bool:
        """Whether the run must stop; checked at every token."""
        return self._cancel.is_set() or self._leave.is_set()

    def cancel(self) -> None:
        """Cancel the job: at once if it waits, at the next token if it runs, without effect after its end.

        Raises JournalError, with the job cancelled here, where the next server would resume it.
        """
        with self._lock:
            if self._ending:
                return
            waiting = self.record.status != "running"
            self._cancel.set()
            self.record = replace(self.record, status="dismissed", message=CANCELLED)
        problem = None
        try:
            self._journal.dismiss(self.id)
        except JournalError as error:
            problem = error
        if waiting:
            self.end("dismissed", CANCELLED)
        if problem is not None and (self._unsaved_end or self.record.finished is None):
            raise problem

    def pause(self) -> None:
        """Pause the job: at once if it waits, after the batch under way if it runs, without effect after its end.

        Raises JournalError, with the job as it was.
        """
        with self._lock:
            if self._ending or self._cancel.is_set() or self._paused_at is not None:
                return
            self._journal.pause(self.id, paused=True)
            self._paused_at = time.monotonic()
            if self.record.status == "accepted":
                self.record = replace(self.record, status="paused", message=PAUSED)

    def resume(self) -> bool:
        """End the pause; whether the job must be queued again. Raises JournalError, with the job as it was."""
        with self._lock:
            if self._ending or self._cancel.is_set() or self._paused_at is None:
                return False
            self._journal.pause(self.id, paused=False)
            self._paused_at = None
            if self.record.status != "paused":
                return False  # its worker has not noticed the pause yet, and goes on
            self.record = replace(self.record, status="accepted", message=WAITING)
            return True

    def park(self) -> bool:
        """Take note that the worker has stopped for a pause; false if the job must be queued again already."""
        with self._lock:
            waits = self._paused_at is None and not self._cancel.is_set()
            status, message = ("accepted", WAITING) if waits else ("paused", PAUSED)
            if not self._cancel.is_set():
                self.record = replace(self.record, status=status, message=message)
        if self._cancel.is_set():
            self.end("dismissed", CANCELLED)
        return not waits

    def leave(self) -> None:
        """Stop without an end: the server shuts down, the job stays in the journal."""
        self._leave.set()
        self.log.leave()

    def begin(self) -> bool:
        """Mark the job as running, from its first chip; false if it was cancelled or paused while it waited."""
        with self._lock:
            if self.record.status != "accepted" or self.left:
                return False
            self._emitted, self._new_replies, self._pace = 0, [], Pace()
            self.record = replace(self.record, status="running", message="Opening the scene.")
            return True

    def check_tries(self) -> None:
        """Raise FusarError after ``TRIES`` crashes at the same event of this job. Raises JournalError."""
        if self._journal.begin(self.id) > TRIES:
            raise FusarError(
                f"the server crashed {TRIES} times at this point of the job; draw a smaller area, or ask its owner"
            )

    def recall(self, key: bytes) -> Reply | None:
        """The reply that the engine gave to this request before the job was resumed."""
        return self._journal.reply(self.id, key) if self._emitted < self.log.count else None

    def remember(self, key: bytes, reply: Reply) -> None:
        """Keep a reply; it is journalled together with the next event."""
        self._new_replies.append((key, reply))

    def take(self, event: Event) -> None:
        """Journal and publish an event of the interpretation; the results are kept for the end of the job.

        Raises JournalError if it cannot be written, FusarError if a resumed job repeats an event differently.
        """
        data = wire.encode(event.to_json())
        if isinstance(event, Finished):
            self._results, self._warnings = data, event.run.warnings
            return
        repeated = self._emitted < self.log.count
        progress = self._advance(event, repeated=repeated) if isinstance(event, Progress) else None
        sent = wire.sse(self._emitted + 1, event.name, data)
        if not repeated:
            self._journal.append(self.id, self._emitted + 1, sent, self._new_replies, progress)
            self._new_replies = []
            self.log.tell(sent)
        elif not _same(self._journal.events(self.id, self._emitted, 1)[0], sent):
            raise FusarError("the scene, prior or model has changed since the job began; start it again")
        self._emitted += 1

    def _advance(self, event: Progress, *, repeated: bool) -> tuple[int, str]:
        percent, message = 100 * event.done // max(1, event.total), _storable(event.message)
        with self._lock:
            self._pace.advance(event.done, event.total, repeated=repeated)
            if not self._cancel.is_set():
                self.record = replace(self.record, progress=percent, message=message)
        return percent, message

    def end(self, status: End, message: str) -> None:
        """Publish the event ``end``. An earlier cancel wins; a success that cannot be journalled becomes a failure."""
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
            logger.warning("the end of job %s cannot be journalled yet: %s", self.id, error)
            self._unsaved_end = True
            if status == "successful":
                record, event = self._ended("failed", str(error))
        with self._lock:
            self.record = record
        self.log.tell(event, last=True)

    def _ended(self, status: End, message: str) -> tuple[Record, bytes]:
        progress = 100 if status == "successful" else self.record.progress
        message = _storable(message)
        record = replace(self.record, status=status, message=message, progress=progress, finished=_now())
        event = Ended(status, message, self._warnings if status == "successful" else ())
        return record, wire.sse(self.log.count + 1, event.name, wire.encode(event.to_json()))

    def settle(self) -> bool:
        """Whether the end is in the journal; if writing it failed before, it is tried again now."""
        if self._unsaved_end:
            try:
                self._journal.finish(self.record, self.log.count, self.log.latest, None)
            except JournalError:
                return False
            self._unsaved_end = False
        return self.record.finished is not None

    def state(self) -> dict[str, Any]:
        """The job as OGC API - Processes' statusInfo; ``eta_s`` is the estimate of the seconds it still takes.

        OGC has no status for a pause: a paused job is ``accepted``, or ``running`` until its batch is done, with
        ``paused``.
        """
        with self._lock:
            record, left_s, paused = self.record, self._pace.left_s(), self.is_pausing and not self._ending
        state = {
            "jobID": record.id,
            "type": "process",
            "processID": record.process,
            "status": "accepted" if record.status == "paused" else record.status,
            "paused": paused or None,
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


def _storable(text: str) -> str:
    """The text without the lone surrogates of file names in other encodings, which SQLite does not take."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _same(before: bytes, now: bytes) -> bool:
    """Whether two events say the same; ``prior_note`` may differ, as the prior is cached the second time."""
    return before == now or _essence(before) == _essence(now)


def _essence(event: bytes) -> Any:
    head, _, data = event.partition(b"data: ")
    content = json.loads(data)
    content.get("run", {}).pop("prior_note", None)
    return head, content


class Pace:
    """How fast chips are answered, by a clock that is never adjusted."""

    def __init__(self) -> None:
        self._began: float | None = None
        self._start = self._done = self._total = 0

    def advance(self, done: int, total: int, *, repeated: bool) -> None:
        """Note that ``done`` of ``total`` chips are answered; ``repeated`` ones were answered before a restart."""
        if repeated or self._began is None:
            self._began, self._start = time.monotonic(), done
        self._done, self._total = done, total

    def left_s(self) -> float | None:
        """Estimated seconds until all chips are answered; None before the first one is."""
        answered = self._done - self._start
        if self._began is None or answered < 1:
            return None
        passed = time.monotonic() - self._began
        return round(passed / answered * (self._total - self._done), 1)

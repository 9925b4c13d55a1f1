"""Jobs: one worker runs them one after the other (the engine is one); any number of clients watch each.

A job keeps every event it sent: a client may come late, come back or be slow without holding up the worker.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timezone
from typing import Any, Literal

from fusar_gpt.errors import Cancelled, FusarError
from fusar_gpt.inquiries import Order
from fusar_gpt.interpret import Event
from fusar_gpt.server import wire

Interpreter = Callable[[Order, Callable[[], bool]], Iterator[Event]]
"""Runs an order; checks the second argument at each token and raises Cancelled once it returns true."""

Status = Literal["accepted", "running", "successful", "failed", "dismissed"]

QUEUE_LIMIT = 32
KEPT_FINISHED = 16

logger = logging.getLogger(__name__)


class Busy(FusarError):  # noqa: N818 - a state, not a fault
    """The queue is full, or the server is going down."""


class Job:
    """One order on its way through the worker, with the log of what it has sent so far."""

    def __init__(self, order: Order) -> None:
        self.id = uuid.uuid4().hex
        self.order = order
        self.status: Status = "accepted"
        self.progress = 0
        self.message = "Waiting for its turn."
        self.created = _now()
        self.finished: str | None = None
        self.results: str | None = None
        self._cancel = threading.Event()
        self._lock = threading.Lock()
        self._log: list[bytes] = []
        self._closed = False
        self._wakes: set[Callable[[], object]] = set()

    def cancelled(self) -> bool:
        """The flag that the interpreter looks at."""
        return self._cancel.is_set()

    def cancel(self) -> None:
        """Stop the job: at once while it waits, at the next token while it runs, never after its end."""
        with self._lock:
            if self.finished:
                return
            waiting = self.status == "accepted"
            self._cancel.set()
            self.status, self.message = "dismissed", "Cancelled."
        if waiting:
            self.end("dismissed", "Cancelled.")

    def begin(self) -> bool:
        """Take the job off the queue; false where it was cancelled meanwhile."""
        with self._lock:
            if self.status != "accepted":
                return False
            self.status, self.message = "running", "Opening the scene."
            return True

    def record(self, name: str, data: dict[str, Any]) -> None:
        """Take in what :func:`wire.transcribe` yields: the results are kept, all else goes to the log."""
        if name == "results":
            self.results = wire.encode(data)
            return
        if name == "progress" and not self.cancelled():
            self.message, self.progress = data["message"], 100 * data["done"] // max(1, data["total"])
        self._append(name, data)

    def end(self, status: Status, message: str) -> None:
        """Close the log with the ``end`` event. A cancel that came first wins."""
        with self._lock:
            if self.finished:
                return
            if self.cancelled():
                status, message = "dismissed", "Cancelled."
            self.status, self.message, self.finished = status, message, _now()
            if status == "successful":
                self.progress = 100
            else:
                self.results = None
        self._append("end", {"status": status, "message": message})

    def _append(self, name: str, data: dict[str, Any]) -> None:
        with self._lock:
            self._log.append(wire.sse(len(self._log) + 1, name, wire.encode(data)))
            self._closed = name == "end"
            wakes = list(self._wakes)
        for wake in wakes:
            wake()

    async def watch(self, after: int, heartbeat_s: float) -> AsyncIterator[bytes]:
        """The events with ids above ``after``, as they come, up to and with ``end``; pings in between."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()

        def wake() -> object:
            return loop.call_soon_threadsafe(news.set)

        with self._lock:
            self._wakes.add(wake)
        try:
            while True:
                news.clear()
                with self._lock:
                    closed, fresh = self._closed, self._log[after:]
                for entry in fresh:
                    yield entry
                after += len(fresh)
                if closed:
                    return
                try:
                    await asyncio.wait_for(news.wait(), heartbeat_s)
                except asyncio.TimeoutError:
                    yield wire.PING
        finally:
            with self._lock:
                self._wakes.discard(wake)

    def state(self) -> dict[str, Any]:
        """OGC API - Processes' statusInfo."""
        with self._lock:
            state = {
                "jobID": self.id,
                "type": "process",
                "processID": "interpret",
                "status": self.status,
                "progress": self.progress,
                "message": self.message,
                "created": self.created,
                "finished": self.finished,
            }
        relations = {"self": "", "monitor": "/events", "results": "/results"}
        links = [{"rel": rel, "href": f"/jobs/{self.id}{path}"} for rel, path in relations.items()]
        return {key: value for key, value in state.items() if value is not None} | {"links": links}


class Jobs:
    """All jobs of the server, and the one thread that runs them."""

    def __init__(self, interpreter: Interpreter, prepare: Callable[[], object] | None = None) -> None:
        """Jobs over an interpreter; ``prepare`` (load the model, say) runs first in the worker thread."""
        self._interpreter = interpreter
        self._prepare = prepare
        self._jobs: dict[str, Job] = {}
        self._queue: queue.Queue[Job | None] = queue.Queue()
        self._lock = threading.Lock()
        self._closing = False
        # A daemon: a forward pass that cannot be interrupted must not keep a dead server's process alive.
        self._worker = threading.Thread(target=self._work, name="fusar-jobs", daemon=True)

    def start(self) -> None:
        """Start the worker."""
        self._worker.start()

    def close(self) -> None:
        """Cancel every job and let the worker run out; safe to call twice."""
        with self._lock:
            self._closing = True
            jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        self._queue.put(None)

    def join(self, timeout_s: float) -> bool:
        """Wait for the worker after :meth:`close`; false where it is still at work."""
        self._worker.join(timeout_s)
        return not self._worker.is_alive()

    def submit(self, order: Order) -> Job:
        """Queue an order. Raises Busy."""
        job = Job(order)
        with self._lock:
            if self._closing:
                raise Busy("the server is shutting down; start it again")
            if sum(other.status == "accepted" for other in self._jobs.values()) >= QUEUE_LIMIT:
                raise Busy(f"{QUEUE_LIMIT} jobs are waiting already; try again when some are done")
            self._forget_oldest()
            self._jobs[job.id] = job
        self._queue.put(job)
        return job

    def _forget_oldest(self) -> None:
        finished = [job for job in self._jobs.values() if job.finished]
        for job in finished[: max(0, len(finished) - KEPT_FINISHED + 1)]:
            del self._jobs[job.id]

    def get(self, job_id: str) -> Job | None:
        """The job, or None where there is none or it was forgotten."""
        with self._lock:
            return self._jobs.get(job_id)

    def dismiss(self, job: Job) -> None:
        """Cancel a job that has not ended; forget one that has."""
        if job.finished:
            with self._lock:
                self._jobs.pop(job.id, None)
        else:
            job.cancel()

    def _work(self) -> None:
        if self._prepare is not None:
            try:
                self._prepare()
            except Exception:
                logger.exception("preparing failed; the first job will say why")
        while (job := self._queue.get()) is not None:
            if job.begin():
                self._execute(job)

    def _execute(self, job: Job) -> None:
        try:
            for name, data in wire.transcribe(self._interpreter(job.order, job.cancelled)):
                job.record(name, data)
        except Cancelled:
            job.end("dismissed", "Cancelled.")
        except FusarError as error:
            job.end("failed", str(error))
        except Exception as error:  # the worker must outlive a fault in one job
            logger.exception("job %s failed", job.id)
            job.end("failed", f"unexpected {type(error).__name__}; the server's log says more")
        else:
            job.end("successful", "Done.")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")

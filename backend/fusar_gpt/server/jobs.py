"""The jobs of a server: a fair queue of those that wait, threads for those that run, the journal for the rest."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from fusar_gpt.contract import Event, Finished, Progress, Started, Task
from fusar_gpt.errors import Cancelled, FusarError
from fusar_gpt.server.job import CANCELLED, End, Job, new_record
from fusar_gpt.server.journal import Journal, JournalError
from fusar_gpt.server.options import Options

QUEUE_LIMIT = 256
CLIENT_LIMIT = 64
ACCOUNT_LIMIT = 128
"""The most jobs that wait for one token, or one address of those that share one, under any number of names."""
SWEEP_S = 60.0
PREPARED_S = 0.1

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Busy(FusarError):  # noqa: N818 - a state, not a fault
    """The server has too much to do already, or is shutting down."""


def unexpected(error: Exception) -> str:
    """What the user learns about a bug."""
    return f"unexpected {type(error).__name__}; the server's log says more"


@dataclass(frozen=True)
class Submitter:
    """Who submits a job.

    Attributes:
        client: Whose turn in the fair queue it is.
        account: Whose bound it counts for, whatever names the client gives itself.
    """

    client: str
    account: str


class Slots:
    """Limits how much of one kind of work is done at a time; more is refused with :class:`Busy`."""

    def __init__(self, count: int, work: str) -> None:
        """Room for ``count``; ``work`` completes a sentence, such as "previews are being made"."""
        self._free = threading.BoundedSemaphore(count)
        self._refusal = f"{count} {work} already; try again in a moment"

    def __enter__(self) -> None:
        if not self._free.acquire(blocking=False):
            raise Busy(self._refusal)

    def __exit__(self, *_: object) -> None:
        self._free.release()


class FairQueue(Generic[T]):
    """A first-in-first-out queue per client; the clients are served round robin. Thread-safe.

    A client that joins n others waits for at most n items, however many each of them has queued.
    """

    def __init__(self) -> None:
        self._queues: dict[str, deque[T]] = {}  # never an empty one; the client to serve next comes first
        self._changed = threading.Condition()
        self._closed = False

    def __len__(self) -> int:
        with self._changed:
            return sum(map(len, self._queues.values()))

    def items(self) -> list[T]:
        """All items, in no order."""
        with self._changed:
            return [item for queue in self._queues.values() for item in queue]

    def waiting(self, client: str) -> int:
        """How many items of a client are queued."""
        with self._changed:
            return len(self._queues.get(client, ()))

    def put(self, client: str, item: T) -> None:
        """Append an item to its client's queue."""
        with self._changed:
            self._queues.setdefault(client, deque()).append(item)
            self._changed.notify()

    def take(self) -> T | None:
        """Wait for the next item and remove it; None once the queue is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._queues or self._closed)
            if self._closed:
                return None
            client = next(iter(self._queues))
            queue = self._queues.pop(client)
            item = queue.popleft()
            if queue:
                self._queues[client] = queue  # back in, behind all other clients
            return item

    def remove(self, client: str, item: T) -> None:
        """Remove an item, if it is queued."""
        with self._changed:
            queue = self._queues.get(client, deque())
            if item in queue:
                queue.remove(item)
            if not queue:
                self._queues.pop(client, None)

    def close(self) -> None:
        """Wake every waiting :meth:`take` with None; what is queued stays queued."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


class TaskTimes:
    """Seconds per question of each task, as the last job of that task took. Thread-safe."""

    def __init__(self) -> None:
        self._seconds: dict[Task, float] = {}

    def timed(self, task: Task, events: Iterator[Event]) -> Generator[Event, None, None]:
        """Pass a job's events on and time its chips; a cancelled job counts for the chips it finished."""
        began, questions = time.monotonic(), 1
        for event in events:
            if isinstance(event, Started):
                began, questions = time.monotonic(), max(1, len(event.run.targets))
            elif isinstance(event, Progress) and event.done:
                self._seconds[task] = (time.monotonic() - began) / (event.done * questions)
            yield event

    def estimate(self, task: Task, questions: int) -> float | None:
        """Seconds that so many questions would take; None before the first job of that task."""
        seconds = self._seconds.get(task)
        return None if seconds is None else round(seconds * questions, 1)


class Jobs:
    """All jobs, and the threads that run them."""

    def __init__(
        self,
        journal: Journal,
        run: Callable[[Job], Generator[Event, None, None]],
        prepare: Callable[[], object],
        options: Options,
        *,
        lasting: bool = True,
    ) -> None:
        """The jobs of a journal; :meth:`start` resumes those that have not ended.

        Args:
            journal: Where they are kept; closed by :meth:`join`.
            run: Runs one job; checks ``job.cancelled`` at each token and raises Cancelled once it is true.
            prepare: Called once in a thread of its own, to load the model; jobs wait until it returns.
            options: How many jobs run at a time, and how long those that have ended are kept.
            lasting: Whether the journal outlives the server. If not, :meth:`close` cancels every job.
        """
        self.journal = journal
        self._run = run
        self._prepare = prepare
        self._keep_s, self._hold = options.keep_results_s, options.hold_jobs
        self._lasting = lasting
        self._live = {record.id: Job(record, journal) for record in journal.unfinished()}
        self._queue: FairQueue[Job] = FairQueue()
        self._lock = threading.Lock()
        self._prepared = threading.Event()
        self._closing = threading.Event()
        # Daemons: a forward pass that cannot be interrupted must not keep a dead server's process alive.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(options.jobs)]
        self._threads.append(threading.Thread(target=self._sweep, daemon=True))

    def start(self) -> None:
        """Queue the jobs that an earlier server left unfinished, or hold them, and start the threads."""
        for job in self.live():
            if job.record.status == "dismissed":
                job.end("dismissed", CANCELLED)
            elif self._hold:
                job.pause()
            elif not job.is_pausing:
                self._queue.put(job.record.client, job)
        for thread in (threading.Thread(target=self._make_ready, daemon=True), *self._threads):
            thread.start()

    def close(self) -> None:
        """Stop every job and let the threads end; safe to call twice."""
        self._closing.set()
        self._queue.close()
        for job in self.live():
            if self._lasting:
                job.leave()
            else:
                with suppress(JournalError):  # nobody will read it
                    job.cancel()

    def join(self, timeout_s: float) -> bool:
        """Wait for the threads after :meth:`close`, then close the journal; false if one is still running."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return False
        for job in self.live():
            self._release(job)  # the last chance to write ends that a full disk refused
        self.journal.close()
        return True

    def submit(self, submitter: Submitter, inputs: str) -> Job:
        """Queue a request, given as JSON. Raises Busy, JournalError."""
        client, account = submitter.client, submitter.account
        with self._lock:
            if self._closing.is_set():
                raise Busy("the server is shutting down; start it again")
            idle = [job for job in self._live.values() if job.record.status in ("accepted", "paused")]
            if len(idle) >= QUEUE_LIMIT:
                raise Busy(f"{QUEUE_LIMIT} jobs are waiting already; try again when some are done")
            waiting = sum(job.account == account for job in idle)
            if self._queue.waiting(client) >= CLIENT_LIMIT or waiting >= ACCOUNT_LIMIT:
                raise Busy("too many of your jobs are waiting already; try again when some are done")
            record = new_record(client, inputs)
            self.journal.add(record)
            job = self._live[record.id] = Job(record, self.journal, account)
            self._queue.put(client, job)
        return job

    def get(self, job_id: str) -> Job | None:
        """The job of an id; None if it never existed or was deleted."""
        with self._lock:
            if job_id in self._live:
                return self._live[job_id]
        record = self.journal.find(job_id)
        return Job(record, self.journal) if record else None

    def recent(self, limit: int, offset: int = 0) -> list[Job]:
        """Jobs, newest first."""
        found = [Job(record, self.journal) for record in self.journal.recent(limit, offset)]
        with self._lock:
            return [self._live.get(job.id, job) for job in found]

    def live(self) -> list[Job]:
        """The jobs that wait or run, oldest first; the scenes they name must not be deleted."""
        with self._lock:
            return list(self._live.values())

    def counts(self) -> dict[str, int]:
        """The number of jobs of each status."""
        live = [job.record.status for job in self.live()]
        here = ("running", "accepted", "paused")
        return self.journal.counts() | {status: live.count(status) for status in here}

    def pause(self, job: Job) -> None:
        """Pause a job that has not ended. Raises JournalError, and the job goes on."""
        with self._lock:
            job.pause()
            self._queue.remove(job.record.client, job)

    def resume(self, job: Job) -> None:
        """Queue a paused job again; its chips that are answered are not asked about again. Raises JournalError."""
        with self._lock:
            if job.resume():
                self._queue.put(job.record.client, job)

    def dismiss(self, job: Job) -> None:
        """Cancel a job that has not ended; delete one that has.

        Raises JournalError if that cannot be written: the job does not run on, but the next server would run it again.
        """
        try:
            if job.record.finished:
                self.journal.delete(job.id)
            else:
                self._queue.remove(job.record.client, job)
                job.cancel()
                self._release(job)
                return
        except JournalError as error:
            raise JournalError(
                f"the job is stopped, but that cannot be written, so a restart would run it again ({error}); "
                "free some space, then delete it again"
            ) from error
        with self._lock:
            self._live.pop(job.id, None)

    def _release(self, job: Job) -> None:
        """Drop an ended job from memory, once its end is in the journal."""
        if job.settle():
            with self._lock:
                self._live.pop(job.id, None)

    def _make_ready(self) -> None:
        try:
            self._prepare()
        except Exception:
            logger.exception("preparing failed; the first job will report why")
        self._prepared.set()

    def _work(self) -> None:
        while not self._prepared.wait(PREPARED_S):
            if self._closing.is_set():
                return
        while (job := self._queue.take()) is not None:
            if job.begin():
                ended = self._execute(job)
                if ended is not None and not job.left:
                    job.end(*ended)
                elif ended is None and not job.park():
                    self._queue.put(job.record.client, job)
            self._release(job)

    def _execute(self, job: Job) -> tuple[End, str] | None:
        """Run a job; how it ended, and the message for the user; None if it was paused."""
        try:
            job.check_tries()
            with closing(self._run(job)) as events:
                for event in events:
                    job.take(event)
                    if job.is_pausing and not isinstance(event, Finished):
                        return None
        except Cancelled:  # a search stops in mid-step for a pause, too
            return ("dismissed", CANCELLED) if job.cancelled() else None
        except FusarError as error:
            return "failed", str(error)
        except Exception as error:  # the worker thread must survive a bug in one job
            logger.exception("job %s failed", job.id)
            return "failed", unexpected(error)
        return "successful", "Done."

    def _sweep(self) -> None:
        """Every minute delete the jobs that are too old, and retry to journal ends that a full disk refused."""
        while not self._closing.is_set():
            for job in self.live():
                self._release(job)
            try:
                for job in self.live():
                    if job.paused_s > self._keep_s:
                        self.dismiss(job)
                self.journal.delete_older(self._keep_s)
            except JournalError as error:
                logger.warning("old jobs cannot be deleted: %s", error)
            self._closing.wait(min(SWEEP_S, self._keep_s))

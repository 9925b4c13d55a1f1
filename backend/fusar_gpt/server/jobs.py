"""All jobs of a server: those that wait take turns by client, some run at a time, the rest is in the journal."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator

from fusar_gpt.contract import Event
from fusar_gpt.errors import Cancelled, FusarError
from fusar_gpt.server.job import CANCELLED, End, Job, new_record
from fusar_gpt.server.journal import Journal, JournalError
from fusar_gpt.server.options import Options
from fusar_gpt.server.turns import Turns

QUEUE_LIMIT = 256
CLIENT_LIMIT = 64
SWEEP_S = 60.0
PREPARED_S = 0.1

logger = logging.getLogger(__name__)


class Busy(FusarError):  # noqa: N818 - a state, not a fault
    """The queue is full, or the server is going down."""


class Jobs:
    """All jobs, and the threads that run them."""

    def __init__(
        self,
        journal: Journal,
        run: Callable[[Job], Iterator[Event]],
        prepare: Callable[[], object],
        options: Options,
        *,
        lasting: bool = True,
    ) -> None:
        """The jobs of a journal; those that have not ended are taken up again by :meth:`start`.

        Args:
            journal: Where they are kept; closed by :meth:`join`.
            run: Runs one; looks at ``job.cancelled`` at each token and raises Cancelled once it is true.
            prepare: Loads the model, say; jobs wait for it.
            options: How many run at a time, and how long those that have ended are kept.
            lasting: Whether the journal outlives the server. If not, :meth:`close` cancels every job.
        """
        self.journal = journal
        self._run = run
        self._prepare = prepare
        self._keep_s = options.keep_results_s
        self._lasting = lasting
        self._live = {record.id: Job(record, journal) for record in journal.unfinished()}
        self._turns: Turns[Job] = Turns()
        self._lock = threading.Lock()
        self._prepared = threading.Event()
        self._closing = threading.Event()
        # Daemons: a forward pass that cannot be interrupted must not keep a dead server's process alive.
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(options.jobs)]
        self._threads.append(threading.Thread(target=self._sweep, daemon=True))

    def start(self) -> None:
        """Take up what an earlier server has left, and start to work."""
        for job in self.live():
            if job.record.status == "dismissed":
                job.end("dismissed", CANCELLED)
            else:
                self._turns.put(job.record.client, job)
        for thread in (threading.Thread(target=self._make_ready, daemon=True), *self._threads):
            thread.start()

    def close(self) -> None:
        """Stop every job and let the workers run out; safe to call twice."""
        self._closing.set()
        self._turns.close()
        for job in self.live():
            if self._lasting:
                job.leave()
            else:
                job.cancel()

    def join(self, timeout_s: float) -> bool:
        """Wait for the workers after :meth:`close`, then close the journal; false where one is still at work."""
        until = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            return False
        self.journal.close()
        return True

    def submit(self, client: str, inputs: str) -> Job:
        """Queue an order, given as JSON. Raises Busy, JournalError."""
        with self._lock:
            if self._closing.is_set():
                raise Busy("the server is shutting down; start it again")
            if len(self._turns) >= QUEUE_LIMIT or self._turns.waiting(client) >= CLIENT_LIMIT:
                raise Busy("too many jobs are waiting already; try again when some are done")
            record = new_record(client, inputs)
            self.journal.add(record)
            job = self._live[record.id] = Job(record, self.journal)
            self._turns.put(client, job)
        return job

    def get(self, job_id: str) -> Job | None:
        """The job, or None where there is none or it was forgotten."""
        with self._lock:
            if job_id in self._live:
                return self._live[job_id]
        record = self.journal.find(job_id)
        return Job(record, self.journal) if record else None

    def recent(self, limit: int, offset: int = 0) -> list[Job]:
        """Jobs, the newest first."""
        found = [Job(record, self.journal) for record in self.journal.recent(limit, offset)]
        with self._lock:
            return [self._live.get(job.id, job) for job in found]

    def live(self) -> list[Job]:
        """The jobs that wait or run, the oldest first; what they need must stay."""
        with self._lock:
            return list(self._live.values())

    def counts(self) -> dict[str, int]:
        """How many jobs there are of each status."""
        counts = self.journal.counts()
        counts["running"] = sum(job.record.status == "running" for job in self.live())
        counts["accepted"] = sum(job.record.status == "accepted" for job in self.live())
        return counts

    def dismiss(self, job: Job) -> None:
        """Cancel a job that has not ended; forget one that has. Raises JournalError."""
        if job.record.finished:
            with self._lock:
                self._live.pop(job.id, None)
            self.journal.forget(job.id)
            return
        self._turns.remove(job.record.client, job)
        job.cancel()
        self._let_go(job)

    def _let_go(self, job: Job) -> None:
        """Drop a job that has ended from memory, once the journal has its end."""
        if job.settle():
            with self._lock:
                self._live.pop(job.id, None)

    def _make_ready(self) -> None:
        try:
            self._prepare()
        except Exception:
            logger.exception("preparing failed; the first job will say why")
        self._prepared.set()

    def _work(self) -> None:
        while not self._prepared.wait(PREPARED_S):
            if self._closing.is_set():
                return
        while (job := self._turns.take()) is not None:
            if job.begin():
                status, message = self._execute(job)
                if not job.left:
                    job.end(status, message)
            self._let_go(job)

    def _execute(self, job: Job) -> tuple[End, str]:
        """Run a job; how it ended."""
        try:
            job.check_tries()
            for event in self._run(job):
                job.take(event)
        except Cancelled:
            return "dismissed", CANCELLED
        except FusarError as error:
            return "failed", str(error)
        except Exception as error:  # the worker must outlive a fault in one job
            logger.exception("job %s failed", job.id)
            return "failed", f"unexpected {type(error).__name__}; the server's log says more"
        return "successful", "Done."

    def _sweep(self) -> None:
        """Now and then, forget what is too old and write down the ends that the disk had no room for."""
        while not self._closing.is_set():
            for job in self.live():
                self._let_go(job)
            try:
                self.journal.forget_older(self._keep_s)
            except JournalError as error:
                logger.warning("cannot forget old jobs: %s", error)
            self._closing.wait(min(SWEEP_S, self._keep_s))

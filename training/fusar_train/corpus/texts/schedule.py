"""The order of asking: a slice after those that hold it (HCoT-MIS, FUSAR-KLIP eq. 1-3), as many as wanted at once."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from fusar_train.corpus.record import Record
from fusar_train.corpus.texts.sub_texts import KEY_SETS


@dataclass(frozen=True)
class Job:
    """One slice to be described by one key set."""

    record: Record
    keys: str

    @property
    def key(self) -> tuple[str, str]:
        """The record's id and the key set."""
        return self.record.id, self.keys


@dataclass
class Schedule:
    """Hands out jobs as they become ready.

    Records are read when no job is ready, so that those in memory are the ones that wait for a slice in flight.

    Args:
        records: In any order; least wait where parents come before their children.
        parents: The id of the slice that holds another, for all slices, also those without a record.
        undone: The jobs to do, by record id and key set.
    """

    records: Iterator[Record]
    parents: Mapping[str, str]
    undone: set[tuple[str, str]]
    _ready: deque[Job] = field(default_factory=deque)
    _waiting: dict[tuple[str, str], list[Job]] = field(default_factory=lambda: defaultdict(list))
    _out: set[tuple[str, str]] = field(default_factory=set)

    def next(self) -> Job | None:
        """A job whose larger slices are done; None when all others wait for one that is out, or none is left."""
        while not self._ready and (record := next(self.records, None)):
            for keys in KEY_SETS:
                if (record.id, keys) in self.undone:
                    self._place(Job(record, keys))
        if not self._ready and not self._out:  # parents that wait for each other: bad input
            self._ready.extend(job for jobs in self._waiting.values() for job in jobs)
            self._waiting.clear()
        if not self._ready:
            return None
        job = self._ready.popleft()
        self._out.add(job.key)
        return job

    def finish(self, job: Job) -> None:
        """The job is done, or given up: those that waited for it need not any longer."""
        self._out.discard(job.key)
        self.undone.discard(job.key)
        for waiting in self._waiting.pop(job.key, ()):
            self._place(waiting)

    def ancestors(self, record_id: str) -> Iterator[str]:
        """The slices that hold another, the smallest first."""
        seen = {record_id}
        while (parent := self.parents.get(record_id)) is not None and parent not in seen:
            seen.add(parent)
            yield parent
            record_id = parent

    def _place(self, job: Job) -> None:
        """The nearest larger slice that is still to be described decides."""
        for parent in self.ancestors(job.record.id):
            if (parent, job.keys) in self.undone:
                self._waiting[parent, job.keys].append(job)
                return
        self._ready.append(job)

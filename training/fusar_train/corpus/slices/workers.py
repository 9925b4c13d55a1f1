"""Work in processes of its own: bounded, and one that dies costs the task that it had in hand, no more."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import chain
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from fusar_gpt.errors import FusarError
from fusar_train.corpus.errors import CorpusError

Task = TypeVar("Task")

AHEAD = 2
"""Tasks that a process is given at once: the second waits, so that it need not."""

MOST_DEATHS = 5
"""Processes that die one after the other, while none does a task."""

_END_S = 3.0
"""How long a process may take to end."""

Say = Callable[[str], None]
Do = Callable[[Any, Any, Say], Any]
"""Does a task. Takes it, the next one if it is known yet, and what takes lines for the user."""


@dataclass(frozen=True)
class Died:
    """A process ended in the middle of a task."""

    reason: str


@dataclass
class _Worker(Generic[Task]):
    process: Any
    pipe: Connection
    given: deque[Task] = field(default_factory=deque)

    def give(self, task: Task) -> None:
        self.given.append(task)
        with suppress(OSError):  # it has died, which is found out when it is listened to
            self.pipe.send(task)


def in_processes(
    tasks: Iterable[Task], jobs: int, begin: Callable[[], Do], tell: Say
) -> Iterator[tuple[Task, Any | FusarError | Died]]:
    """Does tasks in ``jobs`` processes, and gives each with what came of it, in the order in which they are done.

    Tasks are taken as they are needed. Processes end when the caller stops listening, or ends in whatever way.

    Args:
        tasks: They are sent to a process, as are results: they must pickle.
        jobs: Processes, at least one.
        begin: Called in each process once; returns what does a task. Functions of modules pickle.
        tell: Takes the lines that processes say.

    Raises:
        CorpusError: One process after the other dies.
    """
    coming: Iterator[Task] = iter(tasks)
    crew: list[_Worker[Task]] = []
    deaths = 0
    try:
        while True:
            coming = _hand_out(coming, crew, jobs, begin)
            if not any(worker.given for worker in crew):
                return
            for pipe in wait([worker.pipe for worker in crew]):
                worker = next(one for one in crew if one.pipe is pipe)
                kind, content = _heard(worker)
                if kind == "said":
                    tell(content)
                    continue
                given = worker.given
                done_or_lost = [given.popleft()] if given else []
                deaths = 0 if kind == "done" else deaths + 1
                if kind == "died":
                    crew.remove(worker)
                    coming = chain(given, coming)
                if deaths > MOST_DEATHS:
                    raise CorpusError(
                        f"One process after the other dies ({content.reason}): see what they said."
                    )
                yield from ((task, content) for task in done_or_lost)
    finally:
        for worker in crew:
            worker.process.terminate()
        for worker in crew:
            _ended(worker)


def _hand_out(
    coming: Iterator[Task], crew: list[_Worker[Task]], jobs: int, begin: Callable[[], Do]
) -> Iterator[Task]:
    """Gives tasks to those that have too few, and begins processes for them; returns the tasks that are left."""
    while (short := _shortest(crew, jobs)) is not None:
        for task in coming:
            if short < 0:
                crew.append(_started(begin, jobs))
            crew[short].give(task)
            break
        else:
            break
    return coming


def _heard(worker: _Worker[Any]) -> tuple[str, Any]:
    """What a process says next: a line ("said"), a result ("done"), or that it is no more ("died")."""
    try:
        said: tuple[str, Any] = worker.pipe.recv()
    except (EOFError, OSError):
        return "died", Died(_ended(worker))
    return said


def _shortest(crew: list[_Worker[Any]], jobs: int) -> int | None:
    """The place in the crew of who has least to do, -1 for one who is yet to come; None where all have enough."""
    if crew:
        least = min(range(len(crew)), key=lambda index: len(crew[index].given))
        if not crew[least].given or (len(crew) == jobs and len(crew[least].given) < AHEAD):
            return least
    return -1 if len(crew) < jobs else None


def _started(begin: Callable[[], Do], jobs: int) -> _Worker[Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, begin), daemon=True)
    with _few_threads(jobs), _deaf():
        process.start()
    theirs.close()  # or else its end would never be noticed
    return _Worker(process, ours)


def _ended(worker: _Worker[Any]) -> str:
    """Waits until a process has ended, and says how it did."""
    worker.process.join(_END_S)
    if worker.process.exitcode is None:
        worker.process.kill()
        worker.process.join()
    worker.pipe.close()
    code = worker.process.exitcode
    if code >= 0:
        return f"its process ended with {code}"
    return f"its process was ended by signal {-code}" + (
        ", perhaps out of memory" if code == -signal.SIGKILL else ""
    )


@contextmanager
def _few_threads(jobs: int) -> Iterator[None]:
    """What a process's arithmetic takes by itself: all of them together as many threads as there are cores."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = before or str(max((os.cpu_count() or 1) // jobs, 1))
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that begins here does not hear Ctrl-C, not even before its first line: its giver will end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(pipe: Connection, begin: Callable[[], Do]) -> None:
    """The life of a process: does what comes down the pipe until it is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who gives the tasks, and ends this one
    threading.Thread(target=_end_with_parent, daemon=True).start()
    do, following = begin(), deque[Any]()
    with suppress(EOFError, BrokenPipeError):
        while True:
            task = following.popleft() if following else pipe.recv()
            while pipe.poll():
                following.append(pipe.recv())
            try:
                came = do(task, following[0] if following else None, lambda line: pipe.send(("said", line)))
            except FusarError as error:
                came = error
            except MemoryError:
                came = Died("there is not enough memory: give fewer --jobs, or a smaller --max-px")
            pipe.send(("done", came))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

"""The processes of an experiment: one a run, some at a time, each with a log; they end when the command does."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from fusar_gpt.errors import OutputError

LOG_FILE = "log.txt"
MOST_JOBS = 4
"""Runs at once by default, where there are as many cores."""
_POLL_S = 0.2

Child = subprocess.Popen[bytes]
Run = TypeVar("Run")


def cores() -> int:
    """The processor cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Log:
    """Lines with their time, on stderr and in ``log.txt``."""

    def __init__(self, out: Path) -> None:
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"Cannot make {out}: {error.strerror}. Give another --out.") from error
        self._path = out / LOG_FILE

    def say(self, text: str) -> None:
        """Writes a line."""
        line = f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}"
        print(line, file=sys.stderr, flush=True)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def opened(module: str, arguments: Sequence[str], log: Path, threads: int) -> Child:
    """A process of a Python module that calls ``end_with_parent``; what it says goes to the end of ``log``."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with log.open("ab") as said:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=said,
            stderr=said,
            env=environment,
        )


def close(child: Child) -> None:
    """Ends a process, if it has not ended, and forgets it."""
    child.terminate()
    child.wait()
    if child.stdin:
        child.stdin.close()


def reason(log: Path, status: int) -> str:
    """The last line that a failed process said, or what ended it."""
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.is_file() else []
    said = [line.strip() for line in lines if line.strip()]
    if status < 0:
        return f"it was ended by signal {-status} (9: perhaps out of memory); its log is {log}"
    return f"{said[-1][:300]} (log: {log})" if said else f"it ended with {status} and said nothing"


def statuses(
    runs: Sequence[Run], jobs: int, begin: Callable[[Run], Child], until: float | None = None
) -> Iterator[tuple[Run, int]]:
    """Carries out runs, some at a time; gives each with its exit status when it ends.

    Args:
        runs: In the order in which they begin.
        jobs: Most of them at once.
        begin: Starts the process of a run.
        until: Time of ``time.monotonic`` at which those that are going are ended, and no others begun.
    """
    waiting = list(reversed(runs))
    going: list[tuple[Run, Child]] = []
    try:
        while (waiting or going) and (until is None or time.monotonic() < until):
            while waiting and len(going) < jobs:
                run = waiting.pop()
                going.append((run, begin(run)))
            for one in [one for one in going if one[1].poll() is not None]:
                going.remove(one)
                close(one[1])
                yield one[0], one[1].returncode
            time.sleep(_POLL_S)
    finally:
        for _, child in going:
            close(child)


def end_with_parent() -> None:
    """Ends this process when the one that started it is gone, however it went: its end of stdin closes then."""

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()

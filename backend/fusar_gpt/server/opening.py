"""Untrusted rasters are opened first in processes of their own: one that makes GDAL wait or crash costs only that.

A process is started once and opens one file after the other, so that an opening costs no import. It has the drivers of
:mod:`fusar_gpt.imagery.raster_policy` and no others, no sockets (Linux), and a limit of memory; one that takes longer
than its limit is killed. The server itself opens only what passed there.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import rasterio

import fusar_gpt
from fusar_gpt.errors import FusarError, SceneError
from fusar_gpt.imagery.inspection import MEMORY, READY, Described
from fusar_gpt.imagery.raster_policy import DRIVERS, NO_NETWORK
from fusar_gpt.server.jobs import Busy

LIMIT_S = 30.0
"""Seconds that an opening may take, its samples included."""
WAIT_S = 5.0
"""Seconds that a file waits for a process: the thread that waits is one that other requests need."""
START_S = 120.0
MOST_PROCESSES = 8
IDLE_PROCESSES = 4
"""Processes that are kept while nothing is opened."""

_COMMAND = "from fusar_gpt.imagery.inspection import main; main()"


class OpeningPool:
    """The processes that open files. Thread-safe: files are opened side by side, and none waits for one that hangs."""

    def __init__(self, limit_s: float = LIMIT_S) -> None:
        """No process is started before the first file, or :meth:`warm`; each opening may take ``limit_s``."""
        self.limit_s = limit_s
        self._idle: list[_Process] = []
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(MOST_PROCESSES)

    def check(self, path: Path) -> None:
        """Open a file under a root with its sidecars.

        Raises:
            SceneError: It may not be opened, or cannot be in time.
            Busy: Too many are being opened.
        """
        self._ask(path, "check")

    def describe(self, path: Path) -> Described:
        """The properties of an uploaded scene, which is sampled whole; nothing beside it is read.

        Raises:
            SceneError, Busy: As :meth:`check`.
        """
        return Described(**self._ask(path, "describe"))

    def warm(self) -> None:
        """Start a process, unless one is idle."""
        with suppress(FusarError):
            self._give_back(self._take())

    def close(self) -> None:
        """End the idle processes; others end with their file."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.close()

    def _ask(self, path: Path, question: str) -> dict[str, Any]:
        process = self._take()
        try:
            answer = process.ask({"path": str(path), "question": question}, self.limit_s)
        finally:
            self._give_back(process)
        if answer is None:
            raise SceneError(
                f"'{path.name}' cannot be opened within {self.limit_s:g} s and {MEMORY // 2**30} GiB of memory, "
                "or it is damaged: convert it to a tiled GeoTIFF (gdal_translate -co TILED=YES)"
            )
        if "refused" in answer:
            raise SceneError(answer["refused"])
        return answer

    def _take(self) -> _Process:
        if not self._slots.acquire(timeout=WAIT_S):
            raise Busy("too many scenes are being opened; try again in a moment")
        try:
            with self._lock:
                while self._idle:
                    if (process := self._idle.pop()).alive:
                        return process
                    process.close()
            return _Process(_environment())
        except BaseException:
            self._slots.release()
            raise

    def _give_back(self, process: _Process) -> None:
        with self._lock:
            kept = process.alive and len(self._idle) < IDLE_PROCESSES
            if kept:
                self._idle.append(process)
        if not kept:
            process.close()
        self._slots.release()


class _Process:
    """A process that opens one file at a time."""

    def __init__(self, environment: dict[str, str]) -> None:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self._child = subprocess.Popen(
            [sys.executable, "-c", _COMMAND],
            stdin=pipe,
            stdout=pipe,
            stderr=null,
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        if self._line(START_S) != READY:
            self.close()
            raise SceneError("the server cannot start the process that opens scenes: ask its owner")

    @property
    def alive(self) -> bool:
        """Whether it can open another file."""
        return self._child.poll() is None

    def ask(self, request: dict[str, str], limit_s: float) -> dict[str, Any] | None:
        """The answer to a request; None if there is none in time. The process is dead then."""
        try:
            self._child.stdin.write(json.dumps(request | {"limit_s": str(limit_s)}).encode() + b"\n")  # type: ignore[union-attr]
            self._child.stdin.flush()  # type: ignore[union-attr]
            line = self._line(limit_s)
        except OSError:
            line = b""
        if not line.endswith(b"\n"):
            self.close()
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _line(self, limit_s: float) -> bytes:
        """The next line that it writes; short or empty if it is killed after its limit, or dies."""
        timer = threading.Timer(limit_s, self._child.kill)
        timer.daemon = True
        timer.start()
        try:
            return self._child.stdout.readline()  # type: ignore[union-attr]
        finally:
            timer.cancel()

    def close(self) -> None:
        """Kill it: it holds nothing that must be saved."""
        self._child.kill()
        for stream in (self._child.stdin, self._child.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self._child.wait()


@cache
def _environment() -> dict[str, str]:
    """Of the processes: GDAL forgets all drivers but the allowed ones, and PROJ and GDAL call nobody."""
    with rasterio.Env() as gdal:
        others = sorted(set(gdal.drivers()) - {*DRIVERS, "MEM"})
    skipped = ",".join([*others, *filter(None, [os.environ.get("GDAL_SKIP")])])
    package = str(Path(fusar_gpt.__file__).parents[1])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    quiet = {"GDAL_SKIP": skipped, "GDAL_DRIVER_PATH": "disable", "PROJ_NETWORK": "OFF", **NO_NETWORK}
    small = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "GDAL_NUM_THREADS"), "1")
    return {**os.environ, **quiet, **small, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


OPENINGS = OpeningPool()
"""The pool of this process."""
atexit.register(OPENINGS.close)

"""One backend child for all Processing algorithms of this process, without an event loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qgis.PyQt.QtCore import QCoreApplication, QProcess

from ..core.endpoint import Endpoint, EndpointError, read_ready_line
from .child import STOP_MS, clean_environment, end, serve_command

translate = QCoreApplication.translate

_START_S = 120.0
_POLL_MS = 100
_IDLE_S = 300.0
_TAIL = 4000


class ChildError(Exception):
    """The child could not start; the message says why and what to do."""


class SharedChild:
    """Runs ``fusar serve --child`` in a thread of its own, from the first lease to ``end`` or long idleness.

    Its QProcess lives in that thread alone, so that algorithms in any thread may share the backend. The backend
    ends by itself when this process dies, because its standard input closes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._command: list[str] = []
        self._running: _Running | None = None
        self._elsewhere: Callable[[], Endpoint | None] | None = None

    def look_at(self, elsewhere: Callable[[], Endpoint | None] | None) -> None:
        """Have ``elsewhere`` say where the toolbar's child is, so that no second model is loaded beside it."""
        self._elsewhere = elsewhere

    def toolbars(self) -> Endpoint | None:
        """Return the address of the toolbar's child, if it runs; to be called in the GUI thread."""
        return self._elsewhere() if self._elsewhere is not None else None

    @contextmanager
    def lease(self, executable: str, model: str, stopped: Callable[[], bool]) -> Iterator[Endpoint | None]:
        """Give the child's endpoint, or None where ``stopped`` said so first; it lives at least until the exit.

        Args:
            executable: The ``fusar`` to run.
            model: The checkpoint; empty means the backend's own.
            stopped: Whether nobody waits any more.

        Raises:
            ChildError: It could not start.
        """
        command = serve_command(executable, model)
        with self._lock:
            if self._running is None or not self._running.is_alive() or command != self._command:
                if self._running is not None:
                    self._running.leave()
                self._command, self._running = command, _Running(command)
                self._running.start()
            running = self._running
            running.leases += 1
        try:
            yield running.endpoint(stopped)
        finally:
            with self._lock:
                running.leases -= 1
                running.idle_since = time.monotonic()

    def end(self) -> None:
        """End the child; it is gone when this returns."""
        with self._lock:
            running, self._running = self._running, None
        if running is not None:
            running.leave()
            running.join(4 * STOP_MS / 1000)


class _Running(threading.Thread):
    """One child, from start to end."""

    def __init__(self, command: list[str]) -> None:
        super().__init__(name="FUSAR-GPT backend", daemon=True)
        self.leases = 0
        self.idle_since = time.monotonic()
        self._command = command
        self._over = threading.Event()
        self._ready = threading.Event()
        self._endpoint: Endpoint | None = None
        self._reason = ""

    def leave(self) -> None:
        """Have it end."""
        self._over.set()

    def endpoint(self, stopped: Callable[[], bool]) -> Endpoint | None:
        """Wait for the ready line; None where ``stopped`` came first. Raises ChildError."""
        while not self._ready.wait(_POLL_MS / 1000):
            if stopped():
                return None
        if self._endpoint is None:
            raise ChildError(
                translate(
                    "Processing",
                    "The FUSAR-GPT backend could not start: {reason}. Run “fusar doctor” in a terminal.",
                ).format(reason=self._reason.rstrip(".") or translate("Processing", "no reason given"))
            )
        return self._endpoint

    def run(self) -> None:
        """Start the process, keep its pipes empty, end it."""
        process = QProcess()
        process.setProcessEnvironment(clean_environment())
        process.start(self._command[0], self._command[1:])
        out, err, until = b"", b"", time.monotonic() + _START_S
        while not self._over.is_set() and not process.waitForFinished(_POLL_MS):
            out += bytes(process.readAllStandardOutput())
            err = (err + bytes(process.readAllStandardError()))[-_TAIL:]
            if process.state() == QProcess.ProcessState.NotRunning or self._is_idle():
                break
            if not self._ready.is_set():
                self._read(out)
                if not self._ready.is_set() and time.monotonic() > until:
                    self._reason = translate("Processing", "it did not answer within two minutes")
                    break
        if not self._ready.is_set():
            err += bytes(process.readAllStandardError())
            lines = err.decode("utf-8", "replace").strip().splitlines()
            self._reason = self._reason or (lines[-1] if lines else process.errorString())
            self._ready.set()
        end(process)

    def _read(self, out: bytes) -> None:
        line, newline, _ = out.partition(b"\n")
        if not newline:
            return
        try:
            self._endpoint = read_ready_line(line)
        except EndpointError as error:
            self._reason = str(error)
        self._ready.set()

    def _is_idle(self) -> bool:
        return not self.leases and time.monotonic() - self.idle_since > _IDLE_S

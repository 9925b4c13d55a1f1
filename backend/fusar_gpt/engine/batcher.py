"""An engine that runs the requests of many threads together on another one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from fusar_gpt.engine.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never
from fusar_gpt.errors import Cancelled, FusarError

_WAIT_S = 0.02  # how often a waiting call checks whether it was cancelled

Ticket = tuple["_Call", int]
"""One request: its call, and its index in the call's list."""


class Batcher(EngineWrapper):
    """Collects the requests of any number of threads and runs them on one engine, from one worker thread.

    Scheduling is round robin over the calls, one request each, so a long list does not delay a short one. A
    call that is cancelled or fails does not affect the others.
    """

    def __init__(self, engine: Engine, max_batch: int | None = None, max_wait_s: float = 0.01) -> None:
        """Start the worker.

        Args:
            engine: The engine to run; nothing else should use it meanwhile.
            max_batch: The most requests given to it at once; None is the engine's own batch size.
            max_wait_s: How long the first request of a batch waits for more requests.
        """
        if max_wait_s < 0 or (max_batch is not None and max_batch < 1):
            raise ValueError(
                f"max_batch must be at least 1 and max_wait_s at least 0, not {max_batch} and {max_wait_s}"
            )
        super().__init__(engine)
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._calls: deque[_Call] = deque()  # those with waiting requests, the next one to serve first
        self._changed = threading.Condition()
        self._closed = threading.Event()
        # A daemon: a forward pass that cannot be interrupted must not keep a process alive.
        self._worker = threading.Thread(target=self._work, name="fusar-batcher", daemon=True)
        self._worker.start()

    def __enter__(self) -> Batcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`, together with the requests of other threads.

        ``on_text`` is called from the worker thread. Raises Cancelled soon after ``cancelled()`` is true,
        FusarError when the batcher is closed, and what the engine raises for these requests.
        """
        call = _Call(requests, on_text)
        with self._changed:
            if self._closed.is_set():
                raise _closed_error()
            if requests:
                self._calls.append(call)
                self._changed.notify_all()
        while requests and not call.over.wait(_WAIT_S):
            if cancelled():
                call.end(Cancelled("stopped by the user"))
        return call.result()

    def close(self, timeout_s: float = 10.0) -> None:
        """End all calls with an error and stop at the next token; safe to call twice."""
        with self._changed:
            self._closed.set()
            for call in self._calls:
                call.end(_closed_error())
            self._calls.clear()
            self._changed.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join(timeout_s)

    def _work(self) -> None:
        while tickets := self._collect():
            self._run(tickets)

    def _collect(self) -> list[Ticket]:
        """The next batch, round robin; empty once the batcher is closed."""
        tickets: list[Ticket] = []
        with self._changed:
            while not tickets and not self._closed.is_set():
                self._changed.wait_for(lambda: self._calls or self._closed.is_set())
                most = self._max_batch or self._engine.batch_size
                until = time.monotonic() + self._max_wait_s
                while sum(call.left for call in self._calls) < most and not self._closed.is_set():
                    if not self._changed.wait(max(0.0, until - time.monotonic())):
                        break
                while self._calls and len(tickets) < most:
                    call = self._calls.popleft()
                    if call.left:
                        tickets.append((call, call.take()))
                        self._calls.append(call)
        return tickets

    def _run(self, tickets: list[Ticket]) -> None:
        """Answer a batch. If it fails, each call is run again on its own, so that only the faulty one fails."""
        lengths = [0] * len(tickets)  # characters of each answer so far

        def on_text(i: int, piece: str) -> None:
            call, index = tickets[i]
            lengths[i] += len(piece)
            call.report(index, piece, lengths[i])

        calls = {call: None for call, _ in tickets}
        try:
            replies = self._engine.answer(
                [call.request(index) for call, index in tickets],
                lambda: self._closed.is_set() or all(call.over.is_set() for call in calls),
                **({"on_text": on_text} if any(call.on_text for call in calls) else {}),
            )
        except Exception as error:  # noqa: BLE001 - raised in the caller's thread
            self._fail(tickets, list(calls), error)
        else:
            for (call, index), reply in zip(tickets, replies, strict=True):
                call.store(index, reply)

    def _fail(self, tickets: list[Ticket], calls: list[_Call], error: Exception) -> None:
        if self._closed.is_set():
            error = _closed_error()
        elif len(calls) > 1:
            for call in calls:
                if not call.over.is_set():
                    self._run([ticket for ticket in tickets if ticket[0] is call])
            return
        for call in calls:
            call.end(error)


class _Call:
    """One call of :meth:`Batcher.answer`: its requests and its replies so far, or its error."""

    def __init__(self, requests: Sequence[DecodeRequest], on_text: OnText | None) -> None:
        self.over = threading.Event()
        self.on_text = on_text
        self._requests = requests
        self._replies: list[Reply | None] = [None] * len(requests)
        self._reported = [0] * len(requests)
        self._taken = 0
        self._error: Exception | None = None
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """The number of requests not taken yet; 0 once the call is over."""
        return 0 if self.over.is_set() else len(self._requests) - self._taken

    def take(self) -> int:
        """The index of the next request."""
        self._taken += 1
        return self._taken - 1

    def request(self, index: int) -> DecodeRequest:
        """The request, which is aborted when the call is over."""
        request = self._requests[index]
        return replace(request, aborted=lambda: self.over.is_set() or request.aborted())

    def report(self, index: int, piece: str, end: int) -> None:
        """Give ``on_text`` a piece that ends at character ``end``, less what it was given before."""
        fresh = end - self._reported[index]
        if self.on_text is None or self.over.is_set() or fresh <= 0:
            return
        self._reported[index] = end
        try:
            self.on_text(index, piece[-fresh:])
        except Exception as error:  # noqa: BLE001 - raised in the caller's thread
            self.end(error)

    def store(self, index: int, reply: Reply) -> None:
        """Store a reply; the last one ends the call."""
        with self._lock:
            self._replies[index] = reply
            if None not in self._replies:
                self.over.set()

    def end(self, error: Exception) -> None:
        """End the call with an error, unless it is over already."""
        with self._lock:
            if not self.over.is_set():
                self._error = error
                self.over.set()

    def result(self) -> list[Reply]:
        """All replies, or the error."""
        if self._error is not None:
            raise self._error
        return [reply for reply in self._replies if reply is not None]


def _closed_error() -> FusarError:
    return FusarError("The engine was closed: open it again.")

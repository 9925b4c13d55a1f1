"""An engine that runs the requests of many callers together on another one."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from fusar_gpt.engine.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never
from fusar_gpt.errors import Cancelled, FusarError

_LOOK_S = 0.02  # how often a waiting caller looks whether it was cancelled

Ticket = tuple["_Call", int]
"""One request: whose it is, and its place in the caller's list."""


class Batcher(EngineWrapper):
    """Collects requests from any number of threads and hands them to one engine, which one worker runs.

    Callers take turns request by request, so a long list does not keep a short one waiting. A caller that
    cancels leaves; an error reaches the caller whose request made it; the others notice neither.
    """

    def __init__(self, engine: Engine, max_batch: int | None = None, max_wait_s: float = 0.01) -> None:
        """Start the worker.

        Args:
            engine: What answers; nobody else should use it meanwhile.
            max_batch: The most requests handed over at once; None is the engine's own batch.
            max_wait_s: How long the first request of a batch waits for company.
        """
        if max_wait_s < 0 or (max_batch is not None and max_batch < 1):
            raise ValueError(f"a batch of {max_batch} after {max_wait_s} s")
        super().__init__(engine)
        self._max_batch = max_batch
        self._max_wait_s = max_wait_s
        self._calls: deque[_Call] = deque()  # those with requests that wait; the next in turn comes first
        self._news = threading.Condition()
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
        """Answer all, in their order, together with what other threads ask.

        Raises Cancelled soon after ``cancelled()`` is true, FusarError when the batcher is closed, and what the
        engine raises for these requests. ``on_text`` is called from the worker's thread.
        """
        call = _Call(requests, on_text)
        with self._news:
            if self._closed.is_set():
                raise _closed_error()
            if requests:
                self._calls.append(call)
                self._news.notify_all()
        while requests and not call.over.wait(_LOOK_S):
            if cancelled():
                call.end(Cancelled("stopped by the user"))
        return call.result()

    def close(self, timeout_s: float = 10.0) -> None:
        """Turn waiting callers away and stop at the next token; safe to call twice."""
        with self._news:
            self._closed.set()
            for call in self._calls:
                call.end(_closed_error())
            self._calls.clear()
            self._news.notify_all()
        if threading.current_thread() is not self._worker:
            self._worker.join(timeout_s)

    def _work(self) -> None:
        while tickets := self._collect():
            self._run(tickets)

    def _collect(self) -> list[Ticket]:
        """The next batch, by turns; empty once the batcher is closed."""
        tickets: list[Ticket] = []
        with self._news:
            while not tickets and not self._closed.is_set():
                self._news.wait_for(lambda: self._calls or self._closed.is_set())
                most = self._max_batch or self._engine.batch_size
                until = time.monotonic() + self._max_wait_s
                while sum(call.left for call in self._calls) < most and not self._closed.is_set():
                    if not self._news.wait(max(0.0, until - time.monotonic())):
                        break
                while self._calls and len(tickets) < most:
                    call = self._calls.popleft()
                    if call.left:
                        tickets.append((call, call.take()))
                        self._calls.append(call)
        return tickets

    def _run(self, tickets: list[Ticket]) -> None:
        """Answer a batch. One that fails is tried again caller by caller, so that only one of them fails."""
        heard = [0] * len(tickets)

        def on_text(i: int, piece: str) -> None:
            call, place = tickets[i]
            heard[i] += len(piece)
            call.hear(place, piece, heard[i])

        calls = {call: None for call, _ in tickets}
        try:
            replies = self._engine.answer(
                [call.request(place) for call, place in tickets],
                lambda: self._closed.is_set() or all(call.over.is_set() for call in calls),
                **({"on_text": on_text} if any(call.on_text for call in calls) else {}),
            )
        except Exception as error:  # noqa: BLE001 - it belongs to the caller
            self._blame(tickets, list(calls), error)
        else:
            for (call, place), reply in zip(tickets, replies, strict=True):
                call.give(place, reply)

    def _blame(self, tickets: list[Ticket], calls: list[_Call], error: Exception) -> None:
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
    """The requests of one caller, their replies and what became of them."""

    def __init__(self, requests: Sequence[DecodeRequest], on_text: OnText | None) -> None:
        self.over = threading.Event()
        self.on_text = on_text
        self._requests = requests
        self._replies: list[Reply | None] = [None] * len(requests)
        self._told = [0] * len(requests)
        self._taken = 0
        self._error: Exception | None = None
        self._lock = threading.Lock()

    @property
    def left(self) -> int:
        """How many requests wait; none once the call is over."""
        return 0 if self.over.is_set() else len(self._requests) - self._taken

    def take(self) -> int:
        """The place of the next request."""
        self._taken += 1
        return self._taken - 1

    def request(self, place: int) -> DecodeRequest:
        """The request, which is called off when the call is over."""
        asked = self._requests[place]
        return replace(asked, aborted=lambda: self.over.is_set() or asked.aborted())

    def hear(self, place: int, piece: str, upto: int) -> None:
        """Tell the caller a piece that ends at character ``upto``, unless it was told before."""
        fresh = upto - self._told[place]
        if self.on_text is None or self.over.is_set() or fresh <= 0:
            return
        self._told[place] = upto
        try:
            self.on_text(place, piece[-fresh:])
        except Exception as error:  # noqa: BLE001 - the caller's own
            self.end(error)

    def give(self, place: int, reply: Reply) -> None:
        """Take in a reply; the last one ends the call."""
        with self._lock:
            self._replies[place] = reply
            if None not in self._replies:
                self.over.set()

    def end(self, error: Exception) -> None:
        """End the call with an error, unless it is over."""
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
    return FusarError("the engine was closed; open it again")

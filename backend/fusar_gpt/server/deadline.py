"""Work for one request in a worker thread: it stops when the client leaves, or the time is up."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fusar_gpt.errors import Cancelled

T = TypeVar("T")


async def in_time(work: Callable[[Callable[[], bool]], T], http: Request, limit_s: float) -> T:
    """What comes of the work, which is told whether to stop by what it is called with.

    Raises HTTPException 503 where it was stopped.
    """
    stop = threading.Event()
    until = time.monotonic() + limit_s
    watching = asyncio.create_task(_set_when_gone(http, stop))
    try:
        return await run_in_threadpool(work, lambda: stop.is_set() or time.monotonic() > until)
    except Cancelled as error:
        raise HTTPException(
            503, f"this took longer than {limit_s:g} s; draw a smaller area, or start the job"
        ) from error
    finally:
        watching.cancel()


async def _set_when_gone(request: Request, stop: threading.Event) -> None:
    """Set ``stop`` once the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    stop.set()

"""The application: one router a concern, behind the gate. Every ``router(context)`` lives in its own module."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from fusar_gpt import __version__
from fusar_gpt.contract import Event, InterpretRequest
from fusar_gpt.engine import Engine, Remembered
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server import about, chat, preview, process, scenes
from fusar_gpt.server.context import Context, SharedEngine
from fusar_gpt.server.inputs import REQUEST, with_files
from fusar_gpt.server.job import Job
from fusar_gpt.server.jobs import Jobs
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.metrics import Measured
from fusar_gpt.server.options import Options
from fusar_gpt.server.problems import add_problems
from fusar_gpt.server.security import Gate, Roots
from fusar_gpt.server.speed import Speed

HEARTBEAT_S = 10.0

Interpreter = Callable[
    [InterpretRequest, Engine, Callable[[], bool], PriorSettings, RunIdentity], Iterator[Event]
]
"""Interprets a request; looks at the third argument at each token and raises Cancelled once it returns true."""


def create_app(
    interpreter: Interpreter,
    load: Callable[[], Engine],
    info: dict[str, Any],
    *,
    token: str,
    roots: Roots,
    state: Path,
    host: str = "127.0.0.1",
    settings: PriorSettings | None = None,
    options: Options | None = None,
    lasting: bool = True,
    heartbeat_s: float = HEARTBEAT_S,
) -> FastAPI:
    """The application over any interpreter and engine; its :class:`Context` is at ``app.state.context``.

    Args:
        interpreter: interprets one request; called in a worker thread.
        load: opens the engine; called in a thread.
        info: what GET /info answers; ``models`` lists the cards that a request may name.
        token: the bearer token of every route but /health.
        roots: the folders that clients may name files in.
        state: the folder of the journal and of uploaded scenes.
        host: the address listened on, for the Host check.
        settings: how priors are fetched; None takes them from the environment.
        options: the server's own settings.
        lasting: whether another server may find the state later and go on with its jobs.
        heartbeat_s: seconds of silence after which an event stream gets a ping.

    Raises JournalError where the state cannot be used.
    """
    options = options or Options()
    settings = settings or PriorSettings.of()
    engine = SharedEngine(lambda: Measured(load()))
    speed = Speed()

    def run(job: Job) -> Iterator[Event]:
        request = with_files(REQUEST.validate_json(job.record.inputs), roots)
        remembered = Remembered(engine(), job.recall, job.remember)
        events = interpreter(request, remembered, job.cancelled, settings, job.identity)
        return speed.timed(request.task, events) if job.log.count == 0 else events

    jobs = Jobs(Journal(state), run, engine, options, lasting=lasting)
    context = Context(info, engine, jobs, roots, state, settings, options, heartbeat_s, speed)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        yield
        jobs.close()
        engine.close()

    app = FastAPI(
        title="FUSAR-GPT",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        # Whatever the environment says: nothing about a scene leaves this machine.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        lifespan=lifespan,
    )
    app.state.jobs = jobs
    app.state.context = context
    app.add_middleware(Gate, token=token, host=host, origins=options.origins)
    add_problems(app)
    for concern in (about, process, preview, scenes, chat):
        app.include_router(concern.router(context))
    return app

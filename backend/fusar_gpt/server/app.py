"""The web application: one router per concern, behind the :class:`Gate`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from fusar_gpt import __version__
from fusar_gpt.contract import Event, InterpretRequest, SearchRequest
from fusar_gpt.engine import Engine, ReplayEngine
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server import about, chat, preview, processes, scenes, search
from fusar_gpt.server.context import Context, SharedEngine
from fusar_gpt.server.encoders import Encoders
from fusar_gpt.server.inputs import request_of, with_files
from fusar_gpt.server.job import Job
from fusar_gpt.server.jobs import Jobs, TaskTimes
from fusar_gpt.server.journal import Journal
from fusar_gpt.server.metrics import MeasuredEngine, Metrics
from fusar_gpt.server.options import Options
from fusar_gpt.server.problems import add_problems
from fusar_gpt.server.searcher import Searcher
from fusar_gpt.server.security import Gate, Roots
from fusar_gpt.server.tokens import Tokens

HEARTBEAT_S = 10.0

Interpreter = Callable[
    [InterpretRequest, Engine, Callable[[], bool], PriorSettings, RunIdentity], Generator[Event, None, None]
]
"""Runs a request; calls the third argument at each token and raises Cancelled once it returns true."""


def create_app(
    interpreter: Interpreter,
    load: Callable[[], Engine],
    info: dict[str, Any],
    *,
    token: str,
    tokens: Mapping[str, str] | None = None,
    roots: Roots,
    state: Path,
    host: str = "127.0.0.1",
    settings: PriorSettings | None = None,
    options: Options | None = None,
    encoders: Encoders | None = None,
    indexes: Path | None = None,
    lasting: bool = True,
    heartbeat_s: float = HEARTBEAT_S,
) -> FastAPI:
    """The application over any interpreter and engine; its :class:`Context` is at ``app.state.context``.

    Args:
        interpreter: Runs one request; called in a worker thread.
        load: Opens the engine; called in a worker thread.
        info: What GET /info answers; ``models`` lists the cards that a request may name.
        token: The bearer token of every route but /health.
        tokens: Further ones by the names of the analysts who hold them.
        roots: The folders that clients may name files in.
        state: The folder of the journal and of the uploaded scenes.
        host: The address that the server listens on, for the check of the Host header.
        settings: How priors are fetched; None takes them from the environment.
        options: The server's own settings.
        encoders: What searches may use; None is the bundled one, and the user's own.
        indexes: Where the indexes of searched scenes are kept; None is the user's own folder.
        lasting: Whether a later server may find the state and resume its jobs.
        heartbeat_s: Seconds of silence after which an event stream gets a ping.

    Raises JournalError if the state folder cannot be used, CheckpointError if the bundled encoder is not there.
    """
    options = options or Options()
    settings = settings or PriorSettings.of()
    times = TaskTimes()

    def run(job: Job) -> Generator[Event, None, None]:
        asked = request_of(job.record)
        if isinstance(asked, SearchRequest):
            return searcher.search(asked, lambda: job.cancelled() or job.is_pausing, job.identity)
        request = with_files(asked, roots)
        replaying = ReplayEngine(engine(), job.recall, job.remember)
        events = interpreter(request, replaying, job.cancelled, settings, job.identity)
        return times.timed(request.task, events) if job.log.count == 0 else events

    metrics = Metrics(info, lambda: jobs.counts())
    searcher = Searcher(encoders or Encoders(), roots, metrics, indexes)
    engine = SharedEngine(lambda: MeasuredEngine(load(), metrics))
    jobs = Jobs(Journal(state), run, engine, options, lasting=lasting)
    context = Context(
        info, engine, jobs, roots, state, settings, options, heartbeat_s, times, metrics, searcher
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        yield
        jobs.close()
        engine.close()

    app = about.DescribedApp(
        title="FUSAR-GPT",
        description="Ask a SAR vision-language model about an area; get georeferenced answers.",
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
    app.add_middleware(Gate, tokens=Tokens(token, tokens), host=host, origins=options.origins)
    add_problems(app)
    for concern in (about, processes, preview, search, scenes, chat):
        app.include_router(concern.router(context))
    return app

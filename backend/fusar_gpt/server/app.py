"""The routes of the HTTP door; the work is done in :mod:`fusar_gpt.server.jobs`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from fusar_gpt import __version__
from fusar_gpt.errors import FusarError
from fusar_gpt.server import wire
from fusar_gpt.server.inputs import Execution
from fusar_gpt.server.jobs import Busy, Interpreter, Job, Jobs
from fusar_gpt.server.security import Gate, PathRefused, Roots

HEARTBEAT_S = 10.0

_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"


def create_app(
    interpreter: Interpreter,
    info: Mapping[str, Any],
    *,
    token: str,
    roots: Roots,
    host: str = "127.0.0.1",
    prepare: Callable[[], object] | None = None,
    heartbeat_s: float = HEARTBEAT_S,
) -> FastAPI:
    """The application over any interpreter; its jobs are at ``app.state.jobs``.

    Args:
        interpreter: runs one order; called in the one worker thread.
        info: what GET /info answers; ``models`` lists the cards that a request may name.
        token: the bearer token of every route but /health.
        roots: the folders that clients may name files in.
        host: the address listened on, for the Host check.
        prepare: runs first in the worker thread: loads the model.
        heartbeat_s: seconds of silence after which an event stream gets a ping.
    """
    jobs = Jobs(interpreter, prepare)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        jobs.start()
        yield
        jobs.close()

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
    app.add_middleware(Gate, token=token, host=host)
    _add_problems(app)
    _add_process(app, jobs, info, roots)
    _add_jobs(app, jobs, heartbeat_s)
    return app


def _add_process(app: FastAPI, jobs: Jobs, info: Mapping[str, Any], roots: Roots) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/info")
    async def show_info() -> Mapping[str, Any]:
        return info

    @app.post("/processes/interpret/execution", status_code=201)
    def execute(execution: Execution) -> JSONResponse:
        inputs = execution.inputs
        served = [model["name"] for model in info["models"]]
        if inputs.model is not None and inputs.model not in served:
            raise FusarError(f"this server does not run {inputs.model!r}; it runs: {', '.join(served)}")
        job = jobs.submit(inputs.order(roots))
        return JSONResponse(job.state(), 201, {"Location": f"/jobs/{job.id}"})


async def _known(job_id: str, request: Request) -> Job:
    jobs: Jobs = request.app.state.jobs
    job = jobs.get(job_id)
    if job is None:
        raise _Missing(404, "no-such-job", "there is no such job, or it was forgotten; start it again")
    return job


Known = Annotated[Job, Depends(_known)]


def _add_jobs(app: FastAPI, jobs: Jobs, heartbeat_s: float) -> None:
    @app.get("/jobs/{job_id}")
    async def show(job: Known) -> dict[str, Any]:
        return job.state()

    @app.delete("/jobs/{job_id}")
    async def dismiss(job: Known) -> dict[str, Any]:
        jobs.dismiss(job)
        return job.state() | {"status": "dismissed"}

    @app.get("/jobs/{job_id}/results")
    async def show_results(job: Known) -> Response:
        if not job.finished:
            raise _Missing(404, "result-not-ready", "the job has not ended yet; watch its events")
        if job.results is None:
            raise HTTPException(409, f"the job has no results: {job.message}")
        return Response(job.results, media_type="application/json")

    @app.get("/jobs/{job_id}/events")
    async def events(
        job: Known, last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0
    ) -> StreamingResponse:
        stream = job.watch(last_event_id, heartbeat_s)
        return StreamingResponse(stream, headers=wire.EVENT_STREAM_HEADERS, media_type="text/event-stream")


class _Missing(HTTPException):
    """A 404 with OGC's own name for what is missing."""

    def __init__(self, status: int, kind: str, detail: str) -> None:
        super().__init__(status, detail)
        self.kind = _OGC + kind


def _add_problems(app: FastAPI) -> None:
    """Every error leaves as a problem with one line for the user."""

    @app.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        kind = error.kind if isinstance(error, _Missing) else "about:blank"
        return wire.problem(error.status_code, error.detail, kind=kind, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return wire.problem(422, f"{where}: {first['msg']}" if where else str(first["msg"]))

    @app.exception_handler(FusarError)
    async def refused(_: Request, error: FusarError) -> Response:
        status = 403 if isinstance(error, PathRefused) else 429 if isinstance(error, Busy) else 400
        return wire.problem(status, str(error))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, error: Exception) -> Response:
        return wire.problem(500, f"unexpected {type(error).__name__}; the server's log says more")

"""The routes of the process ``interpret``, and of all jobs, as in OGC API - Processes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from fusar_gpt.contract import EXECUTION, InterpretRequest
from fusar_gpt.contract.limits import NO_CONTROLS
from fusar_gpt.errors import FusarError
from fusar_gpt.planning import abilities_of, answerable
from fusar_gpt.scene_prior import check_network, settings_of
from fusar_gpt.server import wire
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import Execution, recorded, with_files
from fusar_gpt.server.job import Job
from fusar_gpt.server.jobs import Submitter
from fusar_gpt.server.problems import Missing
from fusar_gpt.server.security import HOLDER

ClientName = Annotated[str | None, Header(max_length=100, pattern=NO_CONTROLS)]


def submitter_of(request: Request, x_client: ClientName = None) -> Submitter:
    """Who asks, for the fair queue: the holder of the token; of the shared one the client's name, or its address."""
    holder = request.scope[HOLDER]
    address = request.client.host if request.client else "unknown"
    return Submitter(holder or x_client or address, holder or address)


def check_request(request: InterpretRequest, context: Context) -> InterpretRequest:
    """The request with its files.

    Raises FusarError for a model that is not served, TaskError for what it cannot be asked, PriorError for a prior on a
    network that is refused, else as :func:`with_files`.
    """
    if request.model is not None and context.card(request.model) is None:
        raise FusarError(context.unknown_model(request.model))
    if (card := context.model_card(request.model)) is not None:
        answerable(request, abilities_of(card))
    check_network(request, settings_of(request, context.settings))
    return with_files(request, context.roots)


def _known(job_id: str, request: Request) -> Job:
    context: Context = request.app.state.context
    return _found(context, job_id)


def _found(context: Context, job_id: str) -> Job:
    if (job := context.jobs.get(job_id)) is None:
        raise Missing(404, "no-such-job", "there is no such job, or it was deleted; start it again")
    return job


class JobUpdate(BaseModel):
    """What of a job can be changed."""

    model_config = ConfigDict(extra="forbid")

    paused: bool


Known = Annotated[Job, Depends(_known)]


def router(context: Context) -> APIRouter:
    """Execute, and follow a job to its results."""
    routes = APIRouter(tags=["interpret"])

    @routes.post(EXECUTION, status_code=201)
    def execute(execution: Execution, submitter: Annotated[Submitter, Depends(submitter_of)]) -> JSONResponse:
        """Start a job. The queue serves clients in turn.

        The holder of the token is the client. Of the token that all share, ``X-Client`` or the address names it.
        """
        check_request(execution.inputs, context)  # so that a request that cannot be run is refused at once
        job = context.jobs.submit(submitter, recorded(execution.inputs))
        return JSONResponse(job.state(), 201, {"Location": f"/jobs/{job.id}"})

    @routes.get("/jobs")
    def show_all(
        limit: Annotated[int, Query(ge=1, le=1000)] = 100, offset: Annotated[int, Query(ge=0, le=2**31)] = 0
    ) -> dict[str, Any]:
        """All jobs, newest first."""
        states = [job.state() for job in context.jobs.recent(limit, offset)]
        return {"jobs": states, "links": [{"rel": "self", "href": "/jobs", "type": "application/json"}]}

    @routes.get("/jobs/{job_id}")
    def show(job: Known) -> dict[str, Any]:
        """The status of a job; ``eta_s`` estimates the seconds until its end."""
        return job.state()

    @routes.patch("/jobs/{job_id}")
    def change(job: Known, update: JobUpdate) -> dict[str, Any]:
        """Pause a job after the batch of chips under way, or let it go on; one that has ended stays as it is.

        A paused job is ``accepted`` with ``paused``, outlives the server, and goes on with the chips that are left.
        """
        (context.jobs.pause if update.paused else context.jobs.resume)(job)
        return job.state()

    @routes.delete("/jobs/{job_id}")
    def dismiss(job: Known) -> dict[str, Any]:
        """Cancel a job that has not ended; delete one that has."""
        context.jobs.dismiss(job)
        return job.state() | {"status": "dismissed"}

    @routes.get("/jobs/{job_id}/results")
    def show_results(job: Known) -> Response:
        """The run and its findings, once the job has succeeded."""
        if not job.record.finished:
            raise Missing(404, "result-not-ready", "the job has not ended yet; watch its events")
        results = job.results
        if results is None:
            _found(context, job.id)  # it may have been deleted meanwhile
            raise HTTPException(409, f"the job has no results: {job.record.message}")
        return Response(results, media_type="application/json")

    @routes.get("/jobs/{job_id}/events")
    async def events(
        job: Known, last_event_id: Annotated[int, Header(ge=0, le=2**53)] = 0
    ) -> StreamingResponse:
        """The job's events as they happen (server-sent events), those after ``Last-Event-ID``."""
        stream = job.log.watch(last_event_id, context.heartbeat_s)
        return StreamingResponse(stream, headers=wire.EVENT_STREAM_HEADERS, media_type="text/event-stream")

    return routes

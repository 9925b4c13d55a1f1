"""The routes of the process ``search``, and of searches that need no job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from fusar_gpt.contract import (
    SEARCH_EXECUTION,
    SEARCH_NOW,
    SEARCH_PLAN,
    Event,
    Finished,
    SearchPlan,
    SearchRequest,
)
from fusar_gpt.server import wire
from fusar_gpt.server.context import Context
from fusar_gpt.server.deadline import in_time
from fusar_gpt.server.inputs import SearchExecution, recorded
from fusar_gpt.server.jobs import Slots, Submitter
from fusar_gpt.server.processes import submitter_of

MOST_AT_A_TIME = 4
LIMIT_S = 30.0
"""The longest time for a search without a job."""

SubmitterOf = Annotated[Submitter, Depends(submitter_of)]


def router(context: Context) -> APIRouter:
    """Search a scene by a job; at once where everything is indexed; and how much there is to index."""
    routes = APIRouter(tags=["search"])
    searcher = context.searcher
    # Each of them holds a thread that other routes need; apart from previews, so that neither waits for the other.
    slots = Slots(MOST_AT_A_TIME, "searches are being answered")

    def submitted(request: SearchRequest, submitter: Submitter) -> JSONResponse:
        job = context.jobs.submit(submitter, recorded(request))
        return JSONResponse(job.state(), 201, {"Location": f"/jobs/{job.id}"})

    @routes.post(SEARCH_EXECUTION, status_code=201)
    def execute(execution: SearchExecution, submitter: SubmitterOf) -> JSONResponse:
        """Start a job that indexes what it must and then searches, as one of the process ``interpret``."""
        searcher.check(execution.inputs)  # so that a request that cannot be run is refused at once
        return submitted(execution.inputs, submitter)

    @routes.post(SEARCH_NOW, responses={201: {"description": "A job was started: `Location` names it"}})
    async def search(execution: SearchExecution, submitter: SubmitterOf, http: Request) -> Response:
        """The results at once (200) where all slices are in the index, else a job (201), as by an execution."""
        request = execution.inputs

        def answer(stopped: Callable[[], bool]) -> Event | None:
            """The results; None where something is to be indexed first."""
            with slots:
                plan = searcher.plan(request)
                if plan.ready < plan.slices:
                    return None
                *_, finished = searcher.search(request, stopped)
                return finished

        finished = await in_time(answer, http, LIMIT_S)
        if isinstance(finished, Finished):
            return Response(wire.encode(finished.to_json()), media_type="application/json")
        return await run_in_threadpool(submitted, request, submitter)

    @routes.post(SEARCH_PLAN)
    async def plan(execution: SearchExecution, http: Request) -> SearchPlan:
        """How much a search would have to index first, and about how long that takes; no job is created."""

        def planned(_: object) -> SearchPlan:
            with slots:
                return searcher.plan(execution.inputs)

        return await in_time(planned, http, LIMIT_S)

    return routes

"""The routes of uploaded scenes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import APIRouter, FastAPI, Query, Request, Response
from pydantic import BaseModel, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from fusar_gpt.errors import FusarError, SceneError
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import request_of
from fusar_gpt.server.jobs import Busy
from fusar_gpt.server.opening import OPENINGS
from fusar_gpt.server.uploads import SceneStore, Uploaded

SWEEP_S = 3600.0

_PART = r'[^\x00-\x1f\x7f/\\:*?"<>|]'
FileName = Annotated[
    str, StringConstraints(min_length=1, max_length=200, pattern=rf"^(?:{_PART[:-1]}. ]{_PART}*)$")
]
"""A file name without a folder, valid on any system, and not hidden."""


class UploadedScenes(BaseModel):
    """All uploaded scenes."""

    scenes: list[Uploaded]


def router(context: Context) -> APIRouter:
    """Upload, list, show and delete scenes."""
    scenes = SceneStore(
        context.state / "scenes",
        max_bytes=context.options.max_upload,
        keep_s=context.options.keep_scenes_s,
        needed=lambda: needed(context),
    )
    scenes.discard_abandoned()
    context.roots.uploads = scenes.path

    @asynccontextmanager
    async def swept(_: FastAPI) -> AsyncIterator[None]:
        task = asyncio.create_task(sweep(scenes, min(SWEEP_S, context.options.keep_scenes_s)))
        threading.Thread(target=OPENINGS.warm, daemon=True).start()
        yield
        task.cancel()

    routes = APIRouter(tags=["scenes"], lifespan=swept)

    @routes.post(
        "/scenes",
        status_code=201,
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def upload(request: Request, response: Response, name: Annotated[FileName, Query()]) -> Uploaded:
        """Store a raster of an allowed type unchanged; 200 instead of 201 if the same bytes are stored already."""
        try:
            scene, new = await scenes.receive(name, request.stream())
        except (HTTPException, Busy, SceneError):
            context.metrics.refused_uploads.inc()
            raise
        except ClientDisconnect as error:
            raise HTTPException(400, "the upload was cut off; send it again") from error
        context.metrics.uploads.inc()
        context.metrics.uploaded_bytes.inc(scene.bytes)
        response.status_code = 201 if new else 200
        response.headers["Location"] = f"/scenes/{scene.id}"
        return scene

    @routes.get("/scenes")
    def show_all() -> UploadedScenes:
        """All uploaded scenes, the last used first."""
        return UploadedScenes(scenes=list(scenes.all()))

    @routes.get("/scenes/{scene_id}")
    def show(scene_id: str) -> Uploaded:
        """One uploaded scene."""
        try:
            return scenes.about(scene_id)
        except FusarError as error:
            raise HTTPException(404, str(error)) from error

    @routes.delete("/scenes/{scene_id}", status_code=204)
    def forget(scene_id: str) -> None:
        """Delete an uploaded scene that no job needs."""
        if not scenes.delete(scene_id):
            raise HTTPException(404, "there is no such scene, or it was deleted already")

    return routes


async def sweep(scenes: SceneStore, every_s: float) -> None:
    """Delete what is too old, now and then until this task is cancelled."""
    while True:
        await run_in_threadpool(scenes.sweep)
        await asyncio.sleep(every_s)


def needed(context: Context) -> set[str]:
    """The ids of the uploaded scenes that waiting and running jobs name."""
    return {scene_id for job in context.jobs.live() for scene_id in request_of(job.record).uploads}

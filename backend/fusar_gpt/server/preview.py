"""The preview of a job: how many chips, how long, one chip and its prior. The model is not asked."""

from __future__ import annotations

import asyncio
import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import fields, replace
from itertools import islice

import shapely
from fastapi import APIRouter, Request
from PIL import Image
from shapely.geometry.base import BaseGeometry
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fusar_gpt.contract import Grey, InterpretRequest, Polygon, Preview, ShownChip, ShownPrior, png_uri
from fusar_gpt.errors import Cancelled, FusarError, PriorError
from fusar_gpt.findings.coverage import ALL, Coverage, without_data
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Chip, RasterPolicy, Scene, crs_text, open_scene_of, read_chip
from fusar_gpt.imagery.raster_policy import DRIVERS
from fusar_gpt.interpret import footprint
from fusar_gpt.model import Card
from fusar_gpt.planning import (
    ChipQuestions,
    abilities_of,
    answerable,
    plan_questions,
    scene_area,
    untaught,
)
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import open_prior
from fusar_gpt.priors.preview import draw_field
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import Execution
from fusar_gpt.server.jobs import Slots
from fusar_gpt.server.processes import check_request

MOST_AT_A_TIME = 4
LIMIT_S = 30.0
"""The longest time for a preview."""
DEADLINE_S = 10.0
"""The longest wait for a prior tile in a preview; a job may wait longer."""
_SEARCHED = 5000
"""Chips of a plan among which the one nearest to the middle is chosen: the first ones, if there are more."""


def router(context: Context) -> APIRouter:
    """The route /preview."""
    routes = APIRouter(tags=["interpret"])
    # Each preview holds a thread that other routes need.
    slots = Slots(MOST_AT_A_TIME, "previews are being made")

    def make(inputs: InterpretRequest, cancelled: Callable[[], bool]) -> Preview:
        request = check_request(inputs, context)
        card = _card(context, request.model)
        with slots, open_scene_of(request, RasterPolicy(), cancelled) as scene:
            request = answerable(request, abilities_of(card))
            area = scene_area(request, scene)
            chips, planned = plan_questions(request, scene, area, card)
            middle = _middle(planned, area)
            return Preview(
                chips=chips,
                seconds=context.times.estimate(request.task, chips * len(middle.questions)),
                chip=_show_chip(scene, middle.chip, area, untaught(request, scene, middle.chip, card)),
                prior=_show_prior(request, context.settings, scene, middle.chip, cancelled),
            )

    @routes.post("/preview")
    async def preview(execution: Execution, http: Request) -> Preview:
        """What a job with these inputs would look at; the model is not asked and no job is created."""
        stop = threading.Event()
        until = time.monotonic() + LIMIT_S
        watching = asyncio.create_task(_set_when_gone(http, stop))
        try:
            return await run_in_threadpool(
                make, execution.inputs, lambda: stop.is_set() or time.monotonic() > until
            )
        except Cancelled as error:
            raise HTTPException(
                503, f"the preview took longer than {LIMIT_S:g} s; draw a smaller area, or start the job"
            ) from error
        finally:
            watching.cancel()

    return routes


async def _set_when_gone(request: Request, stop: threading.Event) -> None:
    """Set ``stop`` once the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    stop.set()


def _card(context: Context, name: str | None) -> Card:
    """The card of a served model, from what ``/info`` shows of it."""
    shown = context.card(name) or {}
    try:
        return Card(**{field.name: shown[field.name] for field in fields(Card) if field.name in shown})
    except TypeError as error:
        raise FusarError("this server does not describe its model; start a job instead") from error


def _middle(planned: Iterator[ChipQuestions], area: BaseGeometry) -> ChipQuestions:
    centre = area.centroid
    return min(islice(planned, _SEARCHED), key=lambda each: each.chip.footprint.centroid.distance(centre))


def _show_chip(scene: Scene, chip: Chip, area: BaseGeometry, warnings: list[str]) -> ShownChip:
    stretch = scene.stretch()
    pixels = read_chip(scene, chip, stretch)
    warnings = [*scene.warnings, *warnings]
    coverage = Coverage.of(pixels.has_data, chip, area)
    if coverage.share < ALL:
        warnings.append(f"No data on {without_data(coverage.share)} of the area in this chip.")
    corners = scene.to_ground(ScenePoints.of(shapely.get_coordinates(chip.footprint)))
    return ShownChip(
        image=_png(Image.fromarray(pixels.grey)),
        size=(chip.plan.width, chip.plan.height),
        footprint=Polygon("Polygon", (tuple((float(x), float(y)) for x, y in corners.xy()),)),
        crs=crs_text(scene.crs),
        ground_m=chip.plan.window.width * scene.pixel_size_m,
        band=scene.band,
        stretch=Grey(scene.quantity, stretch.low_db, stretch.high_db, scene.radiometry.reason),
        warnings=tuple(warnings),
    )


def _show_prior(
    request: InterpretRequest,
    settings: PriorSettings,
    scene: Scene,
    chip: Chip,
    cancelled: Callable[[], bool],
) -> ShownPrior:
    """The prior of a chip; if it cannot be fetched, the preview succeeds and ``said`` gives the reason."""
    said: list[str] = []
    settings = replace(
        settings,
        allow_none=settings.allow_none or request.allow_no_prior,
        deadline_s=min(settings.deadline_s, DEADLINE_S),
    )
    year = request.year or (scene.acquired.year if scene.acquired else None)
    try:
        with closing(open_prior(request.prior, settings, said.append, cancelled, DRIVERS)) as source:
            field = source.prior(footprint(scene, chip), year)
    except PriorError as error:
        return ShownPrior(said=(*said, str(error)))
    image = _png(draw_field(field, chip.plan.width, chip.plan.height)) if len(field) else None
    return ShownPrior(
        image=image,
        nodes=len(field),
        source=field.source,
        year=field.year,
        simulated=field.simulated,
        said=tuple(said),
    )


def _png(image: Image.Image) -> str:
    """The image as a data: URI."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return png_uri(content.getvalue())

"""The route of what a job would look at: how many chips, how long, one chip and its prior. No model is started."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from itertools import islice

import shapely
from fastapi import APIRouter
from PIL import Image
from shapely.geometry.base import BaseGeometry
from starlette.exceptions import HTTPException

from fusar_gpt.contract import Grey, InterpretRequest, Polygon, Preview, ShownChip, ShownPrior, png_uri
from fusar_gpt.errors import FusarError, PriorError
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Chip, Guard, Scene, crs_text, open_scene, read_chip
from fusar_gpt.interpret import footprint
from fusar_gpt.model import Card
from fusar_gpt.planning import ChipQuestions, plan_questions, scene_area
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import open_prior
from fusar_gpt.priors.preview import draw_field
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import Execution
from fusar_gpt.server.process import check_request

MOST_AT_A_TIME = 4
PATIENCE_S = 10.0
"""Seconds at most that a preview waits for a tile of a prior; a job may wait longer."""
_LOOKED_AT = 5000
"""Chips among which the middle one is sought; of a larger plan it is a chip near its beginning."""


def router(context: Context) -> APIRouter:
    """Preview."""
    routes = APIRouter(tags=["interpret"])
    free = threading.BoundedSemaphore(MOST_AT_A_TIME)

    @routes.post("/preview")
    def preview(execution: Execution) -> Preview:
        """What a job of these inputs would look at: nothing is asked of the model, and no job is made."""
        request = check_request(execution.inputs, context)
        card = _card(context, request.model)
        with _turn(free), open_scene(request.scene, band=request.band, guard=Guard()) as scene:
            area = scene_area(request, scene)
            chips, planned = plan_questions(request, scene, area, card)
            middle = _in_the_middle(planned, area)
            return Preview(
                chips=chips,
                seconds=context.speed.seconds(request.task, chips * len(middle.questions)),
                chip=_show_chip(scene, middle.chip),
                prior=_show_prior(request, context.settings, scene, middle.chip),
            )

    return routes


@contextmanager
def _turn(free: threading.BoundedSemaphore) -> Iterator[None]:
    """Few at a time: each one holds a thread that other routes need."""
    if not free.acquire(blocking=False):
        raise HTTPException(429, f"{MOST_AT_A_TIME} previews are being made already; try again")
    try:
        yield
    finally:
        free.release()


def _card(context: Context, name: str | None) -> Card:
    """The card of a served model, as ``/info`` tells it."""
    shown = next(each for each in context.info["models"] if name in (None, each["name"]))
    known = {field.name for field in fields(Card)}
    try:
        return Card(**{key: value for key, value in shown.items() if key in known})
    except TypeError as error:
        raise FusarError("this server does not tell how its model sees; start a job instead") from error


def _in_the_middle(planned: Iterator[ChipQuestions], area: BaseGeometry) -> ChipQuestions:
    centre = area.centroid
    return min(islice(planned, _LOOKED_AT), key=lambda each: each.chip.footprint.centroid.distance(centre))


def _show_chip(scene: Scene, chip: Chip) -> ShownChip:
    stretch = scene.stretch()
    corners = scene.to_ground(ScenePoints.of(shapely.get_coordinates(chip.footprint)))
    return ShownChip(
        image=_png(Image.fromarray(read_chip(scene, chip, stretch))),
        size=(chip.plan.width, chip.plan.height),
        footprint=Polygon("Polygon", (tuple((float(x), float(y)) for x, y in corners.xy()),)),
        crs=crs_text(scene.crs),
        ground_m=chip.plan.window.width * scene.pixel_size_m,
        band=scene.band,
        stretch=Grey(quantity=scene.quantity, low_db=stretch.low_db, high_db=stretch.high_db),
    )


def _show_prior(request: InterpretRequest, settings: PriorSettings, scene: Scene, chip: Chip) -> ShownPrior:
    """The prior of a chip; one that cannot be had is no failure of the preview, but said."""
    said: list[str] = []
    settings = replace(
        settings,
        allow_none=settings.allow_none or request.allow_no_prior,
        deadline_s=min(settings.deadline_s, PATIENCE_S),
    )
    year = request.year or (scene.acquired.year if scene.acquired else None)
    try:
        with closing(open_prior(request.prior, settings, said.append)) as source:
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

"""The preview of a job: how many chips, how long, one chip and its prior. The model is not asked."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from itertools import islice
from typing import Literal

import shapely
from fastapi import APIRouter
from PIL import Image
from pydantic import BaseModel
from shapely.geometry.base import BaseGeometry
from starlette.exceptions import HTTPException

from fusar_gpt.errors import FusarError, PriorError
from fusar_gpt.findings import crs_text
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Chip, Guard, Scene, open_scene, read_chip
from fusar_gpt.inquiries import Inquiry, Order, plan_inquiries, scene_area
from fusar_gpt.interpret import footprint
from fusar_gpt.model import Card
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import NONE, open_prior
from fusar_gpt.priors.picture import draw_field
from fusar_gpt.server.context import Context
from fusar_gpt.server.inputs import Execution
from fusar_gpt.server.processes import checked_order

MOST_AT_A_TIME = 4
DEADLINE_S = 10.0
"""The longest wait for a prior tile in a preview; a job may wait longer."""
_SEARCHED = 5000
"""Chips of a plan among which the one nearest to the middle is chosen: the first ones, if there are more."""


class Outline(BaseModel):
    """A GeoJSON Polygon, coordinates in the scene's CRS, x first."""

    type: Literal["Polygon"] = "Polygon"
    coordinates: list[list[tuple[float, float]]]


class Grey(BaseModel):
    """How stored numbers become grey: black at ``low_db``, white at ``high_db``; in dB unless ``quantity`` is grey."""

    quantity: str
    low_db: float
    high_db: float


class ShownChip(BaseModel):
    """The chip in the middle of the area: a PNG as the model sees it, its size in px, footprint and ground width."""

    image: str
    size: tuple[int, int]
    footprint: Outline
    crs: str
    ground_m: float
    band: str
    stretch: Grey


class ShownPrior(BaseModel):
    """The prior of that chip: A01, A16, A09 as red, green, blue; no image if it has no nodes, ``said`` why."""

    image: str | None = None
    nodes: int = 0
    source: str = NONE
    year: int | None = None
    simulated: bool = False
    said: list[str] = []


class Preview(BaseModel):
    """``seconds`` is an estimate from the last job of that task; null if there was none."""

    chips: int
    seconds: float | None
    chip: ShownChip
    prior: ShownPrior


def router(context: Context) -> APIRouter:
    """The route /preview."""
    routes = APIRouter(tags=["interpret"])
    free = threading.BoundedSemaphore(MOST_AT_A_TIME)

    @routes.post("/preview")
    def preview(execution: Execution) -> Preview:
        """What a job with these inputs would look at; the model is not asked and no job is created."""
        order = checked_order(execution.inputs, context)
        card = _card(context, execution.inputs.model)
        with _slot(free), open_scene(order.scene, band=order.band, guard=Guard()) as scene:
            area = scene_area(order, scene)
            chips, inquiries = plan_inquiries(order, scene, area, card)
            inquiry = _middle(inquiries, area)
            return Preview(
                chips=chips,
                seconds=context.times.estimate(order.task, chips * len(inquiry.questions)),
                chip=_show_chip(scene, inquiry.chip),
                prior=_show_prior(order, context.settings, scene, inquiry.chip),
            )

    return routes


@contextmanager
def _slot(free: threading.BoundedSemaphore) -> Iterator[None]:
    """Limit the previews at a time: each one holds a thread that other routes need."""
    if not free.acquire(blocking=False):
        raise HTTPException(429, f"{MOST_AT_A_TIME} previews are being made already; try again")
    try:
        yield
    finally:
        free.release()


def _card(context: Context, name: str | None) -> Card:
    """The card of a served model, from what ``/info`` shows of it."""
    shown = context.card(name) or {}
    try:
        return Card(**{field.name: shown[field.name] for field in fields(Card) if field.name in shown})
    except TypeError as error:
        raise FusarError("this server does not tell how its model sees; start a job instead") from error


def _middle(inquiries: Iterator[Inquiry], area: BaseGeometry) -> Inquiry:
    centre = area.centroid
    return min(
        islice(inquiries, _SEARCHED), key=lambda inquiry: inquiry.chip.footprint.centroid.distance(centre)
    )


def _show_chip(scene: Scene, chip: Chip) -> ShownChip:
    stretch = scene.stretch()
    corners = scene.to_ground(ScenePoints.of(shapely.get_coordinates(chip.footprint)))
    return ShownChip(
        image=_png(Image.fromarray(read_chip(scene, chip, stretch))),
        size=(chip.plan.width, chip.plan.height),
        footprint=Outline(coordinates=[[(float(x), float(y)) for x, y in corners.xy()]]),
        crs=crs_text(scene.crs),
        ground_m=chip.plan.window.width * scene.pixel_size_m,
        band=scene.band,
        stretch=Grey(quantity=scene.quantity, low_db=stretch.low_db, high_db=stretch.high_db),
    )


def _show_prior(order: Order, settings: PriorSettings, scene: Scene, chip: Chip) -> ShownPrior:
    """The prior of a chip; if it cannot be fetched, the preview succeeds and ``said`` gives the reason."""
    said: list[str] = []
    settings = replace(
        settings,
        allow_none=settings.allow_none or order.allow_no_prior,
        deadline_s=min(settings.deadline_s, DEADLINE_S),
    )
    year = order.year or (scene.acquired.year if scene.acquired else None)
    try:
        with closing(open_prior(order.prior, settings, said.append)) as source:
            field = source.prior(footprint(scene, chip), year)
    except PriorError as error:
        return ShownPrior(said=[*said, str(error)])
    image = _png(draw_field(field, chip.plan.width, chip.plan.height)) if len(field) else None
    return ShownPrior(
        image=image,
        nodes=len(field),
        source=field.source,
        year=field.year,
        simulated=field.simulated,
        said=said,
    )


def _png(image: Image.Image) -> str:
    """The image as a data: URI."""
    content = io.BytesIO()
    image.save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode('ascii')}"

"""What a job would look at: how many chips, how long, one chip and its prior, and where the prior would come from.

The model is not asked.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import islice

from fastapi import APIRouter, Request
from PIL import Image
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract import (
    Grey,
    InterpretRequest,
    Preview,
    PriorStatus,
    ShownChip,
    ShownPrior,
    png_uri,
)
from fusar_gpt.errors import Cancelled, FusarError, PriorError
from fusar_gpt.findings.coverage import ALL, Coverage, without_data
from fusar_gpt.imagery import Chip, RasterPolicy, Scene, crs_text, open_scene_of, read_chip
from fusar_gpt.interpret import ground_footprint
from fusar_gpt.model import Card
from fusar_gpt.planning import (
    ChipQuestions,
    abilities_of,
    answerable,
    plan_questions,
    scene_area,
    untaught,
    unused_prior,
    usable_request,
)
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors.preview import draw_field
from fusar_gpt.scene_prior import Admit, footprint, open_scene_prior, prior_status, prior_year
from fusar_gpt.server.context import Context
from fusar_gpt.server.deadline import in_time
from fusar_gpt.server.inputs import Execution, admit_under
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
    """The routes /preview and /prior."""
    routes = APIRouter(tags=["interpret"])
    # Each preview holds a thread that other routes need.
    slots = Slots(MOST_AT_A_TIME, "previews are being made")
    looks = Slots(MOST_AT_A_TIME, "priors are being looked for")
    admit = admit_under(context.roots)

    def make(inputs: InterpretRequest, cancelled: Callable[[], bool]) -> Preview:
        checked = check_request(inputs, context)
        card = _card(context, checked.model)
        request = answerable(checked, abilities_of(card))
        with slots, open_scene_of(request, RasterPolicy(), cancelled) as scene:
            area = scene_area(request, scene)
            chips, planned = plan_questions(request, scene, area, card)
            middle = _middle(planned, area)
            return Preview(
                chips=chips,
                seconds=context.times.estimate(request.task, chips * len(middle.questions)),
                chip=_show_chip(scene, middle.chip, area, untaught(request, scene, middle.chip, card)),
                prior=_show_prior(
                    usable_request(request, card), context.settings, scene, middle.chip, cancelled, admit
                ),
            )

    def look(inputs: InterpretRequest, cancelled: Callable[[], bool]) -> PriorStatus:
        checked = check_request(inputs, context)
        card = _card(context, checked.model)
        request = answerable(checked, abilities_of(card))
        policy = RasterPolicy()
        with looks, open_scene_of(request, policy, cancelled) as scene:
            _, planned = plan_questions(request, scene, scene_area(request, scene), card)
            chips = _until(cancelled, planned)
            status = prior_status(
                usable_request(request, card), scene, chips, context.settings, policy, admit
            )
            return replace(status, said=(*unused_prior(request, card), *status.said))

    @routes.post("/preview")
    async def preview(execution: Execution, http: Request) -> Preview:
        """What a job with these inputs would look at; the model is not asked and no job is created."""
        return await in_time(partial(make, execution.inputs), http, LIMIT_S)

    @routes.post("/prior")
    async def prior(execution: Execution, http: Request) -> PriorStatus:
        """Where the prior of a job with these inputs would come from; nothing is fetched, no other server is asked."""
        return await in_time(partial(look, execution.inputs), http, LIMIT_S)

    return routes


def _until(cancelled: Callable[[], bool], planned: Iterator[ChipQuestions]) -> Iterator[Chip]:
    """The chips of a plan. Raises Cancelled."""
    for each in planned:
        if cancelled():
            raise Cancelled("cancelled")
        yield each.chip


def _card(context: Context, name: str | None) -> Card:
    """The card of a served model, from what ``/info`` shows of it."""
    if (card := context.model_card(name)) is None:
        raise FusarError("this server does not describe its model; start a job instead")
    return card


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
    return ShownChip(
        image=_png(Image.fromarray(pixels.grey)),
        size=(chip.plan.width, chip.plan.height),
        footprint=ground_footprint(scene, chip),
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
    admit: Admit,
) -> ShownPrior:
    """The prior of a chip; if it cannot be fetched, the preview succeeds and ``said`` gives the reason."""
    said: list[str] = []
    settings = replace(settings, deadline_s=min(settings.deadline_s, DEADLINE_S))
    try:
        with closing(
            open_scene_prior(request, scene, settings, said.append, cancelled, RasterPolicy(), admit)
        ) as source:
            field = source.prior(footprint(scene, chip), prior_year(request, scene))
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

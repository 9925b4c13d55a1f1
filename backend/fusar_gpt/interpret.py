"""The main path: a scene, an area and a task go in, a stream of georeferenced findings comes out.

open scene -> plan chips over the area -> for each batch of chips: read window, quantise, fetch prior
-> ask the engine -> parse -> georeference -> merge with neighbours -> emit findings
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timezone
from itertools import chain, islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from shapely import Point, transform
from shapely import box as shapely_box
from shapely.geometry.base import BaseGeometry

from fusar_gpt import __version__
from fusar_gpt.engine import Engine, Reply, Request
from fusar_gpt.errors import Cancelled
from fusar_gpt.findings import (
    Added,
    Change,
    Finding,
    Merge,
    Replaced,
    Run,
    area_totals,
    crs_text,
    georeference,
)
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Chip, Scene, Stretch, open_scene, read_chip
from fusar_gpt.inquiries import Inquiry, Order, chip_overlap, plan_inquiries, scene_area
from fusar_gpt.priors import Footprint, PriorField, PriorSource, open_prior
from fusar_gpt.tasks import Answer, PromptSet, Question, prompt_set

T = TypeVar("T")
Said = tuple[Question, Answer, Reply]


@dataclass(frozen=True)
class Started:
    """The run begins; ``chips`` is how many chips it will look at."""

    run: Run
    chips: int


@dataclass(frozen=True)
class ChipDone:
    """One more chip is answered; ``changes`` are the findings it adds or improves."""

    done: int
    chips: int
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Finished:
    """The run is complete; ``findings`` is the final set."""

    run: Run
    findings: tuple[Finding, ...]


Event = Started | ChipDone | Finished


@dataclass(frozen=True)
class Sight:
    """One chip as the model sees it: pixels uint8 [H, W] and its prior."""

    inquiry: Inquiry
    pixels: NDArray[np.uint8]
    prior: PriorField


def interpret(order: Order, engine: Engine, cancelled: Callable[[], bool] = lambda: False) -> Iterator[Event]:
    """Interpret an area of a scene, yielding findings as soon as their chip is answered.

    Raises a :class:`~fusar_gpt.errors.FusarError` that names what is wrong with the scene, area, prior or
    question, and :class:`~fusar_gpt.errors.Cancelled` at the next token once ``cancelled()`` is true.
    """
    wording = prompt_set(engine.card.prompt_set)
    source = open_prior(order.prior)
    with open_scene(order.scene, band=order.band) as scene:
        area = scene_area(order, scene)
        chips, inquiries = plan_inquiries(order, scene, area, engine.card)
        first = next(inquiries)
        stretch = scene.stretch()
        year = order.year or (scene.acquired.year if scene.acquired else None)
        prior = source.prior(footprint(scene, first.chip), year)
        run = provenance(order, scene, area, stretch, first, prior, engine, wording)
        yield Started(run, chips)

        merge = Merge(scene)
        findings: dict[str, Finding] = {}
        done = 0
        for batch in batches(chain([first], inquiries), engine.batch_size):
            sights = [look(scene, inquiry, stretch, source, year, cancelled) for inquiry in batch]
            for sight, said in zip(sights, ask(engine, wording, sights, cancelled), strict=True):
                done += 1
                changes = merge.add(sight.inquiry.chip, place(sight, said, scene, area, run))
                keep(findings, changes)
                yield ChipDone(done, chips, tuple(changes))

        totals = [Added(total) for total in area_totals(findings.values(), scene, run)]
        if totals:
            keep(findings, totals)
            yield ChipDone(done, chips, tuple(totals))
        yield Finished(run, tuple(findings.values()))


def provenance(
    order: Order,
    scene: Scene,
    area: BaseGeometry,
    stretch: Stretch,
    first: Inquiry,
    prior: PriorField,
    engine: Engine,
    wording: PromptSet,
) -> Run:
    """Everything that decides the answers, told by the scene, the first inquiry and its prior."""
    plan = first.chip.plan
    size = (plan.width, plan.height)
    ground = transform(area, lambda xy: scene.to_ground(ScenePoints.of(xy)).xy())
    return Run(
        id=uuid.uuid4().hex,
        version=__version__,
        model=engine.card.name,
        model_hash=engine.hash,
        demonstration=engine.card.demonstration,
        task=order.task.value,
        targets=tuple(question.target for question in first.questions if question.target),
        prompts=tuple(wording.prompt(question, size) for question in first.questions),
        scene=scene.name,
        scene_crs=crs_text(scene.crs),
        scene_fingerprint=scene.fingerprint,
        scene_simulated=scene.simulated,
        band=scene.band,
        quantity=scene.quantity,
        stretch_low_db=stretch.low_db,
        stretch_high_db=stretch.high_db,
        chip_ground_m=plan.window.width * scene.pixel_size_m,
        aspect=order.aspect or engine.card.aspect,
        overlap=chip_overlap(order),
        area=ground.wkt,
        started=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        prior=prior.source,
        prior_year=prior.year,
        prior_attribution=prior.attribution,
        prior_simulated=prior.simulated,
        attribution=scene.attribution,
    )


def look(
    scene: Scene,
    inquiry: Inquiry,
    stretch: Stretch,
    source: PriorSource,
    year: int | None,
    cancelled: Callable[[], bool],
) -> Sight:
    """Read and quantise one chip and fetch its prior."""
    if cancelled():
        raise Cancelled("cancelled")
    pixels = read_chip(scene, inquiry.chip, stretch)
    return Sight(inquiry, pixels, source.prior(footprint(scene, inquiry.chip), year))


def footprint(scene: Scene, chip: Chip) -> Footprint:
    """The chip's spatiotemporal bounding box (FUSAR-GPT eq. 1) and the real mapping to chip pixels (eq. 3)."""
    outline = ScenePoints.of(
        np.asarray(chip.footprint.segmentize(chip.plan.window.width / 8).exterior.coords)
    )
    lonlat = scene.to_lonlat(outline)
    across = np.ptp(lonlat.x) > 180  # the antimeridian: west is then the least of the eastern longitudes
    return Footprint(
        west=float(lonlat.x[lonlat.x > 0].min() if across else lonlat.x.min()),
        south=float(lonlat.y.min()),
        east=float(lonlat.x[lonlat.x < 0].max() if across else lonlat.x.max()),
        north=float(lonlat.y.max()),
        width=chip.plan.width,
        height=chip.plan.height,
        lonlat_to_chip=lambda points: chip.plan.scene_to_chip(scene.from_lonlat(points)),
        scene_to_chip=chip.plan.scene_to_chip,
        scene_width=scene.width,
        scene_height=scene.height,
    )


def ask(
    engine: Engine, wording: PromptSet, sights: Sequence[Sight], cancelled: Callable[[], bool]
) -> list[list[Said]]:
    """Ask every question of every sight in one go; the answers come back grouped by sight, in order."""
    asked = [(sight, question) for sight in sights for question in sight.inquiry.questions]
    requests = []
    for sight, question in asked:
        size = (sight.inquiry.chip.plan.width, sight.inquiry.chip.plan.height)
        requests.append(
            Request(
                image=sight.pixels,
                values=sight.prior.values,
                positions=sight.prior.positions,
                prompt=wording.prompt(question, size),
                grammar=wording.grammar(question),
                max_tokens=wording.max_tokens(question),
            )
        )
    replies = iter(engine.answer(requests, cancelled))
    grouped = []
    for sight in sights:
        size = (sight.inquiry.chip.plan.width, sight.inquiry.chip.plan.height)
        said = []
        for question in sight.inquiry.questions:
            reply = next(replies)
            answer = wording.parse(question, reply.text, size, finished=reply.finished)
            said.append((question, answer, reply))
        grouped.append(said)
    return grouped


def place(sight: Sight, said: Sequence[Said], scene: Scene, area: BaseGeometry, run: Run) -> list[Finding]:
    """The georeferenced findings of one sight; objects and cells outside the area are left out."""
    found: list[Finding] = []
    for question, answer, reply in said:
        found += georeference(answer, question, sight.inquiry.chip, scene, run, reply.score, len(sight.prior))
    return [finding for finding in found if concerns(finding, area)]


def concerns(finding: Finding, area: BaseGeometry) -> bool:
    """A detection counts where its centre is, a grid cell where any of it is; an answer is about its chip."""
    box = finding.box
    if finding.layer == "detections":
        return bool(area.covers(Point((box.left + box.right) / 2, (box.top + box.bottom) / 2)))
    return finding.layer != "grid" or bool(area.intersects(shapely_box(*astuple(box))))


def keep(findings: dict[str, Finding], changes: Iterable[Change]) -> None:
    """Apply the changes to the findings so far, by id."""
    for change in changes:
        if isinstance(change, Replaced):
            del findings[change.old_id]
        findings[change.finding.id] = change.finding


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most ``size`` items (itertools.batched needs Python 3.12)."""
    while batch := list(islice(items, size)):
        yield batch

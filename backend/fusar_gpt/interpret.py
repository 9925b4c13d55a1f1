"""The main path: a scene, an area and a task go in, a stream of georeferenced findings comes out.

open scene -> plan chips over the area -> for each batch of chips: read window, quantise, fetch prior
-> ask the engine -> parse -> georeference -> merge with neighbours -> emit findings

While the engine answers, the priors of the chips that follow are fetched.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
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
from fusar_gpt.imagery import Chip, Guard, Scene, Stretch, open_scene, read_chip
from fusar_gpt.inquiries import Inquiry, Order, chip_overlap, plan_inquiries, scene_area
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import NONE, Footprint, PriorField, PriorSource, open_prior
from fusar_gpt.tasks import Answer, PromptSet, Question, prompt_set

AHEAD = 8
"""Chips, at least, whose priors are on their way before their turn comes."""

logger = logging.getLogger(__name__)

T = TypeVar("T")
Said = tuple[Question, Answer, Reply]


@dataclass(frozen=True)
class RunIdentity:
    """Names a run; one that begins again under the same identity yields the same events."""

    id: str
    started: str

    @classmethod
    def new(cls) -> RunIdentity:
        """A run that starts now."""
        return cls(uuid.uuid4().hex, datetime.now(timezone.utc).isoformat(timespec="seconds"))


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


def interpret(
    order: Order,
    engine: Engine,
    cancelled: Callable[[], bool] = lambda: False,
    settings: PriorSettings | None = None,
    tell: Callable[[str], None] = logger.info,
    identity: RunIdentity | None = None,
) -> Iterator[Event]:
    """Interpret an area of a scene, yielding findings as soon as their chip is answered.

    Args:
        order: What the analyst asked for.
        engine: Who answers.
        cancelled: Whether the analyst has stopped the run.
        settings: How priors are fetched; None takes them from the environment.
        tell: Takes each line about where the priors come from.
        identity: Of a run that begins again; None is a new one.

    Raises a :class:`~fusar_gpt.errors.FusarError` that names what is wrong with the scene, area, prior or
    question, and :class:`~fusar_gpt.errors.Cancelled` at the next token once ``cancelled()`` is true.
    """
    wording = prompt_set(engine.card.prompt_set)
    settings = settings or PriorSettings.of()
    settings = replace(settings, allow_none=settings.allow_none or order.allow_no_prior)
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        tell(line)

    with (
        open_scene(order.scene, band=order.band, guard=Guard() if order.guarded else None) as scene,
        closing(open_prior(order.prior, settings, note, cancelled)) as source,
    ):
        area = scene_area(order, scene)
        chips, inquiries = plan_inquiries(order, scene, area, engine.card)
        first = next(inquiries)
        stretch = scene.stretch()
        year = order.year or (scene.acquired.year if scene.acquired else None)
        prior = source.prior(footprint(scene, first.chip), year)
        run = with_priors(
            provenance(identity or RunIdentity.new(), order, scene, area, stretch, first, engine, wording),
            [prior],
            year,
            notes,
        )
        yield Started(run, chips)

        merge = Merge(scene)
        findings: dict[str, Finding] = {}
        used: dict[str, PriorField] = {}
        done = 0
        coming = warmed(chain([first], inquiries), scene, source, year, max(2 * engine.batch_size, AHEAD))
        for batch in batches(coming, engine.batch_size):
            sights = [look(scene, inquiry, stretch, source, year, cancelled) for inquiry in batch]
            for sight, said in zip(sights, ask(engine, wording, sights, cancelled), strict=True):
                done += 1
                used.setdefault(sight.prior.source, sight.prior)
                changes = merge.add(sight.inquiry.chip, place(sight, said, scene, area, run))
                keep(findings, changes)
                yield ChipDone(done, chips, tuple(changes))

        run = with_priors(run, used.values(), year, notes)
        totals = [Added(total) for total in area_totals(findings.values(), scene, run)]
        if totals:
            keep(findings, totals)
            yield ChipDone(done, chips, tuple(totals))
        yield Finished(run, tuple(findings.values()))


def provenance(
    identity: RunIdentity,
    order: Order,
    scene: Scene,
    area: BaseGeometry,
    stretch: Stretch,
    first: Inquiry,
    engine: Engine,
    wording: PromptSet,
) -> Run:
    """Everything that decides the answers but the priors, told by the scene and the first inquiry."""
    plan = first.chip.plan
    size = (plan.width, plan.height)
    ground = transform(area, lambda xy: scene.to_ground(ScenePoints.of(xy)).xy())
    return Run(
        id=identity.id,
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
        started=identity.started,
        attribution=scene.attribution,
    )


def with_priors(run: Run, priors: Iterable[PriorField], year: int | None, notes: Sequence[str]) -> Run:
    """The run with where its priors come from, and what was said of it; the first of several says the year."""
    given = [prior for prior in priors if prior.source != NONE]
    first = given[0] if given else PriorField.empty(NONE)
    return replace(
        run,
        prior=", ".join(prior.source for prior in given) or NONE,
        prior_year=first.year,
        prior_year_asked=None if first.year in (None, year) else year,
        prior_attribution=first.attribution,
        prior_simulated=any(prior.simulated for prior in given),
        prior_note="; ".join(notes) or None,
    )


def warmed(
    inquiries: Iterator[Inquiry], scene: Scene, source: PriorSource, year: int | None, ahead: int
) -> Iterator[Inquiry]:
    """The inquiries, each after its prior has been sent for ``ahead`` chips before its turn."""
    coming: deque[Inquiry] = deque()
    for inquiry in inquiries:
        source.prefetch(footprint(scene, inquiry.chip), year)
        coming.append(inquiry)
        if len(coming) > ahead:
            yield coming.popleft()
    yield from coming


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
    run = replace(run, prior=sight.prior.source)  # each finding says where its own chip's prior came from
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

"""The main path: a scene, an area and a task go in, a stream of georeferenced findings comes out.

open scene -> plan chips over the area -> for each batch of chips: read window, quantise, fetch prior
-> ask the engine -> parse -> georeference -> merge with neighbours -> emit findings

While the engine answers, the priors of the chips that follow are fetched.
"""

from __future__ import annotations

import logging
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import astuple, dataclass, replace
from datetime import datetime, timezone
from itertools import chain, islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from shapely import Point, get_coordinates, transform
from shapely import box as shapely_box
from shapely.geometry.base import BaseGeometry

from fusar_gpt import __version__
from fusar_gpt.certainty import Certainty, calibration_of, certainty, with_calibration
from fusar_gpt.contract import (
    ENOUGH_DATA,
    NO_PRIOR,
    Event,
    Finding,
    Finished,
    Found,
    InterpretRequest,
    Polygon,
    Progress,
    Run,
    Started,
)
from fusar_gpt.engine import DecodeRequest, Engine, Reply
from fusar_gpt.errors import Cancelled, SceneError
from fusar_gpt.findings import AreaNumbers, Merge, georeference, not_asked
from fusar_gpt.findings.coverage import AreaCoverage, Coverage, without_data, without_prior
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Chip, RasterPolicy, Scene, Stretch, crs_text, open_scene_of, read_chip
from fusar_gpt.model.calibration import Calibration
from fusar_gpt.planning import (
    ChipQuestions,
    abilities_of,
    answerable,
    chip_overlap,
    plan_questions,
    scene_area,
    untaught,
    usable_request,
)
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.priors import PriorField, PriorSource
from fusar_gpt.scene_prior import Admit, admit_raster, footprint, open_scene_prior, prior_asked, prior_year
from fusar_gpt.tasks import Answer, PromptSet, Question, Task, prompt_set

SOME_DATA = 0.1
"""The least share of a chip with data in which objects are looked for."""

AHEAD = 8
"""Chips, at least, whose priors are on their way before their turn comes."""

logger = logging.getLogger(__name__)

T = TypeVar("T")


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
class ChipInput:
    """One chip as the model sees it, and what to ask about it: pixels uint8 [H, W], their data and the prior."""

    chip: Chip
    questions: tuple[Question, ...]
    pixels: NDArray[np.uint8]
    coverage: Coverage
    prior: PriorField

    @property
    def asked(self) -> tuple[Question, ...]:
        """The questions that there is enough data for; single objects are found wherever there is some."""
        least = {Task.DETECT: SOME_DATA}
        return tuple(q for q in self.questions if self.coverage.share >= least.get(q.task, ENOUGH_DATA))

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in chip pixels."""
        return self.chip.plan.width, self.chip.plan.height


@dataclass(frozen=True)
class AnsweredQuestion:
    """A question, what the model's answer means, and how sure the model is of it."""

    question: Question
    answer: Answer
    sure: Certainty


def interpret(
    request: InterpretRequest,
    engine: Engine,
    cancelled: Callable[[], bool] = lambda: False,
    settings: PriorSettings | None = None,
    report: Callable[[str], None] = logger.info,
    identity: RunIdentity | None = None,
    policy: RasterPolicy | None = None,
    admit: Admit = admit_raster,
) -> Generator[Event, None, None]:
    """Interpret an area of a scene, yielding findings as soon as their chip is answered.

    Args:
        request: What the analyst asks for.
        engine: What runs the model.
        cancelled: Whether the analyst has stopped the run.
        settings: How priors are fetched; None takes them from the environment.
        report: Takes each line about where the priors come from.
        identity: Of a run that begins again; None is a new one.
        policy: Which rasters may be opened, where the scene is somebody else's file; None trusts it.
        admit: Looks at a prior file that lies beside the scene before it is opened.

    Raises a :class:`~fusar_gpt.errors.FusarError` that names what is wrong with the scene, area, prior or
    question, and :class:`~fusar_gpt.errors.Cancelled` at the next token or piece of the scene once ``cancelled()`` is
    true.
    """
    prompts = prompt_set(engine.card.prompt_set)
    request = answerable(request, abilities_of(engine.card))
    usable = usable_request(request, engine.card)
    calibration, other = calibration_of(engine.card, engine.hash)
    settings = settings or PriorSettings.of()
    notes: list[str] = []

    def note(line: str) -> None:
        notes.append(line)
        report(line)

    with (
        open_scene_of(request, policy, cancelled) as scene,
        closing(open_scene_prior(usable, scene, settings, note, cancelled, policy, admit)) as source,
    ):
        area = scene_area(request, scene)
        total, planned = plan_questions(request, scene, area, engine.card)
        first = next(planned)
        stretch = scene.stretch()
        year = prior_year(request, scene)
        prior = source.prior(footprint(scene, first.chip), year)
        run = provenance(identity or RunIdentity.new(), request, scene, area, stretch, first, engine, prompts)
        run = with_priors(run, [prior], year, notes)
        run = with_calibration(run, first.questions, calibration, other)
        yield Started(with_no_prior(run, prior, source.missing), total)

        merge = Merge(scene)
        findings: dict[str, Finding] = {}
        used: dict[str, PriorField] = {}
        covered, numbers = AreaCoverage(), AreaNumbers()
        ahead = max(2 * engine.batch_size, AHEAD)
        prefetched = prefetch_priors(chain([first], planned), scene, source, year, ahead)
        for batch in batches(prefetched, engine.batch_size):
            inputs = [read_input(scene, chip, area, stretch, source, year, cancelled) for chip in batch]
            for seen, answered in zip(
                inputs, ask(engine, prompts, inputs, calibration, cancelled), strict=True
            ):
                none = seen.prior.source == NO_PRIOR
                covered.add(
                    seen.coverage,
                    asked=bool(seen.asked),
                    lacks_prior=not none and not len(seen.prior),
                    no_prior=source.missing if none else "",
                )
                numbers.add((each.question, each.answer) for each in answered)
                if seen.asked:
                    used.setdefault(seen.prior.source, seen.prior)
                found = merge.add(seen.chip, georeference_answers(seen, answered, scene, area, run))
                if found.added:
                    apply_changes(findings, found)
                    yield found
                yield Progress(covered.chips, total, ground_footprint(scene, seen.chip))

        run = with_coverage(run, covered, scene)
        run = with_priors(run, used.values(), year, notes)
        totals = Found(tuple(numbers.rows(findings.values(), scene, run)))
        if totals.added:
            apply_changes(findings, totals)
            yield totals
            yield Progress(total, total)
        yield Finished(run, tuple(findings.values()))


def provenance(
    identity: RunIdentity,
    request: InterpretRequest,
    scene: Scene,
    area: BaseGeometry,
    stretch: Stretch,
    first: ChipQuestions,
    engine: Engine,
    prompts: PromptSet,
) -> Run:
    """Everything that decides the answers but the priors, read off the scene and the first chip."""
    plan = first.chip.plan
    size = (plan.width, plan.height)
    ground = transform(area, lambda xy: scene.to_ground(ScenePoints.of(xy)).xy())
    return Run(
        id=identity.id,
        version=__version__,
        model=engine.card.name,
        model_hash=engine.hash,
        demonstration=engine.card.demonstration,
        task=request.task.value,
        targets=tuple(dict.fromkeys(question.target for question in first.questions if question.target)),
        prompts=tuple(prompts.prompt(question, size) for question in first.questions),
        **scene_provenance(scene, stretch),
        chip_ground_m=plan.window.width * scene.pixel_size_m,
        aspect=request.aspect or engine.card.aspect,
        overlap=chip_overlap(request, first.questions),
        area=ground.wkt,
        started=identity.started,
        prior_asked=prior_asked(request),
        warnings=(*scene.warnings, *untaught(request, scene, first.chip, engine.card)),
    )


def scene_provenance(scene: Scene, stretch: Stretch) -> dict[str, Any]:
    """What of a run's provenance the scene alone decides, and how it was read."""
    return {
        "scene": scene.name,
        "scene_crs": crs_text(scene.crs),
        "scene_fingerprint": scene.fingerprint,
        "scene_simulated": scene.simulated,
        "band": scene.band,
        "quantity": scene.quantity,
        "quantity_reason": scene.radiometry.reason,
        "stretch_low_db": stretch.low_db,
        "stretch_high_db": stretch.high_db,
        "attribution": scene.attribution,
    }


def with_priors(run: Run, priors: Iterable[PriorField], year: int | None, notes: Sequence[str]) -> Run:
    """The run with where its priors come from, and what was reported of them; the first of several names the year."""
    given = [prior for prior in priors if prior.source != NO_PRIOR]
    first = given[0] if given else PriorField.empty(NO_PRIOR)
    return replace(
        run,
        prior=", ".join(prior.source for prior in given) or NO_PRIOR,
        prior_year=first.year,
        prior_year_asked=None if first.year in (None, year) else year,
        prior_attribution=first.attribution,
        prior_simulated=any(prior.simulated for prior in given),
        prior_note="; ".join(notes) or None,
    )


def with_no_prior(run: Run, prior: PriorField, why: str) -> Run:
    """The run with the notice that its first chip has no prior, although one was asked for."""
    lacks = prior.source == NO_PRIOR and why
    return replace(run, warnings=(*run.warnings, without_prior(why))) if lacks else run


def with_coverage(run: Run, seen: AreaCoverage, scene: Scene) -> Run:
    """The run with what was seen of its area. Raises SceneError if there was nothing to ask about."""
    if not seen.asked:
        raise SceneError(
            f"there is no data on {without_data(seen.share)} of the area, band '{scene.band}' of '{scene.name}', so "
            "the model was not asked: draw the area where the scene has data, or choose another band"
        )
    return replace(run, data_share=seen.share, warnings=(*run.warnings, *seen.warnings()))


def ground_footprint(scene: Scene, chip: Chip) -> Polygon:
    """Where a chip lies, in the scene's CRS, x (east) first."""
    corners = scene.to_ground(ScenePoints.of(get_coordinates(chip.footprint)))
    return Polygon("Polygon", (tuple((float(x), float(y)) for x, y in corners.xy()),))


def prefetch_priors(
    planned: Iterator[ChipQuestions], scene: Scene, source: PriorSource, year: int | None, ahead: int
) -> Iterator[ChipQuestions]:
    """The chips, each after the fetch of its prior was started ``ahead`` chips before it is needed."""
    waiting: deque[ChipQuestions] = deque()
    for chip in planned:
        source.prefetch(footprint(scene, chip.chip), year)
        waiting.append(chip)
        if len(waiting) > ahead:
            yield waiting.popleft()
    yield from waiting


def read_input(
    scene: Scene,
    planned: ChipQuestions,
    area: BaseGeometry,
    stretch: Stretch,
    source: PriorSource,
    year: int | None,
    cancelled: Callable[[], bool],
) -> ChipInput:
    """Read and quantise one chip and, if it has data enough to be asked about, get its prior."""
    if cancelled():
        raise Cancelled("cancelled")
    pixels = read_chip(scene, planned.chip, stretch)
    coverage = Coverage.of(pixels.has_data, planned.chip, area, planned.questions[0].box)
    seen = ChipInput(planned.chip, planned.questions, pixels.grey, coverage, PriorField.empty(NO_PRIOR))
    if not seen.asked:
        return seen
    return replace(seen, prior=source.prior(footprint(scene, planned.chip), year))


def ask(
    engine: Engine,
    prompts: PromptSet,
    inputs: Sequence[ChipInput],
    calibration: Calibration | None,
    cancelled: Callable[[], bool],
) -> list[list[AnsweredQuestion]]:
    """Ask every question about every chip that has data in one go; the answers come back grouped by chip, in order."""
    requests = [
        DecodeRequest(
            image=seen.pixels,
            values=seen.prior.values,
            positions=seen.prior.positions,
            prompt=prompts.prompt(question, seen.size),
            grammar=prompts.grammar(question),
            max_tokens=prompts.max_tokens(question),
        )
        for seen in inputs
        for question in seen.asked
    ]
    replies = iter(engine.answer(requests, cancelled))

    def read(seen: ChipInput, question: Question, reply: Reply) -> AnsweredQuestion:
        answer = prompts.parse(question, reply.text, seen.size, finished=reply.finished)
        sure = certainty(question.task, answer, reply.probability, calibration, seen.size)
        return AnsweredQuestion(question, answer, sure)

    return [
        [read(seen, question, reply) for question, reply in zip(seen.asked, replies, strict=False)]
        for seen in inputs
    ]


def georeference_answers(
    seen: ChipInput, answered: Sequence[AnsweredQuestion], scene: Scene, area: BaseGeometry, run: Run
) -> list[Finding]:
    """The findings in the answers about one chip; objects and cells outside the area are left out."""
    run = replace(run, prior=seen.prior.source)  # each finding says where its own chip's prior came from
    unasked = {
        question.target: question for question in reversed(seen.questions) if question not in seen.asked
    }
    found = [not_asked(question, seen.chip, scene, run, seen.coverage) for question in unasked.values()]
    found += [
        finding
        for each in answered
        for finding in georeference(
            each.answer,
            each.question,
            seen.chip,
            scene,
            run,
            each.sure,
            len(seen.prior),
            seen.coverage,
        )
    ]
    return [finding for finding in found if in_area(finding, area)]


def in_area(finding: Finding, area: BaseGeometry) -> bool:
    """A detection counts where its centre is, a grid cell where any of it is; an answer is about its chip."""
    box = finding.box
    if finding.layer == "detections":
        return bool(area.covers(Point((box.left + box.right) / 2, (box.top + box.bottom) / 2)))
    return finding.layer != "grid" or bool(area.intersects(shapely_box(*astuple(box))))


def apply_changes(findings: dict[str, Finding], found: Found) -> None:
    """Bring the findings so far up to date, by id."""
    for old in found.replaced:
        del findings[old]
    findings.update((finding.id, finding) for finding in found.added)


def batches(items: Iterator[T], size: int) -> Iterator[list[T]]:
    """Consecutive lists of at most ``size`` items (itertools.batched needs Python 3.12)."""
    while batch := list(islice(items, size)):
        yield batch

"""What is asked of which chip: a request becomes chips with their questions."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from shapely import union_all
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract import NO_PRIOR, FeatureCollection, InterpretRequest
from fusar_gpt.errors import TaskError
from fusar_gpt.frames import ChipBox, ScenePoints
from fusar_gpt.imagery import Area, Chip, ChipFormat, ChipPlan, Scene, plan_chips
from fusar_gpt.model import Card
from fusar_gpt.tasks import SEARCHES, Abilities, Question, Task
from fusar_gpt.tasks.questions import is_chinese

LONGEST_M = {
    "ship": 500.0,
    "plane": 85.0,
    "airplane": 85.0,
    "aircraft": 85.0,
    "helicopter": 40.0,
    "vehicle": 25.0,
}
"""No object of these classes is longer: the longest ship is a gas plant afloat of 488 m."""
_LEEWAY = 1.1

DETECTION_OVERLAP = 0.25
"""Share of a chip's side seen again by its neighbour: an object cut by one edge is whole in another chip."""

MAX_PARTS = 2000
"""An area of more parts has one plan: it is no list of places."""
_HAIR_PX = 0.1
"""What an edge may have moved by while it was in degrees."""
_SEEN_TWICE = 0.02
"""Share of a chip's side that chips of two parts may both see though they should not overlap."""


@dataclass(frozen=True)
class ChipQuestions:
    """One chip and what to ask about it."""

    chip: Chip
    questions: tuple[Question, ...]


def request_for(
    scene: str | Path, task: Task, *, area: Area | None = None, boxes: Sequence[Area] = (), **choices: Any
) -> InterpretRequest:
    """A request about places that were read from files.

    Args:
        scene: As in the request.
        task: What is asked.
        area: Where to look.
        boxes: The objects to classify, all in one CRS.
        **choices: Other fields of the request.

    Raises:
        TaskError: The task lacks what it needs.
    """
    if area:
        choices |= {"area": area.outline(), "area_crs": area.crs_text()}
    if boxes:
        outlines = FeatureCollection.of(tuple(box.outline() for box in boxes))
        choices |= {"boxes": outlines, "boxes_crs": boxes[0].crs_text()}
    try:
        return InterpretRequest(str(scene), task, **choices)
    except ValueError as error:
        raise TaskError(str(error)) from error


def area_of(request: InterpretRequest) -> Area | None:
    """The polygons to look at. Raises AreaError where they are invalid or their CRS is unknown."""
    return Area.from_geojson(request.area, request.area_crs) if request.area else None


def boxes_of(request: InterpretRequest) -> list[Area]:
    """The objects to classify. Raises as :func:`area_of`."""
    crs = request.boxes_crs or request.area_crs
    return [Area.from_geojson(box.geometry, crs) for box in request.boxes.features] if request.boxes else []


def scene_area(request: InterpretRequest, scene: Scene) -> BaseGeometry:
    """The area in scene pixels: what was drawn, else the boxes to classify, else the whole scene."""
    if request.area is None and request.boxes:
        return union_all([box.on_scene(scene) for box in boxes_of(request)])
    return (area_of(request) or Area.whole(scene)).on_scene(scene)


def plan_questions(
    request: InterpretRequest, scene: Scene, area: BaseGeometry, card: Card
) -> tuple[int, Iterator[ChipQuestions]]:
    """How many chips there are, and lazily each chip with its questions."""
    stretched = (request.aspect or card.aspect) == "stretched"
    ground_m = request.ground_m or card.ground_m
    frame = ChipFormat(
        card.width, card.height, card.patch * card.merge, ground_m, stretched, request.ground_m is not None
    )
    if request.task is Task.CLASSIFY:
        boxes = boxes_of(request)
        return len(boxes), (
            chip_around(box, index, scene, frame, request.question) for index, box in enumerate(boxes)
        )
    questions = area_questions(request, card, scene)
    plan = plan_parts(scene, area, frame, chip_overlap(request, questions))
    if request.task is Task.COUNT and len(plan) > 1 and Task.DETECT in abilities_of(card).tasks:
        # What two chips see of one object can be merged in detections, not in counts.
        detections = tuple(replace(question, task=Task.DETECT) for question in questions)
        questions = tuple(chain.from_iterable(zip(questions, detections, strict=True)))
        plan = plan_parts(scene, area, frame, chip_overlap(request, questions))
    return len(plan), (ChipQuestions(chip, questions) for chip in plan)


@dataclass(frozen=True)
class PartPlans:
    """The chips of several plans, row by row as those of one; an object is merged only with what was seen just before.

    Attributes:
        plans: One for each part of an area.
    """

    plans: Sequence[ChipPlan]

    def __len__(self) -> int:
        return sum(map(len, self.plans))

    def __iter__(self) -> Iterator[Chip]:
        rows = heapq.merge(*self.plans, key=lambda chip: chip.plan.window.row)
        return (replace(chip, index=index) for index, chip in enumerate(rows))


def plan_parts(scene: Scene, area: BaseGeometry, frame: ChipFormat, overlap: float) -> ChipPlan | PartPlans:
    """The chips that cover an area: laid over all of it or over each of its parts, whichever are fewer.

    A few small places in a large scene, as a search finds them, then have about one chip each, not the four of a
    lattice over the whole scene that each of them touches. Without overlap no ground is seen twice, but for a hair:
    parts whose chips would see the same share a plan.
    """
    whole = plan_chips(scene, area, frame, overlap=overlap)
    parts = shapely.get_parts(area)
    if not 1 < len(parts) <= MAX_PARTS:
        return whole
    seen_twice = _SEEN_TWICE * whole.chip_ground_m / scene.pixel_size_m
    while True:
        plans = [plan_chips(scene, _within(part), frame, overlap=overlap) for part in parts]
        extents = shapely.buffer([plan.extent for plan in plans], -seen_twice / 2, join_style="mitre")
        groups = shapely.get_parts(union_all(extents))
        if overlap > 0 or len(groups) == len(parts):
            apart = PartPlans(plans)
            return apart if len(apart) < len(whole) else whole
        parts = np.array([union_all(parts[shapely.intersects(extents, group)]) for group in groups])


def _within(part: BaseGeometry) -> BaseGeometry:
    """A part less a hair, so that one that was as large as a chip before its corners were degrees still is."""
    smaller = part.buffer(-_HAIR_PX, join_style="mitre")
    return part if smaller.is_empty else smaller


def chip_overlap(request: InterpretRequest, questions: Sequence[Question]) -> float:
    """Only detections can be merged: other answers about ground seen twice would count it twice."""
    if request.overlap is not None:
        return request.overlap
    return DETECTION_OVERLAP if any(question.task is Task.DETECT for question in questions) else 0.0


def abilities_of(card: Card) -> Abilities:
    """What a checkpoint can be asked. Raises CheckpointError where its card claims what it has no words for."""
    return Abilities.claimed(
        card.prompt_set, card.targets, card.asked_tasks, card.free_questions, card.taught_questions
    )


def answerable(request: InterpretRequest, abilities: Abilities) -> InterpretRequest:
    """The request, a question in words that asks for a task made a request for that task; its words stay in it.

    Raises:
        TaskError: It can only be guessed at: the message says in the question's language what can be asked.
    """
    if request.task is not Task.ASK:
        if request.task not in abilities.tasks:
            raise TaskError(abilities.refusal(chinese=False, task=request.task))
        return replace(request, question=None)
    question = request.question or ""
    intent = abilities.intent([question])
    task: Task | None = intent.task
    if isinstance(intent.pick, int) or (intent.pick and task is Task.CLASSIFY):
        task = None  # no list was shown that has a second one
    elif task is Task.CLASSIFY and not request.boxes:
        task = abilities.in_words  # what "this" is, of an area
    if task is None:
        raise TaskError(abilities.refusal(is_chinese(question)))
    return replace(request, task=task, targets=intent.targets or request.targets, question=intent.text)


def area_questions(request: InterpretRequest, card: Card, scene: Scene) -> tuple[Question, ...]:
    """The questions asked of every chip: one a target, or one where the task needs no target.

    Raises:
        TaskError: The checkpoint does not know a target, or none is large enough to be seen in the scene.
    """
    if request.task not in SEARCHES:
        return (Question(request.task, text=request.question),)
    known = tuple(card.targets)
    unknown = [target for target in request.targets if known and target not in known]
    if unknown:
        raise TaskError(f"this checkpoint does not know '{unknown[0]}'; it knows: {', '.join(known)}")
    targets = request.targets or known
    if not targets:
        raise TaskError("this checkpoint takes any target: name at least one with --target NAME")
    hopeless = [target for target in targets if is_too_small(target, scene)]
    if hopeless and (request.targets or len(hopeless) == len(targets)):
        raise TaskError(
            f"a {hopeless[0]} is at most {LONGEST_M[hopeless[0]]:g} m long, not even two of the scene's pixels of "
            f"{scene.pixel_size_m:.3g} m: take a finer scene"
        )
    targets = tuple(target for target in targets if target not in hopeless)
    return tuple(Question(request.task, target=target, text=request.question) for target in targets)


def is_too_small(target: str, scene: Scene) -> bool:
    """Whether even the longest object of a class is shorter than two of the scene's pixels."""
    return scene.georeferenced and LONGEST_M.get(target, math.inf) < 2 * scene.pixel_size_m


def untaught(request: InterpretRequest, scene: Scene, chip: Chip, card: Card) -> list[str]:
    """Sentences about what the model does not use or may not have been taught, and targets too small to ask for."""
    said = [*unused_prior(request, card), *unconfirmed_words(request, card)]
    if card.tasks is None:
        said.append(
            "The checkpoint's card does not say which tasks it was taught: answers to others are guesses."
        )
    if not scene.georeferenced:
        return said
    pixel_m, chip_m = scene.pixel_size_m, chip.plan.window.width * scene.pixel_size_m
    least, greatest = card.pixel_m or (0.0, math.inf)
    # Where chips have a ground size, the pixels of finer scenes are averaged.
    if pixel_m > _LEEWAY * greatest or (pixel_m * _LEEWAY < least and card.ground_m is None):
        said.append(
            f"The scene's pixels of {pixel_m:.3g} m are not of a size that the model was taught ({least:g} to "
            f"{greatest:g} m): its answers are guesses there."
        )
    least, greatest = card.chip_m or (0.0, math.inf)
    if not least / _LEEWAY <= chip_m <= _LEEWAY * greatest:
        said.append(
            f"Chips of {chip_m:.0f} m of ground are not of a size that the model was taught ({least:.0f} to "
            f"{greatest:.0f} m): objects look smaller or larger in them than it knows them."
        )
    if request.ground_m is None and card.ground_m and chip_m > _LEEWAY * card.ground_m:
        said.append(
            f"The scene's pixels are coarse, so each chip shows {chip_m:.0f} m of ground instead of "
            f"{card.ground_m:.0f} m: small objects are easily missed. Less ground, magnified, may show more: "
            f"--ground-m {card.ground_m:.0f}, or Look closer in QGIS."
        )
    if request.task in SEARCHES and not request.targets:
        small = [target for target in card.targets if is_too_small(target, scene)]
        said += [f"Not asked for {target}: none is two pixels long in this scene." for target in small]
    return said


def usable_request(request: InterpretRequest, card: Card) -> InterpretRequest:
    """The request without a prior for a model that uses none, so that none is fetched."""
    return request if card.uses_prior else replace(request, prior=NO_PRIOR)


def unused_prior(request: InterpretRequest, card: Card) -> list[str]:
    """The sentence about a prior that was asked for and that the model does not use."""
    if card.uses_prior or request.prior == NO_PRIOR:
        return []
    return [
        f"The prior that was asked for is not used, nor fetched: {card.name} was trained on images alone."
    ]


def unconfirmed_words(request: InterpretRequest, card: Card) -> list[str]:
    """The sentence about words that the model's makers have not confirmed."""
    if request.task.value not in (card.unconfirmed_tasks or ()):
        return []
    return [
        f"The makers of {card.name} have not said how it is asked to {request.task.value}: these words are this "
        "project's, and the form that of a public benchmark."
    ]


def chip_around(
    box: Area, index: int, scene: Scene, frame: ChipFormat, question: str | None = None
) -> ChipQuestions:
    """The chip centred on one box to classify; a box larger than a chip gets a chip that holds it."""
    outline = box.on_scene(scene)
    left, top, right, bottom = outline.bounds
    native_m = frame.width * scene.pixel_size_m
    needed_m = 1.5 * max(right - left, bottom - top) * scene.pixel_size_m
    room = replace(frame, ground_m=max(frame.ground_m or native_m, needed_m), stretched=False)
    chip = replace(next(iter(plan_chips(scene, outline, room))), index=index)
    corners = chip.plan.scene_to_chip(ScenePoints.of([(left, top), (right, bottom)]))
    in_chip = ChipBox(corners.x[0], corners.y[0], corners.x[1], corners.y[1])
    return ChipQuestions(chip, (Question(Task.CLASSIFY, text=question, box=in_chip),))

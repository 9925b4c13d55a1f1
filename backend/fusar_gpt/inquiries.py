"""What is asked of which chip: an order becomes chips with their questions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from shapely import union_all
from shapely.geometry.base import BaseGeometry

from fusar_gpt.errors import TaskError
from fusar_gpt.frames import ChipBox, ScenePoints
from fusar_gpt.imagery import Area, Chip, ChipFormat, Scene, plan_chips
from fusar_gpt.model import Card
from fusar_gpt.tasks import Question, Task

DETECTION_OVERLAP = 0.25
"""Share of a chip's side seen again by its neighbour: an object cut by one edge is whole in another chip."""


@dataclass(frozen=True)
class Order:
    """What the analyst asked for.

    ``area`` None means the whole scene. ``boxes`` are the objects to classify. ``targets`` empty means all that
    the checkpoint knows. ``ground_m`` is the ground side of a chip in metres and ``overlap`` a share of it; None
    leaves both to the checkpoint and the task. ``aspect`` "stretched" or "undistorted" overrides the checkpoint's
    way to fit ground into its frame. ``year`` None means the year of the scene's acquisition. ``allow_no_prior``
    lets the run go on without a prior where none can be had. ``guarded`` opens the scene as somebody else's file, which
    is not trusted.
    """

    scene: Path
    task: Task
    targets: tuple[str, ...] = ()
    area: Area | None = None
    question: str | None = None
    boxes: tuple[Area, ...] = ()
    prior: str = "none"
    allow_no_prior: bool = False
    year: int | None = None
    band: str | int | None = None
    ground_m: float | None = None
    overlap: float | None = None
    aspect: str | None = None
    guarded: bool = False


@dataclass(frozen=True)
class Inquiry:
    """One chip and what to ask about it."""

    chip: Chip
    questions: tuple[Question, ...]


def scene_area(order: Order, scene: Scene) -> BaseGeometry:
    """The area in scene pixels: what was drawn, else the boxes to classify, else the whole scene."""
    if order.area is None and order.boxes:
        return union_all([box.on_scene(scene) for box in order.boxes])
    return (order.area or Area.whole(scene)).on_scene(scene)


def plan_inquiries(
    order: Order, scene: Scene, area: BaseGeometry, card: Card
) -> tuple[int, Iterator[Inquiry]]:
    """How many chips there are, and lazily each chip with its questions."""
    stretched = (order.aspect or card.aspect) == "stretched"
    frame = ChipFormat(
        card.width, card.height, card.patch * card.merge, order.ground_m or card.ground_m, stretched
    )
    if order.task is Task.CLASSIFY:
        if not order.boxes:
            raise TaskError("nothing to classify: give the objects' polygons with --boxes FILE")
        return len(order.boxes), (around(box, index, scene, frame) for index, box in enumerate(order.boxes))
    questions = area_questions(order, card)
    plan = plan_chips(scene, area, frame, overlap=chip_overlap(order))
    return len(plan), (Inquiry(chip, questions) for chip in plan)


def chip_overlap(order: Order) -> float:
    """Only detections can be merged: other answers about ground seen twice would count it twice."""
    if order.overlap is not None:
        return order.overlap
    return DETECTION_OVERLAP if order.task is Task.DETECT else 0.0


def area_questions(order: Order, card: Card) -> tuple[Question, ...]:
    """The questions asked of every chip: one a target, or one where the task needs no target."""
    if order.task in (Task.DESCRIBE, Task.ASK):
        return (Question(order.task, text=order.question),)
    known = tuple(card.targets)
    unknown = [target for target in order.targets if known and target not in known]
    if unknown:
        raise TaskError(f"this checkpoint does not know '{unknown[0]}'; it knows: {', '.join(known)}")
    targets = order.targets or known
    if not targets:
        raise TaskError("this checkpoint takes any target: name at least one with --target NAME")
    return tuple(Question(order.task, target=target) for target in targets)


def around(box: Area, index: int, scene: Scene, frame: ChipFormat) -> Inquiry:
    """The chip centred on one box to classify; a box larger than a chip gets a chip that holds it."""
    outline = box.on_scene(scene)
    left, top, right, bottom = outline.bounds
    native_m = frame.width * scene.pixel_size_m
    needed_m = 1.5 * max(right - left, bottom - top) * scene.pixel_size_m
    room = replace(frame, ground_m=max(frame.ground_m or native_m, needed_m), stretched=False)
    chip = replace(next(iter(plan_chips(scene, outline, room))), index=index)
    corners = chip.plan.scene_to_chip(ScenePoints.of([(left, top), (right, bottom)]))
    in_chip = ChipBox(corners.x[0], corners.y[0], corners.x[1], corners.y[1])
    return Inquiry(chip, (Question(Task.CLASSIFY, box=in_chip),))

"""What a conversation is about, an area of a scene or plain images, and asking the model about it."""

from __future__ import annotations

import pathlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pyproj import CRS, Geod, Transformer

from fusar_gpt.engine import Engine
from fusar_gpt.errors import AreaError
from fusar_gpt.findings import Finding, Run
from fusar_gpt.frames import ChipBox
from fusar_gpt.imagery import Area
from fusar_gpt.imagery.chips import ResizePlan
from fusar_gpt.inquiries import Order, area_questions
from fusar_gpt.interpret import Event, Finished, Started, interpret
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server.chat.pictures import View, interpret_pictures
from fusar_gpt.server.inputs import Boxes, Crs, Inputs, Name, Number, Outline, Path
from fusar_gpt.tasks import Question, Task

CHIPS = 400
"""Chips that one turn may look at; more is a job's work."""

OBJECT_M = 500.0
"""Diagonal of the largest area that is taken for one object."""

KEPT_RUNS = 16
KEPT_FINDINGS = 5000


class Grounding(BaseModel):
    """The field ``fusar`` of a request: the scene and area that a conversation is about, as inputs of a job.

    ``boxes`` are objects that "what is this?" means. Without ``self_check`` a count is not compared with the
    detections of the same area.
    """

    model_config = ConfigDict(extra="forbid")

    scene: Path
    area: Outline | None = None
    area_crs: Crs = "EPSG:4326"
    boxes: Boxes | None = None
    prior: Path = "none"
    allow_no_prior: Annotated[bool, Field(strict=True)] = False
    year: Annotated[int, Field(strict=True, ge=1970, le=2200)] | None = None
    band: Annotated[int, Field(strict=True, ge=1)] | Name | None = None
    ground_m: Annotated[Number, Field(gt=0, le=1e6)] | None = None
    overlap: Annotated[Number, Field(ge=0, le=0.9)] | None = None
    aspect: Annotated[str, Field(pattern="^(undistorted|stretched)$")] | None = None
    self_check: bool = True

    def inputs(self) -> Inputs:
        """The same as inputs of a job, whose task is still to be chosen."""
        return Inputs(task=Task.DESCRIBE, **self.model_dump(exclude={"self_check"}, exclude_unset=True))


class Ground(Protocol):
    """What is asked about. Both methods yield the events of one run.

    Attributes:
        unit: What the model sees at a time: a ``chip`` of an area, or an ``image``.
    """

    unit: Literal["chip", "image"]

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Ask everywhere."""

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Ask what one object is, or without one what "this" is; None where "this" is too much for one object."""


class Memory:
    """The last runs, so that a follow-up speaks of the very objects that were found before."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Hashable, list[Event]] = OrderedDict()
        self._lock = threading.Lock()

    def recall(self, key: Hashable, make: Callable[[], Iterator[Event]]) -> Iterator[Event]:
        """The events of that key: those remembered, else those made now, which are kept once they are all there."""
        with self._lock:
            known = self._runs.get(key)
            if known is not None:
                self._runs.move_to_end(key)
        if known is not None:
            yield from known
            return
        heard: list[Event] = []
        for event in make():
            heard.append(event)
            yield event
        if isinstance(event := heard[-1], Finished) and len(event.findings) <= KEPT_FINDINGS:
            with self._lock:
                self._runs[key] = heard
                while len(self._runs) > KEPT_RUNS:
                    self._runs.popitem(last=False)


class SceneGround:
    """An area of a scene."""

    unit: Literal["chip", "image"] = "chip"

    def __init__(self, order: Order, settings: PriorSettings, memory: Memory) -> None:
        self._order, self._settings, self._memory = order, settings, memory

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Ask about the whole area."""
        question = text if task is Task.ASK else None
        order = replace(self._order, task=task, targets=tuple(targets), question=question, boxes=())
        return self._events(order, engine, cancelled)

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Ask what a finding is, else what the boxes are, else what a small area holds."""
        boxes = self._order.boxes
        if chosen is not None:
            run, finding = chosen
            boxes = (Area(finding.geometry, CRS.from_user_input(run.scene_crs)),)
        elif not boxes and (area := self._order.area) is not None and _is_small(area):
            boxes = (area,)
        if not boxes:
            return None
        return self._events(
            replace(self._order, task=Task.CLASSIFY, area=None, boxes=boxes), engine, cancelled
        )

    def _events(self, order: Order, engine: Engine, cancelled: Callable[[], bool]) -> Iterator[Event]:
        def make() -> Iterator[Event]:
            for event in interpret(order, engine, cancelled, self._settings):
                if isinstance(event, Started) and event.chips > CHIPS:
                    raise AreaError(
                        f"the area takes {event.chips} chips, a conversation at most {CHIPS}: "
                        "draw a smaller area, or start a job"
                    )
                yield event

        if order.task in (Task.ASK, Task.DESCRIBE):
            return make()  # words may be drawn, and are wanted as they are made
        try:
            file = order.scene.stat()
        except OSError:
            return make()  # opening the scene says what is wrong with it
        return self._memory.recall((order, file.st_mtime_ns, file.st_size), make)


class PictureGround:
    """Plain images, by number."""

    unit: Literal["chip", "image"] = "image"

    def __init__(self, views: Mapping[int, View]) -> None:
        self._views = views

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Ask about each image."""
        order = Order(pathlib.Path(), task, tuple(targets), question=text if task is Task.ASK else None)
        questions = area_questions(order, engine.card)
        return interpret_pictures(self._views, lambda _: questions, engine, cancelled)

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Ask what a finding is; an image as a whole is described instead."""
        if chosen is None:
            return None
        finding = chosen[1]
        image = int(finding.properties["image"] or 1)

        def question(plan: ResizePlan) -> list[Question]:
            across, down = plan.width / plan.window.width, plan.height / plan.window.height
            box = finding.box
            corners = ChipBox(box.left * across, box.top * down, box.right * across, box.bottom * down)
            return [Question(Task.CLASSIFY, box=corners)]

        return interpret_pictures({image: self._views[image]}, question, engine, cancelled)


def _is_small(area: Area) -> bool:
    """Whether an area can be one object; never where its CRS does not reach."""
    to_lonlat = Transformer.from_crs(area.crs, CRS(4326), always_xy=True)
    left, bottom, right, top = area.geometry.bounds
    west, south, east, north = to_lonlat.transform_bounds(left, bottom, right, top, errcheck=False)
    return bool(Geod(ellps="WGS84").inv(west, south, east, north)[2] <= OBJECT_M)

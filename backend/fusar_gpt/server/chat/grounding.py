"""What a conversation is about, an area of a scene or plain images, and asking the model about it."""

from __future__ import annotations

import pathlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict, model_validator
from pyproj import CRS, Geod, Transformer

from fusar_gpt.contract import (
    Event,
    FeatureCollection,
    Finding,
    Finished,
    InterpretRequest,
    Outline,
    Run,
    Started,
)
from fusar_gpt.contract.limits import BandNumber, CrsText, FileName, Flag, Metres, Name, Overlap, Year
from fusar_gpt.engine import Engine
from fusar_gpt.errors import AreaError
from fusar_gpt.frames import ChipBox
from fusar_gpt.imagery import Area, Guard
from fusar_gpt.imagery.chips import ResizePlan
from fusar_gpt.interpret import interpret
from fusar_gpt.planning import area_of, area_questions
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.server.chat.pictures import View, interpret_pictures
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

    scene: FileName
    area: Outline | None = None
    area_crs: CrsText = "EPSG:4326"
    boxes: FeatureCollection | None = None
    prior: FileName = "none"
    allow_no_prior: Flag = False
    year: Year | None = None
    band: BandNumber | Name | None = None
    ground_m: Metres | None = None
    overlap: Overlap | None = None
    aspect: Literal["undistorted", "stretched"] | None = None
    self_check: bool = True

    @model_validator(mode="after")
    def _is_complete(self) -> Grounding:
        self.request()
        return self

    def request(self) -> InterpretRequest:
        """The same as a request, whose task is still to be chosen."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "self_check"}
        return InterpretRequest(task=Task.DESCRIBE, **given)


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

    def __init__(self, request: InterpretRequest, settings: PriorSettings, memory: Memory) -> None:
        self._request, self._settings, self._memory = request, settings, memory

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Ask about the whole area."""
        question = text if task is Task.ASK else None
        request = replace(self._request, task=task, targets=tuple(targets), question=question, boxes=None)
        return self._events(request, engine, cancelled)

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Ask what a finding is, else what the boxes are, else what a small area holds."""
        boxes, crs = self._request.boxes, self._request.area_crs
        if chosen is not None:
            finding = chosen[1]
            boxes, crs = FeatureCollection.of((finding.geometry,)), finding.crs
        elif not boxes and (area := area_of(self._request)) is not None and _is_small(area):
            boxes = FeatureCollection.of((area.outline(),))
        if not boxes:
            return None
        request = replace(self._request, task=Task.CLASSIFY, area=None, boxes=boxes, boxes_crs=crs)
        return self._events(request, engine, cancelled)

    def _events(
        self, request: InterpretRequest, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        def make() -> Iterator[Event]:
            for event in interpret(request, engine, cancelled, self._settings, policy=Guard()):
                if isinstance(event, Started) and event.chips > CHIPS:
                    raise AreaError(
                        f"the area takes {event.chips} chips, a conversation at most {CHIPS}: "
                        "draw a smaller area, or start a job"
                    )
                yield event

        if request.task in (Task.ASK, Task.DESCRIBE):
            return make()  # words may be drawn, and are wanted as they are made
        try:
            file = pathlib.Path(request.scene).stat()
        except OSError:
            return make()  # opening the scene says what is wrong with it
        return self._memory.recall((request, file.st_mtime_ns, file.st_size), make)


class PictureGround:
    """Plain images, by number."""

    unit: Literal["chip", "image"] = "image"

    def __init__(self, views: Mapping[int, View]) -> None:
        self._views = views

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Ask about each image."""
        question = text if task is Task.ASK else None
        request = InterpretRequest("image", task, tuple(targets), question=question)
        questions = area_questions(request, engine.card)
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

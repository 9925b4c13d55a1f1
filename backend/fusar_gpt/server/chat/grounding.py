"""What a conversation is about, an area of a scene or plain images, and how the model is asked about it."""

from __future__ import annotations

import pathlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Literal, Protocol, get_type_hints

from pydantic import ConfigDict, create_model, model_validator
from pyproj import CRS, Geod, Transformer

from fusar_gpt.contract import (
    Event,
    FeatureCollection,
    Finding,
    Finished,
    InterpretRequest,
    Run,
    SearchRequest,
    Started,
    Task,
)
from fusar_gpt.engine import DecodeRequest, Engine, EngineWrapper, OnText, Reply, never
from fusar_gpt.errors import AreaError
from fusar_gpt.imagery import Area, RasterPolicy
from fusar_gpt.interpret import interpret
from fusar_gpt.planning import area_of
from fusar_gpt.prior_options import PriorSettings
from fusar_gpt.scene_prior import Admit, admit_raster
from fusar_gpt.server.chat.images import Pixels, interpret_images

CHIPS = 400
"""The most chips that one answer may need; a larger area needs a job."""

OBJECT_M = 500.0
"""The longest diagonal of an area that is taken for a single object."""

KEPT_RUNS = 16
KEPT_FINDINGS = 5000


_HINTS = get_type_hints(InterpretRequest, include_extras=True)
_OWN_FIELDS = ("task", "targets", "question", "boxes_crs", "model")
_RequestFields = create_model(  # type: ignore[call-overload]
    "_RequestFields",
    __config__=ConfigDict(extra="forbid"),
    **{
        field.name: (_HINTS[field.name], ... if field.default is MISSING else field.default)
        for field in fields(InterpretRequest)
        if field.name not in _OWN_FIELDS
    },
)
"""The fields of a request but for those that the conversation decides."""


class ChatContext(_RequestFields):  # type: ignore[valid-type, misc]
    """The field ``fusar`` of a chat request: the scene and area of the conversation, as in the inputs of a job.

    ``boxes`` are the objects meant by "what is this?". ``self_check`` compares a count with the detections of the
    same area.
    """

    self_check: bool = True

    @model_validator(mode="after")
    def _is_complete(self) -> ChatContext:
        self.request()
        return self

    def request(self) -> InterpretRequest:
        """The same as a request; the task in it is replaced later."""
        given = {name: getattr(self, name) for name in self.model_fields_set if name != "self_check"}
        return InterpretRequest(task=Task.DESCRIBE, **given)


@dataclass(frozen=True)
class SamplingParams:
    """How free text is generated; counts, cells, classes and boxes are always decoded greedily.

    Attributes:
        max_tokens: The longest answer; None leaves it to the task.
        temperature: 0 is greedy.
        seed: Of the random numbers.
    """

    max_tokens: int | None = None
    temperature: float = 0.0
    seed: int = 0


class StreamTap(EngineWrapper):
    """The engine of one answer: streams free text to a callback and counts tokens.

    Attributes:
        free_text: Whether answers are free text: it is streamed, and sampled as the request says.
        prompt_tokens: Visual tokens of the chips and, one a word, of their prompts.
        completion_tokens: Tokens that were generated.
        cut: Whether free text was cut off at its token limit.
    """

    def __init__(self, engine: Engine, sampling: SamplingParams, report: Callable[[str], None]) -> None:
        super().__init__(engine)
        self._sampling, self._report = sampling, report
        self.free_text = self.cut = False
        self.prompt_tokens = self.completion_tokens = 0

    @property
    def batch_size(self) -> int:
        """1 for free text, so that it can be read chip after chip as it is generated."""
        return 1 if self.free_text else self._engine.batch_size

    def answer(
        self,
        requests: Sequence[DecodeRequest],
        cancelled: Callable[[], bool] = never,
        on_text: OnText | None = None,
    ) -> list[Reply]:
        """As :meth:`Engine.answer`."""
        if self.free_text:
            requests = [self._sampled(request) for request in requests]
            replies = self._engine.answer(requests, cancelled, lambda _, piece: self._report(piece))
            self.cut |= not all(reply.finished for reply in replies)
        else:
            replies = self._engine.answer(requests, cancelled)
        visual = self.card.token_rows * self.card.token_cols
        self.prompt_tokens += sum(visual + len(request.prompt.split()) for request in requests)
        self.completion_tokens += sum(len(reply.token_ends) for reply in replies)
        return replies

    def _sampled(self, request: DecodeRequest) -> DecodeRequest:
        sampling = self._sampling
        most = min(request.max_tokens, sampling.max_tokens or request.max_tokens)
        return replace(request, max_tokens=most, temperature=sampling.temperature, seed=sampling.seed)


class ChatTarget(Protocol):
    """What is asked about. Each method yields the events of one run.

    Attributes:
        unit: What the model sees at a time: a ``chip`` of an area, or an ``image``.
    """

    unit: Literal["chip", "image"]

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Put a task to every chip or image."""

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Classify a finding, or without one what "this" means; None if that is too large for one object."""

    def search(self, words: str | None, cancelled: Callable[[], bool]) -> Iterator[Event] | None:
        """Search for words, or without any for what is like "this"; None if nothing says what that is."""


Search = Callable[[SearchRequest, Callable[[], bool]], Iterator[Event]]
"""Runs a search of the conversation's scene, whatever the request names."""


class RunCache:
    """The events of the latest runs, so that a follow-up speaks of the very findings of the answer before."""

    def __init__(self) -> None:
        self._runs: OrderedDict[Hashable, list[Event]] = OrderedDict()
        self._lock = threading.Lock()

    def events(self, key: Hashable, run: Callable[[], Iterator[Event]]) -> Iterator[Event]:
        """The events kept under that key, else those of a new run, which are kept once it is complete."""
        with self._lock:
            known = self._runs.get(key)
            if known is not None:
                self._runs.move_to_end(key)
        if known is not None:
            yield from known
            return
        events: list[Event] = []
        for event in run():
            events.append(event)
            yield event
        if isinstance(event := events[-1], Finished) and len(event.findings) <= KEPT_FINDINGS:
            with self._lock:
                self._runs[key] = events
                while len(self._runs) > KEPT_RUNS:
                    self._runs.popitem(last=False)


class SceneTarget:
    """An area of a scene."""

    unit: Literal["chip", "image"] = "chip"

    def __init__(
        self,
        request: InterpretRequest,
        settings: PriorSettings,
        cache: RunCache,
        search: Search,
        admit: Admit = admit_raster,
    ) -> None:
        self._request, self._settings, self._cache, self._admit = request, settings, cache, admit
        self._search = search

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Put a task to every chip of the area."""
        question = text if task is Task.ASK else None
        request = replace(self._request, task=task, targets=tuple(targets), question=question, boxes=None)
        return self._events(request, engine, cancelled)

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Classify a finding, else the boxes of the request, else a small area."""
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

    def search(self, words: str | None, cancelled: Callable[[], bool]) -> Iterator[Event] | None:
        """Search the area for words; without any the whole scene for what is like the boxes, else like the area."""
        asked = self._request
        same = {name: getattr(asked, name) for name in ("scene", "band", "quantity", "scale")}
        if words is not None:
            request = SearchRequest(
                **same, texts=(words,), area=asked.area, area_crs=asked.area_crs, heat=False
            )
            return self._search(request, cancelled)
        boxes = asked.boxes.features if asked.boxes else ()
        like = tuple(box.geometry for box in boxes) or ((asked.area,) if asked.area else ())
        if not like:
            return None
        request = SearchRequest(**same, like=like, examples_crs=asked.area_crs, heat=False)
        return self._search(request, cancelled)

    def _events(
        self, request: InterpretRequest, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        def run() -> Iterator[Event]:
            for event in interpret(
                request, engine, cancelled, self._settings, policy=RasterPolicy(), admit=self._admit
            ):
                if isinstance(event, Started) and event.chips > CHIPS:
                    raise AreaError(
                        f"the area takes {event.chips} chips, a conversation at most {CHIPS}: "
                        "draw a smaller area, or start a job"
                    )
                yield event

        if request.task in (Task.ASK, Task.DESCRIBE):
            return run()  # free text may be sampled, and must stream
        try:
            file = pathlib.Path(request.scene).stat()
        except OSError:
            return run()  # opening the scene reports what is wrong with it
        return self._cache.events((request, file.st_mtime_ns, file.st_size), run)


class ImageTarget:
    """Plain images, by number."""

    unit: Literal["chip", "image"] = "image"

    def __init__(self, images: Mapping[int, Pixels]) -> None:
        self._images = images

    def ask(
        self, task: Task, targets: Sequence[str], text: str, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event]:
        """Put a task to every image."""
        question = text if task is Task.ASK else None
        return interpret_images(self._images, task, engine, cancelled, targets=targets, question=question)

    def classify(
        self, chosen: tuple[Run, Finding] | None, engine: Engine, cancelled: Callable[[], bool]
    ) -> Iterator[Event] | None:
        """Classify a finding; an image as a whole is described instead."""
        if chosen is None:
            return None
        finding = chosen[1]
        number = int(finding.properties["image"] or 1)
        image = {number: self._images[number]}
        return interpret_images(image, Task.CLASSIFY, engine, cancelled, boxes=[finding.box])

    def search(self, words: str | None, cancelled: Callable[[], bool]) -> Iterator[Event] | None:
        """None: images have no places."""
        return None


def _is_small(area: Area) -> bool:
    """Whether an area can be a single object; false if it has no WGS84 coordinates."""
    to_lonlat = Transformer.from_crs(area.crs, CRS(4326), always_xy=True)
    left, bottom, right, top = area.geometry.bounds
    west, south, east, north = to_lonlat.transform_bounds(left, bottom, right, top, errcheck=False)
    return bool(Geod(ellps="WGS84").inv(west, south, east, north)[2] <= OBJECT_M)

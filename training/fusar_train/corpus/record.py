"""The record: one image or a window of one, with everything that is known about it, and its JSON form.

``docs/training-data.md`` describes the JSON form; ``corpus.records`` reads and writes folders of it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from dataclasses import fields as dataclass_fields
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
)
from pydantic import ValidationInfo as Info

from fusar_gpt.frames import Box, ChipBox, SceneBox, ScenePoints, SceneWindow
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.tasks import ANY, Task
from fusar_train.corpus.chip import no_prior
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import inside
from fusar_train.corpus.images import Source, crop, image_facts, read_image
from fusar_train.corpus.prior_file import Vectors, read_prior
from fusar_train.corpus.texts.sub_texts import SubTexts
from fusar_train.validation import first_fault

if TYPE_CHECKING:
    from fusar_gpt.model.folder import Card

RECORDS_FILE = "records.jsonl"
SPLITS = ("train", "val", "test")

_ID = re.compile(r"(?!\.)[\w.-]+(?:/(?!\.)[\w.-]+)*")
_LONGEST_ID = 180
_MAX_PIXEL = 10**7


def box_of(numbers: Any) -> SceneBox:
    """The box of [left, top, right, bottom]; ValueError when it is inverted or not of four finite numbers."""
    try:
        edges = [number_of(number) for number in numbers]
    except (TypeError, ValueError):
        edges = []
    if len(edges) != 4:
        raise ValueError(f"a box has four finite numbers left, top, right, bottom, not {str(numbers)[:200]}")
    if max(map(abs, edges)) > _MAX_PIXEL or edges[0] > edges[2] or edges[1] > edges[3]:
        raise ValueError(f"box {str(numbers)[:200]} is inverted or beyond every image")
    return SceneBox(*edges)


def number_of(value: Any) -> float:
    """The finite number that a JSON value is; ValueError for a text, a truth value, or one that no float holds."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{str(value)[:60]!r} is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise ValueError(f"{str(value)[:60]} is no finite number")
    return number


def _window(numbers: Any) -> SceneWindow:
    whole = isinstance(numbers, list) and all(type(n) is int and abs(n) <= _MAX_PIXEL for n in numbers)
    if not whole or len(numbers) != 4:
        raise ValueError(f"must be [col, row, width, height] in whole pixels, not {numbers}")
    return SceneWindow(*numbers)


def _id(text: str) -> str:
    """The id, if it can also be a file's name."""
    if len(text) > _LONGEST_ID or not _ID.fullmatch(text):
        raise ValueError(f"must be words of letters, digits, . _ - between slashes, not {text!r}")
    return text


def _split(text: str) -> str:
    if text not in SPLITS:
        raise ValueError(f"must be one of {', '.join(SPLITS)} or null, not {text!r}")
    return text


def _file(name: Any, info: Info) -> Path:
    assert info.context is not None
    return inside(info.context["folder"], name, info.context["where"])


SceneEdges = Annotated[SceneBox, BeforeValidator(box_of)]
"""A box in scene pixels, in JSON [left, top, right, bottom]."""


class _Provenance(BaseModel, strict=True):
    """The entries that the code relies on; others are kept as they are."""

    pixel_m: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    year: int | None = None
    complete: list[str] | None = None
    frame: list[int] | None = None


@dataclass(frozen=True)
class RecordObject:
    """One object.

    Attributes:
        box: Its edges in scene pixels, that is pixels of the image file; may reach outside.
        label: Coarse class: "ship", "plane", or the data set's own name.
        fine: Fine class such as "S-1", where known.
        difficult: The annotators were not sure of it.
    """

    box: SceneEdges
    label: Annotated[str, Field(min_length=1)]
    fine: str | None = None
    difficult: bool = False


@dataclass(frozen=True, kw_only=True)
class Message:
    """One question about the chip and its right answer, in the words of a prompt set.

    ``box`` is the object to classify in scene pixels; coordinates inside the texts are in ``text_frame``.
    """

    task: Task
    target: str | None = None
    box: SceneEdges | None = None
    question: str
    answer: str


@dataclass(frozen=True, kw_only=True)
class Record:
    """One training example.

    Attributes:
        id: Unique in its data set: path-like words, such as "ssdd/000123".
        image: The image file, absolute.
        window: The part of the image that the chip shows, None for all of it.
        objects: What is known to be there.
        prior: The file of AEF vectors, absolute; None without a prior.
        messages: Questions and answers; may be empty.
        caption: A description that somebody wrote.
        texts: Sub-texts by key (FUSAR-KLIP), one entry a key set and describer.
        scene: Records of one scene never lie in different splits.
        split: One of ``SPLITS``, or None.
        provenance: Where it comes from: dataset, licence, sensor, pixel_m, simulated, year, complete, ...
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    id: Annotated[str, AfterValidator(_id)]
    image: Annotated[Path, BeforeValidator(_file)]
    window: Annotated[SceneWindow, BeforeValidator(_window)] | None = None
    objects: tuple[RecordObject, ...]
    prior: Annotated[Path, BeforeValidator(_file)] | None = None
    messages: Annotated[tuple[Message, ...], BeforeValidator(lambda listed: listed or ())] = ()
    caption: str | None = None
    texts: Annotated[tuple[SubTexts, ...], BeforeValidator(lambda listed: listed or ())] = ()
    scene: str
    split: Annotated[str, AfterValidator(_split)] | None = None
    provenance: Annotated[Mapping[str, Any], BeforeValidator(lambda stated: stated or {})] = field(
        default_factory=dict
    )

    @classmethod
    def from_json(cls, raw: Any, folder: Path, where: str) -> Record:
        """The record of a JSON object whose paths are relative to ``folder``.

        Raises:
            CorpusError: It lacks a field, or a field makes no sense; ``where`` names it.
        """
        if not isinstance(raw, dict):
            raise CorpusError(
                f"{where} makes no sense: a record is a JSON object. Correct it, or remove the line."
            )
        context = {"folder": folder, "where": f"{where} record {str(raw.get('id'))[:_LONGEST_ID]!r}"}
        try:
            record = _adapter().validate_python(raw, context=context)
            _Provenance.model_validate(record.provenance)
        except ValidationError as error:
            raise CorpusError(
                f"{where} makes no sense: {first_fault(error)}. Correct it, or remove the line."
            ) from error
        return record

    def to_json(self, image: str, prior: str | None) -> str:
        """The line of JSON, with the names that its files have beside it."""
        objects: list[dict[str, Any]] = []
        for item in self.objects:
            fine = {} if item.fine is None else {"fine": item.fine}
            doubt = {"difficult": True} if item.difficult else {}
            objects.append({"box": astuple(item.box), "label": item.label, **fine, **doubt})
        messages = [{**vars(one), "box": one.box and astuple(one.box)} for one in self.messages]
        changed = {
            "image": image,
            "window": self.window and astuple(self.window),
            "objects": objects,
            "prior": prior,
            "messages": messages,
            "texts": [{"keys": one.keys, "said": dict(one.said), "by": dict(one.by)} for one in self.texts],
            "provenance": dict(self.provenance),
        }
        fields = {
            one.name: changed.get(one.name, getattr(self, one.name)) for one in dataclass_fields(Record)
        }
        if not self.texts:
            del fields["texts"]  # most data sets have none
        return json.dumps(fields, ensure_ascii=False, allow_nan=False)

    def pixels(self) -> NDArray[np.uint8]:
        """The window, uint8 [h, w], or [h, w, 3] in colour; CorpusError when the image cannot be read."""
        if self.window is None:
            return read_image(self.image_source(), str(self.image))
        source = self.image_source()
        whole = _decoded(source) if isinstance(source, Path) else read_image(source, str(self.image))
        return crop(whole, self.window)

    def size(self) -> tuple[int, int]:
        """(width, height) of the window in pixels, without decoding the image."""
        if self.window is not None:
            return self.window.width, self.window.height
        return image_facts(self.image_source(), str(self.image))[0]

    def vectors(self, plan: ResizePlan | None = None) -> Vectors:
        """AEF vectors float32 [S, 64] and their (y, x) float32 [S, 2] in [0, 1] of the window; S may be 0.

        With ``plan`` the positions are those on its chip, whose window may be larger; nodes off it are left out.
        """
        if self.prior is None:
            return no_prior()
        vectors, _ = read_prior(self.prior_source(), str(self.prior))
        return vectors if plan is None else self._on_chip(*vectors, plan)

    def prior_year(self) -> int | None:
        """The year that the prior's file states."""
        return None if self.prior is None else read_prior(self.prior_source(), str(self.prior))[1]

    def boxes(self, label: str) -> list[SceneBox]:
        """The boxes of one class, or of all classes for "any"."""
        return [item.box for item in self.objects if label in (item.label, ANY)]

    def complete(self) -> list[str]:
        """The classes of which every object is listed, so that it may be counted; by default those listed."""
        said = self.provenance.get("complete")
        return sorted({item.label for item in self.objects}) if said is None else list(said)

    def text_frame(self) -> tuple[int, int]:
        """(width, height) of the frame in which the messages' texts give coordinates."""
        said = self.provenance.get("frame")
        return self.size() if said is None else (int(said[0]), int(said[1]))

    def plan(self, card: Card) -> ResizePlan:
        """How the window is resized for a model: stretched, or with its surroundings to the frame's shape."""
        return resize_plan(whole_window(self), card)

    def chip(self, card: Card) -> tuple[NDArray[np.uint8], ResizePlan]:
        """The chip as the model sees it, uint8 [card.height, card.width(, 3)], and its plan.

        Outside the window nothing is labelled, so the chip is 0 there.
        """
        pixels = self.pixels()
        window = self.window or SceneWindow(0, 0, pixels.shape[1], pixels.shape[0])
        plan = resize_plan(window, card)
        return resized(crop(pixels, relative(plan.window, window)), plan), plan

    def image_source(self) -> Source:
        """What to read the image from."""
        return self.image

    def prior_source(self) -> Source:
        """What to read the prior from; only where there is one."""
        assert self.prior is not None
        return self.prior

    def _on_chip(
        self, features: NDArray[np.float32], positions: NDArray[np.float32], plan: ResizePlan
    ) -> Vectors:
        at = whole_window(self)
        xy = positions[:, ::-1].astype(np.float64) * (at.width, at.height) + (at.col, at.row)
        points = plan.scene_to_chip(ScenePoints.of(xy))
        placed = np.stack([points.y / plan.height, points.x / plan.width], axis=1)
        kept = ((placed > -1e-6) & (placed < 1 + 1e-6)).all(axis=1)
        return features[kept], placed[kept].clip(0, 1).astype(np.float32)


def whole_window(record: Record) -> SceneWindow:
    """The window of a record, be it stated or the whole image."""
    return record.window or SceneWindow(0, 0, *record.size())


def relative(window: SceneWindow, origin: SceneWindow) -> SceneWindow:
    """The window in pixels from the corner of another."""
    return SceneWindow(window.col - origin.col, window.row - origin.row, window.width, window.height)


def resize_plan(window: SceneWindow, card: Card) -> ResizePlan:
    """The backend's plan for a window; unless the card stretches, the window grows to the frame's shape and size."""
    if card.aspect != "stretched":
        window = grown(window, card.width, card.height)
    return ResizePlan(window, card.width, card.height, card.token_rows, card.token_cols)


def grown(window: SceneWindow, width: int, height: int) -> SceneWindow:
    """The smallest window of the shape width : height, and of at least that size, around a window's centre."""
    wide = max(window.width, round(window.height * width / height), width)
    high = max(window.height, round(window.width * height / width), height)
    col, row = window.col - (wide - window.width) // 2, window.row - (high - window.height) // 2
    return SceneWindow(col, row, wide, high)


def resized(shown: NDArray[np.uint8], plan: ResizePlan) -> NDArray[np.uint8]:
    """The pixels of the plan's window as its chip, by the filters of ``fusar_gpt.imagery.read_chip``."""
    window = plan.window
    factor = max(min(window.width // (2 * plan.width), window.height // (2 * plan.height)), 1)
    image = Image.fromarray(shown)
    box = (0.0, 0.0, window.width / factor, window.height / factor)
    reduced = image.reduce(factor) if factor > 1 else image
    return np.array(reduced.resize((plan.width, plan.height), Image.Resampling.BICUBIC, box=box))


def on_chip(box: Box, plan: ResizePlan) -> ChipBox:
    """A box of scene pixels in the chip's pixels; it may reach outside."""
    points = plan.scene_to_chip(ScenePoints.of([(box.left, box.top), (box.right, box.bottom)]))
    return ChipBox(float(points.x[0]), float(points.y[0]), float(points.x[1]), float(points.y[1]))


@lru_cache(maxsize=2)
def _decoded(path: Path) -> NDArray[np.uint8]:
    """The last images, as the windows of one image usually come together."""
    image = read_image(path, str(path))
    image.flags.writeable = False
    return image


@cache
def _adapter() -> TypeAdapter[Record]:
    return TypeAdapter(Record)

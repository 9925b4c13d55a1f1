"""From boxed images to chips with questions: cut by the backend's chip plan, some of them without targets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import shapely
from numpy.typing import NDArray

from fusar_gpt.errors import TaskError
from fusar_gpt.frames import SceneBox, SceneWindow
from fusar_gpt.imagery import ChipFormat, ResizePlan, Scene, plan_chips
from fusar_gpt.tasks import ANY, Task
from fusar_train.corpus.chip import clip_objects
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.images import crop
from fusar_train.corpus.messages import messages
from fusar_train.corpus.record import (
    Record,
    RecordObject,
    relative,
    resize_plan,
    whole_window,
)
from fusar_train.corpus.records import RecordFolder
from fusar_train.corpus.shards import cut_out

if TYPE_CHECKING:
    from fusar_gpt.model.folder import Card

OVERLAP = 0.25
"""Least share of a chip's side that its neighbour sees again, so that most cut objects are whole on another."""

MOST_EMPTY = 0.4
_MOST_CROPS = 2  # pairs from one image
_TRIES = 40
_MARGIN_PX = 2
_SCALES = (0.3, 0.6)
"""Side of a crop, as a share of the image's, where the image is no larger than one chip."""


@dataclass(frozen=True)
class DeriveOptions:
    """How to derive.

    Attributes:
        card: Size and aspect of the chips, and their ground where the pixel size is known.
        words: Name of the prompt set.
        empty_share: Share of the chips that shall have no target, 0 to ``MOST_EMPTY``; None takes them as they come.
        seed: The same seed and records give the same chips and questions.
        window_px: Side of the chips in scene pixels, for images of unknown pixel size; None: the whole image.
        fine: Answer classification with the fine labels.
    """

    card: Card
    words: str
    empty_share: float | None = 0.2
    seed: int = 0
    window_px: int | None = None
    fine: bool = False

    def __post_init__(self) -> None:
        if self.empty_share is not None and not 0 <= self.empty_share <= MOST_EMPTY:
            raise CorpusError(f"The share of empty chips must be 0 to {MOST_EMPTY}, not {self.empty_share}.")


@dataclass
class DeriveCounts:
    """What was made and left out.

    Attributes:
        chips: All chips.
        empty: Those without a target.
        crops: Those cut at random for the sake of the empty ones.
        doubtful: Chips left out because a sliver of a cut object is visible.
        surplus: Chips left out because there were too many without a target.
        questions: All messages.
    """

    chips: int = 0
    empty: int = 0
    crops: int = 0
    doubtful: int = 0
    surplus: int = 0
    questions: int = 0

    def room_for_empty(self, share: float | None, added: int) -> bool:
        """Whether, of ``added`` more chips, one may be empty."""
        return share is None or self.empty + 1 <= share * (self.chips + added)


def derive(records: Iterable[Record], out: Path, options: DeriveOptions) -> DeriveCounts:
    """Writes a new folder of chips with questions.

    Where chips without a target are too few, they are cut from images that have room for one. Each comes with a
    random crop of the same size that shows a target, so that a crop's scale does not give the answer away.

    Raises:
        CorpusError: There are no records, or one cannot be read.
        OutputError: The folder cannot be written.
    """
    counts = DeriveCounts()
    with RecordFolder(out) as writer:
        for record in records:
            pixels = cache(record.pixels)
            chips = list(_planned(record, options, counts))
            for chip in chips:
                if chip.objects or counts.room_for_empty(options.empty_share, 1):
                    _write(writer, chip, record, pixels, options, counts)
                else:
                    counts.surplus += 1
            for chip in _crops(record, chips, options, counts):
                _write(writer, chip, record, pixels, options, counts)
                counts.crops += 1
        if not counts.chips:
            raise CorpusError("There is no record to derive from: import a data set first.")
    return counts


def windows(record: Record, options: DeriveOptions) -> list[SceneWindow]:
    """The chips' windows: by the backend's plan where the ground size can be known, else the whole image.

    The same ground for all sensors (FUSAR-KLIP SRC): the card's ``ground_m``, or native resolution without it.
    """
    whole = whole_window(record)
    pixel_m = record.provenance.get("pixel_m")
    ground_m = options.card.ground_m
    if options.window_px is not None:
        pixel_m, ground_m = 1.0, float(options.window_px)
    if pixel_m is None:
        return [whole]
    card = options.card
    frame = ChipFormat(card.width, card.height, card.patch * card.merge, ground_m, card.aspect == "stretched")
    size = SimpleNamespace(width=whole.width, height=whole.height, pixel_size_m=float(pixel_m))
    raster = cast(Scene, size)  # all that a plan asks of a scene
    area = shapely.box(0, 0, whole.width, whole.height)
    laid = [chip.plan.window for chip in plan_chips(raster, area, frame, overlap=OVERLAP)]
    return [SceneWindow(at.col + whole.col, at.row + whole.row, at.width, at.height) for at in laid]


def seen(record: Record, window: SceneWindow) -> tuple[tuple[RecordObject, ...], bool]:
    """The objects visible in a window, cut to it, and whether the truth is clear (see ``clip_objects``)."""
    kept: list[RecordObject] = []
    clear = True
    for item in record.objects:
        box = item.box
        edges = (box.left - window.col, box.top - window.row, box.right - window.col, box.bottom - window.row)
        visible, clean = clip_objects([edges], [item.label], window.width, window.height)
        clear &= clean
        for one in visible:
            b = one.box
            at = SceneBox(
                b.left + window.col, b.top + window.row, b.right + window.col, b.bottom + window.row
            )
            kept.append(replace(item, box=at))
    return tuple(kept), clear


def _planned(record: Record, options: DeriveOptions, counts: DeriveCounts) -> Iterator[Record]:
    """The chips of the plan whose truth is clear."""
    laid = windows(record, options)
    whole = whole_window(record)
    for window in laid:
        objects, clear = seen(record, window)
        if clear or window == whole:
            at = "" if len(laid) == 1 else f"/{window.col}_{window.row}"
            yield _chip(record, window, objects, at)
        else:
            counts.doubtful += 1


def _crops(
    record: Record, chips: Sequence[Record], options: DeriveOptions, counts: DeriveCounts
) -> Iterator[Record]:
    """Empty crops, as far as they are wanted and the image has room, each with a twin that shows a target."""
    if options.empty_share is None or not chips or not record.objects or not record.complete():
        return
    rng = np.random.default_rng(_number(options.seed, record.id, "crops"))
    for number in range(_MOST_CROPS):
        if not counts.room_for_empty(options.empty_share, 2):
            return
        size = _crop_size(whole_window(record), chips[0], options, rng)
        empty = _search(record, size, rng, showing=False)
        twin = _search(record, size, rng, showing=True)
        if empty is not None and twin is not None:
            yield _chip(record, empty, (), f"/empty{number}")
            yield _chip(record, twin, seen(record, twin)[0], f"/shown{number}")


def _crop_size(
    whole: SceneWindow, chip: Record, options: DeriveOptions, rng: np.random.Generator
) -> tuple[int, int]:
    """The size of the plan's chips where the image is larger, else a part of the image of the frame's shape."""
    card = options.card
    window = whole_window(chip)
    if window.width < whole.width or window.height < whole.height:
        return min(window.width, whole.width), min(window.height, whole.height)
    scale = rng.uniform(*_SCALES)
    if card.aspect == "stretched":
        return round(whole.width * scale), round(whole.height * scale)
    side = min(whole.width / card.width, whole.height / card.height) * scale
    return round(card.width * side), round(card.height * side)


def _search(
    record: Record, size: tuple[int, int], rng: np.random.Generator, *, showing: bool
) -> SceneWindow | None:
    """A random window of a size that shows targets with a clear truth, or nothing of any; None if none is found."""
    whole = whole_window(record)
    width, height = max(size[0], 8), max(size[1], 8)
    if width > whole.width or height > whole.height:
        return None
    for _ in range(_TRIES):
        left = whole.col + int(rng.integers(whole.width - width + 1))
        top = whole.row + int(rng.integers(whole.height - height + 1))
        window = SceneWindow(left, top, width, height)
        if showing:
            objects, clear = seen(record, window)
            if objects and clear:
                return window
        elif not any(
            box.left - _MARGIN_PX < left + width
            and box.right + _MARGIN_PX > left
            and box.top - _MARGIN_PX < top + height
            and box.bottom + _MARGIN_PX > top
            for box in record.boxes(ANY)
        ):
            return window
    return None


def _chip(record: Record, window: SceneWindow, objects: tuple[RecordObject, ...], at: str) -> Record:
    return replace(record, id=f"{record.id}{at}", window=window, objects=objects)


def _write(
    writer: RecordFolder,
    chip: Record,
    source: Record,
    pixels: Callable[[], NDArray[np.uint8]],
    options: DeriveOptions,
    counts: DeriveCounts,
) -> None:
    """Stores a chip as an image of its own, with its questions and its part of the prior."""
    card, window, whole = options.card, whole_window(chip), whole_window(source)
    shows_all = window == whole
    rng = np.random.default_rng(_number(options.seed, chip.id, "questions"))
    caption = source.caption if shows_all and source.caption else None
    classes, plan = source.complete(), resize_plan(window, card)
    try:
        asked = messages(chip.objects, plan, classes, options.words, rng, options.fine, caption)
    except (TaskError, ValueError) as error:  # a label that no question can hold, or a thousand objects
        raise CorpusError(f"Record {source.id}: {error} Rename the class, or remove the record.") from error
    asked += [message for message in source.messages if shows_all and message.task is Task.ASK]
    provenance = {**chip.provenance, "complete": classes, "prompt_set": options.words}
    provenance |= {"frame": [card.width, card.height], "aspect": card.aspect, "from": source.id}
    kept = chip.caption if shows_all else None
    ready = replace(chip, messages=tuple(asked), provenance=provenance, caption=kept)
    # A plan that keeps the scale moves a prior's positions to the window.
    unscaled = ResizePlan(window, window.width, window.height, 1, 1)
    vectors = None if source.prior is None else source.vectors(unscaled)
    if shows_all and source.window is None:
        writer.add(replace(ready, window=None), vectors=vectors)
    else:
        writer.add(cut_out(ready), pixels=crop(pixels(), relative(window, whole)), vectors=vectors)
    counts.chips += 1
    counts.questions += len(asked)
    counts.empty += not chip.objects


def _number(*parts: Any) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")

"""The record as it is stored: one image or a window of one, with everything that is known about it.

``docs/training-data.md`` documents the JSON form; ``corpus.records`` reads and writes it. The in-memory
``corpus.record.Record`` is what the tiny model's recipe makes on the fly.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.frames import Box, ChipBox, SceneBox, ScenePoints, SceneWindow
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.tasks import ANY, Task
from fusar_train.corpus.images import Source, crop, image_facts, read_image
from fusar_train.corpus.prior_file import Vectors, read_prior
from fusar_train.corpus.record import no_prior

if TYPE_CHECKING:
    from fusar_gpt.model.folder import Card

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class StoredObject:
    """One object.

    Attributes:
        box: Its edges in scene pixels, that is pixels of the image file; may reach outside.
        label: Coarse class: "ship", "plane", or the data set's own name.
        fine: Fine class such as "S-1", where known.
        difficult: The annotators were not sure of it.
    """

    box: SceneBox
    label: str
    fine: str | None = None
    difficult: bool = False


@dataclass(frozen=True)
class Message:
    """One question about the chip and its right answer, in the words of a prompt set.

    ``box`` is the object to classify in scene pixels; coordinates inside the texts are in ``text_frame``.
    """

    task: Task
    target: str | None
    box: SceneBox | None
    question: str
    answer: str


@dataclass(frozen=True)
class StoredRecord:
    """One training example.

    Attributes:
        id: Unique in its data set: path-like words, such as "ssdd/000123".
        image: The image file, absolute.
        window: The part of the image that the chip shows, None for all of it.
        objects: What is known to be there.
        prior: The file of AEF vectors, absolute; None without a prior.
        messages: Questions and answers; may be empty.
        caption: A description that somebody wrote.
        scene: Records of one scene never lie in different splits.
        split: One of ``SPLITS``, or None.
        provenance: Where it comes from: dataset, licence, sensor, pixel_m, simulated, year, complete, ...
    """

    id: str
    image: Path
    window: SceneWindow | None
    objects: tuple[StoredObject, ...]
    prior: Path | None
    messages: tuple[Message, ...]
    caption: str | None
    scene: str
    split: str | None
    provenance: Mapping[str, Any]

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
        (features, positions), _ = read_prior(self.prior_source(), str(self.prior))
        return (features, positions) if plan is None else self._moved(features, positions, plan)

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
        height, width = pixels.shape[:2]
        window = self.window or SceneWindow(0, 0, width, height)
        plan = resize_plan(window, card)
        seen = plan.window
        shown = crop(
            pixels, SceneWindow(seen.col - window.col, seen.row - window.row, seen.width, seen.height)
        )
        return resized(shown, plan), plan

    def image_source(self) -> Source:
        """What to read the image from."""
        return self.image

    def prior_source(self) -> Source:
        """What to read the prior from; only where there is one."""
        assert self.prior is not None
        return self.prior

    def _moved(
        self, features: NDArray[np.float32], positions: NDArray[np.float32], plan: ResizePlan
    ) -> Vectors:
        width, height = self.size()
        col, row = (0, 0) if self.window is None else (self.window.col, self.window.row)
        xy = positions[:, ::-1].astype(np.float64) * (width, height) + (col, row)
        points = plan.scene_to_chip(ScenePoints.of(xy))
        placed = np.stack([points.y / plan.height, points.x / plan.width], axis=1)
        kept = ((placed > -1e-6) & (placed < 1 + 1e-6)).all(axis=1)
        return features[kept], placed[kept].clip(0, 1).astype(np.float32)


def whole_window(record: StoredRecord) -> SceneWindow:
    """The window of a record, be it stated or the whole image."""
    return record.window or SceneWindow(0, 0, *record.size())


def resize_plan(window: SceneWindow, card: Card) -> ResizePlan:
    """The backend's plan for a window; unless the card stretches, the window grows to the frame's shape."""
    if card.aspect != "stretched":
        window = grown(window, card.width, card.height)
    return ResizePlan(window, card.width, card.height, card.token_rows, card.token_cols)


def grown(window: SceneWindow, width: int, height: int) -> SceneWindow:
    """The smallest window of the shape width : height around a window, with the same centre."""
    wide = max(window.width, round(window.height * width / height))
    high = max(window.height, round(window.width * height / width))
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

"""Error images: chips with what was found, missed and falsely seen, as small PNG."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from fusar_gpt.frames import Box
from fusar_gpt.tasks import Task
from fusar_train.evaluation.metrics import classes_of, detections_of, target_of
from fusar_train.evaluation.predictions import Prediction

MOST = 12
"""Images of one kind."""

_IOU = 0.5
_SIDE_PX = 336
_GREYS = 48
FOUND, MISSED, FALSE, TRUE = "found", "missed", "false alarm", "true"
COLOURS = {FOUND: "#4cc9f0", MISSED: "#ffd60a", FALSE: "#ff4d6d", TRUE: "#80ed99"}
"""Missed ones are drawn dashed, so that colour is not all that tells them apart."""


@dataclass(frozen=True)
class ErrorImage:
    """An image to draw: the image's id, what is wrong in words, and boxes by kind (keys of ``COLOURS``)."""

    image: str
    text: str
    frame: tuple[int, int]
    boxes: Mapping[str, Sequence[Box]]


def detection_errors(predictions: Iterable[Prediction], kind: str) -> list[ErrorImage]:
    """The detect answers with most misses (``MISSED``) or false alarms (``FALSE``) at IoU 0.5, worst first."""
    asked = [p for p in predictions if p.task is Task.DETECT]
    classes = classes_of(asked)
    found = [error for error in (_judged(p, classes) for p in asked) if error.boxes[kind]]
    return sorted(found, key=lambda error: -len(error.boxes[kind]))[:MOST]


def _judged(prediction: Prediction, classes: frozenset[str]) -> ErrorImage:
    chip = detections_of(prediction, classes)
    matching = chip.match(_IOU)
    taken = set(matching.partner.tolist())
    judged = list(zip(chip.predicted, matching.partner, matching.ignored, strict=True))
    true = enumerate(zip(chip.truth, chip.difficult, strict=True))
    by_kind = {
        FOUND: [box for box, partner, _ in judged if partner >= 0],
        FALSE: [box for box, partner, ignored in judged if partner < 0 and not ignored],
        MISSED: [box for j, (box, difficult) in true if j not in taken and not difficult],
    }
    found, missed, false = (len(by_kind[kind]) for kind in (FOUND, MISSED, FALSE))
    alarms = f"{false} false alarm{'' if false == 1 else 's'}"
    text = f"{target_of(prediction)}: {found} found, {missed} missed, {alarms}"
    return ErrorImage(prediction.image, text, prediction.frame, by_kind)


def counting_errors(predictions: Iterable[Prediction]) -> list[ErrorImage]:
    """The counts farthest from the truth, worst first; unreadable ones before all."""
    kept = list(predictions)
    boxes = {(p.image, p.target): [t.box for t in p.true_boxes] for p in kept if p.task is Task.DETECT}
    wrong = [p for p in kept if p.task is Task.COUNT and p.answer != p.truth]
    found = []
    for p in sorted(wrong, key=lambda p: -_distance(p))[:MOST]:
        told = "nothing readable" if p.answer is None else p.answer
        text = f"{target_of(p)}: {told} said, {p.truth} true"
        found.append(ErrorImage(p.image, text, p.frame, {TRUE: boxes.get((p.image, p.target), [])}))
    return found


def _distance(prediction: Prediction) -> float:
    said, truth = prediction.answer, prediction.truth
    return float(abs(said - truth)) if isinstance(said, int) and isinstance(truth, int) else float("inf")


def draw(image: NDArray[np.uint8], error: ErrorImage) -> bytes:
    """A PNG of the chip, uint8 [H, W] or [H, W, 3] of the error's frame, with its boxes drawn on it."""
    grey = image if image.ndim == 2 else image.mean(axis=2).astype(np.uint8)
    scale = _SIDE_PX / max(grey.shape)
    size = (max(round(grey.shape[1] * scale), 1), max(round(grey.shape[0] * scale), 1))
    how = Image.Resampling.NEAREST if scale >= 1 else Image.Resampling.BOX
    shown = np.asarray(Image.fromarray(grey).resize(size, how))
    picture = Image.fromarray((shown.astype(np.int64) * (_GREYS - 1) // 255).astype(np.uint8), mode="P")
    levels = [round(step * 255 / (_GREYS - 1)) for step in range(_GREYS)]
    colours = [int(colour[i : i + 2], 16) for colour in COLOURS.values() for i in (1, 3, 5)]
    picture.putpalette([level for level in levels for _ in range(3)] + colours)
    pen = ImageDraw.Draw(picture)
    across, down = size[0] / error.frame[0], size[1] / error.frame[1]
    for number, kind in enumerate(COLOURS):
        for box in error.boxes.get(kind, ()):
            edges = (box.left * across, box.top * down, box.right * across, box.bottom * down)
            _outline(pen, edges, _GREYS + number, dashed=kind == MISSED)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def _outline(
    pen: ImageDraw.ImageDraw, edges: tuple[float, float, float, float], colour: int, *, dashed: bool
) -> None:
    """A rectangle just around the box, two pixels wide."""
    left, top, right, bottom = edges[0] - 2, edges[1] - 2, edges[2] + 1, edges[3] + 1
    if not dashed:
        pen.rectangle((left, top, right, bottom), outline=colour, width=2)
        return
    for x in np.arange(left, right + 1, 8):
        for y in (top, bottom):
            pen.line((x, y, min(x + 4, right), y), fill=colour, width=2)
    for y in np.arange(top, bottom + 1, 8):
        for x in (left, right):
            pen.line((x, y, x, min(y + 4, bottom)), fill=colour, width=2)

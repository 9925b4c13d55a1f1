"""Reviewed findings as COCO and as records for training: plain data in scene pixels, ready to be written.

Boxes are (left, top, right, bottom) in scene pixels, continuous: the first pixel reaches from 0 to 1.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Box = tuple[float, float, float, float]

SCORES = {
    "confidence": "confidence: calibrated probability of being right",
    "objectness": "objectness: probability of the token that says an object is here; it ranks, and is not a "
    "probability of being right",
    "score": "score of an older version: token probability, not a calibrated confidence",
}
"""What a COCO score is, by the column that it was taken from."""

TILE = 4096
"""The largest side of an image that goes with training records, in pixels."""

_DECIMALS = 3


@dataclass(frozen=True)
class Labelled:
    """One object that a reviewer stands for.

    Attributes:
        id: Of the finding.
        box: The upright box around it.
        label: What it is.
        score: What its layer is ranked by, None where a person added it.
        review: The decision.
        corners: (x, y) in scene pixels where its own box is turned; else none.
    """

    id: str
    box: Box
    label: str
    score: float | None
    review: str | None
    corners: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Window:
    """A part of the scene: first column, first row, width and height in pixels."""

    col: int
    row: int
    width: int
    height: int

    def shows(self, box: Box) -> bool:
        """Return whether some of the box lies inside."""
        return (
            box[0] < self.col + self.width
            and box[2] > self.col
            and box[1] < self.row + self.height
            and box[3] > self.row
        )


def coco(
    image: str, size: tuple[int, int], objects: Sequence[Labelled], run: dict[str, Any], ranking: str = ""
) -> dict[str, Any]:
    """Return a COCO detection set of one image.

    Args:
        image: Its file name.
        size: (width, height) in pixels.
        objects: What is on it.
        run: The provenance of the run.
        ranking: What the scores are, one of ``SCORES``; empty where there are none.
    """
    names = sorted({item.label for item in objects})
    numbers = {name: number for number, name in enumerate(names, 1)}
    annotations: list[dict[str, Any]] = []
    for number, item in enumerate(objects, 1):
        left, top, right, bottom = item.box
        edges = (left, top, right - left, bottom - top)
        annotation = {
            "id": number,
            "image_id": 1,
            "category_id": numbers[item.label],
            "bbox": [round(edge, _DECIMALS) for edge in edges],
            "area": round(edges[2] * edges[3], _DECIMALS),
            "iscrowd": 0,
            "finding": item.id,
            "review": item.review,
        }
        if item.corners:
            annotation["segmentation"] = [
                [round(one, _DECIMALS) for corner in item.corners for one in corner]
            ]
        annotations.append(annotation if item.score is None else {**annotation, "score": item.score})
    info: dict[str, Any] = {"description": "Reviewed findings of FUSAR-GPT", "run": run}
    return {
        "info": {**info, "score": SCORES[ranking]} if ranking else info,
        "images": [{"id": 1, "file_name": image, "width": size[0], "height": size[1]}],
        "categories": [{"id": number, "name": name} for name, number in numbers.items()],
        "annotations": annotations,
    }


def windows(around: Box, size: tuple[int, int]) -> Iterator[Window]:
    """Yield the windows of at most ``TILE`` pixels a side that cover a box of a scene of (width, height)."""
    left, top = max(math.floor(around[0] + 1e-6), 0), max(math.floor(around[1] + 1e-6), 0)
    right, bottom = min(math.ceil(around[2] - 1e-6), size[0]), min(math.ceil(around[3] - 1e-6), size[1])
    for row in range(top, bottom, TILE):
        for col in range(left, right, TILE):
            yield Window(col, row, min(TILE, right - col), min(TILE, bottom - row))


def record(
    window: Window, objects: Iterable[Labelled], run: dict[str, Any], *, complete: bool, pixel_m: float | None
) -> tuple[dict[str, Any], str]:
    """Return the record of one window and the name of its image, a PNG that shows just this window.

    Args:
        window: The part of the scene that was reviewed.
        objects: What is on the scene.
        run: The provenance of the run.
        complete: Whether every object of the run's targets is among them.
        pixel_m: Metres to a pixel, if known.
    """
    scene = _words(str(run.get("scene") or "scene").rsplit(".", 1)[0])
    name = f"{scene}-{_words(str(run.get('id') or 'run'))[:8]}-{window.col}-{window.row}"
    targets = [word.strip() for word in str(run.get("targets") or "").split(",") if word.strip()]
    provenance = {
        "dataset": "fusar-review",
        "licence": run.get("attribution") or "that of the scene",
        "pixel_m": pixel_m,
        "simulated": bool(run.get("scene_simulated")),
        "complete": targets if complete else [],
        "scene_window": [window.col, window.row, window.width, window.height],
        "model": run.get("model"),
        "run": run.get("id"),
    }
    image = f"images/review/{name}.png"
    return {
        "id": f"review/{name}",
        "image": image,
        "window": None,
        "objects": [
            {"box": _shifted(item.box, window), "label": item.label}
            for item in objects
            if window.shows(item.box)
        ],
        "prior": None,
        "messages": [],
        "caption": None,
        # Other bands of a scene and other runs on it show the same ground: never in different splits.
        "scene": f"review/{scene}",
        "split": None,
        "provenance": {key: value for key, value in provenance.items() if value is not None},
    }, image


def line(of_record: dict[str, Any]) -> str:
    """Return the record's line of a JSONL file."""
    return json.dumps(of_record, ensure_ascii=False, allow_nan=False) + "\n"


def inside(rings: Iterable[Sequence[tuple[float, float]]], window: Window) -> NDArray[np.bool_]:
    """Return which pixels' centres of the window lie in a polygon, bool [height, width], by the even-odd rule.

    Args:
        rings: Closed rings of (x, y) in scene pixels; holes are rings too.
        window: The part of the scene.
    """
    crossings = np.zeros((window.height, window.width + 1), dtype=bool)
    for ring in rings:
        for (x1, y1), (x2, y2) in zip(ring, ring[1:]):  # noqa: B905, RUF007 - Python 3.9
            low, high = sorted((y1 - window.row - 0.5, y2 - window.row - 0.5))
            rows = np.arange(max(math.ceil(low), 0), min(math.ceil(high), window.height))
            if rows.size:
                x = x1 + (rows + window.row + 0.5 - y1) * ((x2 - x1) / (y2 - y1))
                columns = np.clip(np.ceil(x - window.col - 0.5), 0, window.width).astype(int)
                crossings[rows, columns] ^= True
    within: NDArray[np.bool_] = np.logical_xor.accumulate(crossings, axis=1)[:, :-1]
    return within


def file_stem(text: str) -> str:
    """Return the text as one word that names a file or a data set."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "scene"


def _shifted(box: Box, window: Window) -> list[float]:
    left, top, right, bottom = box
    edges = (left - window.col, top - window.row, right - window.col, bottom - window.row)
    return [round(edge, _DECIMALS) for edge in edges]


def _words(text: str) -> str:
    """Return the text as a word that may stand in a record's id."""
    return re.sub(r"[^\w.-]+", "-", text).strip(".-")[:60] or "x"

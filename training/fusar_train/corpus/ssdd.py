"""Real ships: images with Pascal VOC boxes (the layout of SSDD), split by image, cut to chips.

The images carry no land cover and no coordinates, so their chips have no prior (S = 0).
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_gpt.frames import ChipBox, SceneBox
from fusar_train.corpus.chip import LabelledBox, LabelledChip, clip_objects, no_prior
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.files import xml_file
from fusar_train.corpus.overlap import Picture, find_overlaps
from fusar_train.corpus.record import Record, whole_window
from fusar_train.corpus.records import read_records
from fusar_train.corpus.sidecars import WITHOUT_TEXTS
from fusar_train.corpus.voc import voc_box

HELD_OUT = 0.15
SPLIT_SEED = 20261120


@dataclass(frozen=True)
class Annotated:
    """One image with its ships.

    Attributes:
        name: Of the image.
        image: Grey, uint8 [h, w].
        boxes: Float64 [N, 4] as (left, top, right, bottom), 0-based edges.
        doubtful: Boxes of what may be a ship or not, likewise; no chip shows any of them.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: NDArray[np.float64]
    doubtful: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 4)))


def read_voc(folder: Path) -> list[Annotated]:
    """Every image of a folder with ``JPEGImages`` and ``Annotations``, sorted by name."""
    images = []
    for path in sorted((folder / "Annotations").glob("*.xml")):
        with Image.open(folder / "JPEGImages" / f"{path.stem}.jpg") as picture:
            image = np.asarray(picture.convert("L"))
        boxes = [astuple(voc_box(corners, str(path))) for corners in xml_file(path).iter("bndbox")]
        images.append(Annotated(path.stem, image, np.array(boxes, np.float64).reshape(-1, 4)))
    return images


def annotated(folder: Path) -> list[Annotated]:
    """The images of a folder of records that may be learned from, and whose ships are all listed.

    These are those of the split "train", or those without any split where there are no splits at all.

    Raises:
        CorpusError: The records cannot be read, or none can be learned from.
    """
    records = list(read_records(folder, WITHOUT_TEXTS))
    learned = [one for one in records if one.split == "train"] or [
        one for one in records if one.split is None
    ]
    images = [_annotated(one) for one in learned if "ship" in one.complete()]
    if not images:
        raise CorpusError(
            f"{folder} has no record of the split train whose ships are all listed: give another."
        )
    return images


def _annotated(record: Record) -> Annotated:
    at = whole_window(record)
    corner = np.array([at.col, at.row] * 2)
    sure, doubtful = (
        np.array([astuple(item.box) for item in record.objects if item.difficult is doubt], np.float64)
        for doubt in (False, True)
    )
    boxes = [found.reshape(-1, 4) - corner for found in (sure, doubtful)]
    return Annotated(record.id, np.asarray(Image.fromarray(record.pixels()).convert("L")), *boxes)


def split(images: list[Annotated]) -> tuple[list[Annotated], list[Annotated]]:
    """Training and held-out images, the same ones every time."""
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    held = sorted(order[: round(HELD_OUT * len(images))].tolist())
    return [image for i, image in enumerate(images) if i not in held], [images[i] for i in held]


@cache
def shared_ground(folder: Path) -> frozenset[str]:
    """The names of held-out images that show ground of a training image.

    SSDD's images are shifted crops of few acquisitions, so most of a random split's held-out images are no new ground.
    This takes a minute or two of one CPU core for SSDD's 902 images.
    """
    train, held = split(read_voc(folder))
    images = [*train, *held]
    sides = [False] * len(train) + [True] * len(held)
    found = find_overlaps([_picture(image) for image in images], range(len(images)), sides)
    return frozenset(images[overlap.other].name for overlap in found)


def _picture(image: Annotated) -> Picture:
    height, width = image.image.shape
    boxes = tuple(SceneBox(*map(float, box)) for box in image.boxes)
    return Picture(lambda: image.image, (width, height), boxes)


def cut(image: Annotated, left: float, top: float, side: float, chip_px: int) -> LabelledChip | None:
    """The square window resized to a chip; None when a ship is cut so that the truth would be doubtful."""
    pixels = Image.fromarray(image.image)
    window = (round(left), round(top), round(left + side), round(top + side))
    scale = chip_px / (window[2] - window[0])
    boxes = (image.boxes - np.array(window[:2] * 2)) * scale
    objects, clean = clip_objects([tuple(box) for box in boxes], ["ship"] * len(boxes), chip_px, chip_px)
    if not clean or _touches(window, image.doubtful):
        return None
    chip = pixels.crop(window).resize((chip_px, chip_px), Image.Resampling.BICUBIC)
    unknown = np.full((chip_px // 16, chip_px // 16), -1, dtype=np.int64)
    return LabelledChip(np.asarray(chip), objects, *no_prior(), None, unknown, "ssdd")


def _touches(window: tuple[int, int, int, int], boxes: NDArray[np.float64]) -> bool:
    """Whether a window (left, top, right, bottom) shares ground with any of some boxes [N, 4]."""
    left, top, right, bottom = window
    apart = (boxes[:, 0] >= right) | (boxes[:, 2] <= left) | (boxes[:, 1] >= bottom) | (boxes[:, 3] <= top)
    return not bool(apart.all())


def random_cut(image: Annotated, chip_px: int, rng: np.random.Generator) -> LabelledChip | None:
    """A random chip: any scale from 110 px to the whole image, turned and mirrored, a quarter of them shipless.

    None where doubtful ships are in the way.
    """
    height, width = image.image.shape
    wants_empty = rng.random() < 0.25
    for _ in range(30):
        low, high = (90, 220) if wants_empty else (min(140, height, width), max(height, width))
        side = rng.uniform(low, high)
        left = rng.uniform(min(0, width - side), max(0, width - side))
        top = rng.uniform(min(0, height - side), max(0, height - side))
        record = cut(image, left, top, side, chip_px)
        if record is not None and bool(record.objects) != wants_empty:
            return turn(record, int(rng.integers(4)), bool(rng.integers(2)), rng)
    if len(image.doubtful):
        return None
    return turn(whole(image, chip_px), int(rng.integers(4)), bool(rng.integers(2)), rng)


def whole(image: Annotated, chip_px: int) -> LabelledChip:
    """The whole image as one chip, padded with 0 to a square around its centre; it is never magnified."""
    height, width = image.image.shape
    side = max(height, width, chip_px)
    record = cut(image, (width - side) / 2, (height - side) / 2, side, chip_px)
    assert record is not None, "a whole image cuts no ship"
    return record


def turn(record: LabelledChip, quarters: int, mirror: bool, rng: np.random.Generator) -> LabelledChip:
    """The chip turned by quarters, mirrored, and a little brighter or darker."""
    side = float(record.image.shape[0])
    image = np.rot90(record.image, quarters)
    corners = np.array([astuple(item.box) for item in record.objects]).reshape(-1, 2, 2)
    for _ in range(quarters % 4):  # a quarter turn to the left takes (x, y) to (y, side - x)
        corners = np.stack([corners[..., 1], side - corners[..., 0]], axis=-1)
    if mirror:
        image = image[:, ::-1]
        corners = np.stack([side - corners[..., 0], corners[..., 1]], axis=-1)
    low, high = corners.min(1), corners.max(1)
    objects = tuple(
        LabelledBox(ChipBox(*map(float, (*a, *b))), item.label)
        for a, b, item in zip(low, high, record.objects, strict=True)
    )
    grey = 255 * (image / 255.0) ** rng.uniform(0.6, 1.5)
    return LabelledChip(
        grey.round().astype(np.uint8), objects, *no_prior(), record.place, record.cover, record.source
    )

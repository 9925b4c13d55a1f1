"""Real planes on simulated aprons: cut-outs of single aircraft (SAR-ACD and its like) in place of simulated ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.record import Record, whole_window
from fusar_train.corpus.records import read_records
from fusar_train.corpus.sidecars import WITHOUT_TEXTS
from fusar_train.simulation.clutter import power
from fusar_train.simulation.targets import VISIBLE, Site, Target, brightness, footprint, free_flat

LENGTH_M = {"A220": 35.0, "A320/321": 41.0, "A330": 61.0, "ARJ21": 33.0, "Boeing737": 39.0, "Boeing787": 60.0}
"""Lengths of the types of SAR-ACD, which states no pixel size."""
OTHER_LENGTH_M = (30.0, 60.0)
ROOM = 1.15
"""A cut-out is so many times as long as its plane."""
_WHOLE = 0.9


@dataclass(frozen=True)
class CutOut:
    """A real plane.

    Attributes:
        power: Float32 [h, w], without the ground's, its brightest pixel 1.
        length_m: Of the plane; None where nobody knows.
    """

    power: NDArray[np.float32]
    length_m: float | None


def cut_outs(folder: Path, split: str = "train") -> list[CutOut]:
    """The planes of the records of a split that show nothing but one plane.

    Raises:
        CorpusError: The records cannot be read, or there are none.
    """
    found = [
        _cut_out(one)
        for one in read_records(folder, WITHOUT_TEXTS)
        if one.split == split and len(one.boxes("plane")) == len(one.objects) == 1 and _fills(one)
    ]
    if not found:
        raise CorpusError(
            f"{folder} has no record of the split {split} that shows one plane alone: give another."
        )
    return found


def _fills(record: Record) -> bool:
    at, box = whole_window(record), record.objects[0].box
    return box.area >= _WHOLE * at.width * at.height


def _cut_out(record: Record) -> CutOut:
    grey = np.asarray(Image.fromarray(record.pixels()).convert("L"), np.float32)
    seen = grey**2
    seen = np.maximum(seen - np.median(seen), 0)
    return CutOut(seen / max(float(seen.max()), 1.0), LENGTH_M.get(record.objects[0].fine or ""))


def paste_planes(site: Site, planes: Sequence[CutOut], count: int, rng: np.random.Generator) -> None:
    """Parks up to ``count`` real planes on the stands of a place, where the apron is one."""
    before = len(site.targets)
    for stand in rng.permutation(len(site.land.stands))[: 2 * count]:
        if len(site.targets) - before == count:
            return
        spot = site.land.stands[stand]
        plane = planes[int(rng.integers(len(planes)))]
        length = plane.length_m or float(rng.uniform(*OTHER_LENGTH_M))
        place = footprint(site, spot.x, spot.y, spot.heading, (length, length), 0.0)
        flat = free_flat(site, place, "plane")
        if flat and site.land.flats[flat].real and _draw(site, plane, length, (spot.x, spot.y), flat, rng):
            site.taken[place] = True


def _draw(
    site: Site, plane: CutOut, length: float, xy: tuple[float, float], flat: int, rng: np.random.Generator
) -> bool:
    """Adds a plane, turned at random, about a place in metres; returns whether enough of it is visible."""
    image = Image.fromarray(plane.power).rotate(
        float(rng.uniform(0, 360)), Image.Resampling.BILINEAR, expand=True
    )
    pixels = ROOM * length / site.land.pixel_m / max(plane.power.shape)
    size = max(round(image.width * pixels), 2), max(round(image.height * pixels), 2)
    patch = np.asarray(image.resize(size, Image.Resampling.BOX), np.float32)
    patch = patch / max(float(patch.max()), 1e-6) * power(brightness(site, flat, 2, 14, rng))
    ground = power(site.land.flats[flat].level_db) + power(site.sensor.noise_db)
    patch = np.where(patch < VISIBLE * ground, np.float32(0), patch)
    lines, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    top, left = (
        round(at / site.land.pixel_m - side / 2) for at, side in zip(xy[::-1], patch.shape, strict=True)
    )
    height, width = site.land.shape
    if np.count_nonzero(patch) < 4 or not (
        top >= 0 and left >= 0 and top + patch.shape[0] <= height and left + patch.shape[1] <= width
    ):
        return False
    site.echo[top : top + patch.shape[0], left : left + patch.shape[1]] += patch
    box = (left + columns[0], top + lines[0], left + columns[-1] + 1, top + lines[-1] + 1)
    site.targets.append(Target((float(box[0]), float(box[1]), float(box[2]), float(box[3])), flat))
    return True

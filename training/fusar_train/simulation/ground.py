"""What lies under every pixel of a simulated place, and the geometry to paint it with.

Lengths are metres; positions (x, y) are metres right and down from the raster's top-left corner. Angles are in
radians; an axis with angle a points to (cos a, sin a).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PIXEL_M = 3.0
"""Pixel spacing of training chips."""


class Surface(IntEnum):
    """What the ground looks like to a radar. 1 to 7 are Dynamic World's land-cover classes, with its numbers."""

    FLAT = 0
    TREES = 1
    GRASS = 2
    FLOODED = 3
    CROPS = 4
    SHRUB = 5
    BUILT = 6
    BARE = 7
    QUAY = 8
    ROAD = 9


WATER = 0
"""The land cover of water, Dynamic World's number."""
COVER = np.array([WATER, 1, 2, 3, 4, 5, 6, 7, 6, 6], dtype=np.uint8)
"""The land cover of each surface but ``FLAT``, which its ``Flat`` knows: quays and roads are built-up land."""
COVER_NAMES = ("water", "trees", "grass", "wetland", "crops", "shrub", "built-up land", "bare ground")


@dataclass(frozen=True)
class Flat:
    """A stretch of smooth dark ground, such as water, whose radar image does not tell what it is.

    Attributes:
        hosts: the class of the objects on it when it is what it seems: "ship" or "plane".
        odds: probability that it is what it seems, given all that the image shows.
        real: whether it is. Nothing that draws the image may look at this.
        covers: its land cover when it is what it seems, and when not.
        level_db: mean backscatter.
        order: shape of the K distribution, small for a spiky sea.
        wind: wind speed in m/s that shows on it; 0 on calm water and on land.
    """

    hosts: str
    odds: float
    real: bool
    covers: tuple[int, int]
    level_db: float
    order: float
    wind: float = 0.0

    @property
    def cover(self) -> int:
        """Its land cover."""
        return self.covers[0 if self.real else 1]


@dataclass(frozen=True)
class Berth:
    """A stretch of quay: its middle, its direction along the quay, the way to the water, and its length."""

    x: float
    y: float
    along: float
    outward: float
    length: float


@dataclass(frozen=True)
class Stand:
    """A place where a plane may park, with the direction it would point to."""

    x: float
    y: float
    heading: float


@dataclass
class Land:
    """A place: what lies under each pixel, and where ships and planes can be.

    Attributes:
        surface: uint8 [h, w], a ``Surface`` each.
        flat: uint8 [h, w], index into ``flats`` of every smooth pixel; 0 elsewhere.
        plot: int32 [h, w], one number a field or block.
        pixel_m: pixel spacing.
        calm_db: backscatter of smooth ground here.
        streets: direction of the streets.
        flats: ``flats[0]`` stands for no flat.
    """

    surface: NDArray[np.uint8]
    flat: NDArray[np.uint8]
    plot: NDArray[np.int32]
    pixel_m: float
    calm_db: float
    streets: float
    flats: list[Flat] = field(default_factory=lambda: [Flat("", 1.0, True, (WATER, WATER), 0.0, 1.0)])
    berths: list[Berth] = field(default_factory=list)
    stands: list[Stand] = field(default_factory=list)

    @classmethod
    def empty(cls, shape: tuple[int, int], pixel_m: float, rng: np.random.Generator) -> Land:
        """A place of nothing but grass."""
        surface = np.full(shape, Surface.GRASS, np.uint8)
        calm, streets = float(rng.uniform(-25, -17)), float(rng.uniform(0, np.pi))
        return cls(surface, np.zeros(shape, np.uint8), np.zeros(shape, np.int32), pixel_m, calm, streets)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.surface.shape[0], self.surface.shape[1]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in metres."""
        return self.shape[1] * self.pixel_m, self.shape[0] * self.pixel_m

    def frame(self, x: float, y: float, angle: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(u along the axis, v to its right in the image) [h, w], metres about (x, y), of every pixel centre."""
        c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        columns, rows = (np.arange(side, dtype=np.float32) + np.float32(0.5) for side in self.shape[::-1])
        dx = columns[None, :] * np.float32(self.pixel_m) - np.float32(x)
        dy = rows[:, None] * np.float32(self.pixel_m) - np.float32(y)
        return c * dx + s * dy, c * dy - s * dx

    def paint(self, mask: NDArray[np.bool_], surface: int) -> None:
        """Puts a surface where the mask [h, w] is, over whatever was there."""
        self.surface[mask] = surface
        self.flat[mask] = 0

    def add_flat(
        self,
        mask: NDArray[np.bool_],
        rng: np.random.Generator,
        odds: float,
        hosts: str,
        other: int,
        wind: float = 0,
    ) -> int:
        """Adds a flat where the mask [h, w] is; returns its index.

        With probability ``odds`` it is what it seems, water for "ship" and pavement for "plane", else ``other``.
        """
        covers = (WATER if hosts == "ship" else int(Surface.BUILT), other)
        level, order = self.calm_db + rng.normal(0, 0.7), float(rng.uniform(3, 30))
        if wind:
            level, order = wind_level(wind) + rng.normal(0, 1), float(rng.uniform(1.5, 12))
        self.flats.append(Flat(hosts, odds, bool(rng.random() < odds), covers, float(level), order, wind))
        return self._put(mask)

    def add_hidden_flat(
        self, mask: NDArray[np.bool_], rng: np.random.Generator, odds: float, other: int
    ) -> int:
        """Adds a flat inside another one, without a border in the image, such as a bank just above the water."""
        around = self.flats[int(self.flat[mask].max())]
        real = bool(rng.random() < odds)
        self.flats.append(replace(around, hosts="ship", odds=odds, real=real, covers=(WATER, other)))
        return self._put(mask & (self.flat > 0))

    def _put(self, mask: NDArray[np.bool_]) -> int:
        self.surface[mask] = Surface.FLAT
        self.flat[mask] = len(self.flats) - 1
        return len(self.flats) - 1

    def cover(self) -> NDArray[np.uint8]:
        """The true land cover [h, w]."""
        smooth = np.array([flat.cover for flat in self.flats], np.uint8)
        return np.where(self.flat > 0, smooth[self.flat], COVER[self.surface])


def wind_level(wind: float) -> float:
    """Mean backscatter of the sea in dB at a wind of so many m/s: a power law, as C and X band models have it."""
    return float(-31 + 16 * np.log10(wind))


@lru_cache(maxsize=128)
def spline(side: int, scale: float) -> NDArray[np.float32]:
    """Cubic B-spline weights [side, knots] of pixels on knots ``scale`` pixels apart, each row of length 1."""
    t = (np.arange(side) + 0.5) / scale
    first = t.astype(int)
    f = t - first
    weights = np.zeros((side, int(first[-1]) + 4), np.float32)
    rows = np.arange(side)
    for step, weight in enumerate(
        ((1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3)
    ):
        weights[rows, first + step] = weight
    return np.asarray(weights / np.linalg.norm(weights, axis=1, keepdims=True), np.float32)


def smooth_field(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A Gaussian random field [h, w] of zero mean and unit variance that changes over ``scale`` pixels.

    The scale is taken to the next of eight steps an octave, so that the splines can be kept.
    """
    step = 2 ** (round(8 * np.log2(scale)) / 8)
    down, across = spline(shape[0], step), spline(shape[1], step)
    knots = rng.standard_normal((down.shape[1], across.shape[1]), dtype=np.float32)
    return np.asarray(down @ knots @ across.T, np.float32)


def at(x: float, y: float, angle: float, u: float, v: float) -> tuple[float, float]:
    """The place (x, y) of frame coordinates (u, v): the inverse of ``Land.frame``."""
    c, s = np.cos(angle), np.sin(angle)
    return float(x + c * u - s * v), float(y + s * u + c * v)

"""Places made up for training: which surface lies under every pixel, and where ships and planes may be.

All sizes are in pixels of 3 m. Angles are in radians; an axis with angle a points to (cos a, sin a) in (x, y).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PIXEL_M = 3.0


class Surface(IntEnum):
    """What the ground is made of. The first eight are Dynamic World's land-cover classes, with its numbers."""

    WATER = 0
    TREES = 1
    GRASS = 2
    FLOODED = 3
    CROPS = 4
    SHRUB = 5
    BUILT = 6
    BARE = 7
    QUAY = 8
    RUNWAY = 9
    APRON = 10


COVER = np.array([0, 1, 2, 3, 4, 5, 6, 7, 6, 6, 6], dtype=np.int64)
"""The land-cover class that a prior shows for each surface: quays, runways and aprons are built-up land."""
COVER_NAMES = ("water", "trees", "grass", "wetland", "crops", "shrub", "built-up land", "bare ground")


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
    """A place under construction: surface uint8 [h, w], plot int32 [h, w] (one number a field or block)."""

    surface: NDArray[np.uint8]
    plot: NDArray[np.int32]
    berths: list[Berth] = field(default_factory=list)
    stands: list[Stand] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.surface.shape[0], self.surface.shape[1]


def smooth_field(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """A random field [h, w] of about zero mean and unit variance that changes over ``scale`` pixels."""
    rows, cols = (max(2, round(side / scale) + 1) for side in shape)
    coarse = Image.fromarray(rng.standard_normal((rows, cols)).astype(np.float32))
    field = np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC), dtype=np.float32)
    return np.float32(1.3) * field


def frame(
    shape: tuple[int, int], x: float, y: float, angle: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Coordinates (u along the axis, v to its right in the image) [h, w] of every pixel about (x, y)."""
    dx = np.arange(shape[1], dtype=np.float32)[None, :] + np.float32(0.5 - x)
    dy = np.arange(shape[0], dtype=np.float32)[:, None] + np.float32(0.5 - y)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return c * dx + s * dy, c * dy - s * dx


def at(x: float, y: float, angle: float, u: float, v: float) -> tuple[float, float]:
    """The pixel (x, y) of frame coordinates (u, v): the inverse of ``frame``."""
    c, s = np.cos(angle), np.sin(angle)
    return float(x + c * u - s * v), float(y + s * u + c * v)


def countryside(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """Fields, woods, scrub and settlements: the land on which everything else is painted."""
    u, v = frame(shape, shape[1] / 2, shape[0] / 2, rng.uniform(0, np.pi))
    wide, tall = rng.uniform(25, 80, 2)
    strip = np.floor(u / wide)
    plot = (strip * 57 + np.floor(v / tall + rng.uniform(0, 1) * strip)).astype(np.int32)
    plot -= plot.min()
    menu = [Surface.CROPS, Surface.GRASS, Surface.BARE, Surface.SHRUB, Surface.TREES]
    weights = rng.dirichlet((2.5, 2, 0.7, 1, 1))
    surface = rng.choice(menu, size=int(plot.max()) + 1, p=weights).astype(np.uint8)[plot]
    woods = smooth_field(shape, rng.uniform(30, 90), rng)
    surface[woods > rng.uniform(0.2, 2.0)] = Surface.TREES
    town = smooth_field(shape, rng.uniform(60, 140), rng)
    surface[town > rng.uniform(0.3, 2.2)] = Surface.BUILT
    return Land(surface, plot)


def open_sea(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """Nothing but water."""
    return Land(np.zeros(shape, np.uint8), np.zeros(shape, np.int32))


def coast(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """A natural coast, sometimes with a beach, marshes or islands."""
    land = countryside(shape, rng)
    _, v = frame(shape, shape[1] / 2, shape[0] / 2, rng.uniform(0, 2 * np.pi))
    shore = v + rng.uniform(5, 30) * smooth_field(shape, rng.uniform(25, 100), rng)
    level = rng.uniform(-70, 60)
    margin = np.uint8(rng.choice([Surface.BARE, Surface.FLOODED, Surface.SHRUB]))
    land.surface[shore > level - rng.uniform(0, 14)] = margin
    land.surface[shore > level] = Surface.WATER
    return land


def river(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """A river or canal through the countryside, sometimes with a bridge."""
    land = countryside(shape, rng)
    x, y = rng.uniform(0.25, 0.75, 2) * shape[::-1]
    u, v = frame(shape, x, y, rng.uniform(0, np.pi))
    bend = v + rng.uniform(0, 18) * smooth_field(shape, rng.uniform(50, 120), rng)
    half = rng.uniform(8, 40)
    bank = rng.choice([Surface.TREES, Surface.FLOODED, Surface.BARE])
    land.surface[np.abs(bend) < half + rng.uniform(0, 6)] = bank
    land.surface[np.abs(bend) < half] = Surface.WATER
    if rng.random() < 0.35:
        land.surface[np.abs(u - rng.uniform(-70, 70)) < rng.uniform(2, 4)] = Surface.BUILT
    return land


def inland(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """Countryside with a lake now and then; no place for a ship or a plane."""
    land = countryside(shape, rng)
    if rng.random() < 0.4:
        land.surface[smooth_field(shape, rng.uniform(30, 80), rng) > rng.uniform(1.2, 2.2)] = Surface.WATER
    if rng.random() < 0.5:
        x, y = rng.uniform(0, 1, 2) * shape[::-1]
        _, v = frame(shape, x, y, rng.uniform(0, np.pi))
        land.surface[np.abs(v) < rng.uniform(1.5, 4)] = Surface.RUNWAY  # a motorway: as smooth and dark
    return land


def port(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """A straight waterfront with piers."""
    land = countryside(shape, rng)
    x, y = rng.uniform(0.3, 0.7, 2) * shape[::-1]
    paint_port(land, float(x), float(y), float(rng.uniform(0, 2 * np.pi)), rng)
    return land


def paint_port(land: Land, x: float, y: float, angle: float, rng: np.random.Generator) -> None:
    """Paints a waterfront through (x, y) along ``angle``, with water on the side of positive v, and piers in it."""
    u, v = frame(land.shape, x, y, angle)
    reach = float(np.hypot(*land.shape)) / 2
    depth = rng.uniform(10, 30)
    land.surface[v > -depth - rng.uniform(20, 70)] = Surface.BUILT
    land.surface[v > -depth] = Surface.QUAY
    land.surface[v > 0] = Surface.WATER
    position = -reach + rng.uniform(0, 40)
    while position < reach:
        gap = rng.uniform(35, 110)
        land.berths.append(Berth(*at(x, y, angle, position + gap / 2, 0), angle, angle + np.pi / 2, gap))
        position += gap
        if rng.random() < 0.75:
            wide, long = rng.uniform(8, 26), rng.uniform(30, 110)
            land.surface[(u > position) & (u < position + wide) & (v > -1) & (v < long)] = Surface.QUAY
            for side, outward in ((position, np.pi), (position + wide, 0.0)):
                middle = at(x, y, angle, side, long / 2)
                land.berths.append(Berth(*middle, angle + np.pi / 2, angle + outward, long))
            position += wide
    if rng.random() < 0.3:
        far = rng.uniform(70, 130)
        breakwater = (np.abs(v - far) < rng.uniform(1.5, 3.5)) & (u > rng.uniform(-90, 60))
        land.surface[breakwater] = Surface.BARE


def airfield(shape: tuple[int, int], rng: np.random.Generator) -> Land:
    """An airfield, now and then beside water."""
    land = coast(shape, rng) if rng.random() < 0.3 else countryside(shape, rng)
    x, y = rng.uniform(0.3, 0.7, 2) * shape[::-1]
    paint_airfield(land, float(x), float(y), float(rng.uniform(0, 2 * np.pi)), rng)
    return land


def paint_airfield(
    land: Land, x: float, y: float, angle: float, rng: np.random.Generator, length: float = 1e9
) -> None:
    """Paints an apron about (x, y), its long side along ``angle``, with a runway at negative v and a terminal."""
    u, v = frame(land.shape, x, y, angle)
    half_length, half_depth = rng.uniform(45, 100), rng.uniform(22, 48)
    apart = half_depth + rng.uniform(18, 60)
    runway = rng.uniform(6, 10)
    across = (v > -apart - runway - rng.uniform(10, 40)) & (v < half_depth + 30)
    land.surface[across & (np.abs(u) < length / 2 + 12)] = Surface.GRASS
    land.surface[(np.abs(v + apart) < runway) & (np.abs(u) < length / 2)] = Surface.RUNWAY
    for taxiway in rng.uniform(-half_length, half_length, 2):
        land.surface[(np.abs(u - taxiway) < 4) & (v > -apart) & (v < 0)] = Surface.RUNWAY
    land.surface[(np.abs(u) < half_length) & (np.abs(v) < half_depth)] = Surface.APRON
    land.surface[(np.abs(u) < 0.8 * half_length) & (v > half_depth) & (v < half_depth + 22)] = Surface.BUILT
    pitch = rng.uniform(18, 28)
    heading = angle + rng.choice([np.pi / 2, -np.pi / 2, np.pi / 4, 0.0])
    for row in np.arange(-half_depth + 12, half_depth - 9, pitch):
        for column in np.arange(-half_length + 12, half_length - 11, pitch):
            land.stands.append(Stand(*at(x, y, angle, float(column), float(row)), heading))
    for place in rng.uniform(-120, 120, 3):
        land.stands.append(Stand(*at(x, y, angle, float(place), -apart), angle))


PLACES = {
    "open sea": (open_sea, 0.2),
    "coast": (coast, 0.16),
    "port": (port, 0.24),
    "airfield": (airfield, 0.22),
    "river": (river, 0.08),
    "inland": (inland, 0.1),
}
"""Each kind of place: how it is built and how often."""

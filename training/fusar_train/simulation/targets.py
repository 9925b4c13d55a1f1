"""Ships, planes and the things that look like them, drawn as radar echoes with their exact boxes.

Drawing adds linear power to an echo image of the whole chip; sizes are in pixels of 3 m.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.land import PIXEL_M, Berth, Land, Surface, at, frame, smooth_field

SHIP_M = (60.0, 300.0)
PLANE_M = (30.0, 70.0)
Box = tuple[float, float, float, float]


@dataclass
class Canvas:
    """The chip being drawn: echo float32 [h, w] in linear power, and the objects drawn so far."""

    land: Land
    echo: NDArray[np.float32]
    taken: NDArray[np.bool_]
    boxes: list[Box]
    labels: list[str]


@dataclass(frozen=True)
class Patch:
    """The window of a canvas around one object, in the object's own axes (u forward, v to its right)."""

    rows: slice
    cols: slice
    u: NDArray[np.float32]
    v: NDArray[np.float32]


def patch(canvas: Canvas, x: float, y: float, heading: float, radius: float) -> Patch | None:
    """The part of the canvas within ``radius`` of (x, y); None when that lies outside."""
    height, width = canvas.echo.shape
    top, left = max(0, int(y - radius)), max(0, int(x - radius))
    bottom, right = min(height, int(y + radius) + 2), min(width, int(x + radius) + 2)
    if top >= bottom or left >= right:
        return None
    u, v = frame((bottom - top, right - left), x - left, y - top, heading)
    return Patch(slice(top, bottom), slice(left, right), u, v)


def decibel(level: float | NDArray[np.floating]) -> NDArray[np.float32]:
    """Linear power of a level in dB."""
    return np.power(10.0, np.asarray(level) / 10.0).astype(np.float32)


def extent(mask: NDArray[np.bool_], window: Patch) -> Box:
    """The box (left, top, right, bottom) of a mask in canvas pixels, outer edges."""
    rows, cols = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, left = window.rows.start, window.cols.start
    return float(left + cols[0]), float(top + rows[0]), float(left + cols[-1] + 1), float(top + rows[-1] + 1)


def hull(u: NDArray[np.float32], v: NDArray[np.float32], length: float, beam: float) -> NDArray[np.bool_]:
    """A ship's outline [h, w]: pointed bow, blunt stern."""
    along = u / (length / 2)
    half = beam / 2 * np.clip(np.minimum((1.0 - along) / 0.35, 0.7 + (1.0 + along) / 0.3), 0.0, 1.0)
    inside: NDArray[np.bool_] = (np.abs(along) <= 1) & (np.abs(v) <= np.maximum(half, 0.5))
    return inside


def draw_ship(
    canvas: Canvas, x: float, y: float, heading: float, rng: np.random.Generator, size: float
) -> bool:
    """Draws a ship of ``size`` pixels if it floats on free water; says whether it was drawn."""
    beam = max(3.0, size / rng.uniform(4.5, 7.5))
    window = patch(canvas, x, y, heading, size / 2 + 3)
    if window is None:
        return False
    mask = hull(window.u, window.v, size, beam)
    where = (window.rows, window.cols)
    ashore = (canvas.land.surface[where][mask] != Surface.WATER).any()
    if ashore or mask.sum() < 12 or canvas.taken[where][mask].any():
        return False
    along, across = window.u / (size / 2), np.abs(window.v) / (beam / 2)
    level = rng.uniform(-9, 4) + rng.uniform(1.5, 4.5) * rng.standard_normal(mask.shape)
    level += rng.uniform(0.5, 3.5) * smooth_field((mask.shape[0], mask.shape[1]), rng.uniform(3, 8), rng)
    level += rng.uniform(0, 5) * (across > 0.55)
    level += rng.uniform(0, 4) * np.sin(along * rng.uniform(8, 25))
    level += rng.uniform(3, 11) * (np.abs(along + rng.choice([0.72, 0.0, 0.72])) < 0.14)
    level += rng.uniform(0, 6) * (np.abs(along) > 0.85)
    level += rng.uniform(6, 14) * (rng.random(mask.shape) < 0.04)
    canvas.echo[where] += decibel(level) * mask
    canvas.taken[where] |= hull(window.u, window.v, size + 3, beam + 2)
    canvas.boxes.append(extent(mask, window))
    canvas.labels.append("ship")
    return True


def airframe(
    u: NDArray[np.float32], v: NDArray[np.float32], length: float, sweep: float
) -> NDArray[np.bool_]:
    """A plane's outline [h, w], nose towards positive u."""
    span, side = 0.92 * length, np.abs(v)
    fuselage = (np.abs(u) <= length / 2) & (side <= max(1.0, 0.055 * length))
    chord = 0.085 * length * (1.25 - side / span)
    wing = (np.abs(u - 0.1 * length + sweep * side) <= chord) & (side <= span / 2)
    tail = (np.abs(u + 0.42 * length + sweep * side) <= 0.05 * length) & (side <= 0.18 * length)
    return fuselage | wing | tail


def draw_plane(
    canvas: Canvas, x: float, y: float, heading: float, rng: np.random.Generator, size: float
) -> bool:
    """Draws a plane of ``size`` pixels if it stands on free paved ground; says whether it was drawn."""
    window = patch(canvas, x, y, heading, 0.75 * size + 2)
    if window is None:
        return False
    mask = airframe(window.u, window.v, size, rng.uniform(0.3, 0.7))
    where = (window.rows, window.cols)
    paved = canvas.land.surface[where][mask]
    if mask.sum() < 12 or canvas.taken[where][mask].any() or (paved >= Surface.RUNWAY).mean() < 0.6:
        return False
    level = rng.uniform(-10, 2) + rng.uniform(3, 6) * rng.standard_normal(mask.shape)
    level += rng.uniform(2, 7) * (np.abs(window.u - 0.05 * size) + np.abs(window.v) < 0.22 * size)
    level += rng.uniform(5, 12) * (rng.random(mask.shape) < 0.06)
    canvas.echo[where] += decibel(level) * mask
    canvas.taken[where] |= mask
    canvas.boxes.append(extent(mask, window))
    canvas.labels.append("plane")
    return True


def ship_size(rng: np.random.Generator) -> float:
    """A ship's length in pixels, small ones more often."""
    low, high = np.log(SHIP_M)
    return float(np.exp(low + (high - low) * rng.beta(1.1, 1.6)) / PIXEL_M)


def place_ships(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Draws up to ``count`` ships, at berths where there are some, else at sea, in convoy now and then."""
    height, width = canvas.echo.shape
    convoy = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else None
    drawn = 0
    for _ in range(6 * count):
        if drawn == count:
            return
        size = ship_size(rng)
        if canvas.land.berths and rng.random() < 0.6:
            drawn += moor(canvas, canvas.land.berths[rng.integers(len(canvas.land.berths))], size, rng)
        else:
            heading = rng.uniform(0, 2 * np.pi) if convoy is None else convoy + rng.normal(0, 0.15)
            x, y = rng.uniform(0, width), rng.uniform(0, height)
            drawn += draw_ship(canvas, x, y, float(heading), rng, size)


def moor(canvas: Canvas, berth: Berth, size: float, rng: np.random.Generator) -> bool:
    """Draws a ship alongside a berth; says whether there was room."""
    size = min(size, 0.95 * berth.length)
    if size < SHIP_M[0] / PIXEL_M:
        return False
    slack = (berth.length - size) / 2
    offset = max(3.0, size / 4.5) / 2 + rng.uniform(0.7, 2.5)
    x, y = at(berth.x, berth.y, berth.along, float(rng.uniform(-slack, slack)), 0.0)
    x, y = x + offset * np.cos(berth.outward), y + offset * np.sin(berth.outward)
    if not (0 <= x < canvas.echo.shape[1] and 0 <= y < canvas.echo.shape[0]):
        return False
    return draw_ship(canvas, float(x), float(y), berth.along + rng.choice([0.0, np.pi]), rng, size)


def place_planes(canvas: Canvas, count: int, rng: np.random.Generator) -> None:
    """Parks up to ``count`` planes on the stands of the place."""
    height, width = canvas.echo.shape
    low, high = np.array(PLANE_M) / PIXEL_M
    fleet = rng.uniform(low, high)
    for stand in rng.permutation(len(canvas.land.stands))[: 2 * count]:
        if canvas.labels.count("plane") == count:
            return
        spot = canvas.land.stands[stand]
        x, y = spot.x + rng.normal(0, 1.5), spot.y + rng.normal(0, 1.5)
        if 0 <= x < width and 0 <= y < height:
            size = float(np.clip(fleet * rng.uniform(0.8, 1.2), low, high))
            draw_plane(canvas, x, y, spot.heading + rng.normal(0, 0.12), rng, size)


def draw_block(
    canvas: Canvas,
    x: float,
    y: float,
    heading: float,
    half: tuple[float, float],
    level: float,
    rng: np.random.Generator,
) -> None:
    """Draws a bright rectangle with one brighter side, as a building or a crane shows."""
    window = patch(canvas, x, y, heading, max(half) * 1.5 + 2)
    if window is None:
        return
    inside = (np.abs(window.u) < half[0]) & (np.abs(window.v) < half[1])
    where = (window.rows, window.cols)
    inside &= ~canvas.taken[where]
    facing = window.v > half[1] - 1.3
    power = level - 7 + 3 * rng.standard_normal(inside.shape) + 9 * facing
    canvas.echo[where] += decibel(power) * inside


def place_clutter(canvas: Canvas, rng: np.random.Generator) -> None:
    """Draws what a detector should not fall for: buildings, cranes, vehicles, buoys, rocks and faint ghosts."""
    surface = canvas.land.surface
    height, width = surface.shape
    block = rng.uniform(0, np.pi)
    for x, y in rng.uniform(0, 1, (height * width // 800, 2)) * (width, height):
        kind = surface[int(y), int(x)]
        if kind == Surface.BUILT:
            half = (float(rng.uniform(2, 14)), float(rng.uniform(2, 6)))
            draw_block(canvas, x, y, block + rng.choice([0, np.pi / 2]), half, rng.uniform(-3, 6), rng)
        elif kind == Surface.QUAY and rng.random() < 0.7:
            half = (float(rng.uniform(1, 5)), float(rng.uniform(0.8, 2)))
            draw_block(canvas, x, y, rng.uniform(0, np.pi), half, rng.uniform(0, 8), rng)
        elif kind in (Surface.APRON, Surface.WATER, Surface.BARE) and rng.random() < 0.06:
            half = (float(rng.uniform(0.6, 1.6)), float(rng.uniform(0.6, 1.6)))
            draw_block(canvas, x, y, rng.uniform(0, np.pi), half, rng.uniform(-3, 6), rng)
        elif kind in (Surface.CROPS, Surface.GRASS) and rng.random() < 0.03:
            draw_block(canvas, x, y, rng.uniform(0, np.pi), (4.0, 2.5), rng.uniform(-3, 4), rng)
    if rng.random() < 0.15:
        draw_ghosts(canvas, rng)


def draw_ghosts(canvas: Canvas, rng: np.random.Generator) -> None:
    """Azimuth ambiguities: faint smeared copies of bright ships, along one image axis."""
    shift = int(rng.uniform(40, 120)) * int(rng.choice([-1, 1]))
    ghost = np.roll(canvas.echo, shift, axis=0)
    for step in (1, 2, 3):
        ghost = ghost + np.roll(ghost, step, axis=0)
    ghost[canvas.land.surface != Surface.WATER] = 0
    canvas.echo += ghost * decibel(rng.uniform(-33, -26))

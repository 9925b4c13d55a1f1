"""The mean backscatter of a place: its surfaces, their texture, the sea, and what stands up from the ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.ground import Land, Surface, smooth_field
from fusar_train.simulation.radar import Sensor, texture

LEVEL_DB = np.array([0.0, -9.0, -13.5, -11.0, -12.5, -11.5, -13.0, -14.0, -13.0, -20.0], np.float32)
"""Mean backscatter of each ``Surface``; a ``Flat`` has its own, and buildings add theirs to built-up land."""
SPREAD_DB = np.array([0.0, 1.0, 1.5, 1.8, 1.5, 1.3, 1.5, 2.0, 1.5, 1.5], np.float32)
ORDER = np.array([1.0, 4.0, 20.0, 5.0, 30.0, 7.0, 3.0, 10.0, 3.0, 12.0], np.float32)
"""Shape of the K distribution of each surface: woods and towns are spiky, fields are not."""
QUAY_M, STOREY_M, CANOPY_M = 3.0, 3.2, 13.0
STEPS = 40
"""Pixels that a shadow or a layover is followed at most."""


def clutter(
    land: Land, height: NDArray[np.float32], sensor: Sensor, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Mean power [h, w] of the ground and of what stands on it up to ``height`` metres, without ships and planes."""
    level = LEVEL_DB + SPREAD_DB * rng.standard_normal(LEVEL_DB.size).astype(np.float32)
    smooth = np.array([flat.level_db for flat in land.flats], np.float32)
    orders = np.array([flat.order for flat in land.flats], np.float32)
    index = np.where(land.flat > 0, land.flat + np.uint8(LEVEL_DB.size), land.surface)
    ground = power(np.concatenate([level, smooth]))[index]
    grain = smooth_field(land.shape, float(np.clip(rng.uniform(6, 11) / land.pixel_m, 1.6, 4)), rng)
    ground *= texture(grain, np.concatenate([ORDER, orders])[index])
    plots = power(rng.normal(0, 2.0, int(land.plot.max()) + 1))
    ground *= np.where(land.surface == Surface.CROPS, plots[land.plot], np.float32(1))
    if any(flat.wind for flat in land.flats):
        ground *= sea_state(land, rng)
    lit, walls = relief(land, height, sensor, rng)
    return np.asarray(ground * lit + walls, np.float32)


def power(db: NDArray[np.floating] | float) -> NDArray[np.float32]:
    """Linear power of a level in dB."""
    return np.asarray(np.exp(np.asarray(db, np.float32) * np.float32(np.log(10) / 10)), np.float32)


def sea_state(land: Land, rng: np.random.Generator) -> NDArray[np.float32]:
    """Wind patches, swell and now and then a dark slick: a factor [h, w], 1 where no wind blows."""
    wind = max(flat.wind for flat in land.flats)
    strength = np.float32(rng.uniform(0.2, 1.2))
    patches = strength * smooth_field(land.shape, rng.uniform(180, 600) / land.pixel_m, rng)
    if rng.random() < wind / 15:
        u, _ = land.frame(0, 0, rng.uniform(0, np.pi))
        length = max(rng.uniform(50, 220), 5 * land.pixel_m)
        groups = np.float32(1) + np.float32(0.5) * smooth_field(land.shape, 2 * length / land.pixel_m, rng)
        swell = np.float32(rng.uniform(0.3, 0.3 + 0.14 * wind))
        patches += swell * groups * np.sin(u * np.float32(2 * np.pi / length))
    if rng.random() < 0.15:
        slick = smooth_field(land.shape, 250 / land.pixel_m, rng)
        patches -= np.float32(rng.uniform(3, 7)) * (slick > 1.1)
    blown = np.array([flat.wind > 0 for flat in land.flats])[land.flat]
    return power(patches * blown)


def heights(land: Land, rng: np.random.Generator) -> NDArray[np.float32]:
    """Metres above ground [h, w] of trees, houses and quays.

    Houses and sheds stand in blocks between streets; every block has its own height, some are empty.
    """
    height = np.zeros(land.shape, np.float32)
    trees = land.surface == Surface.TREES
    if trees.any():
        canopy = CANOPY_M * (1 + 0.2 * smooth_field(land.shape, max(1.6, 25 / land.pixel_m), rng))
        height = np.where(trees, canopy, height)
    built = np.flatnonzero(land.surface == Surface.BUILT)
    if built.size:
        u, v = (axis.ravel()[built] for axis in land.frame(0, 0, land.streets))
        tall, wide = rng.uniform(45, 120, 2) if rng.random() < 0.4 else rng.uniform(18, 45, 2)
        across, along = u / np.float32(wide), v / np.float32(tall)
        i, j = np.floor(across), np.floor(along)
        house = (across - i < rng.uniform(0.45, 0.8)) & (along - j < rng.uniform(0.5, 0.85))
        storeys = np.minimum(1 + rng.gamma(2.0, 1.2, 4096), 9).astype(np.float32)
        storeys[rng.random(4096) < rng.uniform(0.1, 0.4)] = 0
        block = (i.astype(np.int32) * 67 + j.astype(np.int32)) & 4095
        height.ravel()[built] = np.float32(STOREY_M) * storeys[block] * house
    height[land.surface == Surface.QUAY] = QUAY_M
    return height


def relief(
    land: Land, height: NDArray[np.float32], sensor: Sensor, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Shadow and layover of everything that stands on the ground.

    A point of height h casts its shadow h tan(incidence) away from the radar, and appears itself h / tan(incidence)
    nearer to it. A wall that faces the radar throws its brightest echo back at its foot, where it makes a corner
    with the ground, and is laid over the ground before it.

    Returns:
        lit float32 [h, w], 0 in shadow, 1 elsewhere, and the power [h, w] of the walls.
    """
    lit, walls = np.ones(land.shape, np.float32), np.zeros(land.shape, np.float32)
    top = float(height.max())
    if top < 1:
        return lit, walls
    dx, dy = np.cos(sensor.look), np.sin(sensor.look)
    steep = float(np.tan(sensor.incidence))
    reach = min(STEPS, int(np.ceil(top * steep / land.pixel_m)))
    wide = np.pad(height, reach + 1)
    horizon = np.zeros_like(height)
    for k in range(1, reach + 1):
        nearer = window(wide, reach + 1, -round(k * dx), -round(k * dy))
        np.maximum(horizon, nearer - np.float32((k - 0.5) * land.pixel_m / steep), out=horizon)
    lit[horizon > height] = 0
    face = height - window(wide, reach + 1, -round(dx), -round(dy))
    rows, cols = np.nonzero(face > 2)
    steps = np.minimum(face[rows, cols] / np.float32(steep * land.pixel_m), STEPS).astype(np.intp) + 1
    k = np.arange(steps.sum()) - np.repeat(np.cumsum(steps) - steps, steps)
    echo = np.repeat(wall_echo(land.surface[rows, cols], rng), steps) * np.where(k == 0, 1.0, 0.22)
    rows = np.repeat(rows, steps) - np.rint(k * dy).astype(np.intp)
    cols = np.repeat(cols, steps) - np.rint(k * dx).astype(np.intp)
    inside = (rows >= 0) & (rows < land.shape[0]) & (cols >= 0) & (cols < land.shape[1])
    flat = np.bincount(rows[inside] * land.shape[1] + cols[inside], echo[inside], walls.size)
    return lit, flat.reshape(land.shape).astype(np.float32)


def wall_echo(surface: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """The power of N pieces of wall of these surfaces: few corners of houses are very bright, most are not."""
    level = np.full(LEVEL_DB.size, -30.0, np.float32)
    level[[Surface.TREES, Surface.QUAY, Surface.BUILT]] = (-9.0, rng.uniform(-8, 0), rng.uniform(-4, 3))
    corners = rng.standard_exponential(surface.size, dtype=np.float32) ** 2
    return power(level)[surface] * np.where(surface == Surface.BUILT, corners, np.float32(1))


def window(wide: NDArray[np.float32], margin: int, right: int, down: int) -> NDArray[np.float32]:
    """The middle of a field with a margin on every side, moved by so many pixels; a view."""
    height, width = (side - 2 * margin for side in wide.shape)
    return wide[margin + down : margin + down + height, margin + right : margin + right + width]


def moved(field: NDArray[np.float32], right: int, down: int) -> NDArray[np.float32]:
    """The field [h, w] displaced by whole pixels, zeros where nothing comes in."""
    result = np.zeros_like(field)
    height, width = field.shape
    if abs(right) >= width or abs(down) >= height:
        return result
    to = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
    source = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))
    result[to] = field[source]
    return result

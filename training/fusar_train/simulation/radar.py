"""From surfaces and echoes to a quantised SAR image: mean backscatter, texture, speckle, point response, noise."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.imagery.quantise import LEAST_SPAN_DB, Stretch
from fusar_train.simulation.land import Land, Surface, frame, smooth_field

LEVEL_DB = np.array([-21.0, -9.0, -13.0, -11.0, -12.0, -11.5, -7.0, -16.0, -11.0, -21.0, -18.0], np.float32)
"""Mean backscatter of each ``Surface`` in dB, before the chip's own variation."""
SPREAD_DB = np.array([3.5, 1.0, 1.5, 2.0, 1.5, 1.5, 1.5, 2.0, 2.0, 1.5, 2.0], np.float32)
TEXTURE_DB = np.array([0.6, 1.2, 0.7, 1.5, 0.5, 1.3, 2.6, 1.0, 1.6, 0.4, 0.6], np.float32)
NOISE_DB = -26.0


def clutter(land: Land, rng: np.random.Generator) -> NDArray[np.float32]:
    """Mean linear power [h, w] of the ground without its targets and speckle."""
    level = LEVEL_DB + SPREAD_DB * rng.standard_normal(LEVEL_DB.size).astype(np.float32) * 0.8
    ground = level[land.surface]
    ground += TEXTURE_DB[land.surface] * smooth_field(land.shape, rng.uniform(3, 6), rng)
    plots = rng.normal(0, 1.6, int(land.plot.max()) + 1).astype(np.float32)
    ground += plots[land.plot] * (land.surface == Surface.CROPS)
    water = land.surface == Surface.WATER
    if water.any():
        ground += water * sea_state(land.shape, rng)
    return np.power(10.0, ground / 10.0).astype(np.float32)


def sea_state(shape: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Wind patches, swell and now and then a dark slick, in dB [h, w]."""
    state: NDArray[np.float32] = np.float32(rng.uniform(0, 1.8)) * smooth_field(
        shape, rng.uniform(60, 160), rng
    )
    if rng.random() < 0.4:
        u, _ = frame(shape, 0, 0, rng.uniform(0, np.pi))
        state += (rng.uniform(0.3, 2.0) * np.sin(u / rng.uniform(3, 9))).astype(np.float32)
    if rng.random() < 0.15:
        state -= np.float32(rng.uniform(3, 7)) * (smooth_field(shape, 70, rng) > 1.2)
    return state


def blur(power: NDArray[np.float32], weight: float) -> NDArray[np.float32]:
    """A separable three-pixel smoothing [h, w], the finite width of the point response; weight 0 leaves it alone."""
    for axis in (0, 1):
        edge = [(1, 1) if axis == side else (0, 0) for side in (0, 1)]
        wide = np.pad(power, edge, mode="edge")
        low, high = (wide[:-2], wide[2:]) if axis == 0 else (wide[:, :-2], wide[:, 2:])
        power = np.asarray((power + weight * (low + high)) / (1 + 2 * weight), np.float32)
    return power


def sidelobes(echo: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The cross of sidelobes that very strong points throw along rows and columns."""
    strong = np.where(echo > 8.0, echo, 0.0).astype(np.float32)
    cross = np.zeros_like(echo)
    strength = 10 ** rng.uniform(-3.0, -2.0)
    for step in range(2, 16):
        for axis in (0, 1):
            both = np.roll(strong, step, axis) + np.roll(strong, -step, axis)
            cross += both * np.float32(strength / step)
    return echo + cross


def render(
    land: Land, echo: NDArray[np.float32], rng: np.random.Generator, looks: float | None = None
) -> NDArray[np.float32]:
    """The SAR image in dB, float32 [h, w]: gamma speckle over the ground, targets, point response and noise."""
    looks = looks or float(rng.choice([1.0, 1.0, 2.0, 3.0, 4.0, 6.0, 9.0]))
    speckle = rng.standard_gamma(looks, size=land.shape, dtype=np.float32) / np.float32(looks)
    if rng.random() < 0.3:
        echo = sidelobes(echo, rng)
    scintillation = 0.4 + 0.6 * speckle
    power = clutter(land, rng) * speckle + echo * scintillation
    power = blur(power, rng.uniform(0.0, 0.5))
    noise = 10 ** ((NOISE_DB + rng.normal(0, 2)) / 10)
    return np.asarray(10 * np.log10(power + np.float32(noise) * speckle[::-1] + 1e-6), np.float32)


def quantise(db: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The 8-bit chip [h, w] as the backend would hand it over, from a scene of one kind or another.

    Mostly the backend's own stretch, with the limits of a scene like this chip or of a larger, unlike one; now
    and then a picture that its producer had already turned to 8 bits, linear in amplitude.
    """
    kind = rng.random()
    if kind < 0.4:
        return Stretch.of_samples(db).quantise(db)
    if kind < 0.85:
        low = float(rng.uniform(-42, -20))
        return Stretch(low, max(low + LEAST_SPAN_DB, float(rng.uniform(-6, 10)))).quantise(db)
    amplitude = 10 ** (db / 20)
    brightest = max(float(np.percentile(amplitude, rng.uniform(97, 99.9))), 3 * float(amplitude.mean()))
    return np.rint(np.clip(amplitude / brightest, 0, 1) * 255).astype(np.uint8)

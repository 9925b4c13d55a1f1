"""Simulated chips of one ship each, by kind of ship, for classification."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.chip import MARGIN, observe
from fusar_train.simulation.land import build
from fusar_train.simulation.models import SHIPS
from fusar_train.simulation.radar import Sensor, quantise
from fusar_train.simulation.targets import Site, draw_ship

SIDE_PX = 112
"""Of a chip: 336 m, as the longest ships are."""
_STREAM = 11
"""Of these chips alone: no corpus has one of them."""


def ship_chips(count: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], tuple[str, ...]]:
    """Chips uint8 [count, 112, 112], the number of each one's kind int64 [count], and the kinds' names.

    Kinds come in turn. Chip i depends on seed and i alone.
    """
    names = tuple(SHIPS)
    labels = np.arange(count, dtype=np.int64) % len(names)
    chips = [_chip(names[label], seed, number) for number, label in enumerate(labels)]
    return np.stack(chips), labels, names


def _chip(kind: str, seed: int, number: int) -> NDArray[np.uint8]:
    side = SIDE_PX + 2 * MARGIN
    rng = np.random.default_rng((_STREAM, seed, number))
    low, high = SHIPS[kind].length
    while True:
        land = build("open sea", (side, side), rng)
        site = Site.empty(land, Sensor.random(rng, land.pixel_m))
        x, y = (side / 2 + rng.normal(0, 3, 2)) * land.pixel_m
        length = float(low + (high - low) * rng.beta(1.1, 1.8))
        if draw_ship(site, float(x), float(y), float(rng.uniform(0, 2 * np.pi)), rng, length, SHIPS[kind]):
            break
    inside = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
    return quantise(observe(site, rng)[inside], rng)

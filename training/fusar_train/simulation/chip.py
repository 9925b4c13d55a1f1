"""One simulated training chip: a place, its targets, its SAR image and its prior, all from one seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus.record import Record, clip_objects, no_prior
from fusar_train.simulation.land import COVER, PLACES, Land
from fusar_train.simulation.prior import prior_raster, sample_nodes
from fusar_train.simulation.radar import quantise, render
from fusar_train.simulation.targets import Canvas, place_clutter, place_planes, place_ships

CHIP_PX = 224
TOKEN_PX = 16


def canvas_of(land: Land) -> Canvas:
    """An empty canvas over a place."""
    height, width = land.shape
    return Canvas(land, np.zeros((height, width), np.float32), np.zeros((height, width), np.bool_), [], [])


def random_count(rng: np.random.Generator, most: int) -> int:
    """How many targets: none quite often, few most of the time, ``most`` now and then."""
    return 0 if rng.random() < 0.22 else 1 + int((most - 1) * rng.beta(0.9, 2.0) + rng.uniform(0, 1))


def simulate_chip(seed: int, stream: int = 0) -> Record:
    """The chip number ``seed`` of a ``stream`` (streams never share chips): 224 x 224 pixels of 3 m.

    The same numbers always give the same chip, on any machine and in any order.
    """
    rng = np.random.default_rng((stream, seed))
    names = list(PLACES)
    place = names[rng.choice(len(names), p=[PLACES[name][1] for name in names])]
    land = PLACES[place][0]((CHIP_PX, CHIP_PX), rng)
    canvas = canvas_of(land)
    if place != "inland":
        place_ships(canvas, random_count(rng, 12), rng)
    place_planes(canvas, random_count(rng, 14), rng)
    place_clutter(canvas, rng)
    image = quantise(render(land, canvas.echo, rng), rng)
    objects, _ = clip_objects(canvas.boxes, canvas.labels, CHIP_PX, CHIP_PX)
    values, positions = sample_nodes(prior_raster(land.surface, rng), CHIP_PX, rng)
    return Record(image, objects, values, positions, place, token_cover(land.surface), "simulated")


def token_cover(surface: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The land cover at the centre of every visual token, int64 [14, 14]."""
    return COVER[surface[TOKEN_PX // 2 :: TOKEN_PX, TOKEN_PX // 2 :: TOKEN_PX]]


def spoil_prior(record: Record, other: Record, rng: np.random.Generator, drop: float, swap: float) -> Record:
    """The record with no prior (probability ``drop``) or another chip's (``swap``), else as it was.

    A model that always sees a right prior learns to trust it blindly.
    """
    draw = rng.random()
    if draw < drop:
        values, positions = no_prior()
    elif draw < drop + swap:
        values, positions = other.values, other.positions
    else:
        return record
    return replace(record, values=values, positions=positions)

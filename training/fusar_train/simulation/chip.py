"""One simulated training chip: a place, its targets, its SAR image and its prior, all from one seed."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fusar_train.corpus.chip import LabelledChip, clip_objects, no_prior
from fusar_train.simulation.clutter import clutter, heights
from fusar_train.simulation.ground import Land
from fusar_train.simulation.land import PLACES, build
from fusar_train.simulation.looks import looks_of
from fusar_train.simulation.prior import sample_nodes
from fusar_train.simulation.radar import Sensor, detect, quantise, to_db
from fusar_train.simulation.small_echoes import add_ghosts, add_small_echoes, wake_factor
from fusar_train.simulation.targets import Site, place_planes, place_ships

CHIP_PX = 224
TOKEN_PX = 16
MARGIN = 8
"""Pixels simulated around a chip and cut off: what lies just outside throws shadows and sidelobes into it."""
INSIDE = (slice(MARGIN, -MARGIN), slice(MARGIN, -MARGIN))
MOST = 30
TRAIN_STREAM, CHOICE_STREAM, CALIBRATION_STREAM, TEST_STREAM = 1, 2, 5, 7
"""Streams of chips: for training, choosing between models, calibrating, and the figures that are reported."""


@lru_cache(maxsize=1)
def keep_freed_memory() -> None:
    """Makes the C library keep the memory of freed arrays, which makes chips a quarter faster.

    glibc hands the top of its heap back to the system, to be mapped anew for the next array, unless it is smaller
    than twice the largest block that was ever freed: so one large block is freed. Elsewhere this does nothing.
    """
    np.empty(30 << 20, np.uint8)


def random_count(rng: np.random.Generator, often: int, crowds: float) -> int:
    """How many objects: none quite often, up to ``often`` mostly, up to ``MOST`` with probability ``crowds``."""
    draw = rng.random()
    if draw < 0.18:
        return 0
    return int(rng.integers(8, MOST + 1)) if draw > 1 - crowds else 1 + int(often * rng.beta(0.9, 1.8))


def random_place(rng: np.random.Generator) -> str:
    """A kind of place, as often as ``PLACES`` says."""
    names = list(PLACES)
    return names[int(rng.choice(len(names), p=[PLACES[name][1] for name in names]))]


def random_counts(place: str, rng: np.random.Generator) -> tuple[int, int]:
    """How many ships and planes a kind of place has at most."""
    return random_count(rng, 12, 0.3 if place == "port" else 0.06), random_count(rng, 16, 0.1)


def populate(land: Land, sensor: Sensor, counts: tuple[int, int], rng: np.random.Generator) -> Site:
    """The place with up to ``counts`` (ships, planes) and the small objects around them."""
    site = Site.empty(land, sensor)
    place_ships(site, counts[0], rng)
    place_planes(site, counts[1], rng)
    add_small_echoes(site, rng)
    if rng.random() < 0.2:
        add_ghosts(site, rng)
    return site


def observe(site: Site, rng: np.random.Generator) -> NDArray[np.float32]:
    """The SAR image of a place in dB, float32 [h, w]."""
    ground = clutter(site.land, heights(site.land, rng), site.sensor, rng)
    if site.wakes:
        ground *= wake_factor(site)
    ground += np.float32(10 ** (site.sensor.noise_db / 10))
    return to_db(detect(ground, site.echo, site.sensor, rng))


def compose(number: int, stream: int = 0) -> tuple[Site, str, np.random.Generator]:
    """The place of chip ``number``, ``MARGIN`` pixels wider on every side, its kind, and the rest of its seed."""
    keep_freed_memory()
    rng = np.random.default_rng((stream, number))
    place = random_place(rng)
    side = CHIP_PX + 2 * MARGIN
    land = build(place, (side, side), rng)
    counts = random_counts(place, rng)
    return populate(land, Sensor.random(rng, land.pixel_m), counts, rng), place, rng


def simulate_chip(number: int, stream: int = 0) -> LabelledChip:
    """The chip ``number`` of a ``stream`` (streams never share chips): 224 x 224 pixels of 3 m.

    The same numbers always give the same chip, in any order. On another machine, grey levels may differ by one
    where its arithmetic rounds otherwise; truth and prior do not.
    """
    site, place, rng = compose(number, stream)
    return labelled(site, quantise(observe(site, rng)[INSIDE], rng), place, rng)


def labelled(site: Site, image: NDArray[np.uint8], place: str, rng: np.random.Generator) -> LabelledChip:
    """The chip of an image without its margin: the truth of its site, a prior, and what the image shows."""
    real = site.real()
    boxes = [(x0 - MARGIN, y0 - MARGIN, x1 - MARGIN, y1 - MARGIN) for (x0, y0, x1, y1), _ in real]
    objects, _ = clip_objects(boxes, [label for _, label in real], CHIP_PX, CHIP_PX)
    cover = site.land.cover()[INSIDE]
    values, positions = sample_nodes(cover, site.land.pixel_m, rng)
    looks = looks_of(site, MARGIN)
    return LabelledChip(image, objects, values, positions, place, token_cover(cover), "simulated", looks)


def token_cover(cover: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The land cover at the centre of every visual token, int64 [14, 14]."""
    return cover[TOKEN_PX // 2 :: TOKEN_PX, TOKEN_PX // 2 :: TOKEN_PX].astype(np.int64)


def drop_or_swap_prior(
    chip: LabelledChip, other: LabelledChip, rng: np.random.Generator, drop: float, swap: float
) -> LabelledChip:
    """The chip with no prior (probability ``drop``) or another chip's (``swap``), else as it was.

    A model that always sees a right prior learns to trust it blindly.
    """
    draw = rng.random()
    if draw < drop:
        values, positions = no_prior()
    elif draw < drop + swap:
        values, positions = other.values, other.positions
    else:
        return chip
    return replace(chip, values=values, positions=positions)

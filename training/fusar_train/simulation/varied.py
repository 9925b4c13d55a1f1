"""Chips of what the default mixture has too little of: crowds, ships side by side, busy airfields, odd images.

Each chip is one situation (``SITUATIONS``), seen by any radar at any spacing near the nominal one, and stretched well
or badly; now and then a part of it has no data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.contract.stretch import LEAST_SPAN_DB, Stretch
from fusar_train.corpus.chip import LabelledChip
from fusar_train.simulation.chip import (
    CHIP_PX,
    INSIDE,
    MARGIN,
    keep_freed_memory,
    labelled,
    observe,
    populate,
    random_count,
    random_counts,
    random_place,
)
from fusar_train.simulation.ground import PIXEL_M, Berth, at
from fusar_train.simulation.land import PLACES, build
from fusar_train.simulation.models import SHIPS
from fusar_train.simulation.pasted import CutOut, paste_planes
from fusar_train.simulation.radar import Sensor, quantise
from fusar_train.simulation.small_echoes import add_points
from fusar_train.simulation.targets import Site, draw_ship, pick, place_ships

Shape = tuple[int, int]
Situation = Callable[[Shape, float, np.random.Generator], tuple[Site, str]]
"""Makes a site, and says what kind of place of ``PLACES`` it is."""
DOUBTFUL = (0.2, 0.8)
"""An object of which such a share has data can be taken for either: the chip then keeps all its data."""
BOATS = ("fishing boat", "patrol boat")


def simulate_varied_chip(number: int, stream: int = 0, planes: Sequence[CutOut] = ()) -> LabelledChip:
    """The varied chip ``number`` of a ``stream``, as ``simulate_chip``; the two never share chips.

    Half the busy airfields have real ``planes`` instead of simulated ones, where there are some.
    """
    keep_freed_memory()
    rng = np.random.default_rng((stream, number, 1))
    pixel_m = PIXEL_M * float(2 ** rng.uniform(-0.9, 0.9)) if rng.random() < 0.5 else PIXEL_M
    names = list(SITUATIONS)
    name = names[int(rng.choice(len(names), p=[SITUATIONS[one][1] for one in names]))]
    shape = (CHIP_PX + 2 * MARGIN,) * 2
    if planes and name == "busy airfield" and rng.random() < 0.5:
        site, place = busy_airfield(shape, pixel_m, rng, planes)
    else:
        site, place = SITUATIONS[name][0](shape, pixel_m, rng)
    chip = labelled(site, badly_stretched(observe(site, rng)[INSIDE], rng), place, rng)
    return without_data(chip, rng) if rng.random() < 0.08 else chip


def any_sensor(rng: np.random.Generator, pixel_m: float) -> Sensor:
    """A radar as ``Sensor.random``, of one to eight looks."""
    return replace(Sensor.random(rng, pixel_m), looks=int(rng.choice([1, 2, 3, 4, 6, 8])))


def anchorage(shape: Shape, pixel_m: float, rng: np.random.Generator) -> tuple[Site, str]:
    """Fifteen to sixty ships at anchor, mostly heading one way, at sea or off a coast."""
    place = "open sea" if rng.random() < 0.7 else "coast"
    site = Site.empty(build(place, shape, rng, pixel_m), any_sensor(rng, pixel_m))
    place_ships(site, int(rng.integers(15, 61)), rng)
    return site, place


def fishing_fleet(shape: Shape, pixel_m: float, rng: np.random.Generator) -> tuple[Site, str]:
    """A pack of small boats on open water, close to each other."""
    site = Site.empty(build("open sea", shape, rng, pixel_m), any_sensor(rng, pixel_m))
    x, y = rng.uniform(0.2, 0.8, 2) * site.land.size
    spread = rng.uniform(60, 220)
    for _ in range(int(rng.integers(6, 40))):
        kind = SHIPS[BOATS[int(rng.integers(len(BOATS)))]]
        place = rng.normal((x, y), spread)
        length = float(rng.uniform(*kind.length))
        draw_ship(site, float(place[0]), float(place[1]), float(rng.uniform(0, 2 * np.pi)), rng, length, kind)
    return site, "open sea"


def full_port(shape: Shape, pixel_m: float, rng: np.random.Generator) -> tuple[Site, str]:
    """A port whose berths are full: ships end to end that touch the quay, others moored alongside them."""
    site = populate(build("port", shape, rng, pixel_m), any_sensor(rng, pixel_m), (0, 0), rng)
    for berth in site.land.berths:
        if rng.random() < 0.8:
            moor_rows(site, berth, rng)
    place_ships(site, random_count(rng, 6, 0.0), rng)
    return site, "port"


def moor_rows(site: Site, berth: Berth, rng: np.random.Generator) -> None:
    """One to three rows of ships along a berth, with little or no water between them."""
    small = berth.length < 120 or rng.random() < 0.4
    weights = {name: kind.weight for name, kind in SHIPS.items() if not small or kind.length[0] < 70}
    rows = int(rng.choice([1, 1, 2, 3])) if small else 1
    position = -berth.length / 2
    while position < berth.length / 2:
        kind = SHIPS[pick(weights, rng)]
        length = float(kind.length[0] + (kind.length[1] - kind.length[0]) * rng.beta(1.0, 2.5))
        if position + length > berth.length / 2:
            return
        beam = length / kind.slender * 1.14
        for row in range(rows):
            off = site.land.pixel_m + (row + 0.5) * beam + row * rng.uniform(0.6, 3)
            x, y = at(berth.x, berth.y, berth.along, position + length / 2, 0.0)
            x, y = x + off * np.cos(berth.outward), y + off * np.sin(berth.outward)
            heading = berth.along + rng.choice([0.0, np.pi])
            draw_ship(site, float(x), float(y), float(heading), rng, length, kind, apart=0.5)
        position += length + rng.uniform(1, 25)


def structures_at_sea(shape: Shape, pixel_m: float, rng: np.random.Generator) -> tuple[Site, str]:
    """Wind turbines in rows, or platforms, which are no ships, and a few ships among them."""
    site = Site.empty(build("open sea", shape, rng, pixel_m), any_sensor(rng, pixel_m))
    width, height = site.land.size
    if rng.random() < 0.6:
        pitch, turn = rng.uniform(180, 450), rng.uniform(0, np.pi)
        steps = np.arange(-8, 9) * pitch
        u, v = (axis.ravel() for axis in np.meshgrid(steps, steps + rng.uniform(0, pitch)))
        c, s = np.cos(turn), np.sin(turn)
        for x, y in zip(width / 2 + c * u - s * v, height / 2 + s * u + c * v, strict=True):
            turbine(site, float(x), float(y), rng)
    else:
        for _ in range(int(rng.integers(1, 5))):
            x, y = rng.uniform(0.05, 0.95, 2) * site.land.size
            platform(site, float(x), float(y), rng)
    place_ships(site, random_count(rng, 5, 0.0), rng)
    return site, "open sea"


def turbine(site: Site, x: float, y: float, rng: np.random.Generator) -> None:
    """A tower with its foot in the water, a nacelle, and blades that are seen or not."""
    hub = rng.uniform(60, 120)
    z = np.linspace(0, hub, 10)
    blades = rng.uniform(-1, 1, 6) * 0.6 * hub
    ends = np.full(z.size, x), np.full(z.size, y)
    add_points(site, *ends, z, rng.normal(-4, 4, z.size) + 15 * (z == 0) + 8 * (z == hub))
    if rng.random() < 0.4:
        add_points(site, x + blades, np.full(6, y), hub, rng.normal(-3, 4, 6))


def platform(site: Site, x: float, y: float, rng: np.random.Generator) -> None:
    """A square lattice of legs and decks 25 to 90 m wide, brighter than most ships of its size."""
    side, count = rng.uniform(25, 90), int(rng.integers(40, 160))
    across, along = rng.uniform(-side / 2, side / 2, (2, count))
    turn = rng.uniform(0, np.pi / 2)
    c, s = np.cos(turn), np.sin(turn)
    z = rng.choice([0.0, 12.0, 20.0, 45.0], count, p=[0.3, 0.4, 0.2, 0.1])
    add_points(site, x + c * across - s * along, y + s * across + c * along, z, rng.normal(8, 6, count))


def busy_airfield(
    shape: Shape, pixel_m: float, rng: np.random.Generator, planes: Sequence[CutOut] = ()
) -> tuple[Site, str]:
    """An airfield whose aprons are full of vehicles, bridges and stores as bright as planes, with or without planes."""
    land = build("airfield", shape, rng, pixel_m)
    ships, parked = random_count(rng, 4, 0.0), random_count(rng, 16, 0.2)
    site = populate(land, any_sensor(rng, pixel_m), (ships, 0 if planes else parked), rng)
    if planes:
        paste_planes(site, planes, parked, rng)
    spots = np.flatnonzero(
        np.isin(land.flat, [i for i, flat in enumerate(land.flats) if flat.hosts == "plane"])
    )
    for _ in range(int(rng.integers(3, 30)) if spots.size else 0):
        row, col = divmod(int(spots[rng.integers(spots.size)]), land.shape[1])
        count = int(rng.integers(1, 9))
        line = np.linspace(0, rng.uniform(2, 40), count)
        turn = land.streets + rng.choice([0.0, np.pi / 2])
        x, y = col * pixel_m + line * np.cos(turn), row * pixel_m + line * np.sin(turn)
        add_points(site, x, y, rng.uniform(0, 5), rng.normal(6, 5, count))
    return site, "airfield"


def hard_empty(shape: Shape, pixel_m: float, rng: np.random.Generator) -> tuple[Site, str]:
    """A place of any kind without a ship or plane, but with all that stands around there, and bright things at sea."""
    place = list(PLACES)[int(rng.integers(len(PLACES)))]
    site = populate(build(place, shape, rng, pixel_m), any_sensor(rng, pixel_m), (0, 0), rng)
    for _ in range(int(rng.integers(0, 4))):
        x, y = rng.uniform(0, 1, 2) * site.land.size
        add_points(site, np.array([x]), np.array([y]), 0.0, rng.normal(8, 6, 1))
    return site, place


def as_before(shape: Shape, pixel_m: float, rng: np.random.Generator) -> tuple[Site, str]:
    """The default mixture's places and counts."""
    place = random_place(rng)
    land = build(place, shape, rng, pixel_m)
    return populate(land, any_sensor(rng, pixel_m), random_counts(place, rng), rng), place


SITUATIONS: dict[str, tuple[Situation, float]] = {
    "anchorage": (anchorage, 0.14),
    "fishing fleet": (fishing_fleet, 0.06),
    "full port": (full_port, 0.2),
    "structures at sea": (structures_at_sea, 0.07),
    "busy airfield": (busy_airfield, 0.17),
    "hard empty": (hard_empty, 0.1),
    "as before": (as_before, 0.26),
}
"""Each situation: how it is made and how often."""


def badly_stretched(db: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The 8-bit chip [h, w]: half the time as ``quantise`` makes it, else up to 6 dB too dark or too bright."""
    if rng.random() < 0.5:
        return quantise(db, rng)
    right = Stretch.of_samples(db[::2, ::2])
    off, wide = float(rng.uniform(-6, 6)), float(rng.uniform(0.8, 1.3))
    low = right.low_db + off
    return Stretch(low, low + max(wide * (right.high_db - right.low_db), 0.8 * LEAST_SPAN_DB)).quantise(db)


def without_data(chip: LabelledChip, rng: np.random.Generator) -> LabelledChip:
    """The chip with a wedge that has no data, such as the edge of a swath, and without the objects in it.

    As it was where an object would be half gone.
    """
    turn, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.35)
    y, x = np.mgrid[:CHIP_PX, :CHIP_PX]
    along = x * np.cos(turn) + y * np.sin(turn)
    there = along > np.quantile(along, share)
    seen = []
    for item in chip.objects:
        box = item.box
        part = there[int(box.top) : max(int(np.ceil(box.bottom)), int(box.top) + 1)]
        part = part[:, int(box.left) : max(int(np.ceil(box.right)), int(box.left) + 1)]
        seen.append(float(part.mean()))
    if any(DOUBTFUL[0] < one < DOUBTFUL[1] for one in seen):
        return chip
    kept = tuple(item for item, one in zip(chip.objects, seen, strict=True) if one >= DOUBTFUL[1])
    return replace(chip, image=np.where(there, chip.image, np.uint8(0)), objects=kept, looks=None)

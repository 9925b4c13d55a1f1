"""Ships, planes and what looks like them, placed where they can be, with their boxes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.clutter import power
from fusar_train.simulation.ground import Berth, Land, at
from fusar_train.simulation.models import PLANES, SHIPS, Scatterers, ShipType, plane, ship
from fusar_train.simulation.radar import Sensor

Box = tuple[float, float, float, float]
VISIBLE = 2.0
"""A part of a target is visible where its mean power is so many times that of the ground (3 dB)."""


@dataclass(frozen=True)
class Target:
    """One object: its visible box (left, top, right, bottom) in pixels, and the flat it is on.

    It is a ship or a plane if the flat is what it seems; else it only looks like one.
    """

    box: Box
    flat: int


@dataclass(frozen=True)
class Wake:
    """The trail of a moving ship: where its track ends, its heading, its length and the ship's beam."""

    x: float
    y: float
    heading: float
    length: float
    beam: float


@dataclass
class Site:
    """A place with its targets, as one radar sees it.

    Attributes:
        land: the place.
        sensor: the radar that looks at it.
        echo: float32 [h, w], power of all point scatterers.
        taken: bool [h, w], where an object already is.
        targets: the objects.
        wakes: trails on the water.
    """

    land: Land
    sensor: Sensor
    echo: NDArray[np.float32]
    taken: NDArray[np.bool_]
    targets: list[Target] = field(default_factory=list)
    wakes: list[Wake] = field(default_factory=list)

    @classmethod
    def empty(cls, land: Land, sensor: Sensor) -> Site:
        """A place without any target yet."""
        return cls(land, sensor, np.zeros(land.shape, np.float32), np.zeros(land.shape, np.bool_))

    def real(self) -> list[tuple[Box, str]]:
        """The box and class of every true ship and plane."""
        flats = self.land.flats
        return [(t.box, flats[t.flat].hosts) for t in self.targets if flats[t.flat].real]

    def pixels(
        self, x: NDArray[np.floating], y: NDArray[np.floating]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of positions in metres; they may lie outside."""
        scale = 1 / self.land.pixel_m
        return np.floor(y * scale).astype(np.intp), np.floor(x * scale).astype(np.intp)


def footprint(
    site: Site, x: float, y: float, heading: float, size: tuple[float, float], gap: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of a rectangle of ``size`` (along, across) metres widened by ``gap``, inside the site."""
    step = 0.7 * site.land.pixel_m
    along, across = (np.arange(-s / 2 - gap, s / 2 + gap + step, step) for s in size)
    c, s = np.cos(heading), np.sin(heading)
    rows, cols = site.pixels(
        x + c * along[:, None] - s * across[None, :], y + s * along[:, None] + c * across[None, :]
    )
    height, width = site.land.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    return rows[inside], cols[inside]


def free_flat(site: Site, place: tuple[NDArray[np.intp], NDArray[np.intp]], hosts: str) -> int:
    """The index of the one flat that hosts such objects under a footprint; 0 when it is not one, or taken."""
    if not place[0].size or site.taken[place].any():
        return 0
    under = site.land.flat[place]
    flat = int(under[0])
    return flat if site.land.flats[flat].hosts == hosts and (under == flat).all() else 0


def draw(
    site: Site, model: Scatterers, x: float, y: float, heading: float, level_db: float, flat: int
) -> bool:
    """Adds the echoes of a model to the site, displaced towards the radar by their heights (layover).

    The target's box holds every pixel where it stands out from the ground. Returns whether enough of it is visible.
    """
    c, s = np.float32(np.cos(heading)), np.float32(np.sin(heading))
    shift = site.sensor.layover
    rows, cols = site.pixels(
        x + c * model.u - s * model.v + np.float32(shift[0]) * model.z,
        y + s * model.u + c * model.v + np.float32(shift[1]) * model.z,
    )
    top, left = int(rows.min()), int(cols.min())
    tall, wide = int(rows.max()) - top + 1, int(cols.max()) - left + 1
    patch = np.bincount((rows - top) * wide + cols - left, power(model.db + level_db), tall * wide)
    patch = patch.reshape(tall, wide).astype(np.float32)
    ground = power(site.land.flats[flat].level_db) + power(site.sensor.noise_db)
    patch[patch < VISIBLE * ground] = 0
    lines, columns = np.flatnonzero(patch.any(1)), np.flatnonzero(patch.any(0))
    if lines.size < 1 or np.count_nonzero(patch) < 2:
        return False
    height, width = site.land.shape
    to = (slice(max(top, 0), min(top + tall, height)), slice(max(left, 0), min(left + wide, width)))
    if to[0].start >= to[0].stop or to[1].start >= to[1].stop:
        return False
    site.echo[to] += patch[to[0].start - top : to[0].stop - top, to[1].start - left : to[1].stop - left]
    box = (left + columns[0], top + lines[0], left + columns[-1] + 1, top + lines[-1] + 1)
    site.targets.append(Target((float(box[0]), float(box[1]), float(box[2]), float(box[3])), flat))
    return True


def brightness(site: Site, flat: int, low: float, high: float, rng: np.random.Generator) -> float:
    """The level of an object's plain parts in dB: low to high, but at least 4 dB above the ground it is on."""
    ground = power(site.land.flats[flat].level_db) + power(site.sensor.noise_db)
    return max(float(rng.uniform(low, high)), float(10 * np.log10(ground)) + 4)


def draw_ship(
    site: Site,
    x: float,
    y: float,
    heading: float,
    rng: np.random.Generator,
    length: float,
    kind: ShipType,
    apart: float | None = None,
) -> bool:
    """Draws a ship if it lies on one free flat, all of it; returns whether it was drawn.

    Others keep ``apart`` metres away, by default two pixels.
    """
    towards = np.array([-np.cos(site.sensor.look), -np.sin(site.sensor.look)])
    facing = float(towards @ (-np.sin(heading), np.cos(heading)))
    room = (length, length / kind.slender * 1.14)
    flat = free_flat(site, footprint(site, x, y, heading, room, 0.5), "ship")
    if not flat:
        return False
    model, beam = ship(kind, length, facing, site.land.pixel_m, rng)
    if not draw(site, model, x, y, heading, brightness(site, flat, -17, -2, rng), flat):
        return False
    gap = 2 * site.land.pixel_m if apart is None else apart
    site.taken[footprint(site, x, y, heading, room, gap)] = True
    if site.land.flats[flat].odds == 1 and rng.random() < 0.35:
        # A ship that moves in range appears displaced in azimuth from its own wake.
        off = rng.normal(0, 12)
        x, y = x - off * np.sin(site.sensor.look), y + off * np.cos(site.sensor.look)
        site.wakes.append(Wake(x, y, heading, float(length * rng.uniform(3, 9)), beam))
    return True


def draw_plane(
    site: Site, x: float, y: float, heading: float, rng: np.random.Generator, length: float, kind: str
) -> bool:
    """Draws a plane if it stands on one free flat, all of it; returns whether it was drawn."""
    size = (length, 1.1 * length)
    flat = free_flat(site, footprint(site, x, y, heading, size, 0.0), "plane")
    if not flat:
        return False
    model, _ = plane(PLANES[kind], length, site.land.pixel_m, rng)
    if not draw(site, model, x, y, heading, brightness(site, flat, -9, 2, rng), flat):
        return False
    site.taken[footprint(site, x, y, heading, size, 0.0)] = True
    return True


def pick(kinds: dict[str, float], rng: np.random.Generator) -> str:
    """One of some kinds by weight."""
    edges = np.cumsum(list(kinds.values()))
    return list(kinds)[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]


def place_ships(site: Site, count: int, rng: np.random.Generator) -> None:
    """Draws up to ``count`` ships: at berths where there are some, else on any flat, in convoy now and then."""
    flats = site.land.flats
    hosts = [i for i, flat in enumerate(flats) for _ in range(1 + (flat.odds < 1)) if flat.hosts == "ship"]
    spots: dict[int, NDArray[np.intp]] = {}
    convoy = rng.uniform(0, 2 * np.pi) if rng.random() < 0.4 else None
    weights = {name: kind.weight for name, kind in SHIPS.items() if count < 12 or kind.length[0] < 70}
    before = len(site.targets)
    for _ in range(4 * count + 8 if count and hosts else 0):
        if len(site.targets) - before == count:
            return
        kind = SHIPS[pick(weights, rng)]
        low, high = kind.length
        length = float(low + (high - low) * rng.beta(1.1, 1.8))
        if site.land.berths and rng.random() < 0.55:
            moor(site, site.land.berths[rng.integers(len(site.land.berths))], length, kind, rng)
            continue
        flat = hosts[int(rng.integers(len(hosts)))]
        if flat not in spots:
            spots[flat] = np.flatnonzero(site.land.flat == flat)
        if spots[flat].size:
            row, col = divmod(int(spots[flat][rng.integers(spots[flat].size)]), site.land.shape[1])
            heading = rng.uniform(0, 2 * np.pi) if convoy is None else convoy + rng.normal(0, 0.15)
            x, y = (col + rng.random()) * site.land.pixel_m, (row + rng.random()) * site.land.pixel_m
            draw_ship(site, x, y, float(heading), rng, length, kind)


def moor(site: Site, berth: Berth, length: float, kind: ShipType, rng: np.random.Generator) -> bool:
    """Draws a ship alongside a berth; returns whether there was room."""
    length = min(length, 0.95 * berth.length)
    if length < kind.length[0]:
        return False
    slack = (berth.length - length) / 2
    offset = length / kind.slender * 0.57 + site.land.pixel_m + rng.uniform(0.5, 6)
    x, y = at(berth.x, berth.y, berth.along, float(rng.uniform(-slack, slack)), 0.0)
    x, y = x + offset * np.cos(berth.outward), y + offset * np.sin(berth.outward)
    heading = berth.along + rng.choice([0.0, np.pi])
    return draw_ship(site, float(x), float(y), float(heading), rng, length, kind)


def place_planes(site: Site, count: int, rng: np.random.Generator) -> None:
    """Parks up to ``count`` planes on the stands of the place."""
    before = len(site.targets)
    main = pick({name: kind.weight for name, kind in PLANES.items()}, rng)
    for stand in rng.permutation(len(site.land.stands))[: 2 * count]:
        if len(site.targets) - before == count:
            return
        spot = site.land.stands[stand]
        x, y = spot.x + rng.normal(0, 3), spot.y + rng.normal(0, 3)
        kind = main if rng.random() < 0.7 else pick({name: kind.weight for name, kind in PLANES.items()}, rng)
        length = float(rng.uniform(*PLANES[kind].length))
        draw_plane(site, x, y, float(spot.heading + rng.normal(0, 0.12)), rng, length, kind)

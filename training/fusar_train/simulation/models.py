"""Ships and planes as clusters of point scatterers, in their own axes: u forward, v to the right, z up, metres.

Which parts of a ship shine follows what high-resolution images show: the side that faces the radar, bow and stern,
the superstructure, and what stands on deck. A building, a barge ashore or a heap of rocks is drawn the same way:
a ship is told from it by the water around.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.ground import PIXEL_M

Floats = NDArray[np.float32]
Values = NDArray[np.floating] | float
Part = tuple[Values, Values, Values, Values]
"""u, v, z and relative power of some scatterers; a single number stands for all of them."""
STEP = 0.8
"""Distance of neighbouring scatterers of a surface or an edge, in pixels: no holes."""


@dataclass(frozen=True)
class Scatterers:
    """N point scatterers: float32 [N] each; ``db`` is the power of each relative to a level of the caller's."""

    u: Floats
    v: Floats
    z: Floats
    db: Floats

    @classmethod
    def of(cls, parts: list[Part]) -> Scatterers:
        """Of (u, v, z, db) quadruples that broadcast."""
        sizes = [max(np.size(value) for value in part) for part in parts]
        table = np.empty((4, sum(sizes)), np.float32)
        start = 0
        for part, size in zip(parts, sizes, strict=True):
            for row, value in zip(table, part, strict=True):
                row[start : start + size] = np.ravel(value)
            start += size
        return cls(*table)


@dataclass(frozen=True)
class ShipType:
    """A kind of ship: length range, length over beam, where the superstructure is, its share of the length, deck."""

    length: tuple[float, float]
    slender: float
    house: float
    share: float
    mast_m: float
    deck: str
    weight: float


SHIPS = {
    "fishing boat": ShipType((24, 45), 3.6, 0.15, 0.3, 8, "plain", 0.17),
    "patrol boat": ShipType((40, 110), 7.0, 0.0, 0.4, 14, "plain", 0.12),
    "coaster": ShipType((60, 120), 6.2, -0.36, 0.14, 12, "hatches", 0.22),
    "barge": ShipType((60, 110), 8.0, -0.42, 0.08, 6, "plain", 0.08),
    "bulk carrier": ShipType((130, 260), 6.2, -0.40, 0.10, 22, "hatches", 0.12),
    "tanker": ShipType((110, 300), 5.9, -0.40, 0.10, 22, "pipes", 0.12),
    "container ship": ShipType((120, 330), 6.9, -0.28, 0.07, 28, "boxes", 0.10),
    "ferry": ShipType((70, 190), 5.6, 0.0, 0.8, 18, "plain", 0.07),
}
"""Sizes are those of the world's fleets, roughly."""


def gain(pixel_m: float) -> float:
    """How much an edge gains in dB over the ground when pixels shrink from 3 m; a point gains twice as much."""
    return float(10 * np.log10(PIXEL_M / pixel_m))


def half_beam(u: NDArray[np.floating], length: float, beam: float) -> Floats:
    """Half the width of a hull at u: pointed bow, blunt stern."""
    along = 2 * u / length
    taper = np.clip(np.minimum((1 - along) / 0.35, 0.7 + (1 + along) / 0.3), 0.08, 1.0)
    return np.asarray(beam / 2 * taper, np.float32)


@lru_cache(maxsize=512)
def lattice(rows: int, cols: int) -> tuple[Floats, Floats]:
    """Where the scatterers of a hull lie: -0.5 to 0.5 along it, -1 to 1 across, float32 [rows, cols] each."""
    along, side = np.meshgrid(np.linspace(-0.5, 0.5, rows), np.linspace(-1, 1, cols), indexing="ij")
    return along.astype(np.float32), side.astype(np.float32)


def ship(
    kind: ShipType, length: float, facing: float, pixel_m: float, rng: np.random.Generator
) -> tuple[Scatterers, float]:
    """The scatterers of a ship and its beam.

    Args:
        kind: the kind of ship.
        length: metres.
        facing: cosine between the ship's right side and the way to the radar, -1 to 1.
        pixel_m: pixel spacing of the image.
        rng: for everything that differs between sister ships.
    """
    edge, point = gain(pixel_m), 2 * gain(pixel_m)
    step = STEP * pixel_m
    beam = length / (kind.slender * rng.uniform(0.88, 1.14))
    rows, cols = max(3, round(length / step)), max(2, round(beam / step))
    along, side = lattice(rows, cols)
    grain = rng.standard_normal(along.shape, dtype=np.float32)
    hull = rng.uniform(2.5, 5.5) * grain + rng.uniform(0, 2.5) * np.sin(along * rng.uniform(16, 50))
    hull += rng.uniform(0, 3) * np.sign(facing) * side
    parts: list[Part] = [(along * length, side * half_beam(along * length, length, beam), 2.0, hull)]
    line = 0.96 * length * along[:, 0]
    rail = np.sign(facing) * half_beam(line, length, beam)
    bright = rng.uniform(3, 8) + 7 * abs(facing) ** 3
    parts.append((line, rail, 0.0, edge + bright + 3 * rng.standard_normal(rows)))
    parts.append((np.array([-0.49, 0.49]) * length, 0.0, 3.0, point + rng.uniform(6, 13, 2)))
    for u, v, z, db in (house(kind, length, beam, rng), deck(kind, length, beam, rng)):
        parts.append((u, v, z, point + db))
    return Scatterers.of(parts), beam


def house(kind: ShipType, length: float, beam: float, rng: np.random.Generator) -> Part:
    """The superstructure with its masts: the brightest and tallest part."""
    count = max(4, int(kind.share * length * beam / 40))
    u = (kind.house + kind.share * rng.uniform(-0.5, 0.5, count)) * length
    v = rng.uniform(-0.4, 0.4, count) * beam
    z = kind.mast_m * min(1.0, length / 150 + 0.3) * rng.beta(1.5, 2.5, count)
    return u, v, z, rng.uniform(8, 15) + 4 * rng.standard_normal(count)


def deck(kind: ShipType, length: float, beam: float, rng: np.random.Generator) -> Part:
    """What stands on deck: hatches and cranes, pipes and a manifold, stacks of boxes, or next to nothing."""
    if kind.deck == "hatches":
        u = np.linspace(-0.25, 0.4, int(rng.integers(4, 9))) * length
        middle, top = rng.uniform(-0.1, 0.1) * beam, rng.uniform(3, 9)
        return u, middle, top, rng.uniform(8, 15) + 2 * rng.standard_normal(u.size)
    if kind.deck == "pipes":
        u = np.append(np.linspace(-0.3, 0.42, 24), rng.normal(0.02, 0.015, 8)) * length
        v = np.append(np.zeros(24), rng.uniform(-0.35, 0.35, 8) * beam)
        return u, v, 2.0, np.append(np.full(24, rng.uniform(3, 8)), np.full(8, rng.uniform(9, 15)))
    if kind.deck == "boxes":
        rows, stacks = np.meshgrid(np.linspace(-0.42, 0.4, 16) * length, np.linspace(-0.42, 0.42, 4) * beam)
        z = rng.uniform(2, 14, rows.shape)
        return rows, stacks, z, rng.uniform(5, 10) + 5 * rng.standard_normal(rows.shape)
    count = int(rng.integers(1, 5))
    return rng.uniform(-0.4, 0.4, count) * length, 0.0, 3.0, rng.uniform(4, 12, count)


@dataclass(frozen=True)
class PlaneType:
    """A kind of plane: length range, span over length, sweep (tangent), engines a side."""

    length: tuple[float, float]
    span: float
    sweep: float
    engines: tuple[float, ...]
    weight: float


PLANES = {
    "airliner": PlaneType((33, 48), 0.93, 0.48, (0.34,), 0.45),
    "wide-body": PlaneType((54, 73), 0.92, 0.60, (0.28, 0.55), 0.2),
    "transport": PlaneType((26, 52), 1.1, 0.12, (0.25, 0.52), 0.2),
    "business jet": PlaneType((20, 30), 0.9, 0.42, (0.12,), 0.15),
}


def plane(
    kind: PlaneType, length: float, pixel_m: float, rng: np.random.Generator
) -> tuple[Scatterers, float]:
    """The scatterers of a plane, nose towards positive u, and its span."""
    edge, point, step = gain(pixel_m), 2 * gain(pixel_m), STEP * pixel_m
    span = length * kind.span * rng.uniform(0.95, 1.05)
    wing, tail = span / 2, 0.19 * length
    root, fin = 0.1 * length, -0.42 * length
    along = np.linspace(-0.5, 0.5, max(5, round(length / step))) * length
    parts: list[Part] = []
    for offset in (-0.04, 0.04):
        level = edge + rng.uniform(-2, 3) + 3 * rng.standard_normal(along.size)
        parts.append((along, offset * length, 3.0, level))
    for reach, start, count in ((wing, root, round(wing / step)), (tail, fin, round(tail / step))):
        for side in (-1, 1):
            out = np.linspace(0.15, 1.0, max(3, count)) * reach
            back = start - kind.sweep * out
            for chord in (0.0, -0.07) if reach == wing else (0.0,):
                level = edge + rng.uniform(-4, 2) + 3 * rng.standard_normal(out.size)
                parts.append((back + chord * length * (1.2 - out / reach), side * out, 3.0, level))
    engines = np.array(
        [(root - kind.sweep * e * wing + 0.03 * length, s * e * wing) for e in kind.engines for s in (-1, 1)]
    )
    parts.append((engines[:, 0], engines[:, 1], 2.0, point + rng.uniform(4, 11, len(engines))))
    spots = np.array([(0.49, 0.0), (0.42, 0.0), (-0.47, 0.0), (0.08, 0.05), (0.08, -0.05)]) * length
    level = point + rng.uniform(2, 11, len(spots))
    parts.append((spots[:, 0], spots[:, 1], np.array([2, 3, 9, 3, 3]), level))
    return Scatterers.of(parts), span

"""The kinds of places: how their surfaces, flats, quays and stands are laid out. See ``ground`` for the units."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fusar_train.simulation.ground import PIXEL_M, Berth, Land, Stand, Surface, at, smooth_field

Shape = tuple[int, int]
Mask = NDArray[np.bool_]
DRY = (Surface.BARE, Surface.BARE, Surface.CROPS, Surface.BUILT)
"""What seems to be water when it is not: a dry lake bed or wet sand, a levelled field, a yard of tarmac."""


def countryside(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """Fields, woods, scrub, roads and settlements: the land on which everything else is painted."""
    land = Land.empty(shape, pixel_m, rng)
    u, v = land.frame(land.size[0] / 2, land.size[1] / 2, rng.uniform(0, np.pi))
    wide, tall = rng.uniform(75, 240, 2)
    strip = np.floor(u / np.float32(wide))
    rows = v / np.float32(tall) + np.float32(rng.uniform(0, 1)) * strip
    land.plot = (strip * 57 + np.floor(rows)).astype(np.int32)
    land.plot -= land.plot.min()
    menu = [Surface.CROPS, Surface.GRASS, Surface.BARE, Surface.SHRUB, Surface.TREES]
    weights = rng.dirichlet((2.5, 2, 0.7, 1, 1))
    land.surface = rng.choice(menu, size=int(land.plot.max()) + 1, p=weights).astype(np.uint8)[land.plot]
    for surface, size, least in (
        (Surface.TREES, (90, 270), (0.2, 2.0)),
        (Surface.BUILT, (180, 420), (0.3, 2.2)),
    ):
        land.paint(smooth_field(shape, rng.uniform(*size) / pixel_m, rng) > rng.uniform(*least), surface)
    if rng.random() < 0.5:
        land.paint(u - strip * np.float32(wide) < rng.uniform(5, 9), Surface.ROAD)
    return land


def blob(land: Land, x: float, y: float, radius: float, rng: np.random.Generator) -> Mask:
    """A lake-shaped mask [h, w] about (x, y), longer than wide."""
    u, v = land.frame(x, y, rng.uniform(0, np.pi))
    ragged = smooth_field(land.shape, max(1.0, 0.5 * radius / land.pixel_m), rng)
    reach = np.hypot(u / np.float32(rng.uniform(1.0, 1.7)), v) / np.float32(radius)
    return np.asarray(reach < 1 + np.float32(0.18) * ragged)


def anywhere(land: Land, rng: np.random.Generator, border: float = 0.1) -> tuple[float, float]:
    """A place on the land, not too near its edge."""
    x, y = rng.uniform(border, 1 - border, 2) * land.size
    return float(x), float(y)


def pans(land: Land, count: int, rng: np.random.Generator, odds: float, where: Mask | None = None) -> None:
    """Adds ponds, lagoons and reservoirs, or salt pans, dry beds, levelled fields and yards that look like them."""
    for _ in range(count):
        x, y = anywhere(land, rng)
        radius = float(np.clip(rng.gamma(5.0, 24.0), 70, 0.3 * min(land.size) + 70))
        if rng.random() < 0.5:
            mask = blob(land, x, y, radius, rng)
        else:
            u, v = land.frame(x, y, land.streets + rng.normal(0, 0.05))
            mask = (np.abs(u) < radius * rng.uniform(0.9, 1.6)) & (np.abs(v) < radius * rng.uniform(0.6, 1.0))
        mask &= land.flat == 0
        if where is not None:
            mask &= where
        if mask.sum() * land.pixel_m**2 > 3500:
            land.add_flat(mask, rng, odds, "ship", int(rng.choice(DRY)))


def banks(land: Land, sea: int, rng: np.random.Generator, most: int) -> None:
    """Adds banks just above the water of a calm sea, which the image does not show."""
    for _ in range(int(rng.integers(0, most + 1))):
        x, y = anywhere(land, rng)
        mask = blob(land, x, y, rng.uniform(80, 140), rng) & (land.flat == sea)
        if mask.any():
            land.add_hidden_flat(mask, rng, 0.5, Surface.BARE)


def wind_at_sea(rng: np.random.Generator) -> float:
    """A wind speed in m/s; calm (0) now and then."""
    return 0.0 if rng.random() < 0.5 else float(rng.uniform(3, 13))


def open_sea(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """Nothing but water, with a bank in it now and then when it is calm."""
    land = Land.empty(shape, pixel_m, rng)
    wind = wind_at_sea(rng)
    sea = land.add_flat(np.ones(shape, np.bool_), rng, 1.0, "ship", Surface.BARE, wind)
    if not wind:
        banks(land, sea, rng, 4)
    return land


def coast(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """A natural coast with a beach, marshes or rocks; the sea, or the bare flats that it leaves at low tide."""
    land = countryside(shape, rng, pixel_m)
    side = min(land.size)
    _, v = land.frame(land.size[0] / 2, land.size[1] / 2, rng.uniform(0, 2 * np.pi))
    shore = v + np.float32(side * rng.uniform(0.02, 0.12)) * smooth_field(
        shape, side * rng.uniform(0.12, 0.45) / pixel_m, rng
    )
    level = side * rng.uniform(-0.25, 0.25)
    pans(land, int(rng.integers(1, 4)), rng, 0.5, shore < level - 60)
    margin = int(rng.choice([Surface.BARE, Surface.FLOODED, Surface.SHRUB]))
    land.paint(shore > level - rng.uniform(5, 45), margin)
    wind = wind_at_sea(rng)
    odds = 1.0 if wind else 0.55
    other = int(rng.choice([Surface.BARE, Surface.BARE, Surface.CROPS]))
    sea = land.add_flat(shore > level, rng, odds, "ship", other, wind)
    if not wind:
        banks(land, sea, rng, 2)
    if rng.random() < 0.35:
        for _ in range(int(rng.integers(1, 4))):
            isle = blob(land, *anywhere(land, rng), rng.uniform(12, 60), rng) & (land.flat == sea)
            land.paint(isle, int(rng.choice([Surface.SHRUB, Surface.BARE, Surface.TREES])))
    return land


def river(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """A river or canal, or a dry bed or a broad paved strip, now and then with a bridge; ponds beside it."""
    land = countryside(shape, rng, pixel_m)
    u, v = land.frame(*anywhere(land, rng, 0.3), rng.uniform(0, np.pi))
    bend = v + np.float32(rng.uniform(0, 60)) * smooth_field(shape, rng.uniform(150, 400) / pixel_m, rng)
    half = rng.uniform(35, 130)
    pans(land, int(rng.integers(0, 4)), rng, 0.5, np.abs(bend) > half + 40)
    wider = half + rng.uniform(0, 20)
    land.paint(np.abs(bend) < wider, int(rng.choice([Surface.TREES, Surface.FLOODED, Surface.BARE])))
    other = int(rng.choice([Surface.BARE, Surface.CROPS, Surface.BUILT]))
    land.add_flat(np.abs(bend) < half, rng, 0.55, "ship", other)
    if rng.random() < 0.4:
        land.paint(np.abs(u - rng.uniform(-0.3, 0.3) * min(land.size)) < rng.uniform(5, 11), Surface.QUAY)
    return land


def inland(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """Countryside with lakes, or the smooth dark fields and dry beds that look like lakes, and a motorway."""
    land = countryside(shape, rng, pixel_m)
    pans(land, int(rng.integers(1, 5)), rng, 0.5)
    if rng.random() < 0.4:
        _, v = land.frame(*anywhere(land, rng), rng.uniform(0, np.pi))
        land.paint(np.abs(v) < rng.uniform(5, 12), Surface.ROAD)
    return land


def port(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """A straight waterfront with piers, and enclosed docks behind it, or yards that look like docks."""
    land = countryside(shape, rng, pixel_m)
    x, y = anywhere(land, rng, 0.3)
    paint_port(land, x, y, float(rng.uniform(0, 2 * np.pi)), rng)
    return land


def paint_port(land: Land, x: float, y: float, angle: float, rng: np.random.Generator) -> None:
    """Paints a waterfront through (x, y) along ``angle``, with water on the side of positive v, and piers in it."""
    land.streets = angle
    u, v = land.frame(x, y, angle)
    reach = float(np.hypot(*land.size)) / 2
    depth = rng.uniform(30, 80)
    land.paint(v > -depth - rng.uniform(150, 350), Surface.BUILT)
    land.paint(v > -depth, Surface.QUAY)
    wind = 0.0 if rng.random() < 0.7 else float(rng.uniform(2.5, 6))
    odds = 1.0 if wind else 0.65
    land.add_flat(v > 0, rng, odds, "ship", int(Surface.BUILT if rng.random() < 0.6 else Surface.BARE), wind)
    position = -reach + rng.uniform(0, 120)
    while position < reach:
        gap = rng.uniform(90, 330)
        land.berths.append(Berth(*at(x, y, angle, position + gap / 2, 0), angle, angle + np.pi / 2, gap))
        if rng.random() < 0.6:
            paint_dock(land, x, y, angle, (position, -depth - rng.uniform(90, 200)), rng)
        position += gap
        if rng.random() < 0.75:
            wide, long = rng.uniform(20, 70), rng.uniform(90, 330)
            land.paint((u > position) & (u < position + wide) & (v > -3) & (v < long), Surface.QUAY)
            for side, outward in ((position, np.pi), (position + wide, 0.0)):
                middle = at(x, y, angle, side, long / 2)
                land.berths.append(Berth(*middle, angle + np.pi / 2, angle + outward, long))
            position += wide
    if rng.random() < 0.3:
        far = rng.uniform(210, 390)
        breakwater = (np.abs(v - far) < rng.uniform(5, 10)) & (u > rng.uniform(-270, 180))
        land.paint(breakwater, Surface.BARE)


def paint_dock(
    land: Land, x: float, y: float, angle: float, corner: tuple[float, float], rng: np.random.Generator
) -> None:
    """Paints an enclosed dock, or a paved yard of the same look, with its quays; ``corner`` is in the port's frame."""
    u, v = land.frame(x, y, angle)
    wide, deep = rng.uniform(120, 280), rng.uniform(95, 180)
    middle = at(x, y, angle, corner[0] + wide / 2, corner[1])
    across, down = np.abs(u - (corner[0] + wide / 2)), np.abs(v - corner[1])
    land.paint((across < wide / 2 + 18) & (down < deep / 2 + 18) & (land.flat == 0), Surface.QUAY)
    inside = (across < wide / 2) & (down < deep / 2) & (land.flat == 0)
    if not inside.any():
        return
    land.add_flat(inside, rng, 0.5, "ship", int(Surface.BUILT))
    for side, outward in ((-deep / 2, np.pi / 2), (deep / 2, -np.pi / 2)):
        edge = at(*middle, angle, 0.0, float(side))
        land.berths.append(Berth(*edge, angle, angle + outward, wide))


def airfield(shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """An airfield, now and then beside water, with ponds and dry beds around."""
    land = coast(shape, rng, pixel_m) if rng.random() < 0.3 else countryside(shape, rng, pixel_m)
    pans(land, int(rng.integers(1, 4)), rng, 0.5)
    x, y = anywhere(land, rng, 0.3)
    paint_airfield(land, x, y, float(rng.uniform(0, 2 * np.pi)), rng)
    return land


def paint_airfield(
    land: Land, x: float, y: float, angle: float, rng: np.random.Generator, length: float = 1e9
) -> None:
    """Paints an apron about (x, y), its long side along ``angle``, with a runway at negative v and a terminal.

    The apron is paved, or smooth bare ground that looks paved, with masts, machines and stores on it instead of
    planes.
    """
    land.streets = angle
    u, v = land.frame(x, y, angle)
    half_length, half_depth = rng.uniform(120, 280), rng.uniform(65, 140)
    apart = half_depth + rng.uniform(55, 180)
    runway = rng.uniform(18, 30)
    across = (v > -apart - runway - rng.uniform(30, 120)) & (v < half_depth + 90)
    land.paint(across & (np.abs(u) < length / 2 + 36), Surface.GRASS)
    land.paint((np.abs(v + apart) < runway) & (np.abs(u) < length / 2), Surface.ROAD)
    for taxiway in rng.uniform(-half_length, half_length, 2):
        land.paint((np.abs(u - taxiway) < 12) & (v > -apart) & (v < 0), Surface.ROAD)
    land.paint((np.abs(u) < 0.8 * half_length) & (v > half_depth) & (v < half_depth + 65), Surface.BUILT)
    split = rng.uniform(-0.3, 0.3) * half_length if rng.random() < 0.5 else 2 * half_length
    for near, odds in ((u <= split, 0.75), (u > split, 0.5)):
        mask = (np.abs(u) < half_length) & (np.abs(v) < half_depth) & near
        if mask.any():
            land.add_flat(mask, rng, odds, "plane", int(rng.choice([Surface.BARE, Surface.CROPS])))
    pitch = rng.uniform(50, 85)
    heading = angle + rng.choice([np.pi / 2, -np.pi / 2, np.pi / 4, 0.0])
    for row in np.arange(-half_depth + 36, half_depth - 27, pitch):
        for column in np.arange(-half_length + 36, half_length - 33, pitch):
            land.stands.append(Stand(*at(x, y, angle, float(column), float(row)), heading))


PLACES = {
    "open sea": (open_sea, 0.12),
    "coast": (coast, 0.16),
    "port": (port, 0.23),
    "airfield": (airfield, 0.22),
    "river": (river, 0.12),
    "inland": (inland, 0.15),
}
"""Each kind of place: how it is built and how often."""


def build(place: str, shape: Shape, rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """A place of one of the kinds of ``PLACES``."""
    return PLACES[place][0](shape, rng, pixel_m)

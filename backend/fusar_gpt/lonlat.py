"""Longitude and latitude round the globe: the antimeridian, the poles, and longitudes counted past 180.

Everything that must know that 181 and -179 are one meridian is here. ``turn`` is the length of a full turn in the unit
of the longitudes: 360 in degrees.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS, Transformer
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry
from shapely.geometry.polygon import orient

Lon = NDArray[np.float64]

_SLIVER = 1e-9
"""A part this small beside the whole is rounding."""
_HALVINGS = 16
_GLOBE = shapely.box(-180, -90, 180, 90)


@lru_cache(maxsize=128)  # to make one takes PROJ 9 ms; it may be used by several threads
def transformer(source: CRS | str, target: CRS | str) -> Transformer:
    """From one CRS to another, x (east, longitude) first in both. Raises ProjError where there is no way."""
    return Transformer.from_crs(source, target, always_xy=True)


def turn_of(crs: CRS) -> float | None:
    """A full turn in the unit of a geographic CRS's coordinates; None if the coordinates are no angles."""
    return round(2 * np.pi / crs.axis_info[0].unit_conversion_factor, 9) if crs.is_geographic else None


def wrap(lon: ArrayLike) -> Lon:
    """Degrees within -180 to 180; what lies there already, 180 too, stays as it is."""
    lon = np.asarray(lon, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return np.where(np.abs(lon) > 180, (lon + 180) % 360 - 180, lon)


def around(lon: ArrayLike, middle: float, turn: float = 360.0) -> Lon:
    """The same meridians, counted within half a turn of ``middle``."""
    lon = np.asarray(lon, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return lon - turn * np.round((lon - middle) / turn)


def extent(lon: Lon) -> tuple[float, float]:
    """West and east of the least arc that holds all the degrees; west > east across the antimeridian. NaN of none."""
    ordered = np.unique(wrap(lon[np.isfinite(lon)]))
    if not len(ordered):
        return np.nan, np.nan
    gaps = np.diff(ordered, append=ordered[0] + 360)
    widest = int(np.argmax(gaps[::-1]))  # of equal ones the last: an arc that need not cross does not
    west, east = ordered[-widest % len(ordered)], ordered[-1 - widest]
    return float(west), float(east)


def bounds(ring: NDArray[np.float64]) -> tuple[float, float, float, float]:
    """West, south, east and north of what a closed ring [N, 2] in degrees holds; west > east across the antimeridian.

    The ring may jump at the antimeridian; one that goes round a pole holds the pole and all longitudes. NaN of one
    that is nowhere.
    """
    if not np.isfinite(ring).all():
        return np.nan, np.nan, np.nan, np.nan
    west, south, east, north = _inside(ring, 360.0, False).bounds
    if east - west > 360 * (1 - _SLIVER):
        return -180.0, float(south), 180.0, float(north)
    west, east = wrap([west, east])
    return float(west), float(south), float(east), float(north)


def span(west: float, east: float) -> float:
    """Degrees from west eastward to east."""
    return east - west + (360 if east < west else 0)


def unwrap(lon: Lon, turn: float = 360.0, *, world: bool = False) -> Lon:
    """The longitudes along a line, each within half a turn of the one before: an edge takes the shorter way.

    Args:
        lon: Of the line's points.
        turn: See the module.
        world: An edge of a whole turn or more is meant: it is the edge of a map of the world.
    """
    step = np.diff(lon)
    whole = turn * np.round(step / turn)
    if world:
        whole[np.abs(step) >= turn] = 0.0
    return np.concatenate([lon[:1], lon[1:] - np.cumsum(whole)])


def continuous(geometry: BaseGeometry, turn: float = 360.0, *, world: bool = False) -> BaseGeometry:
    """Polygons whose rings jump at the antimeridian, or go round a pole, as plain ones that may run past 180.

    Args:
        geometry: A Polygon or MultiPolygon in longitude and latitude; anything else is returned as it is.
        turn: See the module.
        world: As for :func:`unwrap`.
    """
    if geometry.geom_type == "MultiPolygon":
        parts = [continuous(part, turn, world=world) for part in geometry.geoms]
        return shapely.MultiPolygon([part for each in parts for part in shapely.get_parts(each)])
    if geometry.geom_type != "Polygon" or geometry.is_empty:
        return geometry
    rings = [shapely.get_coordinates(ring) for ring in (geometry.exterior, *geometry.interiors)]
    shell, *holes = plain = [_inside(ring, turn, world) for ring in rings]
    if not all(each.is_valid for each in plain):
        return geometry  # it is refused where it is used
    if all(
        np.array_equal(shapely.get_coordinates(each), ring) for each, ring in zip(plain, rings, strict=True)
    ):
        return geometry
    for hole in holes:
        for shift in _turns(hole, shell, turn):
            shell = shell.difference(translate(hole, xoff=shift))
    return shell


def split(geometry: BaseGeometry) -> BaseGeometry:
    """Polygons in degrees as RFC 7946 wants them (3.1.6, 3.1.9): cut at 180, none past it, counter-clockwise.

    Args:
        geometry: A Polygon or MultiPolygon; its rings may jump at the antimeridian, run past 180 and go round a pole.

    Returns:
        A Polygon, or a MultiPolygon if it is one or lies on both sides.
    """
    parts: list[BaseGeometry] = []
    for part in shapely.get_parts(continuous(geometry)):
        west, _, east, _ = part.bounds
        if west >= -180 and east <= 180:
            parts.append(part)
            continue
        for shift in reversed(_turns(part, _GLOBE, 360.0)):  # the western part first
            inside = shapely.get_parts(translate(part, xoff=shift).intersection(_GLOBE))
            parts += [piece for piece in inside if piece.area > _SLIVER * part.area]
    whole = [orient(part) for part in parts]
    return whole[0] if len(whole) == 1 and geometry.geom_type == "Polygon" else shapely.MultiPolygon(whole)


def shifted_onto(geometry: BaseGeometry, window: BaseGeometry, turn: float = 360.0) -> BaseGeometry:
    """What of the geometry lies in a window no wider than a turn, counted as the window counts longitudes."""
    shifts = _turns(geometry, window, turn)
    return shapely.union_all([translate(geometry, xoff=shift).intersection(window) for shift in shifts])


def refine(
    ring: NDArray[np.float64], off: Callable[[NDArray[np.float64]], NDArray[np.float64]], tolerance: float
) -> NDArray[np.float64]:
    """The ring [N, 2] with its edges halved where they bend.

    Args:
        ring: A closed line.
        off: Of N points, how far each of the N - 1 edges lies from where it belongs; not finite: nobody knows.
        tolerance: How far it may.
    """
    for _ in range(_HALVINGS):
        far = off(ring)
        bent = np.isfinite(far) & (far > tolerance)
        if not bent.any():
            break
        ring = np.insert(ring, np.flatnonzero(bent) + 1, ((ring[1:] + ring[:-1]) / 2)[bent], axis=0)
    return ring


def _inside(ring: NDArray[np.float64], turn: float, world: bool) -> BaseGeometry:
    """What a closed ring [N, 2] holds, without jumps; of one round a pole, from -180 to 180 up to the pole."""
    ring = _spread_poles(ring, turn / 4)
    ring = np.stack([unwrap(ring[:, 0], turn, world=world), ring[:, 1]], axis=1)
    gained = ring[-1, 0] - ring[0, 0]
    if abs(gained) < turn / 2:
        return shapely.Polygon(ring)
    pole = np.copysign(turn / 4, ring[:, 1].mean())
    thrice = np.concatenate(
        [ring[:-1] + np.array([shift * np.sign(gained), 0]) for shift in (-turn, 0, turn)]
    )
    around_pole = shapely.Polygon([*thrice, (thrice[-1, 0], pole), (thrice[0, 0], pole)])
    if not around_pole.is_valid:
        return around_pole
    # An edge longer than half a turn would be ambiguous to the next reader: this one has vertices along the pole.
    once = shapely.segmentize(shapely.box(-turn / 2, -turn / 4, turn / 2, turn / 4), turn / 4)
    return around_pole.intersection(once)


def _spread_poles(ring: NDArray[np.float64], quarter: float) -> NDArray[np.float64]:
    """A single vertex at a pole has no longitude of its own: it becomes two, with those of its neighbours."""
    at_pole = np.abs(ring[:-1, 1]) >= quarter * (1 - _SLIVER)
    before, after = np.roll(at_pole, 1), np.roll(at_pole, -1)
    lone = at_pole & ~before & ~after
    if not lone.any():
        return ring
    vertices = ring[:-1]
    spread: list[tuple[float, float]] = []
    for index, (lon, lat) in enumerate(vertices.tolist()):
        if lone[index]:
            spread += [(vertices[index - 1, 0], lat), (vertices[(index + 1) % len(vertices), 0], lat)]
        else:
            spread.append((lon, lat))
    return np.array([*spread, spread[0]])


def _turns(geometry: BaseGeometry, window: BaseGeometry, turn: float) -> list[float]:
    """By how much the geometry may be moved to lie in the window: whole turns."""
    (west, _, east, _), (left, _, right, _) = geometry.bounds, window.bounds
    first, last = np.ceil((left - east) / turn), np.floor((right - west) / turn)
    return [float(number * turn) for number in np.arange(first, last + 1)]

"""A box that may be turned, in scene pixels: how it is dragged, moved and turned, and the box that fits an outline.

Points are (x, y) in scene pixels, x right along columns, y down along rows; (0, 0) is the corner of the first pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

Point = tuple[float, float]

LEAST_SIDE = 1.0
"""The least side, in pixels, that dragging leaves a box."""

_SIGNS = ((-1, -1), (1, -1), (1, 1), (-1, 1))
_UPRIGHT_SHARE = 1.01  # an upright box this much larger than the smallest one is taken for what was drawn
_QUARTER = math.pi / 2


@dataclass(frozen=True)
class OrientedBox:
    """A rectangle in scene pixels.

    Attributes:
        x, y: The centre.
        width, height: The sides along and across ``angle``.
        angle: How far it is turned clockwise as the raster is seen, in radians; 0 is upright.
    """

    x: float
    y: float
    width: float
    height: float
    angle: float = 0.0

    @classmethod
    def upright(cls, left: float, top: float, right: float, bottom: float) -> OrientedBox:
        """Return the box with these edges."""
        return cls((left + right) / 2, (top + bottom) / 2, right - left, bottom - top)

    @property
    def corners(self) -> tuple[Point, ...]:
        """Its four corners: top left, top right, bottom right, bottom left, as it is turned."""
        return tuple(self._place(u * self.width / 2, v * self.height / 2) for u, v in _SIGNS)

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the upright box around it."""
        xs, ys = zip(*self.corners)  # noqa: B905 - QGIS for Windows has Python 3.9
        return min(xs), min(ys), max(xs), max(ys)

    def edge_middle(self, edge: int) -> Point:
        """Return the middle of an edge: 0 top, 1 right, 2 bottom, 3 left."""
        (x1, y1), (x2, y2) = self.corners[edge], self.corners[(edge + 1) % 4]
        return (x1 + x2) / 2, (y1 + y2) / 2

    def holds(self, point: Point) -> bool:
        """Return whether a point lies inside."""
        u, v = self._own(point)
        return abs(u) <= self.width / 2 and abs(v) <= self.height / 2

    def moved(self, dx: float, dy: float) -> OrientedBox:
        """Return the box shifted by pixels."""
        return replace(self, x=self.x + dx, y=self.y + dy)

    def turned_to(self, angle: float, step: float = 0.0) -> OrientedBox:
        """Return the box turned to ``angle``, or to the nearest multiple of ``step`` if that is not 0."""
        angle = round(angle / step) * step if step else angle
        return replace(self, angle=math.remainder(angle, 2 * math.pi))

    def with_corner(self, corner: int, point: Point) -> OrientedBox:
        """Return the box with a corner, counted as in ``corners``, at ``point``; the opposite corner stays."""
        u_sign, v_sign = _SIGNS[corner]
        u, v = self._own(point)
        across = _stretched(-u_sign * self.width / 2, u, u_sign)
        down = _stretched(-v_sign * self.height / 2, v, v_sign)
        return self._with_sides(across, down)

    def with_edge(self, edge: int, point: Point) -> OrientedBox:
        """Return the box with an edge, counted as in ``edge_middle``, through ``point``; the opposite edge stays."""
        u, v = self._own(point)
        across, down = (-self.width / 2, self.width / 2), (-self.height / 2, self.height / 2)
        sign = 1 if edge in (1, 2) else -1
        if edge % 2:
            across = _stretched(-sign * self.width / 2, u, sign)
        else:
            down = _stretched(-sign * self.height / 2, v, sign)
        return self._with_sides(across, down)

    def inside(self, width: float, height: float) -> OrientedBox:
        """Return the box shifted so that it lies in a scene of this size, or in its middle where it is too large."""
        left, top, right, bottom = self.bounds
        return self.moved(_shift(left, right, width), _shift(top, bottom, height))

    def _with_sides(self, across: tuple[float, float], down: tuple[float, float]) -> OrientedBox:
        """Return the box between two numbers along each of its own axes, counted from its centre."""
        x, y = self._place((across[0] + across[1]) / 2, (down[0] + down[1]) / 2)
        return OrientedBox(x, y, across[1] - across[0], down[1] - down[0], self.angle)

    def _place(self, u: float, v: float) -> Point:
        """Return where (u, v) lies, along and across ``angle`` from the centre."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos

    def _own(self, point: Point) -> Point:
        """Return the opposite of ``_place``."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        dx, dy = point[0] - self.x, point[1] - self.y
        return dx * cos + dy * sin, dy * cos - dx * sin


def fitted(points: Sequence[Point]) -> OrientedBox:
    """Return the box of least area around an outline, upright where that is hardly larger; at most 45 degrees turned.

    Raises ValueError where there are no points.
    """
    upright = _around(points, 0.0)
    hull = _hull(points)
    turned = [
        _around(hull, math.atan2(y2 - y1, x2 - x1))
        for (x1, y1), (x2, y2) in zip(hull, [*hull[1:], *hull[:1]])  # noqa: B905
    ]
    least = min([upright, *turned], key=lambda box: box.width * box.height)
    if upright.width * upright.height <= _UPRIGHT_SHARE * least.width * least.height:
        return upright
    return least


def _around(points: Sequence[Point], angle: float) -> OrientedBox:
    """Return the box around points that is turned to ``angle``, brought to at most 45 degrees."""
    angle = math.remainder(angle, _QUARTER)
    axes = OrientedBox(0.0, 0.0, 0.0, 0.0, angle)
    us, vs = zip(*(axes._own(point) for point in points))  # noqa: B905
    return axes._with_sides((min(us), max(us)), (min(vs), max(vs)))


def _hull(points: Iterable[Point]) -> list[Point]:
    """Return the corners of the convex hull, in order."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered

    def half(one_way: Iterable[Point]) -> list[Point]:
        chain: list[Point] = []
        for point in one_way:
            while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
                chain.pop()
            chain.append(point)
        return chain[:-1]

    return half(ordered) + half(reversed(ordered))


def _turn(one: Point, two: Point, three: Point) -> float:
    return (two[0] - one[0]) * (three[1] - one[1]) - (two[1] - one[1]) * (three[0] - one[0])


def _stretched(fixed: float, end: float, sign: int) -> tuple[float, float]:
    """Return both ends in order, at least ``LEAST_SIDE`` apart; an end at ``fixed`` itself goes by ``sign``."""
    if abs(end - fixed) < LEAST_SIDE:
        way = sign if end == fixed else math.copysign(1, end - fixed)
        end = fixed + way * LEAST_SIDE
    return min(fixed, end), max(fixed, end)


def _shift(low: float, high: float, size: float) -> float:
    if high - low > size:
        return (size - low - high) / 2
    return max(-low, 0.0) - max(high - size, 0.0)

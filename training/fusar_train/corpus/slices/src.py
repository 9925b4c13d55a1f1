"""SRC, spatial resolution consistency: a scene as slices of equal ground at three scales (FUSAR-KLIP 3.1, item 3).

The ground decides, not the pixels: a slice of 1024 m is 1024 px of a scene of 1 m and 5120 px of one of 0.2 m. Large
slices tile the scene, medium ones their large one, small ones their medium one, without gaps or overlaps.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import TYPE_CHECKING

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Geod

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import SceneBox, ScenePoints, SceneWindow, corner_array
from fusar_gpt.imagery import Chip, ResizePlan, Scene, Stretch, crs_text, read_chip
from fusar_gpt.imagery.chips import ChipPixels
from fusar_gpt.lonlat import transformer, unwrap
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.slice import SCALES, Slice

if TYPE_CHECKING:
    from fusar_train.corpus.slices.scenes import SceneEntry

LEAST_PX = 64
"""A slice with fewer pixels a side shows nothing."""

MOST_PX = 9000
"""Of a stored image's side: beyond it nobody's reader takes a PNG for safe."""

SIDES_M = (50.0, 100_000.0)
"""What the side of a slice may be."""

_GEOD = Geod(ellps="WGS84")
_POINTS = 512
_OVERVIEW_PX = 512
_SLIVER = 0.02
"""What is left of the ground beyond the last slice, as a share of a small one's side, and begins no new one."""
_STRAIGHT_PX = 1e-3


@dataclass(frozen=True)
class SrcOptions:
    """How scenes are cut.

    Attributes:
        sides_m: Ground side of a large, medium and small slice in metres; each a whole multiple of the next.
        max_px: A slice with more pixels a side is reduced to so many.
    """

    sides_m: tuple[float, float, float] = (2048.0, 1024.0, 512.0)
    max_px: int = 5120

    def __post_init__(self) -> None:
        """CorpusError where slices of one scale cannot tile those of the next."""
        low, high = SIDES_M
        if not all(low <= side <= high for side in self.sides_m):
            raise CorpusError(f"The scales must be {low:g} to {high:g} m, not {said_m(self.sides_m)}.")
        if any(part < 2 or not part.is_integer() for part in self._parts()):
            raise CorpusError(
                f"Each scale must be a whole multiple of the next, such as 2048,1024,512, not {said_m(self.sides_m)}."
            )
        if not LEAST_PX <= self.max_px <= MOST_PX:
            raise CorpusError(f"Images must have {LEAST_PX} to {MOST_PX} px a side, not {self.max_px}.")

    @property
    def parts(self) -> tuple[int, int]:
        """How many medium slices are a large one's side, and small ones a medium one's."""
        large, medium = self._parts()
        return int(large), int(medium)

    def _parts(self) -> tuple[float, float]:
        large, medium, small = self.sides_m
        return large / medium, medium / small


@dataclass(frozen=True)
class Block:
    """One large slice with all that lie in it, parents before children; ``name`` is a file's name."""

    name: str
    slices: tuple[Slice, ...]


_Cell = tuple[int, tuple[int, int], SceneWindow]
"""Number of the scale, row and column among the slices of that scale, window."""


@dataclass(frozen=True)
class _Place:
    """Where a window lies: its outline in degrees, its size on the ground, its corners in the scene's CRS."""

    ring: tuple[tuple[float, float], ...]
    across_m: float
    down_m: float
    corners: NDArray[np.float64]
    straight: bool

    def affine(self, width: int, height: int) -> tuple[float, float, float, float, float, float] | None:
        """From pixels of an image of the window to the CRS; None where no affine map leads there."""
        if not self.straight:
            return None
        origin, right, _, bottom = self.corners
        (a, d), (b, e) = (right - origin) / width, (bottom - origin) / height
        return float(a), float(b), float(origin[0]), float(d), float(e), float(origin[1])


@dataclass(frozen=True)
class SlicePlan:
    """The blocks of a scene, row by row; lazy: a huge scene's slices are never all in memory.

    Attributes:
        scene: Its size and geolocation are used, no pixel.
        entry: What is known of the scene.
        options: How it is cut.
        bounds: Where it has data; the slices begin at its upper left.
    """

    scene: Scene
    entry: SceneEntry
    options: SrcOptions
    bounds: SceneWindow

    def __len__(self) -> int:
        per_block = math.prod(self.options.parts)
        return sum((len(self._columns(*row)) - 1) // per_block for row in self._block_rows())

    def __iter__(self) -> Iterator[Block]:
        per_block = math.prod(self.options.parts)
        rows = self._rows()
        for row, (top, bottom) in enumerate(self._block_rows()):
            columns = self._columns(top, bottom)
            down = rows[row * per_block : (row + 1) * per_block + 1]
            for col in range((len(columns) - 1) // per_block):
                across = columns[col * per_block : (col + 1) * per_block + 1]
                yield self._block(row, col, down, across)

    def _rows(self) -> NDArray[np.int64]:
        """The edges of the rows of small slices, by the ground along the middle column."""
        at = self.bounds
        middle = at.col + at.width / 2
        return self._edges(at.row, at.row + at.height, lambda y: ScenePoints(np.full_like(y, middle), y))

    def _block_rows(self) -> list[tuple[int, int]]:
        rows = self._rows()[:: math.prod(self.options.parts)].tolist()
        return list(pairwise(rows))

    def _columns(self, top: int, bottom: int) -> NDArray[np.int64]:
        """The edges of the columns of small slices of one row of blocks: on a map in degrees each row has its own."""
        at, middle = self.bounds, (top + bottom) / 2
        middle = min(max(middle, at.row), at.row + at.height)
        return self._edges(at.col, at.col + at.width, lambda x: ScenePoints(x, np.full_like(x, middle)))

    def _edges(
        self, low: int, high: int, line: Callable[[NDArray[np.float64]], ScenePoints]
    ) -> NDArray[np.int64]:
        """Whole pixels along a line, between which the ground is a small slice's side; enough for whole blocks."""
        pixels = np.linspace(low, high, min(high - low, _POINTS) + 1)
        ground = self.scene.to_lonlat(line(pixels))
        steps = _metres(ground.x[:-1], ground.y[:-1], ground.x[1:], ground.y[1:])
        if not np.isfinite(steps).all():
            raise SceneError(
                f"'{self.scene.name}' reaches beyond its CRS or control points: cut that part off"
            )
        along = np.concatenate([[0.0], np.cumsum(steps)])
        side, per_block = self.options.sides_m[-1], math.prod(self.options.parts)
        blocks = max(math.ceil((along[-1] / side - _SLIVER) / per_block), 1)
        wanted = side * np.arange(blocks * per_block + 1)
        beyond = np.maximum(wanted - along[-1], 0) * (pixels[-1] - pixels[-2]) / steps[-1]
        edges = np.rint(np.interp(wanted, along, pixels) + beyond).astype(np.int64)
        # Where a pixel is larger than a slice, slices would have no pixels; they are too small to be read anyway.
        distinct: NDArray[np.int64] = np.maximum(edges, low + np.arange(len(edges)))
        return distinct

    def _block(self, row: int, col: int, down: NDArray[np.int64], across: NDArray[np.int64]) -> Block:
        cells = list(self._cells(0, (row, col), (0, 0), down, across))
        placed = _place(self.scene, [window for *_, window in cells])
        slices = tuple(self._slice(cell, place) for cell, place in zip(cells, placed, strict=True))
        return Block(f"{self.entry.name}-{row:03d}-{col:03d}", slices)

    def _cells(
        self,
        level: int,
        place: tuple[int, int],
        offset: tuple[int, int],
        down: NDArray[np.int64],
        across: NDArray[np.int64],
    ) -> Iterator[_Cell]:
        """A slice that reaches the data, by scale, row and column, and after it those that lie in it."""
        step = math.prod(self.options.parts[level:])
        top, left = down[offset[0]], across[offset[1]]
        bottom, right = down[offset[0] + step], across[offset[1] + step]
        if top >= self.bounds.row + self.bounds.height or left >= self.bounds.col + self.bounds.width:
            return
        yield level, place, SceneWindow(int(left), int(top), int(right - left), int(bottom - top))
        for i, j in product(range(self.options.parts[level]), repeat=2) if level < 2 else ():
            parts = self.options.parts[level]
            inner = place[0] * parts + i, place[1] * parts + j
            at = offset[0] + i * step // parts, offset[1] + j * step // parts
            yield from self._cells(level + 1, inner, at, down, across)

    def _slice(self, cell: _Cell, place: _Place) -> Slice:
        level, (row, col), window = cell
        reduced = min(self.options.max_px / max(window.width, window.height), 1.0)
        width, height = (max(round(side * reduced), 1) for side in (window.width, window.height))
        parent = None
        if level:
            parts = self.options.parts[level - 1]
            parent = self._id(level - 1, row // parts, col // parts)
        return Slice(
            id=self._id(level, row, col),
            scene=self.entry.name,
            scale=SCALES[level],
            parent=parent,
            window=window,
            width=width,
            height=height,
            footprint=place.ring,
            crs=crs_text(self.scene.crs),
            affine=place.affine(width, height),
            pixel_m=math.sqrt(place.across_m / width * place.down_m / height),
            sensor=self.entry.sensor,
            polarisation=self.entry.polarisation,
            acquired=self.entry.acquired,
        )

    def _id(self, level: int, row: int, col: int) -> str:
        return f"{self.entry.name}/{SCALES[level]}-{row}-{col}"


def plan_slices(scene: Scene, entry: SceneEntry, options: SrcOptions) -> SlicePlan:
    """The blocks of slices that cover a scene's data.

    Sides are geodesic, measured where each slice lies: within a pixel of what was asked for, also in degrees, where
    columns grow narrow towards the poles, with pixels that are not square, and where only control points tell. Along
    one row of blocks heights are those at its middle.

    Raises:
        SceneError: It holds no data, is damaged, or its ground is not known all over it.
    """
    return SlicePlan(scene, entry, options, data_bounds(scene))


def data_bounds(scene: Scene) -> SceneWindow:
    """The window of a scene outside which it has no data, found at a coarse look; SceneError where it has none."""
    factor = max(scene.width, scene.height) / _OVERVIEW_PX
    shape = tuple(max(round(side / max(factor, 1)), 1) for side in (scene.height, scene.width))
    db = scene.read_resampled(SceneWindow(0, 0, scene.width, scene.height), (shape[0], shape[1]))
    has_data = np.isfinite(db)
    if not has_data.any():
        scene.stretch()  # says that there is no data
        return SceneWindow(0, 0, scene.width, scene.height)  # too thin for a coarse look
    rows, columns = (np.flatnonzero(has_data.any(axis=axis)) for axis in (1, 0))
    top, bottom = _whole(rows, shape[0], scene.height)
    left, right = _whole(columns, shape[1], scene.width)
    return SceneWindow(left, top, right - left, bottom - top)


def chip_of(one: Slice) -> Chip:
    """The slice as the backend's chip, which priors are asked for and pixels read by."""
    window = one.window
    box = window.box()
    return Chip(
        0,
        ResizePlan(window, one.width, one.height, 1, 1),
        shapely.box(box.left, box.top, box.right, box.bottom),
    )


class BlockPixels:
    """Reads the slices of a block: one that lies in one which was read as it is stored is cut out of it."""

    def __init__(self, scene: Scene, stretch: Stretch) -> None:
        self._scene = scene
        self._stretch = stretch
        self._last: tuple[SceneWindow, ChipPixels] | None = None

    def of(self, one: Slice) -> ChipPixels:
        """Grey levels and where there is data, as :func:`fusar_gpt.imagery.read_chip`; SceneError where damaged."""
        window = one.window
        native = (one.width, one.height) == (window.width, window.height)
        if native and self._last is not None and _holds(self._last[0], window):
            around, pixels = self._last
            rows = slice(window.row - around.row, window.row - around.row + window.height)
            columns = slice(window.col - around.col, window.col - around.col + window.width)
            return ChipPixels(pixels.grey[rows, columns], pixels.has_data[rows, columns])
        pixels = read_chip(self._scene, chip_of(one), self._stretch)
        if native:
            self._last = window, pixels
        return pixels


def too_small(one: Slice) -> bool:
    """Whether the slice has so few pixels that it shows nothing."""
    return min(one.width, one.height) < LEAST_PX


def share_within(one: Slice, bounds: SceneWindow) -> float:
    """The share of the slice's window that lies in another."""
    window = one.window
    across = min(window.col + window.width, bounds.col + bounds.width) - max(window.col, bounds.col)
    down = min(window.row + window.height, bounds.row + bounds.height) - max(window.row, bounds.row)
    return max(across, 0) * max(down, 0) / (window.width * window.height)


def _holds(around: SceneWindow, window: SceneWindow) -> bool:
    return (
        around.col <= window.col
        and around.row <= window.row
        and window.col + window.width <= around.col + around.width
        and window.row + window.height <= around.row + around.height
    )


def said_m(sides: Iterable[float]) -> str:
    """Lengths as a user gives them."""
    return ",".join(f"{side:g}" for side in sides)


def _place(scene: Scene, windows: Sequence[SceneWindow]) -> list[_Place]:
    """Where windows lie; of one that reaches where control points tell nothing, the part on the scene."""
    boxes = [window.box() for window in windows]
    grounds = _ground(scene, boxes)
    for index in np.flatnonzero(~np.isfinite(grounds).all(axis=(1, 2))):
        box = boxes[index]
        right, bottom = min(box.right, scene.width), min(box.bottom, scene.height)
        boxes[index] = SceneBox(max(box.left, 0), max(box.top, 0), right, bottom)
        grounds[index] = _ground(scene, [boxes[index]])[0]
    lonlat = transformer(scene.crs, "OGC:CRS84").transform(grounds[..., 0], grounds[..., 1])
    found = []
    for window, box, ground, lon, lat in zip(windows, boxes, grounds, *lonlat, strict=True):
        across_m, down_m = _metres(lon[[4, 6]], lat[[4, 6]], lon[[5, 7]], lat[[5, 7]])
        # Where the window was cut to the scene, its pixels are as large there as elsewhere.
        across_m *= window.width / (box.right - box.left)
        down_m *= window.height / (box.bottom - box.top)
        outline = np.stack([unwrap(lon[[0, 1, 2, 3, 0]]), lat[[0, 1, 2, 3, 0]]], axis=1)
        ring = tuple((float(one), float(other)) for one, other in outline)
        found.append(_Place(ring, float(across_m), float(down_m), ground[:4], _is_straight(box, ground)))
    return found


def _ground(scene: Scene, boxes: Sequence[SceneBox]) -> NDArray[np.float64]:
    """Of each box the corners, the middles of left, right, top and bottom, and the middle, [N, 9, 2] in the CRS."""
    points = []
    for box in boxes:
        x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
        points += [*corner_array(box), (box.left, y), (box.right, y), (x, box.top), (x, box.bottom), (x, y)]
    return scene.to_ground(ScenePoints.of(points)).xy().reshape(-1, 9, 2)


def _is_straight(box: SceneBox, ground: NDArray[np.float64]) -> bool:
    """Whether the pixels of a box lie on the ground as its corners say that they do."""
    corners = ground[:4]
    off = [corners[0] + corners[2] - corners[1] - corners[3], ground[8] - corners.mean(axis=0)]
    pixel = np.abs(corners[2] - corners[0]).max() / max(box.right - box.left, box.bottom - box.top)
    return bool(np.abs(off).max() < _STRAIGHT_PX * pixel)


def _metres(
    lon: NDArray[np.float64],
    lat: NDArray[np.float64],
    to_lon: NDArray[np.float64],
    to_lat: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Geodesic lengths; not finite where a place is not."""
    metres: NDArray[np.float64] = _GEOD.inv(lon, lat, to_lon, to_lat)[2]
    return metres


def _whole(cells: NDArray[np.int64], count: int, side: int) -> tuple[int, int]:
    """First and end pixel of the cells that have data; ``count`` of them cover ``side`` pixels."""
    first, end = cells[0] * side / count, (cells[-1] + 1) * side / count
    return math.floor(first), min(math.ceil(end), side)

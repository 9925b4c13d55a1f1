"""Chips: which windows of a scene the model sees, the exact mapping of their pixels, and reading them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from numpy.typing import DTypeLike, NDArray
from PIL import Image
from rasterio.features import geometry_mask
from rasterio.transform import Affine
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract.stretch import Stretch
from fusar_gpt.frames import ChipPoints, ScenePoints, SceneWindow, TokenPoints
from fusar_gpt.imagery.scene import Scene

_PIECE_PIXELS = 4_000_000
_SNAP_PX = 1e-3
_SMALL_REST = 0.15
_FADE_PX = 2
_MOST_MAGNIFIED = 2


@dataclass(frozen=True)
class ChipFormat:
    """The size and ground extent of the chips that a checkpoint was trained on.

    ``width`` x ``height`` chip pixels; ``token_px`` chip pixels to a visual token's side (patch x merge);
    ``ground_m`` the ground width in metres of the chips it was trained on, None for native resolution.
    ``stretched`` resizes ground of any shape to the chip, as the authors' release does; otherwise windows have the
    chip's shape, and show more ground rather than distort or magnify it. ``magnified``: a scene pixel may become up to
    two chip pixels, as it may where chips are stretched.
    """

    width: int
    height: int
    token_px: int
    ground_m: float | None = None
    stretched: bool = False
    magnified: bool = False


@dataclass(frozen=True)
class ResizePlan:
    """Scene pixels <-> chip pixels <-> visual token grid: pure scalings about one window, exact both ways.

    The window is resized to ``width`` x ``height`` chip pixels, which the model sees as ``token_rows`` x
    ``token_cols`` tokens.
    """

    window: SceneWindow
    width: int
    height: int
    token_rows: int
    token_cols: int

    def scene_to_chip(self, points: ScenePoints) -> ChipPoints:
        """Scene pixels -> chip pixels."""
        window = self.window
        x, y = points.x - window.col, points.y - window.row
        return ChipPoints(x * self.width / window.width, y * self.height / window.height)

    def chip_to_scene(self, points: ChipPoints) -> ScenePoints:
        """Chip pixels -> scene pixels."""
        window = self.window
        x, y = points.x * window.width / self.width, points.y * window.height / self.height
        return ScenePoints(x + window.col, y + window.row)

    def chip_to_tokens(self, points: ChipPoints) -> TokenPoints:
        """Chip pixels -> token grid."""
        return TokenPoints(points.x * self.token_cols / self.width, points.y * self.token_rows / self.height)

    def tokens_to_chip(self, points: TokenPoints) -> ChipPoints:
        """Token grid -> chip pixels."""
        return ChipPoints(points.x * self.width / self.token_cols, points.y * self.height / self.token_rows)


@dataclass(frozen=True)
class Chip:
    """One image the model sees: its number in the plan, its resize plan, its window in scene pixels."""

    index: int
    plan: ResizePlan
    footprint: shapely.Polygon


class ChipPlan:
    """The chips that intersect an area, row-major and lazy: a huge scene's chips are never all in memory.

    Attributes:
        chip_ground_m: Ground width of a chip in metres.
    """

    def __init__(
        self, scene: Scene, area_px: BaseGeometry, frame: ChipFormat, ground_m: float | None, overlap: float
    ) -> None:
        self._area = area_px
        self._frame = frame
        self._width, self._height = window_size(scene.pixel_size_m, frame, ground_m)
        left, top, right, bottom = area_px.bounds
        if overlap == 0:
            grown = tile_growth(right - left, self._width), tile_growth(bottom - top, self._height)
            across, down = grown if frame.stretched else (max(grown), max(grown))
            self._width, self._height = math.ceil(self._width * across), math.ceil(self._height * down)
        if frame.stretched:
            self._width = narrowed(self._width, left, right, frame.width)
            self._height = narrowed(self._height, top, bottom, frame.height)
        self._columns = chip_starts(left, right, self._width, overlap, scene.width)
        self._rows = chip_starts(top, bottom, self._height, overlap, scene.height)
        self.chip_ground_m = self._width * scene.pixel_size_m
        self._count: int | None = None
        shapely.prepare(area_px)

    def __len__(self) -> int:
        if self._count is None:
            self._count = sum(int(self._touching(row).sum()) for row in self._rows)
        return self._count

    def __iter__(self) -> Iterator[Chip]:
        index = 0
        for row in self._rows:
            for column in self._columns[self._touching(row)]:
                yield self._chip(index, int(column), int(row))
                index += 1

    def _touching(self, row: int) -> NDArray[np.bool_]:
        columns = self._columns
        boxes = shapely.box(columns, row, columns + self._width, row + self._height)
        return np.asarray(shapely.intersects(self._area, boxes))

    def _chip(self, index: int, column: int, row: int) -> Chip:
        frame = self._frame
        window = SceneWindow(column, row, self._width, self._height)
        tokens = frame.height // frame.token_px, frame.width // frame.token_px
        plan = ResizePlan(window, frame.width, frame.height, *tokens)
        return Chip(index, plan, shapely.box(column, row, column + self._width, row + self._height))


def plan_chips(
    scene: Scene,
    area_px: BaseGeometry,
    frame: ChipFormat,
    *,
    ground_m: float | None = None,
    overlap: float = 0.0,
) -> ChipPlan:
    """The chips that cover an area.

    Args:
        scene: The scene; only its size and pixel size are used.
        area_px: Polygon or multipolygon in scene pixels, within the scene, not empty.
        frame: The checkpoint's chips.
        ground_m: Ground width of a chip in metres; None takes the frame's.
        overlap: Least share of a chip's side that its neighbour sees again, 0 <= overlap < 1. With 0 no ground
            is seen twice; chips then grow by up to 15 % rather than leave a small rest to one more chip.
    """
    if not 0.0 <= overlap < 1.0:
        raise ValueError(f"overlap must be in [0, 1), not {overlap}")
    return ChipPlan(scene, area_px, frame, ground_m or frame.ground_m, overlap)


def window_size(pixel_size_m: float, frame: ChipFormat, ground_m: float | None) -> tuple[int, int]:
    """Width and height in scene pixels of a chip's window: the same ground for all sensors (FUSAR-KLIP SRC).

    Unless the frame allows it, a scene pixel never becomes more than one chip pixel: on a coarse scene a chip shows
    more ground.
    """
    least = frame.width / (_MOST_MAGNIFIED if frame.magnified or frame.stretched else 1)
    width = frame.width if ground_m is None else max(ground_m / pixel_size_m, least)
    return max(round(width), 1), max(round(width * frame.height / frame.width), 1)


def narrowed(side: int, low: float, high: float, frame_side: int) -> int:
    """The side of a stretched chip's window: at most the area's, but never magnified more than twofold."""
    length = math.ceil(high - _SNAP_PX) - math.floor(low + _SNAP_PX)
    return min(side, max(length, math.ceil(frame_side / _MOST_MAGNIFIED)))


def tile_growth(length: float, side: int) -> float:
    """The factor, 1 to 1.15, that tiles grow by so that no further tile is needed for a small remainder."""
    sides = (length - _SNAP_PX) / side
    return max(sides / max(math.ceil(sides - _SMALL_REST), 1), 1.0)


def chip_starts(low: float, high: float, side: int, overlap: float, scene_side: int) -> NDArray[np.int64]:
    """First pixels of the windows along one axis that cover [low, high].

    If one is long enough, or none may overlap: side by side, centred, then moved into the scene as far as they
    fit. Else the fewest windows with at least the overlap, spread evenly from end to end.
    """
    low, high = math.floor(low + _SNAP_PX), math.ceil(high - _SNAP_PX)
    if high - low <= side or overlap == 0:
        count = max(math.ceil((high - low) / side), 1)
        start = round((low + high - count * side) / 2)
        spare = scene_side - count * side
        return min(max(start, min(spare, 0)), max(spare, 0)) + side * np.arange(count)
    step = max(side - math.ceil(overlap * side), 1)
    count = math.ceil((high - low - side) / step) + 1
    return low + np.arange(count) * (high - low - side) // (count - 1)


@dataclass(frozen=True)
class ChipPixels:
    """A chip that was read: ``grey`` uint8 [height, width] as the model sees it, ``has_data`` bool [height, width].

    ``grey`` is 0 where there is no data or no scene. A single pixel without data among others is a fade of speckle,
    so ``has_data`` is false only where there is none within ``_FADE_PX`` chip pixels either.
    """

    grey: NDArray[np.uint8]
    has_data: NDArray[np.bool_]


def area_mask(plan: ResizePlan, area_px: BaseGeometry) -> NDArray[np.bool_]:
    """Which chip pixels an area touches, bool [height, width]; the area is in scene pixels."""
    window = plan.window
    across, down = window.width / plan.width, window.height / plan.height
    to_scene = Affine(across, 0.0, window.col, 0.0, down, window.row)
    box = (window.col, window.row, window.col + window.width, window.row + window.height)
    part = shapely.clip_by_rect(area_px, *box)
    size = (plan.height, plan.width)
    if part.is_empty:
        return np.zeros(size, dtype=bool)
    mask: NDArray[np.bool_] = geometry_mask([part], size, to_scene, all_touched=True, invert=True)
    return mask


def read_chip(scene: Scene, chip: Chip, stretch: Stretch) -> ChipPixels:
    """The chip as the model sees it, and where the scene has data.

    Quantised at the scene's resolution, then resized by an antialiased bicubic filter. A window much larger
    than the chip is averaged by a whole factor first, to at least twice the chip's size. It is read in pieces,
    and the scene's ``cancelled`` is asked before each.

    Raises:
        Cancelled: ``cancelled`` says so.
        SceneError: The file is damaged there.
    """
    plan = chip.plan
    window = plan.window
    factor_x, factor_y = (
        max(side // (2 * wanted), 1)
        for side, wanted in ((window.width, plan.width), (window.height, plan.height))
    )
    means = CellMeans(window, factor_x, factor_y)
    seen = CellMeans(window, factor_x, factor_y)
    for piece in pieces(window, scene):
        db = scene.read(piece)
        means.add(piece, stretch.quantise(db))
        seen.add(piece, np.isfinite(db) * np.uint8(255))
    box = (0.0, 0.0, window.width / factor_x, window.height / factor_y)
    return resized(means.rounded(), seen.rounded(), (plan.width, plan.height), box)


def resized(
    grey: NDArray[np.uint8],
    seen: NDArray[np.uint8],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
) -> ChipPixels:
    """The chip of what was read, at the scene's resolution or averaged.

    Args:
        grey: Grey levels [h, w].
        seen: Above 0 where there is data, [h, w].
        size: Of the chip, (width, height).
        box: The part of both that is the chip: left, top, right and bottom.
    """
    image = np.array(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC, box=box))
    if seen.all() or not seen.any():  # most windows are one or the other, and this takes as long as the image
        return ChipPixels(image, np.full(image.shape, bool(seen[0, 0])))
    data = Image.fromarray(seen).resize(size, Image.Resampling.BOX, box=box)
    return ChipPixels(image, _without_fades(np.array(data) > 0))


def _without_fades(data: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where there is data within ``_FADE_PX`` chip pixels across and down."""
    if data.all():
        return data
    for grown in (data, data.T):
        near = grown.copy()
        for step in range(1, _FADE_PX + 1):
            grown[step:] |= near[:-step]
            grown[:-step] |= near[step:]
    return data


def pieces(window: SceneWindow, scene: Scene) -> Iterator[SceneWindow]:
    """The part of a window that is on the scene, in windows of about ``_PIECE_PIXELS`` or a single row of a block.

    They are whole blocks of the file, side by side or below each other, so that no block is decoded twice; one
    that is larger than that is cut into strips, which follow one another, so that GDAL still has it at hand.
    """
    left, top = max(window.col, 0), max(window.row, 0)
    right = min(window.col + window.width, scene.width)
    bottom = min(window.row + window.height, scene.height)
    rows, columns = scene.block
    blocks = max(_PIECE_PIXELS // (rows * columns), 1)
    across = min(blocks, -(-max(right - left, 1) // columns))
    strip = rows * max(blocks // across, 1)
    part = min(strip, max(_PIECE_PIXELS // columns, 1)) if blocks == 1 else strip
    for y in _cuts(top, bottom, strip):
        for x in _cuts(left, right, across * columns):
            for y_part in _cuts(y.start, y.stop, part):
                yield SceneWindow(x.start, y_part.start, len(x), len(y_part))


def _cuts(low: int, high: int, step: int) -> Iterator[range]:
    """[low, high) cut at the multiples of ``step``."""
    while low < high:
        end = min((low // step + 1) * step, high)
        yield range(low, end)
        low = end


class CellMeans:
    """The mean grey level of each cell of ``factor_x`` x ``factor_y`` pixels of a window; what is not added is 0."""

    def __init__(self, window: SceneWindow, factor_x: int, factor_y: int) -> None:
        self._window = window
        self._factors = factor_x, factor_y
        # As narrow as the sums allow: at full resolution a window of 10,000 px a side would else take gigabytes.
        largest = np.min_scalar_type(255 * factor_x * factor_y)
        self._sums = np.zeros((-(-window.height // factor_y), -(-window.width // factor_x)), largest)

    def add(self, piece: SceneWindow, grey: NDArray[np.uint8]) -> None:
        """Add the grey levels [h, w] of a piece of the window."""
        x, y = piece.col - self._window.col, piece.row - self._window.row
        factor_x, factor_y = self._factors
        # Along the rows first, and in 32 bits: several times faster than the other way.
        rows = _sums_of_cells(grey, x, factor_x, axis=1, dtype=np.uint32)
        sums = _sums_of_cells(rows, y, factor_y, axis=0, dtype=self._sums.dtype)
        top, left = y // factor_y, x // factor_x
        self._sums[top : top + sums.shape[0], left : left + sums.shape[1]] += sums

    def rounded(self) -> NDArray[np.uint8]:
        """The means, uint8 [rows, columns]; the cells at the far edges are means of the pixels they have."""
        if self._factors == (1, 1):
            return self._sums
        sides = self._window.width, self._window.height
        columns, rows = (
            np.minimum(factor, side - factor * np.arange(cells))
            for side, factor, cells in zip(sides, self._factors, self._sums.shape[::-1], strict=True)
        )
        pixels = np.multiply.outer(rows, columns)
        means: NDArray[np.uint8] = ((self._sums.astype(np.int64) + pixels // 2) // pixels).astype(np.uint8)
        return means


def _sums_of_cells(
    values: NDArray[Any], start: int, factor: int, *, axis: int, dtype: DTypeLike
) -> NDArray[Any]:
    """The sums along one axis over cells that begin at the multiples of ``factor``; the values begin at ``start``."""
    if factor == 1:
        return values
    edges = np.arange(start - start % factor, start + values.shape[axis], factor) - start
    sums: NDArray[Any] = np.add.reduceat(values, np.maximum(edges, 0), axis=axis, dtype=dtype)
    return sums

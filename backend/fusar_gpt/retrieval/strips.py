"""Slices of a scene as images: read in strips, so that overlapping slices do not read and convert a pixel each anew."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.contract import ENOUGH_DATA
from fusar_gpt.frames import SceneWindow
from fusar_gpt.imagery import ChipPixels, Scene
from fusar_gpt.imagery.chips import CellMeans, pieces, resized
from fusar_gpt.retrieval.slicing import Lattice

_STRIP_CELLS = 32_000_000
"""Most pixels of a strip; two are in memory at once, of two bytes a pixel."""
_STRIP_MEANS = 4_000_000
"""Where pixels are averaged: that takes some 40 bytes each for a moment."""
_LEAST_ROWS = 4
"""Rows of slices in a strip, though it is cut across then: read one by one, neighbouring rows read half twice."""

T = TypeVar("T")


@dataclass(frozen=True)
class SliceImages:
    """Some slices that were read.

    Attributes:
        numbers: Of the slices, int64 [N].
        shares: Share of each with data in percent, uint8 [N].
        images: uint8 [M, image_px, image_px]: those of the slices that have enough data, as ``read_chip`` reads them.
    """

    numbers: NDArray[np.int64]
    shares: NDArray[np.uint8]
    images: NDArray[np.uint8]


def enough(shares: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which slices have enough data, of their shares in percent."""
    return np.asarray(shares >= 100 * ENOUGH_DATA)


def slice_images(
    scene: Scene,
    lattice: Lattice,
    numbers: NDArray[np.int64],
    wanted: Callable[[NDArray[np.int64]], NDArray[np.int64]],
    batch: Callable[[], int],
) -> Generator[SliceImages, None, None]:
    """Reads slices, each once, in any order; the next ones while the caller works with those that he has.

    Args:
        scene: Nobody else may read it meanwhile.
        lattice: Its slices.
        numbers: Which of them.
        wanted: Those of some slices that are still wanted; asked before they are read.
        batch: How many slices to give at once; asked each time.

    Raises:
        Cancelled: The scene's own ``cancelled`` says so.
        SceneError: The file is damaged.
    """
    strips = made_ahead(
        read_strip(scene, lattice, some) for some in map(wanted, blocks(lattice, numbers)) if len(some)
    )
    return made_ahead(_in_batches(strips, batch))


def made_ahead(items: Generator[T, None, None]) -> Generator[T, None, None]:
    """The same items, each made in a thread while the caller works with the one before."""
    with closing(items), ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = thread.submit(next, items, None)
            yield item


def blocks(lattice: Lattice, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Slices that are read in one strip: neighbours, from the top; whole rows of slices where they are not too wide."""
    most = (_STRIP_CELLS if lattice.factor == 1 else _STRIP_MEANS) * lattice.factor**2
    across = int(lattice.lefts[-1] - lattice.lefts[0]) + lattice.side
    rows_at_once = max(_that_fit(lattice.tops, lattice.side, most / across), _LEAST_ROWS)
    down = lattice.side + int(np.diff(lattice.tops).max(initial=0)) * (rows_at_once - 1)
    columns_at_once = _that_fit(lattice.lefts, lattice.side, most / down)
    rows, columns = np.divmod(numbers, len(lattice.lefts))
    block = rows // rows_at_once * len(lattice.lefts) + columns // columns_at_once
    order = np.argsort(block, kind="stable")
    for some in np.split(numbers[order], np.flatnonzero(np.diff(block[order])) + 1):
        yield from _apart(lattice, some)


def _that_fit(starts: NDArray[np.int64], side: int, length: float) -> int:
    """How many slices along an axis lie within a length; at least one."""
    if starts[-1] - starts[0] + side <= length:
        return len(starts)
    step = int(np.diff(starts).max(initial=1))
    return max(int((length - side) // step) + 1, 1)


def _apart(lattice: Lattice, numbers: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    """Slices divided where no pixel between them is wanted."""
    columns = numbers % len(lattice.lefts)
    across = np.unique(columns)
    gaps = np.flatnonzero(np.diff(lattice.lefts[across]) >= lattice.side) + 1
    part = np.searchsorted(across[gaps], columns, side="right")
    for one in range(len(gaps) + 1):
        yield numbers[part == one]


@dataclass(frozen=True)
class _Cells:
    """Grey levels, and where there is data, of a part of a strip whose slices begin at the same part of a cell."""

    window: SceneWindow
    grey: CellMeans
    seen: CellMeans

    def add(self, piece: SceneWindow, grey: NDArray[np.uint8], seen: NDArray[np.uint8]) -> None:
        left, top = max(piece.col, self.window.col), max(piece.row, self.window.row)
        right = min(piece.col + piece.width, self.window.col + self.window.width)
        bottom = min(piece.row + piece.height, self.window.row + self.window.height)
        if left < right and top < bottom:
            inside = SceneWindow(left, top, right - left, bottom - top)
            part = slice(top - piece.row, bottom - piece.row), slice(left - piece.col, right - piece.col)
            self.grey.add(inside, grey[part])
            self.seen.add(inside, seen[part])


@dataclass(frozen=True)
class Strip:
    """A part of a scene that was read: neighbouring slices share its pixels.

    Attributes:
        lattice: The slices of the scene.
        numbers: Those that lie in the strip.
        parts: For each where its pixels are: first column and row there, grey levels and where there is data, [h, w].
    """

    lattice: Lattice
    numbers: NDArray[np.int64]
    parts: list[tuple[int, int, NDArray[np.uint8], NDArray[np.uint8]]]

    def chip(self, at: int) -> ChipPixels:
        """The slice ``numbers[at]``, as ``read_chip`` reads it."""
        left, top, grey, seen = self.parts[at]
        cells = self.lattice.side // self.lattice.factor
        part = slice(top, top + cells), slice(left, left + cells)
        return resized(grey[part], seen[part], (self.lattice.image_px,) * 2, (0, 0, cells, cells))


def read_strip(scene: Scene, lattice: Lattice, numbers: NDArray[np.int64]) -> Strip:
    """Reads the part of a scene that holds some slices, each pixel once. Raises as :func:`slice_images`."""
    factor, stretch = lattice.factor, scene.stretch()
    corners = lattice.boxes(numbers).astype(np.int64)
    phases, phase = np.unique(corners[:, :2] % factor, axis=0, return_inverse=True)
    groups = []
    for one in range(len(phases)):
        window = _around(corners[phase.ravel() == one])
        groups.append(_Cells(window, *(CellMeans(window, factor, factor) for _ in range(2))))
    for piece in pieces(_around(corners), scene):
        db = scene.read(piece)
        grey, seen = stretch.quantise(db), np.isfinite(db) * np.uint8(255)
        for group in groups:
            group.add(piece, grey, seen)
    read = [(group.window, group.grey.rounded(), group.seen.rounded()) for group in groups]
    parts = []
    for (left, top), one in zip(corners[:, :2].tolist(), phase.ravel().tolist(), strict=True):
        window, grey, seen = read[one]
        parts.append(((left - window.col) // factor, (top - window.row) // factor, grey, seen))
    return Strip(lattice, numbers, parts)


def _around(corners: NDArray[np.int64]) -> SceneWindow:
    """The window that holds boxes [N, 4]."""
    left, top = corners[:, :2].min(axis=0)
    right, bottom = corners[:, 2:].max(axis=0)
    return SceneWindow(int(left), int(top), int(right - left), int(bottom - top))


def _in_batches(
    strips: Generator[Strip, None, None], batch: Callable[[], int]
) -> Generator[SliceImages, None, None]:
    with closing(strips):
        for strip in strips:
            at = 0
            while at < len(strip.numbers):
                end = min(at + batch(), len(strip.numbers))
                chips = [strip.chip(number) for number in range(at, end)]
                shares = np.array([round(100 * float(chip.has_data.mean())) for chip in chips], np.uint8)
                images = np.stack([chip.grey for chip in chips])[enough(shares)]
                yield SliceImages(strip.numbers[at:end], shares, images)
                at = end

"""A sample of a raster band from windows all over it: what its numbers are is judged from it. Needs numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Read = Callable[[int, int, int, int], NDArray[np.float32]]

_SIDE = 1024
_GRIDS = (8, 32)
_ENOUGH = 10_000
_PATCH = 16
_PATCHES = 512
_BLOCK = (4, 32)  # the least and the largest side of a block of one number


@dataclass(frozen=True, eq=False)  # each is its own, as a key of what was judged from it
class BandSample:
    """Stored numbers of one band.

    Attributes:
        numbers: Those that are finite and not zero, float32 [n].
        patches: Squares without a gap, float32 [k, 16, 16], at most 512 of them: the texture.
        constants: Each number that fills a whole block, or a whole piece of the raster's outermost rows and
            columns, and its share of all sampled numbers and of the sampled part of these rows and columns.
    """

    numbers: NDArray[np.float32]
    patches: NDArray[np.float32]
    constants: dict[float, tuple[float, float]]


def sample_band(read: Read, width: int, height: int) -> BandSample:
    """Sample full-resolution windows spread over a band: at most 4 MB.

    Full resolution, because overviews average the speckle away and would move the limits of the stretch. A band that
    is mostly empty or of one number is sampled again on a finer grid.

    Args:
        read: Stored numbers float32 [h, w] of the window (col, row, width, height), NaN where there is no data.
        width: Of the scene in pixels.
        height: Likewise.
    """
    sample = BandSample(np.zeros(0, np.float32), np.zeros((0, _PATCH, _PATCH), np.float32), {})
    for per_axis in _GRIDS:
        side = _SIDE // per_axis
        places = [
            (x, y, w, h)
            for y, h in _spread(height, per_axis, side)
            for x, w in _spread(width, per_axis, side)
        ]
        windows = [read(*place) for place in places]
        edges = [
            edge for window, place in zip(windows, places) for edge in _edges(window, place, width, height)
        ]
        sample = _summary(windows, edges)
        varied = ~np.isin(sample.numbers, np.array(list(sample.constants), np.float32))
        if np.count_nonzero(varied) >= min(_ENOUGH, width * height // 2):
            break
    return sample


def _spread(length: int, count: int, side: int) -> list[tuple[int, int]]:
    """(start, size) of ``count`` pieces spread evenly over ``length``, or one piece that is all of it."""
    if length <= count * side:
        return [(0, length)]
    return [(int(start), side) for start in np.linspace(0, length - side, count)]


def _edges(
    window: NDArray[np.float32], place: tuple[int, int, int, int], width: int, height: int
) -> Iterator[NDArray[np.float32]]:
    """The outermost row or column of a window that lies at the edge of the raster."""
    col, row, across, down = place
    if row == 0:
        yield window[0]
    if row + down == height:
        yield window[-1]
    if col == 0:
        yield window[:, 0]
    if col + across == width:
        yield window[:, -1]


def _summary(windows: list[NDArray[np.float32]], edges: list[NDArray[np.float32]]) -> BandSample:
    everything = np.concatenate([window.ravel() for window in windows])
    around = np.concatenate(edges)
    solid = {float(value) for window in windows for value in _solid(window)}
    solid |= {float(value) for edge in edges for value in _solid(edge[None])}
    constants = {}
    for value in sorted(solid):
        share, border = np.mean(everything == np.float32(value)), np.mean(around == np.float32(value))
        constants[value] = (float(share), float(border))
    patches = np.concatenate([_patches(window, max(_PATCHES // len(windows), 1)) for window in windows])
    return BandSample(everything[np.isfinite(everything) & (everything != 0)], patches, constants)


def _patches(window: NDArray[np.float32], most: int) -> NDArray[np.float32]:
    """Squares of a window without a gap, spread evenly over it."""
    blocks = _blocks(window, _PATCH, _PATCH)
    whole = np.flatnonzero((np.isfinite(blocks) & (blocks != 0)).all(axis=(1, 2)))
    return blocks[whole[:: max(-(-whole.size // most), 1)]]


def _solid(window: NDArray[np.float32]) -> NDArray[np.float32]:
    """The numbers that fill a whole block of a window, or of a row of 16 pixels or more."""
    height, width = window.shape
    if height == 1:
        down, across = 1, max(min(width // 8, 64), 16)
    else:
        down = across = max(min(height // 8, width // 8, _BLOCK[1]), _BLOCK[0])
    blocks = _blocks(window, down, across)
    low, high = blocks.min(axis=(1, 2), initial=np.inf), blocks.max(axis=(1, 2), initial=-np.inf)
    return np.unique(low[(low == high) & np.isfinite(low)])


def _blocks(window: NDArray[np.float32], down: int, across: int) -> NDArray[np.float32]:
    """The whole blocks of a window, [n, down, across], from its upper left on."""
    rows, columns = window.shape[0] // down, window.shape[1] // across
    whole = window[: rows * down, : columns * across]
    return whole.reshape(rows, down, columns, across).swapaxes(1, 2).reshape(-1, down, across)

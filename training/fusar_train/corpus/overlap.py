"""Crops of the same ground: images of one acquisition show the same speckle, shifted against each other.

No pixel need be equal: the crops may be stretched differently, stored as JPEG, or hold other objects. Every pair is
correlated at every shift by FFT, on images reduced to about 100 px; what stands out is confirmed in full resolution.
Two acquisitions of one place have different speckle and are not found; nor are turned, mirrored or rescaled crops.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation, gaussian_filter, uniform_filter

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.record import Record, whole_window

Texture = NDArray[np.float32]

SAME_GROUND = 0.25
"""Correlation from which an overlap is the same ground; on SSDD that has .27 to .98, other ground below .1."""

PAIRS_PER_SECOND = 1500
"""About how many pairs of images one CPU core compares."""

_REDUCED_PX = 100  # to which nine of ten images are reduced, the others by the same factor
_TILE_PX = 128  # larger ones are cut into tiles, each half over the next
_LEAST_PX = 8  # side of the smallest overlap, on the reduced images
_CANDIDATE = 5.2  # standard deviations; chance gives more to about one pair in 300
_SHARP = 2.5  # how far a confirmed peak stands above all else around it
_AROUND_PX, _PEAK_PX = 12, 3
_CLEAR = 8.0  # standard deviations above chance, for very small overlaps
_REDUCED_SIGMA, _FULL_SIGMA = 1.5, 4.0
_BLOCK_PX = 8
_LEAST_KNOWN = 0.02  # share of a tile
_LEAST_SPREAD = 0.02  # of the logarithm: less is rounding
_BATCH = 64
_WHOLE = 0.9  # share of an image from which a box is that of the whole chip, as folders of classes have it


@dataclass(frozen=True)
class Picture:
    """An image to compare: how to read it, its size (width, height) and the boxes of its objects, in its pixels."""

    read: Callable[[], NDArray[np.uint8]]
    size: tuple[int, int]
    boxes: tuple[SceneBox, ...]


@dataclass(frozen=True)
class Overlap:
    """Two images that show the same ground.

    Attributes:
        one, other: Their numbers.
        shift: (x, y) px: where the upper left corner of ``other`` lies on ``one``.
        correlation: Of the speckle on the overlap.
    """

    one: int
    other: int
    shift: tuple[int, int]
    correlation: float


def same_ground(
    records: Sequence[Record], scenes: Sequence[object], sides: Sequence[object] | None = None
) -> Iterator[Overlap]:
    """``find_overlaps`` of records, with the default number of threads."""
    return find_overlaps([picture_of(record) for record in records], scenes, sides)


def outermost(records: Sequence[Record]) -> list[int]:
    """The numbers of records that are no part of another one, such as slices of a large slice: they show all ground."""
    ids = {record.id for record in records}
    return [number for number, one in enumerate(records) if one.provenance.get("parent") not in ids]


def picture_of(record: Record) -> Picture:
    """What a record shows, with its objects in pixels of its window; a box as large as the window hides nothing."""
    window = whole_window(record)
    boxes = (
        SceneBox(
            *(edge - start for edge, start in zip(astuple(o.box), (window.col, window.row) * 2, strict=True))
        )
        for o in record.objects
        if o.box.area < _WHOLE * window.width * window.height
    )
    return Picture(record.pixels, (window.width, window.height), tuple(boxes))


def pair_count(scenes: Sequence[object], sides: Sequence[object] | None = None) -> int:
    """How many pairs ``find_overlaps`` compares."""
    total = _within([0] * len(scenes)) - _within(scenes)
    if sides is not None:
        total -= _within(sides) - _within(list(zip(scenes, sides, strict=True)))
    return total


def find_overlaps(
    pictures: Sequence[Picture],
    scenes: Sequence[object],
    sides: Sequence[object] | None = None,
    *,
    jobs: int | None = None,
    show: Callable[[int], None] = lambda done: None,
) -> Iterator[Overlap]:
    """All pairs of pictures that show the same ground, in order.

    The time grows with the square of their number (``PAIRS_PER_SECOND``), the memory by 160 kB a picture.

    Args:
        pictures: The images; an overlap must reach over about a twelfth of their length on both axes.
        scenes: One key a picture; two of one key are not compared, being known to belong together.
        sides: One key a picture; two of one key are not compared, such as those of one split.
        jobs: Threads; by default as many as there are CPU cores.
        show: Takes how many pictures have been compared with all others.

    Raises:
        CorpusError: An image cannot be read.
    """
    if pair_count(scenes, sides) == 0:
        return
    factor = int(np.ceil(np.quantile([max(picture.size) for picture in pictures], 0.9) / _REDUCED_PX))
    search = _Search(pictures, factor, _codes(scenes), None if sides is None else _codes(sides))
    with ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        for number, found in enumerate(pool.map(search.partners, range(len(pictures))), 1):
            yield from found
            show(number)


def texture(pixels: NDArray[np.uint8], boxes: Iterable[SceneBox], factor: int, sigma: float) -> Texture:
    """The speckle of an image: log-amplitude without its local mean, its local spread made one.

    It is 0 on objects and on ground without speckle (fill, saturation), so these take no part in a correlation.

    Args:
        pixels: uint8 [h, w] or [h, w, 3].
        boxes: Objects, in pixels.
        factor: Reduces the image by whole blocks.
        sigma: What is local, in reduced pixels.

    Returns:
        float32 [h // factor, w // factor].
    """
    grey = np.log1p((pixels if pixels.ndim == 2 else pixels.mean(axis=2)).astype(np.float32))
    known = _rough(grey)
    for box in boxes:
        top, left = max(int(box.top) - 2, 0), max(int(box.left) - 2, 0)
        known[top : max(int(box.bottom) + 3, 0), left : max(int(box.right) + 3, 0)] = 0
    share = _reduced(known, factor)
    grey = _reduced(grey * known, factor) / np.maximum(share, 1e-6)
    known = (share > 0.5).astype(np.float32)
    local = gaussian_filter(grey * known, sigma) / (gaussian_filter(known, sigma) + 1e-6)
    rough: Texture = (grey - local) * known
    width = 2 * round(3 * sigma) + 1
    variance = uniform_filter(rough**2, width) / (uniform_filter(known, width) + 1e-6)
    even: Texture = np.clip(rough / np.sqrt(np.maximum(variance, _LEAST_SPREAD**2)), -3, 3) * known
    return even


@dataclass(frozen=True)
class _Tile:
    picture: int
    top: int
    left: int
    height: int
    width: int


class _Search:
    """The spectra of all pictures, by tiles, and who is compared with whom."""

    def __init__(
        self,
        pictures: Sequence[Picture],
        factor: int,
        scenes: NDArray[np.int64],
        sides: NDArray[np.int64] | None,
    ) -> None:
        self._pictures, self._factor, self._scenes, self._sides = pictures, factor, scenes, sides
        self._full = lru_cache(maxsize=64)(self._full_texture)
        textures = [texture(p.read(), p.boxes, factor, _REDUCED_SIGMA) for p in pictures]
        self._tiles = [tile for i, one in enumerate(textures) for tile in _tiles(i, *one.shape)]
        side = max(max(tile.height, tile.width) for tile in self._tiles)
        self._side = int(scipy.fft.next_fast_len(2 * side - min(_LEAST_PX, side // 2), real=True))
        shape = (self._side, self._side)
        self._spectra = np.zeros((len(self._tiles), self._side, self._side // 2 + 1), np.complex64)
        for number, tile in enumerate(self._tiles):
            at = slice(tile.top, tile.top + tile.height), slice(tile.left, tile.left + tile.width)
            self._spectra[number] = scipy.fft.rfft2(_even(textures[tile.picture][at]), shape)
        self._picture = np.array([tile.picture for tile in self._tiles])
        self._heights = np.array([tile.height for tile in self._tiles])
        self._widths = np.array([tile.width for tile in self._tiles])
        places = np.arange(self._side)
        self._shifts = np.where(places <= self._side // 2, places, places - self._side)

    def partners(self, picture: int) -> list[Overlap]:
        """The later pictures that show ground of this one."""
        best: dict[int, Overlap] = {}
        for number in np.flatnonzero(self._picture == picture).tolist():
            others = np.flatnonzero(self._compared(picture))
            for start in range(0, len(others), _BATCH):
                for other, shift in self._candidates(number, others[start : start + _BATCH]):
                    found = self._confirmed(picture, other, shift)
                    if found and (other not in best or found.correlation > best[other].correlation):
                        best[other] = found
        return [best[other] for other in sorted(best)]

    def _compared(self, picture: int) -> NDArray[np.bool_]:
        """Which tiles are compared with those of a picture."""
        other = self._picture
        wanted: NDArray[np.bool_] = (other > picture) & (self._scenes[other] != self._scenes[picture])
        return wanted if self._sides is None else wanted & (self._sides[other] != self._sides[picture])

    def _candidates(self, number: int, others: NDArray[np.int64]) -> Iterator[tuple[int, tuple[int, int]]]:
        """Pictures whose best shift over a tile stands out, with that shift in full pixels (x, y)."""
        one = self._tiles[number]
        product = self._spectra[others].conj()
        product *= self._spectra[number]
        found = scipy.fft.irfft2(product, (self._side, self._side))
        # Over n pixels of unrelated ground the sum has a standard deviation of about sqrt(n).
        found *= self._weights(one.height, self._heights[others])[:, :, None]
        found *= self._weights(one.width, self._widths[others])[:, None, :]
        flat = found.reshape(len(others), -1)
        at = flat.argmax(axis=1)
        for k in np.flatnonzero(flat[np.arange(len(others)), at] >= _CANDIDATE):
            y, x = (int(self._shifts[place]) for place in divmod(int(at[k]), self._side))
            other = self._tiles[others[k]]
            shift = (x + one.left - other.left) * self._factor, (y + one.top - other.top) * self._factor
            yield other.picture, shift

    def _weights(self, length: int, others: NDArray[np.int64]) -> Texture:
        """1 / sqrt of the overlap's length at every shift, float32 [others, shifts]; 0 where it is too short."""
        overlap = np.minimum(length, self._shifts + others[:, None]) - np.maximum(self._shifts, 0)
        least = np.minimum(_LEAST_PX, np.minimum(length, others) // 2)[:, None]
        return np.where(overlap >= np.maximum(least, 1), np.maximum(overlap, 1) ** -0.5, 0).astype(np.float32)

    def _confirmed(self, picture: int, other: int, shift: tuple[int, int]) -> Overlap | None:
        """The exact shift near one, if the full images correlate there, sharply."""
        one, two = self._full(picture), self._full(other)
        reach = self._factor + _AROUND_PX
        first, second = _over_each_other(one, two, shift)
        shape = [scipy.fft.next_fast_len(side + reach, real=True) for side in first.shape]
        spectrum = scipy.fft.rfft2(first, shape) * scipy.fft.rfft2(second, shape).conj()
        near = np.arange(-reach, reach + 1)
        sums = scipy.fft.irfft2(spectrum, shape)[np.ix_(near % shape[0], near % shape[1])]
        y, x = divmod(int(sums.argmax()), len(near))
        peak = float(sums[y, x])
        sums[max(y - _PEAK_PX, 0) : y + _PEAK_PX + 1, max(x - _PEAK_PX, 0) : x + _PEAK_PX + 1] = 0
        exact = shift[0] + int(near[x]), shift[1] + int(near[y])
        correlation, pixels = _correlation(*_over_each_other(one, two, exact))
        clear = correlation >= SAME_GROUND and correlation * pixels**0.5 >= _CLEAR
        if not clear or peak < _SHARP * float(np.abs(sums).max()):
            return None
        return Overlap(picture, other, exact, correlation)

    def _full_texture(self, picture: int) -> Texture:
        shown = self._pictures[picture]
        return texture(shown.read(), shown.boxes, 1, _FULL_SIGMA)


def _over_each_other(one: Texture, two: Texture, shift: tuple[int, int]) -> tuple[Texture, Texture]:
    """The parts of both that lie over each other, the second's corner being at ``shift`` (x, y) of the first."""
    (x, y), (height, width) = shift, two.shape
    first = one[max(y, 0) : max(y + height, 0), max(x, 0) : max(x + width, 0)]
    second = two[max(-y, 0) :, max(-x, 0) :][: first.shape[0], : first.shape[1]]
    return first[: second.shape[0], : second.shape[1]], second


def _correlation(first: Texture, second: Texture) -> tuple[float, int]:
    """The correlation over the pixels that are known in both, and their number."""
    both = (first != 0) & (second != 0)
    first, second = first[both], second[both]
    power = float((first**2).sum()) * float((second**2).sum())
    return (float((first * second).sum()) / power**0.5 if power else 0.0), len(first)


def _even(shown: Texture) -> Texture:
    """The texture with a mean square of 1, as if all of it were known; nothing where hardly any of it is."""
    power = float((shown**2).mean())
    even: Texture = shown / power**0.5 if power > _LEAST_KNOWN else np.zeros_like(shown)
    return even


def _tiles(picture: int, height: int, width: int) -> Iterator[_Tile]:
    for top in _starts(height):
        for left in _starts(width):
            yield _Tile(picture, top, left, min(height - top, _TILE_PX), min(width - left, _TILE_PX))


def _starts(length: int) -> list[int]:
    """Where tiles begin; the last one ends with the image."""
    if length <= _TILE_PX:
        return [0]
    return [*range(0, length - _TILE_PX, _TILE_PX // 2), length - _TILE_PX]


def _reduced(values: Texture, factor: int) -> Texture:
    height, width = (max(side // factor, 1) for side in values.shape)
    blocks = values[: height * factor, : width * factor]
    down, across = min(factor, blocks.shape[0]), min(factor, blocks.shape[1])
    mean: Texture = blocks.reshape(height, down, width, across).mean(axis=(1, 3))
    return mean


def _rough(grey: Texture) -> Texture:
    """1, and 0 in and around blocks of one value: the edge of a fill is no speckle."""
    height, width = (-(-side // _BLOCK_PX) for side in grey.shape)
    below, beside = height * _BLOCK_PX - grey.shape[0], width * _BLOCK_PX - grey.shape[1]
    blocks = np.pad(grey, ((0, below), (0, beside)), "edge").reshape(height, _BLOCK_PX, width, _BLOCK_PX)
    flat = binary_dilation(blocks.max((1, 3)) == blocks.min((1, 3)), np.ones((3, 3)))
    known = (~flat).astype(np.float32).repeat(_BLOCK_PX, 0).repeat(_BLOCK_PX, 1)
    kept: Texture = known[: grey.shape[0], : grey.shape[1]]
    return kept


def _codes(keys: Sequence[object]) -> NDArray[np.int64]:
    numbers: dict[object, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _within(keys: Sequence[object]) -> int:
    """How many pairs have one key."""
    counts = np.bincount(_codes(keys)) if len(keys) else np.zeros(0, np.int64)
    return int((counts * (counts - 1) // 2).sum())

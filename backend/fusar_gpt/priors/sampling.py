"""The nodes of a chip, and the pixels of tiles that each is averaged from (FUSAR-GPT eq. 2)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray

from fusar_gpt.errors import PriorError
from fusar_gpt.frames import ChipPoints, LonLatPoints
from fusar_gpt.prior_options import BILINEAR, LARGEST_GRID, NEAREST, RESAMPLINGS
from fusar_gpt.priors.field import DIMENSIONS, NODATA_CODE, Footprint
from fusar_gpt.priors.tiles import PIXEL_M, TILE_PX, CodesOf, Tile, degrees_to_utm, utm_zones

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Scalar = TypeVar("Scalar", np.intp, np.float64)

MOST_NODES = 16
"""Nodes a side by default: the bundled model was trained with 8 to 16, and the Gaussian of TLM, one token wide, smooths
anything finer."""

LARGEST_SIDE_M = 40_000.0
"""Width and height of the largest footprint: a gigabyte of tiles."""

_DEGREE_M = 111_700.0  # the longest degree of latitude or longitude on WGS84
_MOST_PARTS = 8  # that a node's cell is divided into along one side
_SLACK = 0.05  # of a pixel: a cell larger by this still counts as one, for a degree is known no better
_AT_ONCE = 2**18  # pixels gathered at a time, of 64 bytes each
_IN_CACHE = (
    2**12
)  # pixels computed at a time: larger temporaries leave the CPU's cache and cost five times as much
_DEGREE = 6  # of the polynomials that approximate a projection: over a whole zone within a micrometre
_ROOTS = chebyshev.chebpts1(_DEGREE + 1)
_FIT = np.linalg.inv(chebyshev.chebvander(_ROOTS, _DEGREE))
_VECTOR = np.dtype((np.void, DIMENSIONS))  # the 64 codes of a pixel, copied as one


@dataclass(frozen=True)
class Sampling:
    """How many nodes a chip gets, and how a node's vector is taken from the pixels around it.

    Attributes:
        nodes: N_lon and N_lat (FUSAR-GPT eq. 2). By default 10 m apart or less, at most ``MOST_NODES`` and at
            least 2 a side.
        resampling: For nodes up to 10 m apart. ``nearest``, the default, takes the pixel that a node falls in,
            unchanged. ``bilinear`` mixes the four pixels around it. Nodes farther apart take the mean over their
            cell in either case: a single pixel would not represent it.

    Raises:
        PriorError: Fewer than 2 nodes a side, more than ``LARGEST_GRID``, or another resampling.
    """

    nodes: tuple[int, int] | None = None
    resampling: str = NEAREST

    def __post_init__(self) -> None:
        if self.nodes and not all(2 <= count <= LARGEST_GRID for count in self.nodes):
            raise PriorError(f"A prior has 2 to {LARGEST_GRID} nodes a side: give, say, 16,16.")
        if self.resampling not in RESAMPLINGS:
            raise PriorError(f"{self.resampling!r} is not a resampling: give {' or '.join(RESAMPLINGS)}.")

    def shape(self, footprint: Footprint) -> tuple[int, int]:
        """N_lon and N_lat."""
        if self.nodes:
            return self.nodes
        width, height = (_pixels(side) + 1 for side in _extent_m(footprint))
        return min(width, MOST_NODES), min(height, MOST_NODES)

    def samples(self, footprint: Footprint) -> Samples:
        """The nodes that lie on the chip, and the pixels they are averaged from.

        Raises:
            PriorError: The footprint is wider or higher than ``LARGEST_SIDE_M``.
        """
        extent = _extent_m(footprint)
        if max(extent) > LARGEST_SIDE_M:
            raise PriorError(
                f"A prior of {extent[0] / 1000:.0f} km x {extent[1] / 1000:.0f} km is too large: "
                f"ask for {LARGEST_SIDE_M / 1000:.0f} km x {LARGEST_SIDE_M / 1000:.0f} km at most."
            )
        shape = self.shape(footprint)
        cells = (side / (count - 1) for side, count in zip(extent, shape, strict=True))
        parts = [min(_pixels(cell), _MOST_PARTS) for cell in cells]
        lonlat = footprint.nodes(shape)
        chip = footprint.lonlat_to_chip(lonlat)
        on = footprint.holds(chip)
        find = _pixels_around if parts == [1, 1] and self.resampling == BILINEAR else _pixels_at
        lon = _subdivide(footprint.west, footprint.span[0], shape[0], parts[0])
        lat = _subdivide(footprint.south, footprint.span[1], shape[1], parts[1]).clip(-90, 90)
        rows = max(_AT_ONCE // (len(lon) * parts[1]), 1)
        pixels = []
        for row in range(0, shape[1], rows):
            wanted = on[row * shape[0] : (row + rows) * shape[0]]
            if wanted.any():
                places = _places(lon, lat[row * parts[1] : (row + rows) * parts[1]], parts)
                pixels.append(find(places if wanted.all() else places.of(wanted)))
        if not on.all():
            lonlat, chip = LonLatPoints(lonlat.x[on], lonlat.y[on]), ChipPoints(chip.x[on], chip.y[on])
        return Samples(lonlat, chip, tuple(pixels))


@dataclass(frozen=True, eq=False)
class Samples:
    """N nodes and the pixels they are averaged from.

    Attributes:
        lonlat: The nodes.
        chip: The nodes on the chip.
        pixels: Their pixels, some nodes at a time.
    """

    lonlat: LonLatPoints
    chip: ChipPoints
    pixels: tuple[Pixels, ...]

    @property
    def tiles(self) -> tuple[Tile, ...]:
        """All tiles that are needed, each once."""
        return tuple(dict.fromkeys(tile for pixels in self.pixels for tile in pixels.tiles))

    def values(self, codes: CodesOf) -> NDArray[np.float32]:
        """Vectors [N, 64] of any length, zero where there is no data; ``codes`` gives each of ``tiles``."""
        if len(self.pixels) == 1:
            return self.pixels[0].values(codes)
        nothing = np.empty((0, DIMENSIONS), np.float32)
        return np.concatenate([nothing, *(pixels.values(codes) for pixels in self.pixels)])


@dataclass(frozen=True, eq=False)
class Pixels:
    """The K pixels that each of N nodes is averaged from.

    Attributes:
        tiles: The tiles they are in, the one with most of them first.
        tile: Index of each pixel's tile, int [K, N].
        pixel: The pixel in its tile, row * 128 + column from the top left, int [K, N].
        weight: The weight of each pixel, float32 [K, N] or [1, 1].
    """

    tiles: tuple[Tile, ...]
    tile: Ints
    pixel: Ints
    weight: NDArray[np.float32]

    @classmethod
    def of(cls, zone: Ints, col: Ints, up: Ints, weight: NDArray[np.float32]) -> Pixels:
        """From int [K, N]: signed zone, and pixels counted eastward from easting 0 and upward from northing 0."""
        where = np.stack([zone, col // TILE_PX, up // TILE_PX]).reshape(3, -1)
        low = where.min(axis=1, keepdims=True)
        box = tuple((where.max(axis=1) - low[:, 0] + 1).tolist())
        key = np.ravel_multi_index(tuple(where - low), box)
        found, index, count = np.unique(key, return_inverse=True, return_counts=True)
        order = np.argsort(-count, kind="stable")
        tiles = np.stack(np.unravel_index(found[order], box), axis=1) + low.T
        return cls(
            tuple(Tile.of(number, left, bottom) for number, left, bottom in tiles.tolist()),
            np.argsort(order)[index].reshape(zone.shape),
            (TILE_PX - 1 - up % TILE_PX) * TILE_PX + col % TILE_PX,
            weight,
        )

    def values(self, codes: CodesOf) -> NDArray[np.float32]:
        """The weighted sums of the de-quantised vectors, [N, 64], zero where no pixel has data.

        Vectors are normalised later, so the common factor 1 / 127.5^2 of all v |v| is left out. Where all weights are 1
        these are sums of whole numbers below 2^24, hence exact.
        """
        stored = np.empty(self.tile.shape, _VECTOR)
        for index, tile in enumerate(self.tiles):
            there = self.tile == index
            pixels = np.ascontiguousarray(codes(tile).transpose(1, 2, 0)).view(_VECTOR).ravel()
            stored[there] = pixels.take(self.pixel[there])
        layers = stored.view(np.int8).reshape(*stored.shape, DIMENSIONS)
        weight = np.where(layers[..., 0] == NODATA_CODE, np.float32(0), self.weight)
        values = np.empty(layers.shape[1:], np.float32)
        size = _IN_CACHE // len(layers)
        for start in range(0, len(values), size):
            some = slice(start, start + size)
            square = layers[:, some].astype(np.int16)
            square *= np.abs(square)
            np.einsum("kn,knc->nc", weight[:, some], square.astype(np.float32), out=values[some])
        return values


@dataclass(frozen=True, eq=False)
class _Places:
    """K places for each of N nodes, [K, N] each: signed UTM zone, easting and northing in pixels of 10 m."""

    zone: Ints
    x: Floats
    y: Floats

    def of(self, wanted: NDArray[np.bool_]) -> _Places:
        """Those of some nodes."""
        return _Places(self.zone[:, wanted], self.x[:, wanted], self.y[:, wanted])


def _pixels_at(places: _Places) -> Pixels:
    """The pixel that each place falls in."""
    col, up = np.floor(places.x).astype(np.intp), np.floor(places.y).astype(np.intp)
    return Pixels.of(places.zone, col, up, np.ones((1, 1), np.float32))


def _pixels_around(places: _Places) -> Pixels:
    """The four pixels whose centres surround the single place of each node, in the same zone, weighted bilinearly."""
    left, lower = np.floor(places.x - 0.5), np.floor(places.y - 0.5)
    right_share, upper_share = places.x - 0.5 - left, places.y - 0.5 - lower
    across = np.concatenate([1 - right_share, right_share] * 2)
    along = np.concatenate([1 - upper_share] * 2 + [upper_share] * 2)
    col = np.concatenate([left, left + 1] * 2).astype(np.intp)
    up = np.concatenate([lower] * 2 + [lower + 1] * 2).astype(np.intp)
    return Pixels.of(np.tile(places.zone, (4, 1)), col, up, (across * along).astype(np.float32))


def _subdivide(start: float, span: float, nodes: int, parts: int) -> Floats:
    """The cells of evenly spaced nodes along one side, each in equal parts: their centres [nodes * parts], degrees."""
    cell = span / (nodes - 1)
    within = ((np.arange(parts) + 0.5) / parts - 0.5) * cell
    return np.ravel(np.linspace(start, start + span, nodes)[:, None] + within)


def _places(lon: Floats, lat: Floats, parts: Sequence[int]) -> _Places:
    """The places of a grid of longitudes and latitudes, ``parts`` (across, up) of which belong to one node."""
    numbers = utm_zones(LonLatPoints(lon, np.zeros(len(lon))))
    zone = np.where(lat[:, None] < 0, -numbers, numbers)
    x, y = np.empty(zone.shape), np.empty(zone.shape)
    for rows in _runs(lat < 0):
        for cols in _runs(numbers):
            number = int(zone[rows.start, cols.start])
            x[rows, cols], y[rows, cols] = _project(number, lon[cols], lat[rows])

    def by_node(grid: NDArray[Scalar]) -> NDArray[Scalar]:
        cells = grid.reshape(-1, parts[1], len(lon) // parts[0], parts[0])
        return cells.transpose(1, 3, 0, 2).reshape(math.prod(parts), -1)

    return _Places(by_node(zone), by_node(x / PIXEL_M), by_node(y / PIXEL_M))


def _runs(values: NDArray[Any]) -> list[slice]:
    """Slices of equal neighbours."""
    edges = [0, *(np.flatnonzero(values[1:] != values[:-1]) + 1).tolist(), len(values)]
    return [slice(start, stop) for start, stop in itertools.pairwise(edges)]


def _project(zone: int, lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """Eastings and northings [lat, lon] of a grid that lies in one zone.

    Only 7 x 7 places are projected and the others interpolated: to project them all would take longer than
    everything else together.
    """
    few_lon, lon_share = _polynomials(lon)
    few_lat, lat_share = _polynomials(lat)
    x, y = degrees_to_utm(zone).transform(*np.meshgrid(few_lon, few_lat))
    return lat_share @ x @ lon_share.T, lat_share @ y @ lon_share.T


def _polynomials(values: Floats) -> tuple[Floats, Floats]:
    """The 7 Chebyshev nodes in the range of N rising values, and their interpolation weights [N, 7]."""
    middle, half = (values[-1] + values[0]) / 2, max((values[-1] - values[0]) / 2, 1e-9)
    shares: Floats = chebyshev.chebvander((values - middle) / half, _DEGREE) @ _FIT
    return middle + half * _ROOTS, shares


def _pixels(side_m: float) -> int:
    """How many pixels a side of so many metres has, at least 1."""
    return max(math.ceil(side_m / PIXEL_M - _SLACK), 1)


def _extent_m(footprint: Footprint) -> tuple[float, float]:
    """Width, where it is widest, and height of B in metres, at most 0.6 % too large; zero if it is nowhere."""
    width, height = footprint.span
    if not (math.isfinite(width) and math.isfinite(height)):
        return 0.0, 0.0
    latitude = max(footprint.south, -footprint.north, 0.0)
    return width * _DEGREE_M * math.cos(math.radians(latitude)), height * _DEGREE_M

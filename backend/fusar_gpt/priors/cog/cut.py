"""A tile cut from COGs of any alignment and CRS, by the pixel that each of its pixel centres falls in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog.blocks import Header
from fusar_gpt.priors.cog.files import CogFile
from fusar_gpt.priors.field import DIMENSIONS
from fusar_gpt.priors.tiles import TILE_M, TILE_PX, Codes, Tile
from fusar_gpt.priors.vectors import NODATA_CODE

Where = tuple[CogFile, int, int]
"""A file, and the row and column of a block in it."""


def cut(
    tile: Tile,
    files: Sequence[CogFile],
    header: Callable[[CogFile], Header],
    block: Callable[[Where], NDArray[np.int8]],
) -> Codes:
    """The codes of a tile, -128 where no file has data.

    The first file with data wins. A file in another CRS than the tile's serves only pixels that none in the
    tile's own reaches.

    Args:
        tile: Which.
        files: Those that may touch it, those in its own CRS first.
        header: Gives a file's header; called only if the file is needed.
        block: Gives the codes of a block; called only if the block is needed.
    """
    codes: Codes = np.full((DIMENSIONS, TILE_PX * TILE_PX), NODATA_CODE, np.int8)
    empty = np.ones(TILE_PX * TILE_PX, bool)
    reached = np.zeros_like(empty)
    for file in files:
        own = file.crs == f"EPSG:{tile.epsg}"
        wanted = empty if own else empty & ~reached
        if not wanted.any():
            continue
        head = header(file)
        row, col, inside = _places(tile, head)
        if own:
            reached |= inside
        row, col, pixels = row[wanted & inside], col[wanted & inside], np.flatnonzero(wanted & inside)
        for block_row, block_col in _blocks(row, col, head):
            here = (row // head.block[0] == block_row) & (col // head.block[1] == block_col)
            stored = block((file, block_row, block_col))
            place = (row[here] - block_row * head.block[0]) * stored.shape[2]
            place += col[here] - block_col * head.block[1]
            found: Codes = stored.reshape(DIMENSIONS, -1).take(place, axis=1)
            has_data = (found != NODATA_CODE).all(axis=0)
            filled = pixels[here][has_data]
            if len(filled) == len(empty):  # as nearly always: the tile in order
                return found.reshape(DIMENSIONS, TILE_PX, TILE_PX)
            codes[:, filled] = found[:, has_data]
            empty[filled] = False
    return codes.reshape(DIMENSIONS, TILE_PX, TILE_PX)


def touched(tile: Tile, head: Header, block_row: int, block_col: int) -> Iterator[Tile]:
    """The tiles of a tile's zone that touch a block, if the block's file is in that zone's CRS."""
    if _to_file(tile.epsg, head.crs) is not None:
        return
    window = head.window(block_row, block_col)
    corners = [
        head.transform @ (col, row)
        for col in (window.col_off, window.col_off + window.width)
        for row in (window.row_off, window.row_off + window.height)
    ]
    (left, bottom), (right, top) = np.min(corners, axis=0) / TILE_M, np.max(corners, axis=0) / TILE_M
    for row in range(math.floor(bottom), math.ceil(top)):
        for col in range(math.floor(left), math.ceil(right)):
            yield Tile(tile.zone, tile.south, col, row)


def _places(tile: Tile, head: Header) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.bool_]]:
    """Row and column in the file of the pixel that each pixel centre falls in, and whether there is one."""
    row, col = np.indices((TILE_PX, TILE_PX)).reshape(2, -1) + 0.5
    x, y = tile.transform @ (col, row)
    if (to_file := _to_file(tile.epsg, head.crs)) is not None:
        x, y = (np.asarray(axis) for axis in to_file.transform(x, y))
    with np.errstate(invalid="ignore"):  # a place that the file's CRS cannot express is infinite
        col, row = ~head.transform @ (x, y)
        inside = (col >= 0) & (col < head.width) & (row >= 0) & (row < head.height)
    return np.where(inside, row, 0).astype(int), np.where(inside, col, 0).astype(int), inside


def _blocks(row: NDArray[np.int_], col: NDArray[np.int_], head: Header) -> Iterator[tuple[int, int]]:
    """The rows and columns of the blocks that pixels lie in."""
    across = head.width // head.block[1] + 1
    for number in np.unique(row // head.block[0] * across + col // head.block[1]).tolist():
        yield divmod(number, across)


@lru_cache(maxsize=256)
def _to_file(epsg: int, crs: str) -> Transformer | None:
    """From a zone's CRS to a file's, x first; None if they are the same."""
    try:
        if CRS.from_wkt(crs).to_epsg() == epsg:
            return None
        return Transformer.from_crs(f"EPSG:{epsg}", crs, always_xy=True)
    except ProjError as error:
        raise PriorError("A COG has a CRS that is not on Earth: warp it to its UTM zone.") from error

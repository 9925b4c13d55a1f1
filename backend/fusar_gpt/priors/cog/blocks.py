"""Blocks of COGs, each read whole and once through GDAL, and tiles cut from them."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from threading import Event, Lock

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog import remote
from fusar_gpt.priors.cog.files import CogFile, NotAtHandError
from fusar_gpt.priors.field import DIMENSIONS, NODATA_CODE
from fusar_gpt.priors.retry import Deadline
from fusar_gpt.priors.tiles import TILE_PX, Codes, Tile, tiles_within

READERS = 8
"""Connections at a time: bands lie far apart in a COG, each is a request of its own."""

_SIDE = 1024  # of a block of the public COGs; larger ones are read in parts
_MOST_BLOCKS = 4  # kept, of up to 64 MiB each; a tile may lie on four
_MOST_FILES = 8  # kept open
_LARGEST = 2**22  # pixels of a file's own blocks, which GDAL decodes whole
_INGESTED = 65_536  # bytes of a header


@dataclass(frozen=True)
class Header:
    """What a COG says of itself.

    Attributes:
        transform: Pixels (col, row) to its CRS; of any direction.
        crs: As WKT.
        width, height: In pixels.
        block: Rows and columns of the blocks it is read in.
        planar: Whether each band has blocks of its own.
    """

    transform: Affine
    crs: str
    width: int
    height: int
    block: tuple[int, int]
    planar: bool

    @classmethod
    def of(cls, raster: DatasetReader, url: str) -> Header:
        """The header of an open file. PriorError when it is not AEF."""
        name = Path(url).name
        if raster.count != DIMENSIONS or set(raster.dtypes) != {"int8"}:
            raise PriorError(
                f"{name} is not an AlphaEarth file: expected 64 int8 bands, found {raster.count} of "
                f"{', '.join(sorted(set(raster.dtypes)))}."
            )
        if raster.crs is None or raster.transform.is_degenerate:
            raise PriorError(f"{name} is not an AlphaEarth file: it has no CRS or no geotransform.")
        rows, cols = raster.block_shapes[0]
        if rows * cols > _LARGEST:
            raise PriorError(f"{name} has blocks of {rows} x {cols} pixels: tile it by 1024 x 1024.")
        planar = raster.interleaving is not Interleaving.pixel
        block = _part(rows), _part(cols)
        return cls(raster.transform, raster.crs.to_wkt(), raster.width, raster.height, block, planar)

    def window(self, row: int, col: int) -> Window:
        """The pixels of a block."""
        top, left = row * self.block[0], col * self.block[1]
        return Window(left, top, min(self.block[1], self.width - left), min(self.block[0], self.height - top))

    def tiles_on(self, zone: int, row: int, col: int) -> Iterator[Tile]:
        """The tiles of a zone that touch a block, if the file is in that zone's CRS."""
        if _to_file(Tile.of(zone).epsg, self.crs) is not None:
            return
        window = self.window(row, col)
        cols, rows = np.meshgrid(*(np.array(side) for side in reversed(window.toranges())))
        x, y = self.transform @ (cols, rows)
        yield from tiles_within(zone, (x.min(), y.min(), x.max(), y.max()))

    def pixels_of(self, tile: Tile) -> tuple[NDArray[np.int_], NDArray[np.int_], NDArray[np.bool_]]:
        """Row and column of the pixel that each pixel centre of a tile falls in, and whether there is one."""
        x, y = tile.pixel_centres()
        if (to_file := _to_file(tile.epsg, self.crs)) is not None:
            x, y = (np.asarray(axis) for axis in to_file.transform(x, y))
        with np.errstate(invalid="ignore"):  # a place that the file's CRS cannot express is infinite
            col, row = ~self.transform @ (x, y)
            inside = (col >= 0) & (col < self.width) & (row >= 0) & (row < self.height)
        return np.where(inside, row, 0).astype(int), np.where(inside, col, 0).astype(int), inside


def _part(side: int) -> int:
    """The side of the pieces a file is read in: whole blocks, no smaller than a tile, no larger than 1024."""
    return _SIDE if side > _SIDE else side * max(1, -(-TILE_PX // side))


@lru_cache(maxsize=256)
def _to_file(epsg: int, crs: str) -> Transformer | None:
    """From a zone's CRS to a file's, x first; None if they are the same."""
    try:
        if CRS.from_wkt(crs).to_epsg() == epsg:
            return None
        return Transformer.from_crs(f"EPSG:{epsg}", crs, always_xy=True)
    except ProjError as error:
        raise PriorError("A COG has a CRS that is not on Earth: warp it to its UTM zone.") from error


def cut_tile(
    tile: Tile,
    files: Sequence[CogFile],
    header: Callable[[CogFile], Header],
    block: Callable[[CogFile, int, int], NDArray[np.int8]],
) -> Codes:
    """The codes of a tile, -128 where no file has data: of the pixel that each of its pixel centres falls in.

    The first file with data wins. A file in another CRS than the tile's serves only pixels that none in the
    tile's own reaches.

    Args:
        tile: Which.
        files: Those that may touch it, those in its own CRS first.
        header: Gives a file's header; called only if the file is needed.
        block: Gives the codes of a block of a file by its row and column; called only if the block is needed.
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
        row, col, inside = head.pixels_of(tile)
        if own:
            reached |= inside
        row, col, pixels = row[wanted & inside], col[wanted & inside], np.flatnonzero(wanted & inside)
        across = head.width // head.block[1] + 1
        number = row // head.block[0] * across + col // head.block[1]
        for one in np.unique(number).tolist():
            here = number == one
            block_row, block_col = divmod(one, across)
            stored = block(file, block_row, block_col)
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


@dataclass
class _Block:
    codes: NDArray[np.int8]
    missing: set[int] = field(default_factory=lambda: set(range(1, DIMENSIONS + 1)))
    filling: Lock = field(default_factory=Lock)


class BlockReader:
    """Reads blocks for any number of threads, each once; what came before a failure is kept for the next attempt.

    Args:
        credentials: Who asks a server; None for files on disk.
    """

    def __init__(self, credentials: remote.GcsCredentials | None) -> None:
        self._credentials = credentials
        self._files: OrderedDict[str, tuple[DatasetReader, Header]] = OrderedDict()
        self._blocks: OrderedDict[tuple[str, int, int], _Block] = OrderedDict()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="cog")

    def header(self, url: str, deadline: Deadline | None) -> Header:
        """A file's header. Raises as ``block``."""
        with self._lock:
            if url in self._files:
                self._files.move_to_end(url)
                return self._files[url][1]
        if deadline is None:
            raise NotAtHandError(url)
        try:
            raster = deadline.run(partial(self._open, url, deadline.seconds))
        except RasterioError:
            raise self._failure(url, deadline) from None
        try:
            header = Header.of(raster, url)
        except PriorError:
            raster.close()
            raise
        with self._lock:
            if self._files.setdefault(url, (raster, header))[0] is not raster:
                raster.close()  # another thread was faster
            while len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)[1][0].close()
        return header

    def block(self, url: str, row: int, col: int, deadline: Deadline | None) -> NDArray[np.int8]:
        """The codes of a block, int8 [64, rows, columns]. Without a deadline nothing is fetched.

        Raises:
            NotAtHandError: It would have to be fetched.
            TransientError: The server does not give it now; another attempt begins where this one ended.
            Unavailable: The server will not give it.
            PriorError: The file is damaged, or not AEF.
            TimeoutError, Cancelled: As for ``Deadline.wait``.
        """
        header = self.header(url, deadline)
        window = header.window(row, col)
        with self._lock:
            block = self._blocks.get((url, row, col))
            if deadline is None:
                if block is None or block.missing:
                    raise NotAtHandError(url)
                return block.codes
            if block is None:
                size = DIMENSIONS, int(window.height), int(window.width)
                block = self._blocks[url, row, col] = _Block(np.empty(size, np.int8))
            self._blocks.move_to_end((url, row, col))
            while len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        with deadline.holding(block.filling):
            if block.missing:
                self._fill(block, url, header, window, deadline)
        return block.codes

    def close(self) -> None:
        """Close the files; reads under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            while self._files:
                self._files.popitem()[1][0].close()

    def _fill(self, block: _Block, url: str, header: Header, window: Window, deadline: Deadline) -> None:
        """Read the missing bands, several at a time where they do not share blocks."""
        bands = sorted(block.missing)
        parts = [bands[first::READERS] for first in range(READERS)] if header.planar else [bands]
        stop = Event()
        read = partial(self._read, block, url, window, deadline.seconds, stop)
        futures = [self._pool.submit(read, part) for part in parts if part]
        try:
            try:
                deadline.wait(futures)
            finally:
                stop.set()
                for future in futures:
                    future.cancel()
        except RasterioError:
            raise self._failure(url, deadline) from None

    def _read(
        self, block: _Block, url: str, window: Window, seconds: float, stop: Event, bands: list[int]
    ) -> None:
        """Read bands into the block, through a file of this thread's own: GDAL keeps its header, not its blocks."""
        with (
            self._environment(),
            rasterio.open(self._name(url, seconds), driver="GTiff", sharing=False) as raster,
        ):
            for band in bands:
                if stop.is_set():
                    return
                block.codes[band - 1] = raster.read(band, window=window)
                block.missing.discard(band)

    def _open(self, url: str, seconds: float) -> DatasetReader:
        """Open a file such that closing it makes GDAL forget all it has cached of it, failures included."""
        with self._environment(CPL_VSIL_CURL_NON_CACHED="/vsicurl"):
            return rasterio.open(self._name(url, seconds), driver="GTiff", sharing=False)

    def _name(self, url: str, seconds: float) -> str:
        return remote.gdal_path(url, seconds) if self._credentials else url

    @contextlib.contextmanager
    def _environment(self, **options: str) -> Iterator[None]:
        """GDAL's options for this thread alone."""
        if not self._credentials:
            yield
            return
        headers = [f"{name}: {value}" for name, value in self._credentials.headers().items()]
        if headers:
            options["GDAL_HTTP_HEADERS"] = "\r\n".join(headers)
        with rasterio.Env(GDAL_INGESTED_BYTES_AT_OPEN=_INGESTED, GDAL_HTTP_NETRC="NO", **options):
            yield

    def _failure(self, url: str, deadline: Deadline) -> PriorError:
        """What GDAL's failure means; forgets what it may have half read."""
        with self._lock:
            if found := self._files.pop(url, None):
                found[0].close()
        if self._credentials is None:
            return PriorError(f"{Path(url).name} cannot be read, it is damaged or gone: fetch it again.")
        return deadline.run(partial(remote.examine, url, self._credentials.headers(), deadline.left))

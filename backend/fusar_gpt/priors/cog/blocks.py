"""Blocks of COGs, read whole and once through GDAL; what came before a failure is kept for the next try."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event, Lock

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.transform import Affine
from rasterio.windows import Window

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog import remote
from fusar_gpt.priors.cog.access import Access
from fusar_gpt.priors.cog.turn import PassingError, Turn
from fusar_gpt.priors.field import DIMENSIONS
from fusar_gpt.priors.tiles import TILE_PX

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
        width: In pixels.
        height: In pixels.
        block: Rows and columns of the blocks it is read in.
        planar: Whether each band has blocks of its own.
    """

    transform: Affine
    crs: str
    width: int
    height: int
    block: tuple[int, int]
    planar: bool

    def window(self, row: int, col: int) -> Window:
        """The pixels of a block."""
        top, left = row * self.block[0], col * self.block[1]
        return Window(left, top, min(self.block[1], self.width - left), min(self.block[0], self.height - top))


@dataclass
class _Block:
    codes: NDArray[np.int8]
    missing: set[int] = field(default_factory=lambda: set(range(1, DIMENSIONS + 1)))
    filling: Lock = field(default_factory=Lock)


Key = tuple[str, int, int]
"""A file's URL or path, and the row and column of a block in it."""


class Blocks:
    """Reads blocks for any number of threads, each block once.

    Args:
        access: Who asks a server; None for files on disk.
    """

    def __init__(self, access: Access | None) -> None:
        self._access = access
        self._files: OrderedDict[str, tuple[DatasetReader, Header]] = OrderedDict()
        self._blocks: OrderedDict[Key, _Block] = OrderedDict()
        self._lock = Lock()

    def header(self, url: str, turn: Turn) -> Header:
        """A file's header. Raises as ``block``."""
        with self._lock:
            if url in self._files:
                self._files.move_to_end(url)
                return self._files[url][1]
        try:
            raster = turn.run(partial(self._open, url, turn.patience.deadline_s))
        except RasterioError:
            raise self._why(url, turn) from None
        try:
            header = _header(raster, url)
        except PriorError:
            raster.close()
            raise
        with self._lock:
            if self._files.setdefault(url, (raster, header))[0] is not raster:
                raster.close()  # another thread was faster
            while len(self._files) > _MOST_FILES:
                self._files.popitem(last=False)[1][0].close()
        return header

    def known(self, url: str) -> Header:
        """A header that is at hand, else LookupError."""
        with self._lock:
            return self._files[url][1]

    def whole(self, key: Key) -> NDArray[np.int8]:
        """A block that is at hand, else LookupError."""
        with self._lock:
            block = self._blocks[key]
        if block.missing:
            raise LookupError(key)
        return block.codes

    def block(self, key: Key, turn: Turn) -> NDArray[np.int8]:
        """The codes of a block, int8 [64, rows, columns].

        Raises:
            PassingError: The server does not give it now; another try begins where this one ended.
            Unavailable: The server will not give it.
            PriorError: The file is damaged, or no AEF.
            TimeoutError, Cancelled: As for ``Turn.wait``.
        """
        url, row, col = key
        header = self.header(url, turn)
        window = header.window(row, col)
        with self._lock:
            block = self._blocks.get(key) or _Block(
                np.empty((DIMENSIONS, int(window.height), int(window.width)), np.int8)
            )
            self._blocks[key] = block
            self._blocks.move_to_end(key)
            while len(self._blocks) > _MOST_BLOCKS:
                self._blocks.popitem(last=False)
        with turn.holding(block.filling):
            if block.missing:
                self._fill(block, url, header, window, turn)
        return block.codes

    def close(self) -> None:
        """Closes the files."""
        with self._lock:
            while self._files:
                self._files.popitem()[1][0].close()

    def _fill(self, block: _Block, url: str, header: Header, window: Window, turn: Turn) -> None:
        """Reads the missing bands, several at a time where they do not share blocks."""
        bands = sorted(block.missing)
        parts = [bands[first::READERS] for first in range(READERS)] if header.planar else [bands]
        stop = Event()
        read = partial(self._read, block, url, window, turn.patience.deadline_s, stop)
        futures: list[Future[None]] = [turn.pool.submit(read, part) for part in parts if part]
        try:
            turn.wait(futures, stop)
            for future in futures:
                future.result()
        except RasterioError:
            raise self._why(url, turn) from None

    def _read(
        self, block: _Block, url: str, window: Window, seconds: float, stop: Event, bands: list[int]
    ) -> None:
        """Bands into the block, through a file of this thread's own: GDAL keeps its header, not its blocks."""
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
        """Opens a file such that closing it makes GDAL forget all it has cached of it, failures included."""
        with self._environment(CPL_VSIL_CURL_NON_CACHED="/vsicurl"):
            return rasterio.open(self._name(url, seconds), driver="GTiff", sharing=False)

    def _name(self, url: str, seconds: float) -> str:
        return remote.gdal_path(url, seconds) if self._access else url

    @contextlib.contextmanager
    def _environment(self, **options: str) -> Iterator[None]:
        """GDAL's options for this thread alone."""
        if not self._access:
            yield
            return
        with rasterio.Env(
            GDAL_INGESTED_BYTES_AT_OPEN=_INGESTED,
            GDAL_HTTP_NETRC="NO",
            **_said(self._access.headers()),
            **options,
        ):
            yield

    def _why(self, url: str, turn: Turn) -> PassingError:
        """What GDAL's failure means; forgets what it may have half read."""
        with self._lock:
            if found := self._files.pop(url, None):
                found[0].close()
        if self._access is None:
            raise PriorError(f"{Path(url).name} cannot be read, it is damaged or gone: fetch it again.")
        return turn.run(partial(remote.examine, url, self._access.headers(), turn.left))


def _said(headers: Mapping[str, str]) -> dict[str, str]:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return {"GDAL_HTTP_HEADERS": "\r\n".join(lines)} if lines else {}


def _header(raster: DatasetReader, url: str) -> Header:
    """What a file says of itself. PriorError when it is no AEF."""
    name = Path(url).name
    if raster.count != DIMENSIONS or set(raster.dtypes) != {"int8"}:
        raise PriorError(f"{name} is no AEF: it has not 64 bands of int8.")
    if raster.crs is None or raster.transform.is_degenerate:
        raise PriorError(f"{name} is no AEF: it has no place on the ground.")
    rows, cols = raster.block_shapes[0]
    if rows * cols > _LARGEST:
        raise PriorError(f"{name} has blocks of {rows} x {cols} pixels: tile it by 1024 x 1024.")
    return Header(
        raster.transform,
        raster.crs.to_wkt(),
        raster.width,
        raster.height,
        (_part(rows), _part(cols)),
        raster.interleaving is not Interleaving.pixel,
    )


def _part(side: int) -> int:
    """The side of the pieces a file is read in: whole blocks, no smaller than a tile, no larger than 1024."""
    return _SIDE if side > _SIDE else side * max(1, -(-TILE_PX // side))

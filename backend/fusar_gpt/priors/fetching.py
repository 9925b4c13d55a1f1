"""Tiles at hand and tiles on their way: each is fetched once, however many chips and threads want it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import TypeVar

import numpy as np

from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.field import DIMENSIONS
from fusar_gpt.priors.patience import POLL_S, Patience
from fusar_gpt.priors.tiles import TILE_PX, Codes, Tile, TileSource, Unavailable
from fusar_gpt.priors.vectors import NODATA_CODE

T = TypeVar("T")
Wanted = tuple[Tile, int]
"""A tile of a year."""

MEMORY_TILES = 128
"""Tiles kept in memory, of 1 MB each."""

FAILURES = 3
"""Failures running after which a source is left alone."""

PAUSE_S = 30.0
"""Seconds for which it is."""

GRACE_S = 5.0
"""Seconds beyond its deadline after which a source that does not come back is given up."""


class Fetching:
    """The tiles of one source: in memory, in the cache, or being fetched by its ``parallel`` threads.

    Args:
        source: Who is asked. One with an attribute ``block`` gives squares of that many tiles a side, aligned, at
            each fetch; the tiles of a block are then sent for one after the other, not side by side.
        cache: Where tiles are kept, if anywhere.
        patience: With one tile.
        tell: Told once when the cache cannot be written, from another thread.
    """

    def __init__(
        self, source: TileSource, cache: TileCache | None, patience: Patience, tell: Callable[[str], None]
    ) -> None:
        self._source = source
        self._cache = cache
        self._tell = tell
        self._closed = False
        self._patience = replace(patience, cancelled=lambda: self._closed or patience.cancelled())
        self._block = source.block
        self._pool = ThreadPoolExecutor(source.parallel, f"prior-{source.name}")
        self._lock = threading.Lock()  # over all that follows
        self._memory: OrderedDict[Wanted, Codes] = OrderedDict()
        self._coming: dict[Wanted, Future[Codes]] = {}
        self._blocks: dict[object, deque[Wanted]] = {}
        self._years: dict[Tile, Future[Sequence[int]]] = {}
        self._full = False  # the cache cannot be written
        self._failures = 0  # running
        self._failure = ""  # the last
        self._paused_until = 0.0
        self._moved = 0.0  # when the source last began or ended anything

    def holds(self, tile: Tile, year: int) -> bool:
        """Whether a tile is in memory or in the cache."""
        with self._lock:
            if (tile, year) in self._memory:
                return True
        return self._cache is not None and self._cache.holds(self._source.key, year, tile)

    def tile(self, tile: Tile, year: int) -> Codes:
        """The tile, pixel-major: from memory, from the cache, or as soon as it is fetched.

        Raises:
            Unavailable: The source fails, or has just failed several times.
            PriorError: What it gives is no AEF.
            Cancelled: The user has stopped waiting.
        """
        codes = self._at_hand((tile, year))
        return self.wait(self.start(tile, year)) if codes is None else codes

    def start(self, tile: Tile, year: int) -> Future[Codes]:
        """Sends for a tile unless it is on its way already."""
        wanted = tile, year
        block = year, tile.zone, tile.south, tile.col // self._block, tile.row // self._block
        with self._lock:
            self._check_open()
            if wanted not in self._coming:
                self._coming[wanted] = Future()
                if block in self._blocks:
                    self._blocks[block].append(wanted)
                else:
                    self._blocks[block] = deque([wanted])
                    self._pool.submit(self._fetch_block, block)
            return self._coming[wanted]

    def wait(self, coming: Future[T]) -> T:
        """What comes. A source that does not come back, against its promise, has failed."""
        since = time.monotonic()
        while not wait([coming], POLL_S).done:
            self._patience.check()
            still = time.monotonic() - max(since, self._moved)
            if still > self._patience.deadline_s + GRACE_S:
                raise self._failed(
                    Unavailable(f"{self._source.name} did not answer for {still:.0f} s: try again later.")
                )
        try:
            return coming.result()
        except CancelledError:
            raise Cancelled("cancelled") from None

    def years(self, tile: Tile) -> Sequence[int]:
        """The years that the source has there, asked for once; the errors of ``tile``."""
        with self._lock:
            self._check_open()
            if tile not in self._years:
                self._years[tile] = self._pool.submit(self._ask_years, tile)
            asked = self._years[tile]
        return self.wait(asked)

    def known_years(self, tile: Tile) -> Sequence[int] | None:
        """The same if the source has said so already, else None."""
        with self._lock:
            asked = self._years.get(tile)
        return asked.result() if asked and asked.done() and not asked.exception() else None

    def close(self) -> None:
        """Stops every fetch; whoever waits gets Cancelled."""
        with self._lock:
            self._closed = True
            left = list(self._coming.values())
            self._coming.clear()
        for coming in left:
            coming.set_exception(Cancelled("cancelled"))
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _check_open(self) -> None:
        if self._closed:
            raise Cancelled("cancelled")

    # In the threads of the pool.

    def _ask_years(self, tile: Tile) -> Sequence[int]:
        try:
            return self._asked(lambda: self._source.years(tile, self._patience))
        except BaseException:
            with self._lock:
                del self._years[tile]  # the next chip asks again
            raise

    def _fetch_block(self, block: object) -> None:
        """Fetches the tiles that are wanted of a block, until none is left."""
        while True:
            with self._lock:
                if not self._blocks[block]:
                    del self._blocks[block]
                    return
                wanted = self._blocks[block].popleft()
                if wanted not in self._coming:
                    continue  # it came with a neighbour
            try:
                codes = self._at_hand(wanted)  # another process may have been faster
                self._settle({wanted: codes} if codes is not None else self._fetch(*wanted))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                with self._lock:
                    coming = self._coming.pop(wanted, None)
                if coming:
                    coming.set_exception(error)

    def _fetch(self, tile: Tile, year: int) -> Mapping[Wanted, Codes]:
        given = self._asked(lambda: self._source.fetch(tile, year, self._patience))
        tiles = {one: _pixel_major(codes) for one, codes in given.items()}
        if tile not in tiles:
            raise PriorError(f"{self._source.name} gave other tiles than the one asked for: report this.")
        self._keep(tiles, year)
        return {(one, year): codes for one, codes in tiles.items()}

    def _keep(self, tiles: Mapping[Tile, Codes], year: int) -> None:
        """Into the cache, until that fails."""
        if self._cache is None or self._full:
            return
        try:
            self._cache.put(self._source.key, year, tiles)
        except PriorError as error:
            with self._lock:
                first, self._full = not self._full, True
            if first:
                self._tell(f"prior: {error}")

    def _asked(self, ask: Callable[[], T]) -> T:
        """What the source answers. One that keeps failing is not asked for a while."""
        with self._lock:
            if time.monotonic() < self._paused_until:
                raise Unavailable(
                    f"{self._source.name} failed {FAILURES} times running and is left alone for {PAUSE_S:.0f} s: "
                    f"{self._failure}"
                )
        self._patience.check()
        self._moved = time.monotonic()
        try:
            answer = ask()
        except PriorError as error:
            self._failed(error)
            raise
        finally:
            self._moved = time.monotonic()
        with self._lock:
            self._failures = 0
        return answer

    def _failed(self, error: PriorError) -> PriorError:
        with self._lock:
            self._failures += 1
            self._failure = str(error)
            if self._failures >= FAILURES:
                self._paused_until = time.monotonic() + PAUSE_S
        return error

    def _at_hand(self, wanted: Wanted) -> Codes | None:
        tile, year = wanted
        with self._lock:
            if wanted in self._memory:
                self._memory.move_to_end(wanted)
                return self._memory[wanted]
        codes = self._cache.get(self._source.key, year, tile) if self._cache else None
        if codes is not None:
            self._settle({wanted: codes})
        return codes

    def _settle(self, tiles: Mapping[Wanted, Codes]) -> None:
        """Keeps tiles in memory and hands them to those who wait."""
        with self._lock:
            for wanted, codes in tiles.items():
                self._memory[wanted] = codes
                self._memory.move_to_end(wanted)
            while len(self._memory) > MEMORY_TILES:
                self._memory.popitem(last=False)
            awaited = [(self._coming.pop(wanted, None), codes) for wanted, codes in tiles.items()]
        for coming, codes in awaited:
            if coming:
                coming.set_result(codes)


def _pixel_major(codes: Codes) -> Codes:
    """The same codes with the 64 of a pixel side by side in memory, all without data where one is."""
    if codes.dtype != np.int8 or codes.shape != (DIMENSIONS, TILE_PX, TILE_PX):
        raise ValueError(f"a tile is int8 [64, 128, 128], not {codes.dtype} {codes.shape}")
    pixels = np.ascontiguousarray(codes.transpose(1, 2, 0))
    missing = (pixels == NODATA_CODE).any(axis=2)
    if missing.any():
        pixels = np.where(missing[..., None], np.int8(NODATA_CODE), pixels)
    return pixels.transpose(2, 0, 1)

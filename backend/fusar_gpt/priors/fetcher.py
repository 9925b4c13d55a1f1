"""Fetches the tiles of one source: each once, however many chips and threads want it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

import numpy as np

from fusar_gpt.errors import Cancelled, PriorError
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.field import DIMENSIONS, NODATA_CODE
from fusar_gpt.priors.retry import Deadline, RetryPolicy, TransientError, Unavailable
from fusar_gpt.priors.tiles import TILE_PX, Codes, CodesOf, Tile, TileSource

T = TypeVar("T")
Key = tuple[Tile, int]
"""A tile of a year; a block of tiles goes by its lower left one."""

MEMORY_TILES = 128
"""Tiles kept in memory, of 1 MB each."""

FAILURES = 3
"""Failures in a row after which a source is not asked for a while."""

PAUSE_S = 30.0
"""Seconds for which it is not."""

GRACE_S = 5.0
"""Seconds beyond its deadline after which a source that does not return is given up."""


class TileFetcher:
    """The tiles of one source: in memory, in the cache, or being fetched by its ``parallel`` threads.

    Args:
        source: Who is asked. One with an attribute ``block`` gives squares of that many tiles a side, aligned, at
            each fetch; the tiles of a block are then requested one after the other, not side by side.
        cache: Where tiles are kept, if anywhere.
        retry: How long and how often one tile is tried.
        report: Told once when the cache cannot be written, from another thread.

    Attributes:
        stopped: Why the source is not asked any more; None while it is.
    """

    def __init__(
        self, source: TileSource, cache: TileCache | None, retry: RetryPolicy, report: Callable[[str], None]
    ) -> None:
        self._source = source
        self._cache = cache
        self._report = report
        self._closed = False
        self._watch = Deadline(
            retry.deadline_s + GRACE_S, cancelled=lambda: self._closed or retry.cancelled()
        )
        self._retry = replace(retry, cancelled=self._watch.cancelled, progress=self._watch.extend)
        self._pool = ThreadPoolExecutor(source.parallel, f"prior-{source.name}")
        self._lock = threading.Lock()  # over all that follows
        self._memory: OrderedDict[Key, Codes] = OrderedDict()
        self._coming: dict[Key, Future[Codes]] = {}
        self._blocks: dict[Key, deque[Key]] = {}
        self._years: dict[Tile, Future[Sequence[int]]] = {}
        self._unwritable = False  # the cache
        self._failures = 0  # in a row
        self._failure = ""  # the last
        self._paused_until = 0.0
        self.stopped: str | None = None

    def holds(self, tiles: Sequence[Tile], year: int) -> bool:
        """Whether all tiles are in memory or in the cache."""
        with self._lock:
            missing = [tile for tile in tiles if (tile, year) not in self._memory]
        return not missing or (
            self._cache is not None
            and all(self._cache.holds(self._source.key, year, tile) for tile in missing)
        )

    def holds_any(self) -> bool:
        """Whether any tile is in memory or in the cache."""
        with self._lock:
            if self._memory:
                return True
        return self._cache is not None and bool(self._cache.years(self._source.key))

    def request(self, tiles: Sequence[Tile], year: int) -> CodesOf:
        """Start to fetch the tiles that are not at hand; gives a function that waits for each, pixel-major.

        That function raises:
            Unavailable: The source fails, or has just failed several times.
            PriorError: What it gives is not AEF.
            Cancelled: The user has stopped waiting.
        """
        coming = {tile: self._start(tile, year) for tile in tiles if not self.holds([tile], year)}

        def codes(tile: Tile) -> Codes:
            if tile in coming:
                return self._wait(coming.pop(tile))
            found = self._at_hand((tile, year))
            return self._wait(self._start(tile, year)) if found is None else found

        return codes

    def _start(self, tile: Tile, year: int) -> Future[Codes]:
        """Request a tile unless it is on its way already."""
        key, block = (tile, year), (tile.corner(self._source.block), year)
        with self._lock:
            self._check_open()
            if key not in self._coming:
                self._coming[key] = Future()
                if block in self._blocks:
                    self._blocks[block].append(key)
                else:
                    self._blocks[block] = deque([key])
                    self._pool.submit(self._fetch_block, block)
            return self._coming[key]

    def _wait(self, coming: Future[T]) -> T:
        """What comes. A source that does not return, against its promise, has failed."""
        self._watch.extend()
        try:
            self._watch.wait([coming])
        except TimeoutError:
            raise self._failed(
                TransientError(
                    f"{self._source.name} did not answer for {self._watch.seconds:.0f} s: try again later."
                )
            ) from None
        except CancelledError:
            raise Cancelled("cancelled") from None
        return coming.result()

    def years(self, tile: Tile) -> Sequence[int]:
        """The years that the source has there, asked for once; fails as the function of ``request``."""
        with self._lock:
            self._check_open()
            if tile not in self._years:
                self._years[tile] = self._pool.submit(self._ask_years, tile)
            asked = self._years[tile]
        return self._wait(asked)

    def known_years(self, tile: Tile) -> Sequence[int]:
        """The same as far as it is known without asking anybody, else none."""
        with self._lock:
            asked = self._years.get(tile)
        if asked and asked.done() and not asked.exception():
            return asked.result()
        return self._source.known_years(tile)

    def year_to_use(self, tiles: Sequence[Tile], year: int | None, ask: bool = True) -> int | None:
        """``year`` if all its tiles are at hand, else the nearest that the source has, else None.

        Unless it may be asked, only the years that it has named already count.
        """
        if year is not None and self.holds(tiles, year):
            return year
        years = next((years for tile in tiles if (years := self._years_at(tile, ask))), None)
        return nearest(years, year) if years else None

    def _years_at(self, tile: Tile, ask: bool) -> Sequence[int]:
        return self.known_years(tile) or (self.years(tile) if ask else ())

    def stop_asking(self, why: str) -> None:
        """Give only what is at hand from now on; else fail for the reason given."""
        with self._lock:
            self.stopped = why

    def close(self) -> None:
        """Stop every fetch; whoever waits gets Cancelled."""
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
            return self._ask(lambda: self._source.years(tile, self._retry))
        except BaseException:
            with self._lock:
                del self._years[tile]  # the next chip asks again
            raise

    def _fetch_block(self, block: Key) -> None:
        """Fetch the tiles that are wanted of a block, until none is left."""
        while True:
            with self._lock:
                if not self._blocks[block]:
                    del self._blocks[block]
                    return
                key = self._blocks[block].popleft()
                if key not in self._coming:
                    continue  # it came with a neighbour
            try:
                if self._at_hand(key) is None:  # another process may have been faster
                    self._settle(self._fetch(*key))
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                with self._lock:
                    coming = self._coming.pop(key, None)
                if coming:
                    coming.set_exception(error)

    def _fetch(self, tile: Tile, year: int) -> Mapping[Key, Codes]:
        given = self._ask(lambda: self._source.fetch(tile, year, self._retry))
        tiles = {one: _pixel_major(codes) for one, codes in given.items()}
        if tile not in tiles:
            raise PriorError(f"{self._source.name} gave other tiles than the one asked for: report this.")
        self._keep(tiles, year)
        return {(one, year): codes for one, codes in tiles.items()}

    def _keep(self, tiles: Mapping[Tile, Codes], year: int) -> None:
        """Put tiles into the cache, until that fails."""
        if self._cache is None or self._unwritable:
            return
        try:
            self._cache.put(self._source.key, year, tiles)
        except PriorError as error:
            with self._lock:
                first, self._unwritable = not self._unwritable, True
            if first:
                self._report(f"prior: {error}")

    def _ask(self, question: Callable[[], T]) -> T:
        """What the source answers. One that keeps failing is not asked for a while."""
        with self._lock:
            if self.stopped is not None:
                raise Unavailable(self.stopped)
            if time.monotonic() < self._paused_until:
                raise Unavailable(
                    f"{self._source.name} failed {FAILURES} times running and is left alone for {PAUSE_S:.0f} s: "
                    f"{self._failure}"
                )
        self._watch.extend()
        self._watch.check()
        try:
            answer = question()
        except PriorError as error:
            self._failed(error)
            raise
        finally:
            self._watch.extend()
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

    def _at_hand(self, key: Key) -> Codes | None:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        codes = self._cache.get(self._source.key, key[1], key[0]) if self._cache else None
        if codes is not None:
            self._settle({key: codes})
        return codes

    def _settle(self, tiles: Mapping[Key, Codes]) -> None:
        """Keep tiles in memory and hand them to those who wait."""
        with self._lock:
            for key, codes in tiles.items():
                self._memory[key] = codes
                self._memory.move_to_end(key)
            while len(self._memory) > MEMORY_TILES:
                self._memory.popitem(last=False)
            awaited = [(self._coming.pop(key, None), codes) for key, codes in tiles.items()]
        for coming, codes in awaited:
            if coming:
                coming.set_result(codes)


def nearest(years: Sequence[int], year: int | None) -> int:
    """The nearest year, of two the newer; the newest for None."""
    return max(years) if year is None else min(years, key=lambda one: (abs(one - year), -one))


def _pixel_major(codes: Codes) -> Codes:
    """The same codes with the 64 of a pixel side by side in memory, all without data where one is."""
    if codes.dtype != np.int8 or codes.shape != (DIMENSIONS, TILE_PX, TILE_PX):
        raise ValueError(f"a tile is int8 [64, 128, 128], not {codes.dtype} {codes.shape}")
    pixels = np.ascontiguousarray(codes.transpose(1, 2, 0))
    missing = (pixels == NODATA_CODE).any(axis=2)
    if missing.any():
        pixels = np.where(missing[..., None], np.int8(NODATA_CODE), pixels)
    return pixels.transpose(2, 0, 1)

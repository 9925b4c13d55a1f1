"""The prior of any footprint, from a source of tiles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from fusar_gpt.errors import FusarError
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.fetching import Fetching
from fusar_gpt.priors.field import Footprint, Origin, PriorField
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.sampling import Samples, Sampling
from fusar_gpt.priors.tiles import Codes, Tile, TileSource, Unavailable


class TiledPrior:
    """AEF where a source has it. Ask it from one thread at a time; it fetches in its own.

    Args:
        source: Gives the tiles.
        cache: Keeps them for the next time, if given.
        settings: How the nodes are laid and made.
        patience: With one tile.
        tell: Takes what the user should hear: another year is used, the cache cannot be written. Each line once,
            from any thread.
    """

    def __init__(
        self,
        source: TileSource,
        cache: TileCache | None,
        settings: Sampling = Sampling(),  # noqa: B008 - frozen
        patience: Patience = Patience(),  # noqa: B008 - frozen
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = source.name
        self._source = source
        self._cache = cache
        self._settings = settings
        self._tell = tell
        self._told: set[str] = set()
        self._fetching = Fetching(source, cache, patience, tell)
        self._ahead = ThreadPoolExecutor(1, f"prior-{source.name}-ahead")
        self._last: tuple[Footprint, Samples] | None = None

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip, of the year or, said once, of the nearest that the source has there.

        ``None`` means the newest. The year of the field is the one that is used: None where the source has nothing.

        Raises:
            Unavailable: The source fails, or has just failed three times running. The next chip may ask again.
            PriorError: The footprint is too large, or what the source gives is no AEF.
            Cancelled: The user stopped waiting.
        """
        samples = self._samples(footprint)
        used = self._year_to_use(samples.tiles, year)
        if used is None:
            return PriorField.empty(self.name)
        if year not in (None, used):
            self._say(f"prior: {self.name} has no {year} here, so the nearest year, {used}, is used.")
        coming = self._start(samples.tiles, used)

        def codes(tile: Tile) -> Codes:
            if tile in coming:
                return self._fetching.wait(coming.pop(tile))
            return self._fetching.tile(tile, used)

        values = samples.values(codes)
        origin = Origin(self.name, self._source.version, used, self._source.attribution)
        return footprint.field(values, samples.chip, samples.lonlat, origin)

    def warm(self, footprint: Footprint, year: int | None) -> None:
        """Starts to fetch what ``prior`` will need, and returns at once. What fails here fails there too."""
        with contextlib.suppress(FusarError):
            # The scene behind a footprint is not for two threads: only what follows is done beside.
            self._ahead.submit(self._warm, self._samples(footprint).tiles, year)

    def cached(self, footprint: Footprint, year: int | None) -> bool:
        """Whether ``prior`` needs no network."""
        tiles = self._samples(footprint).tiles
        if year is not None and self._complete(tiles, year):
            return True
        known = next((years for tile in tiles if (years := self._fetching.known_years(tile))), None)
        return known is not None and self._complete(tiles, _nearest(known, year))

    def close(self) -> None:
        """Stops every fetch."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self._fetching.close()

    def _samples(self, footprint: Footprint) -> Samples:
        """The samples of a footprint; the last ones are kept, for ``cached`` and ``prior`` ask for the same."""
        last = self._last
        if last is None or last[0] is not footprint:
            last = self._last = footprint, self._settings.samples(footprint)
        return last[1]

    def _year(self, tiles: Sequence[Tile], year: int | None) -> int | None:
        """The year to use, None where the source has nothing; it is asked only if tiles of the year are missing."""
        if year is not None and self._complete(tiles, year):
            return year
        for tile in tiles:
            if years := self._fetching.years(tile):
                return _nearest(years, year)
        return None

    def _year_to_use(self, tiles: Sequence[Tile], year: int | None) -> int | None:
        """The same; if any year will do and the source cannot be asked, the newest at hand."""
        try:
            return self._year(tiles, year)
        except Unavailable as error:
            kept = self._cache.years(self._source.key) if self._cache and year is None else []
            for used in reversed(kept):
                if self._complete(tiles, used):
                    self._say(f"prior: {used}, the newest year in the cache, is used, for {error}")
                    return used
            raise

    def _complete(self, tiles: Sequence[Tile], year: int) -> bool:
        return all(self._fetching.holds(tile, year) for tile in tiles)

    def _start(self, tiles: Sequence[Tile], year: int) -> dict[Tile, Future[Codes]]:
        """The tiles that are not at hand, on their way."""
        return {
            tile: self._fetching.start(tile, year) for tile in tiles if not self._fetching.holds(tile, year)
        }

    def _warm(self, tiles: Sequence[Tile], year: int | None) -> None:
        with contextlib.suppress(FusarError):
            if (used := self._year(tiles, year)) is not None:
                self._start(tiles, used)

    def _say(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            self._tell(line)


def _nearest(years: Sequence[int], year: int | None) -> int:
    """The nearest year, of two the newer; the newest for None."""
    return max(years) if year is None else min(years, key=lambda one: (abs(one - year), -one))

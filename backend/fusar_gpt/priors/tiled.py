"""The prior of any footprint, from a source of tiles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache as once
from functools import lru_cache

from fusar_gpt.errors import FusarError, PriorError
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.fetcher import TileFetcher, nearest
from fusar_gpt.priors.field import Footprint, Origin, PriorField, PriorSource
from fusar_gpt.priors.retry import RetryPolicy, Unavailable
from fusar_gpt.priors.sampling import Sampling
from fusar_gpt.priors.tiles import Codes, CodesOf, Tile, TileSource

AHEAD = 16
"""Tiles that ``TiledPrior.open_tiles`` requests before they are needed."""


class TiledPrior(PriorSource):
    """AEF where a source has it. Ask it from one thread at a time; it fetches in its own.

    Args:
        source: Gives the tiles.
        cache: Keeps them for the next time, if given.
        settings: How the nodes are laid and made.
        retry: How long and how often one tile is tried.
        report: Takes what the user should hear: another year is used, the cache cannot be written. Each line once,
            from any thread.
    """

    def __init__(
        self,
        source: TileSource,
        cache: TileCache | None,
        settings: Sampling = Sampling(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self.name = source.name
        self._source = source
        self._cache = cache
        self._samples = lru_cache(maxsize=1)(settings.samples)  # ``cached`` and ``prior`` ask for the same
        self._report = once(report)
        self._fetcher = TileFetcher(source, cache, retry, report)
        self._ahead = ThreadPoolExecutor(1, f"prior-{source.name}-ahead")

    def prior(self, footprint: Footprint, year: int | None) -> PriorField:
        """The vectors on a chip, of the year or, reported once, of the nearest that the source has there.

        ``None`` means the newest. The year of the field is the one that is used: None where the source has nothing.

        Raises:
            Unavailable: The source fails, or has just failed three times running. The next chip may ask again.
            PriorError: The footprint is too large, or what the source gives is not AEF.
            Cancelled: The user stopped waiting.
        """
        samples = self._samples(footprint)
        used = self._year_to_use(samples.tiles, year)
        if used is None:
            return PriorField.empty(self.name)
        self._report_year(year, used)
        values = samples.values(self._fetcher.request(samples.tiles, used))
        return footprint.field(values, samples.chip, samples.lonlat, self._origin(used))

    def open_tiles(self, tiles: Sequence[Tile], year: int) -> tuple[CodesOf, Origin]:
        """A function that gives whole tiles and requests the next ones meanwhile, and where they come from.

        Args:
            tiles: In the order in which they will be read; others may be read too.
            year: The nearest that the source has is taken, and reported.

        Raises:
            PriorError: The source has nothing there, or as for ``prior``; so does the function.
        """
        used = self._fetcher.year_to_use(tiles, year)
        if used is None:
            raise PriorError("no AlphaEarth tile covers this place")
        self._report_year(year, used)
        number = {tile: number for number, tile in enumerate(tiles)}

        def codes(tile: Tile) -> Codes:
            turn = number.get(tile, len(tiles))
            return self._fetcher.request(tiles[turn : turn + AHEAD], used)(tile)

        return codes, self._origin(used)

    def prefetch(self, footprint: Footprint, year: int | None) -> None:
        """Start to fetch what ``prior`` will need, and return at once. What fails here fails there too."""
        with contextlib.suppress(FusarError):
            # The scene behind a footprint is not for two threads: only what follows is done beside.
            self._ahead.submit(self._prefetch, self._samples(footprint).tiles, year)

    def _prefetch(self, tiles: Sequence[Tile], year: int | None) -> None:
        with contextlib.suppress(FusarError):
            if (used := self._fetcher.year_to_use(tiles, year)) is not None:
                self._fetcher.request(tiles, used)

    def cached(self, footprint: Footprint, year: int | None) -> int | None:
        """The year of which ``prior`` can give the vectors without asking the source; None where it must ask or fails.

        It is ``year``, or of the years that the source is known to have the nearest; for None the newest that is kept.
        """
        if not self._fetcher.holds_any():  # spares laying the nodes
            return None
        try:
            tiles = self._samples(footprint).tiles
        except PriorError:
            return None
        used = self._fetcher.year_to_use(tiles, year, ask=False)
        if used is not None and self._fetcher.holds(tiles, used):
            return used
        return self._kept_year(tiles, None) if year is None else None

    @property
    def address(self) -> str | None:
        """URL of the server that is asked; None where no network is needed."""
        return self._source.address

    @property
    def stopped(self) -> str | None:
        """Why the source is not asked for what is not in the cache; None while it is."""
        return self._fetcher.stopped

    def stop_asking(self, why: str) -> None:
        """Give only what is in the cache from now on; else ``prior`` fails for the reason given."""
        self._fetcher.stop_asking(why)

    def close(self) -> None:
        """Stop every fetch."""
        self._ahead.shutdown(wait=False, cancel_futures=True)
        self._fetcher.close()

    def _origin(self, year: int) -> Origin:
        return Origin(self.name, self._source.version, year, self._source.attribution)

    def _report_year(self, year: int | None, used: int) -> None:
        if year not in (None, used):
            self._report(f"prior: {self.name} has no {year} here, so the nearest year, {used}, is used.")

    def _year_to_use(self, tiles: Sequence[Tile], year: int | None) -> int | None:
        """The fetcher's choice; where the source cannot be asked and any year will do, the newest at hand.

        Once it is asked no more, the nearest year at hand will do.
        """
        try:
            return self._fetcher.year_to_use(tiles, year)
        except Unavailable as error:
            used = self._kept_year(tiles, year) if year is None or self.stopped else None
            if used is None:
                raise
            which = "the newest year" if year is None else f"the year nearest to {year}"
            self._report(f"prior: {used}, {which} in the cache, is used, for {error}")
            return used

    def _kept_year(self, tiles: Sequence[Tile], year: int | None) -> int | None:
        """Of the years of which all tiles are in the cache the nearest, the newest for None."""
        kept = self._cache.years(self._source.key) if self._cache else []
        held = [one for one in kept if self._fetcher.holds(tiles, one)]
        return nearest(held, year) if held else None

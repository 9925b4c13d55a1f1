"""Whole tiles of a place, one after the other, the next ones fetched meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cache import TileCache
from fusar_gpt.priors.fetching import Fetching
from fusar_gpt.priors.field import Origin
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.tiles import Codes, Tile, TileSource

AHEAD = 16
"""Tiles that are sent for before their turn."""

CodesOf = Callable[[Tile], Codes]


@contextmanager
def read_tiles(
    source: TileSource,
    tiles: Sequence[Tile],
    year: int,
    cache: TileCache | None,
    patience: Patience,
    tell: Callable[[str], None],
) -> Iterator[tuple[CodesOf, Origin]]:
    """Gives a function from tile to codes, and where they come from, with the year that is used.

    Args:
        source: Who is asked.
        tiles: In the order in which they will be read; others may be read too.
        year: The nearest that the source has is taken, and told.
        cache: Where tiles are kept.
        patience: With one tile.
        tell: Takes what the user should hear.

    Raises:
        Unavailable: The source cannot be asked; so does the function.
        PriorError: It has nothing there.
        Cancelled: The user stopped waiting.
    """
    fetching = Fetching(source, cache, patience, tell)
    place = {tile: number for number, tile in enumerate(tiles)}
    try:
        used = _year(fetching, tiles, year)
        if used != year:
            tell(f"prior: {source.name} has no {year} here, so the nearest year, {used}, is used.")

        def codes(tile: Tile) -> Codes:
            turn = place.get(tile, len(tiles))
            for coming in tiles[turn : turn + AHEAD]:
                if not fetching.holds(coming, used):
                    fetching.start(coming, used)
            return fetching.tile(tile, used)

        yield codes, Origin(source.name, source.version, used, source.attribution)
    finally:
        fetching.close()


def _year(fetching: Fetching, tiles: Sequence[Tile], year: int) -> int:
    """The nearest year, of two the newer; the source is asked only if tiles are missing."""
    if all(fetching.holds(tile, year) for tile in tiles):
        return year
    for tile in tiles:
        if years := fetching.years(tile):
            return min(years, key=lambda one: (abs(one - year), -one))
    raise PriorError("it has nothing there")

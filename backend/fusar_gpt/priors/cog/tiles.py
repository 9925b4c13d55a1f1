"""The COGs as a source of tiles."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.prior_options import MIRROR
from fusar_gpt.priors.cache import default_folder
from fusar_gpt.priors.cog.blocks import BlockReader, Header, cut_tile
from fusar_gpt.priors.cog.catalog import Area, CogCatalog, FolderCatalog, WebCatalog
from fusar_gpt.priors.cog.files import CogFile, NotAtHandError
from fusar_gpt.priors.cog.remote import web_address
from fusar_gpt.priors.retry import Deadline, RetryPolicy
from fusar_gpt.priors.tiles import Codes, Tile, TileSource

T = TypeVar("T")
UsedBlocks = dict[tuple[CogFile, int, int], Header]
"""The file, row and column of each block that was read, and the file's header."""


class CogTiles(TileSource):
    """The public COGs, on Google's bucket, on a mirror or in a folder.

    Args:
        root: ``https://``, ``gs://`` or ``s3://`` address, or a folder; the folder needs no index.
        requester_pays: Project of Google Cloud that pays for Google's bucket; None asks without an account.
        folder: Where what is learnt of the index is kept; in the cache of priors if not given.
        report: Takes a line when something long begins.

    Raises:
        PriorError: The root is neither an address nor a folder with COGs.
    """

    name = "cog"
    parallel = 2
    block = 8

    def __init__(
        self,
        root: str = MIRROR,
        *,
        requester_pays: str | None = None,
        folder: Path | None = None,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._catalog: CogCatalog
        if web := web_address(root):
            self.address = web
            self._catalog = WebCatalog(web, requester_pays, folder or default_folder() / "index", report)
        else:
            self._catalog = FolderCatalog(Path(root).expanduser())
        self.key = f"aef-v1-cog-{self._catalog.key}"
        self._reader = BlockReader(self._catalog.credentials)

    def years(self, tile: Tile, retry: RetryPolicy) -> Sequence[int]:
        """The years of the COGs that touch the tile."""
        return self._run(retry, lambda deadline: self._catalog.years(tile, deadline))

    def known_years(self, tile: Tile) -> Sequence[int]:
        """The same, from a folder or from what is kept of the index of a server."""
        return self._catalog.known_years(tile)

    def fetch(self, tile: Tile, year: int, retry: RetryPolicy) -> Mapping[Tile, Codes]:
        """The tile, and all others that lie whole in the blocks of COGs that were read for it.

        COGs of the tile's own zone come first, by path; where one has no data the next is asked. COGs in
        another CRS serve where none of the own zone reaches. Raises as ``TileSource.fetch``.
        """
        return self._run(retry, lambda deadline: self._tiles(tile, year, deadline))

    def describe(self, retry: RetryPolicy) -> Iterator[str]:
        """Line by line: how the COGs are found, whether one can be read, and the years around it."""
        lines, file = self._run(retry, self._catalog.describe)
        yield from lines
        if file is not None:
            header = self._run(retry, lambda deadline: self._reader.header(self._catalog.url(file), deadline))
            near = self._run(retry, lambda deadline: self._catalog.near(Area.of(file.lonlat), deadline))
            yield f"COG: {file.path} can be read, in blocks of {header.block[0]} x {header.block[1]} pixels."
            yield f"Years around it: {', '.join(map(str, sorted({one.year for one in near})))}."

    def close(self) -> None:
        """Close the files; work left behind ends by itself."""
        self._reader.close()

    def _run(self, retry: RetryPolicy, work: Callable[[Deadline], T]) -> T:
        return retry.run(work, self._catalog.host)

    def _tiles(self, tile: Tile, year: int, deadline: Deadline) -> dict[Tile, Codes]:
        used: UsedBlocks = {}
        tiles = {tile: self._cut(tile, year, deadline, used)}
        for (_, row, col), header in used.items():
            for other in header.tiles_on(tile.signed_zone, row, col):
                deadline.check()
                if other not in tiles:
                    with contextlib.suppress(NotAtHandError):
                        tiles[other] = self._cut(other, year, None, {})
        return tiles

    def _cut(self, tile: Tile, year: int, deadline: Deadline | None, used: UsedBlocks) -> Codes:
        """A tile; ``used`` takes the blocks it was cut from. Without a deadline it fetches nothing: NotAtHandError."""

        def header(file: CogFile) -> Header:
            return self._reader.header(self._catalog.url(file), deadline)

        def block(file: CogFile, row: int, col: int) -> NDArray[np.int8]:
            used[file, row, col] = header(file)
            return self._reader.block(self._catalog.url(file), row, col, deadline)

        return cut_tile(tile, self._catalog.files(tile, year, deadline), header, block)

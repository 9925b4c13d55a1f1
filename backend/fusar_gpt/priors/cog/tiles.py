"""The COGs as a source of tiles."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.prior_options import MIRROR
from fusar_gpt.priors.cache import default_folder
from fusar_gpt.priors.cog.access import Access
from fusar_gpt.priors.cog.blocks import READERS, Blocks, Header, Key
from fusar_gpt.priors.cog.cut import Where, cut, touched
from fusar_gpt.priors.cog.files import CogFile
from fusar_gpt.priors.cog.finders import FolderFinder, WebFinder
from fusar_gpt.priors.cog.index import Area, CogIndex, Finder
from fusar_gpt.priors.cog.remote import web_address
from fusar_gpt.priors.cog.turn import PassingError, Turn
from fusar_gpt.priors.patience import Patience
from fusar_gpt.priors.tiles import AEF_ATTRIBUTION, Codes, Tile, Unavailable

T = TypeVar("T")


class CogTiles:
    """The public COGs, on Google's bucket, on a mirror or in a folder.

    Args:
        root: ``https://``, ``gs://`` or ``s3://`` address, or a folder; the folder needs no index.
        anonymous: Ask without an account.
        requester_pays: Project of Google Cloud that pays for Google's bucket.
        folder: Where what is learnt of the index is kept; in the cache of priors if not given.
        tell: Takes a line when something long begins.

    Raises:
        PriorError: The root makes no sense, or a folder has no AEF.
    """

    name = "cog"
    version: str | None = "V1"
    attribution = AEF_ATTRIBUTION
    parallel = 2
    block = 8

    def __init__(
        self,
        root: str = MIRROR,
        *,
        anonymous: bool = True,
        requester_pays: str | None = None,
        folder: Path | None = None,
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        web = web_address(root)
        access = None if web is None else Access(web, anonymous=anonymous, project=requester_pays)
        self._finder: Finder
        if web is None or access is None:
            self._finder = FolderFinder(Path(root).expanduser())
        else:
            self._finder = WebFinder(web, access, folder or default_folder() / "index", tell)
        self.key = f"aef-v1-cog-{self._finder.key}"
        self._blocks = Blocks(access)
        self._index = CogIndex(self._finder)
        self._pool = ThreadPoolExecutor(READERS, thread_name_prefix="cog")

    def years(self, tile: Tile, patience: Patience) -> Sequence[int]:
        """The years of the COGs that touch the tile. Raises as ``fetch``."""
        return self._persist(lambda turn: self._index.years(tile, turn), patience)

    def fetch(self, tile: Tile, year: int, patience: Patience) -> Mapping[Tile, Codes]:
        """The tile, and all others that lie whole in the blocks of COGs that were read for it.

        COGs of the tile's own zone come first, by path; where one has no data the next is asked. COGs in
        another CRS serve where none of the own zone reaches.

        Raises:
            Unavailable: The COGs cannot be had now; the message says what to do.
            PriorError: What is there is no AEF.
            Cancelled: ``patience.cancelled()`` became true.
        """
        return self._persist(lambda turn: self._tiles(tile, year, turn), patience)

    def describe(self, patience: Patience) -> list[str]:
        """Line by line: how the COGs are found, whether one can be read, and the years around it.

        Raises as ``fetch``.
        """

        def said(turn: Turn) -> list[str]:
            lines, file = self._finder.describe(turn)
            if file is not None:
                header = self._blocks.header(self._finder.url(file), turn)
                area = Area(math.floor(file.lonlat[0]), math.floor(file.lonlat[1]))
                years = sorted({near.year for near in self._finder.near(area, turn)})
                lines.append(
                    f"COG: {file.path} can be read, in blocks of {header.block[0]} x {header.block[1]} pixels."
                )
                lines.append(f"Years around it: {', '.join(map(str, years))}.")
            return lines

        return self._persist(said, patience)

    def close(self) -> None:
        """Closes the files; work left behind ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._blocks.close()

    def _persist(self, job: Callable[[Turn], T], patience: Patience) -> T:
        """Tries a job until it is done, what fails will not pass, or the patience is over."""
        trouble: PassingError | None = None
        for left in patience.tries():
            try:
                return job(Turn(self._pool, time.monotonic() + left, patience))
            except PassingError as error:
                trouble = error
            except TimeoutError:
                break
        raise Unavailable(
            str(trouble)
            if trouble
            else f"{self._finder.host} is too slow: set a longer deadline, a block of a COG is some 60 MB."
        )

    def _tiles(self, tile: Tile, year: int, turn: Turn) -> dict[Tile, Codes]:
        used: dict[Where, None] = {}

        def header(file: CogFile) -> Header:
            return self._blocks.header(self._finder.url(file), turn)

        def block(where: Where) -> NDArray[np.int8]:
            used[where] = None
            return self._blocks.block(self._key(where), turn)

        files = self._index.files(tile, year, turn)
        tiles = {tile: cut(tile, files, header, block)}
        for file, row, col in used:
            for other in touched(tile, header(file), row, col):
                if other not in tiles and (codes := self._at_hand(other, year, turn)) is not None:
                    tiles[other] = codes
        return tiles

    def _at_hand(self, tile: Tile, year: int, turn: Turn) -> Codes | None:
        """A tile if nothing needs to be fetched for it."""
        turn.check()
        if not self._index.at_hand(tile):
            return None
        try:
            return cut(
                tile,
                self._index.files(tile, year, turn),
                lambda file: self._blocks.known(self._finder.url(file)),
                lambda where: self._blocks.whole(self._key(where)),
            )
        except LookupError:
            return None

    def _key(self, where: Where) -> Key:
        file, row, col = where
        return self._finder.url(file), row, col

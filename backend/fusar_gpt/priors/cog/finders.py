"""Where COGs are looked for: a folder, or a server with the published index."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar
from urllib.parse import quote

from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog import remote
from fusar_gpt.priors.cog.access import Access
from fusar_gpt.priors.cog.download import download
from fusar_gpt.priors.cog.files import (
    CogFile,
    UnreadableError,
    in_csv,
    in_folder,
    in_gpkg,
    overlap_on_earth,
    searchable,
)
from fusar_gpt.priors.cog.index import Area
from fusar_gpt.priors.cog.shelf import Shelf
from fusar_gpt.priors.cog.turn import PassingError, Turn
from fusar_gpt.priors.tiles import Unavailable

T = TypeVar("T")

GPKG, CSV = "aef_index.gpkg", "aef_index.csv"
_BELOW = {"aef": "v1/annual", "alphaearth_foundations": "satellite_embedding/v1/annual"}  # mirror and bucket
_EVERYWHERE = "everywhere"
_FRESH_S = 30 * 86_400.0  # new years appear once a year
_SQLITE = b"SQLite format 3\0"


class FolderFinder:
    """COGs in a folder: those of its index that are really there, or without an index all of them.

    Args:
        root: The folder.

    Raises:
        PriorError: There is no such folder, or no AEF in it.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise PriorError(f"There is no folder {root}: give one with COGs, or an https, s3 or gs address.")
        self.host = str(root)
        indices = (root / below / name for below in ("", *_BELOW.values()) for name in (GPKG, CSV))
        self._index = next((path for path in indices if path.is_file()), None)
        self._root = self._index.parent if self._index else root
        self._all: Sequence[CogFile] = ()
        if self._index is None:
            self._all = in_folder(self._root)
        elif self._index.name == CSV:
            self._all = [file for file in in_csv(self._index) if self._path(file).is_file()]
        self.key = _digest(str(root.resolve()), *map(self._stamp, self._all), self._index_stamp())

    def near(self, area: Area, turn: Turn) -> Sequence[CogFile]:
        """The COGs that touch an area."""
        if self._index is None or self._index.name == CSV:
            return [file for file in self._all if overlap_on_earth(file.lonlat, area.bounds)]
        return [file for file in in_gpkg(str(self._index), area.bounds) if self._path(file).is_file()]

    def describe(self, turn: Turn) -> tuple[list[str], CogFile | None]:
        """Lines that say where COGs are and how they are found, and one of them."""
        some: Sequence[CogFile] = self._all
        how = f"none, {len(self._all)} COGs found by their headers"
        if self._index is not None:
            how = self._index.name
            some = some or in_gpkg(str(self._index), None, most=1)
        return [f"COGs: {self.host}.", f"Index: {how}."], next(iter(some), None)

    def url(self, file: CogFile) -> str:
        """The path of a COG."""
        return str(self._path(file))

    def _path(self, file: CogFile) -> Path:
        return self._root / file.path

    def _stamp(self, file: CogFile) -> str:
        """Changes with the file, so that the cache never gives what stood there before."""
        stat = self._path(file).stat()
        return f"{file.path} {stat.st_size} {stat.st_mtime_ns}"

    def _index_stamp(self) -> str:
        return "" if self._index is None else str(self._index.stat().st_mtime_ns)


class WebFinder:
    """COGs on a server. What is learnt of its index is kept for 30 days, and longer while it cannot be asked.

    ``aef_index.gpkg`` is searched where it lies; one without a spatial index, or a lone ``aef_index.csv``, is
    downloaded once, and only its rows are kept.

    Args:
        web: Address of the COGs, of the bucket or of the mirror.
        access: Who asks.
        kept: Folder for what is learnt.
        tell: Takes a line when something long begins.
    """

    def __init__(self, web: str, access: Access, kept: Path, tell: Callable[[str], None]) -> None:
        below = _BELOW.get(web.rpartition("/")[2])
        self._web = f"{web}/{below}" if below else web
        self.key = _digest(self._web)
        self.host = remote.host_of(web)
        self._access = access
        self._kept = kept
        self._tell = tell
        self._lock = Lock()
        self._shelf: Shelf | None = None
        self._index: str | None = None

    def near(self, area: Area, turn: Turn) -> Sequence[CogFile]:
        """The COGs that touch an area.

        Raises:
            Unavailable, PassingError: The index cannot be had.
            PriorError: It makes no sense, or the folder cannot be written.
        """
        with turn.holding(self._lock):
            shelf = self._shelf = self._shelf or Shelf(self._kept / f"cog-{self.key}.sqlite")
            ages = [age for name in (area.name, _EVERYWHERE) if (age := shelf.age(name)) is not None]
            if not ages or min(ages) > _FRESH_S:
                try:
                    self._learn(area, shelf, turn)
                except (PassingError, Unavailable, TimeoutError):
                    if not ages:
                        raise
            return shelf.within(area.bounds)

    def url(self, file: CogFile) -> str:
        """The address of a COG."""
        return f"{self._web}/{quote(file.path)}"

    def describe(self, turn: Turn) -> tuple[list[str], CogFile | None]:
        """Lines that say where COGs are and how they are found, and one where that is cheap. Raises as ``near``."""
        index = self._found(turn)
        lines = [f"COGs: {self.host}, {self._access}."]
        if index.endswith(CSV):
            return [*lines, f"Index: {CSV}, fetched once."], None
        some = self._search(index, lambda address: in_gpkg(address, None, most=1), turn)
        return [*lines, f"Index: {GPKG}, searched where it lies."], next(iter(some), None)

    def _learn(self, area: Area, shelf: Shelf, turn: Turn) -> None:
        index = self._found(turn)
        if index.endswith(GPKG):
            shelf.put(area.name, self._search(index, lambda address: in_gpkg(address, area.bounds), turn))
            return
        self._tell(f"The index of {self.host} is fetched once, some 800 MB.")
        headers = turn.run(self._access.headers)
        patience = turn.patience
        part = Turn(turn.pool, float("inf"), patience).run(
            partial(download, index, headers, self._kept, patience)
        )
        try:
            shelf.put(_EVERYWHERE, in_csv(part), patience.check)
        except PriorError:
            part.unlink()  # else it would be read again for ever
            raise
        part.unlink()

    def _found(self, turn: Turn) -> str:
        """The address of the index: the GeoPackage if it can be searched, else the CSV."""
        if self._index is None:
            headers = turn.run(self._access.headers)
            gpkg, csv = f"{self._web}/{GPKG}", f"{self._web}/{CSV}"
            try:
                turn.run(partial(remote.first_bytes, gpkg, headers, turn.left))
                self._index = gpkg if self._search(gpkg, searchable, turn) else csv
            except remote.MissingError:
                turn.run(partial(remote.first_bytes, csv, headers, turn.left))
                self._index = csv
        return self._index

    def _search(self, gpkg: str, search: Callable[[str], T], turn: Turn) -> T:
        """What a search in the GeoPackage finds; what is wrong with the server where it cannot be read."""
        headers = turn.run(self._access.headers)
        try:
            return turn.run(partial(search, remote.gdal_path(gpkg, turn.patience.deadline_s, headers)))
        except UnreadableError:
            raise turn.run(partial(remote.examine, gpkg, headers, turn.left, (_SQLITE,))) from None


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]

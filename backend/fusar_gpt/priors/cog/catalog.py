"""Which COGs lie where: catalogues of a folder and of a server, asked a square degree at a time."""

from __future__ import annotations

import hashlib
import math
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache as once
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TypeVar
from urllib.parse import quote

from fusar_gpt import lonlat
from fusar_gpt.errors import PriorError
from fusar_gpt.priors.cog import remote
from fusar_gpt.priors.cog.files import (
    CogFile,
    NotAtHandError,
    UnreadableError,
    has_spatial_index,
    read_csv,
    read_gpkg,
    scan_folder,
)
from fusar_gpt.priors.cog.remote import GcsCredentials
from fusar_gpt.priors.failures import MissingError, host_of
from fusar_gpt.priors.retry import Deadline, Unavailable
from fusar_gpt.priors.tiles import Bounds, Tile, bounds_in_degrees, overlap, overlap_on_earth

T = TypeVar("T")

GPKG, CSV = "aef_index.gpkg", "aef_index.csv"
_BELOW = {"aef": "v1/annual", "alphaearth_foundations": "satellite_embedding/v1/annual"}  # mirror and bucket
_EVERYWHERE = "everywhere"
_FRESH_S = 30 * 86_400.0  # new years appear once a year
_MARGIN = 0.02  # degrees of latitude; a tile is 0.012 high
_BUSY_S = 5.0  # that another process may hold the database
_SQLITE = b"SQLite format 3\0"
_TABLES = """
    CREATE TABLE IF NOT EXISTS known (area TEXT PRIMARY KEY, at REAL NOT NULL);
    CREATE TABLE IF NOT EXISTS file (
        path TEXT PRIMARY KEY, year INTEGER, crs TEXT, "left" REAL, bottom REAL, "right" REAL, top REAL,
        west REAL, south REAL, east REAL, north REAL);
    CREATE INDEX IF NOT EXISTS by_south ON file (south);
"""


@dataclass(frozen=True)
class Area:
    """The tiles whose middle lies in one square degree, by its south-western corner, and their surroundings."""

    lon: int
    lat: int

    @classmethod
    def of(cls, bounds: Bounds) -> Area:
        """The area of the middle of a rectangle of degrees."""
        west, south, east, north = bounds
        middle = float(lonlat.wrap(west + lonlat.span(west, east) / 2))
        # The meridian of 180 is that of -180 here.
        return cls(math.floor(middle) if middle < 180 else -180, math.floor((south + north) / 2))

    @property
    def name(self) -> str:
        """What it is called on disk."""
        return f"{self.lon},{self.lat}"

    @property
    def bounds(self) -> Bounds:
        """WGS84 degrees, with a margin that holds all of its tiles."""
        across = _MARGIN / max(0.05, math.cos(math.radians(max(abs(self.lat), abs(self.lat + 1)))))
        return self.lon - across, self.lat - _MARGIN, self.lon + 1 + across, self.lat + 1 + _MARGIN


class CogCatalog(ABC):
    """The COGs of any tile, in a folder or on a server; it is asked once for each square degree.

    Attributes:
        key: Short word for where they come from, and for their state where that can change.
        host: What an error calls it.
        credentials: Who asks a server; None for a folder.
    """

    key: str
    host: str
    credentials: GcsCredentials | None = None

    def __init__(self) -> None:
        self._near: dict[Area, Sequence[CogFile]] = {}

    @abstractmethod
    def near(self, area: Area, deadline: Deadline) -> Sequence[CogFile]:
        """The COGs that touch an area.

        Raises:
            Unavailable: The index cannot be had.
            PriorError: It is invalid, or the folder for what is kept of it cannot be written.
        """

    @abstractmethod
    def kept(self, area: Area) -> Sequence[CogFile] | None:
        """The COGs that touch an area as far as nobody need be asked; None where the index would have to be."""

    @abstractmethod
    def describe(self, deadline: Deadline) -> tuple[list[str], CogFile | None]:
        """Lines that say where COGs are and how they are found, and one COG where that is cheap."""

    @abstractmethod
    def url(self, file: CogFile) -> str:
        """Where a COG is, a URL or a path."""

    def years(self, tile: Tile, deadline: Deadline) -> list[int]:
        """The years in which there is a COG there, rising."""
        return sorted({file.year for file in self._around(tile, deadline)})

    def known_years(self, tile: Tile) -> list[int]:
        """The same without asking anybody; none where that is not known."""
        try:
            return sorted({file.year for file in self._around(tile, None)})
        except (NotAtHandError, PriorError):
            return []

    def files(self, tile: Tile, year: int, deadline: Deadline | None) -> list[CogFile]:
        """The COGs of a year that touch a tile, those of its own zone first, then by path.

        Without a deadline nothing is fetched: NotAtHandError where the index would have to be asked.
        """
        files = [file for file in self._around(tile, deadline) if file.year == year]
        return sorted(files, key=lambda file: (file.crs != f"EPSG:{tile.epsg}", file.path))

    def _around(self, tile: Tile, deadline: Deadline | None) -> list[CogFile]:
        own, degrees = f"EPSG:{tile.epsg}", bounds_in_degrees(tile)
        area = Area.of(degrees)
        if area not in self._near:
            files = self.kept(area) if deadline is None else self.near(area, deadline)
            if files is None:
                raise NotAtHandError(area)
            self._near[area] = files
        return [
            file
            for file in self._near[area]
            if (
                overlap(file.bounds, tile.bounds)
                if file.crs == own
                else overlap_on_earth(file.lonlat, degrees)
            )
        ]


class FolderCatalog(CogCatalog):
    """COGs in a folder: those of its index that are really there, or without an index all of them.

    Raises:
        PriorError: There is no such folder, or no AEF in it.
    """

    def __init__(self, root: Path) -> None:
        super().__init__()
        if not root.is_dir():
            raise PriorError(f"There is no folder {root}: give one with COGs, or an https, s3 or gs address.")
        self.host = str(root)
        indices = (root / below / name for below in ("", *_BELOW.values()) for name in (GPKG, CSV))
        self._index = next((path for path in indices if path.is_file()), None)
        self._root = self._index.parent if self._index else root
        self._all: Sequence[CogFile] = ()
        if self._index is None:
            self._all = scan_folder(self._root)
        elif self._index.name == CSV:
            self._all = self._present(read_csv(self._index))
        stamp = "" if self._index is None else str(self._index.stat().st_mtime_ns)
        self.key = _digest(str(root.resolve()), *map(self._stamp, self._all), stamp)

    def near(self, area: Area, deadline: Deadline) -> Sequence[CogFile]:
        """The COGs that touch an area."""
        return self.kept(area)

    def kept(self, area: Area) -> Sequence[CogFile]:
        """The COGs that touch an area."""
        if self._index is not None and self._index.name == GPKG:
            return self._present(read_gpkg(str(self._index), area.bounds))
        return [file for file in self._all if overlap_on_earth(file.lonlat, area.bounds)]

    def describe(self, deadline: Deadline) -> tuple[list[str], CogFile | None]:
        """See ``CogCatalog``."""
        some: Sequence[CogFile] = self._all
        how = f"none, {len(self._all)} COGs found by their headers"
        if self._index is not None:
            how = self._index.name
            some = some or read_gpkg(str(self._index), None, most=1)
        return [f"COGs: {self.host}.", f"Index: {how}."], next(iter(some), None)

    def url(self, file: CogFile) -> str:
        """The path of a COG."""
        return str(self._root / file.path)

    def _present(self, files: Iterable[CogFile]) -> list[CogFile]:
        return [file for file in files if (self._root / file.path).is_file()]

    def _stamp(self, file: CogFile) -> str:
        """Changes with the file, so that the cache never gives what was there before."""
        stat = (self._root / file.path).stat()
        return f"{file.path} {stat.st_size} {stat.st_mtime_ns}"


class WebCatalog(CogCatalog):
    """COGs on a server. What is learnt of its index is kept for 30 days, and longer while it cannot be asked.

    ``aef_index.gpkg`` is searched where it is; one without a spatial index, or a lone ``aef_index.csv``, is
    downloaded once, and only its rows are kept.

    Args:
        web: Address of the COGs, of the bucket or of the mirror.
        project: Project of Google Cloud that pays; None asks without an account.
        folder: Where what is learnt is kept.
        report: Takes a line when something long begins.
    """

    def __init__(self, web: str, project: str | None, folder: Path, report: Callable[[str], None]) -> None:
        super().__init__()
        below = _BELOW.get(web.rpartition("/")[2])
        self._web = f"{web}/{below}" if below else web
        self.key = _digest(self._web)
        self.host = host_of(web)
        self.credentials = self._credentials = GcsCredentials(web, project)
        self._folder = folder
        self._report = once(report)  # though the download may take several attempts
        self._lock = Lock()
        self._cache: IndexCache | None = None
        self._index: str | None = None

    def near(self, area: Area, deadline: Deadline) -> Sequence[CogFile]:
        """The COGs that touch an area."""
        with deadline.holding(self._lock):
            cache = self._cache = self._cache or IndexCache(self._folder / f"cog-{self.key}.sqlite")
            ages = [age for name in (area.name, _EVERYWHERE) if (age := cache.age(name)) is not None]
            if not ages or min(ages) > _FRESH_S:
                try:
                    self._learn(area, cache, deadline)
                except (Unavailable, TimeoutError):
                    if not ages:
                        raise
            return cache.within(area.bounds)

    def kept(self, area: Area) -> Sequence[CogFile] | None:
        """Those of the index that were asked for in the last 30 days."""
        if not self._lock.acquire(blocking=False):  # somebody is asking the server
            return None
        try:
            path = self._folder / f"cog-{self.key}.sqlite"
            if self._cache is None and not path.is_file():
                return None
            cache = self._cache = self._cache or IndexCache(path)
            ages = [age for name in (area.name, _EVERYWHERE) if (age := cache.age(name)) is not None]
            return cache.within(area.bounds) if ages and min(ages) <= _FRESH_S else None
        finally:
            self._lock.release()

    def url(self, file: CogFile) -> str:
        """The address of a COG."""
        return f"{self._web}/{quote(file.path)}"

    def describe(self, deadline: Deadline) -> tuple[list[str], CogFile | None]:
        """See ``CogCatalog``."""
        index = self._find(deadline)
        lines = [f"COGs: {self.host}, {self._credentials}."]
        if index.endswith(CSV):
            return [*lines, f"Index: {CSV}, fetched once."], None
        some = self._search(index, partial(read_gpkg, around=None, most=1), deadline)
        return [*lines, f"Index: {GPKG}, searched where it lies."], next(iter(some), None)

    def _learn(self, area: Area, cache: IndexCache, deadline: Deadline) -> None:
        """Put the COGs of an area into the cache, or those of everywhere."""
        index = self._find(deadline)
        if index.endswith(GPKG):
            cache.put(area.name, self._search(index, partial(read_gpkg, around=area.bounds), deadline))
            return
        self._report(f"The index of {self.host} is fetched once, some 800 MB.")
        headers = deadline.run(self._credentials.headers)
        try:
            part = deadline.run(partial(remote.download, index, headers, self._folder, deadline))
        except TimeoutError:
            raise Unavailable(
                f"The index comes too slowly from {self.host}: ask again, it goes on where it stopped."
            ) from None

        def progress() -> None:
            deadline.extend()
            deadline.check()

        try:
            cache.put(_EVERYWHERE, read_csv(part), progress)
        except PriorError:
            part.unlink()  # else it would be read again for ever
            raise
        part.unlink()

    def _find(self, deadline: Deadline) -> str:
        """The address of the index: the GeoPackage if it can be searched, else the CSV."""
        if self._index is None:
            headers = deadline.run(self._credentials.headers)
            gpkg, csv = f"{self._web}/{GPKG}", f"{self._web}/{CSV}"
            try:
                deadline.run(partial(remote.first_bytes, gpkg, headers, deadline.left))
                self._index = gpkg if self._search(gpkg, has_spatial_index, deadline) else csv
            except MissingError:
                deadline.run(partial(remote.first_bytes, csv, headers, deadline.left))
                self._index = csv
        return self._index

    def _search(self, gpkg: str, search: Callable[[str], T], deadline: Deadline) -> T:
        """What a search in the GeoPackage finds; what is wrong with the server where it cannot be read."""
        headers = deadline.run(self._credentials.headers)
        try:
            return deadline.run(partial(search, remote.gdal_path(gpkg, deadline.seconds, headers)))
        except UnreadableError:
            raise deadline.run(partial(remote.examine, gpkg, headers, deadline.left, (_SQLITE,))) from None


class IndexCache:
    """Rows of one index on disk, without outlines, 100 bytes a file; shared by threads and processes.

    A file that is no SQLite database is thrown away.

    Raises:
        PriorError: It cannot be read or written; so do all methods.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists():
                with path.open("rb") as file:
                    start = file.read(len(_SQLITE))
                if start not in (b"", _SQLITE):
                    path.unlink()
        except OSError as error:
            raise PriorError(f"{path.parent} cannot be written: choose another cache folder.") from error
        with self._transaction() as database:
            database.executescript(_TABLES)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_S)) as database, database:
                yield database
        except sqlite3.Error as error:
            raise PriorError(
                f"{self._path} cannot be used ({error}): remove it, or make room there."
            ) from error

    def age(self, area: str) -> float | None:
        """Seconds since an area was put here, None if it never was."""
        with self._transaction() as database:
            row = database.execute("SELECT at FROM known WHERE area = ?", (area,)).fetchone()
        return None if row is None else max(0.0, time.time() - row[0])

    def put(self, area: str, files: Iterable[CogFile], check: Callable[[], None] = lambda: None) -> None:
        """Keep the files of an area, all of them or none; ``check`` may raise in between."""
        with self._transaction() as database:
            for number, file in enumerate(files):
                if number % 1000 == 0:
                    check()
                row = (file.path, file.year, file.crs, *file.bounds, *file.lonlat)
                database.execute(f"INSERT OR REPLACE INTO file VALUES ({','.join('?' * len(row))})", row)  # noqa: S608
            database.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (area, time.time()))

    def within(self, around: Bounds) -> list[CogFile]:
        """The files that touch a rectangle of degrees, by path."""
        question = "SELECT * FROM file WHERE south < ? AND north > ? ORDER BY path"
        with self._transaction() as database:
            rows = database.execute(question, (around[3], around[1])).fetchall()
        files = (
            CogFile(path, year, crs, tuple(numbers[:4]), tuple(numbers[4:]))
            for path, year, crs, *numbers in rows
        )
        return [file for file in files if overlap_on_earth(file.lonlat, around)]


def _digest(*words: str) -> str:
    return hashlib.sha256("\n".join(words).encode()).hexdigest()[:12]

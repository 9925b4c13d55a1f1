"""AEF tiles on the user's disk, so that the second time is instant."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from fusar_gpt.errors import PriorError
from fusar_gpt.folders import user_folder
from fusar_gpt.priors.field import DIMENSIONS, NODATA_CODE
from fusar_gpt.priors.tiles import TILE_PX, Codes, Tile

DEFAULT_LIMIT = 4 * 2**30
"""Bytes that are kept unless the user says otherwise: about 6,500 square kilometres."""

_MAGIC = b"AEF1"
_HEADER = len(_MAGIC) + 4  # and a CRC-32
_WHOLE = _HEADER + DIMENSIONS * TILE_PX * TILE_PX
_SIZES = (_HEADER, _WHOLE)  # a tile without data is a header alone
_BLOCK = 4096  # what the smallest file takes on a disk
_SWEEP = 16  # the folder is listed once a sixteenth of the limit has been written
_STALE_S = 3600.0  # a half-written file of this age belongs to a process that died
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*")


@dataclass(frozen=True)
class CacheInfo:
    """What a cache holds: the number of tiles, their bytes on the disk in all and by the key of the source."""

    folder: Path
    tiles: int
    bytes: int
    limit_bytes: int
    by_source: dict[str, int]


def default_folder() -> Path:
    """Where tiles are kept: in $FUSAR_CACHE, else in the platform's place for what can be fetched again."""
    if home := os.environ.get("FUSAR_CACHE"):
        return Path(home).expanduser() / "priors"
    return user_folder("cache") / "fusar-gpt" / "priors"


class TileCache:
    """Tiles in a folder, a file each, that any number of threads and processes share.

    A file appears whole or not at all, by renaming. It begins with a CRC-32 over its name and content, and what
    does not match, cut off or damaged or misplaced, is removed and counts as absent. The codes are kept as they are,
    pixel by pixel: zlib saved a quarter of real vectors, and took ten times as long to read.

    The tiles read longest ago go first. The folder is listed now and then, not at each tile, and swept to seven
    eighths of the limit, so that two processes that write at once stay within it.

    Args:
        folder: Made when the first tile is put; ``default_folder()`` if not given.
        limit_bytes: What the tiles may take on the disk.
    """

    def __init__(self, folder: Path | None = None, limit_bytes: int = DEFAULT_LIMIT) -> None:
        self.folder = folder or default_folder()
        self.limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._unswept = limit_bytes  # bytes put since the folder was last listed; the first put lists it

    def holds(self, key: str, year: int, tile: Tile) -> bool:
        """Whether there is such a file, of a right size; its content is not read."""
        try:
            return self._path(key, year, tile).stat().st_size in _SIZES
        except OSError:
            return False

    def get(self, key: str, year: int, tile: Tile) -> Codes | None:
        """The tile, read-only and pixel-major, or None when it is absent or damaged."""
        path = self._path(key, year, tile)
        try:
            with path.open("rb") as stream:
                content = stream.read(_WHOLE + 1)
            if not _sound(content, self._name(path)):
                path.unlink()
                return None
        except OSError:
            return None
        with contextlib.suppress(OSError):  # just removed, or another user's
            os.utime(path)
        if len(content) == _HEADER:
            return _no_data()
        pixels = np.frombuffer(content, np.int8, offset=_HEADER).reshape(TILE_PX, TILE_PX, DIMENSIONS)
        return pixels.transpose(2, 0, 1)

    def put(self, key: str, year: int, tiles: Mapping[Tile, Codes]) -> None:
        """Keeps whole tiles.

        Raises:
            PriorError: The folder cannot be written.
        """
        written = 0
        try:
            for tile, codes in tiles.items():
                written += self._write(self._path(key, year, tile), codes)
        except OSError as error:
            raise PriorError(
                f"The cache of priors in {self.folder} cannot be written ({error.strerror}): "
                "free some space or choose another folder with FUSAR_CACHE."
            ) from error
        with self._lock:
            self._unswept += written
            if self._unswept * _SWEEP >= self.limit_bytes:
                self._sweep()
                self._unswept = 0

    def years(self, key: str) -> list[int]:
        """The years of which anything is kept, rising."""
        self._check(key)
        try:
            return sorted(int(path.name) for path in (self.folder / key).iterdir() if path.name.isdecimal())
        except OSError:
            return []

    def info(self) -> CacheInfo:
        """What is kept now."""
        by_source: Counter[str] = Counter()
        tiles = list(self._files())
        for _, size, path in tiles:
            by_source[path.parts[-4]] += size
        return CacheInfo(self.folder, len(tiles), by_source.total(), self.limit_bytes, by_source)

    def clear(self, key: str | None = None) -> int:
        """Removes the tiles of one source, or all, and nothing else; returns how many.

        Raises:
            PriorError: No name of a source, or a tile cannot be removed.
        """
        if key is not None:
            self._check(key)
        removed = 0
        for _, _, path in self._files():
            if key not in (None, path.parts[-4]):
                continue
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise PriorError(
                    f"{path} cannot be removed ({error.strerror}): check its permissions."
                ) from error
            removed += 1
        return removed  # folders stay: another process may be about to write into them

    def _path(self, key: str, year: int, tile: Tile) -> Path:
        self._check(key)
        zone = f"{tile.zone:02d}{'S' if tile.south else 'N'}"
        return self.folder / key / str(year) / zone / f"{tile.col}_{tile.row}.aef"

    def _check(self, key: str) -> None:
        if not _KEY.fullmatch(key):
            raise PriorError(
                f"{key!r} is not a source in the cache: see the names with fusar prior cache info."
            )

    def _name(self, path: Path) -> bytes:
        return path.relative_to(self.folder).as_posix().encode()

    def _write(self, path: Path, codes: Codes) -> int:
        """Bytes on the disk."""
        pixels = np.ascontiguousarray(codes.transpose(1, 2, 0))
        content = pixels.tobytes() if (pixels != NODATA_CODE).any() else b""
        checksum = zlib.crc32(content, zlib.crc32(self._name(path)))
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(suffix=".part", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(_MAGIC + checksum.to_bytes(4, "little"))
                stream.write(content)
            Path(part).replace(path)
        except BaseException:
            Path(part).unlink(missing_ok=True)
            raise
        return _on_disk(_HEADER + len(content))

    def _files(self) -> Iterator[tuple[int, int, Path]]:
        """When each tile was last read, in ns, its bytes on the disk, and its file: key, year, zone, tile.

        What vanishes meanwhile is left out, and what a dead process left half-written is removed.
        """
        for path in self.folder.glob("*/*/*/*"):
            with contextlib.suppress(OSError):
                stat = path.lstat()
                if path.suffix == ".aef":
                    yield stat.st_mtime_ns, _on_disk(stat.st_size), path
                elif path.suffix == ".part" and time.time() - stat.st_mtime > _STALE_S:
                    path.unlink()

    def _sweep(self) -> None:
        """Removes the tiles read longest ago until an eighth of the limit is free."""
        tiles = sorted(self._files())
        total = sum(size for _, size, _ in tiles)
        for _, size, path in tiles:
            if total <= self.limit_bytes * 7 // 8:
                return
            with contextlib.suppress(OSError):  # another process still reads it (Windows)
                path.unlink(missing_ok=True)
                total -= size


def _sound(content: bytes, name: bytes) -> bool:
    if len(content) not in _SIZES or not content.startswith(_MAGIC):
        return False
    checksum = zlib.crc32(memoryview(content)[_HEADER:], zlib.crc32(name))
    return checksum == int.from_bytes(content[len(_MAGIC) : _HEADER], "little")


def _on_disk(size: int) -> int:
    return -(-size // _BLOCK) * _BLOCK


@cache
def _no_data() -> Codes:
    pixels = np.full((TILE_PX, TILE_PX, DIMENSIONS), NODATA_CODE, np.int8)
    pixels.flags.writeable = False
    return pixels.transpose(2, 0, 1)

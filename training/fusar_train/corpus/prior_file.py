"""The prior of a record on disk: ``.npz`` with ``features`` [S, 64], ``positions`` [S, 2], if known ``year``."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from fusar_gpt.priors.field import DIMENSIONS
from fusar_train.corpus.errors import CorpusError

MOST_BYTES = 64 * 2**20
Vectors = tuple[NDArray[np.float32], NDArray[np.float32]]

_BEFORE_VECTOR = 6  # columns of the authors' older files: lon, lat, row, col, x, y
_EDGE = 1e-3  # positions on the very edge, up to rounding


def read_prior(source: Path | BinaryIO, name: str) -> tuple[Vectors, int | None]:
    """The vectors float32 [S, 64], their (y, x) in [0, 1] float32 [S, 2], and their year where the file says it.

    Raises:
        CorpusError: ``name`` is missing, damaged, too large, or of another shape; a number is not finite or a
            position lies outside the window.
    """
    with _readable(name):
        arrays = _arrays(source, name)
    features, positions = arrays.get("features"), arrays.get("positions")
    if features is None or positions is None:
        raise CorpusError(f"{name} must hold features [S, {DIMENSIONS}] and positions [S, 2]: make it again.")
    rows = len(features) if features.ndim else 0
    for what, array, columns in (("features", features, DIMENSIONS), ("positions", positions, 2)):
        if array.shape != (rows, columns) or array.dtype.kind != "f":
            raise CorpusError(
                f"{name}: {what} is {array.dtype} {list(array.shape)}, it must be float32 [S, {columns}]."
            )
        if not np.isfinite(array).all():
            raise CorpusError(f"{name}: {what} has values that are no numbers: leave those nodes out.")
    if rows and (positions.min() < -_EDGE or positions.max() > 1 + _EDGE):
        raise CorpusError(f"{name}: positions must be (y, x) in 0 to 1 of the window: divide by its size.")
    placed = positions.astype(np.float32).clip(0, 1)
    return (features.astype(np.float32), placed), _year(arrays.get("year"), name)


def write_prior(path: Path | BinaryIO, vectors: Vectors, year: int | None = None) -> None:
    """Writes the file that ``read_prior`` reads."""
    known = {} if year is None else {"year": np.int64(year)}
    np.savez_compressed(path, features=vectors[0], positions=vectors[1], **known)  # type: ignore[arg-type]


def read_authors_npy(path: Path) -> Vectors:
    """The authors' older form [S, 70]: lon, lat, row, col, x, y, A00 to A63; positions are min-max x and y.

    Raises:
        CorpusError: As ``read_prior``.
    """
    name = str(path)
    with _readable(name):
        _check_size(path.stat().st_size, name)
        table = np.load(path, allow_pickle=False)
    columns = _BEFORE_VECTOR + DIMENSIONS
    if table.ndim != 2 or table.shape[1] != columns or table.dtype.kind != "f":
        raise CorpusError(f"{name} is {table.dtype} {list(table.shape)}, it must be floats [S, {columns}].")
    table = table[np.isfinite(table).all(axis=1)]
    yx = table[:, [5, 4]]
    if len(yx):
        low, span = yx.min(axis=0), np.ptp(yx, axis=0)
        yx = np.where(span > 0, (yx - low) / np.where(span > 0, span, 1), 0.5)
    return table[:, _BEFORE_VECTOR:].astype(np.float32), yx.astype(np.float32)


def _arrays(source: Path | BinaryIO, name: str) -> dict[str, NDArray[Any]]:
    with zipfile.ZipFile(source) as archive:  # a deflated bomb is small on disk
        _check_size(sum(member.file_size for member in archive.infolist()), name)
    if not isinstance(source, Path):
        source.seek(0)
    with np.load(source, allow_pickle=False) as stored:
        return {key: stored[key] for key in ("features", "positions", "year") if key in stored.files}


def _year(stored: NDArray[Any] | None, name: str) -> int | None:
    if stored is None:
        return None
    if stored.size != 1 or stored.dtype.kind not in "iu":
        raise CorpusError(f"{name}: year must be one whole number, not {stored.dtype} {list(stored.shape)}.")
    return int(stored.item())


def _check_size(size: int, name: str) -> None:
    if size > MOST_BYTES:
        raise CorpusError(f"{name} is larger than {MOST_BYTES >> 20} MB: that is no prior.")


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise CorpusError(f"{name} does not exist: check the path, or set prior to null.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise CorpusError(f"{name} is no readable prior ({error}): make it again.") from error

"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fusar_gpt.errors import OutputError


def check_writable(path: Path) -> None:
    """Tells before a long run that :func:`whole_file` could not write there.

    Raises:
        OutputError: It could not.
    """
    if path.exists() and not path.is_file():  # replacing a device would destroy it
        raise OutputError(f"Cannot write {path}: it is a folder or a device. Give the name of a file.")
    # A log that another program (QGIS) left beside an open GeoPackage would be replayed into the new one.
    log = path.with_name(path.name + "-wal")
    if log.exists():
        raise OutputError(
            f"Cannot replace {path}: another program has it open ({log.name} lies beside it). "
            "Close it there, or write to another name."
        )
    with _explained(path), tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.absolute().parent):
        pass


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write to, and puts the file at ``path`` when the block ends well.

    The temporary file lives in a folder of its own beside the target, so that a writer's side files (SQLite's
    journal) vanish with it whatever happens.

    Raises:
        OutputError: The file cannot be written. What stood at ``path`` before is untouched.
    """
    check_writable(path)
    folder = path.absolute().parent
    with _explained(path), tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=folder) as beside:
        temporary = Path(beside, path.name)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(path)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(
            f"Cannot write {path}: {reason}. Check the folder and its free space, or write elsewhere."
        ) from error

"""Files that appear whole or not at all, and never in the place of one that somebody else wrote."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from fusar_gpt.errors import OutputError

_TEMPORARY = ".fusar-"  # short: the target's own name may be as long as names can be


def check_output(
    path: Path, ours: Callable[[Path], bool], *, inputs: Mapping[str, Path | None], overwrite: bool
) -> str | None:
    """Tells before a long run that a file must not, or could not, be written.

    Args:
        path: The file to be written or replaced.
        ours: Whether a file that is there was written by the same command, so that a later run may replace it.
        inputs: The files that the command reads, by what they are; None and what is not there is passed over.
        overwrite: The user said that any file may be replaced, but never an input.

    Returns:
        A line for the user where somebody else's file will be replaced.

    Raises:
        OutputError: It is an input, or somebody else's, or cannot be written.
    """
    check_writable(path)
    if not path.exists():
        return None
    for what, given in inputs.items():
        if given is not None and given.exists() and path.samefile(given):
            raise OutputError(f"Cannot write {path}: it is the {what} itself. Write to another name.")
    if ours(path):
        return None
    if not overwrite:
        raise OutputError(
            f"Cannot replace {path}: this command did not write it. Write to another name, or give --overwrite."
        )
    return f"replacing {path}, which this command did not write"


def check_writable(path: Path) -> None:
    """Tells before a long run that :func:`whole_file` could not write there.

    Raises:
        OutputError: It could not.
    """
    with _explained(path):
        there = path.exists()
    if there and not path.is_file():  # replacing a device would destroy it
        raise OutputError(f"Cannot write {path}: it is a folder or a device. Give the name of a file.")
    # A log that another program (QGIS) left beside an open GeoPackage would be replayed into the new one.
    log = path.with_name(path.name + "-wal")
    if log.exists():
        raise OutputError(
            f"Cannot replace {path}: another program has it open ({log.name} lies beside it). "
            "Close it there, or write to another name."
        )
    with (
        _explained(path),
        tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=path.absolute().parent) as beside,
    ):
        Path(beside, path.name).touch()  # the name may be too long


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Gives a temporary path to write to, and puts the file at ``path`` when the block ends well.

    The temporary file lives in a folder of its own beside the target, so that a writer's side files (SQLite's
    journal) vanish with it whatever happens. It has a plain name with the target's suffix.

    Raises:
        OutputError: The file cannot be written. What stood at ``path`` before is untouched.
    """
    check_writable(path)
    folder = path.absolute().parent
    with _explained(path), tempfile.TemporaryDirectory(prefix=_TEMPORARY, dir=folder) as beside:
        temporary = Path(beside, "whole" + path.suffix)
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

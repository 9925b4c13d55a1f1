"""Locks on files, between processes and between threads; the system frees them when a process ends, however it does."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fusar_gpt.errors import Cancelled

_POLL_S = 0.02

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl


@contextmanager
def exclusive(file: Path, cancelled: Callable[[], bool]) -> Iterator[None]:
    """Holds a file that is there, as soon as nobody else does. Raises Cancelled once ``cancelled()`` is true."""
    with file.open("r+b") as stream:
        while not _taken(stream):
            if cancelled():
                raise Cancelled("cancelled")
            time.sleep(_POLL_S)
        try:
            yield
        finally:
            if sys.platform == "win32":  # closing alone does it some time later
                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)


@contextmanager
def in_use(file: Path) -> Iterator[None]:
    """Keeps a file's folder from being :func:`moved_away`; FileNotFoundError: it just was."""
    with file.open("rb") as stream:
        if sys.platform != "win32":
            with suppress(OSError):  # a file system without locks
                fcntl.flock(stream, fcntl.LOCK_SH)
            if not os.path.samestat(os.fstat(stream.fileno()), file.stat()):
                raise FileNotFoundError(file)
        yield


def moved_away(file: Path, to: Path) -> bool:
    """Whether a file's folder could be renamed: not while it is :func:`in_use`. Raises OSError as Path.rename does."""
    if sys.platform == "win32":  # a folder of open files cannot be renamed
        try:
            file.parent.rename(to)
        except PermissionError:
            return False
        return True
    with file.open("rb") as stream:
        if not _taken(stream):
            return False
        file.parent.rename(to)
    return True


def _taken(stream: BinaryIO) -> bool:
    """Whether the stream's file is now held."""
    try:
        if sys.platform == "win32":
            stream.seek(0)
            msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True

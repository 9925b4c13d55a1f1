"""A folder for the jobs of this QGIS session, in which a backend that died finds what it was doing."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

from qgis.PyQt.QtCore import QLockFile, QStandardPaths


def data_folder() -> Path:
    """Return the folder of the user's data where FUSAR-GPT keeps its own."""
    place = QStandardPaths.writableLocation(QStandardPaths.StandardLocation.GenericDataLocation)
    return Path(place) / "fusar-gpt"


class SessionFolder:
    """One folder, locked while it is in use, because two backends cannot share their jobs."""

    def __init__(self, parent: Path) -> None:
        """Make it in ``parent``, and remove those of sessions that have crashed. Raises OSError."""
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(parent)
        self.path = parent / uuid.uuid4().hex
        self._lock = _lock(self.path)
        self._lock.tryLock(0)
        self.path.mkdir(mode=0o700)

    def remove(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.unlock()


def _sweep(parent: Path) -> None:
    for lock_file in parent.glob("*.lock"):
        folder = lock_file.with_suffix("")
        lock = _lock(folder)
        if lock.tryLock(0):  # its owner is dead
            shutil.rmtree(folder, ignore_errors=True)
            lock.unlock()


def _lock(folder: Path) -> QLockFile:
    lock = QLockFile(str(folder.with_suffix(".lock")))
    lock.setStaleLockTime(0)  # however old: only the death of its owner ends it
    return lock

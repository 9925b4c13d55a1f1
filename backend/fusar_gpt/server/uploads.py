"""The store of uploaded scenes: streamed to disk, named by their hash, checked, and deleted by age."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from datetime import date, datetime, timezone
from pathlib import Path

from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from fusar_gpt.contract import UPLOADED
from fusar_gpt.errors import FusarError
from fusar_gpt.server.jobs import Slots
from fusar_gpt.server.opening import OPENINGS
from fusar_gpt.server.security import LONGER_BODIES

PIECE = 2**20
"""Bytes that are written to the disk at a time."""
RESERVE = 256 * 2**20
"""Bytes that uploads leave free on the disk: the journal needs them to end its jobs."""
MOST_AT_A_TIME = 8

_ID = re.compile(r"[0-9a-f]{64}")
_INCOMING = "incoming-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

logger = logging.getLogger(__name__)


class Uploaded(BaseModel):
    """An uploaded scene and its properties."""

    id: str = Field(description="SHA-256 of its bytes, hexadecimal")
    scene: str = Field(description="what a request names it by", examples=["scene:9f86d081..."])
    name: str
    bytes: int
    width: int
    height: int
    bands: list[str]
    polarisations: list[str]
    crs: str
    acquired: date | None
    pixel_size_m: float
    simulated: bool
    used: datetime = Field(description="its last use; it is deleted some days after")


class Incoming:
    """A file that is being uploaded: in a folder of its own, hashed as it is written."""

    def __init__(self, scenes: Path, name: str) -> None:
        scenes.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = Path(tempfile.mkdtemp(prefix=_INCOMING, dir=scenes))
        self.path = self.folder / name
        self._file = self.path.open("xb")
        self._hash = hashlib.sha256()

    def write(self, piece: bytes) -> None:
        """Append bytes. Raises OSError if less than ``RESERVE`` would be left on the disk."""
        if shutil.disk_usage(self.folder).free < RESERVE + len(piece):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._file.write(piece)
        self._hash.update(piece)

    def close(self) -> str:
        """Flush everything to the disk; the id of the scene."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return self._hash.hexdigest()

    def discard(self) -> None:
        """Delete the folder, unless it has become a scene's."""
        with suppress(OSError):  # the buffer cannot be written to a full disk
            self._file.close()
        shutil.rmtree(self.folder, ignore_errors=True)


class SceneStore:
    """The uploaded scenes, as files ``<id>/<name>``; the time stamp of a folder is the last use of its scene."""

    def __init__(
        self, folder: Path, *, max_bytes: int, keep_s: float, needed: Callable[[], Collection[str]]
    ) -> None:
        """A store in a folder, which is made with the first upload.

        Args:
            folder: Where the scenes are kept.
            max_bytes: Size of the largest scene.
            keep_s: Seconds after its last use that a scene is deleted.
            needed: The ids of the scenes that jobs still need.
        """
        self._folder = folder
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._needed = needed
        self._lock = threading.Lock()
        self._known: dict[str, Uploaded] = {}
        self._slots = Slots(MOST_AT_A_TIME, "uploads are running")

    async def receive(self, name: str, body: AsyncIterator[bytes]) -> tuple[Uploaded, bool]:
        """Store a file as it arrives; the scene, and whether it is new.

        Raises:
            Busy: Too many uploads run at a time.
            HTTPException: It is too large, or the disk is full.
            SceneError: It is not a scene that may be opened.
        """
        incoming: Incoming | None = None
        with self._slots:
            try:
                with _disk():
                    incoming = await run_in_threadpool(Incoming, self._folder, name)
                    async for piece in _pieces(body, self._max_bytes):
                        await run_in_threadpool(incoming.write, piece)
                    return await run_in_threadpool(self._store, incoming)
            finally:
                if incoming is not None:
                    await run_in_threadpool(incoming.discard)

    def _store(self, incoming: Incoming) -> tuple[Uploaded, bool]:
        scene_id = incoming.close()
        if self._file(scene_id) is None:
            described = _describe(scene_id, incoming.path)
            with self._lock:
                if self._file(scene_id) is None:
                    incoming.folder.rename(self._folder / scene_id)
                    self._known[scene_id] = described
                    return described, True
        return self.about(scene_id, used=True), False

    def path(self, scene_id: str) -> Path:
        """The file of a scene; counts as a use. Raises FusarError if there is none."""
        file = self._existing(scene_id)
        os.utime(file.parent)
        return file

    def about(self, scene_id: str, *, used: bool = False) -> Uploaded:
        """The properties of a scene. Raises FusarError if there is none, SceneError if it was damaged since."""
        file = self._existing(scene_id)
        if used:
            os.utime(file.parent)
        if scene_id not in self._known:
            self._known[scene_id] = _describe(scene_id, file)
        return self._known[scene_id].model_copy(update={"used": _last_use(file)})

    def all(self) -> Iterator[Uploaded]:
        """All scenes, the last used first."""
        for scene_id in sorted(self._ids(), key=self._age):
            with suppress(FusarError):  # damaged, or deleted meanwhile
                yield self.about(scene_id)

    def delete(self, scene_id: str) -> bool:
        """Delete a scene; false if there is none. Raises HTTPException while a job needs it."""
        if scene_id in self._needed():
            raise HTTPException(409, "a job still needs this scene; cancel the job or wait for its end")
        with self._lock:
            file = self._file(scene_id)
            if file is None:
                return False
            # Renamed first, so that it is gone at once; what cannot be deleted now is deleted as an abandoned upload.
            doomed = file.parent.rename(self._folder / f"{_INCOMING}{scene_id}")
            self._known.pop(scene_id, None)
        shutil.rmtree(doomed, ignore_errors=True)
        return True

    def discard_abandoned(self) -> None:
        """Delete what uploads to an earlier server left; only for the start, when no upload runs yet."""
        for lost in self._folder.glob(f"{_INCOMING}*"):
            shutil.rmtree(lost, ignore_errors=True)

    def sweep(self) -> None:
        """Delete the scenes that were not used for long and that no job needs, and abandoned uploads."""
        for scene_id in self._ids():
            if self._age(scene_id) > self._keep_s:
                with suppress(HTTPException):
                    self.delete(scene_id)
        for lost in self._folder.glob(f"{_INCOMING}*"):
            if self._age(lost.name) > LONGER_BODIES["/scenes"]:
                shutil.rmtree(lost, ignore_errors=True)

    def _ids(self) -> list[str]:
        return [folder.name for folder in self._folder.glob("*") if _ID.fullmatch(folder.name)]

    def _age(self, name: str) -> float:
        try:
            return time.time() - (self._folder / name).stat().st_mtime
        except OSError:
            return 0.0

    def _existing(self, scene_id: str) -> Path:
        if (file := self._file(scene_id)) is None:
            raise FusarError("there is no such scene, or it was deleted; upload it again")
        return file

    def _file(self, scene_id: str) -> Path | None:
        if not _ID.fullmatch(scene_id):
            return None
        return next((self._folder / scene_id).glob("*"), None)


@contextmanager
def _disk() -> Iterator[None]:
    """Turn an error of the disk into a problem for the client."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise HTTPException(
                507, "the server's disk is full; delete scenes there, or ask its owner"
            ) from error
        if error.errno == errno.ENAMETOOLONG:
            raise HTTPException(422, "name: the file name is too long; shorten it") from error
        logger.warning("cannot keep an upload: %s", error.strerror)
        raise HTTPException(500, "the server cannot write to its state folder; ask its owner") from error


async def _pieces(body: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """The body in pieces of ``PIECE`` bytes or more. Raises HTTPException if it is too large or empty."""
    buffer, seen = bytearray(), 0
    async for chunk in body:
        seen += len(chunk)
        if seen > max_bytes:
            raise HTTPException(413, f"the scene is over {max_bytes / 2**30:g} GiB; cut it down first")
        buffer += chunk
        if len(buffer) >= PIECE:
            yield bytes(buffer)
            buffer.clear()
    if not seen:
        raise HTTPException(400, "the upload is empty; send the file as the body")
    yield bytes(buffer)


def _describe(scene_id: str, path: Path) -> Uploaded:
    """The properties of a file, read without anything beside it. Raises SceneError if it is no scene, or damaged."""
    return Uploaded.model_validate(
        {
            "id": scene_id,
            "scene": f"{UPLOADED}{scene_id}",
            "name": path.name,
            "bytes": path.stat().st_size,
            **asdict(OPENINGS.describe(path)),
            "used": _last_use(path),
        }
    )


def _last_use(file: Path) -> datetime:
    return datetime.fromtimestamp(file.parent.stat().st_mtime, timezone.utc)

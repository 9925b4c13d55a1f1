"""Making a scene known to a backend: its path where that will do, else the part that is needed, sent."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsRasterBlockFeedback,
    QgsTask,
)
from qgis.PyQt.QtCore import QObject, QUrlQuery, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..layers.clipping import ClipError, Source, clip, source_of
from ..layers.scene import Scene
from .client import Client

_CLIPPED = 50.0  # percent: the rest is for the way to the backend
_NAME_LENGTH = 100

_at_work: set[_ClipTask] = set()  # without a reference in Python a task's finished() is never called


class Sending(QObject):
    """Makes the part of a scene that an area needs known to a backend, and deletes itself after it.

    ``sent`` brings what to put into ``inputs.scene``, or ``failed`` one line for the analyst; exactly one of them
    comes, during ``start`` where the path will do, and none after ``cancel``. ``progressed`` is in percent.
    """

    sent = pyqtSignal(str)
    failed = pyqtSignal(str)
    progressed = pyqtSignal(float)

    def __init__(
        self,
        client: Client,
        scene: Scene,
        area: QgsGeometry,
        area_crs: QgsCoordinateReferenceSystem,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._client = client
        self._scene = scene
        self._area, self._area_crs = QgsGeometry(area), area_crs
        self._task: _ClipTask | None = None
        self._reply: QNetworkReply | None = None
        self._over = False

    def start(self) -> None:
        """Begin; call it in the GUI thread, while the layer is there."""
        if self._scene.path is not None and self._client.endpoint.is_loopback:
            self._end()
            self.sent.emit(self._scene.path)
            return
        title = self.tr("Cut out of “{name}”").format(name=self._scene.name)
        self._task = _ClipTask(title, source_of(self._scene.layer), self._area, self._area_crs)
        self._task.progressChanged.connect(self._clipping)
        self._task.over.connect(self._clipped)
        QgsApplication.taskManager().addTask(self._task)

    def cancel(self) -> None:
        """Stop at once; nothing is signalled any more."""
        if not self._over:
            self._end()

    def _clipping(self, percent: float) -> None:
        self.progressed.emit(percent * _CLIPPED / 100)

    def _clipped(self, problem: str) -> None:
        if self._over or self._task is None:
            return
        if problem:
            self._fail(problem)
            return
        query = QUrlQuery()
        query.addQueryItem("name", _file_name(self._scene.name))
        try:
            self._reply = self._client.send_file(f"/scenes?{query.toString()}", self._task.file)
        except OSError as error:
            self._fail(str(error))
            return
        self._reply.uploadProgress.connect(self._sending)
        self._reply.finished.connect(self._answered)

    def _sending(self, done: int, total: int) -> None:
        if total > 0:
            self.progressed.emit(_CLIPPED + (100 - _CLIPPED) * done / total)

    def _answered(self) -> None:
        reply = self._reply
        if self._over or reply is None:
            return
        problem = self._client.problem(reply)
        try:
            known = "" if problem else str(json.loads(bytes(reply.readAll()))["scene"])
        except (ValueError, KeyError, TypeError):
            problem = self.tr("The backend's answer cannot be read. Update the backend and the plugin.")
        if problem:
            self._fail(problem)
        else:
            self._end()
            self.sent.emit(known)

    def _fail(self, problem: str) -> None:
        self._end()
        self.failed.emit(problem)

    def _end(self) -> None:
        self._over = True
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.abort()
            reply.deleteLater()
        task, self._task = self._task, None
        if task is not None:
            task.let_go()
        self.deleteLater()


class _ClipTask(QgsTask):
    """Cuts the part out into a folder of its own, which goes with it; ``over`` brings the problem, if any."""

    over = pyqtSignal(str)

    def __init__(
        self, title: str, source: Source, area: QgsGeometry, area_crs: QgsCoordinateReferenceSystem
    ) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self._source, self._area, self._area_crs = source, area, area_crs
        self._folder = Path(tempfile.mkdtemp(prefix="fusar-"))
        self._feedback = QgsRasterBlockFeedback()
        self._feedback.progressChanged.connect(self.setProgress)
        self._problem = self.tr("Cancelled.")
        self._finished = self._unneeded = False
        _at_work.add(self)

    @property
    def file(self) -> Path:
        """What was cut out."""
        return self._folder / "clip.tif"

    def run(self) -> bool:
        """Cut."""
        try:
            clip(self._source, self._area, self._area_crs, self.file, self._feedback)
        except ClipError as error:
            self._problem = str(error)
            return False
        return True

    def cancel(self) -> None:
        """Stop cutting."""
        self._feedback.cancel()
        super().cancel()

    def finished(self, succeeded: bool) -> None:
        """Tell; what nobody needs any more is removed."""
        self._finished = True
        _at_work.discard(self)
        if self._unneeded:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            self.over.emit("" if succeeded else self._problem)

    def let_go(self) -> None:
        """Nobody needs it any more: stop, and remove the file."""
        self._unneeded = True
        if self._finished:
            shutil.rmtree(self._folder, ignore_errors=True)
        else:
            self.cancel()


def _file_name(name: str) -> str:
    """A name that a backend takes for the file of a layer."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:_NAME_LENGTH]
    return f"{re.sub('[.]tiff?$', '', plain, flags=re.IGNORECASE) or 'scene'}.tif"

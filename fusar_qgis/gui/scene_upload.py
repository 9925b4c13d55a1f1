"""Makes a scene known to a backend: its path where that will do, else the part that is needed, uploaded."""

from __future__ import annotations

import re
import tempfile
from functools import partial
from pathlib import Path

from qgis.core import QgsRasterBlockFeedback
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..background import BackgroundTask
from ..connection.client import Client
from ..connection.diagnosis import RequestError
from ..core.export import file_stem
from ..layers.clipping import ClipError, clip, source_of
from ..layers.scene import Scene
from .areas import Area

_CLIPPED = 50.0  # percent: the rest is for the way to the backend
_NAME_LENGTH = 100


class SceneUpload(QObject):
    """Makes the part of a scene that an area needs known to a backend, once.

    ``arrived`` brings what to put into ``inputs.scene``, during ``start`` where the path will do; ``failed`` one line
    for the analyst, and ``start`` may be tried again. Nothing comes after ``cancel``. ``progressed`` is in percent.

    Attributes:
        known: What ``arrived`` has brought; empty before.
    """

    arrived = pyqtSignal(str)
    failed = pyqtSignal(str)
    progressed = pyqtSignal(float)

    def __init__(self, client: Client, scene: Scene, area: Area, parent: QObject) -> None:
        super().__init__(parent)
        self.known = ""
        self.client, self.scene, self.area = client, scene, area
        self._task: BackgroundTask | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._reply: QNetworkReply | None = None

    @property
    def is_by_path(self) -> bool:
        """Whether the backend opens the file itself."""
        return self.scene.path is not None and self.client.endpoint.is_loopback

    def start(self) -> None:
        """Begin, unless it is under way or done; call it in the GUI thread, while the layer is there."""
        if self.known or self._task is not None:
            return
        if self.is_by_path:
            self._arrive(str(self.scene.path))
            return
        title = self.tr("Cut out of “{name}”").format(name=self.scene.name)
        self._folder = tempfile.TemporaryDirectory(prefix="fusar-")
        feedback = QgsRasterBlockFeedback()
        file = Path(self._folder.name) / "clip.tif"
        work = partial(clip, source_of(self.scene.layer), self.area.outline, self.area.crs, file, feedback)
        self._task = BackgroundTask(title, work, (ClipError,), stop=feedback.cancel)
        feedback.progressChanged.connect(self._task.setProgress)
        self._task.progressChanged.connect(self._on_clipping)
        self._task.over.connect(self._on_clipped)
        self._task.start()

    def cancel(self) -> None:
        """Stop at once and leave nothing behind; nothing is signalled any more."""
        self.blockSignals(True)
        self._clear()
        self.deleteLater()

    def _on_clipping(self, percent: float) -> None:
        self.progressed.emit(percent * _CLIPPED / 100)

    def _on_clipped(self) -> None:
        if self._task is None:
            return
        if self._task.problem:
            self._fail(self._task.problem)
            return
        stem = re.sub("[.]tiff?$", "", file_stem(self.scene.name)[:_NAME_LENGTH], flags=re.IGNORECASE)
        try:
            self._reply = self.client.send_scene(f"{stem or 'scene'}.tif", self._task.result)
        except OSError as error:
            self._fail(str(error))
            return
        self._reply.uploadProgress.connect(self._on_sending)
        self._reply.finished.connect(self._on_sent)

    def _on_sending(self, done: int, total: int) -> None:
        if total > 0:
            self.progressed.emit(_CLIPPED + (100 - _CLIPPED) * done / total)

    def _on_sent(self) -> None:
        if self._reply is None:
            return
        try:
            known = self.client.read_field(self._reply, "scene")
        except RequestError as error:
            self._fail(str(error))
        else:
            self._clear()
            self._arrive(known)

    def _arrive(self, known: str) -> None:
        self.known = known
        self.arrived.emit(known)

    def _fail(self, problem: str) -> None:
        self._clear()
        self.failed.emit(problem)

    def _clear(self) -> None:
        reply, self._reply = self._reply, None
        if reply is not None:
            reply.abort()
            reply.deleteLater()
        task, self._task = self._task, None
        folder, self._folder = self._folder, None
        if task is not None and folder is not None:
            if task.is_over:
                folder.cleanup()
            else:  # it may be writing there
                task.over.connect(partial(folder.cleanup))
                task.cancel()

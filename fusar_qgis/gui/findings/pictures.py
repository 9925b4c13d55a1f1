"""Pictures of findings, made in the background for what is asked for, and kept."""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QImage, QPixmap

from ...background import BackgroundTask
from ...contract import SceneBox
from ...layers.project_runs import ProjectRun
from ...layers.sar_file import SarFile
from ...layers.scene import SceneError
from ...layers.thumbnails import sar_thumbnail

SIDE = 48
_AT_ONCE = 16
_KEPT = 3000
_SOON_MS = 40


class Pictures(QObject):
    """The pictures of findings by layer id and feature id; ``arrived`` comes when there are new ones."""

    arrived = pyqtSignal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._kept: dict[tuple[str, int], QPixmap] = {}
        self._boxes: dict[tuple[str, int], SceneBox] = {}
        self._wanted: dict[tuple[str, int], tuple[ProjectRun, SceneBox]] = {}
        self._scenes: dict[str, SarFile | None] = {}  # only the one task that runs uses them
        self._task: BackgroundTask | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SOON_MS)
        self._timer.timeout.connect(self._start)

    def get(self, key: tuple[str, int], run: ProjectRun, box: SceneBox) -> QPixmap | None:
        """Return the picture, a null one if there can be none; None while it is being made."""
        if self._boxes.get(key, box) != box:  # a reviewer has changed it
            self._kept.pop(key, None)
        self._boxes[key] = box
        known = self._kept.get(key)
        if known is None:
            self._wanted[key] = (run, box)
            self._timer.start()
        return known

    def stop(self) -> None:
        """Make no more."""
        self._timer.stop()
        if self._task is not None:
            self._task.over.disconnect(self._take)
            self._task = None

    def _start(self) -> None:
        """Make the last ones asked for; what has scrolled away is asked for again when it is back."""
        if self._task is not None or not self._wanted:
            return
        batch = dict(list(self._wanted.items())[-_AT_ONCE:])
        self._wanted.clear()
        self._task = BackgroundTask(self.tr("Pictures of findings"), lambda: self._make(batch), quiet=True)
        self._task.over.connect(self._take)
        self._task.start()

    def _make(self, batch: dict[tuple[str, int], tuple[ProjectRun, SceneBox]]) -> dict[Any, QImage]:
        made = {}
        for key, (run, box) in batch.items():
            try:
                scene = self._scene(run)
                made[key] = QImage() if scene is None else sar_thumbnail(scene, box, SIDE)
            except SceneError:
                made[key] = QImage()
        return made

    def _scene(self, run: ProjectRun) -> SarFile | None:
        if run.id not in self._scenes:
            request = run.request
            band = request.band if request is not None and isinstance(request.band, int) else None
            quantity = str(request.quantity) if request is not None and request.quantity else None
            try:
                scale = request.scale if request is not None else None
                self._scenes[run.id] = SarFile(run.scene, band, quantity, scale)
            except SceneError:
                self._scenes[run.id] = None
        return self._scenes[run.id]

    def _take(self) -> None:
        if self._task is None:
            return
        for key, image in (self._task.result or {}).items():
            self._kept[key] = QPixmap.fromImage(image)
        while len(self._kept) > _KEPT:
            del self._kept[next(iter(self._kept))]
        self._task = None
        self.arrived.emit()
        if self._wanted:
            self._timer.start()

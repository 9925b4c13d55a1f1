"""The main path of a search: the backend, the scene, how much there is to index, the places."""

from __future__ import annotations

import time
from functools import partial

from qgis.core import QgsCsException, QgsProject
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ...connection.backend import Backend
from ...connection.client import Client
from ...connection.search import PlaceSearch
from ...contract import Finished, Info, SearchPlan, SearchRequest
from ...core.remaining_time import RemainingTime
from ...layers.scene import Scene
from ...translation import translate, translate_count
from ..areas import whole_area
from ..scene_upload import SceneUpload
from .query import Query

ASKS_FROM_S = 20.0
"""Indexing that takes longer begins only when the analyst says so."""
_TICK_MS = 1000


class SceneSearch(QObject):
    """Searches one scene at a time; a new search takes the place of the one under way.

    ``told`` brings where it is, in words; ``progressed`` the slices that are indexed, of how many (0 of 0 while no
    share is known); ``asked`` that the analyst may decide whether so much is indexed, by ``go_on`` or ``stop``.
    ``finished`` or ``failed`` comes last, and nothing after ``stop``. ``finished`` brings also what was asked.
    """

    told = pyqtSignal(str)
    progressed = pyqtSignal(int, int)
    asked = pyqtSignal()
    finished = pyqtSignal(object, object)  # Finished, SearchRequest
    failed = pyqtSignal(str)

    def __init__(self, backend: Backend, parent: QObject) -> None:
        super().__init__(parent)
        self._backend = backend
        self._query = Query()
        self._scene: Scene | None = None
        self._waits = False  # for the backend
        self._upload: SceneUpload | None = None  # kept: the next search is often of the same scene
        self._search: PlaceSearch | None = None
        self._intent = ""  # what is told while nothing is indexed yet
        self._left = RemainingTime()
        self._since = 0.0
        self._tick = QTimer(self)
        self._tick.setInterval(_TICK_MS)
        self._tick.timeout.connect(self._tell_start)
        backend.ready.connect(self._on_ready)
        backend.failed.connect(self._on_no_backend)

    def remove(self) -> None:
        """Stop and leave nothing behind."""
        self.stop()
        self._drop_upload()
        self._backend.ready.disconnect(self._on_ready)
        self._backend.failed.disconnect(self._on_no_backend)
        self.deleteLater()

    @property
    def is_busy(self) -> bool:
        """Whether a search is under way, or waits for the analyst."""
        return self._waits or self._search is not None or self._is_sending

    def start(self, query: Query, scene: Scene) -> None:
        """Search ``scene``; the backend is started where none runs."""
        self.stop()
        self._query, self._scene = query, scene
        self._waits, self._since = True, time.monotonic()
        self._tell_start()
        self._tick.start()
        self.progressed.emit(0, 0)
        self._backend.open()

    def go_on(self) -> None:
        """Begin to index, and search."""
        if self._search is not None:
            self._left = RemainingTime()
            self.told.emit(self._intent)
            self.progressed.emit(0, 0)
            self._search.start()

    def stop(self) -> None:
        """Stop at once; what is indexed by then is kept."""
        self._waits = False
        self._tick.stop()
        search, self._search = self._search, None
        if search is not None:
            search.cancel()
        if self._is_sending:
            self._drop_upload()

    @property
    def _is_sending(self) -> bool:
        return self._upload is not None and not self._upload.known

    def _tell_start(self) -> None:
        """Say that the backend is being started, which takes a minute where the disk is slow."""
        waited = round(time.monotonic() - self._since)
        self.told.emit(
            self.tr("Starting the backend, {n} s").format(n=waited) if waited else self.tr("Wait…")
        )

    def _on_no_backend(self, problem: str) -> None:
        if self._waits:
            self._fail(problem)

    def _on_ready(self, client: Client, info: Info) -> None:
        if not self._waits or self._scene is None:
            return
        self._waits = False
        self._tick.stop()
        if not is_there(self._scene):
            self._fail(gone(self._scene.name))
            return
        if not info.encoders:
            self._fail(self.tr("This backend cannot search yet. Update it in the FUSAR-GPT options."))
            return
        upload = self._upload_for(client, self._scene)
        if upload.known:
            self._plan(upload.known)
        else:
            upload.start()

    def _upload_for(self, client: Client, scene: Scene) -> SceneUpload:
        """Return what makes the area known to the backend; the last one where that is the same area."""
        area, last = self._query.area or whole_area(scene), self._upload
        if last is not None and (last.client, last.scene) == (client, scene):
            is_same = last.is_by_path or last.area.outline.equals(area.outline)
            if is_same and last.known:
                return last
        self._drop_upload()
        self._upload = SceneUpload(client, scene, area, self)
        self._upload.arrived.connect(self._plan)
        self._upload.failed.connect(self._fail)
        self._upload.progressed.connect(self._on_sending)
        return self._upload

    def _on_sending(self, percent: float) -> None:
        text = self.tr("Sending “{name}”: {percent:.0f} %")
        self.told.emit(text.format(name=self._scene.name if self._scene else "", percent=percent))
        self.progressed.emit(int(percent), 100)

    def _plan(self, known: str) -> None:
        if self._upload is None or self._scene is None:
            return
        try:
            request = self._query.request(self._scene, known)
        except QgsCsException:
            self._fail(
                self.tr("An example lies far from the scene. Take it away, or search the scene it is on.")
            )
            return
        except ValueError as error:
            self._fail(str(error))
            return
        self._search = PlaceSearch(self._upload.client, request)
        self._search.planned.connect(self._on_planned)
        self._search.progressed.connect(self._on_indexed)
        self._search.finished.connect(partial(self._on_finished, request))
        self._search.failed.connect(self._fail)
        self._search.plan()

    def _on_planned(self, plan: SearchPlan) -> None:
        missing = plan.slices - plan.ready
        self._intent = self.tr("Searching…")
        if missing:
            text = self.tr("This scene is indexed first: {slices}, {time}. It is kept for the next time.")
            if plan.ready:
                text = self.tr("The rest of this scene is indexed first: {slices}, {time}. It is kept.")
            self._intent = text.format(slices=_slices(missing), time=about(plan.seconds))
        if missing and plan.seconds >= ASKS_FROM_S:
            self.told.emit(self._intent)
            self.asked.emit()
        else:
            self.go_on()

    def _on_indexed(self, done: int, total: int) -> None:
        self._left.note(done, time.monotonic())
        seconds = self._left.seconds(total)
        if done < total:
            text = self.tr("Indexing: {done} of {slices}")
            if seconds is not None:
                text = self.tr("Indexing: {done} of {slices}, {time} left")
            time_left = "" if seconds is None else about(seconds)
            self.told.emit(text.format(done=f"{done:,}", slices=_slices(total), time=time_left))
        else:
            self.told.emit(self.tr("Searching…"))
        self.progressed.emit(done, total)

    def _on_finished(self, request: SearchRequest, finished: Finished) -> None:
        self._search = None
        self.finished.emit(finished, request)

    def _fail(self, problem: str) -> None:
        self.stop()
        self._drop_upload()  # the backend may have lost it
        self.failed.emit(problem)

    def _drop_upload(self) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()


def is_there(scene: Scene) -> bool:
    """Return whether the layer of a scene is still in the project."""
    return QgsProject.instance().mapLayer(scene.layer_id) is not None


def gone(name: str) -> str:
    """Return what to do when it is not."""
    text = translate(
        "SceneSearch", "The layer “{name}” is no longer in the project. Add it, then search again."
    )
    return text.format(name=name)


def _slices(n: int) -> str:
    return translate_count("SceneSearch", "%n slice(s)", n).replace(str(n), f"{n:,}")


def about(seconds: float) -> str:
    """Return a time in round words."""
    if seconds < 60:
        return translate_count("SceneSearch", "about %n second(s)", max(round(seconds), 1))
    if seconds < 90 * 60:
        return translate_count("SceneSearch", "about %n minute(s)", round(seconds / 60))
    return translate_count("SceneSearch", "about %n hour(s)", round(seconds / 3600))

"""A run that a script has asked for, from the wait for the backend to the layers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from qgis.core import QgsGeometry, QgsRasterLayer, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal
from qgis.PyQt.QtNetwork import QNetworkReply

from ..connection.backend import Backend
from ..connection.client import Client
from ..connection.job import Job
from ..contract import Ended, Finding, Found, Info, Progress, Started
from ..layers.features import finding_feature, finding_fields, memory_layer
from ..layers.findings_layer import KIND_PROPERTY, properties_of_run
from ..layers.scene import SceneError, crs_of, scene_of
from ..layers.styles import style
from ..translation import translate

if TYPE_CHECKING:
    from ..gui.scene_upload import SceneUpload

WAITING, RUNNING, FINISHED, FAILED, CANCELLED = "waiting", "running", "finished", "failed", "cancelled"
_OVER = (FINISHED, FAILED, CANCELLED)

_running: set[BackendRun] = set()  # Python would forget what a script does not keep


def cancel_all() -> None:
    """Cancel what runs."""
    for one in tuple(_running):
        one.cancel()


class BackendRun(QObject):
    """One run; exactly one of ``finished``, ``failed`` and ``cancelled`` comes, and comes last.

    No signal comes before the caller has returned to the event loop. It runs on whether it is
    kept or not, until it ends or the plugin is unloaded, which cancels it.

    Attributes:
        state: ``waiting`` (for the backend), ``running``, ``finished``, ``failed`` or ``cancelled``.
        run: The provenance of the run, by name; empty while it waits.
        problem: Why it failed and what to do, whole sentences; empty otherwise.
        warnings: Whole sentences that a reader of the findings must know.
        layers: What was found, as one styled memory layer in the scene's CRS for each kind: ``detections``, ``grid``,
            ``answers``. They are in no project. Empty before the end; what was found before a failure is there.
    """

    progressed = pyqtSignal(int, int)
    """Chips answered, and chips in all."""
    found = pyqtSignal(object)
    """Found: drop the findings whose ids are ``replaced``, then take those that are ``added``."""
    warned = pyqtSignal(str)
    """One more of ``warnings``."""
    finished = pyqtSignal(object)
    """``layers``."""
    failed = pyqtSignal(str)
    """``problem``."""
    cancelled = pyqtSignal()

    def __init__(
        self, backend: Backend, layer: QgsRasterLayer, area: QgsGeometry | None, area_crs: str
    ) -> None:
        """``area`` is what must be sent of the scene, in ``area_crs``; None is all of it."""
        super().__init__()
        self.state = WAITING
        self.run: dict[str, Any] = {}
        self.problem = ""
        self.warnings: tuple[str, ...] = ()
        self.layers: dict[str, QgsVectorLayer] = {}
        self._layer, self._source, self._layer_id = layer, layer.source(), layer.id()
        self._area, self._area_crs = area, area_crs
        self._found: dict[str, Finding] = {}
        self._began, self._lasted = time.monotonic(), 0.0
        self._backend, self._is_waiting = backend, False
        self._upload: SceneUpload | None = None
        self._sending: QNetworkReply | None = None  # what is asked beside the job
        self._job: Job | None = None

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What stands so far."""
        return tuple(self._found.values())

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.state in _OVER

    def cancel(self) -> None:
        """Stop at once, here and in the backend; ``cancelled`` comes before this returns. Nothing if it is over."""
        if self._job is not None:
            self._job.cancel()
        else:
            self._end(CANCELLED)

    @property
    def _inputs(self) -> dict[str, Any]:
        """What is asked, with the layer's id."""
        raise NotImplementedError

    def _on_arrived(self, scene: str) -> None:
        """The backend has the scene, and calls it so: submit."""
        raise NotImplementedError

    def start(self) -> None:
        """Begin with the next turn of the event loop; who makes it does so."""
        _running.add(self)
        QTimer.singleShot(0, self._open)

    def _open(self) -> None:
        if not self.is_over:
            self._is_waiting = True
            self._backend.ready.connect(self._on_ready)
            self._backend.failed.connect(self._fail)
            self._backend.open()

    def _stop_waiting(self) -> None:
        if self._is_waiting:
            self._is_waiting = False
            self._backend.ready.disconnect(self._on_ready)
            self._backend.failed.disconnect(self._fail)

    def _on_ready(self, client: Client, info: Info) -> None:
        from ..gui.areas import Area, whole_area  # they load QGIS's GUI, which qgis_process need not
        from ..gui.scene_upload import SceneUpload

        self._stop_waiting()
        try:
            if sip.isdeleted(self._layer):
                raise SceneError(translate("Api", "The layer was removed before its interpretation began."))
            scene = scene_of(self._layer)
        except SceneError as error:
            self._fail(str(error))
            return
        crs = crs_of(self._area_crs)
        area = whole_area(scene) if self._area is None else Area(self._area, crs)
        self._upload = SceneUpload(client, scene, area, self)
        self._upload.arrived.connect(self._on_arrived)
        self._upload.failed.connect(self._fail)
        self._upload.start()

    def _follow(self, job: Job) -> None:
        self._job = job
        job.received.connect(self._on_received)
        job.ended.connect(self._on_ended)
        job.start()

    def _on_received(self, event: Started | Progress | Found) -> None:
        if isinstance(event, Started):
            self.state, self.run = RUNNING, event.run.record()
            self._warn_once(event.run.warnings)
            self.progressed.emit(0, event.chips)
        elif isinstance(event, Progress):
            self.progressed.emit(event.done, event.total)
        else:
            for finding_id in event.replaced:
                self._found.pop(finding_id, None)
            self._found.update((finding.id, finding) for finding in event.added)
            self.found.emit(event)

    def _on_ended(self, end: Ended) -> None:
        self._warn_once(end.warnings)
        ends = {"successful": FINISHED, "dismissed": CANCELLED}
        self._end(ends.get(end.status, FAILED), end.message)

    def _fail(self, problem: str) -> None:
        self._end(FAILED, problem)

    def _end(self, state: str, problem: str = "") -> None:
        if self.is_over:
            return
        self._stop_waiting()
        self.state, self._lasted = state, time.monotonic() - self._began
        if state == FAILED:
            self.problem = problem or translate("Api", "The backend gave no reason. Look at its log.")
        upload, self._upload, self._job = self._upload, None, None
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.abort()
            sending.deleteLater()
        if upload is not None:
            upload.cancel()
        self.layers = self._make_layers()
        _running.discard(self)
        if state == FINISHED:
            self.finished.emit(self.layers)
        elif state == FAILED:
            self.failed.emit(self.problem)
        else:
            self.cancelled.emit()

    def _warn_once(self, warnings: tuple[str, ...]) -> None:
        for warning in warnings:
            if warning not in self.warnings:
                self._warn(warning)

    def _warn(self, warning: str) -> None:
        self.warnings = (*self.warnings, warning)
        self.warned.emit(warning)

    def _make_layers(self) -> dict[str, QgsVectorLayer]:
        kinds: dict[str, list[Finding]] = {}
        for finding in self._found.values():
            kinds.setdefault(finding.layer, []).append(finding)
        return {kind: self._make_layer(kind, findings) for kind, findings in kinds.items()}

    def _make_layer(self, kind: str, findings: list[Finding]) -> QgsVectorLayer:
        layer = memory_layer(kind, finding_fields(findings[0]), crs_of(findings[0].crs))
        layer.dataProvider().addFeatures([finding_feature(layer, finding) for finding in findings])
        layer.updateExtents()
        properties = properties_of_run(self.run, self._source, self._inputs)
        for name, value in {**properties, KIND_PROPERTY: kind}.items():
            layer.setCustomProperty(name, value)
        style(layer, kind, sorted({str(finding.properties.get("label")) for finding in findings}))
        return layer

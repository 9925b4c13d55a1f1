"""The runs under way: started for the dialog, again, with a closer look, or where they were interrupted."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from qgis.core import Qgis, QgsCoordinateReferenceSystem, QgsGeometry, QgsProject, QgsRasterLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..connection.backend import STARTING, Backend
from ..connection.client import Client
from ..contract import Info, Task, read_outline
from ..core.request import LayerRequest
from ..layers.features import geometry_from
from ..layers.scene import SceneError, crs_of, crs_text, geojson, scene_of
from ..layers.unfinished_runs import UnfinishedRun
from .areas import Area, ground_m2, whole_area
from .messages import PRODUCT, show_message
from .prior_comparison import PriorComparison
from .run_controller import RunController
from .run_outcome import FollowUps
from .run_progress import RunProgress
from .scene_upload import SceneUpload
from .unfinished_offer import UnfinishedOffer

_TICK_MS = 1000

Then = Callable[[RunController], None]
"""What is to be done when a run is over."""


class Runs(QObject):
    """Starts runs as soon as the backend is there, and stops them with their project.

    ``ended`` comes with the id of each run that had begun, whatever became of it.

    Attributes:
        comparison: Compares runs with and without a prior.
    """

    ended = pyqtSignal(str)

    def __init__(self, iface: QgisInterface, backend: Backend, parent: QObject) -> None:
        super().__init__(parent)
        self._iface, self._backend = iface, backend
        self._waiting: list[Callable[[Client], None]] = []  # for the backend
        self._runs: list[tuple[RunController, Then | None]] = []
        self.comparison = PriorComparison(iface, self.again, self)
        self._follow_ups = FollowUps(
            self.comparison.run_with_prior, self.comparison.compare, self.again, self.resume
        )
        self._unfinished = UnfinishedOffer(iface, self.resume, self)
        self._starting: RunProgress | None = None  # of the backend
        self._since = 0.0
        self._tick = QTimer(self)
        self._tick.timeout.connect(self._show_starting)
        backend.ready.connect(self._on_ready)
        QgsProject.instance().cleared.connect(self.leave)

    @property
    def are_waiting(self) -> bool:
        """Whether some wait for the backend."""
        return bool(self._waiting)

    def look_closer(
        self, request: LayerRequest, area: QgsGeometry, crs: QgsCoordinateReferenceSystem, target: str = ""
    ) -> None:
        """Look for a target in the 3 x 3 grid of one small area, asking nothing.

        Args:
            request: The request whose finding the area is: scene, band, model and prior stay.
            area: A polygon in ``crs``, such as one grid cell; the model sees it in one chip.
            crs: Of the area.
            target: What to look for; empty means the request's first target.
        """
        targets = (target,) if target else request.targets[:1]
        closer = replace(
            request,
            task=Task.LOCATE,
            targets=targets,
            area=read_outline(geojson(area)),
            area_crs=crs_text(crs),
            question=None,
            boxes=None,
            ground_m=math.sqrt(ground_m2(Area(area, crs))),
        )
        self._begin(partial(self._look, closer, Area(area, crs), None))

    def again(self, request: LayerRequest, then: Then | None = None) -> None:
        """Run a request as it is, asking nothing but what is open about its prior; ``then`` when it is over."""
        area = None if request.area is None else Area(geometry_from(request.area), crs_of(request.area_crs))
        self._begin(partial(self._look, request, area, then))

    def resume(self, unfinished: UnfinishedRun) -> None:
        """Go on with a run that has not ended, unless it does so already."""
        if all(run.id != unfinished.id for run, _ in self._runs):
            self._begin(partial(self._go_on, unfinished))

    def start(
        self,
        client: Client,
        request: LayerRequest,
        upload: SceneUpload | None,
        then: Then | None = None,
        begun: UnfinishedRun | None = None,
    ) -> None:
        """Start a run on the backend that ``client`` leads to, or go on with the one that was ``begun``."""
        run = RunController(self._iface, client, request, upload, self, self._follow_ups, begun, self._device)
        self._runs.append((run, then))
        run.over.connect(self._forget_what_is_over)
        run.start()

    def cancel(self) -> None:
        """Stop every run."""
        self.drop_waiting()
        for run, _ in list(self._runs):
            run.cancel()

    def leave(self) -> None:
        """Stop every run as its project is closed; those that were saved with it can go on another time."""
        for run, _ in list(self._runs):
            run.leave()

    def drop_waiting(self) -> None:
        """Forget those that wait: there is no backend, or the analyst has stopped them."""
        self._waiting = []
        self._forget_starting()

    def remove(self) -> None:
        """Stop every run and leave nothing behind."""
        self.leave()
        self.drop_waiting()
        QgsProject.instance().cleared.disconnect(self.leave)
        self._unfinished.remove()
        self.comparison.remove()
        self.deleteLater()

    def _begin(self, what: Callable[[Client], None]) -> None:
        self._waiting.append(what)
        self._backend.open()
        if self._waiting and self._backend.state == STARTING and self._starting is None:
            self._since = time.monotonic()
            self._starting = RunProgress(self._iface.messageBar(), PRODUCT, self)
            self._starting.cancelled.connect(self.drop_waiting)
            self._tick.start(_TICK_MS)
            self._show_starting()

    def _show_starting(self) -> None:
        """Show that the backend is being started, which takes a minute where the disk is slow."""
        if self._starting is not None:
            waited = round(time.monotonic() - self._since)
            text = self.tr("Starting the backend, {n} s").format(n=waited)
            self._starting.show(0, 0, text if waited else self.tr("Starting the backend"))

    def _forget_starting(self) -> None:
        starting, self._starting = self._starting, None
        self._tick.stop()
        if starting is not None:
            starting.finish(True)

    def _on_ready(self, client: Client, _: Info) -> None:
        self._forget_starting()
        waiting, self._waiting = self._waiting, []
        for what in waiting:
            what(client)

    def _go_on(self, unfinished: UnfinishedRun, client: Client) -> None:
        self.start(client, unfinished.request, None, begun=unfinished)

    def _look(self, request: LayerRequest, area: Area | None, then: Then | None, client: Client) -> None:
        layer = QgsProject.instance().mapLayer(request.layer_id)
        upload = None
        if isinstance(layer, QgsRasterLayer):
            try:
                scene = scene_of(layer)
            except SceneError as error:
                show_message(self._iface.messageBar(), PRODUCT, str(error), Qgis.MessageLevel.Warning)
                return
            upload = SceneUpload(client, scene, area or whole_area(scene), self)
        self.start(client, request, upload, then)

    def _device(self) -> str:
        return self._backend.info.device if self._backend.info is not None else ""

    def _forget_what_is_over(self) -> None:
        over = [entry for entry in self._runs if entry[0].is_over]
        self._runs = [entry for entry in self._runs if entry not in over]
        for run, then in over:
            if run.run:
                self.ended.emit(str(run.run.get("id")))
            if then is not None:
                then(run)

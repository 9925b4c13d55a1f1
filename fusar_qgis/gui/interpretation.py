"""The main path of the GUI: check the layer, get an area, show the request dialog, upload the scene, run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
)
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QAction

from ..connection.backend import IDLE, Backend
from ..connection.client import Client
from ..contract import AUTO_PRIOR, FETCHED_PRIORS, Info, Preview, PriorStatus, Task, read_outline
from ..core.request import LayerRequest
from ..layers.features import geometry_from
from ..layers.scene import SceneError, crs_of, crs_text, geojson, scene_of
from .area_tool import AreaTool, DrawingTool, PolygonTool
from .areas import Area, AreaError, AreaMenu, ground_m2, scene_for, selected_area, view_area, whole_area
from .messages import show_message
from .preview_panel import DebouncedRequest
from .prior_comparison import PriorComparison
from .request_dialog import RequestDialog
from .run_controller import RunController
from .scene_upload import SceneUpload

Then = Callable[[RunController], None]
"""What is to be done when a run is over."""


class Interpretation(QObject):
    """Interprets an area of a SAR layer; ``action`` draws a rectangle, the menu beside it has the other ways."""

    options_wanted = pyqtSignal()

    def __init__(self, iface: QgisInterface, backend: Backend, action: QAction) -> None:
        super().__init__(backend)
        self._iface = iface
        self._backend = backend
        self._action = action
        self._client: Client | None = None
        self._dialog: RequestDialog | None = None
        self._upload: SceneUpload | None = None  # of the dialog
        self._asked: Area | None = None
        self._last_scene = ""
        self._waiting: list[tuple[LayerRequest, Area | None, Then | None]] = []  # for the backend
        self._runs: list[tuple[RunController, Then | None]] = []
        self._preview_request = DebouncedRequest("/preview", Preview, self)
        self._prior_request = DebouncedRequest("/prior", PriorStatus, self)
        self._rectangle, self._polygon = AreaTool(iface.mapCanvas()), PolygonTool(iface.mapCanvas())
        self._rectangle.setAction(action)
        for tool in (self._rectangle, self._polygon):
            tool.drawn.connect(self._take_drawn)
        self._menu = self._make_menu()
        self._comparison = PriorComparison(iface, self.run_again, self)
        action.triggered.connect(self._draw_rectangle)
        backend.ready.connect(self._offer)
        backend.failed.connect(self._no_backend)
        backend.changed.connect(self._on_backend_changed)
        QgsProject.instance().cleared.connect(self.cancel)

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
        self._waiting.append((closer, Area(area, crs), None))
        self._backend.open()

    def run_again(self, request: LayerRequest, then: Then | None = None) -> None:
        """Run a request as it is, asking nothing but what is open about its prior; ``then`` when it is over."""
        area = None if request.area is None else Area(geometry_from(request.area), crs_of(request.area_crs))
        self._waiting.append((request, area, then))
        self._backend.open()

    def cancel(self) -> None:
        """Stop every run, and whatever is on its way."""
        if self._dialog is not None:
            self._dialog.reject()
        for run, _ in list(self._runs):
            run.cancel()

    def remove(self) -> None:
        """Stop every run and leave nothing behind."""
        self.cancel()
        QgsProject.instance().cleared.disconnect(self.cancel)
        self._action.triggered.disconnect(self._draw_rectangle)
        self._stop_asking()
        if self._dialog is not None:
            self._dialog.deleteLater()
        self._menu.remove()
        self._comparison.remove()
        self._rectangle.remove()
        self._polygon.remove()
        self.deleteLater()

    def _make_menu(self) -> AreaMenu:
        menu = AreaMenu(self._iface, self._action, self)
        polygon = menu.add(
            "FusarInterpretPolygon",
            "/mActionSelectPolygon.svg",
            self.tr("Draw a &Polygon"),
            self.tr("Click its corners; right-click ends"),
            self._draw_polygon,
        )
        polygon.setCheckable(True)
        self._polygon.setAction(polygon)
        menu.add(
            "FusarInterpretView",
            "/mActionZoomFullExtent.svg",
            self.tr("Current &View"),
            self.tr("What the map shows of the SAR layer"),
            self._take_view,
        )
        menu.add(
            "FusarInterpretSelected",
            "/mActionZoomToSelected.svg",
            self.tr("&Selected Features"),
            self.tr("The selected polygons of a vector layer"),
            self._take_selection,
        )
        menu.add(
            "FusarInterpretLayer",
            "/mActionZoomToLayer.svg",
            self.tr("Whole &Layer"),
            self.tr("All of the SAR layer"),
            self._take_layer,
        )
        return menu

    def _draw_rectangle(self) -> None:
        self._draw(self._rectangle, self.tr("Drag a rectangle around the area to interpret."))

    def _draw_polygon(self) -> None:
        self._draw(
            self._polygon,
            self.tr(
                "Click the corners of the area. Right-click or Enter ends, Backspace takes a corner back."
            ),
        )

    def _draw(self, tool: DrawingTool, hint: str) -> None:
        canvas = self._iface.mapCanvas()
        try:
            scene_for(self._iface.activeLayer(), self._last_scene)
        except SceneError as error:
            self._warn(str(error))
            tool.action().setChecked(canvas.mapTool() is tool)
            return
        canvas.setMapTool(tool)
        # The backend may take a while to start: let it do so while the analyst draws.
        self._backend.open()
        if canvas.mapTool() is tool:
            # QGIS shows a tool's message, and takes it away when it is discarded.
            tool.messageEmitted.emit(hint, Qgis.MessageLevel.Info)

    def _take_drawn(self, outline: QgsGeometry) -> None:
        for tool in (self._rectangle, self._polygon):
            tool.messageDiscarded.emit()
        self._ask(Area(outline, self._iface.mapCanvas().mapSettings().destinationCrs()))

    def _take_view(self) -> None:
        self._ask(view_area(self._iface.mapCanvas()))

    def _take_selection(self) -> None:
        try:
            self._ask(selected_area(self._iface.activeLayer()))
        except AreaError as error:
            self._warn(str(error))

    def _take_layer(self) -> None:
        self._ask(None)

    def _ask(self, area: Area | None) -> None:
        """Ask what to do with an area, or with a whole layer."""
        active = self._iface.activeLayer()
        try:
            scene = scene_for(active, self._last_scene)
        except SceneError as error:
            self._forget_drawing()
            self._warn(str(error))
            return
        if active is not None and scene.layer_id != active.id():
            text = self.tr("“{active}” is not a SAR layer, so “{scene}” is interpreted.")
            self._show_message(text.format(active=active.name(), scene=scene.name), Qgis.MessageLevel.Info)
        area = area or whole_area(scene)
        if not area.crs.isValid():
            area = Area(area.outline, scene.crs)
        self._last_scene = scene.layer_id
        dialog = self._its_dialog()
        self._drop_upload()
        self._asked = area
        dialog.ask(scene, area.outline, area.crs)
        self._prepare()
        self._backend.open()

    def _its_dialog(self) -> RequestDialog:
        if self._dialog is None:
            self._dialog = RequestDialog(self._iface.mainWindow())
            self._dialog.submitted.connect(self._start)
            self._dialog.changed.connect(self._preview)
            self._dialog.finished.connect(self._closed)
            self._dialog.preview.wanted.connect(self._send_now)
            self._dialog.options_wanted.connect(self.options_wanted)
            self._dialog.backend_wanted.connect(self._try_backend)
            self._preview_request.asked.connect(self._dialog.await_preview)
            self._preview_request.answered.connect(self._dialog.show_preview)
            self._preview_request.failed.connect(self._dialog.fail_preview)
            self._prior_request.answered.connect(self._show_prior)
        if not self._dialog.isVisible():
            self._dialog.place(self._iface.mapCanvas(), self._iface.messageBar())
        return self._dialog

    def _offer(self, client: Client, info: Info) -> None:
        self._client = client
        waiting, self._waiting = self._waiting, []
        for request, area, then in waiting:
            self._look(client, request, area, then)
        if self._dialog is not None:
            self._dialog.offer(info, local=client.endpoint.is_loopback)
            self._prepare()

    def _prepare(self) -> None:
        """Make the scene known for the preview, unless it would leave this computer for that alone."""
        scene = self._dialog.scene if self._dialog is not None and self._dialog.isVisible() else None
        if self._dialog is None or self._client is None or self._asked is None or scene is None:
            return
        if self._upload is None or self._upload.client is not self._client:
            self._drop_upload()
            self._upload = SceneUpload(self._client, scene, self._asked, self)
            self._upload.arrived.connect(self._preview)
            self._upload.failed.connect(self._dialog.preview.fail)
        if self._client.endpoint.is_loopback:
            self._send_now()
        elif not self._upload.known:
            self._dialog.preview.offer(
                self.tr("The backend does not have the scene yet. Start sends the area.")
            )

    def _send_now(self) -> None:
        if self._upload is not None and self._dialog is not None:
            if not self._upload.is_by_path and not self._upload.known:
                self._dialog.preview.wait(self.tr("Sending the area to the backend…"))
            self._upload.start()

    def _preview(self) -> None:
        if self._dialog is None or self._upload is None or not self._upload.known:
            return
        request = self._dialog.preview_request()
        if request is None:
            self._stop_asking()
            self._dialog.stop_preview()
            return
        client, request = self._upload.client, replace(request, scene=self._upload.known)
        self._preview_request.ask(client, request.to_json())
        # What a scene has at hand is also told to those who have not chosen it.
        prior = request.prior if request.prior in FETCHED_PRIORS else AUTO_PRIOR
        self._prior_request.ask(client, replace(request, prior=prior, prior_network=True).to_json())

    def _show_prior(self, status: PriorStatus) -> None:
        if self._dialog is not None and self._upload is not None:
            self._dialog.show_prior(status, self._upload.client.endpoint)

    def _stop_asking(self) -> None:
        self._preview_request.stop()
        self._prior_request.stop()

    def _start(self, request: LayerRequest) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            self._run(upload.client, request, upload)

    def _look(self, client: Client, request: LayerRequest, area: Area | None, then: Then | None) -> None:
        layer = QgsProject.instance().mapLayer(request.layer_id)
        upload = None
        if isinstance(layer, QgsRasterLayer):
            try:
                scene = scene_of(layer)
            except SceneError as error:
                self._warn(str(error))
                return
            upload = SceneUpload(client, scene, area or whole_area(scene), self)
        self._run(client, request, upload, then)

    def _run(
        self,
        client: Client,
        request: LayerRequest,
        upload: SceneUpload | None,
        then: Then | None = None,
    ) -> None:
        run = RunController(self._iface, client, request, upload, self, self._comparison)
        self._runs.append((run, then))
        run.over.connect(self._forget_what_is_over)
        run.start()

    def _forget_what_is_over(self) -> None:
        over = [entry for entry in self._runs if entry[0].is_over]
        self._runs = [entry for entry in self._runs if entry not in over]
        for run, then in over:
            if then is not None:
                then(run)

    def _drop_upload(self) -> None:
        self._stop_asking()
        upload, self._upload = self._upload, None
        if upload is not None:
            upload.cancel()

    def _closed(self) -> None:
        self._forget_drawing()
        self._stop_asking()
        if self._dialog is not None and self._dialog.result() == 0:
            self._drop_upload()

    def _forget_drawing(self) -> None:
        self._rectangle.clear()
        self._polygon.clear()

    def _no_backend(self, problem: str) -> None:
        canvas, tools = self._iface.mapCanvas(), (self._rectangle, self._polygon)
        asking = self._dialog is not None and self._dialog.isVisible()
        ours = bool(self._waiting) or canvas.mapTool() in tools
        self._client, self._waiting = None, []
        for tool in tools:
            tool.messageDiscarded.emit()
            canvas.unsetMapTool(tool)
        if asking and self._dialog is not None:
            self._drop_upload()
            self._dialog.fail_backend(problem)
        elif ours:  # else another part of the plugin has asked, and tells
            self._warn(problem)

    def _try_backend(self) -> None:
        if self._dialog is not None:
            self._dialog.await_backend()
        self._backend.open()

    def _on_backend_changed(self) -> None:
        """Settings that were changed while the question is open count for it at once."""
        if self._backend.state == IDLE and self._dialog is not None and self._dialog.isVisible():
            self._try_backend()

    def _warn(self, text: str) -> None:
        self._show_message(text, Qgis.MessageLevel.Warning)

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._iface.messageBar(), self._action.text(), text, level)

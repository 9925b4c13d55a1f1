"""The main path of the GUI: check the layer, get an area, show the request dialog, upload the scene, run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from qgis.core import (
    Qgis,
    QgsGeometry,
    QgsProject,
)
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QAction

from ..connection.backend import IDLE, Backend
from ..connection.client import Client
from ..contract import AUTO_PRIOR, FETCHED_PRIORS, Info, Preview, PriorStatus
from ..core.request import LayerRequest
from ..layers.scene import Scene, SceneError, original_of
from .area_tool import AreaTool, DrawingTool, PolygonTool
from .areas import Area, AreaError, AreaMenu, scene_for, selected_area, view_area, whole_area
from .known_rates import known_rate, rate_key
from .messages import show_message
from .preview_panel import DebouncedRequest
from .request_dialog import RequestDialog
from .runs import Runs
from .scene_upload import SceneUpload

SetUp = Callable[[], "dict[str, Callable[[], None]]"]


class Interpretation(QObject):
    """Interprets an area of a SAR layer; ``action`` draws a rectangle, the menu beside it has the other ways.

    Attributes:
        runs: The runs under way.
    """

    options_wanted = pyqtSignal()

    def __init__(self, iface: QgisInterface, backend: Backend, action: QAction, set_up: SetUp = dict) -> None:
        """``set_up`` gives the buttons of a message about a backend that is missing or fails."""
        super().__init__(backend)
        self._iface = iface
        self._set_up = set_up
        self._backend = backend
        self._action = action
        self._client: Client | None = None
        self._dialog: RequestDialog | None = None
        self._upload: SceneUpload | None = None  # of the dialog
        self._asked: Area | None = None
        self._last_scene = ""
        self._preview_request = DebouncedRequest("/preview", Preview, self)
        self._prior_request = DebouncedRequest("/prior", PriorStatus, self)
        self._rectangle, self._polygon = AreaTool(iface.mapCanvas()), PolygonTool(iface.mapCanvas())
        self._rectangle.setAction(action)
        for tool in (self._rectangle, self._polygon):
            tool.drawn.connect(self._take_drawn)
        self._menu = self._make_menu()
        self.runs = Runs(iface, backend, self)
        action.triggered.connect(self._draw_rectangle)
        backend.ready.connect(self._offer)
        backend.failed.connect(self._no_backend)
        backend.changed.connect(self._on_backend_changed)
        QgsProject.instance().cleared.connect(self._close_dialog)

    @property
    def last_scene(self) -> str:
        """The id of the layer that was interpreted last; empty if none was."""
        return self._last_scene

    def cancel(self) -> None:
        """Stop every run, and whatever is on its way."""
        self._close_dialog()
        self.runs.cancel()

    def _close_dialog(self) -> None:
        if self._dialog is not None:
            self._dialog.reject()

    def remove(self) -> None:
        """Stop every run and leave nothing behind."""
        QgsProject.instance().cleared.disconnect(self._close_dialog)
        self._close_dialog()
        self.runs.remove()
        self._action.triggered.disconnect(self._draw_rectangle)
        self._stop_asking()
        if self._dialog is not None:
            self._dialog.deleteLater()
        self._menu.remove()
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
        original = original_of(active)
        if original is not None and scene.layer_id != original.id():
            text = self.tr("“{active}” is not a SAR layer, so “{scene}” is interpreted.")
            self._show_message(text.format(active=original.name(), scene=scene.name), Qgis.MessageLevel.Info)
        self.ask_about(scene, area or whole_area(scene))

    def ask_about(self, scene: Scene, area: Area) -> None:
        """Ask what to do with an area of a scene."""
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
            self._preview_request.answered.connect(self._show_preview)
            self._preview_request.failed.connect(self._dialog.fail_preview)
            self._prior_request.answered.connect(self._show_prior)
        if not self._dialog.isVisible():
            self._dialog.place(self._iface.mapCanvas(), self._iface.messageBar())
        return self._dialog

    def _offer(self, client: Client, info: Info) -> None:
        self._client = client
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

    def _show_preview(self, preview: Preview) -> None:
        request = self._dialog.preview_request() if self._dialog is not None else None
        if self._dialog is None or self._client is None or request is None:
            return
        if preview.seconds is None:  # the backend has not done that yet, but an earlier one may have
            info = self._backend.info
            device = info.device if info is not None else ""
            rate = known_rate(rate_key(self._client.endpoint, device, request.model or "", request))
            preview = replace(preview, seconds=None if rate is None else preview.chips / rate)
        self._dialog.show_preview(preview)

    def _show_prior(self, status: PriorStatus) -> None:
        if self._dialog is not None and self._upload is not None:
            self._dialog.show_prior(status, self._upload.client.endpoint)

    def _stop_asking(self) -> None:
        self._preview_request.stop()
        self._prior_request.stop()

    def _start(self, request: LayerRequest) -> None:
        upload, self._upload = self._upload, None
        if upload is not None:
            self.runs.start(upload.client, request, upload)

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
        ours = self.runs.are_waiting or canvas.mapTool() in tools
        self._client = None
        self.runs.drop_waiting()
        for tool in tools:
            tool.messageDiscarded.emit()
            canvas.unsetMapTool(tool)
        if asking and self._dialog is not None:
            self._drop_upload()
            self._dialog.fail_backend(problem)
        elif ours:  # else another part of the plugin has asked, and tells
            show_message(
                self._iface.messageBar(),
                self._action.text(),
                problem,
                Qgis.MessageLevel.Warning,
                offers=self._set_up(),
            )

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

"""“Show as the Model Sees”: one press shows the active SAR layer in the model's grey, the next takes it back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QAction

from .. import compat
from ..background import BackgroundTask
from ..layers.model_grey import grey_scale, is_shown, last_request, show, show_as_before
from ..layers.scene import PICTURE_OF, SceneError, original_of, scene_of, shown_band
from ..translation import translate
from .messages import show_message


class ModelGreyAction(QObject):
    """Does it on ``entry``, which is also in the context menu of every raster layer."""

    def __init__(self, iface: QgisInterface, entry: QAction) -> None:
        super().__init__(iface.mainWindow())
        self._iface, self._entry = iface, entry
        entry.triggered.connect(self._toggle)
        iface.addCustomActionForLayerType(entry, "", compat.RASTER_LAYER, True)
        QgsProject.instance().layersRemoved.connect(self._remove_pictures)
        QgsProject.instance().readProject.connect(self._repair_pictures)

    def remove(self) -> None:
        """Remove everything that was added."""
        QgsProject.instance().layersRemoved.disconnect(self._remove_pictures)
        QgsProject.instance().readProject.disconnect(self._repair_pictures)
        self._entry.triggered.disconnect(self._toggle)
        self._iface.removeCustomActionForLayerType(self._entry)
        self.deleteLater()

    def _toggle(self) -> None:
        active = self._iface.activeLayer()
        try:
            layer = scene_of(active).layer
        except SceneError as error:
            self._fail(str(error))
            return
        if is_shown(layer):
            if active is not layer:  # it goes
                self._iface.setActiveLayer(layer)
            show_as_before(layer)
        else:
            show_as_model(layer, self._fail)

    def _remove_pictures(self, layer_ids: list[str]) -> None:
        """Remove the pictures of layers that are gone."""
        gone = [name for name, layer in _pictures() if str(layer.customProperty(PICTURE_OF)) in layer_ids]
        if gone:
            QgsProject.instance().removeMapLayers(gone)

    def _repair_pictures(self) -> None:
        """Make those anew whose file was elsewhere when the project was saved."""
        for _, picture in _pictures():
            layer = original_of(picture)
            if not picture.isValid() and isinstance(layer, QgsRasterLayer) and layer.isValid():
                show_as_model(layer, self._fail)

    def _fail(self, problem: str) -> None:
        title = translate("ModelGrey", "Show as the model sees")
        show_message(self._iface.messageBar(), title, problem, Qgis.MessageLevel.Warning)


def show_as_model(layer: QgsRasterLayer, fail: Callable[[str], None]) -> None:
    """Judge the layer's numbers in the background, then show it in the model's grey; ``fail`` is told why not.

    What the newest run about the layer was told of its numbers is so here too.
    """
    request = last_request(QgsProject.instance(), layer)
    band = shown_band(layer.renderer()) or None
    if request is not None and band is None and isinstance(request.band, int):
        band = request.band
    told = (None, None) if request is None else (request.quantity and str(request.quantity), request.scale)
    title = translate("ModelGrey", "Show as the model sees")
    task = BackgroundTask(title, partial(grey_scale, layer.source(), band, *told), (SceneError,))
    task.over.connect(partial(_show, task, layer.id(), fail))
    task.start()


def _show(task: BackgroundTask, layer_id: str, fail: Callable[[str], None]) -> None:
    layer = QgsProject.instance().mapLayer(layer_id)
    if layer is None:
        return
    if task.result is None:
        fail(task.problem)
        return
    show(layer, task.result)


def _pictures() -> list[tuple[str, QgsRasterLayer]]:
    layers = QgsProject.instance().mapLayers()
    return [(name, layer) for name, layer in layers.items() if layer.customProperty(PICTURE_OF)]

"""“Show as the Model Sees”: one press styles the active SAR layer in the model's grey, the next takes it back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qgis.core import Qgis, QgsProject, QgsRasterLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QAction

from .. import compat
from ..background import BackgroundTask
from ..layers.model_grey import grey_limits, is_shown, show, show_as_before
from ..layers.scene import SceneError, scene_of, shown_band
from ..translation import translate
from .messages import show_message


class ModelGreyAction(QObject):
    """Does it on ``entry``, which is also in the context menu of every raster layer."""

    def __init__(self, iface: QgisInterface, entry: QAction) -> None:
        super().__init__(iface.mainWindow())
        self._iface, self._entry = iface, entry
        entry.triggered.connect(self._toggle)
        iface.addCustomActionForLayerType(entry, "", compat.RASTER_LAYER, True)

    def remove(self) -> None:
        """Remove everything that was added."""
        self._entry.triggered.disconnect(self._toggle)
        self._iface.removeCustomActionForLayerType(self._entry)
        self.deleteLater()

    def _toggle(self) -> None:
        layer = self._iface.activeLayer()
        try:
            scene_of(layer)
        except SceneError as error:
            self._fail(str(error))
            return
        if is_shown(layer):
            show_as_before(layer)
        else:
            show_as_model(layer, self._fail)

    def _fail(self, problem: str) -> None:
        title = translate("ModelGrey", "Show as the model sees")
        show_message(self._iface.messageBar(), title, problem, Qgis.MessageLevel.Warning)


def show_as_model(layer: QgsRasterLayer, fail: Callable[[str], None]) -> None:
    """Judge the layer's numbers in the background, then show it in the model's grey; ``fail`` is told why not."""
    band = shown_band(layer.renderer()) or None
    title = translate("ModelGrey", "Show as the model sees")
    task = BackgroundTask(title, partial(grey_limits, layer.source(), band), (SceneError,))
    task.over.connect(partial(_show, task, layer.id(), fail))
    task.start()


def _show(task: BackgroundTask, layer_id: str, fail: Callable[[str], None]) -> None:
    layer = QgsProject.instance().mapLayer(layer_id)
    if layer is None:
        return
    if task.result is None:
        fail(task.problem)
        return
    show(layer, *task.result)

"""The first steps: a welcome when the button is pressed for the first time, and the sample scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import Qgis, QgsProject, QgsRasterLayer, QgsSettings
from qgis.gui import QgisInterface, QgsMessageBarItem
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QAction, QPushButton

from ..connection.backend import Backend
from ..connection.command import JsonQuery
from .messages import show_message
from .model_grey import show_as_model
from .options import Options

_SEEN = "fusar/welcome/seen"
_MARGIN = 1.1


class Welcome(QObject):
    """Says once what the plugin does, and opens the sample scene when it is asked to."""

    def __init__(
        self, iface: QgisInterface, backend: Backend, options: Options, button: QAction, entry: QAction
    ) -> None:
        """Welcome on the first press of ``button``; open the sample scene on ``entry``."""
        super().__init__(backend)
        self._iface = iface
        self._backend = backend
        self._options = options
        self._button = button
        self._entry = entry
        self._item: QgsMessageBarItem | None = None
        self._samples = JsonQuery(["samples"], self)
        self._samples.answered.connect(self._open)
        self._samples.failed.connect(self._fail)
        button.triggered.connect(self._welcome)
        entry.triggered.connect(self.open_sample)
        iface.messageBar().widgetRemoved.connect(self._forget_item)

    def remove(self) -> None:
        """Remove everything that was added."""
        self._button.triggered.disconnect(self._welcome)
        self._entry.triggered.disconnect(self.open_sample)
        self._close()
        self._iface.messageBar().widgetRemoved.disconnect(self._forget_item)
        self._samples.close()
        self.deleteLater()

    def open_sample(self) -> None:
        """Ask the backend of this computer where its samples are, and open the first."""
        QgsSettings().setValue(_SEEN, True)
        self._close()
        self._samples.ask()

    def show_again(self) -> None:
        """Show the welcome, also to who has seen it."""
        self._close()
        QgsSettings().setValue(_SEEN, True)
        bar = self._iface.messageBar()
        self._item = bar.createMessage(
            self.tr("Welcome to FUSAR-GPT"),
            self.tr("Select a SAR layer, press “Interpret SAR” and drag a rectangle."),
        )
        for words, slot in (
            (self.tr("Open the sample scene"), self.open_sample),
            (self.tr("Set up…"), self._options.open),
        ):
            press = QPushButton(words)
            press.clicked.connect(slot)
            self._item.layout().addWidget(press)
        bar.pushWidget(self._item, Qgis.MessageLevel.Info)

    def _welcome(self) -> None:
        if not QgsSettings().value(_SEEN, False, type=bool):
            self.show_again()

    def _open(self, samples: Any) -> None:
        try:
            path, title = str(samples[0]["scene"]), str(samples[0]["title"])
            simulated = bool(samples[0]["simulated"])
        except (LookupError, TypeError):
            path = ""
        if not Path(path).is_file():
            self._fail(self.tr("The backend has no sample scene. Press Update in the FUSAR-GPT options."))
            return
        name = self.tr("{title} (simulated)") if simulated else "{title}"
        layer = QgsRasterLayer(path, name.format(title=title))
        if not layer.isValid():
            self._fail(self.tr("QGIS cannot open the sample scene {path}.").format(path=path))
            return
        self._show(layer)
        show_as_model(layer, self._fail)  # the least and the most of a radar image make it almost black
        # It is going to be needed, and may take a moment to start.
        self._backend.open()
        self._show_message(
            self.tr("Now press “Interpret SAR” and drag a rectangle over the ships."), Qgis.MessageLevel.Info
        )

    def _show(self, layer: QgsRasterLayer) -> None:
        project, canvas = QgsProject.instance(), self._iface.mapCanvas()
        if not project.mapLayers():
            project.setCrs(layer.crs())
            canvas.setDestinationCrs(layer.crs())
        project.addMapLayer(layer)
        self._iface.setActiveLayer(layer)
        extent = canvas.mapSettings().layerExtentToOutputExtent(layer, layer.extent())
        extent.scale(_MARGIN)
        canvas.setExtent(extent)
        canvas.refresh()

    def _fail(self, problem: str) -> None:
        self._show_message(problem, Qgis.MessageLevel.Warning)

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._iface.messageBar(), self.tr("Sample scene"), text, level)

    def _close(self) -> None:
        item, self._item = self._item, None
        if item is not None:
            self._iface.messageBar().popWidget(item)

    def _forget_item(self, item: QgsMessageBarItem) -> None:
        if item is self._item:
            self._item = None

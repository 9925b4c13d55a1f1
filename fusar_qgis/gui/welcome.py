"""The first steps: a welcome when the button is pressed for the first time, the sample scene, and what comes next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qgis.core import Qgis, QgsProject, QgsRasterLayer, QgsSettings
from qgis.gui import QgisInterface, QgsMessageBarItem
from qgis.PyQt.QtCore import QObject, QTimer
from qgis.PyQt.QtWidgets import QAction, QPushButton

from ..connection.backend import Backend, is_set_up
from ..connection.command import JsonQuery
from ..layers.project_runs import ProjectRuns
from ..layers.scene import SceneError
from .areas import scene_for
from .messages import show_message, take_away
from .model_grey import show_as_model
from .options import Options

_SEEN = "fusar/welcome/seen"
_MARGIN = 1.1
_SAMPLE_PROPERTY = "fusar/sample"


class Welcome(QObject):
    """Says once what to do first, opens the sample scene when it is asked to, and then names the next step.

    Its message stays until it is closed, and follows the project: a scene, then findings.
    """

    def __init__(
        self,
        iface: QgisInterface,
        backend: Backend,
        options: Options,
        button: QAction,
        entry: QAction,
        findings: QAction | None = None,
    ) -> None:
        """Welcome on the first press of ``button``; open the sample scene on ``entry``.

        ``findings`` is the checkable action that shows the panel of findings.
        """
        super().__init__(backend)
        self._iface = iface
        self._backend = backend
        self._options = options
        self._button = button
        self._entry = entry
        self._findings = findings
        self._item: QgsMessageBarItem | None = None
        self._buttons: dict[str, QPushButton] = {}
        self._samples = JsonQuery(["samples"], self)
        self._samples.answered.connect(self._open)
        self._samples.failed.connect(self._fail_for_backend)
        button.triggered.connect(self._welcome)
        entry.triggered.connect(self.open_sample)
        options.sample_wanted.connect(self.open_sample)
        iface.messageBar().widgetRemoved.connect(self._forget_item)
        self._runs = ProjectRuns(self)
        self._soon = QTimer(self)  # the tree of layers follows the project a little later
        self._soon.setSingleShot(True)
        self._soon.timeout.connect(self._refresh)
        self._sources = (QgsProject.instance().layersAdded, self._runs.changed, options.environment.ended)
        for signal in self._sources:
            signal.connect(self._refresh_soon)

    def remove(self) -> None:
        """Remove everything that was added."""
        self._button.triggered.disconnect(self._welcome)
        self._entry.triggered.disconnect(self.open_sample)
        for signal in self._sources:
            signal.disconnect(self._refresh_soon)
        self._runs.remove()
        self._close()
        self._iface.messageBar().widgetRemoved.disconnect(self._forget_item)
        self._samples.close()
        self.deleteLater()

    def open_sample(self) -> None:
        """Ask the backend of this computer where its samples are, and open the first."""
        QgsSettings().setValue(_SEEN, True)
        if self._item is not None and not _sample_is_open():
            self._item.setText(self.tr("Opening the sample scene…"))
            self._show_buttons(())
        self._samples.ask()

    def show_again(self) -> None:
        """Show the welcome, or the next step of who has begun, also to who has seen it."""
        self._close()
        QgsSettings().setValue(_SEEN, True)
        bar = self._iface.messageBar()
        title, text, _ = self._next_step()
        self._item = bar.createMessage(title, text)  # with its text at once: else the buttons come before it
        self._buttons = {}
        for name, words, slot in self._offers():
            press = QPushButton(words)
            press.clicked.connect(slot)
            self._item.layout().addWidget(press)
            self._buttons[name] = press
        self._refresh()
        bar.pushWidget(self._item, Qgis.MessageLevel.Info)

    def _offers(self) -> list[tuple[str, str, Callable[[], None]]]:
        """Return every button that the message may have: its name, its words, what it does."""
        return [
            ("findings", self.tr("Show the findings"), self._show_findings),
            ("sample", self.tr("Open the sample scene"), self.open_sample),
            ("install", self.tr("Install…"), self._options.open_local),
            ("server", self.tr("Choose a server…"), self._options.open_server),
            ("options", self.tr("Set up…"), self._options.open),
        ]

    def _welcome(self) -> None:
        if QgsSettings().value(_SEEN, False, type=bool):
            return
        answer = self._iface.messageBar().currentItem()
        if answer is not None and answer.title() == self._button.text():
            # What this press was refused for, a scene or a backend, the welcome says too, with a button to it.
            take_away(self._iface.messageBar(), answer)
        self.show_again()

    def _refresh_soon(self, *_: object) -> None:
        self._soon.start(0)

    def _refresh(self) -> None:
        if self._item is None:
            return
        title, text, names = self._next_step()
        self._item.setTitle(title)
        self._item.setText(text)
        self._show_buttons(names)

    def _show_buttons(self, names: tuple[str, ...]) -> None:
        for name, button in self._buttons.items():
            button.setVisible(name in names)

    def _next_step(self) -> tuple[str, str, tuple[str, ...]]:
        """Return title, text and buttons for what is missing next."""
        welcome, next_step = self.tr("Welcome to FUSAR-GPT"), self.tr("Next step")
        if not is_set_up():
            text = self.tr("The program that runs the model is not installed yet.")
            return welcome, text, ("install", "server")
        if self._findings is not None and self._runs.all():
            text = self.tr("See what was found in a table with pictures; there you accept or reject it.")
            return next_step, text, ("findings",)
        if _sample_is_open():
            text = self.tr("Press “Interpret SAR”, drag a box over the harbour, then press Start.")
            return next_step, text, ()
        try:
            scene_for(self._iface.activeLayer(), "")
        except SceneError:
            text = self.tr("Add a SAR image as a layer, or try the plugin on a sample.")
            return welcome, text, ("sample", "options")
        text = self.tr("Press “Interpret SAR”, drag a box over a part of your SAR layer, then press Start.")
        return welcome, text, ("sample", "options")

    def _show_findings(self) -> None:
        self._close()
        if self._findings is not None and not self._findings.isChecked():
            self._findings.trigger()

    def _open(self, samples: Any) -> None:
        try:
            path, title = str(samples[0]["scene"]), str(samples[0]["title"])
            simulated = bool(samples[0]["simulated"])
        except (LookupError, TypeError):
            path = ""
        if not Path(path).is_file():
            self._fail_for_backend(
                self.tr("The backend has no sample scene. Press Update in the FUSAR-GPT options.")
            )
            return
        name = self.tr("{title} (simulated)") if simulated else "{title}"
        layer = QgsRasterLayer(path, name.format(title=title))
        if not layer.isValid():
            self._fail(self.tr("QGIS cannot open the sample scene {path}.").format(path=path))
            return
        layer.setCustomProperty(_SAMPLE_PROPERTY, True)
        self._show(layer)
        show_as_model(layer, self._fail)  # the least and the most of a radar image make it almost black
        # It is going to be needed, and may take a moment to start.
        self._backend.open()
        self.show_again()

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

    def _fail_for_backend(self, problem: str) -> None:
        self._close()
        self._show_problem(problem, self._options.offers())

    def _fail(self, problem: str) -> None:
        self._show_problem(problem, {})

    def _show_problem(self, problem: str, offers: dict[str, Callable[[], None]]) -> None:
        title, level = self.tr("Sample scene"), Qgis.MessageLevel.Warning
        show_message(self._iface.messageBar(), title, problem, level, offers=offers)

    def _close(self) -> None:
        item, self._item = self._item, None
        if item is not None:
            take_away(self._iface.messageBar(), item)

    def _forget_item(self, item: QgsMessageBarItem) -> None:
        if item is self._item:
            self._item = None


def _sample_is_open() -> bool:
    layers = QgsProject.instance().mapLayers().values()
    return any(layer.customProperty(_SAMPLE_PROPERTY) for layer in layers)

"""The menu of export formats, the choice of a file, and the work in the background."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

from qgis.core import Qgis, QgsProject, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QAction, QFileDialog, QMenu, QWidget

from ..background import BackgroundTask
from ..layers.exports import FORMATS, Snapshot, snapshot, write
from ..layers.scene import SceneError
from ..layers.storage import StorageError
from ..translation import translate_count
from .messages import show_message

_SUFFIXES = {"gpkg": ".gpkg", "geojson": ".geojson", "coco": ".json", "training": ""}


class Exporting(QObject):
    """Exports the findings of a layer: asks for the file, writes it, says what was left out."""

    def __init__(self, iface: QgisInterface, parent: QObject) -> None:
        super().__init__(parent)
        self._bar = iface.messageBar()
        self._window: QWidget = iface.mainWindow()
        self._layer: QgsVectorLayer | None = None
        self._dialog: QFileDialog | None = None
        self._form = ""
        self._tasks: list[tuple[BackgroundTask, str]] = []  # and what to say
        self.menu = QMenu(self._window)
        self._actions: dict[str, QAction] = {}
        for form, text in (
            ("gpkg", self.tr("&GeoPackage…")),
            ("geojson", self.tr("Geo&JSON (WGS84)…")),
            ("coco", self.tr("&COCO (boxes in scene pixels)…")),
            ("training", self.tr("&Training records (for fusar-train)…")),
        ):
            action = self.menu.addAction(text)
            action.setData(form)
            action.triggered.connect(self._ask)
            self._actions[form] = action
        self.menu.addSeparator()
        self._unreviewed = self.menu.addAction(self.tr("&Include what is not reviewed"))
        self._unreviewed.setCheckable(True)

    def remove(self) -> None:
        """Leave nothing behind; an export under way ends by itself."""
        self._drop_dialog()
        self.menu.deleteLater()
        self.deleteLater()

    def offer(self, layer: QgsVectorLayer | None, *, detections: bool) -> None:
        """Export this layer from now on; only detections have boxes to train on."""
        self._layer = layer
        for form in FORMATS:
            self._actions[form].setEnabled(layer is not None and (detections or form in ("gpkg", "geojson")))

    def export(self, form: str, path: Path) -> None:
        """Write the layer as ``form``, one of ``FORMATS``, in the background."""
        if self._layer is None:
            return
        context = QgsProject.instance().transformContext()
        taken = snapshot(self._layer, context, unreviewed_too=self._unreviewed.isChecked())
        if not taken.features and form != "training":
            text = self.tr("Nothing to export: no finding is accepted, relabelled or added yet.")
            self._show_message(f"{text} {self._left_out(taken)}", Qgis.MessageLevel.Warning)
            return
        summary = translate_count("Exporting", "%n finding(s) exported to {path}.", len(taken.features))
        summary = summary.format(path=path)
        summary = f"{summary} {self._left_out(taken)}".strip()
        errors = (StorageError, SceneError, OSError, RuntimeError, sqlite3.Error)
        task = BackgroundTask(self.tr("Export findings"), partial(write, taken, form, path), errors)
        task.over.connect(self._over)
        self._tasks.append((task, summary))
        task.start()

    def _ask(self) -> None:
        self._drop_dialog()
        action = self.sender()
        self._form = action.data()
        self._dialog = QFileDialog(self._window, self.tr("Export findings"))
        self._dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        suffix = _SUFFIXES[self._form]
        if suffix:
            self._dialog.setNameFilter(f"*{suffix}")
            self._dialog.setDefaultSuffix(suffix[1:])
        else:
            self._dialog.setNameFilter(self.tr("New folder (*)"))
        home = QgsProject.instance().homePath()
        if home:
            self._dialog.setDirectory(home)
        self._dialog.selectFile(f"reviewed{suffix}")
        self._dialog.fileSelected.connect(self._chosen)
        self._dialog.open()  # not exec: QGIS goes on

    def _chosen(self, path: str) -> None:
        self.export(self._form, Path(path))

    def _over(self) -> None:
        task, summary = next(one for one in self._tasks if one[0] is self.sender())
        self._tasks.remove((task, summary))
        if task.problem:
            text = self.tr("Not exported: {reason}").format(reason=task.problem)
            self._show_message(text, Qgis.MessageLevel.Critical)
        else:
            self._show_message(f"{summary} {task.result}".strip(), Qgis.MessageLevel.Success)

    def _left_out(self, taken: Snapshot) -> str:
        rejected, unreviewed = taken.left_out
        if not rejected + unreviewed:
            return ""
        return str(
            self.tr("Left out: {rejected} rejected, {unreviewed} not reviewed.").format(
                rejected=rejected, unreviewed=unreviewed
            )
        )

    def _drop_dialog(self) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
            self._dialog = None

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._bar, self.tr("Export"), text, level)

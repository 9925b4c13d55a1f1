"""The menu of export formats, the choice of a file, and the work in the background."""

from __future__ import annotations

import sqlite3
from html import escape
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsProject, QgsTask, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtWidgets import QAction, QFileDialog, QMenu, QWidget

from ..layers.exports import FORMATS, Snapshot, snapshot, write
from ..layers.scene import SceneError
from ..layers.storage import StorageError

_MESSAGE_SECONDS = 20
_SUFFIXES = {"gpkg": ".gpkg", "geojson": ".geojson", "coco": ".json", "training": ""}


class ExportTask(QgsTask):
    """Writes a snapshot.

    ``over`` brings the task, whether it is written, and the reason or what more there is to tell than ``summary``.
    """

    over = pyqtSignal(object, bool, str)

    def __init__(self, title: str, summary: str, taken: Snapshot, form: str, path: Path) -> None:
        super().__init__(title, QgsTask.Flag.CanCancel)
        self.summary = summary
        self._taken, self._form, self._path = taken, form, path
        self._text = ""

    def run(self) -> bool:
        """Write; in a thread of QGIS's pool."""
        try:
            self._text = write(self._taken, self._form, self._path)
        except (StorageError, SceneError, OSError, RuntimeError, sqlite3.Error) as error:
            self._text = str(error)
            return False
        return True

    def finished(self, written: bool) -> None:
        """Tell."""
        self.over.emit(self, written, self._text)


class Exporting(QObject):
    """Exports the findings of a layer: asks for the file, writes it, says what was left out."""

    def __init__(self, iface: QgisInterface, parent: QObject) -> None:
        super().__init__(parent)
        self._bar = iface.messageBar()
        self._window: QWidget = iface.mainWindow()
        self._layer: QgsVectorLayer | None = None
        self._dialog: QFileDialog | None = None
        self._form = ""
        self._tasks: list[ExportTask] = []
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
            self._say(f"{text} {self._left_out(taken)}", Qgis.MessageLevel.Warning)
            return
        summary = self.tr("{n} findings exported to {path}.").format(n=len(taken.features), path=path)
        summary = f"{summary} {self._left_out(taken)}".strip()
        task = ExportTask(self.tr("Export findings"), summary, taken, form, path)
        task.over.connect(self._over)
        self._tasks.append(task)
        QgsApplication.taskManager().addTask(task)

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

    def _over(self, task: ExportTask, written: bool, text: str) -> None:
        self._tasks.remove(task)
        if written:
            self._say(f"{task.summary} {text}".strip(), Qgis.MessageLevel.Success)
        else:
            self._say(self.tr("Not exported: {reason}").format(reason=text), Qgis.MessageLevel.Critical)

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

    def _say(self, text: str, level: Qgis.MessageLevel) -> None:
        seconds = 0 if level == Qgis.MessageLevel.Critical else _MESSAGE_SECONDS
        self._bar.pushMessage(self.tr("Export"), escape(text, quote=False), level, seconds)

"""The menu of export formats, the choice of a file, and the work in the background."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from qgis.core import Qgis, QgsProject, QgsSettings, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QAction, QFileDialog, QMenu, QWidget

from ..background import BackgroundTask
from ..core.setting_names import EXPORT_FOLDER
from ..layers.exports import BOXES_ONLY, FORMATS, Snapshot, in_words, refusal, snapshot, write
from ..layers.storage import StorageError, source_of
from ..translation import translate_count
from .messages import show_message
from .report_writing import ReportWriting


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
            ("csv", self.tr("CSV &table (WGS84)…")),
            ("kml", self.tr("&KML (Google Earth)…")),
            ("coco", self.tr("&COCO (boxes in scene pixels)…")),
            ("report", self.tr("PDF &report…")),
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
            self._actions[form].setEnabled(layer is not None and (detections or form not in BOXES_ONLY))

    def export(self, form: str, path: Path) -> None:
        """Write the layer as ``form``, one of ``FORMATS``, in the background."""
        if self._layer is None:
            return
        refused = self._in_use(path) or refusal(form, path)
        if refused:
            self._fail(refused)
            return
        QgsSettings().setValue(EXPORT_FOLDER, str(path.parent))
        context = QgsProject.instance().transformContext()
        if form == "report":
            self._report(snapshot(self._layer, context, unreviewed_too=True), path)
            return
        taken = snapshot(self._layer, context, unreviewed_too=self._unreviewed.isChecked())
        if not taken.features and form != "training":
            text = self.tr("Nothing to export: no finding is accepted, relabelled or added yet.")
            self._show_message(f"{text} {self._left_out(taken)}", Qgis.MessageLevel.Warning)
            return
        summary = translate_count("Exporting", "%n finding(s) exported to {path}.", len(taken.features))
        summary = summary.format(path=path)
        summary = f"{summary} {self._left_out(taken)}".strip()
        work = partial(write, taken, form, path)
        task = BackgroundTask(self.tr("Export findings"), work, (StorageError,))
        task.over.connect(self._over)
        self._tasks.append((task, summary))
        task.start()

    def _report(self, taken: Snapshot, path: Path) -> None:
        try:
            writing = ReportWriting(taken, path, self)
        except OSError as error:
            self._fail(in_words(error, path))
            return
        writing.failed.connect(self._fail)
        writing.written.connect(self._tell)

    def _tell(self, text: str) -> None:
        self._show_message(text, Qgis.MessageLevel.Success)

    def _ask(self) -> None:
        self._drop_dialog()
        action = self.sender()
        self._form = action.data()
        self._dialog = QFileDialog(self._window, self.tr("Export findings"))
        self._dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        suffixes = FORMATS[self._form]
        if suffixes:
            text = self._actions[self._form].text().replace("&", "").rstrip("…").split(" (")[0]
            self._dialog.setNameFilter(f"{text} ({' '.join(f'*{one}' for one in suffixes)})")
            self._dialog.setDefaultSuffix(suffixes[0][1:])
        else:
            self._dialog.setNameFilter(self.tr("New folder (*)"))
        self._dialog.setDirectory(self._folder())
        self._dialog.selectFile(f"reviewed{''.join(suffixes[:1])}")
        self._dialog.fileSelected.connect(self._chosen)
        self._dialog.open()  # not exec: QGIS goes on

    def _folder(self) -> str:
        """Return the folder of the last export, if it is there, else the project's."""
        last = QgsSettings().value(EXPORT_FOLDER, "", type=str)
        return str(last if last and Path(last).is_dir() else QgsProject.instance().homePath())

    def _in_use(self, path: Path) -> str:
        """Return why a file of the project is not replaced; empty if it is none of them."""
        for layer in QgsProject.instance().mapLayers().values():
            used = source_of(layer)[0] if layer.providerType() == "ogr" else Path(layer.source())
            if path.exists() and os.path.exists(used) and path.samefile(used):  # noqa: PTH110 - a URL may be too long
                text = self.tr("The layer “{layer}” of this project is in “{path}”. Choose another name.")
                return str(text).replace("{layer}", layer.name()).replace("{path}", str(path))
        return ""

    def _chosen(self, path: str) -> None:
        self.export(self._form, Path(path))

    def _over(self) -> None:
        task, summary = next(one for one in self._tasks if one[0] is self.sender())
        self._tasks.remove((task, summary))
        if task.problem:
            self._fail(task.problem)
        else:
            self._show_message(f"{summary} {task.result}".strip(), Qgis.MessageLevel.Success)

    def _fail(self, reason: str) -> None:
        text = self.tr("Not exported: {reason}").replace("{reason}", reason)
        self._show_message(text, Qgis.MessageLevel.Critical)

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

"""The menu of export formats, the choice of a file, and the work in the background."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from qgis.core import Qgis, QgsProject, QgsSettings, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, QUrl
from qgis.PyQt.QtGui import QDesktopServices
from qgis.PyQt.QtWidgets import QAction, QFileDialog, QMenu, QWidget

from ..background import BackgroundTask
from ..core.setting_names import EXPORT_FOLDER
from ..layers.exports import (
    BOXES_ONLY,
    FORMATS,
    Snapshot,
    in_words,
    refusal,
    snapshot,
    snapshot_without_layer,
    write,
)
from ..layers.project_runs import ProjectRun
from ..layers.run_groups import started
from ..layers.storage import StorageError, source_of
from ..translation import translate_count
from .messages import show_message
from .report_writing import ReportWriting

_CARDS_FIRST = ("detections", "grid", "answers", "places")


class Exporting(QObject):
    """Exports the findings of a layer: asks for the file, writes it, says what was left out."""

    def __init__(self, iface: QgisInterface, parent: QObject) -> None:
        super().__init__(parent)
        self._bar = iface.messageBar()
        self._window: QWidget = iface.mainWindow()
        self._layer: QgsVectorLayer | None = None
        self._dialog: QFileDialog | None = None
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
            action.triggered.connect(partial(self._ask_for, form))
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
        context = QgsProject.instance().transformContext()
        if form == "report":
            self._report(snapshot(self._layer, context, unreviewed_too=True), path)
            return
        if not self._may_write(form, path):
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

    def ask_report(self, run: ProjectRun) -> None:
        """Ask for the file of a run's report, and write it."""
        began = started(run.run).toString("yyyy-MM-dd HHmm")
        name = self.tr("report {date} {name}").replace("{date}", began).replace("{name}", run.short_name)
        name = re.sub(r"[^\w.-]+", "_", name).strip("_")
        title = self.tr("Report of “{name}”").replace("{name}", run.name)
        self._ask("report", title, name, partial(self.report, run))

    def report(self, run: ProjectRun, path: Path) -> None:
        """Write the report of a run, in the background; what it asked first decides which layer has the cards."""
        context = QgsProject.instance().transformContext()
        layer = next((run.layers[kind] for kind in _CARDS_FIRST if kind in run.layers), None)
        if layer is not None:
            self._report(snapshot(layer, context, unreviewed_too=True), path)
        else:
            self._report(snapshot_without_layer(run, context), path)

    def _report(self, taken: Snapshot, path: Path) -> None:
        if not self._may_write("report", path):
            return
        try:
            writing = ReportWriting(taken, path, self)
        except OSError as error:
            self._fail(in_words(error, path))
            return
        writing.failed.connect(self._fail)
        writing.cancelled.connect(self._tell_cancelled)
        writing.written.connect(partial(self._tell_written, path))

    def _tell_written(self, path: Path, text: str) -> None:
        level, offers = Qgis.MessageLevel.Success, {self.tr("Open"): partial(_open, path)}
        show_message(self._bar, self.tr("Report"), text, level, offers=offers)

    def _tell_cancelled(self) -> None:
        text = self.tr("Cancelled. No report was written.")
        show_message(self._bar, self.tr("Report"), text, Qgis.MessageLevel.Info)

    def _may_write(self, form: str, path: Path) -> bool:
        """Return whether ``path`` can be tried; say why not. Its folder is the first to be proposed next time."""
        refused = self._in_use(path) or refusal(form, path)
        if refused:
            self._fail(refused)
        else:
            QgsSettings().setValue(EXPORT_FOLDER, str(path.parent))
        return not refused

    def _ask_for(self, form: str, _: bool) -> None:
        do = partial(self.export, form)
        self._ask(form, self.tr("Export findings"), "reviewed", do)

    def _ask(self, form: str, title: str, name: str, do: Callable[[Path], None]) -> None:
        """Ask for a file, or a new folder, and ``do`` what is to be done with it."""
        self._drop_dialog()
        self._dialog = QFileDialog(self._window, title)
        self._dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        suffixes = FORMATS[form]
        if suffixes:
            text = self._actions[form].text().replace("&", "").rstrip("…").split(" (")[0]
            self._dialog.setNameFilter(f"{text} ({' '.join(f'*{one}' for one in suffixes)})")
            self._dialog.setDefaultSuffix(suffixes[0][1:])
        else:
            self._dialog.setNameFilter(self.tr("New folder (*)"))
        self._dialog.setDirectory(self._folder())
        self._dialog.selectFile(f"{name}{''.join(suffixes[:1])}")
        self._dialog.fileSelected.connect(partial(_call, do))
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


def _call(do: Callable[[Path], None], path: str) -> None:
    do(Path(path))


def _open(path: Path) -> None:
    QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

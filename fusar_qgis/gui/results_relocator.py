"""Moves findings from their temporary file into the project's GeoPackage as soon as there is a project file."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from qgis.core import Qgis, QgsProject, QgsSettings, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject

from ..core.setting_names import PLACE
from ..layers import storage
from .messages import PRODUCT, show_message


class ResultsRelocator(QObject):
    """Watches the project being saved; ``remove`` ends that."""

    def __init__(self, iface: QgisInterface, parent: QObject) -> None:
        super().__init__(parent)
        self._bar = iface.messageBar()
        # It comes before QGIS writes the layers, so that what it saves names the new file.
        QgsProject.instance().writeProject.connect(self._saving)

    def remove(self) -> None:
        """Remove everything that was added."""
        QgsProject.instance().writeProject.disconnect(self._saving)
        self.deleteLater()

    def _saving(self) -> None:
        project = QgsProject.instance()
        layers = storage.temporary_layers(project)
        target = storage.file_beside(project)
        by_choice = QgsSettings().value(PLACE, "project", type=str) == "temporary"
        if not layers or target is None or by_choice:
            return
        if any(layer.isEditable() for layer in layers):
            text = self.tr(
                "Findings under edit stay in a temporary file. Save the edits, then the project again."
            )
            self._show_message(text, Qgis.MessageLevel.Warning)
            return
        try:
            moved = _move(layers, target)
        except (OSError, sqlite3.Error) as error:
            text = self.tr(
                "Cannot write findings beside the project: {reason}. They stay in a temporary file: export them, or"
                " save the project in another folder."
            ).format(reason=error)
            self._show_message(text, Qgis.MessageLevel.Critical)
            return
        text = self.tr("The findings are kept in {file}, beside the project.").format(file=moved.name)
        self._show_message(text, Qgis.MessageLevel.Info)

    def _show_message(self, text: str, level: Qgis.MessageLevel) -> None:
        show_message(self._bar, PRODUCT, text, level)


def _move(layers: list[QgsVectorLayer], target: Path) -> Path:
    """Copy the files behind ``layers`` to ``target``, or a free name like it, and have the layers read that."""
    copies: dict[Path, Path] = {}
    for layer in layers:
        source, table = storage.source_of(layer)
        if source not in copies:
            names = (target, *(target.with_name(f"{target.stem}_{n}{target.suffix}") for n in range(2, 1000)))
            copies[source] = next(name for name in names if not name.exists())
            _copy(source, copies[source])
        layer.setDataSource(f"{copies[source]}|layername={table}", layer.name(), "ogr")
    return copies[source]


def _copy(source: Path, target: Path) -> None:
    """Copy a GeoPackage that may be in use, whole or not at all.

    Raises:
        OSError, sqlite3.Error: It cannot be; there is no target.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(partial)) as new:
            old.backup(new)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)

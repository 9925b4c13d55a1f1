"""The groups of runs in the Layers panel: their names, and the review of one run with the others out of sight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from qgis.core import (
    QgsCsException,
    QgsGeometry,
    QgsMapLayer,
    QgsPointXY,
    QgsProject,
)
from qgis.PyQt.QtCore import QDateTime, Qt

from ..translation import translate
from .findings_layer import findings_layers, heat_layers, run_of
from .scene import crs_of, ellipsoid_measure
from .wording import run_caveats, title_of

_KM = 1000.0
_REVIEWED = "fusar/reviewed_run"  # of the root of the Layers panel, while a review shows one run only
# Of a node of the Layers panel; kept in the project file.
_HIDDEN_FOR_REVIEW = "fusar/hidden_for_review"
HIDDEN_FOR_FOCUS = "fusar/hidden_for_focus"


def started(run: dict[str, Any]) -> QDateTime:
    """Return when a run started, in local time; invalid where it does not say."""
    return QDateTime.fromString(str(run.get("started") or ""), Qt.DateFormat.ISODate).toLocalTime()


def run_label(run: dict[str, Any]) -> str:
    """Return what tells runs apart, first: ``14:32 · 2.1 x 1.8 km · Detect ship``; the time is local."""
    return " · ".join(filter(None, (started(run).toString("HH:mm"), size_in_words(run), title_of(run))))


def group_name(run: dict[str, Any]) -> str:
    """Return the label with what is never silent: ``14:32 · 2.1 x 1.8 km · Detect ship (...)``."""
    return f"{run_label(run)} ({run_caveats(run)})"


def show_only(project: QgsProject, reviewed: QgsMapLayer | None) -> None:
    """Hide the findings of all runs but that of ``reviewed`` until ``show_others``; None hides nothing.

    A run that begins meanwhile calls ``hide_beside_review``.
    """
    show_others(project)
    if reviewed is not None:
        run_id = str(run_of(reviewed).get("id"))
        project.layerTreeRoot().setCustomProperty(_REVIEWED, run_id)
        hide_other_runs(project, run_id, _HIDDEN_FOR_REVIEW)


def hide_beside_review(project: QgsProject) -> None:
    """Hide a run that has just begun until ``show_others``, if another one is under review."""
    reviewed = project.layerTreeRoot().customProperty(_REVIEWED)
    if reviewed:
        hide_other_runs(project, str(reviewed), _HIDDEN_FOR_REVIEW)


def show_others(project: QgsProject) -> None:
    """Show again what ``show_only`` has hidden, also where the project was saved and opened in between."""
    project.layerTreeRoot().removeCustomProperty(_REVIEWED)
    show_hidden(project, _HIDDEN_FOR_REVIEW)


def hide_other_runs(project: QgsProject, run_id: str, mark: str) -> None:
    """Hide the findings of all runs but one until ``show_hidden``; what the analyst has hidden already stays so.

    ``mark`` is the custom property of a hidden layer's node: who hides it shows it again.
    """
    layers: list[QgsMapLayer] = [*findings_layers(project), *heat_layers(project)]
    hide(project, [layer for layer in layers if str(run_of(layer).get("id")) != run_id], mark)


def hide(project: QgsProject, layers: Iterable[QgsMapLayer], mark: str) -> None:
    """Hide layers until ``show_hidden``; what the analyst has hidden already stays so."""
    for layer in layers:
        node = project.layerTreeRoot().findLayer(layer.id())
        if node is not None and node.itemVisibilityChecked():
            node.setItemVisibilityChecked(False)
            node.setCustomProperty(mark, True)


def is_hidden_for_a_while(node: Any) -> bool:
    """Return whether a layer's node is hidden beside a review or another run, not by the analyst."""
    return any(node.customProperty(mark) for mark in (_HIDDEN_FOR_REVIEW, HIDDEN_FOR_FOCUS))


def show_hidden(project: QgsProject, mark: str) -> None:
    """Show again what is hidden with ``mark``."""
    for node in project.layerTreeRoot().findLayers():
        if node.customProperty(mark):
            node.removeCustomProperty(mark)
            node.setItemVisibilityChecked(True)


def size_in_words(run: dict[str, Any]) -> str:
    """Return how wide and high the run's area is on the ground; empty where that is not known."""
    area, crs = QgsGeometry.fromWkt(str(run.get("area") or "")), crs_of(str(run.get("scene_crs") or ""))
    if area.isEmpty() or not crs.isValid():
        return ""
    measure = ellipsoid_measure(crs)
    box, centre = area.boundingBox(), area.boundingBox().center()
    try:
        width = measure.measureLine(
            QgsPointXY(box.xMinimum(), centre.y()), QgsPointXY(box.xMaximum(), centre.y())
        )
        height = measure.measureLine(
            QgsPointXY(centre.x(), box.yMinimum()), QgsPointXY(centre.x(), box.yMaximum())
        )
    except QgsCsException:
        return ""
    if not 0 < min(width, height) <= max(width, height) < float("inf"):
        return ""
    if max(width, height) < _KM:
        text = translate("Wording", "{width} x {height} m")
        return str(text).format(width=round(width), height=round(height))
    text = translate("Wording", "{width} x {height} km")
    return str(text).format(width=f"{width / _KM:.1f}", height=f"{height / _KM:.1f}")

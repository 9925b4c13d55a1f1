"""The runs whose findings are in the project, gathered from its layers, and word of every change."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from qgis.core import QgsMapLayer, QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..core.request import LayerRequest
from .findings_layer import (
    KIND_PROPERTY,
    RUN_PROPERTY,
    SCENE_PROPERTY,
    SECONDS_PROPERTY,
    findings_layers,
    request_of,
    run_of,
)

_TOGETHER_MS = 50


@dataclass
class ProjectRun:
    """One run with the layers that hold its findings.

    Attributes:
        id: The run's id.
        run: Its provenance as ``Run.record()`` gives it.
        scene: The source of its scene, for GDAL.
        request: What was asked; None where the layers do not tell.
        layers: Its layers by kind: ``detections``, ``grid``, ``answers``.
        seconds: How long it took from its start to its end; None where it did not end or is of an older version.
    """

    id: str
    run: dict[str, Any]
    scene: str
    request: LayerRequest | None
    layers: dict[str, QgsVectorLayer] = field(default_factory=dict)
    seconds: float | None = None


def runs_in(project: QgsProject) -> list[ProjectRun]:
    """Return the runs of a project, in the order of its Layers panel."""
    found: dict[str, ProjectRun] = {}
    for layer in findings_layers(project):
        run = run_of(layer)
        known = found.get(str(run.get("id")))
        if known is None:
            scene = str(layer.customProperty(SCENE_PROPERTY) or "")
            known = ProjectRun(str(run.get("id")), run, scene, request_of(layer), seconds=_seconds(layer))
            found[known.id] = known
        known.layers.setdefault(str(layer.customProperty(KIND_PROPERTY) or ""), layer)
    return list(found.values())


class ProjectRuns(QObject):
    """Tells of runs that come to the project and go; ``changed`` comes once for what happens together."""

    changed = pyqtSignal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.changed)
        project = QgsProject.instance()
        project.layersAdded.connect(self._on_added)
        project.layersRemoved.connect(self._tell_soon)
        project.readProject.connect(self._tell_soon)

    def all(self) -> list[ProjectRun]:
        """Return the runs, in the order of the Layers panel."""
        return runs_in(QgsProject.instance())

    def remove(self) -> None:
        """Listen no longer."""
        project = QgsProject.instance()
        project.layersAdded.disconnect(self._on_added)
        project.layersRemoved.disconnect(self._tell_soon)
        project.readProject.disconnect(self._tell_soon)
        self._timer.stop()

    def _on_added(self, layers: Iterable[QgsMapLayer]) -> None:
        if any(layer.customProperty(RUN_PROPERTY) for layer in layers):
            self._tell_soon()

    def _tell_soon(self, *_: object) -> None:
        self._timer.start(_TOGETHER_MS)


def _seconds(layer: QgsVectorLayer) -> float | None:
    try:
        return float(layer.customProperty(SECONDS_PROPERTY))
    except (TypeError, ValueError):
        return None

"""The runs of a project, gathered from its layers and from what it keeps of runs without any; word of every change."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsGeometry,
    QgsLayerTreeGroup,
    QgsMapLayer,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..contract import SearchRequest
from ..core.request import LayerRequest
from .findings_layer import (
    KIND_PROPERTY,
    REQUEST_PROPERTY,
    RESULT_PROPERTY,
    RUN_PROPERTY,
    SCENE_PROPERTY,
    SECONDS_PROPERTY,
    STATUS_PROPERTY,
    findings_layers,
    heat_layers,
    read_object,
    read_request,
    read_search,
    run_of,
)
from .run_groups import group_name, run_label
from .scene import crs_of
from .wording import title_of

_TOGETHER_MS = 50
_SCOPE, _KEY = "fusar", "/runs"  # of the project's entries
_NAME = "fusar/name"

Ground = tuple[QgsGeometry, QgsCoordinateReferenceSystem]


@dataclass
class ProjectRun:
    """One run with the layers that hold its findings.

    Attributes:
        id: The run's id.
        run: Its provenance as ``Run.record()`` gives it.
        scene: The source of its scene, for GDAL.
        request: What was asked; None where the layers do not tell, and of a search.
        layers: Its layers by kind: ``detections``, ``grid``, ``answers``, ``places``; none where it found nothing.
        seconds: How long it took from its start to its end; None where it did not end or is of an older version.
        status: What became of it, as ``STATUS_PROPERTY`` has it; empty where that is not known.
        result: What it has counted, as ``RESULT_PROPERTY`` has it.
        given_name: What the analyst calls it, where no group of layers has its name.
        search: What was searched for; None of all runs but searches.
    """

    id: str
    run: dict[str, Any]
    scene: str
    request: LayerRequest | None
    layers: dict[str, QgsVectorLayer] = field(default_factory=dict)
    seconds: float | None = None
    status: str = ""
    result: dict[str, Any] = field(default_factory=dict)
    given_name: str = ""
    search: SearchRequest | None = None

    @property
    def asked(self) -> LayerRequest | SearchRequest | None:
        """What was asked or searched for: either says which file, band and quantity were read."""
        return self.request or self.search

    @property
    def name(self) -> str:
        """What the analyst calls it, else its time, size and question."""
        group = group_of(self)
        own = group.name() if group is not None else self.given_name
        return own if own and own != group_name(self.run) else run_label(self.run)

    @property
    def short_name(self) -> str:
        """What the analyst calls it, else its question alone."""
        return self.name if self.is_named else title_of(self.run)

    @property
    def is_named(self) -> bool:
        """Whether the analyst gave it a name."""
        return self.name != run_label(self.run)

    def ground(self) -> Ground:
        """Return the area that was asked about; of a run that does not say, the bounds of what it found."""
        area, crs = (
            QgsGeometry.fromWkt(str(self.run.get("area") or "")),
            crs_of(self.run.get("scene_crs") or ""),
        )
        if not area.isEmpty() and crs.isValid():
            return area, crs
        found, box = [layer for layer in self.layers.values() if layer.featureCount()], QgsRectangle()
        for layer in found:
            box.combineExtentWith(layer.extent())
        return QgsGeometry.fromRect(box) if found else QgsGeometry(), found[0].crs() if found else crs


def runs_in(project: QgsProject) -> list[ProjectRun]:
    """Return the runs of a project, in the order of its Layers panel; then those that have found nothing."""
    found: dict[str, ProjectRun] = {}
    for layer in findings_layers(project):
        run = _read(layer.customProperty)
        known = found.setdefault(run.id, run)
        known.layers.setdefault(str(layer.customProperty(KIND_PROPERTY) or ""), layer)
    for kept in _kept(project):
        run = _read(kept.get)
        found.setdefault(run.id, run)
    return list(found.values())


def keep_run(project: QgsProject, properties: Mapping[str, str]) -> None:
    """Keep a run that has no layer yet, by what will be the custom properties of its layers."""
    run_id = _read(properties.get).id
    others = [kept for kept in _kept(project) if _read(kept.get).id != run_id]
    project.writeEntry(_SCOPE, _KEY, json.dumps([*others, dict(properties)], ensure_ascii=False))


def change_kept(project: QgsProject, run_id: str, change: Mapping[str, str] | None) -> None:
    """Change what the project keeps of a run without a layer, if it does; None takes it out."""
    before, after = _kept(project), []
    for kept in before:
        if _read(kept.get).id != run_id:
            after.append(kept)
        elif change is not None:
            after.append({**kept, **change})
    if after != before:
        project.writeEntry(_SCOPE, _KEY, json.dumps(after, ensure_ascii=False))


def group_of(run: ProjectRun) -> QgsLayerTreeGroup | None:
    """Return the group of a run in the Layers panel; None where its layers stand in none of their own."""
    root = QgsProject.instance().layerTreeRoot()
    parents = [node.parent() for node in map(root.findLayer, run.layers.values()) if node is not None]
    return parents[0] if parents and parents[0] is not root else None


def rename_run(project: QgsProject, run: ProjectRun, name: str) -> None:
    """Give a run another name, in the Layers panel if it is there."""
    group = group_of(run)
    if group is not None:
        group.setName(name)
    else:
        change_kept(project, run.id, {_NAME: name})


def remove_run(project: QgsProject, run: ProjectRun) -> None:
    """Take a run and its layers out of the project; a file keeps its findings."""
    group = group_of(run)
    heat = [layer.id() for layer in heat_layers(project) if str(run_of(layer).get("id")) == run.id]
    project.removeMapLayers([*(layer.id() for layer in run.layers.values()), *heat])
    if group is not None and not group.children() and group.parent() is not None:
        group.parent().removeChildNode(group)
    change_kept(project, run.id, None)


def common_ground(one: ProjectRun, other: ProjectRun) -> Ground:
    """Return the ground that both runs looked at, in the CRS of the first; empty where there is none."""
    (first, crs), (second, second_crs) = one.ground(), other.ground()
    if first.isEmpty() or second.isEmpty():
        return QgsGeometry(), crs
    moved = QgsGeometry(second)
    try:
        moved.transform(QgsCoordinateTransform(second_crs, crs, QgsProject.instance()))
    except QgsCsException:
        return QgsGeometry(), crs
    common = first.makeValid().intersection(moved.makeValid())
    return (common, crs) if common.area() > 0 else (QgsGeometry(), crs)


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
        project.layersRemoved.connect(self.tell_soon)
        project.readProject.connect(self.tell_soon)
        project.cleared.connect(self.tell_soon)

    def all(self) -> list[ProjectRun]:
        """Return the runs, in the order of the Layers panel."""
        return runs_in(QgsProject.instance())

    def remove(self) -> None:
        """Listen no longer."""
        project = QgsProject.instance()
        project.layersAdded.disconnect(self._on_added)
        project.layersRemoved.disconnect(self.tell_soon)
        project.readProject.disconnect(self.tell_soon)
        project.cleared.disconnect(self.tell_soon)
        self._timer.stop()

    def tell_soon(self, *_: object) -> None:
        """Tell of a change that is none of the layers: a run has ended, or has another name."""
        self._timer.start(_TOGETHER_MS)

    def _on_added(self, layers: Iterable[QgsMapLayer]) -> None:
        if any(layer.customProperty(RUN_PROPERTY) for layer in layers):
            self.tell_soon()


def _read(value: Callable[[str], Any]) -> ProjectRun:
    """Return the run that ``value`` tells of by the names of custom properties."""
    run = read_object(value(RUN_PROPERTY))
    try:
        seconds: float | None = float(value(SECONDS_PROPERTY))
    except (TypeError, ValueError):
        seconds = None
    return ProjectRun(
        str(run.get("id")),
        run,
        str(value(SCENE_PROPERTY) or ""),
        read_request(value(REQUEST_PROPERTY)),
        seconds=seconds,
        status=str(value(STATUS_PROPERTY) or ""),
        result=read_object(value(RESULT_PROPERTY)),
        given_name=str(value(_NAME) or ""),
        search=read_search(value(REQUEST_PROPERTY)),
    )


def _kept(project: QgsProject) -> list[dict[str, str]]:
    text, _ = project.readEntry(_SCOPE, _KEY, "")
    try:
        kept = json.loads(text or "[]")
    except ValueError:
        return []
    return [one for one in kept if isinstance(one, dict)] if isinstance(kept, list) else []

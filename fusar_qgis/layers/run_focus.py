"""One run in front of the others: those over the same ground are dimmed, or all others hidden; no style is saved so."""

from __future__ import annotations

from qgis.core import QgsMapLayer, QgsProject, QgsVectorLayer
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtXml import QDomDocument, QDomElement

from .findings_layer import heat_layers, run_of
from .project_runs import ProjectRun, ProjectRuns, common_ground
from .run_groups import HIDDEN_FOR_FOCUS, hide, hide_other_runs, show_hidden
from .run_layers import RunLayers

DIM, HIDE, LEAVE = "dim", "hide", "leave"
"""What happens to the runs that are not in front."""

_DIMMED = 0.3  # of a layer's own opacity
_SAME = 1e-6


class RunFocus(QObject):
    """Keeps one run in front; ``changed`` tells of another one, or of another treatment of the others.

    A run that begins comes to the front, and is never dimmed while it goes on. A dimmed layer has no labels. It is
    written to the project with the opacity and the labels that it has of its own, and gets them back on ``remove``.

    Attributes:
        current: The id of the run in front; empty if there is none.
        others: What happens to the others: ``DIM``, ``HIDE`` or ``LEAVE``.
        dimmed: How many runs are dimmed.
        hidden: How many runs are hidden.
    """

    changed = pyqtSignal()

    def __init__(self, runs: ProjectRuns, parent: QObject) -> None:
        """``runs`` tells of the project's runs; it is not owned."""
        super().__init__(parent)
        self.current, self.others = "", DIM
        self.dimmed = self.hidden = 0
        self._runs = runs
        self._own: dict[
            str, tuple[float, bool]
        ] = {}  # opacity of each dimmed layer, and whether it has labels
        self._known: set[str] = set()  # runs that were seen under way
        project = QgsProject.instance()
        project.writeMapLayer.connect(self._write_own_looks)
        project.readProject.connect(self._begin_anew)
        project.cleared.connect(self._forget)
        runs.changed.connect(self._apply)

    def remove(self) -> None:
        """Give every layer back its own looks."""
        self.current = ""
        self._apply()
        project = QgsProject.instance()
        project.writeMapLayer.disconnect(self._write_own_looks)
        project.readProject.disconnect(self._begin_anew)
        project.cleared.disconnect(self._forget)
        self._runs.changed.disconnect(self._apply)
        self.deleteLater()

    def choose(self, run_id: str) -> None:
        """Put a run in front; an empty id puts none."""
        if run_id != self.current:
            self.current = run_id
            self._apply()

    def treat_others(self, others: str) -> None:
        """Dim, hide or leave the others from now on."""
        if others != self.others:
            self.others = others
            self._apply()

    def _apply(self) -> None:
        project, runs = QgsProject.instance(), self._runs.all()
        under_way = runs_under_way(project)
        begun = under_way.intersection(run.id for run in runs) - self._known
        if begun:
            self.current = begun.pop()
            self._known |= under_way
        current = next((run for run in runs if run.id == self.current), None)
        over_it = []
        if current is not None and self.others == DIM:
            others = (run for run in runs if run.layers and run.id not in under_way)
            over_it = [run for run in others if _share_ground(run, current)]
        self._dim({layer.id() for run in over_it for layer in run.layers.values()})
        show_hidden(project, HIDDEN_FOR_FOCUS)
        self._hide_heat({run.id for run in over_it})
        self.dimmed, self.hidden = len(over_it), 0
        if current is not None and self.others == HIDE:
            hide_other_runs(project, current.id, HIDDEN_FOR_FOCUS)
            self.hidden = sum(bool(run.layers) and run is not current for run in runs)
        self.changed.emit()

    def _dim(self, layer_ids: set[str]) -> None:
        """Dim these layers and no others; the project is not dirty for it."""
        project = QgsProject.instance()
        was_dirty = project.isDirty()
        for layer_id in set(self._own) - layer_ids:
            (opacity, labels), layer = self._own.pop(layer_id), project.mapLayer(layer_id)
            if isinstance(layer, QgsVectorLayer):
                layer.setLabelsEnabled(labels or layer.labelsEnabled())
                if _is_dimmed(layer, opacity):
                    layer.setOpacity(opacity)
                layer.triggerRepaint()
        for layer_id in layer_ids - set(self._own):
            layer = project.mapLayer(layer_id)
            self._own[layer_id] = layer.opacity(), layer.labelsEnabled()
            layer.setOpacity(_DIMMED * layer.opacity())
            layer.setLabelsEnabled(False)
            layer.triggerRepaint()
        if not was_dirty:
            project.setDirty(False)

    def _hide_heat(self, run_ids: set[str]) -> None:
        """Hide the heat maps of runs that are dimmed: fainter, they would still tint those in front."""
        project = QgsProject.instance()
        was_dirty = project.isDirty()
        heat = [layer for layer in heat_layers(project) if str(run_of(layer).get("id")) in run_ids]
        hide(project, heat, HIDDEN_FOR_FOCUS)
        if not was_dirty:
            project.setDirty(False)

    def _write_own_looks(self, layer: QgsMapLayer, element: QDomElement, document: QDomDocument) -> None:
        opacity, labels = self._own.get(layer.id(), (None, False))
        kept = element.firstChildElement("layerOpacity")
        if opacity is not None and not kept.isNull() and _is_dimmed(layer, opacity):
            kept.replaceChild(document.createTextNode(repr(opacity)), kept.firstChild())
        if labels:
            element.setAttribute("labelsEnabled", "1")

    def _begin_anew(self, *_: object) -> None:
        self._forget()
        show_hidden(QgsProject.instance(), HIDDEN_FOR_FOCUS)  # saved while others were hidden

    def _forget(self) -> None:
        self.current = ""
        self._own.clear()


def runs_under_way(project: QgsProject) -> set[str]:
    """Return the ids of the runs whose findings still come."""
    return {layers.objectName() for layers in project.findChildren(RunLayers) if not layers.is_settled}


def _share_ground(run: ProjectRun, current: ProjectRun) -> bool:
    return run is not current and not common_ground(current, run)[0].isEmpty()


def _is_dimmed(layer: QgsMapLayer, own: float) -> bool:
    """Whether the layer is as it was dimmed: the analyst may have set another opacity since."""
    return bool(abs(layer.opacity() - _DIMMED * own) < _SAME)

"""Runs a request once more: the new run replaces the old one as soon as it has ended well, or stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from qgis.core import Qgis, QgsFeatureRequest, QgsProject, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QMessageBox, QWidget

from ...core.request import LayerRequest
from ...layers.project_runs import ProjectRun, ProjectRuns, remove_run, rename_run
from ...translation import translate_count
from ..messages import show_message
from ..run_controller import RunController
from .run_comparison import RunComparison, is_comparable

REPLACE, BESIDE, COMPARE = "replace", "beside", "compare"
"""What becomes of the findings of a run that is asked once more."""

Again = Callable[[LayerRequest, Callable[[RunController], None] | None], None]


class Repetition(QObject):
    """Asks the same again; ``again`` runs a request, and calls back when that is over."""

    def __init__(
        self,
        iface: QgisInterface,
        runs: ProjectRuns,
        again: Again,
        comparison: RunComparison,
        parent: QObject,
    ) -> None:
        super().__init__(parent)
        self._iface, self._runs, self._again, self._comparison = iface, runs, again, comparison
        self._is_removed = False

    def remove(self) -> None:
        """Do nothing more when a run is over."""
        self._is_removed = True

    def repeat(self, run: ProjectRun, window: QWidget) -> None:
        """Ask what becomes of a run's findings, then run its request once more."""
        way = self.ask(run, window)
        if way and run.request is not None:
            self._again(run.request, partial(self._on_over, run.id, way))

    def ask(self, run: ProjectRun, window: QWidget) -> str:
        """Return what becomes of a run's findings; empty if it is not to be repeated."""
        box = QMessageBox(window)
        box.setIcon(QMessageBox.Icon.Question)
        box.setWindowTitle(self.tr("Run again"))
        text = self.tr("The question of “{name}” is asked once more. What becomes of its findings?")
        box.setText(text.replace("{name}", run.name))
        lines = [self.tr("Replace: they leave the project when the new run has ended well, and not before.")]
        reviewed = sum(map(_reviewed, run.layers.values()))
        if reviewed:
            lines.append(
                translate_count("Repetition", "%n decision(s) of your review will leave with them.", reviewed)
            )
        box.setInformativeText("\n".join(lines))
        roles = QMessageBox.ButtonRole
        ways = {box.addButton(self.tr("Replace"), roles.AcceptRole): REPLACE}
        if is_comparable(run):
            ways[box.addButton(self.tr("Keep both and compare"), roles.AcceptRole)] = COMPARE
        keep = box.addButton(self.tr("Keep both"), roles.AcceptRole)
        ways[keep] = BESIDE
        box.addButton(self.tr("Cancel"), roles.RejectRole)
        box.setDefaultButton(keep)
        box.exec()
        return ways.get(box.clickedButton(), "")

    def _on_over(self, run_id: str, way: str, new: RunController) -> None:
        if self._is_removed:
            return
        runs = {run.id: run for run in self._runs.all()}
        old, made = runs.get(run_id), runs.get(str(new.run.get("id")))
        if old is None or way == BESIDE:
            return
        if not new.succeeded or made is None:
            if way == REPLACE:
                text = self.tr("The findings of “{name}” stay, for the new run has not ended well.")
                self._tell(text.replace("{name}", old.name))
        elif way == COMPARE:
            self._comparison.compare(made, old)
        else:
            self._replace(old, made)

    def _replace(self, old: ProjectRun, made: ProjectRun) -> None:
        project = QgsProject.instance()
        if old.is_named:
            rename_run(project, made, old.name)
        text = self.tr("The new run has replaced “{name}”.").replace("{name}", old.name)
        if old.layers and all(layer.providerType() == "ogr" for layer in old.layers.values()):
            text += " " + self.tr("Its GeoPackage still has its findings.")
        remove_run(project, old)
        self._runs.tell_soon()
        self._tell(text)

    def _tell(self, text: str) -> None:
        show_message(self._iface.messageBar(), self.tr("Run again"), text, Qgis.MessageLevel.Info)


def _reviewed(layer: QgsVectorLayer) -> int:
    """Return how many findings of a layer are decided about."""
    if layer.fields().indexOf("review") < 0:
        return 0
    request = QgsFeatureRequest().setFilterExpression('"review" IS NOT NULL')
    request.setFlags(QgsFeatureRequest.Flag.NoGeometry).setSubsetOfAttributes(["review"], layer.fields())
    return sum(1 for _ in layer.getFeatures(request))

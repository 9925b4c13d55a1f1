"""Compares two runs over the same ground: a layer of what is new, gone, moved and the same, and a table."""

from __future__ import annotations

from qgis.core import Qgis, QgsProject
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject

from ...contract.prior_effect import ADDED, MOVED, REMOVED, SAME
from ...layers.prior_changes import changes_layer, run_words
from ...layers.project_runs import ProjectRun, common_ground
from ...translation import translate_count
from ..messages import show_message
from ..prior_comparison import EffectTable, totals


class RunComparison(QObject):
    """Compares runs of detections; each comparison opens a table of its own."""

    def __init__(self, iface: QgisInterface, parent: QObject) -> None:
        super().__init__(parent)
        self._iface = iface
        self._tables: list[EffectTable] = []

    def remove(self) -> None:
        """Close every table."""
        for table in self._tables:
            table.deleteLater()
        self._tables.clear()

    def compare(self, run: ProjectRun, other: ProjectRun) -> None:
        """Say what ``run`` has found that ``other`` has not, and the other way round, where both have looked."""
        project = QgsProject.instance()
        ours, theirs = run.layers.get("detections"), other.layers.get("detections")
        if ours is None and theirs is None:
            self._tell(self.tr("Both runs have found nothing, so there is nothing to compare."))
            return
        name = self.tr("{run} compared with {other}")
        name = name.replace("{run}", run.name).replace("{other}", other.name)
        common = common_ground(run, other)
        if common[0].isEmpty():
            self._tell(self.tr("These runs have looked at no common ground, so there is nothing to compare."))
            return
        same_scene = run.run.get("scene_fingerprint") == other.run.get("scene_fingerprint")
        changed = changes_layer(project, ours, theirs, name, run_words(), common, on_ground=not same_scene)
        project.addMapLayer(changed.layer, False)
        project.layerTreeRoot().insertLayer(0, changed.layer)
        total = totals(changed.counts)
        paired = total[MOVED] + total[SAME]
        said = translate_count(
            "RunComparison", "“{run}”: %n detection(s).\n“{other}”: {m}.", total[ADDED] + paired
        ).replace("{m}", str(total[REMOVED] + paired))
        said = said.replace("{run}", run.name).replace("{other}", other.name)
        if changed.outside:
            said += "\n" + translate_count(
                "RunComparison",
                "Not compared, as only one of the runs has looked there: %n detection(s).",
                changed.outside,
            )
        if not same_scene:
            said += "\n" + self.tr(
                "The scenes are not the same: boxes are compared by where they are on the ground."
            )
        window = self._iface.mainWindow()
        table = EffectTable(self.tr("Runs compared"), said, changed.counts, run_words(), window)
        self._tables.append(table)
        table.show()

    def _tell(self, text: str) -> None:
        title = self.tr("Runs compared")
        show_message(self._iface.messageBar(), title, text, Qgis.MessageLevel.Info)


def is_comparable(run: ProjectRun) -> bool:
    """Return whether a run's findings can be compared with another's: only detections can."""
    return run.run.get("task") == "detect"


def counterparts(run: ProjectRun, runs: list[ProjectRun]) -> list[ProjectRun]:
    """Return the runs that ``run`` can be compared with, in their order."""
    if not is_comparable(run):
        return []
    others = (other for other in runs if other.id != run.id and is_comparable(other))
    return [other for other in others if not common_ground(run, other)[0].isEmpty()]

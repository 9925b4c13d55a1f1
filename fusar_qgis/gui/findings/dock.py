"""The dock “Findings”, whose pages show what the project's runs have found, and the runs themselves."""

from __future__ import annotations

from qgis.core import Qgis, QgsApplication, QgsMapLayer, QgsSettings
from qgis.gui import QgisInterface, QgsDockWidget
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAction, QTabWidget, QToolBar

from ...core.setting_names import OTHER_RUNS
from ...layers.findings_layer import run_of
from ...layers.project_runs import ProjectRun, ProjectRuns
from ...layers.run_focus import DIM, RunFocus
from ...layers.run_groups import started
from ..exporting import Exporting
from ..messages import show_message
from .panel import FindingsPanel
from .repetition import Again, Repetition
from .run_comparison import RunComparison
from .run_list import RunList


class FindingsDock(QObject):
    """The action “Findings” in ``toolbar``, and the dock that it shows and hides.

    Attributes:
        panel: The table of findings; None until the dock is first opened.
        run_list: The list of runs, likewise.
    """

    menu_wanted = pyqtSignal(object)  # the context menu of the table of findings, to be filled
    opened = pyqtSignal(object)  # for the first time, with its QTabWidget, to which others may add pages

    def __init__(self, iface: QgisInterface, toolbar: QToolBar, again: Again, parent: QObject) -> None:
        """``again`` runs a request once more, and calls back when that is over."""
        super().__init__(parent)
        self._runs = ProjectRuns(self)
        self._focus = RunFocus(self._runs, self)
        self._focus.treat_others(QgsSettings().value(OTHER_RUNS, DIM, type=str))
        self._exporting = Exporting(iface, self)
        self._comparison = RunComparison(iface, self)
        self._repetition = Repetition(iface, self._runs, again, self._comparison, self)
        iface.currentLayerChanged.connect(self._on_layer)
        self.run_list: RunList | None = None
        self._iface = iface
        self._toolbar = toolbar
        self.panel: FindingsPanel | None = None
        self._dock = QgsDockWidget(self.tr("Findings"), iface.mainWindow())
        self._dock.setObjectName("FusarFindingsDock")
        self._pages = QTabWidget()
        self._pages.setDocumentMode(True)
        self._dock.setWidget(self._pages)
        self._dock.hide()
        icon = QgsApplication.getThemeIcon("/mActionOpenTable.svg")
        self.action = QAction(icon, self.tr("Findings"), iface.mainWindow())
        self.action.setObjectName("FusarFindings")
        self.action.setCheckable(True)
        self.action.setToolTip(
            self.tr(
                "<b>Findings</b><br>All findings of the project in a table: filter, look at and review them"
            )
        )
        self.action.toggled.connect(self._on_toggled)
        toolbar.addAction(self.action)

    def remove(self) -> None:
        """Remove the action and the dock with its pages."""
        self._iface.currentLayerChanged.disconnect(self._on_layer)
        self._repetition.remove()
        self._comparison.remove()
        self._focus.remove()
        self._exporting.remove()
        if self.run_list is not None:
            self.run_list.remove()
        if self.panel is not None:
            self.panel.remove()
            self._iface.removeDockWidget(self._dock)
        self._runs.remove()
        self._toolbar.removeAction(self.action)
        self.action.deleteLater()
        self._dock.deleteLater()
        self.deleteLater()

    def open(self) -> None:
        """Show the dock, also where another one lies over it."""
        if not self.action.isChecked():
            self.action.trigger()
        self._dock.raise_()

    def note_end(self, run_id: str) -> None:
        """Put a run that has just ended in front of the others."""
        self._focus.choose(run_id)
        self._runs.tell_soon()

    def report(self) -> None:
        """Ask for the file of a report: of the run in front, else of the newest."""
        runs = {run.id: run for run in self._runs.all()}
        run = runs.get(self._focus.current) or max(runs.values(), key=_age, default=None)
        if run is not None:
            self._exporting.ask_report(run)
            return
        text = self.tr("There is no run to report on yet. Interpret an area first.")
        show_message(self._iface.messageBar(), self.tr("Report"), text, Qgis.MessageLevel.Info)

    def _on_layer(self, layer: QgsMapLayer | None) -> None:
        """Put the run of the active layer in front; another layer changes nothing."""
        run = str(run_of(layer).get("id") or "") if layer is not None else ""
        if run:
            self._focus.choose(run)

    def _on_toggled(self, shown: bool) -> None:
        if not shown or self.panel is not None:
            return
        self.action.toggled.disconnect(self._on_toggled)
        self.panel = FindingsPanel(self._iface, self._runs, self._pages)
        self.panel.menu_wanted.connect(self.menu_wanted)
        self._pages.addTab(self.panel, self.tr("Findings"))
        self.run_list = RunList(
            self._iface,
            self._runs,
            self._focus,
            self._repetition,
            self._comparison,
            self._exporting,
            self._pages,
        )
        self._pages.addTab(self.run_list, self.tr("Runs"))
        self.opened.emit(self._pages)
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._dock.setToggleVisibilityAction(self.action)
        self._dock.show()


def _age(run: ProjectRun) -> int:
    return int(started(run.run).toMSecsSinceEpoch())

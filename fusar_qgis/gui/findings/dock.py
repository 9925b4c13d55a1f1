"""The dock “Findings”, whose pages show what the project's runs have found, and the runs themselves."""

from __future__ import annotations

from qgis.core import QgsApplication
from qgis.gui import QgisInterface, QgsDockWidget
from qgis.PyQt.QtCore import QObject, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QAction, QTabWidget, QToolBar

from ...layers.project_runs import ProjectRuns
from .panel import FindingsPanel
from .run_list import Again, RunList


class FindingsDock(QObject):
    """The action “Findings” in ``toolbar``, and the dock that it shows and hides.

    Attributes:
        panel: The table of findings; None until the dock is first opened.
        run_list: The list of runs, likewise.
    """

    menu_wanted = pyqtSignal(object)  # the context menu of the table of findings, to be filled

    def __init__(self, iface: QgisInterface, toolbar: QToolBar, again: Again, parent: QObject) -> None:
        """``again`` runs a request once more."""
        super().__init__(parent)
        self._again = again
        self._runs = ProjectRuns(self)
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
        if self.panel is not None:
            self.panel.remove()
            self._iface.removeDockWidget(self._dock)
        self._runs.remove()
        self._toolbar.removeAction(self.action)
        self.action.deleteLater()
        self._dock.deleteLater()
        self.deleteLater()

    def _on_toggled(self, shown: bool) -> None:
        if not shown or self.panel is not None:
            return
        self.action.toggled.disconnect(self._on_toggled)
        self.panel = FindingsPanel(self._iface, self._runs, self._pages)
        self.panel.menu_wanted.connect(self.menu_wanted)
        self._pages.addTab(self.panel, self.tr("Findings"))
        self.run_list = RunList(self._iface, self._runs, self._again, self._pages)
        self._pages.addTab(self.run_list, self.tr("Runs"))
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._dock.setToggleVisibilityAction(self.action)
        self._dock.show()

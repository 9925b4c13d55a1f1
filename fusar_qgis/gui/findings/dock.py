"""The dock “Findings”, whose pages show what the project's runs have found."""

from __future__ import annotations

from qgis.core import QgsApplication
from qgis.gui import QgisInterface, QgsDockWidget
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtWidgets import QAction, QTabWidget, QToolBar, QWidget

from .panel import FindingsPanel


class FindingsDock(QObject):
    """The action “Findings” in ``toolbar``, and the dock that it shows and hides.

    Attributes:
        panel: The table of findings; None until the dock is first opened.
    """

    def __init__(self, iface: QgisInterface, toolbar: QToolBar, parent: QObject) -> None:
        super().__init__(parent)
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

    def add_page(self, widget: QWidget, title: str) -> None:
        """Show another page, behind a tab."""
        self._pages.addTab(widget, title)

    def remove(self) -> None:
        """Remove the action and the dock with its pages."""
        if self.panel is not None:
            self.panel.remove()
            self._iface.removeDockWidget(self._dock)
        self._toolbar.removeAction(self.action)
        self.action.deleteLater()
        self._dock.deleteLater()
        self.deleteLater()

    def _on_toggled(self, shown: bool) -> None:
        if not shown or self.panel is not None:
            return
        self.action.toggled.disconnect(self._on_toggled)
        self.panel = FindingsPanel(self._iface, self._pages)
        self._pages.insertTab(0, self.panel, self.tr("Findings"))
        self._pages.setCurrentIndex(0)
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._dock.setToggleVisibilityAction(self.action)
        self._dock.show()

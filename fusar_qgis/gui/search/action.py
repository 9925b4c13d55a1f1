"""The action “Search”, the page that it shows in the dock “Findings”, and the menus that search by example."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.core import QgsApplication
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject
from qgis.PyQt.QtWidgets import QAction, QTabWidget, QToolBar

from ...connection.backend import Backend
from ..findings.dock import FindingsDock
from ..interpretation import Interpretation
from .examples import ExampleMenus
from .panel import SearchPanel
from .query import ShownExample

_MENU = "FUSAR-GPT"


class Search(QObject):
    """Searches from ``toolbar``, the Raster menu, and the context menus of the map and of the findings.

    Attributes:
        panel: The page; None until the dock is first opened.
    """

    def __init__(
        self,
        iface: QgisInterface,
        toolbar: QToolBar,
        backend: Backend,
        dock: FindingsDock,
        interpretation: Interpretation,
    ) -> None:
        super().__init__(backend)
        self._iface, self._toolbar, self._backend = iface, toolbar, backend
        self._dock, self._interpretation = dock, interpretation
        self._pages: QTabWidget | None = None
        self.panel: SearchPanel | None = None
        icon = QgsApplication.getThemeIcon("/search.svg")
        self._action = QAction(icon, self.tr("Search SAR"), iface.mainWindow())
        self._action.setObjectName("FusarSearch")
        self._action.setToolTip(
            self.tr(
                "<b>Search SAR</b><br>Type what to find in the active SAR layer, and get the places most like it"
            )
        )
        self._action.triggered.connect(self.open)
        toolbar.addAction(self._action)
        iface.addPluginToRasterMenu(_MENU, self._action)
        self._menus = ExampleMenus(iface, self._add_examples, self)
        dock.menu_wanted.connect(self._menus.fill)
        dock.opened.connect(self._add_page)

    def remove(self) -> None:
        """Remove the action, the menus' entries and the page."""
        self._menus.remove()
        if self.panel is not None:
            self.panel.remove()
        self._iface.removePluginRasterMenu(_MENU, self._action)
        self._toolbar.removeAction(self._action)
        self._action.deleteLater()
        self.deleteLater()

    def open(self, _: bool = False) -> None:
        """Show the page, with the cursor in its field."""
        self._dock.open()
        if self._pages is not None and self.panel is not None:
            self._pages.setCurrentWidget(self.panel)
            self.panel.field.setFocus()
            self.panel.field.selectAll()

    def _add_page(self, pages: QTabWidget) -> None:
        interpretation = self._interpretation
        self._pages = pages
        self.panel = SearchPanel(
            self._iface, self._backend, interpretation.ask_about, lambda: interpretation.last_scene, pages
        )
        self.panel.ended.connect(self._dock.note_end)
        pages.addTab(self.panel, self.tr("Search"))

    def _add_examples(self, examples: Sequence[ShownExample]) -> None:
        self.open()
        if self.panel is not None:
            self.panel.add_examples(examples)

"""The review button, which shows the review bar."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qgis.core import Qgis, QgsApplication, QgsFeature, QgsProject, QgsVectorLayer
from qgis.gui import QgisInterface
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction, QToolBar

from ..layers.findings_layer import findings_layers
from ..layers.run_groups import show_others
from .messages import show_message
from .review_bar import ReviewBar

if TYPE_CHECKING:
    Look = Callable[[QgsVectorLayer, QgsFeature], None] | None


class Review(QObject):
    """Adds the button “Review findings” to ``toolbar``; the bar is there only while it is pressed.

    ``look`` is called with a grid layer and a cell to be looked at closer; None leaves that out.
    """

    def __init__(self, iface: QgisInterface, toolbar: QToolBar, parent: QObject, look: Look = None) -> None:
        super().__init__(parent)
        self._iface = iface
        self._look = look
        self._bar: ReviewBar | None = None
        self.action = QAction(_icon(), self.tr("Review findings"), iface.mainWindow())
        self.action.setObjectName("FusarReview")
        self.action.setCheckable(True)
        self.action.setToolTip(
            self.tr("<b>Review findings</b><br>Go through them and accept, reject, relabel or add")
        )
        self.action.toggled.connect(self._toggle)
        toolbar.addAction(self.action)
        QgsProject.instance().cleared.connect(self.close)
        QgsProject.instance().readProject.connect(self._show_others)

    def close(self) -> None:
        """End the review; what is decided is kept already."""
        self.action.setChecked(False)

    def remove(self) -> None:
        """Remove everything that was added."""
        self.close()
        QgsProject.instance().cleared.disconnect(self.close)
        QgsProject.instance().readProject.disconnect(self._show_others)
        self.action.deleteLater()
        self.deleteLater()

    def _show_others(self, *_: object) -> None:
        """Show what a project hides that was saved in the middle of a review."""
        show_others(QgsProject.instance())

    def _toggle(self, on: bool) -> None:
        if not on:
            if self._bar is not None:
                self._bar.remove()
                self._bar = None
            return
        if not findings_layers(QgsProject.instance()):
            self.action.setChecked(False)
            text = self.tr("There are no findings to review yet. Interpret an area first.")
            show_message(self._iface.messageBar(), self.action.text(), text, Qgis.MessageLevel.Info)
            return
        window = self._iface.mainWindow()
        self._bar = ReviewBar(self._iface, self._look)
        self._bar.closed.connect(self.close)
        window.addToolBarBreak(Qt.ToolBarArea.BottomToolBarArea)
        window.addToolBar(Qt.ToolBarArea.BottomToolBarArea, self._bar)
        self._bar.show()
        self._bar.start(self._iface.activeLayer())


def _icon() -> QIcon:
    return QgsApplication.getThemeIcon("/mActionEditTable.svg")

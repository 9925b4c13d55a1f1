"""The chat dock, which is made when it is first opened."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from qgis.gui import QgisInterface, QgsDockWidget
from qgis.PyQt.QtCore import QObject, Qt
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import QAction, QToolBar

from ...connection.backend import Backend
from ...core.chat import Conversation
from .conversation_store import kept_conversations
from .panel import ChatPanel

_MENU = "FUSAR-GPT"
_ICON = Path(__file__).parents[2] / "resources" / "chat.svg"


class ChatDock(QObject):
    """The action “Ask FUSAR-GPT” in ``toolbar`` and the Raster menu, and the dock that it shows and hides."""

    def __init__(self, iface: QgisInterface, backend: Backend, toolbar: QToolBar) -> None:
        super().__init__(backend)
        self._iface = iface
        self._backend = backend
        self._toolbar = toolbar
        self._dock: QgsDockWidget | None = None
        self._panel: ChatPanel | None = None
        self._action = QAction(QIcon(str(_ICON)), self.tr("Ask FUSAR-GPT"), iface.mainWindow())
        self._action.setObjectName("FusarChat")
        self._action.setCheckable(True)
        self._action.setToolTip(
            self.tr(
                "<b>Ask FUSAR-GPT</b><br>Ask about an area in words; what an answer found is a link to the map"
            )
        )
        self._action.toggled.connect(self._on_toggled)
        toolbar.addAction(self._action)
        iface.addPluginToRasterMenu(_MENU, self._action)

    def remove(self) -> None:
        """Remove the action and the dock."""
        self._iface.removePluginRasterMenu(_MENU, self._action)
        self._toolbar.removeAction(self._action)
        if self._dock is not None and self._panel is not None:
            self._dock.visibilityChanged.disconnect(self._panel.shown)
            self._panel.remove()
            self._iface.removeDockWidget(self._dock)
            self._dock.deleteLater()
            self._dock = self._panel = None
        self._action.deleteLater()
        self.deleteLater()

    def conversations_about(self, findings: Collection[str]) -> list[Conversation]:
        """Return the project's conversations that speak of one of these findings, by their ids."""
        if self._panel is not None:
            return self._panel.conversations_about(findings)
        return [one for one in kept_conversations() if one.about(findings) is not None]

    def open_about(self, conversation: str, findings: Collection[str]) -> None:
        """Show the dock with a conversation, by its id, where it speaks of one of these findings."""
        if not self._action.isChecked():
            self._action.trigger()
        if self._panel is not None:
            self._panel.open_about(conversation, findings)

    def _on_toggled(self, shown: bool) -> None:
        if shown and self._dock is None:
            self._action.toggled.disconnect(self._on_toggled)
            self._make_dock()

    def _make_dock(self) -> None:
        self._dock = QgsDockWidget(self.tr("Ask FUSAR-GPT"), self._iface.mainWindow())
        self._dock.setObjectName("FusarChatDock")
        self._dock.setAllowedAreas(
            Qt.DockWidgetArea.LeftDockWidgetArea | Qt.DockWidgetArea.RightDockWidgetArea
        )
        self._panel = ChatPanel(self._iface, self._backend, self._dock)
        self._dock.setWidget(self._panel)
        self._iface.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, self._dock)
        self._dock.setToggleVisibilityAction(self._action)
        self._dock.visibilityChanged.connect(self._panel.shown)
        self._dock.show()
        self._panel.shown(True)

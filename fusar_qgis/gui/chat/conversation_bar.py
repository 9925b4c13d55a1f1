"""The conversations of the project: choose, begin, rename, delete, export."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsApplication, QgsSettings
from qgis.PyQt.QtCore import QDir, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import (
    QAction,
    QComboBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QInputDialog,
    QMenu,
    QMessageBox,
    QToolButton,
    QWidget,
)

from ...core.chat import Conversation
from ...core.chat_pages import to_markdown, to_page
from ...translation import translate_count
from .captions import about, caption
from .conversation_store import ConversationStore

_FOLDER = "fusar/chat/folder"


class ConversationBar(QWidget):
    """Shows the conversations of the project; no dialog of it holds QGIS up."""

    exported = pyqtSignal(str)  # the file
    failed = pyqtSignal(str)

    def __init__(self, store: ConversationStore, parent: QWidget) -> None:
        super().__init__(parent)
        self._store = store
        self._dialog: QDialog | None = None
        self._subject = store.open
        self._list = QComboBox(self)
        self._list.setObjectName("FusarConversations")
        self._list.setAccessibleName(self.tr("Conversation"))
        self._list.setToolTip(self.tr("The conversations of this project"))
        self._list.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self._list.setMinimumContentsLength(5)
        self._list.activated.connect(store.choose)
        new = self._button("/mActionAdd.svg", self.tr("New conversation"))
        new.setObjectName("FusarNewConversation")
        new.clicked.connect(store.begin)
        more = self._button("/mIconHamburgerMenu.svg", self.tr("Rename, delete, export"))
        more.setObjectName("FusarConversationMenu")
        more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QMenu(more)
        self._rename = self._action(self.tr("&Rename…"), self._ask_name)
        self._export = self._action(self.tr("&Export…"), self._ask_file)
        self._menu.addSeparator()
        self._delete = self._action(self.tr("&Delete…"), self._ask_sure)
        more.setMenu(self._menu)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self._list, 1)
        layout.addWidget(new)
        layout.addWidget(more)
        store.replaced.connect(self.refresh)
        store.renamed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the conversations as they are."""
        self._list.clear()
        for conversation in self._store.conversations:
            self._list.addItem(self._title(conversation))
        self._list.setCurrentIndex(self._store.conversations.index(self._store.open))
        told = bool(self._store.open.turns)
        self._export.setEnabled(told)
        self._rename.setEnabled(told)
        self._delete.setEnabled(told or len(self._store.conversations) > 1)

    def _button(self, icon: str, tip: str) -> QToolButton:
        button = QToolButton(self)
        button.setIcon(QgsApplication.getThemeIcon(icon))
        button.setToolTip(tip)
        button.setAccessibleName(tip)
        button.setAutoRaise(True)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return button

    def _action(self, text: str, slot: object) -> QAction:
        action = self._menu.addAction(text)
        action.triggered.connect(slot)
        return action

    def _title(self, conversation: Conversation) -> str:
        return conversation.title or str(self.tr("New conversation"))

    def _show(self, dialog: QDialog, subject: Conversation) -> None:
        if self._dialog is not None:
            self._dialog.deleteLater()
        self._dialog, self._subject = dialog, subject
        dialog.open()

    def _ask_name(self) -> None:
        dialog = QInputDialog(self)
        dialog.setWindowTitle(self.tr("Rename the conversation"))
        dialog.setLabelText(self.tr("Name"))
        dialog.setTextValue(self._title(self._store.open))
        dialog.setOkButtonText(self.tr("Rename"))
        dialog.setCancelButtonText(self.tr("Cancel"))
        dialog.textValueSelected.connect(self._on_name)
        self._show(dialog, self._store.open)

    def _on_name(self, name: str) -> None:
        self._store.rename(self._subject, name)

    def _ask_sure(self) -> None:
        open_one = self._store.open
        words = translate_count(
            "ConversationBar",
            "Delete “{name}” with its %n answer(s)? They cannot be brought back.",
            len(open_one.turns),
        )
        dialog = QMessageBox(self)
        dialog.setIcon(QMessageBox.Icon.Question)
        dialog.setWindowTitle(self.tr("Delete the conversation"))
        dialog.setTextFormat(Qt.TextFormat.PlainText)
        dialog.setText(words.format(name=self._title(open_one)))
        dialog.addButton(self.tr("Delete"), QMessageBox.ButtonRole.AcceptRole)
        cancel = dialog.addButton(self.tr("Cancel"), QMessageBox.ButtonRole.RejectRole)
        dialog.setEscapeButton(cancel)
        dialog.accepted.connect(self._on_sure)
        self._show(dialog, open_one)

    def _on_sure(self) -> None:
        if self._subject in self._store.conversations:
            self._store.delete(self._subject)

    def _ask_file(self) -> None:
        folder = QgsSettings().value(_FOLDER, QDir.homePath(), type=str)
        dialog = QFileDialog(self, self.tr("Export the conversation"), folder)
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        dialog.setNameFilters([self.tr("Web page") + " (*.html)", self.tr("Markdown") + " (*.md)"])
        dialog.setDefaultSuffix("html")
        dialog.filterSelected.connect(self._on_filter)
        dialog.fileSelected.connect(self.export)
        self._show(dialog, self._store.open)

    def _on_filter(self, chosen: str) -> None:
        if isinstance(self._dialog, QFileDialog):
            self._dialog.setDefaultSuffix("md" if "*.md" in chosen else "html")

    def export(self, name: str) -> None:
        """Write the open conversation to a file: Markdown where its name ends so, else HTML."""
        path = Path(name)
        make = to_markdown if path.suffix.lower() in (".md", ".markdown") else to_page
        text = make(self._subject, self._title(self._subject), about, caption)
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            self.failed.emit(
                self.tr("“{file}” cannot be written: {reason}").format(file=name, reason=error.strerror)
            )
        else:
            QgsSettings().setValue(_FOLDER, str(path.parent))
            self.exported.emit(name)

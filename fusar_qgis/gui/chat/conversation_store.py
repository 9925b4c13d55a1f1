"""The conversations of the project, kept in its file."""

from __future__ import annotations

from collections.abc import Collection

from qgis.core import QgsProject
from qgis.PyQt.QtCore import QObject, pyqtSignal
from qgis.PyQt.QtXml import QDomDocument

from ...core.chat import Conversation, read_conversations, write_conversations

_SCOPE, _KEY = "fusar", "/conversations"


def kept_conversations() -> list[Conversation]:
    """Return the conversations that the project holds."""
    text, _ = QgsProject.instance().readEntry(_SCOPE, _KEY, "")
    return read_conversations(text)


class ConversationStore(QObject):
    """Holds the conversations and the one that is open, which may still be empty.

    ``replaced`` when another project has brought its own, ``renamed`` when only their titles have changed.
    """

    replaced = pyqtSignal()
    renamed = pyqtSignal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.conversations: list[Conversation] = []
        self.open = Conversation()
        self._read()
        project = QgsProject.instance()
        project.readProject.connect(self._on_read)
        project.cleared.connect(self._on_cleared)

    def remove(self) -> None:
        """Let go of the project."""
        project = QgsProject.instance()
        project.readProject.disconnect(self._on_read)
        project.cleared.disconnect(self._on_cleared)
        self.deleteLater()

    def begin(self) -> None:
        """Open an empty conversation; the one that is open already, if it is empty."""
        empty = [one for one in self.conversations if not one.turns and not one.name]
        self.open = empty[0] if empty else Conversation()
        if not empty:
            self.conversations.append(self.open)
        self.replaced.emit()

    def choose(self, place: int) -> None:
        """Open the conversation at ``place``."""
        self.open = self.conversations[place]
        self.replaced.emit()

    def about(self, findings: Collection[str]) -> list[Conversation]:
        """Return the conversations that speak of one of these findings, by their ids."""
        return [one for one in self.conversations if one.about(findings) is not None]

    def rename(self, conversation: Conversation, name: str) -> None:
        """Give a conversation a name; an empty one brings its first question back."""
        conversation.name = " ".join(name.split())[:80]
        self.save()

    def delete(self, conversation: Conversation) -> None:
        """Forget a conversation, and open another."""
        self.conversations.remove(conversation)
        if not self.conversations:
            self.conversations.append(Conversation())
        if conversation is self.open:
            self.open = self.conversations[-1]
        self.save()
        self.replaced.emit()

    def save(self) -> None:
        """Write the conversations into the project, which is saved by the analyst."""
        told = [one for one in self.conversations if one.turns or one.name]
        if told:
            QgsProject.instance().writeEntry(_SCOPE, _KEY, write_conversations(told))
        else:
            QgsProject.instance().removeEntry(_SCOPE, _KEY)
        self.renamed.emit()

    def _on_read(self, _: QDomDocument) -> None:
        self._read()
        self.replaced.emit()

    def _on_cleared(self) -> None:
        self.conversations = [Conversation()]
        self.open = self.conversations[-1]
        self.replaced.emit()

    def _read(self) -> None:
        self.conversations = kept_conversations() or [Conversation()]
        self.open = self.conversations[-1]

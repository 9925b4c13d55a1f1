"""The question's text field: Enter asks, arrow keys recall earlier questions."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QKeyEvent, QTextCursor
from qgis.PyQt.QtWidgets import QPlainTextEdit, QWidget

from ...core.chat import LONGEST_QUESTION

_LINES = (2, 6)
_PADDING_PX = 10
_ENTER = (Qt.Key.Key_Return, Qt.Key.Key_Enter)


class QuestionEdit(QPlainTextEdit):
    """Grows with its text. ``entered`` on Enter (Shift+Enter breaks the line), ``escaped`` on Escape."""

    entered = pyqtSignal()
    escaped = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("FusarQuestion")
        self.setTabChangesFocus(True)
        self.say_what_is_taken("")
        self.setAccessibleName(self.tr("Question"))
        self._earlier: list[str] = []
        self._place = 0
        self._draft = ""
        self.textChanged.connect(self._on_text)
        self._on_text()

    def say_what_is_taken(self, limits: str) -> None:
        """Say what may be asked; ``limits`` is a sentence where that is not anything."""
        anything, tasks = (
            self.tr("Ask about the area, in your own words"),
            self.tr("Ask what the model was taught"),
        )
        self.setPlaceholderText(tasks if limits else anything)
        self.setToolTip(limits)

    def remember(self, questions: list[str]) -> None:
        """Let the arrow keys bring these back, the last first."""
        self._earlier = list(dict.fromkeys(reversed(questions)))[::-1]
        self._place = len(self._earlier)

    def put(self, text: str) -> None:
        """Show ``text`` with the cursor behind it."""
        self.setPlainText(text)
        self.moveCursor(QTextCursor.MoveOperation.End)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Ask on Enter, and walk through the history where the cursor cannot go further."""
        shift = event.modifiers() & Qt.KeyboardModifier.ShiftModifier
        if event.key() in _ENTER and not shift:
            self.entered.emit()
        elif event.key() == Qt.Key.Key_Escape:
            self.escaped.emit()
        elif event.key() == Qt.Key.Key_Up and self._is_at(QTextCursor.MoveOperation.Up):
            self._walk(-1)
        elif event.key() == Qt.Key.Key_Down and self._is_at(QTextCursor.MoveOperation.Down):
            self._walk(1)
        else:
            super().keyPressEvent(event)

    def _is_at(self, edge: QTextCursor.MoveOperation) -> bool:
        return not self.textCursor().movePosition(edge)

    def _walk(self, step: int) -> None:
        place = self._place + step
        if not 0 <= place <= len(self._earlier):
            return
        if self._place == len(self._earlier):
            self._draft = self.toPlainText()
        self._place = place
        self.put(self._earlier[place] if place < len(self._earlier) else self._draft)

    def _on_text(self) -> None:
        if len(self.toPlainText()) > LONGEST_QUESTION:
            self.put(self.toPlainText()[:LONGEST_QUESTION])
        lines = min(max(round(self.document().size().height()), _LINES[0]), _LINES[1])
        self.setFixedHeight(lines * self.fontMetrics().lineSpacing() + _PADDING_PX)

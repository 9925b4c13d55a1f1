"""Progress and log of a long program outside QGIS, with a Cancel button."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.gui import QgsCollapsibleGroupBoxBasic
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtGui import QFontDatabase
from qgis.PyQt.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

_MOST_LINES = 5000


class WorkLog(QWidget):
    """Shows one job at a time; ``cancelled`` when the analyst cancels."""

    cancelled = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._bar = QProgressBar(self)
        self._bar.setRange(0, 0)
        self._bar.setTextVisible(False)
        self._cancel = QPushButton(self.tr("Cancel"), self)
        self._cancel.clicked.connect(self.cancelled)
        self._lines = QPlainTextEdit(self)
        self._lines.setReadOnly(True)
        self._lines.setMaximumBlockCount(_MOST_LINES)
        self._lines.setMinimumHeight(160)
        self._lines.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self._box = QgsCollapsibleGroupBoxBasic(self.tr("&Log"), self)
        QVBoxLayout(self._box).addWidget(self._lines)
        self._box.setCollapsed(True)
        row = QHBoxLayout()
        row.addWidget(self._bar, 1)
        row.addWidget(self._cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._text)
        layout.addLayout(row)
        layout.addWidget(self._box)
        self._set_busy(False)
        self._text.hide()
        self._box.hide()

    def show_state(self, lines: Sequence[str], doing: str, *, busy: bool) -> None:
        """Show what a job that began before has said so far."""
        self._lines.setPlainText("\n".join(lines[-_MOST_LINES:]))
        self._box.setVisible(bool(lines))
        if busy:
            self.show_step(doing)

    def begin(self) -> None:
        """A new job begins."""
        self._lines.clear()
        self._box.show()
        self._set_busy(True)

    def show_step(self, doing: str) -> None:
        """Show what is being done."""
        self._text.setText(doing)
        self._text.show()
        self._set_busy(True)

    def add_line(self, line: str) -> None:
        """Add a line of the log."""
        self._lines.appendPlainText(line)

    def finish(self, well: bool, text: str) -> None:
        """Show how the job ended; the log opens where something went wrong."""
        self._set_busy(False)
        self._text.setText(text)
        self._text.show()
        if not well:
            self._box.setCollapsed(False)

    def _set_busy(self, busy: bool) -> None:
        self._bar.setVisible(busy)
        self._cancel.setVisible(busy)

"""A text browser that grows with its text and loads no resources."""

from __future__ import annotations

from math import ceil

from qgis.PyQt.QtCore import QSize, QSizeF, Qt, QUrl
from qgis.PyQt.QtGui import QWheelEvent
from qgis.PyQt.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

# Themes give text fields frames and paddings, which this is not.
PLAIN = "background: transparent; border: none; padding: 0; margin: 0"


class TextBlock(QTextBrowser):
    """Rich or plain text of any length, wrapped anywhere; its links only signal ``anchorClicked``."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setOpenLinks(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.viewport().setAutoFillBackground(False)
        self.setStyleSheet(f"QTextBrowser {{ {PLAIN} }}")
        self.document().setDocumentMargin(0)
        self.document().setDefaultStyleSheet("p { margin-top: 0; margin-bottom: 4px } pre { margin: 4px 0 }")
        self.document().documentLayout().documentSizeChanged.connect(self._fit)

    def loadResource(self, kind: int, name: QUrl) -> None:  # noqa: N802
        """Load no picture, no style sheet, no file: whatever slipped through would find nothing."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802
        """Leave scrolling to the transcript."""
        event.ignore()

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return that it has no least size of its own: it wraps, and its height is fixed."""
        return QSize(0, 0)

    def _fit(self, size: QSizeF) -> None:
        around = self.height() - self.viewport().height()
        self.setFixedHeight(ceil(size.height()) + around + 1)

"""A dialog that fits any screen: its content scrolls, its foot with the buttons is always seen."""

from __future__ import annotations

from qgis.PyQt.QtCore import QEvent, QObject, QRect, Qt, QTimer
from qgis.PyQt.QtGui import QResizeEvent
from qgis.PyQt.QtWidgets import QDialog, QFrame, QScrollArea, QStyle, QVBoxLayout, QWidget

_LEAST_SCROLL_PX = 96
_MARGIN_PX = 8


def scrolling(page: QWidget) -> QScrollArea:
    """Return a frame without a border in which ``page`` scrolls where there is no room for it."""
    area = QScrollArea()
    area.setFrameShape(QFrame.Shape.NoFrame)
    area.setWidgetResizable(True)
    area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    area.setWidget(page)
    return area


class ScrollingDialog(QDialog):
    """Subclasses fill ``content``, and ``foot`` with what must never scroll away.

    It is as high as its content, which may grow and shrink, as far as there is room on the screen or in the place it
    was given; the size that the analyst drags it to stays.
    """

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._room: QRect | None = None
        self._is_placed = True
        self._given: tuple[int, int] | None = None  # the size it gave itself
        self.content = QWidget(self)
        self.content.installEventFilter(self)
        self.scroll = scrolling(self.content)
        self.scroll.setMinimumHeight(_LEAST_SCROLL_PX)
        self.foot = QVBoxLayout()
        layout = QVBoxLayout(self)
        layout.addWidget(self.scroll, 1)
        layout.addLayout(self.foot)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self.fit)
        self.scroll.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def stand_in(self, room: QRect) -> None:
        """Stand in the upper right corner of a place on the screen, with a size of its own, and stay inside."""
        self._room, self._given, self._is_placed = room, None, False
        self.fit()

    def fit(self) -> None:
        """Take the size of the content, unless the analyst has chosen another."""
        if self._given is not None and not self.isVisible():
            return  # it is fitted again before it is shown
        is_dragged = self._given is not None and self._given != (self.width(), self.height())
        room = self._inner_room()
        least = min(self._least_width(), room.width())
        self.setMinimumWidth(least)
        self._show_bar()
        if is_dragged:
            return
        width = max(self.width(), least) if self._given else least
        height = min(self._height_for(width), room.height())
        if (width, height) != (self.width(), self.height()):
            self.resize(width, height)
        self._given = (self.width(), self.height())
        self._stay_inside(room)

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Decide about the scroll bar first."""
        self._show_bar()
        super().resizeEvent(event)

    def _show_bar(self) -> None:
        # Left to Qt, it comes and goes for ever: beside it pictures are narrower, thus lower, and need no bar.
        is_needed = self._height_for(self.width()) > self.height()
        policy = Qt.ScrollBarPolicy.ScrollBarAlwaysOn if is_needed else Qt.ScrollBarPolicy.ScrollBarAlwaysOff
        self.scroll.setVerticalScrollBarPolicy(policy)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:  # noqa: N802
        """Follow the content, which grows with texts that are wrapped."""
        if watched is self.content and event.type() == QEvent.Type.LayoutRequest:
            self._soon.start()
        return bool(super().eventFilter(watched, event))

    def _stay_inside(self, room: QRect) -> None:
        frame = self.frameGeometry().topLeft() - self.geometry().topLeft() if self.isVisible() else None
        x, y = self.geometry().x(), self.geometry().y()
        if not self._is_placed:
            x, y = room.right() - self.width(), room.top()
            self._is_placed = self.isVisible()
        x = max(min(x, room.right() - self.width() + 1), room.left())
        y = max(min(y, room.bottom() - self.height() + 1), room.top())
        if frame is None:
            self.setGeometry(x, y, self.width(), self.height())
        else:
            self.move(x + frame.x(), y + frame.y())

    def _inner_room(self) -> QRect:
        """Where the window may be without its frame."""
        room = QRect(self._screen())
        if self._room is not None:
            room = room.intersected(self._room)
        title = self.style().pixelMetric(QStyle.PixelMetric.PM_TitleBarHeight)
        if self.isVisible():
            title = max(self.geometry().top() - self.frameGeometry().top(), title)
        return room.adjusted(_MARGIN_PX, title, -_MARGIN_PX, -_MARGIN_PX)

    def _screen(self) -> QRect:
        return self.parentWidget().window().screen().availableGeometry()

    def _least_width(self) -> int:
        margins = self.layout().contentsMargins()
        bar = self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent)
        inner = max(self.content.minimumSizeHint().width() + bar, self.foot.minimumSize().width())
        return int(inner + margins.left() + margins.right())

    def _height_for(self, width: int) -> int:
        margins, spacing = self.layout().contentsMargins(), self.layout().spacing()
        inner = width - margins.left() - margins.right()
        layout = self.content.layout()
        content = (
            layout.totalHeightForWidth(inner) if layout.hasHeightForWidth() else layout.sizeHint().height()
        )
        foot = (
            self.foot.heightForWidth(inner)
            if self.foot.hasHeightForWidth()
            else self.foot.sizeHint().height()
        )
        return int(margins.top() + content + spacing + foot + margins.bottom())

"""Text, pictures and cards painted down the pages of a PDF, in any thread.

A layout of QGIS would have to be painted in the GUI thread, where its graphics scene lives, and stop it meanwhile.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qgis.PyQt.QtCore import QMarginsF, QRectF, Qt
from qgis.PyQt.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QImage,
    QPageLayout,
    QPageSize,
    QPainter,
    QPdfWriter,
    QPen,
)

_WIDTH, _HEIGHT, _MARGIN = 210.0, 297.0, 15.0  # mm: A4
_FOOT = 10.0  # mm above the margin's end that no page is filled to
_NAMES = 42.0  # mm: the width of the names before values
_PICTURE = 120.0  # mm: the most that the overview is high
_CARD = (88.0, 48.0)  # mm
_GAP = 4.0  # mm between cards
_CARD_PICTURE = 40.0
_DPI = 200
_DOTS = _DPI / 25.4  # in a millimetre
_STRIP = 150  # rows of a large picture that are painted at once
_TAIL = 64  # bytes: the end of a whole PDF
_RULE = QColor(190, 190, 190)
_WRAPPED = Qt.TextFlag.TextWordWrap | Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignTop

Place = tuple[float, float, float, float]
"""Left, top, width and height in millimetres."""


@contextmanager
def pages(path: Path, title: str) -> Iterator[Flow]:
    """Begin a PDF of A4 pages, upright, with ``title`` at their feet. Raises OSError where it cannot be written."""
    writer = QPdfWriter(str(path))
    writer.setResolution(_DPI)
    writer.setTitle(title)
    size = QPageSize(QPageSize.PageSizeId.A4)
    writer.setPageLayout(QPageLayout(size, QPageLayout.Orientation.Portrait, QMarginsF()))
    painter = QPainter()
    if not painter.begin(writer):
        raise OSError("the PDF cannot be begun")
    try:
        yield Flow(writer, painter, title)
    finally:
        painter.end()
    with path.open("rb") as stream:  # Qt tells of no error in writing
        stream.seek(max(path.stat().st_size - _TAIL, 0))
        if b"%%EOF" not in stream.read():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Flow:
    """Lays one thing below the other in millimetres, and begins a new page where there is no room.

    Attributes:
        page: The number of the page, from 1.
    """

    def __init__(self, writer: QPdfWriter, painter: QPainter, title: str) -> None:
        self._writer, self._painter, self._title = writer, painter, title
        self.page, self._y, self._column = 1, _MARGIN, 0
        self._foot()

    def new_page(self) -> None:
        """Go on at the top of the next page."""
        self._writer.newPage()
        self.page, self._y, self._column = self.page + 1, _MARGIN, 0
        self._foot()

    def space(self, height: float) -> None:
        """Leave so much room free."""
        self._y += height

    def text(self, text: str, points: float, *, bold: bool = False, space: float = 1.5) -> None:
        """Add a paragraph over the whole width, with ``space`` millimetres below it."""
        if text:
            width = _WIDTH - 2 * _MARGIN
            height = self._height(text, points, width, bold=bold)
            self._make_room(height)
            self._write(text, (_MARGIN, self._y, width, height), points, bold=bold)
            self._y += height + space

    def pair(self, name: str, value: str) -> None:
        """Add a name with its value beside it."""
        width = _WIDTH - 2 * _MARGIN - _NAMES
        height = max(self._height(value, 9, width), self._height(name, 9, _NAMES - 2, bold=True))
        self._make_room(height)
        self._write(name, (_MARGIN, self._y, _NAMES - 2, height), 9, bold=True)
        self._write(value, (_MARGIN + _NAMES, self._y, width, height), 9)
        self._y += height + 0.8

    def picture(self, picture: QImage) -> None:
        """Add a picture over the whole width, or less where it would be too high."""
        scale = min((_WIDTH - 2 * _MARGIN) / picture.width(), _PICTURE / picture.height())
        width, height = picture.width() * scale, picture.height() * scale
        self._make_room(height)
        left = (_WIDTH - width) / 2
        for top in range(
            0, picture.height(), _STRIP
        ):  # the GUI waits for each part, as Python does; they overlap, so that no seam is seen
            part = picture.copy(0, top, picture.width(), min(_STRIP + 2, picture.height() - top))
            self._painter.drawImage(_dots((left, self._y + top * scale, width, part.height() * scale)), part)
        self._y += height + 3

    def card(self, picture: QImage | None, lines: list[str]) -> None:
        """Add a card, two in a row; the first line is its heading."""
        width, height = _CARD
        if not self._column:
            self._make_room(height)
        x, y = _MARGIN + self._column * (width + _GAP), self._y
        self._frame((x, y, width, height - _GAP))
        inner, side = x + 2, 0.0
        if picture is not None:
            side = _CARD_PICTURE
            self._image(picture, (inner, y + 2, side, side))
        left, room = inner + side + 2, width - side - 6
        down = self._height(lines[0], 10, room, bold=True)
        self._write(lines[0], (left, y + 2, room, down), 10, bold=True)
        self._write("\n".join(lines[1:]), (left, y + 3 + down, room, height - _GAP - down - 4), 8)
        self._column = 1 - self._column
        if not self._column:
            self._y += height

    def _make_room(self, height: float) -> None:
        if self._y + height > _HEIGHT - _MARGIN - _FOOT and self._y > _MARGIN:
            self.new_page()

    def _foot(self) -> None:
        width, top = _WIDTH - 2 * _MARGIN, _HEIGHT - _MARGIN - 4
        self._painter.setPen(QPen(_RULE, 1))
        self._painter.drawLine(
            round(_MARGIN * _DOTS),
            round((top - 1) * _DOTS),
            round((_MARGIN + width) * _DOTS),
            round((top - 1) * _DOTS),
        )
        self._write(self._title, (_MARGIN, top, width - 20, 5), 7.5)
        self._write(
            str(self.page), (_MARGIN + width - 20, top, 20, 5), 7.5, align=Qt.AlignmentFlag.AlignRight
        )

    def _frame(self, place: Place) -> None:
        self._painter.setPen(QPen(_RULE, 2))
        self._painter.drawRect(_dots(place))

    def _image(self, picture: QImage, place: Place) -> None:
        """Paint a picture as large as fits into its place, in its middle."""
        room = _dots(place)
        scale = min(room.width() / picture.width(), room.height() / picture.height())
        width, height = picture.width() * scale, picture.height() * scale
        left, top = room.center().x() - width / 2, room.center().y() - height / 2
        self._painter.drawImage(QRectF(left, top, width, height), picture)

    def _write(
        self,
        text: str,
        place: Place,
        points: float,
        *,
        bold: bool = False,
        align: Qt.AlignmentFlag | None = None,
    ) -> None:
        self._painter.setFont(_font(points, bold=bold))
        self._painter.setPen(QColor("black"))
        self._painter.drawText(_dots(place), _WRAPPED if align is None else align, text)

    def _height(self, text: str, points: float, width: float, *, bold: bool = False) -> float:
        """Return how high wrapped text is, in millimetres, with a little to spare."""
        metrics = QFontMetricsF(_font(points, bold=bold), self._writer)
        room = QRectF(0, 0, width * _DOTS, 1e6)
        return float(metrics.boundingRect(room, _WRAPPED, text).height()) / _DOTS + 0.5


def _dots(place: Place) -> QRectF:
    return QRectF(*(one * _DOTS for one in place))


def _font(points: float, *, bold: bool) -> QFont:
    font = QFont()
    font.setPointSizeF(points)
    font.setBold(bold)
    return font

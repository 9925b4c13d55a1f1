"""Text, pictures and cards laid down the pages of a QGIS print layout, and the pages painted into a PDF."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from qgis.core import (
    QgsLayoutExporter,
    QgsLayoutItemLabel,
    QgsLayoutItemPage,
    QgsLayoutItemPicture,
    QgsLayoutPoint,
    QgsLayoutSize,
    QgsPrintLayout,
)
from qgis.PyQt.QtCore import QMarginsF, QRectF, Qt
from qgis.PyQt.QtGui import QFont, QFontMetricsF, QImageReader, QPageLayout, QPageSize, QPainter, QPdfWriter

from .. import compat

_WIDTH, _HEIGHT, _MARGIN = 210.0, 297.0, 15.0  # mm: A4
_NAMES = 42.0  # mm: the width of the names before values
_PICTURE = 110.0  # mm: the most that the overview is high
_CARD = (88.0, 62.0)  # mm
_CARD_PICTURE = 42.0
_MM_PER_POINT = 25.4 / 72
_FINE = 20  # parts of a millimetre that text is measured in
_DPI = 200


class Flow:
    """Lays one thing below the other in millimetres, and begins a new page where there is no room."""

    def __init__(self, layout: QgsPrintLayout) -> None:
        self._layout = layout
        layout.undoStack().blockCommands(True)  # nobody takes a step back: each would be kept as XML
        page = layout.pageCollection().page(0)
        page.setPageSize("A4", QgsLayoutItemPage.Orientation.Portrait)
        self._page, self._y, self._column = 0, _MARGIN, 0

    def new_page(self) -> None:
        """Go on at the top of the next page."""
        page = QgsLayoutItemPage(self._layout)
        page.setPageSize("A4", QgsLayoutItemPage.Orientation.Portrait)
        self._layout.pageCollection().addPage(page)
        self._page, self._y, self._column = self._page + 1, _MARGIN, 0

    def text(self, text: str, points: float, *, bold: bool = False) -> None:
        """Add a paragraph over the whole width."""
        if text:
            width = _WIDTH - 2 * _MARGIN
            height = _height(text, points, width, bold=bold)
            self._make_room(height)
            self._label(text, (_MARGIN, self._y, width, height), points, bold=bold)
            self._y += height + 1.5

    def pair(self, name: str, value: str) -> None:
        """Add a name with its value beside it."""
        width = _WIDTH - 2 * _MARGIN - _NAMES
        height = max(_height(value, 9, width), _height(name, 9, _NAMES, bold=True))
        self._make_room(height)
        self._label(name, (_MARGIN, self._y, _NAMES, height), 9, bold=True)
        self._label(value, (_MARGIN + _NAMES, self._y, width, height), 9)
        self._y += height + 0.5

    def picture(self, path: str) -> None:
        """Add a picture over the whole width, or less where it would be too high."""
        size = QImageReader(path).size()
        scale = min((_WIDTH - 2 * _MARGIN) / size.width(), _PICTURE / size.height())
        width, height = size.width() * scale, size.height() * scale
        self._make_room(height)
        self._image(path, (_MARGIN, self._y, width, height))
        self._y += height + 3

    def card(self, picture: str, lines: list[str]) -> None:
        """Add a card, two in a row."""
        width, height = _CARD
        if not self._column:
            self._make_room(height)
        x = _MARGIN + self._column * (width + 4)
        side = _CARD_PICTURE if picture else 0.0
        if picture:
            self._image(picture, (x, self._y, side, side))
        y, room = self._y, width - side - 3
        head, rest = lines[0], "\n".join(lines[1:])
        down = _height(head, 10, room, bold=True)
        self._label(head, (x + side + 2, y, room, down), 10, bold=True)
        self._label(rest, (x + side + 2, y + down, room, height - down), 8)
        self._column = 1 - self._column
        if not self._column:
            self._y += height

    def _make_room(self, height: float) -> None:
        if self._y + height > _HEIGHT - _MARGIN:
            self.new_page()

    def _label(
        self, text: str, place: tuple[float, float, float, float], points: float, *, bold: bool = False
    ) -> None:
        label = QgsLayoutItemLabel(self._layout)
        label.setText(text.replace("[%", "[ %"))  # a layout would evaluate it
        label.setHAlign(Qt.AlignmentFlag.AlignLeft)
        label.setMarginX(0)
        label.setMarginY(0)
        compat.set_label_font(label, _font(points, bold=bold))
        self._place(label, place)

    def _image(self, path: str, place: tuple[float, float, float, float]) -> None:
        picture = QgsLayoutItemPicture(self._layout)
        picture.setPicturePath(path, QgsLayoutItemPicture.Format.FormatRaster)
        self._place(picture, place)

    def _place(
        self, item: QgsLayoutItemLabel | QgsLayoutItemPicture, place: tuple[float, float, float, float]
    ) -> None:
        x, y, width, height = place
        self._layout.addLayoutItem(item)
        item.attemptMove(QgsLayoutPoint(x, y), True, False, self._page)
        item.attemptResize(QgsLayoutSize(width, height))


def paint(layout: QgsPrintLayout, path: Path) -> Iterator[int]:
    """Paint the pages into a PDF, one at a step, so that the GUI goes on between them; yield how many are done.

    Raises OSError where the file cannot be written.
    """
    writer = QPdfWriter(str(path))
    writer.setResolution(_DPI)
    page = QPageLayout(QPageSize(QPageSize.PageSizeId.A4), QPageLayout.Orientation.Portrait, QMarginsF())
    writer.setPageLayout(page)
    painter = QPainter()
    if not painter.begin(writer):
        raise OSError("the PDF cannot be begun")
    exporter = QgsLayoutExporter(layout)
    try:
        for number in range(layout.pageCollection().pageCount()):
            if number:
                writer.newPage()
            exporter.renderPage(painter, number)
            yield number + 1
    finally:
        painter.end()


def _font(points: float, *, bold: bool) -> QFont:
    font = QFont()
    font.setPointSizeF(points)
    font.setBold(bold)
    return font


def _height(text: str, points: float, width: float, *, bold: bool = False) -> float:
    """Return how high wrapped text is, in millimetres, with a little to spare."""
    font = _font(points, bold=bold)
    font.setPixelSize(round(points * _MM_PER_POINT * _FINE))
    room = QRectF(0, 0, width * 0.94 * _FINE, 1e6)
    return (
        float(QFontMetricsF(font).boundingRect(room, Qt.TextFlag.TextWordWrap, text).height()) / _FINE + 0.8
    )

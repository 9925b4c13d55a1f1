"""What is wrong with how a window is laid out: texts that are cut, widgets that overlap or stick out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import combinations

from conftest import shows
from qgis.PyQt.QtCore import QCoreApplication, QSize, Qt
from qgis.PyQt.QtWidgets import (
    QAbstractButton,
    QAbstractScrollArea,
    QComboBox,
    QLabel,
    QLayout,
    QScrollArea,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from fusar_qgis.gui.text_block import TextBlock


def settle() -> None:
    """Let layouts find their end: texts that are wrapped tell their height only once they have a width."""
    for _ in range(10):
        QCoreApplication.processEvents()


def flaws_of(window: QWidget) -> list[str]:
    """Return a line for each flaw of the visible widgets that the layouts of ``window`` place."""
    return [flaw for parent in containers(window) for flaw in _flaws_in(parent)]


def containers(widget: QWidget) -> Iterator[QWidget]:
    """``widget`` and what is inside it, as far as layouts place their children."""
    inner = widget.widget() if isinstance(widget, QScrollArea) else widget
    if inner.layout() is None:
        return
    yield inner
    for child in placed(inner.layout()):
        yield from containers(child)


def placed(layout: QLayout) -> list[QWidget]:
    """The visible widgets of a layout and of those inside it."""
    found = []
    for item in (layout.itemAt(place) for place in range(layout.count())):
        if item.widget() is not None and item.widget().isVisible():
            found.append(item.widget())
        elif item.layout() is not None:
            found += placed(item.layout())
    return found


def _flaws_in(parent: QWidget) -> Iterator[str]:
    children = placed(parent.layout())
    for one, other in combinations(children, 2):
        if one.geometry().intersects(other.geometry()):
            yield f"{_name(one)} lies over {_name(other)}"
    for child in children:
        if not parent.rect().contains(child.geometry()):
            yield f"{_name(child)} sticks out of {_name(parent)}: {child.geometry()} of {parent.rect()}"
        if isinstance(child, QLabel) and not child.text() and not shows(child):
            continue
        scrolls = isinstance(child, QAbstractScrollArea)  # and has the height that it was given
        least = QSize(0, 0) if scrolls else child.minimumSizeHint()
        if child.width() < least.width() or child.height() < least.height():
            yield f"{_name(child)} is smaller than its least size: {child.size()} of {least}"
        needed = _needed(child)
        if child.width() < needed[0] or child.height() < needed[1]:
            yield f"{_name(child)} cuts its text: {child.size()} of {needed}"


def _needed(widget: QWidget) -> tuple[int, int]:
    """The least width and height in which all of a widget's text is seen."""
    if isinstance(widget, TextBlock):
        document = widget.document()
        around = widget.height() - widget.viewport().height()
        return round(document.idealWidth()), int(document.size().height()) + around
    if isinstance(widget, QLabel):
        if widget.wordWrap():
            words = re.findall(
                r"[!-;=?-~]+", re.sub("<[^>]*>", " ", widget.text())
            )  # Chinese breaks anywhere
            longest = max((widget.fontMetrics().horizontalAdvance(word) for word in words), default=0)
            picture = (
                widget.hasHeightForWidth() and widget.pixmap() is not None and not widget.pixmap().isNull()
            )
            return (0, 0) if picture else (longest, widget.heightForWidth(widget.width()))
        return widget.sizeHint().width(), widget.sizeHint().height()
    if isinstance(widget, QAbstractButton):
        return widget.minimumSizeHint().width(), widget.sizeHint().height()
    if isinstance(widget, QComboBox) and not widget.isEditable() and not widget.minimumContentsLength():
        return _combo_width(widget), 0
    if isinstance(widget, QAbstractScrollArea):
        bar = widget.horizontalScrollBar()
        hidden = (
            bar.maximum()
            if widget.horizontalScrollBarPolicy() != Qt.ScrollBarPolicy.ScrollBarAlwaysOff
            else 0
        )
        return widget.width() + hidden, 0
    return 0, 0


def _combo_width(combo: QComboBox) -> int:
    option = QStyleOptionComboBox()
    option.initFrom(combo)
    field = combo.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, combo
    )
    return combo.width() - field.width() + combo.fontMetrics().horizontalAdvance(combo.currentText())


def _name(widget: QWidget) -> str:
    text = getattr(widget, "text", lambda: "")
    said = text() if callable(text) else ""
    return f"{type(widget).__name__} {widget.objectName()} “{str(said)[:40]}”"

"""A histogram of one number of many findings, with a range that is brushed by mouse or keys."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from qgis.PyQt.QtCore import QRectF, QSize, Qt, pyqtSignal
from qgis.PyQt.QtGui import (
    QFocusEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
)
from qgis.PyQt.QtWidgets import QSizePolicy, QWidget

Range = tuple[float, float]
ALL: Range = (-math.inf, math.inf)

BARS = 40
_NEAR = 6  # pixels from an end of the range, within which it is taken hold of
_KEYS_STEPS = 40  # key presses from one end of the axis to the other


class Histogram(QWidget):
    """Bars of the values that are let through; a drag chooses a range, and a double click the whole axis again.

    Attributes:
        chosen: The range; infinite ends are those of the axis.
        axis: The least and the greatest value that can be seen.
        counts: The values in each bar, int [BARS].
    """

    brushed = pyqtSignal(float, float)
    """The ends of the range, each time that somebody changes it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.chosen, self.axis, self._step = ALL, (0.0, 1.0), 0.01
        self.counts = np.zeros(BARS, dtype=int)
        self._unit, self._digits = "", 2
        self._anchor: float | None = None  # the end that stays while the other one is dragged
        self._pressed_at = 0.0
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setAccessibleName(self.tr("Histogram"))
        self.setToolTip(
            self.tr(
                "Drag to choose a range, or an end of it. Arrow keys move its lower end, with Shift its upper end. "
                "Double-click or Esc: everything."
            )
        )

    def sizeHint(self) -> QSize:  # noqa: N802 - as Qt has it
        """Return three lines of text for the bars, and one below for the axis."""
        line = self.fontMetrics().height()
        return QSize(20 * line, 4 * line)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return a size that still shows the axis."""
        line = self.fontMetrics().height()
        return QSize(8 * line, 4 * line)

    def set_axis(self, axis: Range, step: float, unit: str) -> None:
        """Show values of ``axis``; the ends of a range are multiples of ``step``, and ``unit`` follows the numbers."""
        self.axis, self._step, self._unit = axis, step, unit
        self._digits = max(0, -math.floor(math.log10(step)))
        self.update()

    def set_values(self, values: Any) -> None:
        """Show the distribution of ``values``, float [n]; NaN is none."""
        there = values[np.isfinite(values)]
        self.counts, _ = np.histogram(there, bins=BARS, range=self.axis)
        self.update()

    def set_chosen(self, chosen: Range) -> None:
        """Show a range that was chosen elsewhere."""
        self.chosen = chosen
        self.update()

    @property
    def words(self) -> str:
        """The range in numbers; empty where nothing is left out."""
        if self.chosen == ALL:
            return ""
        low, high = self._ends()
        unit = f" {self._unit}" if self._unit else ""
        return f"{low:,.{self._digits}f} - {high:,.{self._digits}f}{unit}"

    def mousePressEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Take hold of an end of the range, or begin a new one."""
        if event.button() != Qt.MouseButton.LeftButton:
            return
        x = event.pos().x()
        low, high = self._ends()
        is_near = [self.chosen != ALL and abs(self._x(end) - x) <= _NEAR for end in (low, high)]
        self._anchor = high if is_near[0] else low if is_near[1] else self._value(x)
        self._pressed_at = x

    def mouseMoveEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Follow the mouse with the end that it holds."""
        x = event.pos().x()
        if self._anchor is None:
            near = self.chosen != ALL and any(abs(self._x(end) - x) <= _NEAR for end in self._ends())
            self.setCursor(Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.CrossCursor)
        elif abs(x - self._pressed_at) > 2:
            at = self._value(x)
            self._choose(min(at, self._anchor), max(at, self._anchor))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Let go."""
        self._anchor = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:  # noqa: N802
        """Choose everything."""
        self._anchor = None
        self._choose(*ALL)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Move an end by a step, or choose everything."""
        keys = Qt.Key
        if event.key() in (keys.Key_Escape, keys.Key_Delete, keys.Key_Backspace):
            self._choose(*ALL)
            return
        way = {keys.Key_Left: -1, keys.Key_Down: -1, keys.Key_Right: 1, keys.Key_Up: 1}.get(event.key())
        if way is None:
            super().keyPressEvent(event)
            return
        by = way * max((self.axis[1] - self.axis[0]) / _KEYS_STEPS, self._step)
        low, high = self._ends()
        if event.modifiers() & Qt.KeyboardModifier.ShiftModifier:
            self._choose(low, max(high + by, low))
        else:
            self._choose(min(low + by, high), high)

    def focusInEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Show that keys act here."""
        super().focusInEvent(event)
        self.update()

    def focusOutEvent(self, event: QFocusEvent) -> None:  # noqa: N802
        """Show that they no longer do."""
        super().focusOutEvent(event)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802
        """Draw the bars, those in the range in the colour of a selection, and the axis with its numbers."""
        painter, palette = QPainter(self), self.palette()
        bars = self._bars()
        painter.fillRect(bars, palette.color(QPalette.ColorRole.Base))
        low, high = self._ends()
        selected = palette.color(QPalette.ColorRole.Highlight)
        plain = palette.color(QPalette.ColorGroup.Disabled, QPalette.ColorRole.Text)
        if self.chosen != ALL:
            veil = palette.color(QPalette.ColorRole.Highlight)
            veil.setAlpha(50)
            painter.fillRect(
                QRectF(self._x(low), bars.top(), self._x(high) - self._x(low), bars.height()), veil
            )
        most, width = max(int(self.counts.max()), 1), bars.width() / BARS
        middles = np.linspace(*self.axis, 2 * BARS + 1)[1::2]
        for at in np.flatnonzero(self.counts).tolist():
            # The root, and a pixel at least: a few findings beside thousands are seen.
            height = max(bars.height() * math.sqrt(self.counts[at] / most), 1.0)
            bar = QRectF(bars.left() + at * width, bars.bottom() - height, max(width - 1, 1), height)
            painter.fillRect(bar, selected if low <= middles[at] <= high else plain)
        frame = QPalette.ColorRole.Highlight if self.hasFocus() else QPalette.ColorRole.Mid
        painter.setPen(QPen(palette.color(frame), 0))
        painter.drawRect(bars)
        self._write(painter, bars)

    def _write(self, painter: QPainter, bars: QRectF) -> None:
        """Write the ends of the axis, and between them the range."""
        line = QRectF(0, bars.bottom() + 1, self.width(), self.height() - bars.bottom() - 1)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        aligned = Qt.AlignmentFlag
        least, most = (f"{end:,.{self._digits}f}" for end in self.axis)
        painter.drawText(line, aligned.AlignLeft | aligned.AlignVCenter, least)
        painter.drawText(line, aligned.AlignRight | aligned.AlignVCenter, most)
        painter.drawText(line, aligned.AlignHCenter | aligned.AlignVCenter, self.words)

    def _bars(self) -> QRectF:
        return QRectF(0.5, 0.5, self.width() - 1, self.height() - self.fontMetrics().height() - 3)

    def _ends(self) -> Range:
        """Return the range, cut to the axis."""
        return max(self.chosen[0], self.axis[0]), min(self.chosen[1], self.axis[1])

    def _choose(self, low: float, high: float) -> None:
        """Choose a range in whole steps; an end of the axis is no limit."""
        steps = [low, high]
        for place, end in enumerate(steps):
            if math.isfinite(end):
                steps[place] = round(round(end / self._step) * self._step, self._digits)
        low = -math.inf if steps[0] <= self.axis[0] else steps[0]
        high = math.inf if steps[1] >= self.axis[1] else steps[1]
        if (low, high) != self.chosen:
            self.chosen = (low, high)
            self.update()
            self.brushed.emit(low, high)

    def _x(self, value: float) -> float:
        bars, (least, most) = self._bars(), self.axis
        at: float = bars.left() + (value - least) / (most - least) * bars.width()
        return at

    def _value(self, x: float) -> float:
        bars, (least, most) = self._bars(), self.axis
        share: float = min(max((x - bars.left()) / bars.width(), 0.0), 1.0)
        return least + share * (most - least)

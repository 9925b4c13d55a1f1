"""The range of a number that findings have: its histogram to brush, and its ends to type."""

from __future__ import annotations

import math

import numpy as np
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QLabel, QWidget

from .histogram import ALL, Histogram, Range
from .rows import QUANTITIES, Filter, Rows

_STEPS = {"confidence": 0.01, "length": 1.0, "area": 10.0}
_UNITS = {"confidence": "", "length": "m", "area": "m²"}


class Ranges(QWidget):
    """Chooses a range of each quantity, one of which is seen; ``changed`` when one is another.

    Attributes:
        chosen: The ranges that leave something out, by quantity.
    """

    changed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.chosen: dict[str, Range] = {}
        self._names = {
            "confidence": self.tr("Confidence"),
            "length": self.tr("Length"),
            "area": self.tr("Area"),
        }
        self._axes: dict[str, Range] = dict.fromkeys(QUANTITIES, (0.0, 1.0))
        self.quantity = QComboBox()
        for name in QUANTITIES:
            self.quantity.addItem(self._names[name], name)
        self.quantity.setToolTip(
            self.tr("The number whose range is chosen; ranges of several count together")
        )
        self.low, self.high = QDoubleSpinBox(), QDoubleSpinBox()
        self.low.setToolTip(self.tr("At least; findings without such a number stay"))
        self.high.setToolTip(self.tr("At most; findings without such a number stay"))
        self.histogram = Histogram(self)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for column, widget in enumerate((self.quantity, self.low, QLabel("-"), self.high)):
            grid.addWidget(widget, 0, column)
        grid.addWidget(self.histogram, 1, 0, 1, 4)
        for column in (0, 1, 3):
            grid.setColumnStretch(column, 1)
        for spin in (self.low, self.high):
            spin.setKeyboardTracking(False)
            spin.setMinimumWidth(56)
            spin.valueChanged.connect(self._on_typed)
        self.quantity.setMinimumContentsLength(6)
        self.quantity.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.quantity.currentIndexChanged.connect(self._on_quantity)
        self.histogram.brushed.connect(self._on_brushed)
        self._rows, self._filter = Rows.of(()), Filter()
        self._show()

    def show_rows(self, rows: Rows, others: Filter) -> None:
        """Draw what ``others`` lets through of ``rows``; its own range of the quantity that is seen is left aside."""
        if rows is not self._rows:
            self._axes = {name: _axis(name, rows) for name in QUANTITIES}
        self._rows, self._filter = rows, others
        self._show()

    def clear(self) -> None:
        """Leave nothing out; tells nobody."""
        self.chosen = {}
        self._show()

    def _show(self) -> None:
        name = self._quantity
        self.histogram.set_axis(self._axes[name], _STEPS[name], _UNITS[name])
        values = getattr(self._rows, name)
        self.histogram.set_values(values[self._filter.without(name).shown(self._rows)])
        self._show_chosen()

    def _show_chosen(self) -> None:
        name = self._quantity
        axis, step, chosen = self._axes[name], _STEPS[name], self.chosen.get(name, ALL)
        self.histogram.set_chosen(chosen)
        for spin, end in ((self.low, max(chosen[0], axis[0])), (self.high, min(chosen[1], axis[1]))):
            spin.blockSignals(True)
            spin.setDecimals(2 if step < 1 else 0)
            spin.setSingleStep(5 * step)
            spin.setRange(*axis)
            spin.setSuffix(f" {_UNITS[name]}" if _UNITS[name] else "")
            spin.setValue(end)
            spin.blockSignals(False)
        for place, one in enumerate(QUANTITIES):  # a range that is out of sight is not out of mind
            mark = " *" if one in self.chosen else ""
            self.quantity.setItemText(place, self._names[one] + mark)

    def _on_quantity(self) -> None:
        self._show()

    def _on_typed(self) -> None:
        low, high = self.low.value(), max(self.low.value(), self.high.value())
        axis = self.low.minimum(), self.low.maximum()
        self._on_brushed(
            -math.inf if low <= axis[0] else low,
            math.inf if high >= axis[1] else high,
        )

    def _on_brushed(self, low: float, high: float) -> None:
        before = dict(self.chosen)
        self.chosen.pop(self._quantity, None)
        if (low, high) != ALL:
            self.chosen[self._quantity] = (low, high)
        self._show_chosen()
        if self.chosen != before:
            self.changed.emit()

    @property
    def _quantity(self) -> str:
        return str(self.quantity.currentData())


def _axis(name: str, rows: Rows) -> Range:
    """Return round ends of an axis that holds all values."""
    if name == "confidence":
        return 0.0, 1.0
    values = getattr(rows, name)
    most = float(np.nanmax(values)) if np.isfinite(values).any() else 1.0
    tens = 10.0 ** math.floor(math.log10(max(most, 1.0)))
    return 0.0, next(tens * n for n in (1, 2, 3, 4, 5, 6, 8, 10, 20) if tens * n >= most)

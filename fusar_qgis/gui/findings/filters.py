"""What is chosen of the findings: run, scene, class, review state, time of the run, ranges of numbers, words."""

from __future__ import annotations

from collections.abc import Sequence

from qgis.gui import QgsDateTimeEdit, QgsFilterLineEdit
from qgis.PyQt.QtCore import QDateTime, QTime, QTimer, pyqtSignal
from qgis.PyQt.QtGui import QResizeEvent
from qgis.PyQt.QtWidgets import QComboBox, QGridLayout, QPushButton, QVBoxLayout, QWidget

from .ranges import Ranges
from .rows import Filter, Rows

_SOON_MS = 150  # while somebody types
_NOW_MS = 15  # while somebody brushes
_FIELD_LETTERS = 20  # widths of a letter that a field needs
_LEAST_LETTERS = 16  # with which it can still be read
_MOST_COLUMNS = 6


class Filters(QWidget):
    """The fields of the filter; ``changed`` brings a new one. As many stand side by side as there is room for."""

    changed = pyqtSignal(object)

    def __init__(self, decisions: dict[str, str], parent: QWidget) -> None:
        """``decisions`` are the names of the decisions."""
        super().__init__(parent)
        self.run, self.scene, self.label, self.review = QComboBox(), QComboBox(), QComboBox(), QComboBox()
        self.run.addItem(self.tr("All runs"), "")
        self.scene.addItem(self.tr("All scenes"), "")
        self.label.addItem(self.tr("All classes"), "")
        self.review.addItem(self.tr("Reviewed or not"), None)
        self.review.addItem(self.tr("Not reviewed"), "")
        for decision, name in decisions.items():
            self.review.addItem(name, decision)
        self.since = self._day(self.tr("From any day"), self.tr("Runs that began on this day or later"))
        self.until = self._day(self.tr("To any day"), self.tr("Runs that began on this day or earlier"))
        self.words = QgsFilterLineEdit()
        self.words.setPlaceholderText(self.tr("Search in class, run, answer and id"))
        self.words.setShowClearButton(True)
        self.ranges = Ranges(self)
        self.all = QPushButton(self.tr("Clear filters"))
        self.all.clicked.connect(self.clear)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._tell)
        for box in (self.run, self.scene, self.label, self.review):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
            box.currentIndexChanged.connect(self._tell)
        for day in (self.since, self.until):
            day.valueChanged.connect(self._tell)
        self.words.textChanged.connect(lambda: self._timer.start(_SOON_MS))
        self.ranges.changed.connect(lambda: self._timer.start(_NOW_MS))
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._grid = QGridLayout()
        column.addLayout(self._grid)
        column.addWidget(self.ranges)
        self._fields: Sequence[QWidget] = (
            self.run, self.scene, self.label, self.review, self.since, self.until, self.words, self.all,
        )  # fmt: skip
        self._columns = 0
        self._place(2)
        self.setMinimumWidth(
            2 * _LEAST_LETTERS * self.fontMetrics().averageCharWidth()
        )  # whatever is placed now

    def chosen(self) -> Filter:
        """Return what is chosen."""
        return Filter(
            run=self.run.currentData() or "",
            scene=self.scene.currentData() or "",
            label=self.label.currentData() or "",
            review=self.review.currentData(),
            since=_seconds(self.since, QTime(0, 0)),
            until=_seconds(self.until, QTime(23, 59, 59, 999)),
            ranges=dict(self.ranges.chosen),
            words=self.words.text(),
        )

    def offer(self, rows: Rows) -> None:
        """Offer the runs, scenes and classes that there are; what was chosen stays chosen as long as it is there."""
        for box, values in ((self.run, rows.run), (self.scene, rows.scene), (self.label, rows.label)):
            was = box.currentData()
            box.blockSignals(True)
            while box.count() > 1:
                box.removeItem(1)
            for value in sorted(set(values.tolist()) - {""}):
                box.addItem(value, value)
            box.setCurrentIndex(max(box.findData(was), 0))
            box.blockSignals(False)

    def show_rows(self, rows: Rows) -> None:
        """Draw the numbers of what the filter lets through."""
        self.ranges.show_rows(rows, self.chosen())
        self.all.setEnabled(self.chosen() != Filter())

    def clear(self) -> None:
        """Filter nothing."""
        for box in (self.run, self.scene, self.label, self.review):
            box.setCurrentIndex(0)
        for day in (self.since, self.until):
            day.clear()
        self.ranges.clear()
        self.words.clear()
        self._tell()

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802 - as Qt has it
        """Place as many fields side by side as there is room for."""
        super().resizeEvent(event)
        field = _FIELD_LETTERS * self.fontMetrics().averageCharWidth()
        self._place(min(max(event.size().width() // max(field, 1), 2), _MOST_COLUMNS))

    def _place(self, columns: int) -> None:
        columns -= columns % 2  # what belongs together stays side by side
        if columns == self._columns:
            return
        for place, widget in enumerate(self._fields):
            self._grid.addWidget(widget, place // columns, place % columns)
        for column in range(_MOST_COLUMNS):
            self._grid.setColumnStretch(column, int(column < columns))
        self._columns = columns

    def _day(self, empty: str, tip: str) -> QgsDateTimeEdit:
        day = QgsDateTimeEdit()
        day.setAllowNull(True)
        day.setNullRepresentation(empty)
        day.setDisplayFormat("yyyy-MM-dd")
        day.setCalendarPopup(True)
        day.setToolTip(tip)
        day.clear()
        return day

    def _tell(self, *_: object) -> None:
        self._timer.stop()
        self.changed.emit(self.chosen())


def _seconds(day: QgsDateTimeEdit, at: QTime) -> float | None:
    """Return a time of the day that is chosen, in seconds since 1970; None where none is."""
    if day.isNull():
        return None
    return float(QDateTime(day.date(), at).toMSecsSinceEpoch() / 1000)

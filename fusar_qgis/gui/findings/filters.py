"""What is chosen of the findings: run, class, review state, least confidence, words."""

from __future__ import annotations

from qgis.gui import QgsFilterLineEdit
from qgis.PyQt.QtCore import QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QDoubleSpinBox, QGridLayout, QPushButton, QWidget

from .rows import Filter, Rows

_SOON_MS = 150  # while somebody types


class Filters(QWidget):
    """The fields of the filter; ``changed`` brings a new one."""

    changed = pyqtSignal(object)

    def __init__(self, decisions: dict[str, str], parent: QWidget) -> None:
        """``decisions`` are the names of the decisions."""
        super().__init__(parent)
        self.run, self.label, self.review = QComboBox(), QComboBox(), QComboBox()
        self.run.addItem(self.tr("All runs"), "")
        self.label.addItem(self.tr("All classes"), "")
        self.review.addItem(self.tr("Reviewed or not"), None)
        self.review.addItem(self.tr("Not reviewed"), "")
        for decision, name in decisions.items():
            self.review.addItem(name, decision)
        self.least = QDoubleSpinBox()
        self.least.setRange(0, 1)
        self.least.setSingleStep(0.05)
        self.least.setPrefix(self.tr("Confidence ≥") + " ")
        self.words = QgsFilterLineEdit()
        self.words.setPlaceholderText(self.tr("Search in class, run, answer and id"))
        self.words.setShowClearButton(True)
        self.all = QPushButton(self.tr("Show all"))
        self.all.clicked.connect(self.clear)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_SOON_MS)
        self._timer.timeout.connect(self._tell)
        for box in (self.run, self.label, self.review):
            box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            box.setMinimumContentsLength(8)
            box.currentIndexChanged.connect(self._tell)
        self.least.valueChanged.connect(self._timer.start)
        self.words.textChanged.connect(self._timer.start)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        for place, widget in enumerate((self.run, self.label, self.review, self.least)):
            grid.addWidget(widget, place // 2, place % 2)
        grid.addWidget(self.words, 2, 0)
        grid.addWidget(self.all, 2, 1)

    def chosen(self) -> Filter:
        """Return what is chosen."""
        return Filter(
            self.run.currentData() or "",
            self.label.currentData() or "",
            self.review.currentData(),
            self.least.value(),
            self.words.text(),
        )

    def offer(self, rows: Rows) -> None:
        """Offer the runs and classes that there are; what was chosen stays chosen as long as it is there."""
        for box, values in ((self.run, rows.run), (self.label, rows.label)):
            was = box.currentData()
            box.blockSignals(True)
            while box.count() > 1:
                box.removeItem(1)
            for value in sorted(set(values.tolist()) - {""}):
                box.addItem(value, value)
            box.setCurrentIndex(max(box.findData(was), 0))
            box.blockSignals(False)

    def clear(self) -> None:
        """Filter nothing."""
        for box in (self.run, self.label, self.review):
            box.setCurrentIndex(0)
        self.least.setValue(0)
        self.words.clear()
        self._tell()

    def _tell(self) -> None:
        self._timer.stop()
        self.changed.emit(self.chosen())

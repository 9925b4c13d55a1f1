"""What a band's numbers are: as the backend judges them, or as the analyst says."""

from __future__ import annotations

from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QComboBox, QHBoxLayout, QLabel, QLineEdit, QWidget

from ..contract import QUANTITIES, SaidQuantity

_MOST = 1e12


class QuantityChoice(QWidget):
    """A list of quantities, "as judged" first, and a number that the stored numbers are multiplied by.

    ``changed`` when another was chosen or typed.
    """

    changed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._quantity = QComboBox(self)
        self._quantity.addItem("", None)
        for quantity in QUANTITIES:
            self._quantity.addItem(self._name(quantity), quantity)
        self._scale = QLineEdit(self)
        self._scale.setPlaceholderText(self.tr("as stored"))
        self._scale.setToolTip(
            self.tr("What the stored numbers are multiplied by, such as 0.01 for decibels times 100.")
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._quantity, 2)
        row.addWidget(QLabel("\u00d7", self))
        row.addWidget(self._scale, 1)
        self.setFocusProxy(self._quantity)
        self.reset()
        self._quantity.currentIndexChanged.connect(self.changed)
        self._scale.textChanged.connect(self.changed)

    @property
    def quantity(self) -> SaidQuantity | None:
        """What the analyst says that the numbers are; None leaves it to the backend."""
        chosen: SaidQuantity | None = self._quantity.currentData()
        return chosen

    @property
    def scale(self) -> float | None:
        """What the numbers are multiplied by; None as the file states."""
        return self._number()

    @property
    def is_complete(self) -> bool:
        """Whether what is typed is a number above 0, or nothing."""
        return not self._scale.text().strip() or self._number() is not None

    def reset(self) -> None:
        """Leave it to the backend, whose judgement is not known yet."""
        self.show_judged("")
        self._quantity.setCurrentIndex(0)
        self._scale.clear()

    def show_judged(self, quantity: str) -> None:
        """Show what the backend took the numbers for, if it was left to it."""
        if self.quantity is None:
            words = self.tr("As judged: {quantity}").format(quantity=self._name(quantity.lower()))
            self._quantity.setItemText(0, words if quantity else self.tr("As judged"))

    def _number(self) -> float | None:
        try:
            number = float(self._scale.text().strip().replace(",", "."))
        except ValueError:
            return None
        return number if 0 < number <= _MOST else None

    def _name(self, quantity: str) -> str:
        names = {
            "power": self.tr("power"),
            "amplitude": self.tr("amplitude"),
            "db": self.tr("decibels"),
            "grey": self.tr("grey levels"),
        }
        return str(names.get(quantity, quantity))

"""The analyst's remembered choices, and form rows that can be hidden."""

from __future__ import annotations

from collections.abc import Iterable

from qgis.core import QgsSettings
from qgis.PyQt.QtWidgets import QComboBox, QFormLayout, QLabel, QWidget

_GROUP = "fusar/order"


def remembered(name: str) -> str:
    """Return what was remembered, or an empty text."""
    return str(QgsSettings().value(f"{_GROUP}/{name}", "", type=str))


def remembered_list(name: str) -> list[str]:
    """Return the texts that were remembered."""
    return [text for text in remembered(name).split("\n") if text]


def remember(name: str, value: str | Iterable[str]) -> None:
    """Keep a text, or several without line ends, in the settings of this QGIS profile."""
    QgsSettings().setValue(f"{_GROUP}/{name}", value if isinstance(value, str) else "\n".join(value))


def choose(box: QComboBox, data: object) -> None:
    """Choose the entry with that data, if it is there."""
    index = box.findData(data)
    if index >= 0:
        box.setCurrentIndex(index)


def show_whole(box: QComboBox) -> None:
    """Let a box be wide enough for each of its entries, also for those that came after it was first shown."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
    box.setMinimumWidth(box.sizeHint().width())


class Rows:
    """The rows of a form, some of which come and go; a hidden one leaves no gap."""

    def __init__(self, form: QFormLayout, parent: QWidget) -> None:
        self._form, self._parent = form, parent
        self._rows: list[tuple[QLabel, QWidget]] = []
        self._shown: list[QWidget] = []

    def add(self, text: str, field: QWidget) -> None:
        """Add a row at the end."""
        label = QLabel(text, self._parent)
        label.setBuddy(field)
        self._rows.append((label, field))
        self._shown.append(field)
        self._form.addRow(label, field)

    def show(self, field: QWidget, shown: bool) -> None:
        """Show or hide a field with its label."""
        if shown == (field in self._shown):
            return
        fields = [each for _, each in self._rows]
        at = fields.index(field)
        label = self._rows[at][0]
        if shown:
            before = sum(each in self._shown for each in fields[:at])
            self._form.insertRow(before, label, field)
            self._shown.append(field)
        else:
            self._form.takeRow(field)
            self._shown.remove(field)
        label.setVisible(shown)
        field.setVisible(shown)

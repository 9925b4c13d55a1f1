"""A slider for the score below which detections are not shown."""

from __future__ import annotations

from qgis.PyQt.QtCore import Qt, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QHBoxLayout, QLabel, QSlider, QWidget

_STEPS = 100
_PAUSE_MS = 80  # the map is drawn again when the hand rests


class Confidence(QWidget):
    """Lets the analyst choose the least score; ``changed`` brings it."""

    changed = pyqtSignal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._name = QLabel(self.tr("Scor&e"), self)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, _STEPS)
        self._slider.setFixedWidth(110)
        self._slider.setToolTip(
            self.tr(
                "Show only detections with this score or a higher one. A score is the model's token probability, not "
                "a calibrated confidence. Findings without a score are always shown."
            )
        )
        self._text = QLabel(self)
        self._name.setBuddy(self._slider)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._emit_score)
        self._slider.valueChanged.connect(self._emit_soon)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        for widget in (self._name, self._slider, self._text):
            layout.addWidget(widget)

    def show_score(self, least: float) -> None:
        """Put the slider where the layer's filter is, without a signal."""
        self._slider.blockSignals(True)
        self._slider.setValue(round(least * _STEPS))
        self._slider.blockSignals(False)

    def show_counts(self, shown: int, total: int, unscored: int) -> None:
        """Say how many findings the filter leaves, and how many it never hides."""
        text = self.tr("≥ {least}: {shown} of {total}").format(
            least=f"{self._slider.value() / _STEPS:.2f}", shown=shown, total=total
        )
        if unscored:
            text += " " + self.tr("(incl. {n} unscored)").format(n=unscored)
        self._text.setText(text)

    def _emit_soon(self) -> None:
        self._timer.start()

    def _emit_score(self) -> None:
        self.changed.emit(self._slider.value() / _STEPS)

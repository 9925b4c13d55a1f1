"""A slider for the confidence, or else the objectness, below which detections are not shown."""

from __future__ import annotations

from qgis.core import QgsApplication, QgsProject, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import Qt, QTimer, pyqtSignal
from qgis.PyQt.QtWidgets import QHBoxLayout, QLabel, QSlider, QToolButton, QWidget

from ..layers.decisions import Decisions
from ..layers.styles import is_filter_kept, keep_filter

_STEPS = 100
_PAUSE_MS = 80  # the map is drawn again when the hand rests


class Confidence(QWidget):
    """Lets the analyst choose the least that detections must have of what they are ranked by; ``changed`` brings it."""

    changed = pyqtSignal(float)

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._ranking = ""
        self._name = QLabel(self)
        self._slider = QSlider(Qt.Orientation.Horizontal, self)
        self._slider.setRange(0, _STEPS)
        self._slider.setFixedWidth(110)
        self._text = QLabel(self)
        self._layer: QgsVectorLayer | None = None
        self._keep = QToolButton(self)
        self._keep.setObjectName("FusarKeepFilter")
        self._keep.setIcon(QgsApplication.getThemeIcon("/mActionFileSave.svg"))
        self._keep.setAutoRaise(True)
        self._keep.setCheckable(True)
        self._keep.setToolTip(
            self.tr(
                "Keep this filter in the project. Otherwise everything is shown when the project is opened again."
            )
        )
        self._keep.clicked.connect(self._on_keep)
        self._name.setBuddy(self._slider)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_PAUSE_MS)
        self._timer.timeout.connect(self._emit_least)
        self._slider.valueChanged.connect(self._emit_soon)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(4, 0, 4, 0)
        for widget in (self._name, self._slider, self._keep, self._text):
            layout.addWidget(widget)
        layout.addStretch()

    def follow(self, decisions: Decisions) -> None:
        """Put the slider where the filter of a layer is, without a signal, and say what it filters by.

        A slider that is being moved stays where it is.
        """
        ranking, self._layer = decisions.ranking, decisions.layer
        self._ranking = ranking
        self._keep.setChecked(is_filter_kept(decisions.layer))
        self._keep.setEnabled(bool(ranking))
        names = {
            "confidence": self.tr("Confid&ence"),
            "objectness": self.tr("Obj&ectness (ranks only)"),
            "score": self.tr("Scor&e (ranks only)"),
        }
        self._name.setText(names.get(ranking, self.tr("Confidence: none")))
        self._slider.setEnabled(bool(ranking))
        for widget in (self._name, self._slider, self._text):
            widget.setToolTip(self._explanation())
        if self._timer.isActive():
            return
        self._slider.blockSignals(True)
        self._slider.setValue(round(decisions.queue.least_score * _STEPS))
        self._slider.blockSignals(False)

    def show_counts(self, shown: int, total: int, unscored: int) -> None:
        """Say how many findings the filter leaves, and how many it never hides."""
        if not self._ranking:
            self._text.clear()
            return
        percent = self._slider.value()
        least = f"{percent} %" if self._ranking == "confidence" else f"{percent / _STEPS:.2f}"
        text = self.tr("≥ {least}: {shown} of {total}").format(least=least, shown=shown, total=total)
        if unscored:
            text += " " + self.tr("(incl. {n} unscored)").format(n=unscored)
        self._text.setText(text)

    def _explanation(self) -> str:
        stays = self.tr("Findings without this number are always shown.")
        said = {
            "confidence": self.tr(
                "Show only detections with this confidence or a higher one: the probability that a detection is right, "
                "calibrated on images that the model had not seen."
            ),
            "objectness": self.tr(
                "Show only detections with this objectness or a higher one. Objectness ranks detections; it is not a "
                "probability of being right. This model has no calibration, so there is no confidence."
            ),
            "score": self.tr(
                "Show only detections with this score or a higher one. The score is of an older version: the model's "
                "token probability, not a probability of being right."
            ),
        }
        if self._ranking not in said:
            return str(self.tr("No detection of this layer has a confidence or an objectness."))
        return f"{said[self._ranking]} {stays}"

    def _on_keep(self, kept: bool) -> None:
        if self._layer is not None and not sip.isdeleted(self._layer):
            keep_filter(self._layer, kept)
            QgsProject.instance().setDirty(True)

    def _emit_soon(self) -> None:
        self._timer.start()

    def _emit_least(self) -> None:
        self.changed.emit(self._slider.value() / _STEPS)

"""Why a run cannot start yet, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from qgis.core import QgsCoordinateTransform, QgsCsException, QgsGeometry, QgsProject
from qgis.PyQt.QtCore import Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from ..layers.scene import Scene
from ..translation import translate
from .areas import Area
from .text_block import TextBlock


@dataclass(frozen=True)
class Obstacle:
    """A whole sentence that says what is missing and what to do, and which buttons help.

    Attributes:
        text: For the analyst.
        waits: Whether it goes away by itself.
        by_options: Whether the options are where it is mended.
        by_retry: Whether another try may help.
    """

    text: str
    waits: bool = False
    by_options: bool = False
    by_retry: bool = False


def misplaced(scene: Scene, area: Area) -> str:
    """Return why nothing of a scene can be seen in an area, or an empty text where something can, or may."""
    if QgsProject.instance().mapLayer(scene.layer_id) is None:
        words = translate(
            "Obstacles", "The layer “{scene}” is no longer in the project. Choose an area of another one."
        )
        return words.format(scene=scene.name)
    if area.outline.isEmpty():
        return translate("Obstacles", "The area is empty. Draw one on the scene.")
    extent = QgsGeometry.fromRect(scene.layer.extent())
    try:
        extent.transform(QgsCoordinateTransform(scene.crs, area.crs, QgsProject.instance()))
    except QgsCsException:
        return ""  # the backend knows more about coordinates
    if extent.intersects(area.outline):
        return ""
    return translate("Obstacles", "The area lies outside the scene “{scene}”. Draw one on the scene.").format(
        scene=scene.name
    )


class ObstacleNote(QWidget):
    """Shows an obstacle beside the buttons of a dialog; ``options_wanted`` and ``retry_wanted`` by its own."""

    options_wanted = pyqtSignal()
    retry_wanted = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = TextBlock(self)
        self.text.setObjectName("FusarWhyNot")
        self.text.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self._busy = QProgressBar(self)
        self._busy.setRange(0, 0)
        self._busy.setTextVisible(False)
        self._busy.setMaximumHeight(6)
        self._options = self._button(self.tr("Open options…"), "FusarWhyNotOptions")
        self._options.clicked.connect(self.options_wanted)
        self._retry = self._button(self.tr("Try again"), "FusarWhyNotRetry")
        self._retry.clicked.connect(self.retry_wanted)
        row = QHBoxLayout()
        for button in (self._options, self._retry):
            row.addWidget(button)
        row.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self._busy)
        layout.addLayout(row)

    def put(self, obstacle: Obstacle | None) -> None:
        """Show what is in the way, or nothing."""
        self.setVisible(obstacle is not None)
        if obstacle is not None:
            self.text.setPlainText(obstacle.text)
            self._busy.setVisible(obstacle.waits)
            self._options.setVisible(obstacle.by_options)
            self._retry.setVisible(obstacle.by_retry)

    def _button(self, text: str, name: str) -> QPushButton:
        button = QPushButton(text, self)
        button.setObjectName(name)
        button.setAutoDefault(False)
        return button

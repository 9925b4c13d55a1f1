"""A picture that takes the width it gets, and stays sharp on any screen."""

from __future__ import annotations

from qgis.PyQt.QtCore import QSize, Qt
from qgis.PyQt.QtGui import QPixmap, QResizeEvent
from qgis.PyQt.QtWidgets import QFrame, QLabel, QSizePolicy, QWidget


class SquarePicture(QLabel):
    """A square frame with a picture, or a few words where there is none."""

    def __init__(self, parent: QWidget, usual: int, least: int, most: int) -> None:
        """Make it with its usual, least and largest side in px."""
        super().__init__(parent)
        self._whole = QPixmap()
        self._usual, self._least = usual, least
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.setMaximumSize(most, most)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.setWordWrap(True)
        self.setMargin(0)

    def put(self, png: bytes, otherwise: str) -> None:
        """Show a PNG, or words where it is none."""
        self._whole = QPixmap()
        if png and self._whole.loadFromData(png, "PNG"):
            self._scale()
        else:
            self.setPixmap(QPixmap())
            self.setText(otherwise)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the usual size."""
        return QSize(self._usual, self._usual)

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Return the least size: the words decide no more than the picture does."""
        return QSize(self._least, self._least)

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """It is a square."""
        return True

    def heightForWidth(self, width: int) -> int:  # noqa: N802
        """Return the height of the square."""
        return int(max(self._least, min(width, self.maximumHeight())))

    def resizeEvent(self, event: QResizeEvent) -> None:  # noqa: N802
        """Scale the picture itself, not what was scaled before."""
        super().resizeEvent(event)
        if not self._whole.isNull():
            self._scale()

    def _scale(self) -> None:
        ratio = self.devicePixelRatioF()
        side = round((min(self.width(), self.height()) - 2 * self.frameWidth()) * ratio)
        scaled = self._whole.scaled(
            max(side, 1),
            max(side, 1),
            Qt.AspectRatioMode.KeepAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )
        scaled.setDevicePixelRatio(ratio)
        self.setPixmap(scaled)

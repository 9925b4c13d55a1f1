"""Small pictures of the ground of a finding, in the grey that the model saw."""

from __future__ import annotations

import math

from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtGui import QImage

from ..contract import SceneBox
from .sar_file import SarFile

_MARGIN = 0.5  # of the box's longer side, on each side
_LEAST_PIXELS = 24
_MOST_PIXELS = 1024


def window_around(box: SceneBox, width: int, height: int) -> tuple[int, int, int, int]:
    """Return (col, row, width, height) of a square around a box, moved and cut to lie in a scene of this size."""
    side = max(box.right - box.left, box.bottom - box.top) * (1 + 2 * _MARGIN)
    whole = math.ceil(min(max(side, _LEAST_PIXELS), _MOST_PIXELS))
    across, down = min(whole, width), min(whole, height)
    col = round((box.left + box.right - across) / 2)
    row = round((box.top + box.bottom - down) / 2)
    return max(0, min(col, width - across)), max(0, min(row, height - down)), across, down


def sar_thumbnail(scene: SarFile, box: SceneBox, side: int) -> QImage:
    """Return a picture of a finding's box and what lies around it, at most ``side`` by ``side`` pixels.

    It may be called in any thread, but in one at a time for one ``scene``. Raises SceneError.
    """
    grey = scene.grey(*window_around(box, scene.width, scene.height))
    height, width = grey.shape
    picture = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
    return picture.scaled(
        side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )

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


def window_of(box: SceneBox, width: int, height: int) -> tuple[int, int, int, int]:
    """Return (col, row, width, height) of the pixels of a box that lie in a scene of this size, one at least."""
    left, top = min(max(math.floor(box.left), 0), width - 1), min(max(math.floor(box.top), 0), height - 1)
    right, bottom = min(math.ceil(box.right), width), min(math.ceil(box.bottom), height)
    return left, top, max(right - left, 1), max(bottom - top, 1)


def sar_thumbnail(scene: SarFile, box: SceneBox, side: int, *, alone: bool = False) -> QImage:
    """Return a picture of a finding's box and what lies around it, at most ``side`` by ``side`` pixels.

    ``alone`` shows the box only, however large it is: a place of a search is all that was compared with the query.
    It may be called in any thread, but in one at a time for one ``scene``. Raises SceneError.
    """
    window = (window_of if alone else window_around)(box, scene.width, scene.height)
    fewer = min(1.0, _MOST_PIXELS / max(window[2:]))
    size = None if fewer == 1 else (max(round(window[2] * fewer), 1), max(round(window[3] * fewer), 1))
    grey = scene.grey(*window, size)
    height, width = grey.shape
    picture = QImage(grey.tobytes(), width, height, width, QImage.Format.Format_Grayscale8).copy()
    return picture.scaled(
        side, side, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )

"""How a job's scene reaches the backend: by its path where that can be opened there, else clipped and sent."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from qgis.core import QgsGeometry, QgsProcessingFeedback, QgsRasterBlockFeedback
from qgis.PyQt.QtCore import Qt

from ..connection.blocking import BackendError, BlockingClient, Stopped
from ..layers.clipping import ClipError, clip, source_of
from .pieces import Piece
from .rasters import open_layer


@contextmanager
def scene_for(piece: Piece, client: BlockingClient, feedback: QgsProcessingFeedback) -> Iterator[str]:
    """Give what ``inputs.scene`` is to be. Raises BackendError, Stopped."""
    scene = piece.scene
    if scene.path and client.is_loopback:
        yield scene.path
        return
    area, crs = scene.outline, scene.crs
    if piece.places:
        area, crs = QgsGeometry.unaryUnion([place.geometry for place in piece.places]), piece.crs
    stopping = QgsRasterBlockFeedback()
    # This thread has no event loop: the signal's own thread must set the flag.
    feedback.canceled.connect(stopping.cancel, Qt.ConnectionType.DirectConnection)
    try:
        with tempfile.TemporaryDirectory(prefix="fusar-") as folder:
            clipped = Path(folder) / f"{one_word(Path(scene.name).stem)}.tif"
            yield client.send(clip(source_of(open_layer(scene.source)), area, crs, clipped, stopping))
    except ClipError as error:
        if feedback.isCanceled():
            raise Stopped from error
        raise BackendError(str(error)) from error
    finally:
        feedback.canceled.disconnect(stopping.cancel)


def one_word(text: str) -> str:
    """Return a text as one word that names a file or a record."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "scene"

"""A request about a raster layer of the project."""

from __future__ import annotations

from dataclasses import dataclass

from ..contract import InterpretRequest


@dataclass(frozen=True)
class LayerRequest(InterpretRequest):
    """``layer_id`` is the scene's layer in QGIS; the backend is not told."""

    layer_id: str = ""

"""A request about a raster layer of the project."""

from __future__ import annotations

from dataclasses import dataclass

from ..contract import InterpretRequest


@dataclass(frozen=True)
class LayerRequest(InterpretRequest):
    """A request with what the plugin alone knows; the backend is not told.

    Attributes:
        layer_id: The scene's layer in QGIS.
        network_settled: Whether the analyst has been asked about ``prior_network``, or need not be.
        prior_needed: Whether the run is of no use without a prior.
    """

    layer_id: str = ""
    network_settled: bool = False
    prior_needed: bool = False

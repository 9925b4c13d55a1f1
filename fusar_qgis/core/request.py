"""A request about a raster layer of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contract import InterpretRequest, Model, Task


@dataclass(frozen=True)
class LayerRequest(InterpretRequest):
    """A request with what the plugin alone knows; the backend is not told.

    Attributes:
        layer_id: The scene's layer in QGIS.
        network_settled: Whether the analyst has been asked about ``prior_network``, or need not be.
        prior_needed: Whether the run is of no use without a prior.
        chips_told: How many chips the analyst was told of before the start.
    """

    layer_id: str = ""
    network_settled: bool = False
    prior_needed: bool = False
    chips_told: int = 0


def tasks_of(model: Model, tasks: Sequence[str]) -> list[str]:
    """Return those of ``tasks`` that a model may be given: all where it does not say what it was taught.

    A question in words may always be asked: a model that cannot answer it freely takes it for one of its tasks, or
    refuses it in words.
    """
    return [task for task in tasks if not model.tasks or task in model.tasks or task == Task.ASK.value]

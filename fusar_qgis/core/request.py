"""A request about a raster layer of the project."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..contract import InterpretRequest, Model, Task


@dataclass(frozen=True)
class LayerRequest(InterpretRequest):
    """``layer_id`` is the scene's layer in QGIS; the backend is not told."""

    layer_id: str = ""


def tasks_of(model: Model, tasks: Sequence[str]) -> list[str]:
    """Return those of ``tasks`` that a model may be given: all where it does not say what it was taught.

    A question in words may always be asked: a model that cannot answer it freely takes it for one of its tasks, or
    refuses it in words.
    """
    return [task for task in tasks if not model.tasks or task in model.tasks or task == Task.ASK.value]

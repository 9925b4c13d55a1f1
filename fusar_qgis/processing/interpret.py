"""Interpret areas: any task but the classification of boxes."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext
from qgis.PyQt.QtCore import QCoreApplication

from . import parameters as declared
from .interpretation import InterpretationAlgorithm
from .parameters import QUESTION, TASK, batch_help

translate = QCoreApplication.translate

_TASKS = ["detect", "locate", "count", "describe", "ask"]


class Interpret(InterpretationAlgorithm):
    """Rasters, areas and a task in; detections, grid, answers out."""

    NAME = "interpret"
    KINDS = ("detections", "grid", "answers")
    TAGS = ("ship", "plane", "detect", "count", "locate", "describe", "ask", "batch", "vision-language model")

    def add_inputs(self) -> None:
        """Declare where to look and what for."""
        super().add_inputs()
        self.addParameter(declared.task(_TASKS))
        self.addParameter(declared.targets())
        self.addParameter(declared.question(optional=True))

    def checkParameterValues(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """The task ask needs a question."""
        asking = self.task(parameters, context) == "ask"
        if asking and not self.parameterAsString(parameters, QUESTION, context).strip():
            return False, translate("Processing", "The task ask needs a question.")
        return super().checkParameterValues(parameters, context)

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> str:
        """Return the task."""
        return str(self.parameterAsEnumString(parameters, TASK, context))

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return str(translate("Processing", "Interpret areas"))

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(
            translate(
                "Processing",
                "Asks a SAR vision-language model about each polygon of a layer, on each raster it lies on. detect "
                "gives detections, locate a grid, count, describe and ask give answers; a layer that the task does "
                "not give is not made, unless you name its file.",
            )
        )

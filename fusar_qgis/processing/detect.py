"""Detect: a box around each object."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from .interpretation import InterpretationAlgorithm
from .parameters import batch_help

translate = QCoreApplication.translate


class Detect(InterpretationAlgorithm):
    """Rasters and areas in, boxes out."""

    NAME = "detect"
    TASK = "detect"
    KINDS = ("detections", "answers")
    TAGS = ("ship", "plane", "object", "detection", "box")

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return str(translate("Processing", "Detect objects"))

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(
            translate(
                "Processing",
                "Draws a box around each object of the targets, with its class, its length and width in metres and "
                "a score, which is the model's token probability. What the model said and nobody understood is in "
                "“Answers”, so that silence is never mistaken for an empty sea.",
            )
        )

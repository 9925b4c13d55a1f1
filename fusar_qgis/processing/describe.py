"""Describe: an area in words."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from .interpretation import InterpretationAlgorithm
from .parameters import batch_help

translate = QCoreApplication.translate


class Describe(InterpretationAlgorithm):
    """Rasters and areas in, words out."""

    NAME = "describe"
    TASK = "describe"
    KINDS = ("answers",)
    TAGS = ("caption", "text", "description")

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return str(translate("Processing", "Describe in words"))

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(translate("Processing", "Describes what is seen in each chip of an area."))

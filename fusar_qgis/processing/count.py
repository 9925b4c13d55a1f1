"""Count: how many objects there are."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from .interpretation import InterpretationAlgorithm
from .parameters import batch_help

translate = QCoreApplication.translate


class Count(InterpretationAlgorithm):
    """Rasters and areas in, counts out."""

    NAME = "count"
    TASK = "count"
    KINDS = ("answers",)
    TAGS = ("how many", "number", "counting")

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return str(translate("Processing", "Count objects"))

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(
            translate(
                "Processing",
                "Counts the targets in each chip of an area, and adds the chips up where there are several: that row "
                "has no chip number.",
            )
        )

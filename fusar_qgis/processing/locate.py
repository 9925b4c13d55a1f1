"""Locate: the cells of a 3 by 3 grid with objects."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from .interpretation import InterpretationAlgorithm
from .parameters import batch_help

translate = QCoreApplication.translate


class Locate(InterpretationAlgorithm):
    """Rasters and areas in, cells out."""

    NAME = "locate"
    TASK = "locate"
    KINDS = ("grid", "answers")
    TAGS = ("grid", "where", "cell")

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return str(translate("Processing", "Locate objects in a grid"))

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(
            translate(
                "Processing", "Lays a 3 by 3 grid over each chip and says in which cells the targets are."
            )
        )

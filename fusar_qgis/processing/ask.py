"""Ask: a question of one's own about each area."""

from __future__ import annotations

from qgis.PyQt.QtCore import QCoreApplication

from . import parameters as declared
from .interpretation import InterpretationAlgorithm
from .parameters import batch_help

translate = QCoreApplication.translate


class Ask(InterpretationAlgorithm):
    """Rasters, areas and a question in, answers in words out."""

    NAME = "ask"
    TASK = "ask"
    KINDS = ("answers",)
    TAGS = ("question", "text", "chat")

    def add_inputs(self) -> None:
        """Declare where to look, and the question."""
        super().add_inputs()
        self.addParameter(declared.question(optional=False))

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return str(translate("Processing", "Ask a question"))

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(
            translate("Processing", "Asks the same question, in your own words, about each chip of an area.")
        )

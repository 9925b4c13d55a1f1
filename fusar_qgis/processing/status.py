"""The state of the backend, at once: whether it is installed and running, with which model, and what is missing."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from qgis.core import (
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputBoolean,
    QgsProcessingOutputString,
)

from ..connection.backend_status import ask_status, choice_and_status
from ..connection.child import ChildBackend
from ..translation import QT_TRANSLATE_NOOP, translate
from .base import FusarAlgorithm


class Status(FusarAlgorithm):
    """Nothing in; the state of the backend out."""

    NAME = "status"
    TITLE = QT_TRANSLATE_NOOP("Processing", "State of the backend")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Says whether a backend is installed and running, which model it has, what is missing and what to do next. "
        "It answers at once, within three seconds where a server does not, and never starts a backend.",
    )
    TAGS = ("status", "health", "installed", "running", "version", "model")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the outputs."""
        for name, words in (
            ("INSTALLED", translate("Processing", "Installed, or a server is named")),
            ("RUNNING", translate("Processing", "Running")),
            ("READY", translate("Processing", "Its model is loaded")),
            ("DEMONSTRATION", translate("Processing", "Its model is a demonstration")),
        ):
            self.addOutput(QgsProcessingOutputBoolean(name, words))
        for name, words in (
            ("PLACE", translate("Processing", "Address or program")),
            ("VERSION", translate("Processing", "Version")),
            ("MODEL", translate("Processing", "Model")),
            ("DEVICE", translate("Processing", "Device")),
            ("MISSING", translate("Processing", "What is missing")),
            ("NEXT_STEP", translate("Processing", "What to do next")),
        ):
            self.addOutput(QgsProcessingOutputString(name, words))

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read what only the GUI thread may: the settings, and the state of the child."""
        self._child: ChildBackend = self.provider().child
        self._choice, self._status = choice_and_status(self._child)
        return True

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Ask the backend that runs, if one does."""
        status = self._status
        if self._choice is not None:
            status = ask_status(self._choice, self._child, status)
        for line in (status.missing, status.next_step):
            if line:
                feedback.pushInfo(line)
        return {name.upper(): value for name, value in asdict(status).items()}

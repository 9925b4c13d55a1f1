"""What every algorithm of the provider shares."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingAlgorithm
from qgis.PyQt.QtGui import QIcon

from ..translation import translate

_RESOURCES = Path(__file__).parents[1] / "resources"

INTERPRETATION, PRIORS, TRAINING = "interpretation", "priors", "training"


class FusarAlgorithm(QgsProcessingAlgorithm):
    """An algorithm with an icon, a group and a help text.

    Attributes:
        NAME: Its id within the provider.
        TITLE: Its name for the analyst, marked for translation.
        HELP: What it does, marked for translation.
        GROUP: INTERPRETATION, PRIORS or TRAINING.
        TAGS: English words by which the toolbox finds it.
    """

    NAME = ""
    TITLE = ""
    HELP = ""
    GROUP = INTERPRETATION
    TAGS: tuple[str, ...] = ()

    def name(self) -> str:
        """Return the id within the provider."""
        return self.NAME

    def displayName(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the name in the analyst's language."""
        return translate("Processing", self.TITLE)

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return translate("Processing", self.HELP)

    def group(self) -> str:
        """Return the name of the group."""
        groups = {
            INTERPRETATION: translate("Processing", "Interpretation"),
            PRIORS: translate("Processing", "Priors"),
            TRAINING: translate("Processing", "Training and evaluation"),
        }
        return str(groups[self.GROUP])

    def groupId(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the group's id."""
        return self.GROUP

    def tags(self) -> list[str]:
        """Return the words by which the toolbox finds it."""
        return ["sar", "radar", "fusar", *self.TAGS]

    def icon(self) -> QIcon:
        """Return its own icon, or else the provider's."""
        own = _RESOURCES / "algorithms" / f"{self.NAME}.svg"
        return QIcon(str(own if own.exists() else _RESOURCES / "icon.svg"))

    def createInstance(self) -> FusarAlgorithm:  # noqa: N802 - QGIS calls it by this name
        """Return a new one."""
        return type(self)()

"""The provider: its name, its icon, its algorithms."""

from __future__ import annotations

from pathlib import Path

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from ..connection.child import ChildBackend
from .classify import ClassifyBoxes
from .compare import CompareWithTruth
from .fetch_prior import FetchPrior
from .jobs import CancelJob, JobResults, JobStatus, StartInterpret
from .prepare_chips import PrepareChips
from .search import Search
from .status import Status
from .tasks import Ask, Count, Describe, Detect, Interpret, Locate

_INTERPRETATIONS = (Search, Interpret, Detect, Locate, Count, ClassifyBoxes, Describe, Ask)
_POLLED = (Status, StartInterpret, JobStatus, CancelJob, JobResults)
_ALGORITHMS = (*_INTERPRETATIONS, *_POLLED, FetchPrior, PrepareChips, CompareWithTruth)


class FusarProvider(QgsProcessingProvider):
    """FUSAR-GPT in the Processing toolbox; ``child`` is the backend that its algorithms may start."""

    def __init__(self, child: ChildBackend) -> None:
        super().__init__()
        self.child = child

    def id(self) -> str:
        """Return what comes before the colon of an algorithm's id."""
        return "fusar"

    def name(self) -> str:
        """Return the product's name."""
        return "FUSAR-GPT"

    def icon(self) -> QIcon:
        """Return the product's icon."""
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the icon's file."""
        return str(Path(__file__).parents[1] / "resources" / "icon.svg")

    def loadAlgorithms(self) -> None:  # noqa: N802 - QGIS calls it by this name
        """Add the algorithms."""
        for algorithm in _ALGORITHMS:
            self.addAlgorithm(algorithm())

    def unload(self) -> None:
        """End the backend that the algorithms have started."""
        self.child.stop()

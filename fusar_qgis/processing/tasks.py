"""The algorithms that differ in their task alone: any task, or one of detect, locate, count, describe and ask."""

from __future__ import annotations

from typing import Any

from qgis.core import QgsProcessingContext

from ..translation import QT_TRANSLATE_NOOP
from . import parameters as declared
from .interpretation import InterpretationAlgorithm
from .parameters import TASK

_TASKS = ["detect", "locate", "count", "describe", "ask"]


class Interpret(InterpretationAlgorithm):
    """Rasters, areas and a task in; detections, grid, answers out."""

    NAME = "interpret"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Interpret areas")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Asks a SAR vision-language model about each polygon of a layer, on each raster it lies on. detect "
        "gives detections, locate a grid, count, describe and ask give answers; a layer that the task does "
        "not give is not made, unless you name its file.",
    )
    KINDS = ("detections", "grid", "answers")
    TAGS: tuple[str, ...] = (
        "ship",
        "plane",
        "detect",
        "count",
        "locate",
        "describe",
        "ask",
        "batch",
        "vision-language model",
    )

    def add_inputs(self) -> None:
        """Declare where to look and what for."""
        super().add_inputs()
        self.addParameter(declared.task(_TASKS))
        self.addParameter(declared.targets())
        self.addParameter(declared.question(optional=True))

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> str:
        """Return the task."""
        return str(self.parameterAsEnumString(parameters, TASK, context))


class Detect(InterpretationAlgorithm):
    """Rasters and areas in, boxes out."""

    NAME = TASK = "detect"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Detect objects")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Draws a box around each object of the targets, with its class, its length and width in metres, "
        "and its confidence: the probability that it is right, empty where the model has no calibration. "
        "“objectness” ranks the boxes and is not a probability of being right. What the model said and nobody "
        "understood is in “Answers”, so that silence is never mistaken for an empty sea.",
    )
    KINDS = ("detections", "answers")
    TAGS = ("ship", "plane", "object", "detection", "box")


class Locate(InterpretationAlgorithm):
    """Rasters and areas in, cells out."""

    NAME = TASK = "locate"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Locate objects in a grid")
    HELP = QT_TRANSLATE_NOOP(
        "Processing", "Lays a 3 by 3 grid over each chip and says in which cells the targets are."
    )
    KINDS = ("grid", "answers")
    TAGS = ("grid", "where", "cell")


class Count(InterpretationAlgorithm):
    """Rasters and areas in, counts out."""

    NAME = TASK = "count"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Count objects")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Counts the targets in an area. In one chip the number is the model's own count. Over several chips it is "
        "that of the detections in the area, or the sum of the chips where the model cannot detect the target: "
        "“method” says which, “agreement” how many chips agree, and that row has no chip number.",
    )
    KINDS = ("answers", "detections")
    SHOWN = ("detections",)
    TAGS = ("how many", "number", "counting")


class Describe(InterpretationAlgorithm):
    """Rasters and areas in, words out."""

    NAME = TASK = "describe"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Describe in words")
    HELP = QT_TRANSLATE_NOOP("Processing", "Describes what is seen in each chip of an area.")
    TAGS = ("caption", "text", "description")


class Ask(InterpretationAlgorithm):
    """Rasters, areas and a question in, answers in words out."""

    NAME = TASK = "ask"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Ask a question")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Asks the same question, in your own words, about each chip of an area. A model that was not taught to "
        "answer freely answers a question that is one of its tasks, as “understood” says, and refuses any other.",
    )
    KINDS = ("answers", "detections", "grid")
    SHOWN = ("detections", "grid")
    TAGS = ("question", "text", "chat")

    def add_inputs(self) -> None:
        """Declare where to look, and the question."""
        super().add_inputs()
        self.addParameter(declared.question(optional=False))

"""Classify boxes: polygons in, the same polygons with their class out."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSource,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingUtils,
)

from ..layers.features import fields_of
from ..translation import QT_TRANSLATE_NOOP, translate
from . import parameters as declared
from .batch import Outcome
from .interpretation import InterpretationAlgorithm
from .parameters import BOXES
from .results import write

OUTPUT = "OUTPUT"
_COLUMNS: dict[str, type] = {
    "label": str,
    "score": float,
    "confidence": float,
    "text": str,
    "complete": bool,
    "scene": str,
    "model": str,
    "demonstration": bool,
    "prior": str,
    "simulated": bool,
    "run": str,
    "problem": str,
}


class ClassifyBoxes(InterpretationAlgorithm):
    """Rasters and boxes in, classified boxes out: every feature, with all its attributes."""

    NAME = "classifyboxes"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Classify boxes")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Names the class of what is in each polygon, such as a detection or a box drawn by hand. Every "
        "feature comes out with all its attributes, its class and the confidence (empty where the model has no "
        "calibration); “problem” says why a box has "
        "none. A box is classified on the first raster it lies on.",
    )
    TASK = "classify"
    KINDS = ()
    PLACES = BOXES
    TAGS = ("class", "classification", "type", "box", "recognition")

    def add_inputs(self) -> None:
        """Declare rasters and boxes."""
        self.addParameter(declared.rasters())
        polygons = [QgsProcessing.SourceType.TypeVectorPolygon]
        self.addParameter(
            declared.with_help(
                QgsProcessingParameterFeatureSource(BOXES, translate("Processing", "Boxes"), polygons),
                translate(
                    "Processing",
                    "A polygon around each object, drawn by hand or detected, in any CRS.",
                ),
            )
        )

    def add_sinks(self) -> None:
        """Declare the classified boxes."""
        self.addParameter(
            declared.with_help(
                QgsProcessingParameterFeatureSink(
                    OUTPUT,
                    translate("Processing", "Classified boxes"),
                    QgsProcessing.SourceType.TypeVectorPolygon,
                ),
                translate(
                    "Processing",
                    "Every box with its own attributes, in its own CRS, then the class and how it "
                    "came about.",
                ),
            )
        )

    def open_sinks(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        crs: QgsCoordinateReferenceSystem,
        task: str,
    ) -> None:
        """Open the sink: the boxes' own fields, then those of the answer."""
        self._source: QgsProcessingFeatureSource = self.parameterAsSource(parameters, BOXES, context)
        fields = QgsProcessingUtils.combineFields(self._source.fields(), fields_of(_COLUMNS))
        self._sink, self._layer = self.parameterAsSink(
            parameters, OUTPUT, context, fields, self._source.wkbType(), self._source.sourceCrs()
        )
        if self._sink is None:
            raise QgsProcessingException(self.invalidSinkError(parameters, OUTPUT))
        self._answers: dict[int, dict[str, Any]] = {}

    def add_outcome(self, outcome: Outcome) -> None:
        """Remember the answers until all are there; ``chip`` is the number of the box in its job."""
        places = outcome.item.places
        for place in places:
            self._answers[place.id] = {"scene": outcome.item.scene.name, "problem": outcome.reason or None}
        for finding in outcome.entry.findings if outcome.entry else ():
            self._answers[places[int(finding.properties["chip"] or 0)].id].update(finding.properties)

    def close_sinks(self, context: QgsProcessingContext, runs: list[dict[str, Any]]) -> dict[str, Any]:
        """Write every box, in its order."""
        outside = {"problem": translate("Processing", "on no raster")}
        for box in self._source.getFeatures():
            answer = self._answers.get(box.id(), outside)
            classified = QgsFeature(box)
            classified.setAttributes(box.attributes() + [answer.get(name) for name in _COLUMNS])
            write(self._sink, classified)
        self._sink = None
        return {OUTPUT: self._layer}

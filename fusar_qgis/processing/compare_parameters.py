"""The parameters of the comparison with the truth."""

from __future__ import annotations

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterField,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..translation import translate
from .parameters import with_help

DETECTIONS, DETECTION_LABEL, SCORE, LEAST = "DETECTIONS", "LABEL_FIELD", "SCORE_FIELD", "MIN_SCORE"
TRUTH, TRUE_LABEL, DIFFICULT, IOU = "TRUTH", "TRUTH_LABEL_FIELD", "DIFFICULT_FIELD", "IOU"
MARKED, TABLE, CLASSES = "MARKED", "TABLE", "CLASSES"


def detection_parameters() -> list[QgsProcessingParameterDefinition]:
    """Return the parameters of the detections, and of what was asked for."""
    polygons = [QgsProcessing.SourceType.TypeVectorPolygon]
    double = QgsProcessingParameterNumber.Type.Double
    return [
        with_help(
            QgsProcessingParameterFeatureSource(DETECTIONS, translate("Processing", "Detections"), polygons),
            translate(
                "Processing", "Boxes that the model found, such as “Detections” of the other algorithms."
            ),
        ),
        with_help(
            QgsProcessingParameterField(
                DETECTION_LABEL,
                translate("Processing", "Field of the class"),
                "label",
                parentLayerParameterName=DETECTIONS,
                optional=True,
            ),
            translate("Processing", "Empty here or for the truth: classes do not count."),
        ),
        with_help(
            QgsProcessingParameterString(
                CLASSES,
                translate("Processing", "Classes that were asked for, separated by commas"),
                optional=True,
            ),
            translate(
                "Processing",
                "Such as: ship. Only these are scored. Empty: the targets of the run, where the layer of detections "
                "knows them, else all classes.",
            ),
        ),
        with_help(
            QgsProcessingParameterField(
                SCORE,
                translate("Processing", "Field of the score"),
                parentLayerParameterName=DETECTIONS,
                optional=True,
            ),
            translate("Processing", "Such as confidence, or objectness where the model has no calibration."),
            advanced=True,
        ),
        with_help(
            QgsProcessingParameterNumber(
                LEAST, translate("Processing", "Least score"), double, 0.0, minValue=0, maxValue=1
            ),
            translate("Processing", "Detections of a lower score are left out."),
            advanced=True,
        ),
    ]


def truth_parameters() -> list[QgsProcessingParameterDefinition]:
    """Return the parameters of the truth, and of the match."""
    polygons = [QgsProcessing.SourceType.TypeVectorPolygon]
    return [
        with_help(
            QgsProcessingParameterFeatureSource(TRUTH, translate("Processing", "Truth"), polygons),
            translate("Processing", "A polygon around each object that is really there, in any CRS."),
        ),
        with_help(
            QgsProcessingParameterField(
                TRUE_LABEL,
                translate("Processing", "Field of the true class"),
                parentLayerParameterName=TRUTH,
                optional=True,
            ),
            translate("Processing", "Empty here or for the detections: classes do not count."),
        ),
        with_help(
            QgsProcessingParameterField(
                DIFFICULT,
                translate("Processing", "Field that marks doubtful objects"),
                parentLayerParameterName=TRUTH,
                optional=True,
            ),
            translate("Processing", "Neither found nor missed; what was detected there is ignored."),
            advanced=True,
        ),
        with_help(
            QgsProcessingParameterNumber(
                IOU,
                translate("Processing", "Least overlap (intersection over union)"),
                QgsProcessingParameterNumber.Type.Double,
                0.5,
                minValue=0.01,
                maxValue=1,
            ),
            translate("Processing", "A detection and a true object that overlap less are no pair."),
        ),
    ]


def sinks() -> list[QgsProcessingParameterDefinition]:
    """Return the layers that come out."""
    return [
        with_help(
            QgsProcessingParameterFeatureSink(
                MARKED,
                translate("Processing", "Marked: found, false, missed"),
                QgsProcessing.SourceType.TypeVectorPolygon,
            ),
            translate(
                "Processing",
                "Both layers' boxes in one, each with its state, its overlap and its partner.",
            ),
        ),
        with_help(
            QgsProcessingParameterFeatureSink(
                TABLE, translate("Processing", "Figures"), QgsProcessing.SourceType.TypeVector
            ),
            translate(
                "Processing",
                "Precision, recall, F1 and counts, a row for each class and one for all.",
            ),
        ),
    ]

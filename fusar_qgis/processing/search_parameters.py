"""The parameters of the search by words or by example."""

from __future__ import annotations

from qgis.core import (
    QgsProcessing,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from ..contract import DEFAULT_ENCODER
from ..contract.search import MAX_TOP
from ..translation import translate
from . import parameters as declared
from .parameters import RASTERS, with_help

TEXT, LIKE, UNLIKE, AREA, TOP, ENCODER = "TEXT", "LIKE", "UNLIKE", "AREA", "TOP", "ENCODER"
HEAT, OUTPUT = "HEAT", "OUTPUT"
_TOP = 20


def what() -> list[QgsProcessingParameterDefinition]:
    """Return the parameters of what is looked for, and where."""
    raster = QgsProcessingParameterRasterLayer(RASTERS, translate("Processing", "SAR raster"))
    text = QgsProcessingParameterString(
        TEXT, translate("Processing", "What to find"), multiLine=True, optional=True
    )
    return [
        with_help(raster, translate("Processing", "A file or layer with a georeference.")),
        with_help(
            text,
            translate(
                "Processing", "In your own words, such as: ships at a dock. Several lines are averaged."
            ),
        ),
        with_help(
            _examples(LIKE, translate("Processing", "Places like it")),
            translate(
                "Processing",
                "Points or polygons on the raster that show what to find, with the text or without one.",
            ),
        ),
        with_help(
            _examples(UNLIKE, translate("Processing", "Places unlike it")),
            translate("Processing", "Points or polygons on the raster that show what is not meant."),
        ),
        with_help(
            QgsProcessingParameterFeatureSource(
                AREA,
                translate("Processing", "Area"),
                [QgsProcessing.SourceType.TypeVectorPolygon],
                optional=True,
            ),
            translate("Processing", "Where to look. Without it, the whole raster."),
        ),
    ]


def _examples(name: str, words: str) -> QgsProcessingParameterDefinition:
    kinds = [QgsProcessing.SourceType.TypeVectorPoint, QgsProcessing.SourceType.TypeVectorPolygon]
    return QgsProcessingParameterFeatureSource(name, words, kinds, optional=True)


def how() -> list[QgsProcessingParameterDefinition]:
    """Return the parameters of how it is looked for."""
    number = QgsProcessingParameterNumber
    integer, double = number.Type.Integer, number.Type.Double
    top = number(TOP, translate("Processing", "Most places"), integer, _TOP, minValue=1, maxValue=MAX_TOP)
    encoder = QgsProcessingParameterString(ENCODER, translate("Processing", "Encoder"), optional=True)
    ground = number(
        declared.GROUND,
        translate("Processing", "Ground side of a place in metres"),
        double,
        optional=True,
        minValue=1,
    )
    return [
        with_help(
            top,
            translate("Processing", "Fewer come where better places cover the others."),
        ),
        with_help(
            encoder,
            translate(
                "Processing",
                "What compares images and texts: a name that the backend offers, or open_clip: and a folder. Empty: "
                "{name}.",
            ).replace("{name}", DEFAULT_ENCODER),
            advanced=True,
        ),
        with_help(ground, translate("Processing", "Empty: as the encoder was trained."), advanced=True),
        declared.band(),
        *declared.numbers(),
    ]


def outputs() -> list[QgsProcessingParameterDefinition]:
    """Return the parameters of what comes out."""
    sink = QgsProcessingParameterFeatureSink(
        OUTPUT, translate("Processing", "Places"), QgsProcessing.SourceType.TypeVectorPolygon
    )
    heat = QgsProcessingParameterRasterDestination(
        HEAT, translate("Processing", "Heat map"), optional=True, createByDefault=False
    )
    return [
        with_help(
            sink,
            translate(
                "Processing",
                "A square for each place, the best first: rank, percentile (the share of the scene that is less like "
                "the query), similarity, side in metres.",
            ),
        ),
        with_help(
            heat,
            translate(
                "Processing",
                "A GeoTIFF of percentiles, 0 to 100: how much of the scene is less like the query than what lies "
                "here. 255 is no data.",
            ),
        ),
    ]

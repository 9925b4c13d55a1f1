"""Parameters that the interpreting algorithms share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFile,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProcessingUtils,
    QgsRasterLayer,
)

from ..connection.network_consent import may_fetch
from ..contract import AUTO_PRIOR, PLACES, PRIOR_SOURCES, QUANTITIES
from ..contract.limits import PRIOR_YEARS
from ..translation import translate

RASTERS, AREAS, BOXES, TASK, TARGETS, QUESTION = "INPUT", "AREAS", "BOXES", "TASK", "TARGETS", "QUESTION"
PRIOR, PRIOR_FILE, YEAR, NO_PRIOR = "PRIOR", "PRIOR_FILE", "YEAR", "ALLOW_NO_PRIOR"
NETWORK = "PRIOR_NETWORK"
BAND, GROUND, MODEL, JOURNAL = "BAND", "GROUND_M", "MODEL", "JOURNAL"
QUANTITY, SCALE = "QUANTITY", "SCALE"
RUNS_TABLE = "RUNS"
JOBS = "JOBS"
SINKS = {"detections": "DETECTIONS", "grid": "GRID", "answers": "ANSWERS", PLACES: "PLACES"}

_INTEGER = QgsProcessingParameterNumber.Type.Integer
_DOUBLE = QgsProcessingParameterNumber.Type.Double


class PriorParameter(QgsProcessingParameterEnum):
    """One of the sources of a prior, or a file: the toolbox offers the sources, all else takes a path too."""

    def __init__(self, other: PriorParameter | None = None) -> None:
        if other is not None:
            super().__init__(other)
            return
        super().__init__(
            PRIOR,
            translate("Processing", "Prior (AlphaEarth vectors of the place)"),
            list(PRIOR_SOURCES),
            defaultValue=AUTO_PRIOR,
            usesStaticStrings=True,
        )

    def clone(self) -> QgsProcessingParameterDefinition:
        """Return a copy, which takes files as well."""
        return PriorParameter(self)

    def checkValueIsAcceptable(  # noqa: N802 - QGIS calls it by this name
        self, value: Any, context: QgsProcessingContext | None = None
    ) -> bool:
        """Whether it is a source, or a file or raster layer that is there."""
        if super().checkValueIsAcceptable(value, context):
            return True
        return bool(value) and Path(_file_of(value, context)).is_file()


def prior_of(
    algorithm: QgsProcessingAlgorithm, parameters: dict[str, Any], context: QgsProcessingContext
) -> str:
    """Return what ``inputs.prior`` is to be: a source, or the path of a file; to be called in the GUI thread."""
    named = algorithm.parameterAsString(parameters, PRIOR_FILE, context)
    asked = parameters.get(PRIOR)
    if not isinstance(asked, QgsRasterLayer):
        asked = str(algorithm.parameterAsString(parameters, PRIOR, context) or AUTO_PRIOR)
    return asked if not named and asked in PRIOR_SOURCES else _file_of(named or asked, context)


def _file_of(value: Any, context: QgsProcessingContext | None) -> str:
    """Return the file of a path, of a raster layer, or of the name of one in the project; a path as it is if none."""
    if isinstance(value, QgsRasterLayer):
        return str(value.source())
    path = Path(str(value))
    if path.is_file():
        return str(path.absolute())  # the backend has a working folder of its own
    layer = None if context is None else QgsProcessingUtils.mapLayerFromString(str(value), context, False)
    return str(value if layer is None else layer.source())


def with_help(
    parameter: QgsProcessingParameterDefinition, words: str = "", *, advanced: bool = False
) -> QgsProcessingParameterDefinition:
    """Give a parameter the help that its tool tip shows, and fold it away if it is ``advanced``."""
    parameter.setHelp(words)
    if advanced:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def rasters() -> QgsProcessingParameterDefinition:
    """Return the parameter of the rasters."""
    return with_help(
        QgsProcessingParameterMultipleLayers(
            RASTERS, translate("Processing", "SAR rasters"), QgsProcessing.SourceType.TypeRaster
        ),
        translate(
            "Processing",
            "Files or layers, each with a georeference. One that cannot be opened is listed, and "
            "costs no other.",
        ),
    )


def areas() -> QgsProcessingParameterDefinition:
    """Return the parameter of the areas."""
    polygons = [QgsProcessing.SourceType.TypeVectorPolygon]
    return with_help(
        QgsProcessingParameterFeatureSource(AREAS, translate("Processing", "Areas"), polygons, optional=True),
        translate(
            "Processing",
            "One interpretation for each polygon, such as each place that a search has found. Without it, the whole "
            "raster.",
        ),
    )


def targets() -> QgsProcessingParameterDefinition:
    """Return the parameter of the targets."""
    return with_help(
        QgsProcessingParameterString(
            TARGETS, translate("Processing", "Targets, separated by commas"), optional=True
        ),
        translate("Processing", "Such as: ship, plane. Empty: all that the model knows."),
    )


def question(*, optional: bool) -> QgsProcessingParameterDefinition:
    """Return the parameter of the question in words."""
    return with_help(
        QgsProcessingParameterString(
            QUESTION, translate("Processing", "Question"), multiLine=True, optional=optional
        ),
        translate(
            "Processing",
            "In your own words, for the task ask; the other tasks do not read it.",
        ),
    )


def task(tasks: list[str]) -> QgsProcessingParameterDefinition:
    """Return the parameter of the task."""
    return with_help(
        QgsProcessingParameterEnum(
            TASK, translate("Processing", "Task"), tasks, defaultValue=tasks[0], usesStaticStrings=True
        ),
        translate(
            "Processing",
            "detect: a box around each object. locate: the cells of a 3 by 3 grid with objects. count: how many. "
            "describe: the area in words. ask: your own question.",
        ),
    )


def findings(kind: str, *, optional: bool, by_default: bool) -> QgsProcessingParameterDefinition:
    """Return the sink of one kind of findings."""
    words = {
        "detections": translate("Processing", "Detections"),
        "grid": translate("Processing", "Grid"),
        "answers": translate("Processing", "Answers"),
        PLACES: translate("Processing", "Places"),
    }
    helps = {
        "detections": translate(
            "Processing",
            "A box for each object: class, size in metres, objectness, confidence, scene and area.",
        ),
        "grid": translate(
            "Processing",
            "Nine cells for each chip; “hit” says which of them have a target.",
        ),
        "answers": translate(
            "Processing",
            "Answers in words and numbers, and what the model said that nobody understood.",
        ),
        PLACES: translate("Processing", "What a search found, the best first: rank, percentile, similarity."),
    }
    sink = QgsProcessingParameterFeatureSink(
        SINKS[kind],
        words[kind],
        QgsProcessing.SourceType.TypeVectorPolygon,
        optional=optional,
        createByDefault=by_default,
    )
    return with_help(sink, helps[kind])


def runs() -> QgsProcessingParameterDefinition:
    """Return the sink of the table of runs."""
    return with_help(
        QgsProcessingParameterFeatureSink(
            RUNS_TABLE,
            translate("Processing", "Runs: what was done, with provenance, and what was left out"),
            QgsProcessing.SourceType.TypeVector,
            optional=True,
            createByDefault=False,
        ),
        translate(
            "Processing",
            "A table with a row for each pair of raster and area: done or why not, model, prior, version.",
        ),
    )


def add_choices(algorithm: QgsProcessingAlgorithm) -> None:
    """Declare prior, year, band, its numbers, ground and model."""
    for parameter in (*_priors(), *_views()):
        algorithm.addParameter(parameter)


def add_numbers(algorithm: QgsProcessingAlgorithm) -> None:
    """Declare the counts that come out."""
    for name, words in (
        ("DONE", translate("Processing", "Finished (scene, area) pairs")),
        ("RESUMED", translate("Processing", "Of these, from the journal")),
        ("FAILED", translate("Processing", "Pairs that failed")),
        ("SKIPPED", translate("Processing", "Rasters that could not be used")),
        ("FINDINGS", translate("Processing", "Number of findings")),
    ):
        algorithm.addOutput(QgsProcessingOutputNumber(name, words))


def _priors() -> list[QgsProcessingParameterDefinition]:
    prior = PriorParameter()
    network = QgsProcessingParameterBoolean(
        NETWORK, translate("Processing", "Fetch the prior from the network"), may_fetch()
    )
    file = QgsProcessingParameterFile(
        PRIOR_FILE,
        translate("Processing", "Prior from a file (64-band raster, npz, npy) instead"),
        optional=True,
    )
    year = QgsProcessingParameterNumber(
        YEAR,
        translate("Processing", "Year of the prior"),
        _INTEGER,
        optional=True,
        minValue=PRIOR_YEARS[0],
        maxValue=PRIOR_YEARS[1],
    )
    without = QgsProcessingParameterBoolean(
        NO_PRIOR, translate("Processing", "Go on without a prior where none can be had"), False
    )
    return [
        with_help(
            prior,
            translate(
                "Processing",
                "auto: what is at hand, such as a file beside the scene, else AlphaEarth, else none. none: from the "
                "image alone. cog: public files. earth-engine: your own account. A script or model may give the path "
                "of a file, or a raster layer, instead.",
            ),
        ),
        with_help(
            network,
            translate(
                "Processing",
                "AlphaEarth tiles of each place are then fetched by the backend; only the tile numbers leave it. As "
                "you have answered in the options; without an answer nothing is fetched.",
            ),
        ),
        with_help(
            file,
            translate(
                "Processing",
                "As “Prior” takes it too: for the toolbox, and for a raster that a model's earlier "
                "step has made.",
            ),
        ),
        with_help(year, translate("Processing", "Empty: the year of the scene."), advanced=True),
        with_help(
            without,
            translate(
                "Processing",
                "Else a pair without the prior that was named fails. “auto” always goes on.",
            ),
            advanced=True,
        ),
    ]


def band() -> QgsProcessingParameterDefinition:
    """Return the parameter of the band."""
    number = QgsProcessingParameterNumber(
        BAND, translate("Processing", "Band"), _INTEGER, optional=True, minValue=1
    )
    return with_help(number, translate("Processing", "Empty: VV, else HH, else the first."), advanced=True)


def _views() -> list[QgsProcessingParameterDefinition]:
    ground = QgsProcessingParameterNumber(
        GROUND,
        translate("Processing", "Ground side of a chip in metres"),
        _DOUBLE,
        optional=True,
        minValue=1,
    )
    model = QgsProcessingParameterString(MODEL, translate("Processing", "Model"), optional=True)
    return [
        band(),
        *numbers(),
        with_help(ground, translate("Processing", "Empty: as the model was trained."), advanced=True),
        with_help(
            model,
            translate("Processing", "A name that the backend offers. Empty: the one it runs."),
            advanced=True,
        ),
    ]


def numbers() -> list[QgsProcessingParameterDefinition]:
    """Return the parameters of what the numbers of a band are."""
    quantity = QgsProcessingParameterEnum(
        QUANTITY,
        translate("Processing", "What the numbers of the band are"),
        list(QUANTITIES),
        optional=True,
        usesStaticStrings=True,
    )
    scale = QgsProcessingParameterNumber(
        SCALE,
        translate("Processing", "What the stored numbers are multiplied by"),
        _DOUBLE,
        optional=True,
        minValue=1e-12,
        maxValue=1e12,
    )
    return [
        with_help(
            quantity,
            translate("Processing", "Empty: judged by names, units, range and texture."),
            advanced=True,
        ),
        with_help(
            scale,
            translate("Processing", "Such as 0.01 for decibels times 100. Empty: as the file states."),
            advanced=True,
        ),
    ]


def journal() -> QgsProcessingParameterDefinition:
    """Return the parameter of the journal."""
    return with_help(
        QgsProcessingParameterFile(
            JOURNAL,
            translate("Processing", "Journal file"),
            fileFilter=translate("Processing", "Journals") + " (*.jsonl)",
            optional=True,
        ),
        translate(
            "Processing",
            "Finished pairs are kept in it, and the same batch goes on from there after a stop or a crash. "
            "Empty: a file of the QGIS profile, removed when the batch is complete.",
        ),
        advanced=True,
    )


def is_temporary(destination: Any) -> bool:
    """Whether nobody has named a place for this output."""
    if isinstance(destination, QgsProcessingOutputLayerDefinition):
        destination = destination.sink.staticValue()
    return destination in (None, "", QgsProcessing.TEMPORARY_OUTPUT)


def batch_help(words: str) -> str:
    """Return the help of an algorithm: what it does, then what all batches have in common."""
    common = translate(
        "Processing",
        "The model runs in the FUSAR-GPT backend: the one of the options, or a child process that starts now and "
        "ends with QGIS. A raster that cannot be opened is listed in the log and costs no other. After a stop or a "
        "crash, start the same again: finished pairs come from the journal. The layers are in the CRS of the first "
        "raster. The bundled model is a demonstration: do not rely on its answers.",
    )
    return f"<p>{words}</p><p>{common}</p>"

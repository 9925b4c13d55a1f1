"""Fetch the AEF prior of an extent as a raster, by ``fusar prior fetch``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingParameterEnum,
    QgsProcessingParameterExtent,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
)
from qgis.PyQt.QtCore import QProcess

from ..connection.command import clean_environment, fusar_executable
from ..contract import FETCHED_PRIORS
from ..contract.limits import PRIOR_YEARS
from ..translation import QT_TRANSLATE_NOOP, translate
from .base import PRIORS, FusarAlgorithm
from .parameters import with_help

EXTENT, YEAR, SOURCE, OUTPUT = "EXTENT", "YEAR", "SOURCE", "OUTPUT"
_POLL_MS = 100
_STOP_MS = 2000


class FetchPrior(FusarAlgorithm):
    """An extent and a year in, a 64-band raster out."""

    NAME = "fetchprior"
    TITLE = QT_TRANSLATE_NOOP("Processing", "Fetch AlphaEarth prior")
    HELP = QT_TRANSLATE_NOOP(
        "Processing",
        "Fetches the AlphaEarth Foundations embeddings of a place and year as a raster of 64 bands (int8 "
        "codes, 10 m), which “Prior from a file” of the other algorithms takes, to work offline later. It "
        "needs the network, and “fusar” on this computer; “fusar prior doctor” in a terminal says which "
        "source works. CC-BY 4.0: “The AlphaEarth Foundations Satellite Embedding dataset is produced by "
        "Google and Google DeepMind.”",
    )
    GROUP = PRIORS
    TAGS = ("AlphaEarth", "AEF", "embedding", "satellite", "download")

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        self.addParameter(
            with_help(
                QgsProcessingParameterExtent(EXTENT, translate("Processing", "Extent")),
                translate(
                    "Processing",
                    "The ground that the prior covers: that of the scenes it is for, in any CRS.",
                ),
            )
        )
        self.addParameter(
            with_help(
                QgsProcessingParameterNumber(
                    YEAR,
                    translate("Processing", "Year"),
                    QgsProcessingParameterNumber.Type.Integer,
                    2024,
                    minValue=PRIOR_YEARS[0],
                    maxValue=PRIOR_YEARS[1],
                ),
                translate(
                    "Processing",
                    "The year that the embeddings describe, best that of the scene.",
                ),
            )
        )
        source = QgsProcessingParameterEnum(
            SOURCE,
            translate("Processing", "Source"),
            list(FETCHED_PRIORS),
            defaultValue="auto",
            usesStaticStrings=True,
        )
        self.addParameter(
            with_help(
                source,
                translate(
                    "Processing",
                    "auto: the first source that covers the extent. cog: public files. earth-engine: your own account.",
                ),
            )
        )
        self.addParameter(
            with_help(
                QgsProcessingParameterRasterDestination(OUTPUT, translate("Processing", "Prior (GeoTIFF)")),
                translate(
                    "Processing",
                    "A GeoTIFF of 64 bands (int8). Beside a scene, named as it with _prior, it is "
                    "found by itself.",
                ),
            )
        )

    def checkParameterValues(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """A prior is a GeoTIFF."""
        fine, reason = super().checkParameterValues(parameters, context)
        if fine and Path(self.parameterAsOutputLayer(parameters, OUTPUT, context)).suffix.lower() != ".tif":
            return False, translate("Processing", "Name an output file that ends in .tif.")
        return fine, reason

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read the settings in the GUI thread."""
        self._executable = fusar_executable()
        if not self._executable:
            raise QgsProcessingException(
                translate(
                    "Processing",
                    "A prior is fetched by the program “fusar” of this computer, which was not found. Install it "
                    "with “pip install fusar-gpt”, or set the variable FUSAR_EXECUTABLE.",
                )
            )
        return True

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run ``fusar prior fetch``."""
        wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
        extent = self.parameterAsExtent(parameters, EXTENT, context, wgs84)
        sides = (extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum())
        out = self.parameterAsOutputLayer(parameters, OUTPUT, context)
        words = ["prior", "fetch", "--bbox", ",".join(f"{side:.9f}" for side in sides)]
        words += ["--year", str(self.parameterAsInt(parameters, YEAR, context)), "--out", out]
        words += ["--source", self.parameterAsEnumString(parameters, SOURCE, context)]
        said = _run(self._executable, words, feedback)
        if feedback.isCanceled():
            return {}
        if not Path(out).exists():
            raise QgsProcessingException(
                said
                or translate(
                    "Processing",
                    "The prior could not be fetched, and “fusar” gave no reason. Run “fusar prior doctor” in a "
                    "terminal.",
                )
            )
        return {OUTPUT: out}


def _run(program: str, words: list[str], feedback: QgsProcessingFeedback) -> str:
    """Run a program, log what it says as it comes, stop it with the analyst; return its last line."""
    process = QProcess()
    process.setProcessEnvironment(clean_environment())
    process.setProcessChannelMode(QProcess.ProcessChannelMode.MergedChannels)
    process.start(program, words)
    last, running = "", True
    while running:
        running = not process.waitForFinished(_POLL_MS) and (
            process.state() != QProcess.ProcessState.NotRunning
        )
        while process.canReadLine() or (not running and process.bytesAvailable()):
            last = bytes(process.readLine()).decode("utf-8", "replace").strip().removeprefix("fusar: ")
            feedback.pushInfo(last)
        if feedback.isCanceled():
            process.terminate()
            if not process.waitForFinished(_STOP_MS):
                process.kill()
                process.waitForFinished(_STOP_MS)
            return ""
    return last or str(process.errorString())

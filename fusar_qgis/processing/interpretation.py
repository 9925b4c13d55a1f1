"""The base of the algorithms that ask the model: rasters and polygons in, findings out, resumable."""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsFeatureRequest,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsVectorLayer,
)

from .. import compat
from ..connection.backend import BackendChoice, ChoiceError
from ..connection.child import ChildBackend
from ..connection.diagnosis import RequestError
from ..contract import FETCHED_PRIORS, SEARCHES, Task
from ..core.journal import Journal, key_of
from ..layers.features import fields_of
from ..layers.storage import storable
from ..translation import translate
from . import parameters as declared
from .base import FusarAlgorithm
from .batch import Batch, Outcome
from .items import BatchItem, OpenScene, Place, RasterSource, items_of, open_scenes, raster_sources
from .parameters import AREAS, QUESTION, RASTERS, SINKS, TARGETS, batch_help
from .results import COLUMNS, BatchLog, FindingsSink, LayerPostProcessor, RunsTable, style_findings

_ANSWERS = "answers"
_MAIN_KIND = {"detect": "detections", "locate": "grid"}
_KEEP_S = 30 * 24 * 3600


class InterpretationAlgorithm(FusarAlgorithm):
    """A batch of interpretations.

    Attributes:
        TASK: The task, or empty where it is a parameter.
        KINDS: The kinds of findings that it writes, the main one first.
        SHOWN: Those besides the main one that are written if nobody says otherwise.
        PLACES: The parameter of the polygons.
    """

    TASK = ""
    KINDS: tuple[str, ...] = (_ANSWERS,)
    SHOWN: tuple[str, ...] = ()
    PLACES = AREAS

    def initAlgorithm(self, configuration: dict[str, Any] | None = None) -> None:  # noqa: N802 - QGIS's name
        """Declare the parameters and outputs."""
        self.add_inputs()
        declared.add_choices(self)
        self.addParameter(declared.journal())
        self.add_sinks()
        self.addParameter(declared.runs())
        declared.add_numbers(self)

    def add_inputs(self) -> None:
        """Declare where to look and what for."""
        self.addParameter(declared.rasters())
        self.addParameter(declared.areas())
        if self.TASK in SEARCHES:
            self.addParameter(declared.targets())

    def add_sinks(self) -> None:
        """Declare the layers that come out."""
        for kind in self.KINDS:
            main = bool(self.TASK) and kind == self.KINDS[0]
            shown = main or kind in self.SHOWN or not self.TASK
            self.addParameter(declared.findings(kind, optional=not main, by_default=shown))

    def checkParameterValues(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        """Check everything but whether each raster opens: a bad one is listed at the end, and costs no other."""
        if not raster_sources(parameters, RASTERS, context):
            return False, translate("Processing", "Choose at least one raster.")
        unchecked = {**parameters, RASTERS: [QgsVectorLayer("None", "", "memory")]}  # any layer passes
        fine, words = super().checkParameterValues(unchecked, context)
        asking = fine and self.task(parameters, context) == "ask"
        if asking and not self.parameterAsString(parameters, QUESTION, context).strip():
            return False, translate("Processing", "The task ask needs a question.")
        return fine, words

    def prepareAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> bool:
        """Read what only the GUI thread may: the settings, and which layer is which file."""
        self._rasters = raster_sources(parameters, RASTERS, context)
        self._prior = declared.prior_of(self, parameters, context)
        self._child: ChildBackend = self.provider().child
        try:
            self._choice = BackendChoice.of_settings()
        except ChoiceError as error:
            raise QgsProcessingException(str(error)) from error
        return True

    def processAlgorithm(  # noqa: N802 - QGIS calls it by this name
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run the batch."""
        items, bad = self.open_items(parameters, context, feedback)
        journal, stays = self._open_journal(parameters, context, items)
        feedback.pushInfo(translate("Processing", "Journal: {path}").format(path=journal.path))
        self.open_sinks(parameters, context, self._crs, self.task(parameters, context))
        table = RunsTable(
            *self.parameterAsSink(
                parameters, declared.RUNS_TABLE, context, RunsTable.fields(), compat.NO_GEOMETRY,
                QgsCoordinateReferenceSystem(),
            )
        )  # fmt: skip
        log = BatchLog(feedback, len(bad))
        for raster, reason in bad:
            table.skip(raster.name, reason)
        try:
            for outcome in Batch(self._choice, self._child, journal, feedback).run(items):
                self.add_outcome(outcome)
                log.add_outcome(outcome)
                table.add_outcome(outcome)
        except (RequestError, OSError) as error:
            raise QgsProcessingException(_resumable(str(error))) from error
        if feedback.isCanceled():
            feedback.pushInfo(_resumable(translate("Processing", "Cancelled.")))
            return {}
        log.summary()
        if not log.done:
            raise QgsProcessingException(
                translate("Processing", "Nothing could be interpreted: {reason}").format(reason=log.reason)
            )
        if not stays and not log.failed:
            with suppress(OSError):
                journal.remove()
        return {**self.close_sinks(context, log.runs), **table.result(), **log.numbers()}

    def shortHelpString(self) -> str:  # noqa: N802 - QGIS calls it by this name
        """Return the help."""
        return batch_help(super().shortHelpString())

    def open_items(
        self, parameters: dict[str, Any], context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> tuple[list[BatchItem], list[tuple[RasterSource, str]]]:
        """Return the batch, and the rasters that cannot be used with the reason."""
        scenes, bad = self._open_scenes(feedback)
        self._crs = scenes[0].crs
        asked = self.asked(parameters, context, self.task(parameters, context))
        items = self.items(parameters, context, scenes, asked)
        if asked["prior"] in FETCHED_PRIORS and not asked["prior_network"]:
            feedback.pushInfo(
                translate(
                    "Processing",
                    "No prior is fetched from the network: only what is at hand is used. “Fetch the prior from the "
                    "network” of this algorithm, or of the plugin's options, changes that.",
                )
            )
        feedback.pushInfo(
            translate("Processing", "{items} jobs on {rasters} rasters").format(
                items=len(items), rasters=len(scenes)
            )
        )
        return items, bad

    def task(self, parameters: dict[str, Any], context: QgsProcessingContext) -> str:
        """Return the task."""
        return self.TASK

    def asked(self, parameters: dict[str, Any], context: QgsProcessingContext, task: str) -> dict[str, Any]:
        """Return the fields of each request but for scene, area and boxes."""
        targets = self.parameterAsString(parameters, TARGETS, context).split(",")
        return {
            "task": Task(task),
            "targets": tuple(word.strip() for word in targets if word.strip() and task in SEARCHES),
            "question": self.parameterAsString(parameters, QUESTION, context) if task == "ask" else None,
            "model": self.parameterAsString(parameters, declared.MODEL, context) or None,
            "prior": self._prior,
            "prior_network": self.parameterAsBool(parameters, declared.NETWORK, context),
            "allow_no_prior": self.parameterAsBool(parameters, declared.NO_PRIOR, context),
            "year": self._number(parameters, declared.YEAR, context, int),
            "band": self._number(parameters, declared.BAND, context, int),
            "quantity": self.parameterAsEnumString(parameters, declared.QUANTITY, context) or None,
            "scale": self._number(parameters, declared.SCALE, context, float),
            "ground_m": self._number(parameters, declared.GROUND, context, float),
        }

    def items(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        scenes: list[OpenScene],
        asked: dict[str, Any],
    ) -> list[BatchItem]:
        """Return the batch."""
        source = self.parameterAsSource(parameters, self.PLACES, context)
        crs = QgsCoordinateReferenceSystem()
        places: list[Place] = []
        if source is not None:
            crs = source.sourceCrs()
            if not crs.isValid():
                raise QgsProcessingException(
                    translate("Processing", "The polygons have no CRS. Set it in the layer's properties.")
                )
            features = source.getFeatures(QgsFeatureRequest().setNoAttributes())
            places = [Place(one.id(), one.geometry()) for one in features if one.hasGeometry()]
        found = items_of(scenes, places, crs, asked, context.transformContext())
        if not found:
            raise QgsProcessingException(
                translate("Processing", "No polygon lies on a raster. Check the CRS of both.")
            )
        return found

    def open_sinks(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        crs: QgsCoordinateReferenceSystem,
        task: str,
    ) -> None:
        """Open the sink of what the task gives, and those that somebody has named a place for.

        What else may come, answers that nobody understood, makes its layer when there is the first.
        """
        self._sinks: dict[str, FindingsSink] = {}
        self._wanted = (parameters, context, storable(crs))
        for kind in self.KINDS:
            if kind == _MAIN_KIND.get(task, _ANSWERS) or not declared.is_temporary(
                parameters.get(SINKS[kind])
            ):
                self._open_sink(kind)

    def add_outcome(self, outcome: Outcome) -> None:
        """Write the result of an item."""
        for finding in outcome.entry.findings if outcome.entry else ():
            kind = finding.layer
            if kind in self._sinks or (kind in self.KINDS and self._open_sink(kind)):
                self._sinks[kind].add(finding, outcome.item.scene.name, outcome.item.area)

    def _open_sink(self, kind: str) -> bool:
        """Open a sink; whether somebody wants it."""
        parameters, context, crs = self._wanted
        fields = fields_of(COLUMNS[kind])
        sink, layer = self.parameterAsSink(parameters, SINKS[kind], context, fields, compat.MULTIPOLYGON, crs)
        if sink is not None:
            self._sinks[kind] = FindingsSink(kind, sink, layer, crs, context)
        return sink is not None

    def close_sinks(self, context: QgsProcessingContext, runs: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the layers by output name, to be styled when they are loaded."""
        layers = {}
        for kind, sink in self._sinks.items():
            layers[SINKS[kind]] = sink.layer
            LayerPostProcessor.plan(sink.layer, context, partial(style_findings, kind, sink.labels, runs))
        self._sinks = {}
        return layers

    def _open_scenes(
        self, feedback: QgsProcessingFeedback
    ) -> tuple[list[OpenScene], list[tuple[RasterSource, str]]]:
        scenes, bad = [], []
        for raster, scene, reason in open_scenes(self._rasters):
            if scene is not None:
                scenes.append(scene)
                continue
            bad.append((raster, reason))
            feedback.reportError(
                translate("Processing", "Left out: {raster}: {reason}").format(
                    raster=raster.source, reason=reason
                )
            )
        if not scenes:
            raise QgsProcessingException(
                translate("Processing", "No raster can be interpreted: {reason}").format(reason=bad[0][1])
            )
        return scenes, bad

    def _open_journal(
        self, parameters: dict[str, Any], context: QgsProcessingContext, items: list[BatchItem]
    ) -> tuple[Journal, bool]:
        """Return the journal, and whether it stays when the batch is complete."""
        named = self.parameterAsString(parameters, declared.JOURNAL, context)
        try:
            if named:
                return Journal(Path(named)), True
            folder = Path(QgsApplication.qgisSettingsDirPath()) / "fusar" / "journals"
            _forget_old(folder)
            return Journal(folder / f"{key_of([item.key(()) for item in items])[:32]}.jsonl"), False
        except OSError as error:
            raise QgsProcessingException(
                translate("Processing", "The journal cannot be used: {error}. Name another file.").format(
                    error=error
                )
            ) from error

    def _number(
        self, parameters: dict[str, Any], name: str, context: QgsProcessingContext, kind: type
    ) -> Any:
        if parameters.get(name) in (None, ""):
            return None
        read = self.parameterAsInt if kind is int else self.parameterAsDouble
        return read(parameters, name, context)


def _forget_old(folder: Path) -> None:
    """Delete journals of batches that nobody has taken up again for a month."""
    for path in folder.glob("*.jsonl"):
        with suppress(OSError):
            if time.time() - path.stat().st_mtime > _KEEP_S:
                path.unlink()


def _resumable(text: str) -> str:
    return translate(
        "Processing",
        "{text} What is finished is in the journal: start the same again to go on from there.",
    ).replace("{text}", text if text.endswith(".") else f"{text}.")

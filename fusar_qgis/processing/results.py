"""What a batch writes: findings and runs, all scenes in one CRS, styled as the toolbar's; and its log."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsVectorLayer,
)

from ..contract import LAYER_COLUMNS, Finding
from ..core.counting import Cells, Counts
from ..layers.features import feature_of, fields_of, outline_in
from ..layers.findings_layer import RUN_PROPERTY
from ..layers.styles import style
from ..layers.wording import cells_in_words, count_in_words, findings_in_words, lacks_prior, run_caveats
from ..translation import translate
from .batch import Outcome
from .parameters import RUNS_TABLE

_UNCLEAR = "unclear"
_LONG = ("area",)
_WHERE = {"scene": str, "area": int}
COLUMNS = {kind: {**columns, **_WHERE} for kind, columns in LAYER_COLUMNS.items()}
"""The columns of each kind of finding: those that ``fusar interpret`` writes, then scene and area."""

RUNS: dict[str, type] = {
    **_WHERE,
    "status": str,
    "reason": str,
    "id": str,
    "version": str,
    "model": str,
    "model_hash": str,
    "demonstration": bool,
    "task": str,
    "targets": str,
    "prompts": str,
    "scene_fingerprint": str,
    "scene_simulated": bool,
    "band": str,
    "quantity": str,
    "chip_ground_m": float,
    "started": str,
    "prior": str,
    "prior_asked": str,
    "prior_year": int,
    "prior_note": str,
    "prior_attribution": str,
    "attribution": str,
    "warnings": str,
    "data_share": float,
    "score_meaning": str,
    "confidence_meaning": str,
}
"""The columns of the table of runs."""


class FindingsSink:
    """Takes findings of one kind in any CRS and writes them in the sink's."""

    def __init__(
        self,
        kind: str,
        sink: QgsFeatureSink,
        layer: str,
        crs: QgsCoordinateReferenceSystem,
        context: QgsProcessingContext,
    ) -> None:
        self.layer = layer
        self.labels: set[str] = set()
        self._fields = fields_of(COLUMNS[kind])
        self._sink = sink
        self._crs = crs
        self._context = context

    def add(self, finding: Finding, scene: str, area: int | None) -> None:
        """Write a finding of ``scene`` and the feature ``area``. Raises QgsProcessingException."""
        known = {**finding.properties, "id": finding.id, "scene": scene, "area": area}
        outline = outline_in(finding, self._crs, self._context.transformContext())
        write(self._sink, feature_of(self._fields, known, outline))
        self.labels.add(str(finding.properties.get("label")))


def write(sink: QgsFeatureSink, feature: QgsFeature) -> None:
    """Write a feature. Raises QgsProcessingException where there is no room, say."""
    if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
        raise QgsProcessingException(
            translate(
                "Processing", "A result cannot be written ({reason}). Check the folder and its free space."
            ).format(reason=sink.lastError())
        )


class LayerPostProcessor(QgsProcessingLayerPostProcessorInterface):
    """Does ``work`` to a layer once it is loaded."""

    _kept: dict[str, LayerPostProcessor] = {}  # QGIS keeps no reference to what Python made  # noqa: RUF012

    def __init__(self, work: Callable[[QgsMapLayer], None]) -> None:
        super().__init__()
        self._work = work

    @classmethod
    def plan(cls, layer: str, context: QgsProcessingContext, work: Callable[[QgsMapLayer], None]) -> None:
        """Have ``work`` done to the layer, if it is loaded at all."""
        if context.willLoadLayerOnCompletion(layer):
            cls._kept[layer] = cls(work)
            context.layerToLoadOnCompletionDetails(layer).setPostProcessor(cls._kept[layer])

    def postProcessLayer(  # noqa: N802 - QGIS calls it by this name
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Do it."""
        self._work(layer)


def style_findings(kind: str, labels: set[str], runs: list[dict[str, Any]], layer: QgsVectorLayer) -> None:
    """Style a layer of findings as the toolbar's, and give it the provenance of its runs."""
    style(layer, kind, sorted(labels))
    if len(runs) == 1:
        layer.setCustomProperty(RUN_PROPERTY, json.dumps(runs[0], ensure_ascii=False))
    metadata = layer.metadata()
    for run in runs:
        metadata.addHistoryItem(
            f"FUSAR-GPT {run.get('version')}, {run.get('model')} {run.get('model_hash')}, "
            f"{run.get('scene')}, {run.get('prior')}, {run.get('started')}"
        )
    rights = (run.get(name) for run in runs for name in ("attribution", "prior_attribution"))
    metadata.setRights(sorted({str(words) for words in rights if words}))
    layer.setMetadata(metadata)


class BatchLog:
    """Counts the results of a batch and reports them in the log."""

    def __init__(self, feedback: QgsProcessingFeedback, skipped: int) -> None:
        self.done = self.resumed = self.failed = self.without_prior = 0
        self.reason = ""
        self.runs: list[dict[str, Any]] = []
        self._skipped = skipped
        self._counts: Counter[str] = Counter()
        self._feedback = feedback
        self._known: set[tuple[Any, ...]] = set()

    def add_outcome(self, outcome: Outcome) -> None:
        """Count and log the result of an item."""
        item, entry = outcome.item, outcome.entry
        if entry is None:
            self.failed += item.weight
            self.reason = self.reason or outcome.reason
            self._feedback.reportError(
                translate("Processing", "Failed: {name}: {reason}").format(
                    name=item.name, reason=outcome.reason
                )
            )
            return
        self.done += item.weight
        self.resumed += item.weight * outcome.resumed
        self.without_prior += item.weight * lacks_prior(entry.run)
        found: Counter[str] = Counter(finding.layer for finding in entry.findings)
        found[_UNCLEAR] = sum(finding.is_unclear for finding in entry.findings)
        self._counts += found
        self._provenance(entry.run)
        counts, cells = Counts(), Cells()
        for finding in entry.findings:
            counts.add(finding)
            cells.add(finding)
        numbers = [*map(count_in_words, counts.areas()), *cells_in_words(cells)]
        said = ", ".join([*numbers, *findings_in_words(found)])
        origin = translate("Processing", " (from the journal)") if outcome.resumed else ""
        said = said or translate("Processing", "nothing found")
        self._feedback.pushInfo(f"{item.name}: {said}{origin}")

    def _provenance(self, run: dict[str, Any]) -> None:
        """Log a run's provenance where a new scene, model or prior comes into it."""
        new = tuple(run.get(name) for name in ("scene_fingerprint", "model_hash", "prior", "version"))
        if new not in self._known:
            self._known.add(new)
            self.runs.append(run)
            self._feedback.pushInfo(f"{run.get('scene', '')}: {run_caveats(run)}\n{provenance_lines(run)}")

    def summary(self) -> None:
        """Log the counts."""
        self._feedback.pushInfo(
            translate(
                "Processing",
                "{done} done, {resumed} of them from the journal; {failed} failed; {skipped} rasters left out; "
                "{unclear} answers not understood.",
            ).format(
                done=self.done,
                resumed=self.resumed,
                failed=self.failed,
                skipped=self._skipped,
                unclear=self._counts[_UNCLEAR],
            )
        )

        if self.without_prior:
            self._feedback.pushWarning(
                translate(
                    "Processing",
                    "{n} without a prior, although one was asked for: see the column prior of each finding.",
                ).format(n=self.without_prior)
            )

    def numbers(self) -> dict[str, int]:
        """Return the counts by output name."""
        findings = sum(self._counts[kind] for kind in COLUMNS)
        return {
            "DONE": self.done,
            "RESUMED": self.resumed,
            "FAILED": self.failed,
            "SKIPPED": self._skipped,
            "FINDINGS": findings,
        }


class RunsTable:
    """The table of runs: a row for each item, and for each raster that could not be used."""

    def __init__(self, sink: QgsFeatureSink | None, layer: str) -> None:
        """Without a sink nobody wants it."""
        self._sink = sink
        self._layer = layer

    @staticmethod
    def fields() -> QgsFields:
        """Return its columns."""
        return fields_of(RUNS)

    def skip(self, raster: str, reason: str) -> None:
        """Write that a raster was left out."""
        self.add({"scene": raster, "status": "skipped", "reason": reason})

    def add_outcome(self, outcome: Outcome) -> None:
        """Write the result of an item."""
        entry, item = outcome.entry, outcome.item
        status = "failed" if entry is None else "resumed" if outcome.resumed else "done"
        where = {"scene": item.scene.name, "area": item.area}
        self.add({**(entry.run if entry else {}), **where, "status": status, "reason": outcome.reason})

    def result(self) -> dict[str, str]:
        """Return the layer by output name."""
        return {RUNS_TABLE: self._layer} if self._sink is not None else {}

    def add(self, known: dict[str, Any]) -> None:
        """Write a row by column name."""
        if self._sink is not None:
            write(self._sink, feature_of(self.fields(), known))


def provenance_lines(run: dict[str, Any]) -> str:
    """Return a run's provenance, a line each, without what is empty or as long as an outline."""
    return "\n".join(
        f"  {name}: {value}" for name, value in run.items() if value not in (None, "") and name not in _LONG
    )

"""What a batch writes: detections, grid, answers and runs, all scenes in one CRS, styled as the toolbar's."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsMapLayer,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
)
from qgis.PyQt.QtCore import QCoreApplication

from .. import compat
from ..contract import FINDING_COLUMNS, Finding
from ..layers.run_layers import geometry_of
from ..layers.scene import crs_of
from ..layers.storage import RUN_PROPERTY
from ..layers.styles import map_tip, style
from .pieces import Piece

translate = QCoreApplication.translate

_WHERE = {"scene": str, "area": int}
COLUMNS = {kind: {**columns, **_WHERE} for kind, columns in FINDING_COLUMNS.items()}
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
    "prior_year": int,
    "prior_note": str,
    "prior_attribution": str,
    "attribution": str,
    "score_meaning": str,
}
"""The columns of the table of runs."""


def fields_of(columns: dict[str, type]) -> QgsFields:
    """Return attribute fields for columns."""
    fields = QgsFields()
    for name, kind in columns.items():
        fields.append(compat.field(name, kind))
    return fields


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
        self._columns = COLUMNS[kind]
        self._fields = fields_of(self._columns)
        self._sink = sink
        self._crs = crs
        self._context = context
        self._transforms: dict[str, QgsCoordinateTransform] = {}

    def add(self, piece: Piece, finding: Finding) -> None:
        """Write a finding. Raises QgsProcessingException."""
        known = {**finding.properties, "id": finding.id, "scene": piece.scene.name, "area": piece.area}
        feature = QgsFeature(self._fields)
        feature.setAttributes([known.get(name) for name in self._columns])
        geometry = geometry_of(finding)
        transform = self._transform(finding.crs)
        if not transform.isShortCircuited():
            geometry.transform(transform)
        feature.setGeometry(geometry)
        write(self._sink, feature)
        self.labels.add(str(finding.properties.get("label")))

    def _transform(self, crs: str) -> QgsCoordinateTransform:
        if crs not in self._transforms:
            self._transforms[crs] = QgsCoordinateTransform(
                crs_of(crs), self._crs, self._context.transformContext()
            )
        return self._transforms[crs]


def write(sink: QgsFeatureSink, feature: QgsFeature) -> None:
    """Write a feature. Raises QgsProcessingException where there is no room, say."""
    if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
        raise QgsProcessingException(
            translate(
                "Processing", "A result cannot be written ({reason}). Check the folder and its free space."
            ).format(reason=sink.lastError())
        )


class Styling(QgsProcessingLayerPostProcessorInterface):
    """Styles a layer of findings once it is loaded."""

    _kept: dict[str, Styling] = {}  # QGIS keeps no reference to what Python made  # noqa: RUF012

    def __init__(self, kind: str, labels: set[str], runs: list[dict[str, Any]]) -> None:
        super().__init__()
        self._kind = kind
        self._labels = sorted(labels)
        self._runs = runs

    @classmethod
    def plan(cls, layer: str, context: QgsProcessingContext, styling: Styling) -> None:
        """Have ``styling`` done to the layer, if it is loaded at all."""
        if context.willLoadLayerOnCompletion(layer):
            cls._kept[layer] = styling
            context.layerToLoadOnCompletionDetails(layer).setPostProcessor(styling)

    def postProcessLayer(  # noqa: N802 - QGIS calls it by this name
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        """Style the layer and give it the provenance."""
        style(layer, self._kind, self._labels)
        layer.setMapTipTemplate(map_tip(layer))
        if len(self._runs) == 1:
            layer.setCustomProperty(RUN_PROPERTY, json.dumps(self._runs[0], ensure_ascii=False))
        metadata = layer.metadata()
        for run in self._runs:
            metadata.addHistoryItem(
                f"FUSAR-GPT {run.get('version')}, {run.get('model')} {run.get('model_hash')}, "
                f"{run.get('scene')}, {run.get('prior')}, {run.get('started')}"
            )
        said = (run.get(name) for run in self._runs for name in ("attribution", "prior_attribution"))
        metadata.setRights(sorted({str(words) for words in said if words}))
        layer.setMetadata(metadata)

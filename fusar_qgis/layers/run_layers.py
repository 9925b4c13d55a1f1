"""A run's findings on the map: one group, one styled memory layer for each kind, filled as findings come."""

from __future__ import annotations

import json
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFields,
    QgsGeometry,
    QgsLayerMetadata,
    QgsLayerTreeGroup,
    QgsPointXY,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, QTimer

from .. import compat
from ..core.events import Finding, Found
from .styles import map_tip, style
from .wording import run_name

_FLUSH_MS = 200
_LAYER_ORDER = ("detections", "grid", "answers")

# The type of what may be missing in the first finding, or look like an integer there.
_KINDS: dict[str, type] = {
    "score": float,
    "length_m": float,
    "width_m": float,
    "count": int,
    "cell": int,
    "chip": int,
    "prior_nodes": int,
    "prior_year": int,
    "hit": bool,
    "complete": bool,
    "demonstration": bool,
    "simulated": bool,
}


class RunLayers(QObject):
    """Adds a run's findings to the project as they come; bundles them, so that the map can keep up."""

    def __init__(self, run: dict[str, Any], parent: QObject) -> None:
        super().__init__(parent)
        self._run = run
        self._group: QgsLayerTreeGroup | None = None
        self._layers: dict[str, QgsVectorLayer] = {}
        self._dropped: set[str] = set()
        self._labels: list[str] = []
        self._unclear = 0
        self._rows: dict[str, tuple[str, int]] = {}  # finding id -> (layer, feature id)
        self._waiting: dict[str, Finding] = {}
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_FLUSH_MS)
        self._timer.timeout.connect(self.flush)
        QgsProject.instance().layersWillBeRemoved.connect(self._forget)

    def take(self, found: Found) -> None:
        """Take findings in; they are on the map a moment later."""
        old: dict[str, list[int]] = {}
        for finding_id in found.replaced:
            if self._waiting.pop(finding_id, None) is None and finding_id in self._rows:
                kind, row = self._rows.pop(finding_id)
                old.setdefault(kind, []).append(row)
        for kind, rows in old.items():
            if kind in self._layers:
                self._layers[kind].dataProvider().deleteFeatures(rows)
        self._waiting.update((finding.id, finding) for finding in found.added)
        if not self._timer.isActive():
            self._timer.start()

    def flush(self) -> None:
        """Put what waits on the map."""
        waiting, self._waiting = self._waiting, {}
        by_kind: dict[str, list[Finding]] = {}
        for finding in waiting.values():
            by_kind.setdefault(finding.layer, []).append(finding)
        for kind, findings in by_kind.items():
            if kind not in self._dropped:
                self._add(kind, findings)
        for layer in self._layers.values():
            layer.updateExtents()
            layer.triggerRepaint()

    def finish(self) -> dict[str, int]:
        """Put the rest on the map, let go of the layers and return how many features each kind has.

        ``answers`` are those that were understood, ``unclear`` the others.
        """
        self._timer.stop()
        self.flush()
        QgsProject.instance().layersWillBeRemoved.disconnect(self._forget)
        counts = {kind: layer.featureCount() for kind, layer in self._layers.items()}
        tree = QgsProject.instance().layerTreeRoot()
        for kind, layer in self._layers.items():
            node = tree.findLayer(layer)
            node.setExpanded(False)  # new categories have folded it up: only a change unfolds it
            node.setExpanded(True)
            if kind == "detections":
                node.setCustomProperty("showFeatureCount", 1)  # QGIS counts once, so only now
        counts["unclear"] = self._unclear
        counts["answers"] = counts.get("answers", 0) - self._unclear
        self._layers.clear()
        self.deleteLater()
        return counts

    def _add(self, kind: str, findings: list[Finding]) -> None:
        layer = self._layers.get(kind) or self._new_layer(kind, findings[0])
        if kind == "detections":
            new = {str(finding.properties.get("label")) for finding in findings}.difference(self._labels)
            if new:
                self._labels += sorted(new)
                style(layer, kind, self._labels)
        self._unclear += sum(finding.properties.get("complete") is False for finding in findings)
        _, features = layer.dataProvider().addFeatures([_feature(layer.fields(), one) for one in findings])
        for finding, feature in zip(findings, features):  # noqa: B905 - QGIS for Windows has Python 3.9
            self._rows[finding.id] = (kind, feature.id())

    def _new_layer(self, kind: str, first: Finding) -> QgsVectorLayer:
        layer = QgsVectorLayer("MultiPolygon", self._layer_name(kind), "memory")
        crs = QgsCoordinateReferenceSystem()
        crs.createFromUserInput(first.crs)
        layer.setCrs(crs)
        layer.dataProvider().addAttributes(
            [compat.field("id", str)]
            + [compat.field(name, _KINDS.get(name, type(value))) for name, value in _plain(first).items()]
        )
        layer.updateFields()
        style(layer, kind, self._labels)
        layer.setMapTipTemplate(map_tip(layer))
        layer.setMetadata(_metadata(self._run, layer, first.crs))
        layer.setCustomProperty("fusar/run", json.dumps(self._run, ensure_ascii=False))
        QgsProject.instance().addMapLayer(layer, False)
        below = [known for known in _LAYER_ORDER[: _LAYER_ORDER.index(kind)] if known in self._layers]
        group = self._its_group()
        group.insertLayer(len(below), layer)
        group.setExpanded(False)  # it was made empty, which the tree shows as closed: only a change opens it
        group.setExpanded(True)
        self._layers[kind] = layer
        return layer

    def _its_group(self) -> QgsLayerTreeGroup:
        root = QgsProject.instance().layerTreeRoot()
        if self._group is None or not self._layers:
            self._group = root.insertGroup(0, run_name(self._run))
        return self._group

    def _layer_name(self, kind: str) -> str:
        names = {"detections": self.tr("Detections"), "grid": self.tr("Grid"), "answers": self.tr("Answers")}
        return str(names.get(kind, kind))

    def _forget(self, layer_ids: list[str]) -> None:
        # What the analyst takes off the map in mid-run stays off.
        for kind, layer in list(self._layers.items()):
            if layer.id() in layer_ids:
                del self._layers[kind]
                self._dropped.add(kind)


def _plain(finding: Finding) -> dict[str, Any]:
    """Return the properties a table can hold, with None's type left to ``_KINDS`` or text."""
    return {
        name: "" if value is None else value
        for name, value in finding.properties.items()
        if value is None or isinstance(value, (bool, int, float, str))
    }


def _feature(fields: QgsFields, finding: Finding) -> QgsFeature:
    feature = QgsFeature(fields)
    feature.setAttributes([finding.id] + [finding.properties.get(field.name()) for field in list(fields)[1:]])
    feature.setGeometry(
        QgsGeometry.fromMultiPolygonXY(
            [[[QgsPointXY(*point) for point in ring] for ring in polygon] for polygon in finding.polygons]
        )
    )
    return feature


def _metadata(run: dict[str, Any], layer: QgsVectorLayer, crs: str) -> QgsLayerMetadata:
    metadata = QgsLayerMetadata()
    metadata.setIdentifier(str(run.get("id", "")))
    metadata.setTitle(run_name(run))
    metadata.setType("dataset")
    metadata.setCrs(layer.crs())
    metadata.setAbstract(
        "\n".join(f"{name}: {value}" for name, value in run.items() if value not in (None, ""))
    )
    rights = [str(run[name]) for name in ("attribution", "prior_attribution") if run.get(name)]
    metadata.setRights(rights)
    metadata.addHistoryItem(f"FUSAR-GPT {run.get('version', '')}, {run.get('started', '')}")
    return metadata

"""The layers of one run: a group with one styled layer for each kind of finding, filled as findings come."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFields,
    QgsLayerTreeGroup,
    QgsProject,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ..background import BackgroundTask
from ..contract import Finding, Found
from ..core.counting import result
from ..core.tally import Tally
from ..translation import translate
from . import findings_layer, storage
from .features import finding_feature, finding_fields, memory_layer
from .project_runs import change_kept, keep_run
from .run_groups import group_name, hide_beside_review
from .scene import crs_of
from .styles import style
from .wording import cells_in_words

_FLUSH_MS = 200
_PATIENCE_FLUSHES = 50  # while another program writes to the file: 10 s
_REST_MS = 20
_BUNDLE = 50  # features that are written at once, so that the GUI never waits long
_LAYER_ORDER = ("detections", "grid", "answers", "places")


class RunLayers(QObject):
    """Adds a run's findings to the project as they come; bundles them, so that the map can keep up.

    The findings go to the project's GeoPackage, or to a temporary one, or stay in memory; ``warned`` says so where
    it is not where the analyst would look for them. ``settled`` comes once after ``finish``, when all is written.

    Attributes:
        tally: What they amount to.
    """

    warned = pyqtSignal(str)
    settled = pyqtSignal()

    def __init__(
        self,
        run: dict[str, Any],
        parent: QObject,
        scene: str = "",
        request: dict[str, Any] | None = None,
        *,
        began: float | None = None,
    ) -> None:
        """``scene`` is the raster's source for GDAL, ``request`` the inputs of the job, for the review.

        ``began`` is when the run began, by ``time.monotonic``; None: now. Layers of the same run that the project has
        already are filled further: what they hold is not added again.
        """
        super().__init__(parent)
        self.setObjectName(str(run.get("id")))
        self._run = run
        self._properties = findings_layer.properties_of_run(run, scene, request)
        keep_run(QgsProject.instance(), self._properties)
        self._temporary = storage.temporary_file(QgsProject.instance())
        self._group: QgsLayerTreeGroup | None = None
        self._layers: dict[str, QgsVectorLayer] = {}
        self._making: dict[str, BackgroundTask] = {}
        self._dropped: set[str] = set()
        self._labels: list[str] = []
        self.tally = Tally()
        self._rows: dict[str, int] = {}  # finding id -> feature id in its layer
        self._waiting: dict[str, Finding] = {}
        self._leaving: dict[str, list[int]] = {}
        self._blocked = 0
        self._held: set[str] = set()
        self._leaving_layer = ""
        self._finishing = False
        self._began = time.monotonic() if began is None else began
        self._over = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.flush)
        self._adopt()
        QgsProject.instance().layersWillBeRemoved.connect(self._forget)
        QgsProject.instance().cleared.connect(self._abandon)

    @property
    def is_settled(self) -> bool:
        """Whether everything is written."""
        return self._over

    @property
    def some_are_shown(self) -> bool:
        """Whether something was found and its layer is still there."""
        return any(kind not in self._dropped for kind in self.tally.kind_of.values())

    def add(self, found: Found) -> None:
        """Take findings in; they are on the map a moment later."""
        for finding_id in found.replaced:
            kind = self.tally.drop(finding_id)
            if self._waiting.pop(finding_id, None) is None and finding_id in self._rows:
                self._leaving.setdefault(kind, []).append(self._rows.pop(finding_id))
        for finding in found.added:
            if finding.id not in self._rows:
                self._waiting[finding.id] = finding
            self.tally.add(finding)
        if not self._timer.isActive() and not self._over:
            self._timer.start(_FLUSH_MS)

    def flush(self) -> None:
        """Put what waits on the map, as far as its layers are there; the rest follows soon."""
        by_kind: dict[str, list[Finding]] = {kind: [] for kind in self._leaving}
        for finding in self._waiting.values():
            by_kind.setdefault(finding.layer, []).append(finding)
        for kind, findings in by_kind.items():
            if kind in self._dropped:
                self._done_with(kind, findings)
            elif kind in self._layers:
                self._write(kind, findings[:_BUNDLE])
            elif kind not in self._making:
                self._make(kind, findings[0])
        if self._waiting or self._leaving:
            self._timer.start(_FLUSH_MS if self._making or self._blocked else _REST_MS)
        elif self._finishing and not self._making:
            self._settle()

    def finish(self, warnings: Sequence[str] = (), status: str = "successful") -> dict[str, int]:
        """Write the rest and let go of the layers; return how many findings of each kind there are.

        ``warnings`` are all those of a run that is complete; it has kept those of its beginning. ``status`` is what
        became of it. A run that found nothing has no layer: the project keeps it, unless it is closed.
        """
        self._finishing = True
        self._note(findings_layer.SECONDS_PROPERTY, str(round(self.seconds, 1)))
        self._note(findings_layer.STATUS_PROPERTY, status)
        counted = result(self.tally.counts, self.tally.cells)
        self._note(findings_layer.RESULT_PROPERTY, json.dumps(counted, ensure_ascii=False))
        if warnings:
            self._run = {**self._run, "warnings": "\n".join(warnings)}
            self._note(findings_layer.RUN_PROPERTY, json.dumps(self._run, ensure_ascii=False))
        has_layers = bool(self.tally.kind_of or self._layers or self._making)
        change_kept(QgsProject.instance(), self.objectName(), None if has_layers else self._properties)
        if not self._over:
            self.flush()
        return self.tally.numbers()

    @property
    def seconds(self) -> float:
        """How long the run has taken so far."""
        return time.monotonic() - self._began

    def _adopt(self) -> None:
        """Take up the layers of this run, as it was begun before."""
        for layer in findings_layer.findings_layers(QgsProject.instance()):
            kind = str(layer.customProperty(findings_layer.KIND_PROPERTY) or "")
            if findings_layer.run_of(layer).get("id") != self._run.get("id") or not self._run.get("id"):
                continue
            self._layers[kind] = layer
            node = QgsProject.instance().layerTreeRoot().findLayer(layer)
            self._group = self._group or (None if node is None else node.parent())
            for feature in layer.getFeatures():
                self._rows[feature["id"]] = feature.id()
                if kind == "detections":
                    self._labels += {str(feature["label"])}.difference(self._labels)

    def _note(self, name: str, value: str) -> None:
        """Give a property to the layers that are there and to those that come."""
        self._properties[name] = value
        for layer in self._layers.values():
            layer.setCustomProperty(name, value)

    def _make(self, kind: str, first: Finding) -> None:
        paths = storage.candidates(QgsProject.instance(), self._temporary)
        work = partial(storage.make_first_table, paths, kind, self._run, finding_fields(first), first.crs)
        task = BackgroundTask(kind, work, quiet=True)
        self._making[kind] = task
        task.over.connect(partial(self._made, kind))
        task.start()

    def _made(self, kind: str) -> None:
        path, table, reasons = self._making.pop(kind).result or ("", "", {})
        if self._over:
            return
        first = next((finding for finding in self._waiting.values() if finding.layer == kind), None)
        if first is not None:
            layer = storage.open_table(path, table, self._layer_name(kind)) if path else None
            if layer is None or not layer.isValid():
                layer = self._memory_layer(kind, finding_fields(first), crs_of(first.crs))
            self._warn_of(reasons, in_memory=layer.providerType() == "memory")
            self._warn_of_crs(layer.crs(), crs_of(first.crs))
            self._add_layer(kind, layer)
        self._timer.start(_REST_MS)  # not at once: each step takes some milliseconds

    def _add_layer(self, kind: str, layer: QgsVectorLayer) -> None:
        for name, value in {**self._properties, findings_layer.KIND_PROPERTY: kind}.items():
            layer.setCustomProperty(name, value)
        style(layer, kind, self._labels)
        layer.setMetadata(findings_layer.metadata_of(self._run, layer))
        QgsProject.instance().addMapLayer(layer, False)
        below = [known for known in _LAYER_ORDER[: _LAYER_ORDER.index(kind)] if known in self._layers]
        group = self._its_group()
        group.insertLayer(len(below), layer)
        hide_beside_review(QgsProject.instance())
        group.setExpanded(False)  # it was made empty, which the tree shows as closed: only a change opens it
        group.setExpanded(True)
        self._layers[kind] = layer

    def _write(self, kind: str, findings: list[Finding]) -> None:
        layer = self._layers[kind]
        if layer.providerType() == "ogr" and self._must_wait(storage.source_of(layer)[0]):
            return
        if kind not in self._held:
            self._held.add(kind)
            storage.hold(layer)
            return
        leaving = self._leaving.get(kind, [])
        # Asked first: where writing fails, QGIS shows SQLite's own words too.
        has_room = layer.providerType() != "ogr" or not storage.is_full(storage.source_of(layer)[0], "")
        stored = self._store(layer, leaving, findings) if has_room else None
        if stored is None:
            self._keep_in_memory(kind)
            leaving = self._leaving.get(kind, [])
            stored = self._store(layer, leaving, findings) or []
        self._rows.update((finding.id, row) for finding, row in zip(findings, stored))  # noqa: B905 - Python 3.9
        self._done_with(kind, findings)
        self._style_new_labels(kind, layer, findings)
        layer.updateExtents()
        layer.triggerRepaint()

    @staticmethod
    def _store(layer: QgsVectorLayer, leaving: list[int], findings: list[Finding]) -> list[int] | None:
        """Return the new rows; None if the layer takes no more."""
        provider = layer.dataProvider()
        if leaving and not provider.deleteFeatures(leaving):
            return None
        if not findings:
            return []
        written, features = provider.addFeatures([finding_feature(layer, one) for one in findings])
        return [feature.id() for feature in features] if written else None

    def _done_with(self, kind: str, findings: Iterable[Finding]) -> None:
        self._leaving.pop(kind, None)
        for finding in findings:
            self._waiting.pop(finding.id, None)

    def _style_new_labels(self, kind: str, layer: QgsVectorLayer, findings: list[Finding]) -> None:
        new = {str(finding.properties.get("label")) for finding in findings}.difference(self._labels)
        if kind == "detections" and new:
            self._labels += sorted(new)
            style(layer, kind, self._labels)

    def _must_wait(self, path: Path) -> bool:
        """Whether another program writes to the file: SQLite would make the GUI wait for it."""
        self._blocked = self._blocked + 1 if storage.is_locked(path) else 0
        return 0 < self._blocked <= _PATIENCE_FLUSHES

    def _keep_in_memory(self, kind: str) -> None:
        """Go on in memory with everything that the layer holds: its file can no longer be written."""
        layer = self._layers[kind]
        path = storage.source_of(layer)[0]
        problem = "; ".join(layer.dataProvider().errors())
        reason = problem if storage.is_full(path, problem) else translate("RunLayers", "it takes no more")
        kept = list(layer.getFeatures())
        leaving = set(self._leaving.pop(kind, ()))
        spare = self._memory_layer(kind, layer.fields(), layer.crs())
        layer.setDataSource(spare.dataProvider().dataSourceUri(), layer.name(), "memory")
        layer.setCrs(spare.crs())
        _, stored = layer.dataProvider().addFeatures([one for one in kept if one.id() not in leaving])
        self._rows.update((feature["id"], feature.id()) for feature in stored)
        self._warn_of({str(path): reason}, in_memory=True)

    def _memory_layer(
        self, kind: str, fields: QgsFields, crs: QgsCoordinateReferenceSystem
    ) -> QgsVectorLayer:
        return memory_layer(self._layer_name(kind), fields, crs)

    def _warn_of(self, reasons: dict[str, str], *, in_memory: bool) -> None:
        for path, reason in reasons.items():
            text = translate("RunLayers", "Cannot write to {path}: {reason}.").format(
                path=path, reason=reason
            )
            if storage.is_full(Path(path), reason):
                text = translate("RunLayers", "The disk is full: {path} takes no more findings.").format(
                    path=path
                )
            where = (
                translate("RunLayers", "The findings are safe in memory. Export them before you close QGIS.")
                if in_memory
                else translate(
                    "RunLayers", "The findings are in a temporary file. Save the project to keep them."
                )
            )
            self.warned.emit(f"{text} {where}")

    def _warn_of_crs(
        self, crs: QgsCoordinateReferenceSystem, scene_crs: QgsCoordinateReferenceSystem
    ) -> None:
        if crs.authid() == "EPSG:4326" != scene_crs.authid() and not self._layers:
            self.warned.emit(
                translate(
                    "RunLayers",
                    "The findings are in WGS 84: a GeoPackage cannot hold the CRS of the scene as it is.",
                )
            )

    def _its_group(self) -> QgsLayerTreeGroup:
        root = QgsProject.instance().layerTreeRoot()
        if self._group is None or not self._layers:
            self._group = root.insertGroup(0, group_name(self._run))
        return self._group

    def _layer_name(self, kind: str) -> str:
        names = {
            "detections": translate("RunLayers", "Detections"),
            "grid": translate("RunLayers", "Grid"),
            "answers": translate("RunLayers", "Answers"),
            "places": translate("RunLayers", "Places"),
        }
        return str(names.get(kind, kind))

    def _forget(self, layer_ids: list[str]) -> None:
        """What the analyst takes off the map in mid-run stays off; that is said, unless the project is closed."""
        for kind, layer in list(self._layers.items()):
            if layer.id() in layer_ids:
                del self._layers[kind]
                self._dropped.add(kind)
                if not self._over:
                    QTimer.singleShot(0, partial(self._tell_dropped, layer.name()))

    def _tell_dropped(self, name: str) -> None:
        if not self._over:
            text = translate(
                "RunLayers",
                "The layer “{name}” was removed while the run goes on: its findings are counted, but no longer shown.",
            )
            self.warned.emit(text.format(name=name))

    def _abandon(self) -> None:
        """The project is closed: what has not reached it has nowhere to go."""
        self._timer.stop()
        self._waiting.clear()
        self._leaving.clear()
        self._layers.clear()
        if not self._over:
            self._settle()

    def _settle(self) -> None:
        self._over = True
        self._timer.stop()
        tree = QgsProject.instance().layerTreeRoot()
        grid = self._layers.get("grid")
        if grid is not None and grid.name() == self._layer_name("grid"):
            grid.setName(f"{grid.name()}: {', '.join(cells_in_words(self.tally.cells))}")
        for kind, layer in self._layers.items():
            node = tree.findLayer(layer)
            if node is None:
                continue
            node.setExpanded(False)  # new categories have folded it up: only a change unfolds it
            node.setExpanded(True)
            if kind == "detections":
                node.setCustomProperty("showFeatureCount", 1)  # QGIS counts once, so only now
        self.settled.emit()
        QTimer.singleShot(0, self._release_next)

    def _release_next(self) -> None:
        """Keep one layer's style and release its file; one at a time, as each takes some milliseconds."""
        if self._layers:
            _, layer = self._layers.popitem()
            if layer.providerType() == "ogr":
                self._leaving_layer = layer.id()
                storage.save_style(layer).over.connect(self._release)
            else:
                QTimer.singleShot(0, self._release_next)
        elif not self._making:
            QgsProject.instance().layersWillBeRemoved.disconnect(self._forget)
            QgsProject.instance().cleared.disconnect(self._abandon)
            self.deleteLater()
        else:
            QTimer.singleShot(_FLUSH_MS, self._release_next)

    def _release(self) -> None:
        layer = QgsProject.instance().mapLayer(self._leaving_layer)
        if layer is not None:  # it may have been taken off the map
            storage.release(layer)
        QTimer.singleShot(0, self._release_next)

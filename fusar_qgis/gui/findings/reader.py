"""Reads the project's findings bit by bit, so that QGIS never waits."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from qgis.core import QgsCsException, QgsFeature, QgsFeatureRequest, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ...contract import PLACES, UPLOADED
from ...core.review import final_label
from ...layers.box_placing import BoxPlacing
from ...layers.features import BOX, value_of
from ...layers.findings_layer import KIND_PROPERTY
from ...layers.project_runs import ProjectRun
from ...layers.run_groups import run_label, started
from ...layers.scene import SceneError
from ...translation import translate
from .rows import Rows

_SLICE_S = 0.015
_OVER = object()
AT_ONCE = 100  # features by one query; none stays open, since an open one keeps writers waiting
_REST_MS = 5
_NAMES = (
    "id", "label", "reviewed_label", "review", "confidence", "length_m", "width_m", "target", "hit", "count", "text",
    "question", "prior", "rank", "query", *BOX,
)  # fmt: skip


class LayerReader(QObject):
    """Reads one layer after another; ``done`` brings a layer's id with its rows."""

    done = pyqtSignal(str, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting: dict[str, tuple[QgsVectorLayer, ProjectRun]] = {}
        self._known: dict[str, Rows] = {}  # what was read of each layer, as long as no finding has changed
        self._reading: Iterator[None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._go_on)

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be read."""
        return bool(self._timer.isActive())

    def read(self, layer: QgsVectorLayer, run: ProjectRun) -> None:
        """Read a layer of a run when its turn comes: what it has gained and lost, or all of it after ``forget``."""
        self._waiting[layer.id()] = (layer, run)
        self._timer.start()

    def forget(self, layer: str) -> None:
        """Read all of a layer anew when it is read: its findings are others, or it is gone."""
        self._known.pop(layer, None)

    def stop(self) -> None:
        """Read nothing more."""
        self._timer.stop()
        self._waiting.clear()
        self._reading = None

    def _go_on(self) -> None:
        until = time.perf_counter() + _SLICE_S
        while time.perf_counter() < until:
            if self._reading is None:
                if not self._waiting:
                    self._timer.stop()
                    return
                self._reading = self._steps(*self._waiting.pop(next(iter(self._waiting))))
            if next(self._reading, _OVER) is _OVER:
                self._reading = None

    def _steps(self, layer: QgsVectorLayer, run: ProjectRun) -> Iterator[None]:
        if sip.isdeleted(layer):
            return
        name, keys = layer.id(), layer.allFeatureIds()
        parts: list[Rows] = []
        known = self._known.get(name)
        self._known[name] = Rows.of(())  # gone again if something changes meanwhile
        if known is not None:
            yield
            parts.append(known.only(np.isin(known.key, keys)))
            keys = np.setdiff1d(np.array(keys, dtype=np.int64), known.key).tolist()
        for start in range(0, len(keys), AT_ONCE):
            yield
            if sip.isdeleted(layer):
                return
            parts.append(rows_of(layer, run, keys[start : start + AT_ONCE]))
        yield
        rows = Rows.joined(parts)
        yield
        if name in self._known:
            self._known[name] = rows
        self.done.emit(name, rows)


def rows_of(layer: QgsVectorLayer, run: ProjectRun, keys: list[int]) -> Rows:
    """Return what a layer says of these findings now."""
    name, kind = layer.id(), str(layer.customProperty(KIND_PROPERTY) or "")
    of_run = _of_run(run.run)
    was_sent = run.asked is not None and run.asked.scene.startswith(UPLOADED)
    request = QgsFeatureRequest()
    if not was_sent:
        request.setFlags(QgsFeatureRequest.Flag.NoGeometry)
    there = [one for one in _NAMES if layer.fields().indexOf(one) >= 0]
    request.setSubsetOfAttributes(there, layer.fields())
    request.setFilterFids(keys)
    features = list(layer.getFeatures(request))
    rows = Rows.of([_record(feature, name, kind, of_run) for feature in features])
    return replace(rows, box=_boxes_in_scene(layer, features)) if was_sent and features else rows


def _boxes_in_scene(layer: QgsVectorLayer, features: Sequence[QgsFeature]) -> Any:
    """Return boxes in pixels of the whole scene, float [n, 4], where the columns count from the part that was sent."""
    boxes = np.full((len(features), 4), np.nan)
    try:
        placing = BoxPlacing(layer)
    except SceneError:
        return boxes
    for row, feature in enumerate(features):
        with suppress(SceneError, QgsCsException):
            boxes[row] = placing.box_of(feature.geometry()).bounds
    return boxes


def layers_of(run: ProjectRun) -> list[QgsVectorLayer]:
    """Return the layers of a run that are there."""
    return [layer for layer in run.layers.values() if not sip.isdeleted(layer)]


def _of_run(run: dict[str, Any]) -> tuple[str, str, float]:
    """Return what all findings of a run share: its name, its scene, and when it began."""
    began = started(run)
    seconds = began.toMSecsSinceEpoch() / 1000 if began.isValid() else float("nan")
    return run_label(run), str(run.get("scene") or ""), seconds


def _record(feature: QgsFeature, layer: str, kind: str, of_run: tuple[str, str, float]) -> tuple[Any, ...]:
    values = {name: value_of(feature, name) for name in _NAMES}
    label = final_label(values["label"], values["reviewed_label"])
    if kind == "grid" and not label and values["hit"]:
        label = values["target"] or ""
    elif kind == PLACES:  # what was searched for stands where others have their class
        label = values["query"] or translate("Wording", "Search by example")
    elif kind == "answers" and not label:
        label = values["text"] or (
            "" if values["count"] is None else f"{values['target']}: {values['count']}"
        )
    said = (
        values["id"],
        of_run[0],
        label,
        values["label"],
        values["target"],
        values["question"],
        values["text"],
        values["rank"],
    )
    text = " ".join(str(one) for one in said if one).lower()[:300]
    confidence, length, width = (_number(values[name]) for name in ("confidence", "length_m", "width_m"))
    box = tuple(_number(values[name]) for name in BOX)
    key, decision, prior = feature.id(), values["review"] or "", values["prior"] or ""
    return (
        layer, key, *of_run, label[:80], decision, confidence, length, length * width, prior, text, box,
    )  # fmt: skip


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)

"""Reads the project's findings bit by bit, so that QGIS never waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from qgis.core import QgsFeature, QgsFeatureRequest, QgsVectorLayer
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QObject, QTimer, pyqtSignal

from ...core.review import final_label
from ...layers.features import BOX, value_of
from ...layers.findings_layer import KIND_PROPERTY
from ...layers.project_runs import ProjectRun
from .rows import Rows

_SLICE_S = 0.015
_OVER = object()
AT_ONCE = 100  # features by one query; none stays open, since an open one keeps writers waiting
_REST_MS = 5
_NAMES = (
    "id", "label", "reviewed_label", "review", "confidence", "length_m", "target", "hit", "count", "text", "question",
    *BOX,
)  # fmt: skip


class LayerReader(QObject):
    """Reads one layer after another; ``done`` brings a layer's id with its rows."""

    done = pyqtSignal(str, object)

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self._waiting: dict[str, tuple[QgsVectorLayer, str]] = {}
        self._reading: Iterator[None] | None = None
        self._timer = QTimer(self)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self._go_on)

    @property
    def is_busy(self) -> bool:
        """Whether something is still to be read."""
        return bool(self._timer.isActive())

    def read(self, layer: QgsVectorLayer, run_name: str) -> None:
        """Read a layer when its turn comes."""
        self._waiting[layer.id()] = (layer, run_name)
        self._timer.start()

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

    def _steps(self, layer: QgsVectorLayer, run_name: str) -> Iterator[None]:
        if sip.isdeleted(layer):
            return
        name, keys = layer.id(), layer.allFeatureIds()
        parts: list[Rows] = []
        for start in range(0, len(keys), AT_ONCE):
            yield
            if sip.isdeleted(layer):
                return
            parts.append(rows_of(layer, run_name, keys[start : start + AT_ONCE]))
        yield
        rows = Rows.joined(parts)
        yield
        self.done.emit(name, rows)


def rows_of(layer: QgsVectorLayer, run_name: str, keys: list[int]) -> Rows:
    """Return what a layer says of these findings now."""
    name, kind = layer.id(), str(layer.customProperty(KIND_PROPERTY) or "")
    request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
    there = [one for one in _NAMES if layer.fields().indexOf(one) >= 0]
    request.setSubsetOfAttributes(there, layer.fields())
    request.setFilterFids(keys)
    return Rows.of([_record(feature, name, kind, run_name) for feature in layer.getFeatures(request)])


def layers_of(run: ProjectRun) -> list[QgsVectorLayer]:
    """Return the layers of a run that are there."""
    return [layer for layer in run.layers.values() if not sip.isdeleted(layer)]


def _record(feature: QgsFeature, layer: str, kind: str, run_name: str) -> tuple[Any, ...]:
    values = {name: value_of(feature, name) for name in _NAMES}
    label = final_label(values["label"], values["reviewed_label"])
    if kind == "grid" and not label and values["hit"]:
        label = values["target"] or ""
    elif kind == "answers" and not label:
        label = values["text"] or (
            "" if values["count"] is None else f"{values['target']}: {values['count']}"
        )
    said = (
        values["id"],
        run_name,
        label,
        values["label"],
        values["target"],
        values["question"],
        values["text"],
    )
    text = " ".join(str(one) for one in said if one).lower()[:300]
    confidence, length = (_number(values[name]) for name in ("confidence", "length_m"))
    box = tuple(_number(values[name]) for name in BOX)
    return layer, feature.id(), run_name, label[:80], values["review"] or "", confidence, length, text, box


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)

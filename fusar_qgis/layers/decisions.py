"""Review decisions, written to the findings' own table at once, with undo."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
    QgsSettings,
    QgsVectorDataProvider,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QDateTime, QObject, pyqtSignal

from .. import compat
from ..core import review
from ..core.review import Item, Queue
from ..core.setting_names import REVIEWER
from ..translation import translate
from . import findings_layer, storage
from .features import value_of
from .scene import ellipsoid_measure
from .styles import add_label, least_score, set_least_score, tell_hidden

_OUTLINE = "$geometry"  # the geometry, among the columns of a row that is put back
_DECIMALS = 3


class DecisionNews(QObject):
    """``told`` brings every ``Decisions`` that has changed findings, with their keys: several may have one layer."""

    told = pyqtSignal(object, object)


NEWS = DecisionNews()


class Decisions:
    """Reviews the findings of one layer; every change is in its file when the call returns.

    Attributes:
        layer: The layer.
        queue: Its findings as the review knows them.
        ranking: What they are ranked by, one of ``review.RANKINGS``, or empty.
    """

    def __init__(self, layer: QgsVectorLayer, who: str, *, queued: bool = True) -> None:
        """``who`` is written beside every decision; without ``queued`` the queue stays empty, and nothing is read."""
        self.layer = layer
        self._who = who
        self._untold: list[int] | None = None  # what was decided while nobody is told; None: everybody is
        self._done: list[dict[int, dict[str, Any] | None]] = []  # what to put back; None: it was added
        missing = [name for name in review.FIELDS if layer.fields().indexOf(name) < 0]
        if missing:  # a layer from before there was a review
            layer.dataProvider().addAttributes([compat.field(name, review.FIELDS[name]) for name in missing])
            layer.updateFields()
        storage.hold(layer)
        self.queue = Queue()
        self.ranking = ""
        if queued:
            self.read()

    def close(self) -> None:
        """Let go of the file."""
        storage.release(self.layer)

    def read(self, keys: Sequence[int] | None = None) -> None:
        """Learn anew what the layer holds, or what it says of ``keys``."""
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry)
        if keys is not None and len(self.queue):
            self._read_some(request.setFilterFids(list(keys)), keys)
            return
        names = [*review.RANKINGS, "review"]
        there = [name for name in names if self.layer.fields().indexOf(name) >= 0]
        request.setSubsetOfAttributes(there, self.layer.fields())
        rows = {
            feature.id(): {name: value_of(feature, name) for name in names}
            for feature in self.layer.getFeatures(request)
        }
        self.ranking = review.ranking(
            {name for row in rows.values() for name in row if row[name] is not None}
        )
        self.queue = Queue(Item(key, row.get(self.ranking), row["review"]) for key, row in rows.items())
        self.queue.least_score = least_score(self.layer) if self.ranking else 0.0
        tell_hidden(self.layer)  # a run may have added some

    def _read_some(self, request: QgsFeatureRequest, keys: Sequence[int]) -> None:
        rows = {feature.id(): feature for feature in self.layer.getFeatures(request)}
        for key in keys:
            if key in rows:
                score = value_of(rows[key], self.ranking) if self.ranking else None
                self.queue.put(Item(key, score, value_of(rows[key], "review")))
            else:
                self.queue.drop(key)

    def pass_over_below(self, least: float) -> None:
        """Hide detections of a lower score, on the map and in the review; 0 hides none."""
        set_least_score(self.layer, least, self.ranking)
        self.queue.least_score = least

    def is_stale(self) -> bool:
        """Return whether the layer has other findings than the queue: a run goes on, or somebody edits."""
        return int(self.layer.featureCount()) != len(self.queue)

    def can_undo(self) -> bool:
        """Return whether there is something to take back."""
        return bool(self._done)

    def feature(self, key: int) -> QgsFeature:
        """Return the feature; it is not valid if it is gone."""
        return self.layer.getFeature(key)

    def label(self, key: int) -> str:
        """Return what the finding is called now; empty in layers without labels."""
        feature = self.feature(key)
        return review.final_label(value_of(feature, "label"), value_of(feature, "reviewed_label"))

    def decide(self, key: int, decision: str, label: str | None = None) -> None:
        """Note ``decision``, with the right ``label`` if it is about that.

        Raises:
            StorageError: It cannot be kept; nothing has changed.
        """
        self.decide_all([key], decision, label)

    def decide_all(self, keys: Sequence[int], decision: str, label: str | None = None) -> None:
        """Note the same ``decision`` about several findings, in one write and as one step of the undo.

        Raises:
            StorageError: It cannot be kept; nothing has changed.
        """
        request = QgsFeatureRequest().setFlags(QgsFeatureRequest.Flag.NoGeometry).setFilterFids(list(keys))
        request.setSubsetOfAttributes(list(review.FIELDS), self.layer.fields())
        old = {
            feature.id(): {name: value_of(feature, name) for name in review.FIELDS}
            for feature in self.layer.getFeatures(request)
        }
        signed = self._signed()
        new = {}
        for key, was in old.items():
            # who added it stands for it
            stays = was["review"] == review.ADDED and decision != review.REJECTED
            said = {"review": review.ADDED, "reviewed_label": label or was["reviewed_label"]}
            new[key] = {**(said if stays else {"review": decision, "reviewed_label": label}), **signed}
        self._change(new)
        self._done.append(dict(old))
        if label and self.is_of_detections():
            add_label(self.layer, label)
        self._tell(list(old))

    def decide_slice(
        self, keys: Sequence[int], decision: str, label: str | None = None, *, goes_on: bool
    ) -> None:
        """Decide on some of many; what ``goes_on`` is one step of the undo with the slice before.

        Nobody is told: call ``tell_changed`` after the last slice. Raises as ``decide_all``.
        """
        self._untold = self._untold or []
        self.decide_all(keys, decision, label)
        if goes_on:
            more = self._done.pop()
            self._done[-1].update(more)

    def undo_slice(self, most: int) -> None:
        """Take back at most so many findings of the last step. Tells nobody, raises as ``undo``."""
        rows = list(self._done.pop().items())
        self._done += [dict(part) for part in (rows[most:], rows[:most]) if part]
        self._untold = self._untold or []
        self.undo()

    @property
    def undoable(self) -> int:
        """How many findings all steps of the undo are about."""
        return sum(map(len, self._done))

    def reshape(
        self, key: int, outline: QgsGeometry, columns: Mapping[str, Any], box_before: Sequence[float]
    ) -> None:
        """Give a finding another outline, as one step of the undo; who changes an undecided one accepts it.

        Args:
            key: The finding.
            outline: Polygons in the layer's CRS.
            columns: The columns that follow from it.
            box_before: Left, top, right and bottom in pixels so far; kept where the model said it.

        Raises:
            StorageError: It cannot be kept; nothing has changed.
        """
        feature = self.feature(key)
        there = [name for name in (*review.FIELDS, *columns) if feature.fieldNameIndex(name) >= 0]
        was: dict[str, Any] = {name: value_of(feature, name) for name in there}
        kept = was["model_box"]
        if kept is None and was["review"] != review.ADDED:
            kept = json.dumps([round(edge, _DECIMALS) for edge in box_before])
        said = {"review": was["review"] or review.ACCEPTED, "model_box": kept, **self._signed()}
        new = {**{name: columns[name] for name in there if name in columns}, **said, _OUTLINE: outline}
        self._change({key: {**was, **new}})
        self._done.append({key: {**was, _OUTLINE: feature.geometry()}})
        self._tell([key])

    def is_reshaped(self, key: int) -> bool:
        """Return whether a reviewer has changed the model's box."""
        return value_of(self.feature(key), "model_box") is not None

    def add(
        self,
        outline: QgsGeometry,
        crs: QgsCoordinateReferenceSystem,
        label: str,
        columns: Mapping[str, Any] | None = None,
    ) -> int:
        """Add a finding that the model missed, and return its key.

        Args:
            outline: A polygon in ``crs``.
            crs: Its CRS.
            label: What it is.
            columns: The columns that follow from the outline, where they are known.

        Raises:
            StorageError: It cannot be kept.
        """
        outline = QgsGeometry(outline)
        outline.transform(QgsCoordinateTransform(crs, self.layer.crs(), QgsProject.instance()))
        outline.convertToMultiType()
        feature = QgsFeature(self.layer.fields())
        feature.setGeometry(outline)
        values = {
            "id": str(uuid.uuid4()),
            "run": findings_layer.run_of(self.layer).get("id"),
            "label": label,
            "reviewed_label": label,
            "review": review.ADDED,
            **(columns or _sides(outline, self.layer.crs())),
            **self._signed(),
        }
        for name, value in values.items():
            if feature.fieldNameIndex(name) >= 0:
                feature[name] = value
        key = self._insert(feature)
        self._done.append({key: None})
        self.queue.put(Item(key, None, review.ADDED))
        add_label(self.layer, label)
        self._tell([key])
        return key

    def undo(self) -> int | None:
        """Take the last decision back; return its finding, None if that was added and is gone, or nothing is left.

        Raises:
            StorageError: It cannot be; it stays the last one.
        """
        if not self._done:
            return None
        old = self._done[-1]
        added = [key for key, values in old.items() if values is None]
        if added:
            self._write(lambda target: target.deleteFeatures(added))
            self.queue.drop(added[0])
        else:
            self._change({key: values for key, values in old.items() if values is not None})
        self._done.pop()
        self._tell(list(old))
        return None if added else next(iter(old), None)

    def undoes_an_outline(self) -> bool:
        """Return whether the last step, which an undo takes back, is another outline."""
        return bool(self._done) and any(row and _OUTLINE in row for row in self._done[-1].values())

    def is_of_detections(self) -> bool:
        """Return whether boxes can be added and relabelled."""
        return bool(self.layer.customProperty(findings_layer.KIND_PROPERTY) == "detections")

    def _signed(self) -> dict[str, Any]:
        return {"reviewed_by": self._who, "reviewed_at": QDateTime.currentDateTimeUtc()}

    def _tell(self, keys: list[int]) -> None:
        if self._untold is None:
            NEWS.told.emit(self, keys)
        else:
            self._untold += keys

    def _change(self, rows: dict[int, dict[str, Any]]) -> None:
        """Write columns, and geometries where the rows have one: all or nothing."""
        fields, outlines = self.layer.fields(), {}
        by_index: dict[int, dict[int, Any]] = {}
        for key, row in rows.items():
            by_index[key] = {fields.indexOf(name): one for name, one in row.items() if name != _OUTLINE}
            if _OUTLINE in row:
                outlines[key] = row[_OUTLINE]
        if self.layer.isEditable():
            self._write(lambda layer: _change_buffer(layer, by_index, outlines))
        else:
            before = {key: self.feature(key).geometry() for key in outlines}
            self._write(lambda provider: _change_file(provider, by_index, outlines, before))
        for key, row in rows.items():
            item = self.queue.get(key)
            self.queue.put(Item(key, item.score if item else None, row["review"]))

    def _insert(self, feature: QgsFeature) -> int:
        if self.layer.isEditable():
            self._write(lambda target: target.addFeature(feature))
            return int(feature.id())
        stored: list[QgsFeature] = []

        def add(target: Any) -> bool:
            written, features = target.addFeatures([feature])
            stored.extend(features)
            return bool(written)

        self._write(add)
        return int(stored[0].id())

    def _write(self, change: Any) -> None:
        """Do ``change`` to the edit buffer if the analyst has opened one, else to the file itself."""
        layer = self.layer
        if layer.providerType() == "ogr" and not layer.isEditable():
            storage.await_own_writers()
            if storage.is_locked(storage.source_of(layer)[0]):
                raise storage.StorageError(
                    translate("Decisions", "Another program is writing to the file. Try again in a moment.")
                )
        if not change(layer if layer.isEditable() else layer.dataProvider()):
            raise storage.StorageError(
                translate("Decisions", "It cannot be saved. Is the disk full, or the file read-only?")
            )
        if self._untold is None:
            self._show_changed()

    def tell_changed(self) -> None:
        """Tell everybody of what was decided slice by slice."""
        untold, self._untold = self._untold, None
        self._show_changed()
        if untold:
            self._tell(untold)

    def _show_changed(self) -> None:
        """Let the map and open tables show what has changed."""
        self.layer.updateExtents()
        self.layer.triggerRepaint()
        self.layer.dataChanged.emit()  # an open attribute table shows it


def _change_buffer(
    layer: QgsVectorLayer, columns: dict[int, dict[int, Any]], outlines: dict[int, QgsGeometry]
) -> bool:
    """Change what the analyst edits, as one step of QGIS's own undo too."""
    layer.beginEditCommand(translate("Decisions", "Review"))
    done = all(layer.changeGeometry(*one) for one in outlines.items())
    done = done and all(layer.changeAttributeValues(*one) for one in columns.items())
    (layer.endEditCommand if done else layer.destroyEditCommand)()
    return done


def _change_file(
    provider: QgsVectorDataProvider,
    columns: dict[int, dict[int, Any]],
    outlines: dict[int, QgsGeometry],
    before: dict[int, QgsGeometry],
) -> bool:
    """Change the file; ``before`` are the geometries that it has, put back where the columns cannot be written."""
    if outlines and not provider.changeGeometryValues(outlines):
        return False
    if provider.changeAttributeValues(columns):
        return True
    if before:
        provider.changeGeometryValues(before)
    return False


def _sides(outline: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> dict[str, float]:
    """Return the sides of a rectangle in metres on the ellipsoid."""
    measure = ellipsoid_measure(crs, QgsProject.instance().transformContext())
    ring = outline.asMultiPolygon()[0][0]
    sides = sorted((measure.measureLine(ring[0], ring[1]), measure.measureLine(ring[1], ring[2])))
    return {"width_m": sides[0], "length_m": sides[1]}


def reviewer() -> str:
    """Return the reviewer's name: as set, else as the computer knows it."""
    named = str(QgsSettings().value(REVIEWER, "", type=str)).strip()
    return named or str(QgsApplication.userFullName() or QgsApplication.userLoginName())

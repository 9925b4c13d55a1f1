"""Exports reviewed findings as GeoPackage, GeoJSON, CSV, KML, COCO or training records."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFields,
    QgsGeometry,
    QgsVectorLayer,
)

from ..contract import SearchRequest
from ..core import export, review
from ..core.oriented_box import fitted
from ..core.request import LayerRequest
from ..translation import translate, translate_count
from . import findings_layer, storage
from .features import value_of
from .project_runs import ProjectRun
from .sar_file import SarFile, write_png
from .scene import SceneError, crs_of
from .storage import StorageError

Rings = list[list[tuple[float, float]]]

FORMATS = {
    "gpkg": (".gpkg",),
    "geojson": (".geojson", ".json"),
    "csv": (".csv",),
    "kml": (".kml",),
    "coco": (".json",),
    "training": (),
    "report": (".pdf",),
}
"""What findings can be exported as, with the endings of its file, the usual one first; a folder has none."""

BOXES_ONLY = ("coco", "training")
"""The formats that need boxes, which only detections have."""

TABLE = "findings"
"""The table of an exported GeoPackage: the same for every run, so that a script or a style finds it."""

_MARGIN = 0.05  # of an outline's size, where the run does not say which area it was about


@dataclass(frozen=True)
class Snapshot:
    """A layer of findings as it was when the export began; for any thread.

    Attributes:
        kind: ``detections``, ``grid``, ``answers`` or ``places``.
        run: The provenance.
        scene: The raster's source for GDAL.
        request: What was asked, with the band and what its numbers are; None where the layer does not tell.
        crs: Of the features.
        fields: Without the row's number.
        features: Those that are exported.
        left_out: How many are not: (rejected, not reviewed).
        complete: Whether every finding of the layer is reviewed.
        ranking: What its detections are ranked by, one of ``review.RANKINGS``, or empty.
        context: The project's datum transformations.
        status: What became of the run, as the layer has it.
        result: What the run has counted, likewise.
    """

    kind: str
    run: dict[str, Any]
    scene: str
    request: LayerRequest | SearchRequest | None
    crs: QgsCoordinateReferenceSystem
    fields: QgsFields
    features: list[QgsFeature]
    left_out: tuple[int, int]
    complete: bool
    ranking: str
    context: QgsCoordinateTransformContext
    status: str = ""
    result: dict[str, Any] = field(default_factory=dict)


def snapshot(
    layer: QgsVectorLayer, context: QgsCoordinateTransformContext, *, unreviewed_too: bool
) -> Snapshot:
    """Take what an export of ``layer`` needs; on the GUI thread."""
    fields = QgsFields()
    for column in layer.fields():
        if column.name() != "fid":
            fields.append(column)
    features = list(layer.getFeatures())
    reviews = [_text(feature, "review") for feature in features]
    kept = [
        _as_row(feature, fields)
        for feature, decision in zip(features, reviews)  # noqa: B905 - QGIS for Windows has Python 3.9
        if review.is_kept(decision, unreviewed_too=unreviewed_too)
    ]
    return Snapshot(
        kind=str(layer.customProperty(findings_layer.KIND_PROPERTY) or ""),
        run=findings_layer.run_of(layer),
        scene=str(layer.customProperty(findings_layer.SCENE_PROPERTY) or ""),
        request=findings_layer.request_of(layer) or findings_layer.search_of(layer),
        crs=layer.crs(),
        fields=fields,
        features=kept,
        left_out=review.left_out(reviews, unreviewed_too=unreviewed_too),
        complete=None not in reviews,
        ranking=review.ranking(
            {name for name in review.RANKINGS if any(value_of(one, name) is not None for one in features)}
        ),
        context=context,
        status=str(layer.customProperty(findings_layer.STATUS_PROPERTY) or ""),
        result=findings_layer.read_object(layer.customProperty(findings_layer.RESULT_PROPERTY)),
    )


def snapshot_without_layer(run: ProjectRun, context: QgsCoordinateTransformContext) -> Snapshot:
    """Return what an export of a run needs that found nothing."""
    return Snapshot(
        kind="",
        run=run.run,
        scene=run.scene,
        request=run.asked,
        crs=crs_of(str(run.run.get("scene_crs") or "")),
        fields=QgsFields(),
        features=[],
        left_out=(0, 0),
        complete=True,
        ranking="",
        context=context,
        status=run.status,
    )


def refusal(form: str, path: Path) -> str:
    """Return a whole sentence that says why nothing can be written to ``path``; empty if it can be tried."""
    if not path.parent.is_dir():
        text = translate("Export", "The folder “{path}” does not exist. Choose another one.")
        return text.replace("{path}", str(path.parent))
    if not os.access(path.parent, os.W_OK | os.X_OK):
        text = translate("Export", "You may not write to the folder “{path}”. Choose another one.")
        return text.replace("{path}", str(path.parent))
    if form == "training" and path.exists() and not (path.is_dir() and not any(path.iterdir())):
        text = translate(
            "Export", "“{path}” is there already, and is not an empty folder. Choose a new name."
        )
    elif form != "training" and path.is_dir():
        text = translate("Export", "“{path}” is a folder. Choose the name of a file.")
    elif path.is_file() and not os.access(path, os.W_OK):
        text = translate("Export", "“{path}” is read-only. Choose another name.")
    else:
        return ""
    return text.replace("{path}", str(path))


def in_words(error: Exception, path: Path) -> str:
    """Return a whole sentence that says why ``path`` could not be written."""
    if isinstance(error, StorageError) and str(error).endswith((".", "。")):
        return str(error)  # ours; GDAL's are phrases
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text = translate("Export", "The disk of “{path}” is full. Free some space, or choose another folder.")
        return text.replace("{path}", str(path))
    reason = (error.strerror if isinstance(error, OSError) else "") or str(error) or type(error).__name__
    text = translate("Export", "“{path}” cannot be written: {reason}. Choose another place.")
    return text.replace("{path}", str(path)).replace("{reason}", reason.strip().rstrip("."))


def write(taken: Snapshot, form: str, path: Path) -> str:
    """Write ``taken`` as ``form``, one of ``FORMATS``, whole or not at all; return more to tell, or nothing.

    Raises:
        StorageError: It cannot be written; the message says why and what to do.
    """
    writers: dict[str, Callable[[Snapshot, Path], str]] = {
        "gpkg": _write_geopackage,
        "geojson": _write_geojson,
        "csv": _write_csv,
        "kml": _write_kml,
        "coco": _write_coco,
        "training": _write_training,
    }
    refused = refusal(form, path)
    if refused:
        raise StorageError(refused)
    try:
        with tempfile.TemporaryDirectory(prefix=".fusar-", dir=path.parent) as folder:
            # With the usual ending, whatever was chosen: the writer would add it, and the file not be found.
            partial = Path(folder, "findings" + "".join(FORMATS[form][:1]))
            more = writers[form](taken, partial)
            if path.is_dir():
                path.rmdir()  # an empty one may be replaced
            partial.replace(path)
    except (StorageError, OSError, RuntimeError, sqlite3.Error) as error:
        raise StorageError(in_words(error, path)) from error
    return more


def _write_geopackage(taken: Snapshot, path: Path) -> str:
    crs = storage.storable(taken.crs)
    storage.make_table(path, TABLE, taken.run, taken.fields, crs, dated=False)
    storage.fill_table(path, TABLE, taken.fields, _moved(taken, crs))
    return ""


def _write_geojson(taken: Snapshot, path: Path) -> str:
    storage.write_wgs84(path, "GeoJSON", taken.fields, _in_wgs84(taken), ["RFC7946=YES"])
    return ""


def _write_csv(taken: Snapshot, path: Path) -> str:
    # Excel reads UTF-8 only with the mark.
    options = ["GEOMETRY=AS_WKT", "WRITE_BOM=YES"]
    storage.write_wgs84(path, "CSV", taken.fields, _in_wgs84(taken), options)
    return ""


def _write_kml(taken: Snapshot, path: Path) -> str:
    names = {field.name() for field in taken.fields}
    name = next((one for one in ("label", "target", "rank", "id") if one in names), "id")
    storage.write_wgs84(path, "KML", taken.fields, _in_wgs84(taken), (), [f"NameField={name}"])
    return ""


def _in_wgs84(taken: Snapshot) -> list[QgsFeature]:
    return _moved(taken, QgsCoordinateReferenceSystem("EPSG:4326"))


def _moved(taken: Snapshot, crs: QgsCoordinateReferenceSystem) -> list[QgsFeature]:
    """Return the features in another CRS."""
    move = QgsCoordinateTransform(taken.crs, crs, taken.context)
    moved = []
    for feature in taken.features:
        geometry = feature.geometry()
        geometry.transform(move)
        moved.append(QgsFeature(feature))
        moved[-1].setGeometry(geometry)
    return moved


def _write_coco(taken: Snapshot, path: Path) -> str:
    scene = open_scene(taken)
    objects = _objects(taken, scene)
    name = Path(taken.scene.split("|")[0]).name
    made = export.coco(name, (scene.width, scene.height), objects, taken.run, taken.ranking)
    path.write_text(json.dumps(made, ensure_ascii=False, indent=1), encoding="utf-8")
    return ""


def _write_training(taken: Snapshot, path: Path) -> str:
    scene = open_scene(taken)
    objects = _objects(taken, scene)
    area = area_of(taken, scene)
    images = 0
    path.mkdir()
    with (path / "records.jsonl").open("w", encoding="utf-8") as stream:
        for window in export.windows(_around(area, objects), (scene.width, scene.height)):
            record, image = export.record(
                window,
                objects,
                taken.run,
                complete=taken.complete and bool(area),
                pixel_m=scene.pixel_m(),
            )
            if not record["objects"] and not record["provenance"]["complete"]:
                continue  # it teaches nothing
            seen = scene.grey(window.col, window.row, window.width, window.height)
            if area:
                seen[~export.inside(area, window)] = 0  # nobody looked there
            (path / image).parent.mkdir(parents=True, exist_ok=True)
            write_png(path / image, seen)
            stream.write(export.line(record))
            images += 1
    if not images:
        shutil.rmtree(path)
        raise StorageError(translate("Export", "There is nothing to learn from. Review some findings first."))
    return translate_count("Export", "%n image(s). To check them: fusar-train data check", images)


def open_scene(taken: Snapshot) -> SarFile:
    """Return the scene. Raises StorageError."""
    try:
        return SarFile.of_request(taken.scene, taken.request)
    except SceneError as error:
        raise StorageError(
            translate("Export", "{reason} Bring the scene back to its place, or export as GeoJSON.").replace(
                "{reason}", str(error)
            )
        ) from error


def boxes_of(taken: Snapshot, scene: SarFile) -> list[export.Box]:
    """Return the upright boxes around the features, clipped to the scene."""
    return [_box(_rings(feature.geometry(), taken, scene), scene) for feature in taken.features]


def _objects(taken: Snapshot, scene: SarFile) -> list[export.Labelled]:
    objects = []
    for feature in taken.features:
        rings = _rings(feature.geometry(), taken, scene)
        own = fitted([point for ring in rings for point in ring])
        objects.append(
            export.Labelled(
                id=_text(feature, "id") or "",
                box=_box(rings, scene),
                label=review.final_label(_text(feature, "label"), _text(feature, "reviewed_label")),
                score=_number(feature, taken.ranking),
                review=_text(feature, "review"),
                corners=own.corners if own.angle else (),
            )
        )
    return objects


def area_of(taken: Snapshot, scene: SarFile) -> Rings:
    """Return the outline of what was looked at, in pixels; empty if the run does not say."""
    outline, own = QgsGeometry.fromWkt(str(taken.run.get("area") or "")), taken.run.get("scene_crs")
    return [] if outline.isNull() else _rings(outline, taken, scene, crs_of(str(own)) if own else taken.crs)


def _rings(
    outline: QgsGeometry, taken: Snapshot, scene: SarFile, crs: QgsCoordinateReferenceSystem | None = None
) -> Rings:
    """Return the rings of a polygon, in the findings' CRS or in ``crs``, as (x, y) in pixels."""
    moved = QgsGeometry(outline)
    moved.transform(QgsCoordinateTransform(crs or taken.crs, scene.crs, taken.context))
    moved.convertToMultiType()
    return [scene.to_pixel(ring) for polygon in moved.asMultiPolygon() for ring in polygon]


def _box(rings: Rings, scene: SarFile) -> export.Box:
    """Return the upright box around a polygon, clipped to the scene."""
    xs = [min(max(x, 0.0), scene.width) for ring in rings for x, _ in ring]
    ys = [min(max(y, 0.0), scene.height) for ring in rings for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


def _around(area: Rings, objects: list[export.Labelled]) -> export.Box:
    points = [point for ring in area for point in ring]
    points += [corner for item in objects for corner in (item.box[:2], item.box[2:])] if not area else []
    if not points:
        return (0, 0, 0, 0)
    xs, ys = [x for x, _ in points], [y for _, y in points]
    margin = 0.0 if area else _MARGIN * max(max(xs) - min(xs), max(ys) - min(ys))
    return min(xs) - margin, min(ys) - margin, max(xs) + margin, max(ys) + margin


def _as_row(feature: QgsFeature, fields: QgsFields) -> QgsFeature:
    row = QgsFeature(fields)
    row.setAttributes([feature[field.name()] for field in fields])
    row.setGeometry(feature.geometry())
    return row


def _text(feature: QgsFeature, name: str) -> str | None:
    value = value_of(feature, name)
    return None if value is None else str(value)


def _number(feature: QgsFeature, name: str) -> float | None:
    value = value_of(feature, name)
    return None if value is None else float(value)

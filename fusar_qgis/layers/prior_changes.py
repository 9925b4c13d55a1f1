"""What the prior changed, as a layer: the detections of two runs, matched by the rule of the contract."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsDistanceArea,
    QgsFeature,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsProject,
    QgsRendererCategory,
    QgsVectorLayer,
)

from ..contract import Finding, SceneBox, read_outline
from ..contract.prior_effect import (
    ADDED,
    CHANGES,
    MOVED,
    PRIOR_EFFECT_COLUMNS,
    REMOVED,
    SAME,
    Change,
    changes,
    overlaps_of,
    summary,
)
from ..core import review
from ..translation import translate
from .features import BOX, feature_of, fields_of, geometry_from, value_of
from .findings_layer import KIND_PROPERTY, findings_layers, run_of
from .scene import geojson

Counts = dict[str, dict[str, int]]
"""How many of each change there are, by label."""

_OF_BOTH = ("objectness", "confidence", "prior", "id", "run")
# Green, vermilion, yellow and blue (Okabe and Ito, 2008) on grey: told apart by everybody.
_LINES = {
    ADDED: ("#009e73", "solid", "0.8"),
    REMOVED: ("#d55e00", "dash", "0.8"),
    MOVED: ("#f0e442", "solid", "0.8"),
    SAME: ("#56b4e9", "solid", "0.4"),
}


def change_name(change: str) -> str:
    """Return what the prior did to a detection, in the analyst's language."""
    words = {
        ADDED: translate("Wording", "added by the prior"),
        REMOVED: translate("Wording", "removed by the prior"),
        MOVED: translate("Wording", "moved by the prior"),
        SAME: translate("Wording", "same with and without"),
    }
    return str(words[change])


def detections_layer(project: QgsProject, run: dict[str, Any]) -> QgsVectorLayer | None:
    """Return the layer of a run's detections; None where it found nothing, or the layer was removed."""
    for layer in findings_layers(project):
        if layer.customProperty(KIND_PROPERTY) == "detections" and run_of(layer).get("id") == run.get("id"):
            return layer
    return None


def changes_layer(
    project: QgsProject, with_prior: QgsVectorLayer | None, without: QgsVectorLayer | None, name: str
) -> tuple[QgsVectorLayer, Counts]:
    """Return a layer in memory of what the prior changed, and how much that is.

    Args:
        project: For the transformation between the layers' CRSs, and for distances.
        with_prior: The detections with a prior; None where there are none.
        without: The same without one; at least one of both is given.
        name: Of the layer.
    """
    crs = next(layer.crs() for layer in (with_prior, without) if layer is not None)
    ours, theirs = _detections(project, with_prior, crs), _detections(project, without, crs)
    ground = QgsDistanceArea()
    ground.setSourceCrs(crs, project.transformContext())
    ground.setEllipsoid(crs.ellipsoidAcronym() or "EPSG:7030")
    rows = [
        _feature(change, ours, theirs, ground)
        for change in changes(overlaps_of(ours, theirs), len(ours), len(theirs))
    ]
    layer = QgsVectorLayer("MultiPolygon", name, "memory")
    layer.setCrs(crs)
    layer.dataProvider().addAttributes(list(fields_of(PRIOR_EFFECT_COLUMNS)))
    layer.updateFields()
    layer.dataProvider().addFeatures(rows)
    layer.updateExtents()
    _style(layer)
    return layer, summary((str(row["label"] or ""), str(row["change"])) for row in rows)


def _detections(
    project: QgsProject, layer: QgsVectorLayer | None, crs: QgsCoordinateReferenceSystem
) -> list[Finding]:
    """Return what the model found, in ``crs``; not what a person drew, which no run is the cause of."""
    request = QgsFeatureRequest().setDestinationCrs(crs, project.transformContext())
    return [
        _finding(feature)
        for feature in (layer.getFeatures(request) if layer is not None else ())
        if feature.hasGeometry()
        and value_of(feature, "review") != review.ADDED
        and all(value_of(feature, name) is not None for name in BOX)
    ]


def _finding(feature: QgsFeature) -> Finding:
    """Return the finding that a row was made of."""
    known = {field.name(): value_of(feature, field.name()) for field in feature.fields()}
    return Finding(
        id=str(known.get("id")),
        layer="detections",
        geometry=read_outline(geojson(feature.geometry())),
        crs="",
        lonlat=None,
        box=SceneBox(*(float(known[name]) for name in BOX)),
        properties=known,
    )


def _feature(
    change: Change, ours: list[Finding], theirs: list[Finding], ground: QgsDistanceArea
) -> QgsFeature:
    one = None if change.detected is None else ours[change.detected]
    other = None if change.compared is None else theirs[change.compared]
    values: dict[str, Any] = {"change": change.change, "iou": change.iou}
    for finding, suffix in ((one, ""), (other, "_compared")):
        if finding is not None:
            values |= {f"{name}{suffix}": finding.properties.get(name) for name in _OF_BOTH}
    shown = one or other
    outline = geometry_from(shown.geometry) if shown is not None else None
    if shown is not None:
        values |= {name: shown.properties.get(name) for name in ("label", "lon", "lat")}
    if one is not None and other is not None and outline is not None:
        before = geometry_from(other.geometry).centroid().asPoint()
        values["distance_m"] = ground.measureLine(before, outline.centroid().asPoint())
    return feature_of(fields_of(PRIOR_EFFECT_COLUMNS), values, outline)


def _style(layer: QgsVectorLayer) -> None:
    categories = []
    for change in CHANGES:
        colour, line, width = _LINES[change]
        symbol = QgsFillSymbol.createSimple(
            {"style": "no", "outline_color": colour, "outline_style": line, "outline_width": width}
        )
        categories.append(QgsRendererCategory(change, symbol, change_name(change)))
    layer.setRenderer(QgsCategorizedSymbolRenderer("change", categories))
    layer.setDisplayExpression('concat("label", \': \', "change")')

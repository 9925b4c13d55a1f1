"""What the prior changed, or another run, as a layer: the detections of two runs, matched by the contract's rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsDistanceArea,
    QgsFeature,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsGeometry,
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


@dataclass(frozen=True)
class Changes:
    """What changed: the layer, how much that is, and how many detections lie where only one of both looked."""

    layer: QgsVectorLayer
    counts: Counts
    outside: int


def prior_words() -> dict[str, str]:
    """Return what the prior did to a detection, by the change, in the analyst's language."""
    return {
        ADDED: translate("Wording", "added by the prior"),
        REMOVED: translate("Wording", "removed by the prior"),
        MOVED: translate("Wording", "moved by the prior"),
        SAME: translate("Wording", "same with and without"),
    }


def run_words() -> dict[str, str]:
    """Return what became of a detection from one run to another, by the change, in the analyst's language."""
    return {
        ADDED: translate("Wording", "new"),
        REMOVED: translate("Wording", "gone"),
        MOVED: translate("Wording", "moved"),
        SAME: translate("Wording", "same"),
    }


def detections_layer(project: QgsProject, run: dict[str, Any]) -> QgsVectorLayer | None:
    """Return the layer of a run's detections; None where it found nothing, or the layer was removed."""
    for layer in findings_layers(project):
        if layer.customProperty(KIND_PROPERTY) == "detections" and run_of(layer).get("id") == run.get("id"):
            return layer
    return None


def changes_layer(
    project: QgsProject,
    detected: QgsVectorLayer | None,
    compared: QgsVectorLayer | None,
    name: str,
    words: Mapping[str, str],
    common: tuple[QgsGeometry, QgsCoordinateReferenceSystem] | None = None,
    *,
    on_ground: bool = False,
) -> Changes:
    """Return a layer in memory of what changed between two runs, and how much that is.

    Args:
        project: For the transformation between the layers' CRSs, and for distances.
        detected: The detections with a prior, or of the one run; None where there are none.
        compared: The same without one, or of the other run; at least one of both is given.
        name: Of the layer.
        words: What each change is called.
        common: Where both have looked, with its CRS: what lies elsewhere is not compared. None compares everything.
        on_ground: Whether boxes are matched on the ground, as for two scenes, and not in the pixels of their scene.
    """
    crs = next(layer.crs() for layer in (detected, compared) if layer is not None)
    everything = [_detections(project, layer, crs, on_ground=on_ground) for layer in (detected, compared)]
    ours, theirs = (
        everything if common is None else [_within(one, common, crs, project) for one in everything]
    )
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
    _style(layer, words)
    counts = summary((str(row["label"] or ""), str(row["change"])) for row in rows)
    return Changes(layer, counts, sum(map(len, everything)) - len(ours) - len(theirs))


def _within(
    findings: list[Finding],
    common: tuple[QgsGeometry, QgsCoordinateReferenceSystem],
    crs: QgsCoordinateReferenceSystem,
    project: QgsProject,
) -> list[Finding]:
    """Return the findings whose middle lies on the common ground."""
    area = QgsGeometry(common[0])
    area.transform(QgsCoordinateTransform(common[1], crs, project))
    return [one for one in findings if area.contains(geometry_from(one.geometry).centroid())]


def _detections(
    project: QgsProject, layer: QgsVectorLayer | None, crs: QgsCoordinateReferenceSystem, *, on_ground: bool
) -> list[Finding]:
    """Return what the model found, in ``crs``; not what a person drew, which no run is the cause of."""
    request = QgsFeatureRequest().setDestinationCrs(crs, project.transformContext())
    return [
        _finding(feature, on_ground=on_ground)
        for feature in (layer.getFeatures(request) if layer is not None else ())
        if feature.hasGeometry()
        and value_of(feature, "review") != review.ADDED
        and (on_ground or all(value_of(feature, name) is not None for name in BOX))
    ]


def _finding(feature: QgsFeature, *, on_ground: bool) -> Finding:
    """Return the finding that a row was made of; on the ground its box has y upside down, as pixels have."""
    known = {field.name(): value_of(feature, field.name()) for field in feature.fields()}
    if on_ground:
        bounds = feature.geometry().boundingBox()
        box = SceneBox(bounds.xMinimum(), -bounds.yMaximum(), bounds.xMaximum(), -bounds.yMinimum())
    else:
        box = SceneBox(*(float(known[name]) for name in BOX))
    return Finding(
        id=str(known.get("id")),
        layer="detections",
        geometry=read_outline(geojson(feature.geometry())),
        crs="",
        lonlat=None,
        box=box,
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


def _style(layer: QgsVectorLayer, words: Mapping[str, str]) -> None:
    categories = []
    for change in CHANGES:
        colour, line, width = _LINES[change]
        symbol = QgsFillSymbol.createSimple(
            {"style": "no", "outline_color": colour, "outline_style": line, "outline_width": width}
        )
        categories.append(QgsRendererCategory(change, symbol, words[change]))
    layer.setRenderer(QgsCategorizedSymbolRenderer("change", categories))
    layer.setDisplayExpression('concat("label", \': \', "change")')

"""What the prior changed, as a layer: the detections of two runs, matched."""

from __future__ import annotations

from collections import Counter
from typing import Any

from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsFillSymbol,
    QgsProject,
    QgsRendererCategory,
    QgsVectorLayer,
)

from ..contract.prior_effect import EFFECTS, Change, Effect, prior_effect
from ..core import review
from ..translation import translate
from .features import feature_of, fields_of, value_of
from .overlaps import overlaps_of
from .storage import KIND_PROPERTY, findings_layers, run_of

Counts = dict[str, Counter[Effect]]
"""How many objects of a class the prior added, removed, moved and left as they are."""

_FIELDS: dict[str, type] = {
    "change": str,
    "label": str,
    "iou": float,
    "with_prior": str,
    "without": str,
}
# Green, vermilion, yellow and white (Okabe and Ito, 2008) on grey: told apart by everybody.
_LINES: dict[Effect, tuple[str, str, str]] = {
    "added": ("#009e73", "solid", "0.8"),
    "removed": ("#d55e00", "dash", "0.8"),
    "moved": ("#f0e442", "solid", "0.8"),
    "same": ("#ffffff", "solid", "0.4"),
}


def effect_name(effect: Effect) -> str:
    """Return what the prior did, in the analyst's language."""
    words = {
        "added": translate("Wording", "added by the prior"),
        "removed": translate("Wording", "removed by the prior"),
        "moved": translate("Wording", "moved by the prior"),
        "same": translate("Wording", "same with and without"),
    }
    return str(words[effect])


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
        project: For the transformation between the layers' CRSs.
        with_prior: The detections with a prior; None where there are none.
        without: The same without one; at least one of both is given.
        name: Of the layer.
    """
    crs = next(layer.crs() for layer in (with_prior, without) if layer is not None)
    ours, theirs = _detections(project, with_prior, crs), _detections(project, without, crs)
    overlaps = overlaps_of([one.geometry() for one in ours], [one.geometry() for one in theirs])
    changes = prior_effect([_label(one) for one in ours], [_label(one) for one in theirs], overlaps)
    layer = QgsVectorLayer("MultiPolygon", name, "memory")
    layer.setCrs(crs)
    layer.dataProvider().addAttributes(list(fields_of(_FIELDS)))
    layer.updateFields()
    layer.dataProvider().addFeatures([_feature(change, ours, theirs) for change in changes])
    layer.updateExtents()
    _style(layer)
    counts: Counts = {}
    for change in changes:
        counts.setdefault(_label(_shown(change, ours, theirs)), Counter())[change.effect] += 1
    return layer, dict(sorted(counts.items()))


def _detections(
    project: QgsProject, layer: QgsVectorLayer | None, crs: QgsCoordinateReferenceSystem
) -> list[QgsFeature]:
    """Return what the model found: neither what a person drew, nor what has no place."""
    request = QgsFeatureRequest().setDestinationCrs(crs, project.transformContext())
    found = layer.getFeatures(request) if layer is not None else ()
    return [one for one in found if one.hasGeometry() and value_of(one, "review") != review.ADDED]


def _label(feature: QgsFeature) -> str:
    return str(value_of(feature, "label") or "")


def _shown(change: Change, ours: list[QgsFeature], theirs: list[QgsFeature]) -> QgsFeature:
    """Return the detection with the prior, or the one that the prior removed."""
    return theirs[change.without or 0] if change.with_prior is None else ours[change.with_prior]


def _feature(change: Change, ours: list[QgsFeature], theirs: list[QgsFeature]) -> QgsFeature:
    shown = _shown(change, ours, theirs)
    values = {
        "change": change.effect,
        "label": _label(shown),
        "iou": change.iou,
        "with_prior": None if change.with_prior is None else str(value_of(ours[change.with_prior], "id")),
        "without": None if change.without is None else str(value_of(theirs[change.without], "id")),
    }
    geometry = shown.geometry()
    geometry.convertToMultiType()
    return feature_of(fields_of(_FIELDS), values, geometry)


def _style(layer: QgsVectorLayer) -> None:
    categories = []
    for effect in EFFECTS:
        colour, line, width = _LINES[effect]
        symbol = QgsFillSymbol.createSimple(
            {"style": "no", "outline_color": colour, "outline_style": line, "outline_width": width}
        )
        categories.append(QgsRendererCategory(effect, symbol, effect_name(effect)))
    layer.setRenderer(QgsCategorizedSymbolRenderer("change", categories))
    layer.setDisplayExpression('concat("label", \': \', "change")')

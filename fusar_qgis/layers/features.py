"""Features and fields of QGIS, from and to plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from qgis.core import (
    NULL,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsVectorLayer,
)

from .. import compat
from ..contract import LAYER_COLUMNS, Finding, Outline
from ..core import review
from .scene import crs_of

BOX = ("box_left", "box_top", "box_right", "box_bottom")
"""The columns of a finding's box in scene pixels."""


def fields_of(columns: Mapping[str, type]) -> QgsFields:
    """Return attribute fields for columns."""
    fields = QgsFields()
    for name, kind in columns.items():
        fields.append(compat.field(name, kind))
    return fields


def feature_of(
    fields: QgsFields, values: Mapping[str, Any], geometry: QgsGeometry | None = None
) -> QgsFeature:
    """Return a feature; what ``values`` does not name is null."""
    feature = QgsFeature(fields)
    feature.setAttributes([values.get(field.name()) for field in fields])
    if geometry is not None:
        feature.setGeometry(geometry)
    return feature


def value_of(feature: QgsFeature, name: str) -> Any:
    """Return an attribute; None where there is no such field, or no value."""
    value = feature[name] if feature.fieldNameIndex(name) >= 0 else None
    return None if value is None or value == NULL else value


def geometry_of(finding: Finding) -> QgsGeometry:
    """Return a finding's geometry, in its CRS."""
    return geometry_from(finding.geometry)


def outline_in(
    finding: Finding, crs: QgsCoordinateReferenceSystem, context: QgsCoordinateTransformContext
) -> QgsGeometry:
    """Return a finding's outline in another CRS; in WGS 84 the backend's own, cut at the antimeridian."""
    own = crs_of(finding.crs)
    if own == crs:
        return geometry_of(finding)
    if crs.authid() == "EPSG:4326" and finding.lonlat is not None:
        return geometry_from(finding.lonlat)
    geometry = geometry_of(finding)
    geometry.transform(QgsCoordinateTransform(own, crs, context))
    return geometry


def geometry_from(outline: Outline) -> QgsGeometry:
    """Return an outline of the contract, in its CRS."""
    return QgsGeometry.fromMultiPolygonXY(
        [[[QgsPointXY(*point[:2]) for point in ring] for ring in polygon] for polygon in outline.polygons]
    )


def finding_fields(finding: Finding) -> QgsFields:
    """Return the columns: those of its kind, what else the finding has, its box, and those of its review."""
    kinds: dict[str, type] = dict(LAYER_COLUMNS[finding.layer])
    for name, value in finding.properties.items():
        if value is None or isinstance(value, (bool, int, float, str)):
            kinds.setdefault(name, str if value is None else type(value))
    kinds.update(dict.fromkeys(BOX, float))
    kinds.update(review.FIELDS)
    return fields_of(kinds)


def finding_feature(layer: QgsVectorLayer, finding: Finding) -> QgsFeature:
    """Return a finding as a feature of ``layer``, in its CRS."""
    values: dict[str, Any] = {**finding.properties, "id": finding.id}
    values.update(zip(BOX, astuple(finding.box)))  # noqa: B905 - QGIS for Windows has Python 3.9
    outline = outline_in(finding, layer.crs(), QgsProject.instance().transformContext())
    return feature_of(layer.fields(), values, outline)


def memory_layer(name: str, fields: QgsFields, crs: QgsCoordinateReferenceSystem) -> QgsVectorLayer:
    """Return an empty layer of findings that is kept in memory."""
    layer = QgsVectorLayer("MultiPolygon", name, "memory")
    layer.setCrs(crs)
    layer.dataProvider().addAttributes(list(fields))
    layer.updateFields()
    return layer

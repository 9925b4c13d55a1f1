"""Features and fields of QGIS, from and to plain values."""

from __future__ import annotations

from collections.abc import Mapping
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
)

from .. import compat
from ..contract import Finding, Outline
from .scene import crs_of


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

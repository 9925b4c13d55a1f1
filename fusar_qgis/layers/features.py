"""Features and fields of QGIS, from and to plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qgis.core import NULL, QgsFeature, QgsFields, QgsGeometry, QgsPointXY

from .. import compat
from ..contract import Finding


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
    return QgsGeometry.fromMultiPolygonXY(
        [
            [[QgsPointXY(*point) for point in ring] for ring in polygon]
            for polygon in finding.geometry.polygons
        ]
    )

"""The only place that knows differences between QGIS 3.22 and 4, and between Qt 5 and 6."""

from __future__ import annotations

from qgis.core import Qgis, QgsField, QgsPalLayerSettings, QgsWkbTypes

if Qgis.QGIS_VERSION_INT >= 33800:
    from qgis.PyQt.QtCore import QMetaType

    _FIELD_TYPES = {
        bool: QMetaType.Type.Bool,
        int: QMetaType.Type.Int,
        float: QMetaType.Type.Double,
        str: QMetaType.Type.QString,
    }
else:
    from qgis.PyQt.QtCore import QVariant

    _FIELD_TYPES = {
        bool: QVariant.Bool,
        int: QVariant.Int,
        float: QVariant.Double,
        str: QVariant.String,
    }

if Qgis.QGIS_VERSION_INT >= 32600:
    ABOVE_RIGHT = Qgis.LabelQuadrantPosition.AboveRight
else:
    ABOVE_RIGHT = QgsPalLayerSettings.QuadrantPosition.QuadrantAboveRight

POINT = Qgis.GeometryType.Point if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.PointGeometry
POLYGON = Qgis.GeometryType.Polygon if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.PolygonGeometry


def field(name: str, kind: type) -> QgsField:
    """Return an attribute field for Python values of ``kind``: bool, int, float or str."""
    return QgsField(name, _FIELD_TYPES[kind])

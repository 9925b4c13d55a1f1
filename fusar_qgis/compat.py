"""The only place that knows differences between QGIS 3.22 and 4, and between Qt 5 and 6."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from qgis.core import (
    Qgis,
    QgsApplication,
    QgsField,
    QgsMapLayer,
    QgsPalLayerSettings,
    QgsRasterTransparency,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
    QgsSymbol,
    QgsSymbolLayer,
    QgsTask,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QThreadPool

if Qgis.QGIS_VERSION_INT >= 33800:
    from qgis.PyQt.QtCore import QMetaType

    _FIELD_TYPES = {
        bool: QMetaType.Type.Bool,
        int: QMetaType.Type.Int,
        float: QMetaType.Type.Double,
        str: QMetaType.Type.QString,
        datetime: QMetaType.Type.QDateTime,
    }
else:
    from qgis.PyQt.QtCore import QVariant

    _FIELD_TYPES = {
        bool: QVariant.Bool,
        int: QVariant.Int,
        float: QVariant.Double,
        str: QVariant.String,
        datetime: QVariant.DateTime,
    }

if Qgis.QGIS_VERSION_INT >= 32600:
    ABOVE_RIGHT = Qgis.LabelQuadrantPosition.AboveRight
else:
    ABOVE_RIGHT = QgsPalLayerSettings.QuadrantPosition.QuadrantAboveRight

POINT = Qgis.GeometryType.Point if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.PointGeometry
LINE = Qgis.GeometryType.Line if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.LineGeometry
POLYGON = Qgis.GeometryType.Polygon if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.PolygonGeometry

MULTIPOLYGON = Qgis.WkbType.MultiPolygon if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.MultiPolygon
NO_GEOMETRY = Qgis.WkbType.NoGeometry if Qgis.QGIS_VERSION_INT >= 33000 else QgsWkbTypes.NoGeometry
VECTOR_LAYER = Qgis.LayerType.Vector if Qgis.QGIS_VERSION_INT >= 33000 else QgsMapLayer.VectorLayer
RASTER_LAYER = Qgis.LayerType.Raster if Qgis.QGIS_VERSION_INT >= 33000 else QgsMapLayer.RasterLayer
QUIET_TASK = QgsTask.Flag.Hidden if Qgis.QGIS_VERSION_INT >= 32600 else QgsTask.Flag.CanCancel
# QGIS 4 may know only the scoped names.
OPACITY = QgsSymbol.PropertyOpacity if hasattr(QgsSymbol, "PropertyOpacity") else QgsSymbol.Property.Opacity
STROKE_WIDTH = (
    QgsSymbolLayer.PropertyStrokeWidth
    if hasattr(QgsSymbolLayer, "PropertyStrokeWidth")
    else QgsSymbolLayer.Property.StrokeWidth
)
LAYER_ENABLED = (
    QgsSymbolLayer.PropertyLayerEnabled
    if hasattr(QgsSymbolLayer, "PropertyLayerEnabled")
    else QgsSymbolLayer.Property.LayerEnabled
)

if Qgis.QGIS_VERSION_INT >= 33400:
    RASTER_LAYERS = Qgis.LayerFilter.RasterLayer
    POLYGON_LAYERS = Qgis.LayerFilter.PolygonLayer
else:
    from qgis.core import QgsMapLayerProxyModel

    RASTER_LAYERS = QgsMapLayerProxyModel.Filter.RasterLayer
    POLYGON_LAYERS = QgsMapLayerProxyModel.Filter.PolygonLayer


def gray_band(renderer: QgsSingleBandGrayRenderer) -> int:
    """Return the band that ``renderer`` shows, counted from 1."""
    return int(renderer.inputBand() if Qgis.QGIS_VERSION_INT >= 33800 else renderer.grayBand())


def coloured_band(renderer: QgsSingleBandPseudoColorRenderer) -> int:
    """Return the band that ``renderer`` colours, counted from 1."""
    return int(renderer.inputBand() if Qgis.QGIS_VERSION_INT >= 33800 else renderer.band())


def transparent(low: float, high: float) -> Any:
    """Return what makes the numbers of a range of a raster, both ends included, transparent."""
    pixel = QgsRasterTransparency.TransparentSingleValuePixel()
    pixel.min, pixel.max = low, high
    if hasattr(pixel, "opacity"):  # from 3.38 on
        pixel.opacity = 0.0
    else:
        pixel.percentTransparent = 100.0
    return pixel


def field(name: str, kind: type) -> QgsField:
    """Return an attribute field for values of ``kind``: bool, int, float, str, or datetime for QDateTime."""
    return QgsField(name, _FIELD_TYPES[kind])


def feature_action_target() -> Any:
    """Return the target of a QgsMapLayerAction for one feature; qgis.gui is loaded only where there is a GUI."""
    from qgis.gui import QgsMapLayerAction

    if Qgis.QGIS_VERSION_INT >= 33000:
        return Qgis.MapLayerActionTarget.SingleFeature
    return QgsMapLayerAction.Target.SingleFeature


def task_pool() -> QThreadPool:
    """Return the pool of threads that QGIS runs its tasks on: newer QGIS has one for tasks alone."""
    manager = QgsApplication.taskManager()
    return manager.threadPool() if hasattr(manager, "threadPool") else QThreadPool.globalInstance()

"""The field that chooses which polygons are classified."""

from __future__ import annotations

from typing import Any

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsCsException,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProject,
)
from qgis.gui import QgsMapLayerComboBox
from qgis.PyQt.QtCore import pyqtSignal
from qgis.PyQt.QtWidgets import QLabel, QVBoxLayout, QWidget

from .. import compat
from ..contract.limits import MAX_BOXES
from ..layers.scene import geojson_features
from ..translation import translate_count

MOST = MAX_BOXES


class BoxesChoice(QWidget):
    """A polygon layer, and how many of its features are meant: those on the area, of the selected ones if any."""

    changed = pyqtSignal()

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._area = QgsGeometry()
        self._crs = QgsCoordinateReferenceSystem()
        self._boxes: list[QgsGeometry] = []
        self._is_over = False  # more than may be asked about
        self.layers = QgsMapLayerComboBox(self)
        self.layers.setFilters(compat.POLYGON_LAYERS)
        self._count = QLabel(self)
        self._count.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.layers)
        layout.addWidget(self._count)
        self.setFocusProxy(self.layers)
        self.layers.layerChanged.connect(self.refresh)

    def ask_about(self, area: QgsGeometry, crs: QgsCoordinateReferenceSystem) -> None:
        """Take the boxes of another area."""
        self._area, self._crs = area, crs
        self.refresh()

    def refresh(self) -> None:
        """Look at the layer again."""
        self._boxes, self._is_over = [], False
        layer = self.layers.currentLayer()
        if layer is None:
            self._count.setText(self.tr("There is no polygon layer. Detect first, or draw boxes."))
        else:
            self._find()
            if len(self._boxes) > MOST:
                self._boxes, self._is_over = [], True
                words = self.tr("More than {n} features on the area. Select some of them.").format(n=MOST)
            elif layer.selectedFeatureCount():
                words = translate_count("BoxesChoice", "%n selected feature(s) on the area", len(self._boxes))
            else:
                words = translate_count("BoxesChoice", "%n feature(s) on the area", len(self._boxes))
            self._count.setText(words)
        self.changed.emit()

    @property
    def problem(self) -> str:
        """Why there is nothing to classify, and what to do; empty where there is something."""
        if self._boxes:
            return ""
        if self.layers.currentLayer() is None or self._is_over:
            return str(self._count.text())
        return str(
            self.tr("No polygon of that layer lies on the area. Choose another layer, or another task.")
        )

    def boxes(self) -> dict[str, Any] | None:
        """Return the outlines as GeoJSON in the area's CRS, or None where there are none."""
        return geojson_features(self._boxes) if self._boxes else None

    def _find(self) -> None:
        """Find at most one more than may be asked about."""
        layer = self.layers.currentLayer()
        there = QgsCoordinateTransform(layer.crs(), self._crs, QgsProject.instance())
        back = QgsCoordinateTransform(self._crs, layer.crs(), QgsProject.instance())
        request = QgsFeatureRequest().setNoAttributes()
        try:
            request.setFilterRect(back.transformBoundingBox(self._area.boundingBox()))
        except QgsCsException:
            return  # the layer's CRS does not reach there
        if layer.selectedFeatureCount():
            request.setFilterFids(layer.selectedFeatureIds())
        for feature in layer.getFeatures(request):
            outline = QgsGeometry(feature.geometry())
            if outline.isEmpty() or outline.transform(there) or not outline.intersects(self._area):
                continue
            self._boxes.append(outline)
            if len(self._boxes) > MOST:
                return

"""The boxes of a layer's findings in pixels of their scene, on the map, and in the columns that follow from them."""

from __future__ import annotations

from collections.abc import Iterable

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsFeature,
    QgsGeometry,
    QgsPointXY,
    QgsProject,
    QgsRectangle,
    QgsVectorLayer,
)

from ..core.oriented_box import OrientedBox, Point, fitted
from ..translation import translate
from .features import BOX, value_of
from .findings_layer import SCENE_PROPERTY
from .scene import SceneError, ellipsoid_measure
from .scene_pixels import ScenePixels

_WGS84 = "EPSG:4326"
_BENDS = 8  # points added to each edge, which may be bent in the layer's CRS
_SAME_PX = 1.0


class BoxPlacing:
    """Places boxes of one layer. Whatever lies nowhere raises QgsCsException or SceneError.

    Attributes:
        scene: The scene of the run.
    """

    def __init__(self, layer: QgsVectorLayer) -> None:
        """Open the scene; raises SceneError where it cannot be."""
        self._layer = layer
        self.scene = ScenePixels(str(layer.customProperty(SCENE_PROPERTY) or ""))

    def box_of(self, geometry: QgsGeometry) -> OrientedBox:
        """Return the box of a finding's geometry, which is in the layer's CRS."""
        points = [QgsPointXY(vertex) for vertex in geometry.vertices()]
        return fitted(self._pixels(points, self._layer.crs()))

    def geometry_of(self, box: OrientedBox) -> QgsGeometry:
        """Return the outline of a box in the layer's CRS, cut at the antimeridian where that is WGS 84."""
        crs = self._layer.crs()
        if crs == self.scene.crs:
            outline = QgsGeometry.fromPolygonXY([self.to_map(box.corners, crs)])
        else:
            outline = QgsGeometry.fromPolygonXY([self.to_map(_bent(box.corners), crs)])
            outline = _cut(outline) if crs.isGeographic() else outline
        outline.convertToMultiType()
        return outline

    def to_map(self, points: Iterable[Point], crs: QgsCoordinateReferenceSystem) -> list[QgsPointXY]:
        """Return where points in pixels lie in ``crs``."""
        points = list(points)
        ground = self.scene.to_ground(points)
        if len(ground) < len(points):
            raise SceneError(_nowhere())
        move = QgsCoordinateTransform(self.scene.crs, crs, QgsProject.instance())
        return [move.transform(point) for point in ground]

    def to_pixel(self, point: QgsPointXY, crs: QgsCoordinateReferenceSystem) -> Point:
        """Return the pixel of a point in ``crs``."""
        return self._pixels([point], crs)[0]

    def columns(self, box: OrientedBox, before: QgsFeature | None = None) -> dict[str, float]:
        """Return the columns that follow from a box: its bounds in the scene, its centre, its sides in metres.

        ``before`` is the finding as it was. The pixels of its columns may be counted from another corner, where only a
        part of the scene was sent to the backend; they go on to be counted from there.
        """
        dx, dy = (0.0, 0.0) if before is None else self._offset(before)
        left, top, right, bottom = box.bounds
        width, height = self.scene.width, self.scene.height
        edges = (max(left, 0.0) + dx, max(top, 0.0) + dy, min(right, width) + dx, min(bottom, height) + dy)
        (centre,) = self.to_map([(box.x, box.y)], QgsCoordinateReferenceSystem(_WGS84))
        ring = self.to_map(box.corners, self.scene.crs)
        measure = ellipsoid_measure(self.scene.crs, QgsProject.instance().transformContext())
        sides = [measure.measureLine(ring[n], ring[(n + 1) % 4]) for n in range(4)]
        short, long = sorted(((sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2))
        said = {"lon": centre.x(), "lat": centre.y(), "length_m": long, "width_m": short}
        return {**dict(zip(BOX, edges)), **said}  # noqa: B905 - Python 3.9

    def bounds_before(self, before: QgsFeature) -> tuple[float, ...]:
        """Return left, top, right and bottom as the finding's columns say it, else as its geometry does."""
        edges = [value_of(before, name) for name in BOX]
        bounds = self.box_of(before.geometry()).bounds
        return bounds if None in edges else tuple(float(edge) for edge in edges if edge is not None)

    def _offset(self, before: QgsFeature) -> Point:
        """Return where the pixels of a finding's columns are counted from; there, if they fit its geometry at all."""
        bounds, said = self.box_of(before.geometry()).bounds, self.bounds_before(before)
        off: list[float] = [one - own for one, own in zip(said, bounds)]  # noqa: B905
        is_shifted = abs(off[2] - off[0]) < _SAME_PX and abs(off[3] - off[1]) < _SAME_PX
        return (round(off[0]), round(off[1])) if is_shifted else (0.0, 0.0)

    def _pixels(self, points: list[QgsPointXY], crs: QgsCoordinateReferenceSystem) -> list[Point]:
        move = QgsCoordinateTransform(crs, self.scene.crs, QgsProject.instance())
        pixels = self.scene.to_pixel(move.transform(point) for point in points)
        if len(pixels) < len(points) or not points:
            raise SceneError(_nowhere())
        return pixels


def _bent(corners: tuple[Point, ...]) -> list[Point]:
    """Return the corners with points between them."""
    parts = _BENDS + 1
    return [
        (x1 + (x2 - x1) * n / parts, y1 + (y2 - y1) * n / parts)
        for (x1, y1), (x2, y2) in zip(corners, [*corners[1:], corners[0]])  # noqa: B905 - Python 3.9
        for n in range(parts)
    ]


def _cut(outline: QgsGeometry) -> QgsGeometry:
    """Return a polygon in degrees, in two parts where it crosses the antimeridian."""
    if outline.boundingBox().width() <= 180:
        return outline
    world = QgsGeometry.fromRect(QgsRectangle(-180, -90, 180, 90))
    parts = []
    for turn in (0, -360):
        ring = [QgsPointXY(vertex.x() % 360 + turn, vertex.y()) for vertex in outline.vertices()]
        parts.append(QgsGeometry.fromPolygonXY([ring]).intersection(world))
    return QgsGeometry.collectGeometry([part for part in parts if not part.isEmpty()])


def _nowhere() -> str:
    return translate("BoxPlacing", "That place lies outside what the scene's georeferencing can place.")

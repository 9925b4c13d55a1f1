"""The pixels of a raster on the ground: from ground to pixel coordinates and back, and how large they are."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from osgeo import gdal, osr
from qgis.core import QgsCoordinateReferenceSystem, QgsPointXY

from ..translation import translate
from .scene import SceneError, ellipsoid_measure, is_placed, open_raster

_STEPS = 4  # to the inverse: of control points GDAL fits one polynomial each way, which are not each other's inverse


class ScenePixels:
    """An open raster and where its pixels lie.

    Attributes:
        width, height: Size in pixels.
        crs: CRS of the ground, of the geotransform or the control points.
    """

    def __init__(self, path: str) -> None:
        """Open the file; raises SceneError."""
        dataset = open_raster(path)
        if dataset is None or not dataset.RasterCount:
            raise SceneError(
                translate("Processing", "“{path}” cannot be opened as a raster. Check the file.").format(
                    path=path
                )
            )
        self._dataset: Any = dataset
        spatial = dataset.GetSpatialRef() or dataset.GetGCPSpatialRef()
        if spatial is None or not is_placed(dataset):
            raise SceneError(
                translate("Processing", "“{path}” has no georeferencing. Georeference it first.").format(
                    path=path
                )
            )
        spatial.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        self.crs = QgsCoordinateReferenceSystem.fromWkt(spatial.ExportToWkt())
        self.width, self.height = self._dataset.RasterXSize, self._dataset.RasterYSize
        self._placing = gdal.Transformer(self._dataset, None, [])
        self._is_exact = self._dataset.GetGeoTransform(can_return_null=True) is not None

    def to_pixel(self, points: Iterable[QgsPointXY]) -> list[tuple[float, float]]:
        """Return the pixel coordinates of ground points in ``crs``, without those that lie nowhere.

        The first pixel is 0 to 1.
        """
        ground = [(point.x(), point.y()) for point in points]
        pixels = self._move(True, ground)
        for _ in range(0 if self._is_exact else _STEPS):
            again = self._move(True, self._move(False, pixels))
            if not len(ground) == len(pixels) == len(again):
                break
            off = zip(self._move(True, ground), again)  # noqa: B905
            steps = [(x - u, y - v) for (x, y), (u, v) in off]
            pixels = [(x + dx, y + dy) for (x, y), (dx, dy) in zip(pixels, steps)]  # noqa: B905
        return pixels

    def to_ground(self, points: Iterable[tuple[float, float]]) -> list[QgsPointXY]:
        """Return where points in pixels lie on the ground in ``crs``, without those that lie nowhere."""
        return [QgsPointXY(x, y) for x, y in self._move(False, list(points))]

    def pixel_m(self) -> float:
        """Return the side in metres of a square as large as the pixel in the middle."""
        x, y = self.width / 2, self.height / 2
        ends = self.to_ground([(x - 0.5, y), (x + 0.5, y), (x, y - 0.5), (x, y + 0.5)])
        measure = ellipsoid_measure(self.crs)
        return float((measure.measureLine(*ends[:2]) * measure.measureLine(*ends[2:])) ** 0.5)

    def _move(self, to_pixel: bool, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        moved, fine = self._placing.TransformPoints(to_pixel, points)
        return [(x, y) for (x, y, _), good in zip(moved, fine) if good]  # noqa: B905 - Python 3.9

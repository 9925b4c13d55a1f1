"""A SAR raster read by GDAL: grey windows as the backend makes them, and ground to pixel coordinates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, gdal_array, osr
from qgis.core import QgsCoordinateReferenceSystem, QgsCoordinateTransformContext, QgsDistanceArea, QgsPointXY

from ..contract.stretch import Stretch, quantity_of, sample_scene, to_decibel
from ..translation import translate
from .scene import SceneError, is_placed, open_raster


class SarFile:
    """One band of an open raster.

    Attributes:
        width, height: Size in pixels.
        crs: CRS of the ground, of the geotransform or the control points.
        simulated: The file says that no radar ever saw it.
    """

    def __init__(self, path: str, band: int | None) -> None:
        """Open the file; raises SceneError. Without ``band``: VV, else HH, else the first."""
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
        self.simulated = self._dataset.GetMetadataItem("FUSAR_SIMULATED") == "YES"
        self._band = self._dataset.GetRasterBand(band or self._usual_band(path))
        if self._band is None:
            raise SceneError(
                translate("Processing", "“{path}” has no band {band}. Choose one that it has.").format(
                    path=path, band=band
                )
            )
        self._placing = gdal.Transformer(self._dataset, None, [])
        self._set_stretch(Path(path).stem)

    def grey(self, col: int, row: int, width: int, height: int) -> Any:
        """Return a window as the model's grey, uint8 [height, width]; raises SceneError where it is damaged."""
        return self._stretch.quantise(to_decibel(self._values(col, row, width, height), self._quantity))

    def to_pixel(self, points: list[QgsPointXY]) -> list[tuple[float, float]]:
        """Return the pixel coordinates of ground points in ``crs``; the first pixel is 0 to 1."""
        moved, fine = self._placing.TransformPoints(True, [(point.x(), point.y()) for point in points])
        return [(x, y) for (x, y, _), good in zip(moved, fine) if good]  # noqa: B905 - Python 3.9

    def pixel_m(self) -> float:
        """Return the side in metres of a square as large as the pixel in the middle."""
        x, y = self.width / 2, self.height / 2
        cross = [(x - 0.5, y), (x + 0.5, y), (x, y - 0.5), (x, y + 0.5)]
        ends = [QgsPointXY(east, north) for east, north, _ in self._placing.TransformPoints(False, cross)[0]]
        measure = QgsDistanceArea()
        measure.setSourceCrs(self.crs, QgsCoordinateTransformContext())
        measure.setEllipsoid("EPSG:7030")
        return float((measure.measureLine(*ends[:2]) * measure.measureLine(*ends[2:])) ** 0.5)

    def _set_stretch(self, stem: str) -> None:
        sample = sample_scene(self._values, self.width, self.height)
        names = f"{self._band.GetDescription()} {self._band.GetUnitType()} {stem}"
        dtype = np.dtype(gdal_array.GDALTypeCodeToNumericTypeCode(self._band.DataType)).name
        self._quantity = quantity_of(sample, dtype=dtype, scaled=self._scaled, names=names)
        db = to_decibel(sample, self._quantity)
        if not np.isfinite(db).any():
            raise SceneError(translate("Processing", "The band holds no data. Choose another band."))
        self._stretch = Stretch.of_samples(db, self._quantity)

    @property
    def _scaled(self) -> bool:
        return (self._band.GetScale() or 1.0, self._band.GetOffset() or 0.0) != (1.0, 0.0)

    def _values(self, col: int, row: int, width: int, height: int) -> Any:
        """Return stored numbers float32 [height, width], magnitudes if complex, NaN where masked."""
        try:
            stored = self._band.ReadAsArray(col, row, width, height)
            mask = self._band.GetMaskBand().ReadAsArray(col, row, width, height)
        except RuntimeError:
            stored = mask = None
        if stored is None or mask is None:
            raise SceneError(
                translate("Processing", "The raster is damaged or truncated. Download or copy it again.")
            )
        values = (np.abs(stored) if np.iscomplexobj(stored) else stored).astype(np.float32)
        if self._scaled:
            scale, offset = self._band.GetScale() or 1.0, self._band.GetOffset() or 0.0
            values = values * np.float32(scale) + np.float32(offset)
        values[mask == 0] = np.nan
        return values

    def _usual_band(self, path: str) -> int:
        """Return the number of VV, else HH, else the first band."""
        bands = range(1, self._dataset.RasterCount + 1)
        named = [self._dataset.GetRasterBand(number).GetDescription().upper() for number in bands]
        for wanted in ("VV", "HH"):
            for number, name in enumerate(named, 1):
                if wanted in name:
                    return number
        return 1


def write_png(path: Path, pixels: Any) -> None:
    """Write grey uint8 [height, width] as PNG. Raises OSError."""
    height, width = pixels.shape
    memory = gdal.GetDriverByName("MEM").Create("", width, height, 1, gdal.GDT_Byte)
    memory.GetRasterBand(1).WriteArray(pixels)
    try:
        written = gdal.GetDriverByName("PNG").CreateCopy(str(path), memory, options=["ZLEVEL=1"])
    except RuntimeError as error:
        raise OSError(str(error)) from error
    if written is None:
        raise OSError(gdal.GetLastErrorMsg())
    del written
    Path(f"{path}.aux.xml").unlink(missing_ok=True)

"""A SAR raster read by GDAL: grey windows as the backend makes them."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, gdal_array

from ..contract import InterpretRequest, SearchRequest
from ..contract.bands import choose_band
from ..contract.evidence import StoredBand
from ..contract.radiometry import Radiometry, judge, quantity_of
from ..contract.sample import sample_band
from ..contract.stretch import Stretch
from ..translation import translate
from .scene import SceneError
from .scene_pixels import ScenePixels

_ROUNDED = 1e-7
_SOURCE = (
    '<SimpleSource><SourceFilename relativeToVRT="0">{path}</SourceFilename><SourceBand>{band}</SourceBand>'
    "</SimpleSource>"
)


@dataclass(frozen=True)
class GreyScale:
    """How QGIS shows a SAR file as the model sees it.

    Attributes:
        band: The band to show, counted from 1.
        limits: The numbers, as QGIS reads them, that become grey 0 to 255.
        gaps: Ranges of such numbers, both ends included, that are no data.
        magnitudes: What to show of complex numbers, which QGIS cannot draw: a virtual raster, as XML for GDAL; else
            empty.
    """

    band: int
    limits: list[float]
    gaps: list[tuple[float, float]]
    magnitudes: str = ""


class SarFile(ScenePixels):
    """One band of an open raster.

    Attributes:
        simulated: The file says that no radar ever saw it.
    """

    def __init__(
        self, path: str, band: int | str | None, quantity: str | None = None, scale: float | None = None
    ) -> None:
        """Open the file; raises SceneError.

        ``band``, ``quantity`` and ``scale`` as in a request: without ``band`` VV, else HH, else the first that shows
        the ground.
        """
        super().__init__(path)
        self.simulated = self._dataset.GetMetadataItem("FUSAR_SIMULATED") == "YES"
        if isinstance(band, int) and not 1 <= band <= self._dataset.RasterCount:
            raise SceneError(
                translate("Processing", "“{path}” has no band {band}. Choose one that it has.").format(
                    path=path, band=band
                )
            )
        try:
            self._bands = self._choose(band)
            self._radiometry, self._stretch = self._judge(Path(path).stem, quantity, scale)
        except ValueError as error:
            raise SceneError(
                translate("Processing", "“{path}” cannot be used: {reason}.").format(path=path, reason=error)
            ) from error

    def grey(self, col: int, row: int, width: int, height: int, size: tuple[int, int] | None = None) -> Any:
        """Return a window as the model's grey, uint8 [height, width]; raises SceneError where it is damaged.

        With ``size``, (width, height), fewer pixels of the same ground.
        """
        return self._stretch.quantise(self._radiometry.decibels(self._stored(col, row, width, height, size)))

    @classmethod
    def of_request(cls, path: str, request: InterpretRequest | SearchRequest | None) -> SarFile:
        """Open the scene of a run as its request had it read; None is one that says nothing. Raises SceneError."""
        if request is None:
            return cls(path, None)
        return cls(path, request.band, request.quantity, request.scale)

    @property
    def band(self) -> int:
        """Number of the band, counted from 1; of complex numbers in two bands, the first."""
        return int(self._bands[0].GetBand())

    def grey_scale(self) -> GreyScale:
        """Return how QGIS shows the file in the model's grey."""
        seen, stretch = self._radiometry, self._stretch
        levels = np.linspace(stretch.low_db, stretch.high_db, 256)
        decades = {"amplitude": 20.0, "power": 10.0}.get(seen.quantity)
        values = levels if decades is None else 10.0 ** (levels / decades)
        magnitudes = self._magnitudes()
        band = None if magnitudes else self._bands[0]
        scale, offset = ((band.GetScale() or 1.0), (band.GetOffset() or 0.0)) if band else (1.0, 0.0)

        def drawn(stored: float) -> float:
            return stored * scale + offset  # as QGIS reads it

        limits = [drawn(float(one)) for one in (values - seen.offset) / seen.scale]
        ends = [sorted(map(drawn, _widened(*gap))) for gap in seen.gaps()]
        return GreyScale(
            1 if magnitudes else self.band, limits, [(low, high) for low, high in ends], magnitudes
        )

    def _magnitudes(self) -> str:
        """Return a virtual raster of the magnitudes of complex numbers, as XML for GDAL; empty if there are none."""
        path, numbers = self._dataset.GetDescription(), [band.GetBand() for band in self._bands]
        if len(numbers) == 2:
            path, numbers = self._derived("complex", "CFloat32", "Float32", path, numbers), [1]
        elif not _dtype(self._bands[0]).startswith("complex"):
            return ""
        return self._derived("mod", "Float32", "CFloat32", path, numbers)

    def _derived(self, function: str, dtype: str, source_dtype: str, path: str, numbers: list[int]) -> str:
        """Return a virtual raster in the file's place that a pixel function of GDAL makes of bands of ``path``."""
        made = gdal.GetDriverByName("VRT").Create("", self.width, self.height, 0)
        if self._dataset.GetGCPCount():
            made.SetGCPs(self._dataset.GetGCPs(), self._dataset.GetGCPSpatialRef())
        else:
            made.SetSpatialRef(self._dataset.GetSpatialRef())
            made.SetGeoTransform(self._dataset.GetGeoTransform())
        options = {
            "subclass": "VRTDerivedRasterBand",
            "PixelFunctionType": function,
            "SourceTransferType": source_dtype,
        }
        made.AddBand(gdal.GetDataTypeByName(dtype), [f"{name}={value}" for name, value in options.items()])
        band = made.GetRasterBand(1)
        for place, number in enumerate(numbers):
            band.SetMetadataItem(
                f"source_{place}",
                _SOURCE.format(path=escape(path, quote=False), band=number),
                "new_vrt_sources",
            )
        gap = self._bands[0].GetNoDataValue()
        if gap is not None:
            band.SetNoDataValue(abs(gap))
        return str(made.GetMetadata("xml:VRT")[0])

    def pixels_in(self, raster: Any, points: list[list[float]]) -> tuple[Any, Any]:
        """Return where pixels (x, y) of this file lie in another open raster, float [n, 2], and which are anywhere.

        Raises RuntimeError where there is no way from one to the other.
        """
        moved, fine = gdal.Transformer(self._dataset, raster, []).TransformPoints(False, points)
        at = np.array(moved)[:, :2]
        return at, np.array(fine, dtype=bool) & np.isfinite(at).all(axis=1)

    def _choose(self, band: int | str | None) -> list[Any]:
        """Return the band, or the two whose magnitude is wanted. Raises ValueError."""
        bands = [self._dataset.GetRasterBand(number) for number in range(1, self._dataset.RasterCount + 1)]
        names = [one.GetDescription() for one in bands]
        return [
            bands[number - 1] for number in choose_band(names, band, [one.GetUnitType() for one in bands])
        ]

    def _judge(self, stem: str, quantity: str | None, scale: float | None) -> tuple[Radiometry, Stretch]:
        """Return what the numbers are, as the backend judges them, and their stretch. Raises ValueError."""
        band = self._bands[0]
        stored = StoredBand(
            dtype="complex64" if len(self._bands) == 2 else _dtype(band),
            name=f"{band.GetDescription()} {band.GetUnitType()}".strip(),
            context=StoredBand.context_of(stem, {**self._dataset.GetMetadata(), **band.GetMetadata()}),
            scale=band.GetScale() or 1.0,
            offset=band.GetOffset() or 0.0,
        )
        sample = sample_band(self._stored, self.width, self.height)
        radiometry = judge(sample, stored, quantity_of(quantity), scale)
        db = radiometry.decibels(sample.numbers)
        if not np.isfinite(db).any():
            raise SceneError(translate("Processing", "The band holds no data. Choose another band."))
        return radiometry, Stretch.of_samples(db, radiometry.quantity)

    def _stored(
        self, col: int, row: int, width: int, height: int, size: tuple[int, int] | None = None
    ) -> Any:
        """Return stored numbers float32 [height, width], magnitudes if complex, NaN where masked."""
        parts, masks = [], []
        try:
            for band in self._bands:
                parts.append(band.ReadAsArray(col, row, width, height, *(size or ())))
                masks.append(band.GetMaskBand().ReadAsArray(col, row, width, height, *(size or ())))
        except RuntimeError:
            parts.append(None)
        if any(part is None for part in (*parts, *masks)):
            raise SceneError(
                translate("Processing", "The raster is damaged or truncated. Download or copy it again.")
            )
        stored = np.hypot(*parts) if len(parts) == 2 else parts[0]
        values = (np.abs(stored) if np.iscomplexobj(stored) else stored).astype(np.float32)
        for mask in masks:
            values[mask == 0] = np.nan
        return values


def _widened(low: float, high: float) -> tuple[float, float]:
    """Return a range with finite ends that holds its ends also where they were rounded to 32 bits."""
    most = float(np.finfo(np.float32).max)
    return max(low - _ROUNDED * abs(low), -most), min(high + _ROUNDED * abs(high), most)


def _dtype(band: Any) -> str:
    """Return numpy's name of the type of a band's numbers."""
    return str(np.dtype(gdal_array.GDALTypeCodeToNumericTypeCode(band.DataType)).name)


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

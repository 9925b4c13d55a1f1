"""A SAR raster read by GDAL: grey windows as the backend makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal, gdal_array

from ..contract.bands import choose_band
from ..contract.evidence import StoredBand
from ..contract.radiometry import Radiometry, judge, quantity_of
from ..contract.sample import sample_band
from ..contract.stretch import Stretch
from ..translation import translate
from .scene import SceneError
from .scene_pixels import ScenePixels


class SarFile(ScenePixels):
    """One band of an open raster.

    Attributes:
        simulated: The file says that no radar ever saw it.
    """

    def __init__(
        self, path: str, band: int | None, quantity: str | None = None, scale: float | None = None
    ) -> None:
        """Open the file; raises SceneError.

        Without ``band``: VV, else HH, else the first that shows the ground. ``quantity`` and ``scale`` as in a request.
        """
        super().__init__(path)
        self.simulated = self._dataset.GetMetadataItem("FUSAR_SIMULATED") == "YES"
        if band is not None and not 1 <= band <= self._dataset.RasterCount:
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

    @property
    def band(self) -> int:
        """Number of the band, counted from 1; of complex numbers in two bands, the first."""
        return int(self._bands[0].GetBand())

    def grey_limits(self) -> list[float] | None:
        """Return the numbers that become grey 0 to 255, scaled by the file's own tags; None of complex numbers."""
        band = self._bands[0]
        if len(self._bands) == 2 or _dtype(band).startswith("complex"):
            return None
        seen, stretch = self._radiometry, self._stretch
        levels = np.linspace(stretch.low_db, stretch.high_db, 256)
        decades = {"amplitude": 20.0, "power": 10.0}.get(seen.quantity)
        values = levels if decades is None else 10.0 ** (levels / decades)
        stored = (values - seen.offset) / seen.scale
        return [float(one) for one in stored * (band.GetScale() or 1.0) + (band.GetOffset() or 0.0)]

    def _choose(self, band: int | None) -> list[Any]:
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

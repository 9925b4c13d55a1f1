"""A georeferenced SAR raster: its band, the quantity it stores, its geolocation. Only windows are read."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path
from types import TracebackType

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window

from fusar_gpt.contract import InterpretRequest, SearchRequest
from fusar_gpt.contract.bands import choose_band
from fusar_gpt.contract.dates import acquisition_date
from fusar_gpt.contract.radiometry import Radiometry, judge, quantity_of
from fusar_gpt.contract.sample import BandSample, sample_band
from fusar_gpt.contract.stretch import Quantity, Stretch
from fusar_gpt.errors import Cancelled, FusarError, SceneError
from fusar_gpt.frames import GroundPoints, LonLatPoints, SceneBox, ScenePoints, SceneWindow, scene_corners
from fusar_gpt.imagery.geolocation import (
    Geolocation,
    LonLat,
    are_angles,
    check_sample_m,
    ground_sample_m,
    locate,
)
from fusar_gpt.imagery.product_metadata import band_names, describe_band
from fusar_gpt.imagery.product_parts import how_to_open, listed, part_named, parts_left_out, parts_of
from fusar_gpt.imagery.raster_policy import NO_NETWORK, RasterPolicy
from fusar_gpt.imagery.sample_cache import cached_sample
from fusar_gpt.lonlat import around, turn_of

_GDAL = {"GDAL_CACHEMAX": 256 * 2**20, **NO_NETWORK}
"""Around every access: a cache that does not grow with the machine, and no network (a VRT can name URLs)."""

_BACK_PX = 100.0
"""How far a pixel may come back from degrees to elsewhere: far outside its domain a projection is not one to one."""

IN_MEMORY: dict[Path, Scene] = {}
"""Scenes that are in no file, by the path under which :func:`open_scene` finds them."""


class Scene:
    """An open SAR raster and one band of it; made by :func:`open_scene`, closed by ``with`` or :meth:`close`.

    Attributes:
        path: The file.
        name: Its name without the folder.
        width, height: Size in pixels.
        crs: CRS of the ground coordinates; for a GCP-only scene that of the control points.
        bands: Names of all bands, in the file's order.
        band: Name of the band that is read; of two whose magnitude it is, both.
        tags: What the file says of itself, by name.
        block: Rows and columns of the blocks that the file stores it in.
        acquired: Day of acquisition, from the tags or the file name; None if neither says it.
        simulated: The tag ``FUSAR_SIMULATED=YES`` is set.
        attribution: Whom to credit, from the tags ``FUSAR_ATTRIBUTION`` or ``TIFFTAG_COPYRIGHT``.
        pixel_size_m: Ground sample distance at the centre of the scene in metres, geodesic.
        georeferenced: Whether its pixels lie on Earth; false for a plain image alone.
    """

    georeferenced = True

    def __init__(
        self,
        dataset: rasterio.DatasetReader,
        path: Path,
        band: str | int | None,
        policy: RasterPolicy | None = None,
        quantity: Quantity | None = None,
        scale: float | None = None,
        part: str = "",
        notes: tuple[str, ...] = (),
        cancelled: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = path
        self._cancelled = cancelled
        self._environment = _GDAL | policy.environment if policy else _GDAL
        self.name = path.name
        self.width, self.height = int(dataset.width), int(dataset.height)
        self.bands = band_names(dataset, path.stem)
        try:
            self._indexes = choose_band(self.bands, band, [unit or "" for unit in dataset.units])
        except ValueError as error:
            raise SceneError(str(error)) from error
        self.band = " and ".join(self.bands[index - 1] for index in self._indexes)
        if part:
            self.band = part if len(self.bands) == 1 else f"{part}, {self.band}"
        self.block = dataset.block_shapes[self._indexes[0] - 1]
        self._asked = quantity, scale
        self._notes = notes
        self.tags: dict[str, str] = dataset.tags()
        self.acquired = acquisition_date(self.tags, path.stem)
        self.simulated = self.tags.get("FUSAR_SIMULATED", "").upper() == "YES"
        self.attribution: str | None = self.tags.get("FUSAR_ATTRIBUTION") or self.tags.get(
            "TIFFTAG_COPYRIGHT"
        )
        self._dataset = dataset
        self._geolocation: Geolocation = locate(dataset)
        self._lonlat = LonLat(self._geolocation.crs)
        self._turn = turn_of(self.crs) or self._lonlat.turn()
        self._middle = float(self.to_ground(ScenePoints.of([(self.width / 2, self.height / 2)])).x[0])
        self.pixel_size_m = self._check_place()

    @property
    def crs(self) -> CRS:
        """CRS of the ground coordinates; the coordinates are in (x, y) order whatever its axis order."""
        return self._geolocation.crs

    def __enter__(self) -> Scene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._dataset.close()

    @cached_property
    def radiometry(self) -> Radiometry:
        """What the stored numbers are, as :func:`judge` tells.

        Raises:
            SceneError: They show no objects, such as phases, or the file is damaged.
        """
        index = self._indexes[0]
        stored = describe_band(self._dataset, index, self.band, self.path.stem)
        if len(self._indexes) == 2:
            stored = replace(stored, dtype="complex64")
        try:
            return judge(self.sample, stored, *self._asked)
        except ValueError as error:
            raise SceneError(f"band '{self.band}' of '{self.name}': {error}") from error

    @property
    def quantity(self) -> Quantity:
        """What the stored numbers are."""
        return self.radiometry.quantity

    @property
    def warnings(self) -> tuple[str, ...]:
        """What whoever reads a result must know of how the scene was read."""
        return self._notes + self.radiometry.warnings

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of size, geolocation, band and sampled pixels: cheap, and specific to the content."""
        dataset = self._dataset
        gcps = [(gcp.col, gcp.row, gcp.x, gcp.y) for gcp in dataset.gcps[0]]
        size = (self.width, self.height, dataset.dtypes, self.path.stat().st_size)
        described = repr((size, self._indexes, tuple(dataset.transform), gcps, self.crs.to_wkt()))
        return _fingerprint(described, self.sample)

    def check(self) -> None:
        """Sample the whole scene, whatever its numbers are. Raises SceneError where the file is damaged or empty."""
        if not self.sample.numbers.size:
            raise SceneError(_no_data(self.band, self.name))

    def stretch(self) -> Stretch:
        """The scene's two limits for quantising, from at most a million pixels spread over it.

        Raises:
            SceneError: There is no valid pixel, or the file is damaged.
        """
        return self._stretch

    @cached_property
    def _stretch(self) -> Stretch:
        if (found := _stretch_of(self.sample, self.radiometry)) is None:
            raise SceneError(_no_data(self.band, self.name))
        return found

    def read(self, window: SceneWindow) -> NDArray[np.float32]:
        """The window in decibels (grey levels if ``quantity`` is grey) [h, w]; NaN: no data or off the scene.

        Raises:
            SceneError: The file is damaged there.
        """
        return self.read_resampled(window, (window.height, window.width))

    def read_resampled(self, window: SceneWindow, shape: tuple[int, int]) -> NDArray[np.float32]:
        """As ``read``, resampled to (rows, columns) ``shape``: for pictures of large areas; fast with overviews."""
        db = np.full(shape, np.nan, dtype=np.float32)
        left, top = max(window.col, 0), max(window.row, 0)
        right = min(window.col + window.width, self.width)
        bottom = min(window.row + window.height, self.height)
        per_x, per_y = shape[1] / window.width, shape[0] / window.height
        columns = slice(round((left - window.col) * per_x), round((right - window.col) * per_x))
        rows = slice(round((top - window.row) * per_y), round((bottom - window.row) * per_y))
        if left < right and top < bottom and db[rows, columns].size:
            inside = SceneWindow(left, top, right - left, bottom - top)
            stored = self._stored(inside, db[rows, columns].shape, exact=bool(self.radiometry.fill))
            db[rows, columns] = self.radiometry.decibels(stored)
        return db

    def to_ground(self, points: ScenePoints) -> GroundPoints:
        """Scene pixels -> ground coordinates in ``crs``, (x, y) order."""
        return self._geolocation.to_ground(points)

    def to_scene(self, points: GroundPoints) -> ScenePoints:
        """Ground coordinates in ``crs``, (x, y) order -> scene pixels; longitudes may be whole turns away."""
        if self._turn is not None:
            points = GroundPoints(around(points.x, self._middle, self._turn), points.y)
        return self._geolocation.to_scene(points)

    def to_lonlat(self, points: ScenePoints) -> LonLatPoints:
        """Scene pixels -> WGS84 degrees."""
        return self._lonlat.from_ground(self.to_ground(points))

    def from_lonlat(self, points: LonLatPoints) -> ScenePoints:
        """WGS84 degrees -> scene pixels; not finite where the scene's CRS does not reach."""
        return self.to_scene(self._lonlat.to_ground(points))

    def _check_place(self) -> float:
        """The pixel size in metres at the centre. Raises SceneError where the scene cannot lie as it says."""
        x, y = self.width / 2, self.height / 2
        corners = self.to_ground(scene_corners(SceneBox(0, 0, self.width, self.height)))
        turn = turn_of(self.crs)
        if turn is not None and not are_angles(corners, turn):
            raise SceneError(
                f"'{self.name}' has coordinates up to {np.abs(corners.xy()).max():.10g}, which are no longitudes and "
                f"latitudes as its CRS '{self.crs.name}' says: assign the CRS that they are in, or cut off what lies "
                "beyond the pole"
            )
        ends = ScenePoints.of([(x - 0.5, y), (x + 0.5, y), (x, y - 0.5), (x, y + 0.5)])
        cross = self.to_lonlat(ends)
        back = self.from_lonlat(cross).xy()
        if not (np.isfinite(cross.xy()).all() and (np.abs(back - ends.xy()) < _BACK_PX).all()):
            raise SceneError(f"'{self.name}' lies outside its CRS '{self.crs.name}': assign the right CRS")
        size = ground_sample_m(cross)
        check_sample_m(size, self.name, self.crs)
        return size

    def _stored(
        self, window: SceneWindow, shape: tuple[int, ...], *, exact: bool = False
    ) -> NDArray[np.float32]:
        """Stored numbers of a window inside the scene, magnitude if complex, NaN where masked.

        ``exact``: numbers that the file has, no means of them, where it is read at less than its resolution.
        """
        if self._cancelled():
            raise Cancelled("cancelled")
        indexes = list(self._indexes)
        compound = len(indexes) == 2 or "complex" in self._dataset.dtypes[indexes[0] - 1]
        try:
            with rasterio.Env(**self._environment):
                masked = self._dataset.read(
                    indexes,
                    window=Window(window.col, window.row, window.width, window.height),
                    out_shape=(len(indexes), *shape),
                    masked=True,
                    # Complex pixels that are averaged cancel each other by their phases; fill would blend with data.
                    resampling=Resampling.nearest if compound or exact else Resampling.average,
                )
        except RasterioError as error:
            raise SceneError(f"'{self.name}' is damaged or cut short: copy or download it again") from error
        with np.errstate(over="ignore", invalid="ignore"):
            stored = np.hypot(*masked.data) if len(indexes) == 2 else masked.data[0]
            values: NDArray[np.float32] = (np.abs(stored) if compound else stored).astype(np.float32)
        values[np.ma.getmaskarray(masked).any(axis=0)] = np.nan
        return values

    @cached_property
    def sample(self) -> BandSample:
        """Stored numbers from all over the scene; cached while the files are unchanged. SceneError: it is damaged."""
        with rasterio.Env(**self._environment):  # to name the files GDAL opens overviews
            return cached_sample(self._dataset, self._indexes, self._read_sample)

    def _read_sample(self) -> BandSample:
        """As :func:`sample_band`."""

        def read(col: int, row: int, width: int, height: int) -> NDArray[np.float32]:
            return self._stored(SceneWindow(col, row, width, height), (height, width))

        return sample_band(read, self.width, self.height)


@lru_cache(maxsize=16)  # as many as samples are kept of scenes that are opened again and again
def _fingerprint(described: str, sample: BandSample) -> str:
    """SHA-256 of what a scene says of itself and of its sampled pixels."""
    digest = hashlib.sha256(described.encode())
    digest.update(sample.numbers.data)
    return digest.hexdigest()


@lru_cache(maxsize=16)
def _stretch_of(sample: BandSample, radiometry: Radiometry) -> Stretch | None:
    """The limits for quantising; None where no number is valid."""
    db = radiometry.decibels(sample.numbers)
    return Stretch.of_samples(db, radiometry.quantity) if np.isfinite(db).any() else None


def _no_data(band: str, name: str) -> str:
    return f"band '{band}' of '{name}' holds no data: choose another with --band"


def open_scene(
    path: str | Path,
    *,
    band: str | int | None = None,
    policy: RasterPolicy | None = None,
    quantity: Quantity | None = None,
    scale: float | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Scene:
    """Open a SAR raster of any format GDAL reads from disk.

    Args:
        path: A file, or the folder of a product (SAFE). URLs and GDAL's /vsi paths are refused.
        band: Name, polarisation or 1-based number; None takes VV, then HH, then the first. Of a product of several
            rasters also the name of one of them: IW2_VV, "page 2", a variable.
        policy: Given for an untrusted file: what may be opened. None trusts the file.
        quantity: What its numbers are; None judges by names, units, range and texture.
        scale: They are multiplied by this instead of by the scale and offset that the file states.
        cancelled: Asked before each read of pixels, which raises Cancelled once it is true.

    Raises:
        SceneError: No such file, not a raster, no such band, or no georeferencing; with a
            policy also a raster that it refuses.
    """
    if (scene := IN_MEMORY.get(Path(path))) is not None:
        return scene
    file = local_path(path, "scene", SceneError)
    dataset = policy.open(file) if policy else _open(str(file.absolute()), file)
    try:
        parts = parts_of(dataset)
        # A part's address is no file, which a policy could look at.
        if policy is None and (part := part_named(parts, band)):
            dataset.close()
            dataset = _open(part.address, file)
            return Scene(dataset, file, None, None, quantity, scale, part.name, (), cancelled)
        if dataset.count == 0:
            inner = f"name one with --band: {listed(parts)}" if parts else "give a raster"
            raise SceneError(f"'{file.name}' is a container of rasters: {inner}")
        notes = parts_left_out(dataset, parts, file.name, choosable=policy is None)
        return Scene(dataset, file, band, policy, quantity, scale, "", notes, cancelled)
    except FusarError:
        dataset.close()
        raise


def open_scene_of(
    request: InterpretRequest | SearchRequest,
    policy: RasterPolicy | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Scene:
    """Open the scene that a request names, as it says that it is to be read. Raises as :func:`open_scene`."""
    return open_scene(
        request.scene,
        band=request.band,
        policy=policy,
        quantity=quantity_of(request.quantity),
        scale=request.scale,
        cancelled=cancelled,
    )


def _open(address: str, file: Path) -> rasterio.DatasetReader:
    """Open what GDAL calls ``address``: the file, or a part of it."""
    try:
        with warnings.catch_warnings(), rasterio.Env(**_GDAL):
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return rasterio.open(address)
    except RasterioError as error:
        raise SceneError(
            how_to_open(file)
            or f"'{file.name}' cannot be opened as a raster: give a GeoTIFF or another format that GDAL reads"
        ) from error


def local_path(path: str | Path, what: str, error: type[FusarError]) -> Path:
    """The path if it is on disk; GDAL by itself would also follow URLs and /vsi paths.

    Raises:
        FusarError: Of the type ``error``; ``what`` names the thing in the message.
    """
    text = os.fspath(path)
    if "://" in text or text.replace("\\", "/").lower().startswith("/vsi"):
        raise error(f"the {what} '{text}' is not a local file: download it first")
    file = Path(text).expanduser()
    if not file.exists():
        raise error(f"the {what} '{text}' does not exist: check the path")
    return file

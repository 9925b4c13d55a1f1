"""The ground coordinates of scene pixels: by a geotransform, or by GDAL's polynomial through control points."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import rasterio
import rasterio.errors
import rasterio.transform
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS, Geod
from pyproj.exceptions import CRSError, ProjError
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint

from fusar_gpt import lonlat
from fusar_gpt.errors import SceneError
from fusar_gpt.frames import GroundPoints, LonLatPoints, ScenePoints

_PROJ_DATA = Path(rasterio.__file__).with_name("proj_data")
if _PROJ_DATA.is_dir() and not {"PROJ_DATA", "PROJ_LIB"} & set(os.environ):
    # GDAL's GeoTIFF library looks for it by itself; where it finds none it says so on the user's terminal.
    os.environ["PROJ_DATA"] = str(_PROJ_DATA)

_PIXEL_M = (1e-3, 10_000.0)
"""What the side of a radar image's pixel lies between; degrees taken for metres, or metres for degrees, do not."""
_CONVERGED_PX = 1e-8
_FAILED_PX = 1e-3
_MAX_STEPS = 20
_EVEN = 1e-6


class AffineGeolocation:
    """A geotransform, whatever its rotation and handedness (north-up, south-up, rotated, sheared)."""

    def __init__(self, affine: Affine, crs: CRS) -> None:
        self.crs = crs
        if not np.isfinite(affine[:6]).all():
            raise SceneError(
                "the scene's geotransform has numbers that are not finite: georeference it again"
            )
        if affine.is_degenerate:
            raise SceneError("the scene's geotransform is degenerate (pixels without area): export it again")
        self._forward = np.array(affine, dtype=np.float64).reshape(3, 3)
        self._inverse = np.array(~affine, dtype=np.float64).reshape(3, 3)

    def to_ground(self, points: ScenePoints) -> GroundPoints:
        """Scene pixels -> ground."""
        return GroundPoints(*_apply(self._forward, points.x, points.y))

    def to_scene(self, points: GroundPoints) -> ScenePoints:
        """Ground -> scene pixels."""
        return ScenePoints(*_apply(self._inverse, points.x, points.y))


class GcpGeolocation:
    """Ground control points only, as in Sentinel-1 GRD: located as by GDAL's warp, and so by QGIS.

    GDAL fits two polynomials to the points, one for each direction, and they are not each other's inverse
    (0.017 px apart on a Sentinel-1 GRD). A warp uses ground -> pixel, so that one is exact here; pixel ->
    ground inverts it by iteration, with GDAL's own pixel -> ground as the approximate inverse. Points on both
    sides of the antimeridian are counted on from the first, as GDAL's warp does.
    """

    def __init__(self, gcps: list[GroundControlPoint], crs: CRS) -> None:
        self.crs = crs
        if not np.isfinite([(gcp.col, gcp.row, gcp.x, gcp.y) for gcp in gcps]).all():
            raise SceneError("the scene has ground control points that are not finite: georeference it again")
        gcps = _on_one_side(gcps, lonlat.turn_of(crs))
        try:
            with rasterio.Env():  # keeps GDAL's own message off the user's terminal
                self._gdal = rasterio.transform.GCPTransformer(gcps)
        except CPLE_BaseError as error:
            raise SceneError(_bad_gcps(len(gcps))) from error
        points = ScenePoints.of([(gcp.col, gcp.row) for gcp in gcps])
        if not np.isfinite(self.to_ground(points).xy()).all():
            raise SceneError(_bad_gcps(len(gcps)))

    def to_ground(self, points: ScenePoints) -> GroundPoints:
        """Scene pixels -> ground; NaN where no ground point maps to the pixel (far outside the scene)."""
        first = self._gdal_to_ground(points).xy()
        ground = first
        for _ in range(_MAX_STEPS):
            placed = self.to_scene(GroundPoints.of(ground))
            off = np.hypot(placed.x - points.x, placed.y - points.y)
            if not (off > _CONVERGED_PX).any():
                break
            ground = ground + first - self._gdal_to_ground(placed).xy()
        ground[~(off < _FAILED_PX)] = np.nan
        return GroundPoints.of(ground)

    def to_scene(self, points: GroundPoints) -> ScenePoints:
        """Ground -> scene pixels by GDAL's polynomial, unrounded; NaN for points that are not finite."""
        finite = np.isfinite(points.x) & np.isfinite(points.y)
        xy = np.full((len(points), 2), np.nan)
        if finite.any():
            rows, columns = self._gdal.rowcol(points.x[finite], points.y[finite], op=np.positive)
            xy[finite] = np.stack([columns, rows], axis=1)
        return ScenePoints.of(xy)

    def _gdal_to_ground(self, points: ScenePoints) -> GroundPoints:
        """Scene pixels -> ground by GDAL's other polynomial."""
        finite = np.isfinite(points.x) & np.isfinite(points.y)
        xy = np.full((len(points), 2), np.nan)
        if finite.any():
            xy[finite] = np.stack(self._gdal.xy(points.y[finite], points.x[finite], offset="ul"), axis=1)
        return GroundPoints.of(xy)


Geolocation = AffineGeolocation | GcpGeolocation
"""Both directions between scene pixels and ground coordinates in ``crs``, inverse to each other within 0.001 px."""


class LonLat:
    """WGS84 longitude (-180 to 180) and latitude <-> ground coordinates of one CRS, always in (x, y) order."""

    def __init__(self, crs: CRS) -> None:
        try:
            self._to_lonlat = lonlat.transformer(crs, "OGC:CRS84")
            self._from_lonlat = lonlat.transformer("OGC:CRS84", crs)
        except ProjError as error:
            raise SceneError(
                f"the scene's CRS '{crs.name}' cannot be transformed to WGS84: assign a geographic or projected CRS"
            ) from error

    def turn(self) -> float | None:
        """By how much x grows in a turn round the globe, where it keeps step with longitude as Mercator's does."""
        middle = self.from_ground(GroundPoints.of([(0.0, 0.0)]))
        lon, lat = np.meshgrid(middle.x[0] + np.array([-1.0, 0.0, 1.0]), [0.0, 40.0])
        ground = self.to_ground(LonLatPoints(lon.ravel(), lat.ravel())).xy()
        if not np.isfinite(ground).all():
            return None
        x, y = ground[:, 0].reshape(2, 3), ground[:, 1].reshape(2, 3)
        steps = np.diff(x, axis=1)
        uneven = np.abs([*np.ravel(steps - steps[0, 0]), *(x[0] - x[1]), *np.ptp(y, axis=1)]).max()
        return float(360 * steps.mean()) if uneven < _EVEN * abs(steps[0, 0]) else None

    def from_ground(self, points: GroundPoints) -> LonLatPoints:
        """Ground -> WGS84; infinite where the CRS does not reach."""
        lon, lat = self._to_lonlat.transform(points.x, points.y)
        return LonLatPoints(lonlat.wrap(lon), lat)

    def to_ground(self, points: LonLatPoints) -> GroundPoints:
        """WGS84 -> ground; infinite where the CRS does not reach."""
        return GroundPoints(*self._from_lonlat.transform(points.x, points.y))


def locate(dataset: rasterio.DatasetReader) -> Geolocation:
    """The geolocation of a dataset opened by rasterio: its geotransform if it has one, else its GCPs.

    Raises:
        SceneError: Neither is there, or no CRS goes with it.
    """
    gcps, gcp_crs = dataset.gcps
    if dataset.transform != Affine.identity():
        return AffineGeolocation(dataset.transform, own_crs(dataset.crs, "a geotransform"))
    if gcps:
        return GcpGeolocation(gcps, own_crs(gcp_crs, "ground control points"))
    raise SceneError(
        "the scene has no georeferencing, so no answer can be put on a map: georeference it in QGIS "
        "(Layer > Georeferencer), or open the product's own file instead of an exported picture"
    )


def are_angles(ground: GroundPoints, turn: float) -> bool:
    """Whether they can be longitudes and latitudes, counted from -180 or from 0 and less than a turn in all."""
    on_globe = np.abs(ground.y) <= turn / 4 * (1 + 1e-12)
    return bool((on_globe & (np.abs(ground.x) <= 1.5 * turn)).all() and np.ptp(ground.x) <= turn)


def ground_sample_m(lonlat_of_cross: LonLatPoints) -> float:
    """Side in metres of a square as large as one pixel, geodesic on WGS84.

    ``lonlat_of_cross`` holds the ends of the pixel's two axes: left, right, top, bottom.
    """
    x, y = lonlat_of_cross.x, lonlat_of_cross.y
    _, _, metres = Geod(ellps="WGS84").inv(x[[0, 2]], y[[0, 2]], x[[1, 3]], y[[1, 3]])
    return float(np.sqrt(metres[0] * metres[1]))


def check_sample_m(size: float, name: str, crs: CRS) -> None:
    """Raises SceneError where no radar image has pixels of that side on the ground."""
    if not _PIXEL_M[0] < size < _PIXEL_M[1]:
        raise SceneError(
            f"a pixel of '{name}' would be {size:.3g} m on the ground by its CRS '{crs.name}', as no radar image has "
            "it: its coordinates are in another CRS or unit, assign the right one"
        )


def own_crs(crs: rasterio.crs.CRS | None, holder: str) -> CRS:
    """The file's own CRS, whole: with its datum shift, its units and whatever else no code says.

    Raises:
        SceneError: There is none, or PROJ does not understand it; ``holder`` names what lacks it.
    """
    if not crs:
        raise SceneError(
            f"the scene has {holder} but no CRS: assign one (gdal_edit.py -a_srs EPSG:..., or QGIS)"
        )
    try:
        # Not to_string(), which puts the code of a look-alike, nor WKT1, which leaves things out.
        own = CRS.from_wkt(crs.to_wkt(version="WKT2_2019")).to_2d()
    except (CRSError, rasterio.errors.CRSError) as error:
        raise SceneError("the scene's CRS is not understood: assign one by its EPSG code") from error
    if own.is_geocentric or own.is_vertical:
        raise SceneError(
            f"the scene's CRS '{own.name}' is none of a map: warp it to a geographic or projected one"
        )
    return own


def _on_one_side(gcps: list[GroundControlPoint], turn: float | None) -> list[GroundControlPoint]:
    """The points with their longitudes counted on from the first, where they are longitudes."""
    if turn is None or not gcps:
        return gcps
    lon = lonlat.around(np.array([gcp.x for gcp in gcps]), gcps[0].x, turn)
    if np.ptp(lon) > turn / 2:
        raise SceneError(
            "the scene's ground control points go round a pole, or are no longitudes: warp it to a polar "
            "projection (gdalwarp -t_srs EPSG:3413, or EPSG:3031 in the south)"
        )
    return [
        GroundControlPoint(gcp.row, gcp.col, float(x), gcp.y, gcp.z) for gcp, x in zip(gcps, lon, strict=True)
    ]


def _bad_gcps(count: int) -> str:
    return f"the scene's {count} ground control points do not place it (too few, or on one line): add more"


def _apply(
    matrix: NDArray[np.float64], x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    (a, b, c), (d, e, f) = matrix[0], matrix[1]
    return a * x + b * y + c, d * x + e * y + f

"""Small real rasters for the tests, written by GDAL."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.control import GroundControlPoint
from rasterio.errors import NotGeoreferencedWarning

UTM = "EPSG:32631"
NORTH_UP = Affine(10.0, 0.0, 593000.0, 0.0, -10.0, 5749000.0)
SOUTH_UP = Affine(10.0, 0.0, 593000.0, 0.0, 10.0, 5740000.0)
ROTATED = Affine.translation(593000.0, 5749000.0) @ Affine.rotation(103.0) @ Affine.scale(2.5, -3.0)


def write(
    path: Path, data, *, transform=NORTH_UP, crs=UTM, gcps=None, tags=None, names=(), **options
) -> Path:
    """Write [h, w] or [bands, h, w]; ``gcps`` replace the transform and are in EPSG:4326."""
    bands = np.asarray(data)[None] if np.ndim(data) == 2 else np.asarray(data)
    count, height, width = bands.shape
    profile = {"driver": "GTiff", "dtype": bands.dtype, "count": count, "height": height, "width": width}
    if gcps is None:
        profile |= {"transform": transform, "crs": crs}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **(profile | options)) as dataset:
            dataset.write(bands)
            if tags:
                dataset.update_tags(**tags)
            for number, name in enumerate(names, 1):
                dataset.set_band_description(number, name)
            if gcps is not None:
                dataset.gcps = gcps, rasterio.crs.CRS.from_epsg(4326)
    return path


def swath_gcps(width: int, height: int, step: int = 5, size: float = 1.0) -> list[GroundControlPoint]:
    """Control points like a Sentinel-1 GRD's: a bent, turned swath, ``size`` x 50 km, with a little terrain in it."""
    gcps = []
    for row in np.linspace(0, height, step):
        for col in np.linspace(0, width, step):
            u, v = col / width, row / height
            bump = 2e-4 * np.sin(7 * u + 5 * v)
            lon = 76.0 + size * (0.5 * u + 0.08 * v + 0.02 * u * v + 0.01 * u * u + bump)
            lat = 10.0 + size * (0.09 * u - 0.4 * v + 0.015 * u * v - 0.01 * v * v - bump)
            gcps.append(GroundControlPoint(row=row, col=col, x=lon, y=lat, z=0.0))
    return gcps


def speckle(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Single-look power [h, w] of mean 0.01, float32, never zero."""
    random = np.random.default_rng(seed)
    return (0.01 * random.exponential(size=(height, width)) + 1e-6).astype(np.float32)

"""Whole simulated scenes with their truth and their prior, as files that GIS tools open.

They are put into the open North Sea, where no harbour is, and every file says that it is simulated.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine

from fusar_gpt.errors import FusarError
from fusar_train.simulation.chip import observe, populate
from fusar_train.simulation.ground import PIXEL_M, Land
from fusar_train.simulation.land import PLACES, countryside, paint_airfield, paint_port, pans
from fusar_train.simulation.prior import CELL_M, prior_raster
from fusar_train.simulation.radar import Sensor
from fusar_train.simulation.targets import Site

SHAPE = (700, 900)
SEED = 4
FINEST_M, COARSEST_M, LARGEST_PX = 0.5, 20.0, 4096
CRS = "EPSG:32631"
ORIGIN = (500_000.0, 6_100_000.0)
SIMULATED = "Simulated by FUSAR-GPT for QGIS: no radar ever saw this place, it does not exist"
AEF_ATTRIBUTION = (
    "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind."
)
NODATA = -128


class SimulationError(FusarError):
    """A scene that cannot be simulated as asked."""


def harbour(shape: tuple[int, int], rng: np.random.Generator, pixel_m: float = PIXEL_M) -> Land:
    """Water to the left, a waterfront in the middle, an airfield to the right; only docks and ponds may deceive."""
    land = countryside(shape, rng, pixel_m)
    width, height = land.size
    pans(land, 3, rng, 0.5)
    paint_port(land, 0.48 * width, 0.5 * height, np.pi / 2 - 0.12, rng)
    paint_airfield(land, 0.77 * width, 0.47 * height, np.pi / 2 + 0.2, rng, length=0.8 * height)
    land.flats = [replace(flat, real=flat.real or flat.odds > 0.5) for flat in land.flats]
    return land


KINDS = ("harbour", *PLACES)
"""What ``write_scene`` can make: the sample's kind of place, and those of training chips."""


def make_scene(
    seed: int, place: str, shape: tuple[int, int], sensor: Sensor, pixel_m: float
) -> tuple[Site, NDArray[np.float32], np.random.Generator]:
    """A place with targets, its image in dB [h, w], and the generator for what follows.

    Raises:
        SimulationError: An unknown place, or a size, a spacing or looks out of bounds.
    """
    if not 1 <= sensor.looks <= 64:
        raise SimulationError(f"{sensor.looks} looks are out of bounds: take 1 to 64.")
    if place not in KINDS:
        raise SimulationError(f"There is no simulated place {place!r}: take one of {', '.join(KINDS)}.")
    if not FINEST_M <= pixel_m <= COARSEST_M:
        raise SimulationError(
            f"A pixel spacing of {pixel_m:g} m is out of bounds: take {FINEST_M:g} to {COARSEST_M:g} m."
        )
    if not 32 <= min(shape) <= max(shape) <= LARGEST_PX:
        raise SimulationError(
            f"A scene of {shape[1]} x {shape[0]} pixels is out of bounds: take 32 to {LARGEST_PX} a side."
        )
    rng = np.random.default_rng(seed)
    builder = harbour if place == "harbour" else PLACES[place][0]
    land = builder(shape, rng, pixel_m)
    hectares = math.prod(land.size) / 1e4
    most = int(min(8 + hectares / 40, 150))
    site = populate(land, replace(sensor, pixel_m=pixel_m), (most, most // 2), rng)
    return site, observe(site, rng), rng


def write_scene(
    folder: Path,
    seed: int = SEED,
    *,
    place: str = "harbour",
    shape: tuple[int, int] = SHAPE,
    pixel_m: float = PIXEL_M,
    sensor: Sensor | None = None,
    cell_m: float | None = None,
) -> list[Path]:
    """Writes a scene (uint16 amplitude GeoTIFF), its prior (64 bands of int8) and its truth (GeoJSON) into a folder.

    Args:
        folder: made if missing. The files are ``<place>_simulated.tif``, ``_prior.tif`` and ``_truth.geojson``.
        seed: the same seed and arguments give the same scene.
        place: one of ``KINDS``.
        shape: rows and columns.
        pixel_m: pixel spacing, 0.5 to 20 m.
        sensor: the radar, whose own pixel spacing does not matter; by default 4 looks at a resolution of 1.3
            pixels, looking along the rows.
        cell_m: pixel spacing of the prior; by default AEF's 10 m, or what makes 1000 pixels of a wider scene.

    Raises:
        SimulationError: See ``make_scene``.
    """
    if sensor is None:
        sensor = Sensor(pixel_m, (1.3 * pixel_m, 1.3 * pixel_m), looks=4)
    site, db, rng = make_scene(seed, place, shape, sensor, pixel_m)
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"{place.replace(' ', '_')}_simulated"
    paths = [folder / f"{stem}{end}" for end in (".tif", "_prior.tif", "_truth.geojson")]
    tags = {"FUSAR_SIMULATED": "YES", "TIFFTAG_IMAGEDESCRIPTION": SIMULATED, "FUSAR_SEED": str(seed)}
    amplitude = np.clip(np.rint(1000 * 10 ** (db / 20)), 1, 65535).astype(np.uint16)
    write_raster(paths[0], amplitude[None], pixel_m, tags, ["HH"], 0)
    cell_m = cell_m or max(CELL_M, max(site.land.size) / 1000)
    codes = encode(prior_raster(site.land.cover(), pixel_m, rng, cell_m))
    bands = [f"A{band:02d}" for band in range(codes.shape[0])]
    tags |= {"AEF_YEAR": "2024", "AEF_ATTRIBUTION": AEF_ATTRIBUTION}
    write_raster(paths[1], codes, cell_m, tags, bands, NODATA)
    paths[2].write_text(json.dumps(truth(site), indent=1) + "\n", encoding="utf-8")
    return paths


def encode(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Unit vectors [rows, cols, 64] as AEF's int8 codes [64, rows, cols]: the square root, with its sign."""
    codes = np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5)
    return np.clip(codes, -127, 127).astype(np.int8).transpose(2, 0, 1)


def write_raster(
    path: Path, bands: NDArray[Any], pixel_m: float, tags: dict[str, str], names: list[str], nodata: int
) -> None:
    """Writes a compressed GeoTIFF of ``bands`` [bands, rows, cols] in the scene's CRS, from its origin on."""
    transform = Affine(pixel_m, 0.0, ORIGIN[0], 0.0, -pixel_m, ORIGIN[1])
    profile = {
        "driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2],
        "dtype": str(bands.dtype), "crs": CRS, "transform": transform, "nodata": nodata,
        "compress": "deflate", "predictor": 2, "zlevel": 9, "interleave": "band",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(bands)
        raster.update_tags(**tags)
        raster.descriptions = names


def truth(site: Site) -> dict[str, Any]:
    """The targets as GeoJSON (RFC 7946): boxes along the scene's axes, with their scene pixels beside them."""
    to_lonlat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    height, width = site.land.shape
    pixel_m = site.land.pixel_m
    features = []
    for (x0, y0, x1, y1), label in site.real():
        left, top, right, bottom = max(x0, 0.0), max(y0, 0.0), min(x1, width), min(y1, height)
        x = ORIGIN[0] + pixel_m * np.array([left, left, right, right, left])
        y = ORIGIN[1] - pixel_m * np.array([top, bottom, bottom, top, top])
        ring = np.stack(to_lonlat.transform(x, y), axis=-1).round(7).tolist()
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"label": label, "scene_box": [left, top, right, bottom], "simulated": True},
            }
        )
    return {"type": "FeatureCollection", "description": SIMULATED, "features": features}

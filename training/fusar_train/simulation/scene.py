"""The sample scene: a simulated harbour with an airfield, its truth and its prior, as files that GIS tools open.

It is put into the open North Sea, where no harbour is, and every file says that it is simulated.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.transform import Affine

from fusar_train.simulation.chip import canvas_of
from fusar_train.simulation.land import PIXEL_M, Land, countryside, paint_airfield, paint_port
from fusar_train.simulation.prior import CELL, prior_raster
from fusar_train.simulation.radar import render
from fusar_train.simulation.targets import Canvas, place_clutter, place_planes, place_ships

SHAPE = (700, 900)
CRS = "EPSG:32631"
ORIGIN = (500_000.0, 6_100_000.0)
SEED = 4
SIMULATED = "Simulated by FUSAR-GPT for QGIS: no radar ever saw this place, it does not exist"
AEF_ATTRIBUTION = (
    "The AlphaEarth Foundations Satellite Embedding dataset is produced by Google and Google DeepMind."
)
NODATA = -128


def harbour(rng: np.random.Generator) -> Canvas:
    """The place with its targets: water to the left, a waterfront, an airfield to the right."""
    land = countryside(SHAPE, rng)
    paint_port(land, 430, 350, np.pi / 2 - 0.12, rng)
    paint_airfield(land, 690, 330, np.pi / 2 + 0.2, rng, length=560)
    canvas = canvas_of(Land(land.surface, land.plot, land.berths, land.stands))
    place_ships(canvas, 26, rng)
    place_planes(canvas, 9, rng)
    place_clutter(canvas, rng)
    return canvas


def write_scene(folder: Path, seed: int = SEED) -> list[Path]:
    """Writes ``harbour_simulated.tif`` (uint16 amplitude), ``_prior.tif`` and ``_truth.geojson`` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    canvas = harbour(rng)
    db = render(canvas.land, canvas.echo, rng, looks=4.0)
    amplitude = np.clip(np.rint(1000 * 10 ** (db / 20)), 1, 65535).astype(np.uint16)
    paths = [folder / f"harbour_simulated{end}" for end in (".tif", "_prior.tif", "_truth.geojson")]
    tags = {"FUSAR_SIMULATED": "YES", "TIFFTAG_IMAGEDESCRIPTION": SIMULATED, "FUSAR_SEED": str(seed)}
    write_raster(paths[0], amplitude[None], north_up(PIXEL_M), tags, ["HH"], 0)
    codes = encode(prior_raster(canvas.land.surface, rng))
    bands = [f"A{band:02d}" for band in range(codes.shape[0])]
    tags |= {"AEF_YEAR": "2024", "AEF_ATTRIBUTION": AEF_ATTRIBUTION}
    write_raster(paths[1], codes, north_up(CELL * PIXEL_M), tags, bands, NODATA)
    paths[2].write_text(json.dumps(truth(canvas), indent=1) + "\n", encoding="utf-8")
    return paths


def north_up(pixel_m: float) -> Affine:
    """The geotransform of a raster with square pixels whose top-left corner is the scene's origin."""
    return Affine(pixel_m, 0.0, ORIGIN[0], 0.0, -pixel_m, ORIGIN[1])


def encode(vectors: NDArray[np.float32]) -> NDArray[np.int8]:
    """Unit vectors [rows, cols, 64] as AEF's int8 codes [64, rows, cols]: the square root, with its sign."""
    codes = np.rint(np.sign(vectors) * np.sqrt(np.abs(vectors)) * 127.5)
    return np.clip(codes, -127, 127).astype(np.int8).transpose(2, 0, 1)


def write_raster(
    path: Path, bands: NDArray[Any], transform: Affine, tags: dict[str, str], names: list[str], nodata: int
) -> None:
    """Writes a compressed GeoTIFF of ``bands`` [bands, rows, cols] in the scene's CRS."""
    profile = {
        "driver": "GTiff", "count": len(bands), "height": bands.shape[1], "width": bands.shape[2],
        "dtype": str(bands.dtype), "crs": CRS, "transform": transform, "nodata": nodata,
        "compress": "deflate", "predictor": 2, "zlevel": 9, "interleave": "band",
    }  # fmt: skip
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(bands)
        raster.update_tags(**tags)
        raster.descriptions = names


def truth(canvas: Canvas) -> dict[str, Any]:
    """The targets as GeoJSON (RFC 7946): boxes along the scene's axes, with their scene pixels beside them."""
    to_lonlat = Transformer.from_crs(CRS, "EPSG:4326", always_xy=True)
    features = []
    for (left, top, right, bottom), label in zip(canvas.boxes, canvas.labels, strict=True):
        x = ORIGIN[0] + PIXEL_M * np.array([left, left, right, right, left])
        y = ORIGIN[1] - PIXEL_M * np.array([top, bottom, bottom, top, top])
        ring = np.stack(to_lonlat.transform(x, y), axis=-1).round(7).tolist()
        features.append(
            {
                "type": "Feature",
                "geometry": {"type": "Polygon", "coordinates": [ring]},
                "properties": {"label": label, "scene_box": [left, top, right, bottom], "simulated": True},
            }
        )
    return {"type": "FeatureCollection", "description": SIMULATED, "features": features}

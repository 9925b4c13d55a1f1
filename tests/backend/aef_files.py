"""COGs such as the published ones, int8 and south-up, filled with real AEF vectors, and their index."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
import rasterio.shutil
import rasterio.transform
import rasterio.warp
import shapely
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from fusar_gpt.priors.tiles import TILE_PX

VECTORS = Path(__file__).parents[2] / "training/fusar_train/simulation/aef_vectors_2024.npz"
UTM, LONLAT = (
    [f"{frame}_{side}" for side in ("west", "south", "east", "north")] for frame in ("utm", "wgs84")
)
WEST, SOUTH = 409_600, 4_915_200  # UTM 31 N: a corner of tiles, near 1.86 E, 44.4 N


def real_codes(height, width, seed=0, patch=8):
    """Real vectors on patches of a few pixels, int8 [64, height, width]."""
    with np.load(VECTORS) as file:
        vectors = file["codes"].reshape(-1, 64)
    shape = -(-height // patch), -(-width // patch)
    chosen = np.random.default_rng(seed).integers(0, len(vectors), shape)
    codes = vectors[np.kron(chosen, np.ones((patch, patch), int))[:height, :width]]
    return np.ascontiguousarray(codes.transpose(2, 0, 1))


def south_up(west=WEST, south=SOUTH, pixel=10.0):
    """As the published files lie: rows count upward."""
    return Affine(pixel, 0, west, 0, pixel, south)


def write_cog(path, codes, transform=None, crs="EPSG:32631", block=TILE_PX, tags=None, **options):
    """Write codes [64, rows, columns] in the layout of the published files, header first; returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    count, height, width = codes.shape
    profile = {"count": count, "height": height, "width": width, "dtype": codes.dtype, "nodata": -128}
    profile |= {"transform": south_up() if transform is None else transform, "crs": crs}
    layout = {"compress": "deflate", "zlevel": 1, "interleave": "band"}
    if block:
        layout |= {"tiled": True, "blockxsize": block, "blockysize": block}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", **profile) as raster:
            raster.write(codes)
            raster.update_tags(**(tags or {}))
        rasterio.shutil.copy(memory.name, path, driver="GTiff", copy_src_overviews=True, **(layout | options))
    return path


def tile_of(path, tile):
    """What rasterio itself finds at each pixel centre of a tile, int8 [64, 128, 128]; -128 beyond the file."""
    with rasterio.open(path) as raster:
        col, row = np.meshgrid(np.arange(TILE_PX) + 0.5, np.arange(TILE_PX) + 0.5)
        x, y = (axis.ravel() for axis in tile.transform @ (col, row))
        if raster.crs.to_epsg() != tile.epsg:
            x, y = rasterio.warp.transform(f"EPSG:{tile.epsg}", raster.crs, x, y)
        rows, cols = (np.asarray(places) for places in rasterio.transform.rowcol(raster.transform, x, y))
        inside = (rows >= 0) & (rows < raster.height) & (cols >= 0) & (cols < raster.width)
        values = np.full((64, TILE_PX * TILE_PX), -128, np.int8)
        values[:, inside] = raster.read()[:, rows[inside], cols[inside]]
    return values.reshape(64, TILE_PX, TILE_PX)


def rows(folder, prefix="gs://alphaearth_foundations/satellite_embedding/v1/annual/"):
    """The rows of the published index for a folder of year/zone/name."""
    for path in sorted(folder.rglob("*.tiff")):
        year, zone, name = path.relative_to(folder).parts[-3:]
        with rasterio.open(path) as raster:
            crs, bounds = raster.crs, raster.bounds
        utm = [bounds.left, min(bounds.bottom, bounds.top), bounds.right, max(bounds.bottom, bounds.top)]
        yield {
            "path": f"{prefix}{year}/{zone}/{name}",
            "year": int(year),
            "utm_zone": zone,
            "crs": f"EPSG:{crs.to_epsg()}",
            **dict(zip(UTM, utm, strict=True)),
            **dict(zip(LONLAT, rasterio.warp.transform_bounds(crs, "EPSG:4326", *utm), strict=True)),
        }


def outline(row, corners=60):
    """The published outlines have many corners."""
    box = shapely.box(*(row[name] for name in LONLAT))
    return shapely.segmentize(box, box.length / corners)


def write_gpkg(path, table, **options):
    """``aef_index.gpkg``."""
    table = list(table)
    columns = [np.array([row[name] for row in table], object if name in ("path", "utm_zone", "crs") else None)
               for name in table[0]]  # fmt: skip
    geometry = shapely.to_wkb(np.array([outline(row) for row in table]))
    pyogrio.raw.write(
        path,
        geometry,
        columns,
        list(table[0]),
        geometry_type="Polygon",
        crs="EPSG:4326",
        driver="GPKG",
        **options,
    )


def write_csv(path, table):
    """``aef_index.csv``."""
    table = [{"WKT": outline(row).wkt, **row} for row in table]
    with path.open("w", newline="") as lines:
        writer = csv.DictWriter(lines, list(table[0]))
        writer.writeheader()
        writer.writerows(table)

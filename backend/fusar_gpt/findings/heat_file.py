"""A search's heat map as a GeoTIFF."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pyproj
import rasterio
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from fusar_gpt.contract import NO_HEAT, HeatMap, Run
from fusar_gpt.errors import OutputError
from fusar_gpt.findings.geopackage import places_alike
from fusar_gpt.output import whole_file

_VALUES = "0 to 100: the share in percent of the slices searched that are less like the query"
_TAG = "FUSAR_HEAT"


def write_heat(path: Path, heat: HeatMap, run: Run) -> None:
    """Writes one band of percentiles, uint8, ``NO_HEAT`` where nothing was searched, in the scene's CRS.

    Tags say what the values are, which model they are of and what was looked for; ``FUSAR_SIMULATED=YES`` where no
    radar ever saw the scene.

    Raises:
        OutputError: The file cannot be written, or would lie elsewhere; what stood there before is untouched.
    """
    with whole_file(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of control points before they are set
        try:
            content = _geotiff(heat, run)
            with MemoryFile(content) as memory, memory.open() as raster:
                held = raster.gcps[1] or raster.crs
        except RasterioError as error:
            raise OutputError(f"Cannot write {path}: {error}. Search without a heat map.") from error
        if held is None or not places_alike(pyproj.CRS(held.to_wkt()), pyproj.CRS(heat.crs), _points(heat)):
            raise OutputError(
                f"Cannot write {path}: a GeoTIFF cannot hold the scene's CRS. Search without a heat map, or reproject "
                "the scene."
            )
        temporary.write_bytes(content)


def _geotiff(heat: HeatMap, run: Run) -> bytes:
    """The file, without what GDAL would keep beside it."""
    crs = CRS.from_user_input(heat.crs)
    size = {"width": heat.width, "height": heat.height, "count": 1, "dtype": "uint8", "nodata": NO_HEAT}
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", compress="deflate", **size) as raster:
            if heat.transform is None:
                raster.gcps = [GroundControlPoint(r, c, x, y) for c, r, x, y in heat.gcps], crs
            else:
                raster.transform, raster.crs = Affine.from_gdal(*heat.transform), crs
            raster.write(np.frombuffer(heat.values, np.uint8).reshape(heat.height, heat.width), 1)
            raster.set_band_description(1, "percentile")
            raster.update_tags(**_tags(run))
        return bytes(memory.read())


def _tags(run: Run) -> dict[str, str]:
    tags = {
        _TAG: _VALUES,
        "FUSAR_QUERY": "; ".join(run.prompts),
        "FUSAR_MODEL": f"{run.model} {run.model_hash}",
        "FUSAR_DEMONSTRATION": "YES" if run.demonstration else "NO",
        "FUSAR_SIMULATED": "YES" if run.scene_simulated else "NO",
        "FUSAR_RUN": run.id,
        "FUSAR_SCENE": f"{run.scene} {run.scene_fingerprint}",
        "FUSAR_STARTED": run.started,
    }
    return tags | ({"FUSAR_ATTRIBUTION": run.attribution} if run.attribution else {})


def _points(heat: HeatMap) -> NDArray[np.float64]:
    """Some of its points on the ground, [N, 2]."""
    if heat.transform is None:
        return np.array(heat.gcps)[:, 2:]
    corners = [(0, 0), (heat.width, 0), (0, heat.height), (heat.width, heat.height)]
    return np.array([Affine.from_gdal(*heat.transform) @ corner for corner in corners])


def is_heat_file(path: Path) -> bool:
    """Whether a file is one of :func:`write_heat`."""
    try:
        with warnings.catch_warnings(), rasterio.open(path.absolute()) as raster:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return _TAG in raster.tags()
    except RasterioError:
        return False

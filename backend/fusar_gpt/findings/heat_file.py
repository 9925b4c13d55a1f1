"""A search's heat map as a GeoTIFF."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from fusar_gpt.contract import NO_HEAT, HeatMap, Run
from fusar_gpt.errors import OutputError
from fusar_gpt.findings.output import whole_file

_VALUES = "0 to 100: the share in percent of the slices searched that are less like the query"
_TAG = "FUSAR_HEAT"


def write_heat(path: Path, heat: HeatMap, run: Run) -> None:
    """Writes one band of percentiles, uint8, ``NO_HEAT`` where nothing was searched, in the scene's CRS.

    Tags say what the values are, which model they are of and what was looked for; ``FUSAR_SIMULATED=YES`` where no
    radar ever saw the scene.

    Raises:
        OutputError: The file cannot be written; what stood there before is untouched.
    """
    tags = {
        _TAG: _VALUES,
        "FUSAR_QUERY": "; ".join(run.prompts),
        "FUSAR_MODEL": f"{run.model} {run.model_hash}",
        "FUSAR_DEMONSTRATION": "YES" if run.demonstration else "NO",
        "FUSAR_SIMULATED": "YES" if run.scene_simulated else "NO",
        "FUSAR_RUN": run.id,
        "FUSAR_SCENE": f"{run.scene} {run.scene_fingerprint}",
        "FUSAR_STARTED": run.started,
        **({"FUSAR_ATTRIBUTION": run.attribution} if run.attribution else {}),
    }
    values = np.frombuffer(heat.values, np.uint8).reshape(heat.height, heat.width)
    profile = {"dtype": "uint8", "count": 1, "width": heat.width, "height": heat.height, "nodata": NO_HEAT}
    with whole_file(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # of control points before they are set
        try:
            crs = CRS.from_user_input(heat.crs)
            with MemoryFile() as memory:
                with memory.open(driver="GTiff", compress="deflate", **profile) as raster:
                    if heat.transform is None:
                        raster.gcps = [GroundControlPoint(r, c, x, y) for c, r, x, y in heat.gcps], crs
                    else:
                        raster.transform, raster.crs = Affine.from_gdal(*heat.transform), crs
                    raster.write(values, 1)
                    raster.set_band_description(1, "percentile")
                    raster.update_tags(**tags)
                temporary.write_bytes(memory.read())
        except (RasterioError, rasterio.errors.CRSError) as error:
            raise OutputError(f"Cannot write {path}: {error}. Search without a heat map.") from error


def is_heat_file(path: Path) -> bool:
    """Whether a file is one of :func:`write_heat`."""
    try:
        with warnings.catch_warnings(), rasterio.open(path.absolute()) as raster:
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            return _TAG in raster.tags()
    except RasterioError:
        return False

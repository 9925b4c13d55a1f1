"""The slices of an index as GeoParquet 1.1: QGIS, GDAL, DuckDB and geopandas open it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numpy.typing import NDArray

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import ScenePoints
from fusar_gpt.geoparquet import check_pyarrow, geoparquet_schema
from fusar_gpt.imagery import Scene
from fusar_gpt.lonlat import split
from fusar_gpt.output import whole_file
from fusar_gpt.retrieval.strips import NOT_READ

if TYPE_CHECKING:
    from fusar_gpt.retrieval.index import SceneIndex

FOOTPRINTS = "footprints.parquet"
_ROW_GROUP = 20_000
_TYPES = {
    **dict.fromkeys(("slice", "col", "row", "side_px"), int),
    **dict.fromkeys(("side_m", "data_share"), float),
    **dict.fromkeys(("scene", "fingerprint", "band", "encoder", "encoder_hash"), str),
}


def write_footprints(index: SceneIndex, scene: Scene, path: Path) -> None:
    """Writes the slices of an index, whole or not at all: one row a slice, its corners in WGS 84 (lon, lat).

    Columns: slice, col, row (of its first pixel in the scene), side_px, side_m, data_share (0 to 1; null: nobody has
    looked at it), scene, fingerprint, band, encoder, encoder_hash, geometry.

    Raises:
        OutputError: The file cannot be written, or pyarrow is not there, which ``fusar-gpt[parquet]`` brings.
        SceneError: The scene lies nowhere on Earth.
    """
    check_pyarrow()
    if not scene.georeferenced:
        raise SceneError(
            f"'{scene.name}' is a plain image, which lies nowhere: its slices have no footprints"
        )
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = geoparquet_schema(_TYPES)
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, schema, compression="zstd") as writer:
        for start in range(0, len(index.lattice), _ROW_GROUP):
            numbers = np.arange(start, min(start + _ROW_GROUP, len(index.lattice)))
            writer.write_table(pa.table(_columns(index, scene, numbers), schema=schema))


def _columns(index: SceneIndex, scene: Scene, numbers: NDArray[np.int64]) -> dict[str, Any]:
    """The columns of some slices."""
    boxes = index.lattice.boxes(numbers)
    shares = index.data[numbers]
    same = {
        "side_px": index.lattice.side,
        "side_m": index.about["side_m"],
        "scene": scene.name,
        **{name: index.about[name] for name in ("fingerprint", "band", "encoder", "encoder_hash")},
    }
    return {
        "slice": numbers,
        "col": boxes[:, 0],
        "row": boxes[:, 1],
        "data_share": [None if share == NOT_READ else share / 100 for share in shares.tolist()],
        **{name: [value] * len(numbers) for name, value in same.items()},
        "geometry": shapely.to_wkb(footprints(boxes, scene)),
    }


def footprints(boxes: NDArray[np.float64], scene: Scene) -> NDArray[np.object_]:
    """What boxes [N, 4] show of a scene, as polygons in longitude and latitude [N]; None where that is nowhere."""
    left, top, right, bottom = (boxes.clip(0, [scene.width, scene.height] * 2)).T
    corners = np.stack([left, top, left, bottom, right, bottom, right, top], axis=1).reshape(-1, 2)
    rings = scene.to_lonlat(ScenePoints.of(corners)).xy().reshape(-1, 4, 2)
    found = np.full(len(boxes), None, np.object_)
    there = np.isfinite(rings).all(axis=(1, 2))
    found[there] = shapely.polygons(rings[there])
    for number in np.flatnonzero(there & (np.ptp(rings[..., 0], axis=1) > 180)):  # across the antimeridian
        found[number] = split(found[number])
    return found

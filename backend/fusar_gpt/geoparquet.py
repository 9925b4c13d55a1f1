"""GeoParquet 1.1: one table of polygons in WGS84 that QGIS, GDAL, DuckDB and geopandas open."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from fusar_gpt.errors import AreaError, OutputError

GEOMETRY = "geometry"
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, RuntimeError, shapely.errors.ShapelyError)
"""Besides pyarrow's own: what a file raises that lacks the metadata, or has other things in it."""


def has_pyarrow() -> bool:
    """Whether the package that reads and writes Parquet is there."""
    return find_spec("pyarrow") is not None


def check_pyarrow() -> None:
    """Raises OutputError where the package that reads and writes Parquet is not there."""
    if not has_pyarrow():
        raise OutputError("GeoParquet needs pyarrow: pip install 'fusar-gpt[parquet]'")


def geoparquet_schema(types: Mapping[str, type]) -> Any:
    """Columns of str, float, int or bool, in this order, then the polygons or multi-polygons, longitude first.

    Raises:
        OutputError: There is no pyarrow.
    """
    check_pyarrow()
    import pyarrow as pa

    kinds = {str: pa.string(), float: pa.float64(), int: pa.int64(), bool: pa.bool_()}
    fields = [*((name, kinds[kind]) for name, kind in types.items()), (GEOMETRY, pa.binary())]
    column = {
        "encoding": "WKB",
        "geometry_types": ["MultiPolygon", "Polygon"],
        "crs": CRS.from_epsg(4326).to_json_dict(),  # its own order of axes does not count
    }
    geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
    return pa.schema(fields, metadata={"geo": json.dumps(geo)})


def write_geoparquet(
    path: Path,
    types: Mapping[str, type],
    columns: Mapping[str, Sequence[Any]],
    shapes: Sequence[BaseGeometry],
) -> None:
    """Writes a row a polygon; the caller sees to it that the file is whole or not there.

    Args:
        path: The file.
        types: As in :func:`geoparquet_schema`.
        columns: The values of each, [N]; None is null.
        shapes: Polygons or multi-polygons in WGS84, longitude first, [N].

    Raises:
        OutputError: There is no pyarrow.
        OSError: The file cannot be written.
    """
    schema = geoparquet_schema(types)
    import pyarrow as pa
    import pyarrow.parquet as pq

    values = {**columns, GEOMETRY: shapely.to_wkb(np.array(shapes, dtype=object))}
    pq.write_table(pa.table(values, schema=schema), path, compression="zstd")


def read_geoparquet(path: Path) -> tuple[list[dict[str, Any]], list[BaseGeometry], CRS]:
    """The rows, their shapes, and the CRS that these are in, x first.

    Raises:
        OutputError: There is no pyarrow.
        AreaError: The file is no GeoParquet, or damaged.
    """
    check_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            geo = json.loads((file.schema_arrow.metadata or {})[b"geo"])
            name = geo["primary_column"]
            crs = geo["columns"][name].get("crs", "OGC:CRS84")  # left out it is that; null is a CRS not known
            table = file.read().to_pydict()
        shapes = list(shapely.from_wkb(table.pop(name)))
        rows = [{key: values[row] for key, values in table.items()} for row in range(len(shapes))]
        return rows, shapes, CRS.from_user_input(crs)
    except (*_UNREADABLE, pa.ArrowException) as error:
        raise AreaError(
            f"'{path.name}' is no GeoParquet with polygons, or it is damaged: write it again"
        ) from error


def has_columns(path: Path, *names: str) -> bool:
    """Whether a file is Parquet and has these columns, among others. Raises OutputError where there is no pyarrow."""
    check_pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(names) <= set(pq.read_schema(path).names)
    except (OSError, pa.ArrowException):
        return False

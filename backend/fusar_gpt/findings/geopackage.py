"""A run and its findings as one GeoPackage."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract import FINDING_COLUMNS, RUN_COLUMNS, Columns, Finding, Run, Value
from fusar_gpt.errors import OutputError
from fusar_gpt.findings.output import whole_file

_RUN_COLUMNS: Columns = {**RUN_COLUMNS, "lon": float, "lat": float}
_NUMPY: dict[type, tuple[str, Value]] = {
    str: ("O", None),
    float: ("f8", np.nan),
    int: ("i8", 0),
    bool: ("?", False),
}


def write_geopackage(path: Path, runs: Sequence[Run], findings: Iterable[Finding]) -> None:
    """Writes the layers ``detections``, ``grid``, ``answers`` (even if empty) and ``runs``.

    They are in the CRS of the runs' scenes; a layer has only one, so runs in different CRSs meet in WGS84.
    Every layer has the columns ``lon`` and ``lat``: WGS84 degrees of the feature's centre.

    Args:
        path: The file to write or to replace; its folder must exist.
        runs: At least one run; its area is the geometry of its row in ``runs``.
        findings: The findings of all these runs, in any order.

    Raises:
        OutputError: The file cannot be written, or another program has it open; the old file is untouched.
    """
    by_layer: dict[str, list[Finding]] = {name: [] for name in FINDING_COLUMNS}
    for finding in findings:
        by_layer[finding.layer].append(finding)
    shared = len({run.scene_crs for run in runs}) == 1
    crs, kind = (runs[0].scene_crs, "Polygon") if shared else ("EPSG:4326", "MultiPolygon")
    with whole_file(path) as temporary:
        try:
            for name, columns in FINDING_COLUMNS.items():
                shapes = [shape(each.geometry if shared else each.lonlat) for each in by_layer[name]]
                rows = [{"id": finding.id, **finding.properties} for finding in by_layer[name]]
                _write_layer(temporary, name, crs, kind, shapes, columns, rows)
            areas = [_in_crs(shapely.from_wkt(run.area), run.scene_crs, crs) for run in runs]
            rows = [run.record() | _centre(area, crs) for run, area in zip(runs, areas, strict=True)]
            _write_layer(temporary, "runs", crs, "MultiPolygon", areas, _RUN_COLUMNS, rows)
            _check_complete(temporary)
        except (RuntimeError, sqlite3.Error) as error:  # RuntimeError is the base of all of pyogrio's
            reason = " ".join(str(error).split())
            raise OutputError(
                f"Cannot write {path}: {reason}. Check the folder and its free space, or write elsewhere."
            ) from error


def _check_complete(path: Path) -> None:
    """GDAL builds the spatial indexes last, when it closes the file, and tells nobody if it cannot."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT count(*) FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'"
        (indexes,) = database.execute(query).fetchone()
    if indexes != len(FINDING_COLUMNS) + 1:
        raise RuntimeError("no room for the spatial indexes")


def _write_layer(
    path: Path,
    name: str,
    crs: str,
    kind: str,
    shapes: Sequence[BaseGeometry],
    columns: Columns,
    rows: Sequence[dict[str, Value]],
) -> None:
    data, masks = zip(
        *(_column([row.get(name) for row in rows], kind) for name, kind in columns.items()), strict=True
    )
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(shapes, dtype=object)),
        field_data=data,
        field_mask=masks,
        fields=list(columns),
        layer=name,
        driver="GPKG",
        geometry_type=kind,
        crs=crs,
        append=path.exists(),
    )


def _column(values: Sequence[Value], kind: type) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values and their null mask, each of shape [N]."""
    dtype, filler = _NUMPY[kind]
    null = np.array([value is None for value in values], dtype=bool)
    return np.array([filler if value is None else value for value in values], dtype=dtype), null


def _in_crs(geometry: BaseGeometry, source: str, target: str) -> BaseGeometry:
    """Coordinates are easting or longitude first in both."""
    if source == target:
        return geometry
    move = pyproj.Transformer.from_crs(source, target, always_xy=True)
    return shapely.transform(geometry, lambda xy: np.stack(move.transform(xy[:, 0], xy[:, 1]), axis=1))


def _centre(area: BaseGeometry, crs: str) -> dict[str, Value]:
    centre = _in_crs(area.centroid, crs, "EPSG:4326")
    return {"lon": centre.x, "lat": centre.y}

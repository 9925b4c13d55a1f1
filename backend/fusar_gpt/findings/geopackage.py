"""A run and its findings as one GeoPackage."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio.raw
import pyogrio.util
import pyproj
import shapely
from numpy.typing import NDArray
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from fusar_gpt import lonlat
from fusar_gpt.contract import (
    FINDING_COLUMNS,
    LAYER_COLUMNS,
    PLACES,
    RUN_COLUMNS,
    SEARCH,
    Columns,
    Finding,
    Run,
    Value,
)
from fusar_gpt.contract.prior_effect import PRIOR_EFFECT, PRIOR_EFFECT_COLUMNS
from fusar_gpt.errors import OutputError
from fusar_gpt.findings.prior_effect import PriorEffect
from fusar_gpt.output import whole_file

_RUN_COLUMNS: Columns = {**RUN_COLUMNS, "lon": float, "lat": float}
_NUMPY: dict[type, tuple[str, Value]] = {
    str: ("O", None),
    float: ("f8", np.nan),
    int: ("i8", 0),
    bool: ("?", False),
}


_KINDS: tuple[tuple[str, ...], ...] = (tuple(FINDING_COLUMNS), (PLACES,), tuple(LAYER_COLUMNS))
"""The layers of interpretations, of searches, and of both."""

_WGS84 = "EPSG:4326"
_NOT_HELD = (
    "The GeoPackage is in WGS 84, because the format would hold the scene's own CRS only as another one that looks "
    "like it."
)
_SAME_DEGREES = 1e-8  # a millimetre


def is_findings_file(path: Path) -> bool:
    """Whether a file is a GeoPackage of :func:`write_geopackage` to which nobody has added a layer."""
    return findings_layers(path) is not None


def findings_layers(path: Path) -> frozenset[str] | None:
    """The layers of findings in a GeoPackage of :func:`write_geopackage`; None for any other file."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            tables = {name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")}
            columns = {name for _, name, *_ in database.execute("PRAGMA table_info(runs)")}
    except sqlite3.Error:
        return None
    layers = frozenset(tables - {"layer_styles", PRIOR_EFFECT, "runs"})
    ours = "scene_fingerprint" in columns and layers in map(frozenset, _KINDS)
    return layers if ours else None


def write_geopackage(
    path: Path, runs: Sequence[Run], findings: Iterable[Finding], effect: PriorEffect | None = None
) -> tuple[str, ...]:
    """Writes ``runs`` and the layers of their findings, even if empty: ``detections``, ``grid`` and ``answers``.

    Those of searches have the layer ``places`` instead.
    They are in the CRS of the runs' scenes; a layer has only one, so runs in different CRSs meet in WGS84, and so
    does a run whose CRS does not come back from the file as it is.
    Every layer has the columns ``lon`` and ``lat``: WGS84 degrees of the feature's centre.

    Args:
        path: The file to write or to replace; its folder must exist.
        runs: At least one run; its area is the geometry of its row in ``runs``.
        findings: The findings of all these runs, in any order.
        effect: What the prior of one of them changed; it becomes the layer ``prior_effect``.

    Returns:
        Warnings about the file, which the runs in it carry too.

    Raises:
        OutputError: The file cannot be written, or another program has it open; the old file is untouched.
    """
    by_layer: dict[str, list[Finding]] = {
        name: [] for searched in sorted({run.task == SEARCH for run in runs}) for name in _KINDS[searched]
    }
    for finding in findings:
        by_layer[finding.layer].append(finding)
    shared = len({run.scene_crs for run in runs}) == 1
    told: tuple[str, ...] = ()
    with whole_file(path) as whole, _plain_path(whole) as temporary:
        try:
            _write_layers(temporary, runs, by_layer, effect, own_crs=shared)
            if shared and not _came_back(temporary, runs[0]):
                told = (_NOT_HELD,)
                temporary.unlink()
                runs = [replace(run, warnings=(*run.warnings, *told)) for run in runs]
                _write_layers(temporary, runs, by_layer, effect, own_crs=False)
            _check_complete(temporary, len(by_layer) + 1 + (effect is not None))
        except (RuntimeError, sqlite3.Error) as error:  # RuntimeError is the base of all of pyogrio's
            reason = " ".join(str(error).split())
            raise OutputError(
                f"Cannot write {path}: {reason}. Check the folder and its free space, or write elsewhere."
            ) from error
    return told


@contextmanager
def _plain_path(path: Path) -> Iterator[Path]:
    """A path that pyogrio takes as it is written: ``!``, ``;`` and control characters are parts of an address to it."""
    if pyogrio.util.vsi_path(str(path)) == str(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="fusar-") as folder:
        yield Path(folder, "findings.gpkg")
        shutil.copyfile(Path(folder, "findings.gpkg"), path)


def _write_layers(
    path: Path,
    runs: Sequence[Run],
    by_layer: dict[str, list[Finding]],
    effect: PriorEffect | None,
    *,
    own_crs: bool,
) -> None:
    """All layers in the CRS of the runs' scenes, else in WGS84."""
    crs, kind = (runs[0].scene_crs, "Polygon") if own_crs else (_WGS84, "MultiPolygon")
    for name, found in by_layer.items():
        shapes = [shape(each.geometry if own_crs else each.lonlat) for each in found]
        rows = [{"id": finding.id, **finding.properties} for finding in found]
        _write_layer(path, name, crs, kind, shapes, LAYER_COLUMNS[name], rows)
    if effect is not None:
        drawn = [each.drawn for each in effect.detections]
        shapes = [shape(each.geometry if own_crs else each.lonlat) for each in drawn]
        rows = [each.columns for each in effect.detections]
        _write_layer(path, PRIOR_EFFECT, crs, kind, shapes, PRIOR_EFFECT_COLUMNS, rows)
    own = [shapely.from_wkt(run.area) for run in runs]
    areas = own if own_crs else [_degrees(area, run.scene_crs) for run, area in zip(runs, own, strict=True)]
    rows = [run.record() | _centre(area, run.scene_crs) for run, area in zip(runs, own, strict=True)]
    _write_layer(path, "runs", crs, "MultiPolygon", areas, _RUN_COLUMNS, rows)


def _came_back(path: Path, run: Run) -> bool:
    """Whether a reader of the file places the run's area where its scene does."""
    meta, _, wkb, _ = pyogrio.raw.read(path, layer="runs", columns=[])
    written, meant = pyproj.CRS(meta["crs"]), pyproj.CRS(run.scene_crs)
    corners = shapely.get_coordinates(shapely.from_wkt(run.area))
    if not np.array_equal(shapely.get_coordinates(shapely.from_wkb(wkb[0])), corners):
        return False
    return places_alike(written, meant, corners)


def places_alike(written: pyproj.CRS, meant: pyproj.CRS, points: NDArray[np.float64]) -> bool:
    """Whether points [N, 2] lie at the same places in one CRS and the other."""
    if written == meant:
        return True
    there, here = (_lonlat(points, crs) for crs in (written, meant))
    return bool((np.abs(there - here) < _SAME_DEGREES).all())


def _check_complete(path: Path, layers: int) -> None:
    """GDAL builds the spatial indexes last, when it closes the file, and tells nobody if it cannot."""
    with closing(sqlite3.connect(path)) as database:
        query = "SELECT count(*) FROM gpkg_extensions WHERE extension_name = 'gpkg_rtree_index'"
        (indexes,) = database.execute(query).fetchone()
    if indexes != layers:
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


def _degrees(geometry: BaseGeometry, crs: str) -> BaseGeometry:
    """Polygons in a CRS, easting or longitude first, as RFC 7946 wants them."""
    return lonlat.split(shapely.transform(geometry, lambda xy: _lonlat(xy, crs)))


def _centre(area: BaseGeometry, crs: str) -> dict[str, Value]:
    lon, lat = _lonlat(shapely.get_coordinates(area.centroid), crs)[0]
    return {"lon": float(lonlat.wrap(lon)), "lat": float(lat)}


def _lonlat(xy: NDArray[np.float64], crs: str | pyproj.CRS) -> NDArray[np.float64]:
    """Points [N, 2] in a CRS as WGS84 degrees [N, 2], longitude first."""
    move = pyproj.Transformer.from_crs(crs, _WGS84, always_xy=True)
    return np.stack(move.transform(xy[:, 0], xy[:, 1]), axis=1)

"""Polygons out of the vector files that people have: several layers, unclosed rings, points beside polygons."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
import pyogrio
import pyogrio.util
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError
from shapely.geometry.base import BaseGeometry

from fusar_gpt.errors import AreaError
from fusar_gpt.imagery.area import POLYGONS, Area, known_crs
from fusar_gpt.imagery.raster_policy import NO_NETWORK
from fusar_gpt.imagery.scene import local_path

_EDGE_PARTS = 128  # pieces of an edge as long as the layer, which bends in another CRS
_INSIDE = (".shp", ".gpkg", ".geojson", ".json", ".kml", ".gml", ".fgb")
_OWN_SRS = """SELECT * FROM gpkg_spatial_ref_sys WHERE srs_id =
(SELECT srs_id FROM gpkg_geometry_columns WHERE lower(table_name) = lower(?))"""


def area_from_file(path: str | Path, report: Callable[[str], None] = lambda line: None) -> Area:
    """All polygons of a vector file as one area. Arguments and errors as :func:`read_polygons`."""
    return Area.union(read_polygons(path, report))


def read_polygons(path: str | Path, report: Callable[[str], None] = lambda line: None) -> list[Area]:
    """The polygons of all layers of a vector file (GeoPackage, Shapefile, GeoJSON, KML, ...), each an area of its own.

    Rings are closed. Features without polygons are left out where there are others with. All are in the CRS of the
    first layer that has polygons.

    Args:
        path: The file, or ``FILE:layer`` for one layer of it; a folder of shapefiles is a file with several layers.
        report: Takes a line about what was left out, and about several layers.

    Raises:
        AreaError: It is missing or no vector file, has no such layer, names no CRS, or holds no valid polygons.
    """
    return [area for area, _ in read_named_polygons(path, (), report)]


def read_named_polygons(
    path: str | Path,
    attributes: Sequence[str],
    report: Callable[[str], None] = lambda line: None,
    crs: CRS | str | None = None,
) -> list[tuple[Area, str | None]]:
    """As :func:`read_polygons`, each with the text of the first of its ``attributes`` that is not empty.

    Attributes are found whatever their case. The areas are in ``crs``, if it is given.
    """
    file, layer = split_layer(path)
    with _gdal_options(NO_NETWORK), _readable(file) as readable, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unclosed rings and missing encodings, which do not matter here
        names = _layers(file, readable)
        if layer is not None:
            if layer not in names:
                listed = ", ".join(f"'{name}'" for name in names)
                raise AreaError(f"the area '{file.name}' has no layer '{layer}': choose one of {listed}")
            names = [layer]
        others: Counter[str] = Counter()
        found = {name: _read_layer(file, readable, name, others, attributes) for name in names}
    found = {name: areas for name, areas in found.items() if areas}
    if not found:
        raise AreaError(_nothing(file, others))
    if others:
        left = ", ".join(f"{count} {kind}" for kind, count in others.items())
        report(f"area '{file.name}': left out {left}, as only polygons are areas")
    if len(found) > 1:
        listed = ", ".join(f"'{name}'" for name in found)
        report(
            f"area '{file.name}': the polygons of {len(found)} layers are used: {listed}; "
            f"one of them alone is '{file.name}:{next(iter(found))}'"
        )
    every = [item for areas in found.values() for item in areas]
    common = every[0][0].crs if crs is None else known_crs(crs)
    return [(_in_crs(area, common), name) for area, name in every]


def split_layer(path: str | Path) -> tuple[Path, str | None]:
    """``FILE:layer`` split where FILE exists; a file whose own name has a colon is that file. AreaError if none is."""
    text = os.fspath(path)
    at = len(text)
    while (at := text.rfind(":", 0, at)) > 0:
        if (
            not Path(text).expanduser().exists()
            and "://" not in text
            and Path(text[:at]).expanduser().exists()
        ):
            return local_path(text[:at], "area", AreaError), text[at + 1 :]
    return local_path(path, "area", AreaError), None


@contextmanager
def _readable(file: Path) -> Iterator[Path]:
    """A path that pyogrio takes as it is written, and GDAL opens without writing beside the user's file.

    pyogrio reads ``!``, ``;`` and control characters in a path as parts of an address, and GDAL must write the .shx
    that a shapefile lacks; both get a temporary copy.
    """
    path = str(file.absolute())
    plain = pyogrio.util.vsi_path(path) in (path, f"/vsizip/{path}")
    shapefile = file.suffix.lower() == ".shp"
    if plain and (not shapefile or any(file.with_suffix(index).exists() for index in (".shx", ".SHX"))):
        yield file.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="fusar-") as folder:
        copy = Path(folder, "area" + file.suffix.lower())
        try:
            if file.is_dir():
                shutil.copytree(file, copy)
            else:
                for beside in file.absolute().parent.iterdir():
                    if beside.name == file.name or (beside.stem == file.stem and beside.is_file()):
                        shutil.copyfile(beside, copy.with_suffix(beside.suffix.lower()))
        except OSError as error:
            raise AreaError(f"the area '{file.name}' cannot be read: {error.strerror}") from error
        with _gdal_options({"SHAPE_RESTORE_SHX": "YES"}):
            yield copy


@contextmanager
def _gdal_options(options: Mapping[str, str]) -> Iterator[None]:
    """Sets options of pyogrio's GDAL for a while only: an area file may not call out (WFS, VRT), an index must."""
    before = {name: pyogrio.get_gdal_config_option(name) for name in options}
    pyogrio.set_gdal_config_options(dict(options))
    try:
        yield
    finally:
        pyogrio.set_gdal_config_options(before)


def _layers(file: Path, readable: Path) -> list[str]:
    """The layers that may hold geometries."""
    try:
        return [str(name) for name, kind in pyogrio.list_layers(readable) if kind is not None]
    except (pyogrio.errors.DataSourceError, pyogrio.errors.DataLayerError) as error:
        raise AreaError(_no_vector_file(file)) from error


def _no_vector_file(file: Path) -> str:
    if file.is_dir():
        return f"the area '{file.name}' is a folder without a vector file that can be read: name a file"
    if zipfile.is_zipfile(file):
        with zipfile.ZipFile(file) as archive:
            inside = [name for name in archive.namelist() if name.lower().endswith(_INSIDE)]
        named = f"the file inside, such as '{inside[0]}'" if inside else "a GeoPackage or GeoJSON"
        return f"the area '{file.name}' is an archive, not a vector file: unpack it and give {named}"
    return f"the area '{file.name}' is not a vector file, or it is damaged: give a GeoPackage or GeoJSON"


def _read_layer(
    file: Path, readable: Path, layer: str, others: Counter[str], attributes: Sequence[str]
) -> list[tuple[Area, str | None]]:
    """The polygons of a layer with their names; counts the features that have none in ``others``."""
    try:
        there = pyogrio.read_info(readable, layer=layer)["fields"] if attributes else ()
        columns = [name for wanted in attributes for name in there if name.lower() == wanted]
        meta, _, wkb, fields = pyogrio.raw.read(readable, layer=layer, columns=columns, force_2d=True)
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        pyogrio.errors.FeatureError,
    ) as error:
        raise AreaError(_no_vector_file(file)) from error
    # Fields come in the layer's order.
    texts = [dict(zip(meta["fields"], fields, strict=True))[name] for name in columns]
    shapes: list[tuple[BaseGeometry, str | None]] = []
    for row, shape in enumerate(shapely.from_wkb([] if wkb is None else wkb, on_invalid="fix")):
        if shape is None or shape.is_empty:
            others["empty"] += 1
            continue
        polygons = [shape] if shape.geom_type in POLYGONS else _polygons_in(shape)
        if not polygons:
            others[shape.geom_type] += 1
        name = next((str(text[row]) for text in texts if text[row] not in (None, "")), None)
        shapes += [(polygon, name) for polygon in polygons]
    if not shapes:
        return []
    if meta["crs"] is None:
        raise AreaError(f"the area '{file.name}' has no CRS: save it again with one")
    crs = _layer_crs(readable, layer, meta["crs"])
    return [(Area(shape, crs), name) for shape, name in shapes]


def _polygons_in(shape: BaseGeometry) -> list[BaseGeometry]:
    """Those of a collection, which may hold collections."""
    if not hasattr(shape, "geoms"):
        return [shape] if shape.geom_type == "Polygon" else []
    return [polygon for part in shape.geoms for polygon in _polygons_in(part)]


def _layer_crs(readable: Path, layer: str, identified: str) -> CRS:
    """The layer's own CRS: pyogrio takes a UTM grid in kilometres for the EPSG code of the one in metres."""
    own = None
    try:
        if readable.suffix.lower() == ".shp":
            own = readable.with_suffix(".prj").read_text("utf-8", errors="replace")
        elif readable.suffix.lower() == ".gpkg":
            own = _geopackage_srs(readable, layer)
        if own:
            return known_crs(CRS.from_wkt(own))
    except (OSError, CRSError, sqlite3.Error):
        pass  # GDAL understood it
    return known_crs(identified)


def _geopackage_srs(file: Path, layer: str) -> str | None:
    """The WKT of a layer's CRS where the GeoPackage gives no EPSG code, which alone would count."""
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        row = database.execute(_OWN_SRS, (layer,)).fetchone()
    if row is None or str(row["organization"]).upper() == "EPSG":
        return None
    texts = [row[name] for name in ("definition_12_063", "definition") if name in row.keys()]  # noqa: SIM118
    return next((text for text in texts if text and text != "undefined"), None)


def _in_crs(area: Area, crs: CRS) -> Area:
    """The area in another CRS, its edges bent as they must be."""
    if area.crs == crs:
        return area
    left, bottom, right, top = area.geometry.bounds
    pieces = shapely.segmentize(area.geometry, max(right - left, top - bottom) / _EDGE_PARTS)
    move = Transformer.from_crs(area.crs, crs, always_xy=True)
    moved = shapely.transform(pieces, lambda xy: np.stack(move.transform(xy[:, 0], xy[:, 1]), axis=1))
    return Area(moved, crs)


def _nothing(file: Path, others: Counter[str]) -> str:
    kinds = [kind for kind in others if kind != "empty"]
    if not kinds:
        return f"the area '{file.name}' is empty: draw a polygon"
    return f"the area '{file.name}' holds a {kinds[0]}, not polygons: draw or choose a polygon layer"

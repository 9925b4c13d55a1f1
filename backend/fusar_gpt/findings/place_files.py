"""The places that a search found, as a file for a GIS, and such a file as the area of an interpretation."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from fusar_gpt.contract import (
    LAYER_COLUMNS,
    PLACES,
    RUN_COLUMNS,
    SEARCH,
    Finding,
    Run,
    Value,
    read_geojson,
    to_geojson,
)
from fusar_gpt.errors import AreaError, SceneError
from fusar_gpt.findings.geopackage import findings_layers, write_geopackage
from fusar_gpt.geoparquet import has_columns, read_geoparquet, write_geoparquet
from fusar_gpt.imagery import Area, open_scene, read_named_polygons, split_layer
from fusar_gpt.output import whole_file

SUFFIXES = (".gpkg", ".geojson", ".parquet")
"""What :func:`write_places` writes, by the name of the file."""

_PLACES_OF_RUNS = """SELECT places.id, places.rank, runs.scene, runs.band, runs.scene_fingerprint
FROM places LEFT JOIN runs ON runs.id = places.run"""
_OTHER_FORM = (ValueError, KeyError, TypeError, AttributeError)
"""What reading JSON of another form raises."""
_GAP = 1e-5
"""Between two places, as a share of the side of one: they stay two parts of an area, a chip each."""


def write_places(path: Path, runs: Sequence[Run], places: Sequence[Finding]) -> tuple[str, ...]:
    """Writes the places of searches, whole or not at all: GeoPackage, GeoJSON or GeoParquet by the file's name.

    A GeoPackage has the layers ``places`` and ``runs``. GeoJSON (RFC 7946) has the run beside its features, as the HTTP
    API gives it, several as the list ``runs``. GeoParquet is one table whose rows carry the columns of their run too.

    Returns:
        Warnings about the file.

    Raises:
        OutputError: The file cannot be written; what stood there before is untouched.
    """
    kind = path.suffix.lower()
    if kind == ".gpkg":
        return write_geopackage(path, runs, places)
    with whole_file(path) as temporary:
        if kind == ".parquet":
            _write_table(temporary, runs, places)
        else:
            records = [run.record() for run in runs]
            beside = {"run": records[0]} if len(runs) == 1 else {"runs": records}
            text = json.dumps({**to_geojson(places), **beside}, ensure_ascii=False, allow_nan=False)
            temporary.write_text(text, encoding="utf-8")
    return ()


def is_places_file(path: Path) -> bool:
    """Whether a file is one of :func:`write_places`, to which nobody has added a layer."""
    kind = path.suffix.lower()
    try:
        if kind == ".gpkg":
            return findings_layers(path) == frozenset([PLACES])
        if kind == ".parquet":
            return has_columns(path, "percentile", "scene_fingerprint")
        runs = _runs_of(json.loads(path.read_text(encoding="utf-8")))
        return {run["task"] for run in runs} == {SEARCH}
    except (OSError, *_OTHER_FORM):
        return False


@dataclass(frozen=True)
class _PlaceOnFile:
    """A polygon; what is not known of it is None."""

    area: Area
    rank: int | None = None
    scene: str | None = None
    band: str | None = None
    fingerprint: str | None = None


def read_places(
    path: str | Path,
    scene: Path,
    top: int | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> Area:
    """The places in a file as one area, a part each: those that a search found, or any polygons.

    Args:
        path: A file of :func:`write_places`, or ``FILE[:layer]`` with polygons.
        scene: The scene that they must be of, where the file says of which they are; one that is not on this machine
            is known by its name.
        top: How many of them, the best first; None takes all.
        report: Takes each line about what was left out.

    Raises:
        AreaError: The file cannot be read, its places are of another scene, or nothing ranks them.
        SceneError: The scene cannot be opened.
    """
    file, _ = split_layer(path)
    found = _places_in(path, report)
    places = _of_scene(found, scene)
    if not places:
        names = ", ".join(sorted({f"'{place.scene}'" for place in found}))
        raise AreaError(
            f"the places in '{file.name}' were found in {names}, and '{scene.name}' is another scene or has changed "
            "since: search it first"
        )
    if left := len(found) - len(places):
        report(f"places '{file.name}': left out {left} of other scenes")
    if top is not None:
        if any(place.rank is None for place in places):
            raise AreaError(
                f"nothing ranks the polygons in '{file.name}': leave --top out, or give places of fusar search"
            )
        places = sorted(places, key=lambda place: place.rank or 0)[:top]
    return Area(_apart([place.area.geometry for place in places]), places[0].area.crs)


def _places_in(path: str | Path, report: Callable[[str], None]) -> list[_PlaceOnFile]:
    """At least one place, all in one CRS."""
    file, layer = split_layer(path)
    if file.suffix.lower() == ".parquet":
        rows, shapes, crs = read_geoparquet(file)
        places = [
            _place(Area(polygon, crs), row) for row, polygon in zip(rows, shapes, strict=True) if polygon
        ]
        if not places:
            raise AreaError(f"'{file.name}' holds no places: search again")
        return places
    kind = file.suffix.lower() if layer in (None, PLACES) else None
    with suppress(sqlite3.Error, *_OTHER_FORM):
        if kind == ".gpkg":
            return _from_geopackage(file)
        if kind in (".geojson", ".json"):
            return _from_geojson(file)
    named = read_named_polygons(path, ("rank",), report)
    return [_PlaceOnFile(area, int(rank) if rank and rank.isdecimal() else None) for area, rank in named]


def _from_geopackage(file: Path) -> list[_PlaceOnFile]:
    with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as database:
        database.row_factory = sqlite3.Row
        rows = {row["id"]: dict(row) for row in database.execute(_PLACES_OF_RUNS)}
    named = read_named_polygons(f"{file}:{PLACES}", ("id",))
    return [_place(area, rows.get(name, {})) for area, name in named]


def _from_geojson(file: Path) -> list[_PlaceOnFile]:
    """In the scenes' own CRS, where the outlines are exact."""
    collection = json.loads(file.read_text(encoding="utf-8"))
    runs = {run["id"]: run for run in _runs_of(collection)}
    places = read_geojson(collection)
    return [
        _place(
            Area.from_geojson(place.geometry, place.crs),
            {**runs[place.properties["run"]], **place.properties},
        )
        for place in places
    ]


def _runs_of(collection: Any) -> list[dict[str, Any]]:
    """Of a GeoJSON of :func:`write_places`; KeyError for another one."""
    runs = collection["runs"] if "runs" in collection else [collection["run"]]
    return list(runs)


def _place(area: Area, row: dict[str, Any]) -> _PlaceOnFile:
    return _PlaceOnFile(
        area, row.get("rank"), row.get("scene"), row.get("band"), row.get("scene_fingerprint")
    )


def _of_scene(places: Sequence[_PlaceOnFile], scene: Path) -> list[_PlaceOnFile]:
    """Those that were found in a scene, and those of which nobody says where."""
    searched = {(place.fingerprint, place.band) for place in places if place.fingerprint}
    if not scene.exists():
        return [place for place in places if place.fingerprint is None or place.scene == scene.name]
    same = {fingerprint for fingerprint, band in searched if _is_scene(scene, fingerprint, band)}
    return [place for place in places if place.fingerprint is None or place.fingerprint in same]


def _is_scene(path: Path, fingerprint: str, band: str | None) -> bool:
    """Whether a scene is the one that a search of that band saw: a fingerprint is of one band."""
    with open_scene(path) as scene:
        if scene.fingerprint == fingerprint:
            return True
    with suppress(SceneError), open_scene(path, band=band) as scene:
        return scene.fingerprint == fingerprint
    return False


def _apart(polygons: Sequence[BaseGeometry]) -> BaseGeometry:
    """Polygons as parts that neither overlap nor touch: what two share stays with the first."""
    parts: list[BaseGeometry] = []
    taken: BaseGeometry = shapely.Polygon()
    for polygon in polygons:
        gap = _GAP * polygon.area**0.5
        free = polygon.difference(taken.buffer(gap, join_style="mitre"))
        parts += [part for part in shapely.get_parts(free) if part.geom_type == "Polygon"]
        taken = taken.union(polygon)
    return parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts)


def _write_table(path: Path, runs: Sequence[Run], places: Sequence[Finding]) -> None:
    records = {run.id: run.record() for run in runs}
    types = {
        **LAYER_COLUMNS[PLACES],
        **{n: kind for n, kind in RUN_COLUMNS.items() if n not in LAYER_COLUMNS[PLACES]},
    }
    rows: list[dict[str, Value]] = [
        {**records[str(place.properties["run"])], **place.properties, "id": place.id} for place in places
    ]
    columns = {name: [row.get(name) for row in rows] for name in types}
    write_geoparquet(path, types, columns, [shape(place.lonlat) for place in places])

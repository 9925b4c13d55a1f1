"""The index of a corpus: GeoParquet, one row a slice, kept or dropped; QGIS, GDAL and geopandas open it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from pyproj import CRS

from fusar_gpt.frames import SceneWindow
from fusar_gpt.lonlat import split
from fusar_gpt.output import whole_file
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.slice import Fate, Slice, SliceRow, Verdict

INDEX_FILE = "index.parquet"

ROW_GROUP = 5000
"""Rows that are in memory at once; with their thumbnails about 30 MB."""

_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": ["Polygon", "MultiPolygon"],
            "crs": CRS.from_epsg(4326).to_json_dict(),
        }
    },
}
"""GeoParquet 1.1: coordinates are longitude, latitude whatever the CRS's own order."""

_WINDOW = ("col", "row", "width", "height")
_AFFINE = tuple("abcdef")

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("scene", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),
        ("scale", pa.string()),
        ("parent", pa.string()),
        ("kept", pa.bool_()),
        ("fate", pa.string()),
        ("region", pa.string()),
        ("richness", pa.float64()),
        ("data_share", pa.float64()),
        ("prior", pa.string()),
        ("prior_nodes", pa.int32()),
        ("sensor", pa.string()),
        ("polarisation", pa.string()),
        ("acquired", pa.string()),
        ("pixel_m", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        *((f"window_{name}", pa.int64()) for name in _WINDOW),
        ("crs", pa.string()),
        *((f"affine_{name}", pa.float64()) for name in _AFFINE),
        ("features", pa.map_(pa.string(), pa.float64())),
        ("footprint", pa.list_(pa.float64())),
        ("thumbnail", pa.binary()),
        ("geometry", pa.binary()),
    ],
    metadata={"geo": json.dumps(_GEO)},
)
"""All of a ``SliceRow``. ``footprint`` is lon, lat, lon, lat, ... and may run past 180, where ``geometry`` is cut."""


def write_rows(rows: Iterable[SliceRow], path: Path) -> int:
    """Writes an index, whole or not at all, a group of rows at a time; returns how many. OutputError: it cannot be."""
    source = iter(rows)
    return _write(iter(lambda: _table(list(islice(source, ROW_GROUP))), _table([])), path)


def merge_parts(parts: Iterable[Path], path: Path, splits: Mapping[str, str]) -> int:
    """Writes an index of the rows of others, with the splits of their groups; memory does not grow with them.

    Raises:
        CorpusError: A part is damaged.
        OutputError: The index cannot be written.
    """

    def tables() -> Iterator[pa.Table]:
        waiting: list[pa.Table] = []
        for part in parts:
            waiting.append(_with_splits(_read(part), splits))
            if sum(map(len, waiting)) >= ROW_GROUP:
                yield pa.concat_tables(waiting)
                waiting = []
        yield pa.concat_tables([*waiting, _table([])])

    return _write(tables(), path)


def read_index(folder: Path) -> Iterator[SliceRow]:
    """The rows of a corpus, one by one; memory does not grow with them. CorpusError: its index cannot be read."""
    return read_rows(folder / INDEX_FILE)


def read_rows(path: Path) -> Iterator[SliceRow]:
    """The rows of an index or a part of one; raises as ``read_index``."""
    try:
        with pq.ParquetFile(path) as file:
            if not set(SCHEMA.names) <= set(file.schema_arrow.names):
                raise CorpusError(f"{path} is no index of a corpus: build the corpus again.")
            for batch in file.iter_batches(
                batch_size=500, columns=[n for n in SCHEMA.names if n != "geometry"]
            ):
                yield from map(_row, batch.to_pylist(maps_as_pydicts="strict"))
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"{path} cannot be read ({error}): repeat fusar-train corpus build.") from error


def keeps_any(part: Path) -> bool:
    """Whether a slice of a part was kept; raises as ``merge_parts``."""
    return any(_read(part, ["kept"])["kept"].to_pylist())


def counts(folder: Path) -> dict[tuple[str, str], int]:
    """How many rows of a corpus have each scale and fate."""
    table = pq.read_table(folder / INDEX_FILE, columns=["scale", "fate"])
    grouped = table.group_by(["scale", "fate"]).aggregate([([], "count_all")]).to_pylist()
    return {(row["scale"], row["fate"]): row["count_all"] for row in grouped}


def _write(tables: Iterator[pa.Table], path: Path) -> int:
    count = 0
    with whole_file(path) as temporary, pq.ParquetWriter(temporary, SCHEMA, compression="zstd") as writer:
        for table in tables:
            writer.write_table(table, row_group_size=ROW_GROUP)
            count += len(table)
    return count


def _read(part: Path, columns: list[str] | None = None) -> pa.Table:
    try:
        return pq.ParquetFile(part).read(columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise CorpusError(f"{part} is damaged ({error}): remove it and repeat the command.") from error


def _with_splits(table: pa.Table, splits: Mapping[str, str]) -> pa.Table:
    chosen = pa.array([splits.get(group) for group in table["group"].to_pylist()], pa.string())
    return table.set_column(table.schema.get_field_index("split"), "split", chosen)


def _table(rows: Sequence[SliceRow]) -> pa.Table:
    columns = [_columns(row) for row in rows]
    return pa.Table.from_pylist(columns, schema=SCHEMA)


def _columns(row: SliceRow) -> dict[str, Any]:
    one, verdict = row.slice, row.verdict
    affine = one.affine or (None,) * len(_AFFINE)
    return {
        **{name: getattr(row, name) for name in _OF_ROW},
        **{name: getattr(one, name) for name in _OF_SLICE},
        "kept": row.kept,
        "fate": verdict.fate.value,
        "region": verdict.region,
        "richness": verdict.richness,
        "features": dict(verdict.features),
        **{f"window_{name}": getattr(one.window, name) for name in _WINDOW},
        **{f"affine_{name}": number for name, number in zip(_AFFINE, affine, strict=True)},
        "footprint": [number for point in one.footprint for number in point],
        "geometry": shapely.to_wkb(split(shapely.Polygon(one.footprint))),
    }


_OF_ROW = ("data_share", "prior", "prior_nodes", "thumbnail", "group", "split")
_OF_SLICE = (
    "id", "scene", "scale", "parent", "width", "height", "crs", "pixel_m", "sensor", "polarisation", "acquired",
)  # fmt: skip


def _row(columns: Mapping[str, Any]) -> SliceRow:
    affine = tuple(columns[f"affine_{name}"] for name in _AFFINE)
    numbers = columns["footprint"]
    return SliceRow(
        slice=Slice(
            **{name: columns[name] for name in _OF_SLICE},
            window=SceneWindow(*(columns[f"window_{name}"] for name in _WINDOW)),
            footprint=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
            affine=None if affine[0] is None else affine,
        ),
        verdict=Verdict(
            fate=Fate(columns["fate"]),
            region=columns["region"],
            richness=columns["richness"],
            features=columns["features"],
        ),
        **{name: columns[name] for name in _OF_ROW},
    )

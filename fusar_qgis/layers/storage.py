"""The GeoPackage of the findings, beside the project or temporary: one table for each run and kind."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import tempfile
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureSink,
    QgsFields,
    QgsProject,
    QgsProviderRegistry,
    QgsSettings,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtXml import QDomDocument

from .. import compat
from ..background import BackgroundTask
from ..contract import RUN_COLUMNS, Columns
from ..core.setting_names import PLACE
from ..translation import translate
from .features import feature_of, fields_of
from .findings_layer import findings_layers, run_of
from .scene import crs_of
from .styles import without_passing_filter
from .wording import run_name

_SUFFIX = "_fusar.gpkg"
_TEMPORARY = "fusar-findings-"
_RUNS: Columns = {"id": str, "name": str, **RUN_COLUMNS, "record": str}
"""The table of runs: each run's name on the map, its columns, and the whole of it as JSON."""

# As OGR and QGIS make it.
_STYLES = """CREATE TABLE IF NOT EXISTS layer_styles (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')))"""
_STYLES_KNOWN = """INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier)
VALUES ('layer_styles', 'attributes', 'layer_styles')"""
_NEW_STYLE = """INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column,
styleName, styleQML, styleSLD, useAsDefault, description, owner, ui)
VALUES ('', '', :table, 'geom', :table, :qml, '', 1, 'FUSAR-GPT', '', '')"""

_WARNED = "UPDATE runs SET warnings = ?, record = ? WHERE id = ?"

_one_writer = threading.Lock()
_SCANT_BYTES = 2**20
_OWN_WRITER_S = 0.5


class StorageError(Exception):
    """A GeoPackage cannot be written; the message is the reason in a few words."""


def candidates(project: QgsProject, temporary: Path) -> list[Path]:
    """Return the files that new findings may go to, the best first; ``temporary`` is the run's own."""
    if QgsSettings().value(PLACE, "project", type=str) == "temporary":
        return [temporary]
    beside = file_beside(project)
    return [temporary] if beside is None else [beside, temporary]


def file_beside(project: QgsProject) -> Path | None:
    """Return the GeoPackage of a project that is a file, or is becoming one, be it there or not."""
    path = Path(project.fileName())
    is_file = path.suffix.lower() in (".qgs", ".qgz") and path.parent.is_dir()
    return path.absolute().with_name(path.stem + _SUFFIX) if is_file else None


def temporary_file(project: QgsProject) -> Path:
    """Return the temporary GeoPackage that the project's findings are in, or a name for a new one."""
    for layer in temporary_layers(project):
        return source_of(layer)[0]
    return Path(tempfile.gettempdir(), _TEMPORARY + uuid.uuid4().hex, "findings.gpkg")


def temporary_layers(project: QgsProject) -> list[QgsVectorLayer]:
    """Return the project's layers of findings that are in a temporary file of ours."""
    return [
        layer
        for layer in findings_layers(project)
        if layer.providerType() == "ogr" and is_temporary(source_of(layer)[0])
    ]


def is_temporary(path: Path) -> bool:
    """Return whether a file is one of ours that the system deletes one day."""
    return path.parent.name.startswith(_TEMPORARY)


def source_of(layer: QgsVectorLayer) -> tuple[Path, str]:
    """Return the file and the table behind a layer."""
    parts = QgsProviderRegistry.instance().decodeUri("ogr", layer.source())
    return Path(parts.get("path") or ""), str(parts.get("layerName") or "")


def storable(crs: QgsCoordinateReferenceSystem) -> QgsCoordinateReferenceSystem:
    """Return the CRS where a GeoPackage gives it back as it is, else WGS 84.

    A UTM grid in kilometres, for one, comes back as the EPSG code of the one in metres. Findings are then placed by
    ``features.outline_in``.
    """
    if crs.authid().startswith("EPSG:") or not crs.isValid():
        return crs
    with tempfile.TemporaryDirectory(prefix=_TEMPORARY) as folder:
        path = Path(folder, "crs.gpkg")
        try:
            _write(path, "crs", QgsFields(), compat.MULTIPOLYGON, crs)
        except StorageError:
            return crs  # whoever stores it says why
        back = open_table(str(path), "crs", "crs").crs()
    alike = back == crs or (bool(crs.toProj()) and back.toProj() == crs.toProj())
    return crs if alike else QgsCoordinateReferenceSystem("EPSG:4326")


def make_first_table(
    paths: Sequence[Path], kind: str, run: dict[str, Any], fields: QgsFields, crs: str
) -> tuple[str, str, dict[str, str]]:
    """Make a table in the first of ``paths`` that can be written.

    Returns:
        The path and the table (both empty if none could be made), and by path the reasons of those that could not.
    """
    reasons: dict[str, str] = {}
    for path in paths:
        try:
            return str(path), make_table(path, kind, run, fields, crs_of(crs)), reasons
        except (StorageError, OSError, sqlite3.Error) as error:
            reasons[str(path)] = str(error)
    return "", "", reasons


def make_table(
    path: Path,
    kind: str,
    run: dict[str, Any],
    fields: QgsFields,
    crs: QgsCoordinateReferenceSystem,
    *,
    dated: bool = True,
) -> str:
    """Make an empty table of polygons in ``storable(crs)``, and the run's row in ``runs``; return the table's name.

    Unless ``dated``, the name is ``kind`` alone.

    Raises:
        StorageError: It cannot be made.
        OSError, sqlite3.Error: As above.
    """
    with _one_writer:
        if is_temporary(path):
            path.parent.mkdir(mode=0o700, exist_ok=True)
        if path.exists() and not os.access(path, os.W_OK):
            raise StorageError(translate("Storage", "it is read-only"))
        if is_locked(path):
            raise StorageError(translate("Storage", "another program is writing to it"))
        tables = _tables(path)
        digits = "".join(sign for sign in str(run.get("started") or "") if sign.isdigit())[:14]
        stem = f"{kind}_{digits or 'run'}" if dated else kind
        table = next(
            name for name in (stem, *(f"{stem}_{n}" for n in range(2, 10_000))) if name not in tables
        )
        _write(path, table, fields, compat.MULTIPOLYGON, storable(crs))
        _note_run(path, run, known="runs" in tables)
    return table


def fill_table(path: Path, table: str, fields: QgsFields, rows: list[QgsFeature]) -> None:
    """Put features into a table that is there; raises StorageError."""
    crs = QgsCoordinateReferenceSystem()
    _write(path, table, fields, compat.MULTIPOLYGON, crs, rows, append=True)


def write_wgs84(
    path: Path,
    driver: str,
    fields: QgsFields,
    rows: Sequence[QgsFeature],
    layer_options: Sequence[str] = (),
    file_options: Sequence[str] = (),
) -> None:
    """Write features in WGS84 to a new file by one of GDAL's drivers; raises StorageError.

    QGIS gives a name that does not end as the driver wants its ending: ``path`` must have it.
    """
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = driver
    options.layerOptions = list(layer_options)
    options.datasourceOptions = list(file_options)
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    _write_file(path, fields, compat.MULTIPOLYGON, wgs84, rows, options)


def open_table(path: str, table: str, name: str) -> QgsVectorLayer:
    """Return the layer ``name`` of a table."""
    layer = QgsVectorLayer(f"{path}|layername={table}", name, "ogr")
    layer.featureCount()  # once now: asked for the first time after the run, QGIS 3.22 says -1
    return layer


def hold(layer: QgsVectorLayer) -> None:
    """Keep a layer's file open for writing, until ``release``: opening it again and again takes longer.

    Commits do not wait for the disk then, but the file stays consistent.
    """
    with _quick_commits():
        layer.dataProvider().enterUpdateMode()


def release(layer: QgsVectorLayer) -> None:
    """Let go of a layer's file, and draw it again: what is being drawn meanwhile cannot read it."""
    layer.dataProvider().leaveUpdateMode()
    layer.triggerRepaint()


def await_own_writers() -> None:
    """Wait until no background task of ours writes: they take milliseconds, and are no reason to refuse a decision."""
    if _one_writer.acquire(timeout=_OWN_WRITER_S):
        _one_writer.release()


def is_locked(path: Path) -> bool:
    """Return whether somebody is writing to a GeoPackage, so that we would have to wait."""
    if not path.exists():
        return False
    try:
        # Read-write, not create; as a URI, whose path must be quoted.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=0)) as database:
            database.isolation_level = None
            database.execute("BEGIN IMMEDIATE")
            database.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
    return False


def is_full(path: Path, reason: str) -> bool:
    """Tell whether a file cannot be written for ``reason`` because its disk has no space left."""
    if any(words in reason.lower() for words in ("disk is full", "disk full", "no space left")):
        return True
    try:
        return shutil.disk_usage(path.parent).free < _SCANT_BYTES
    except OSError:
        return False


def save_style(layer: QgsVectorLayer) -> BackgroundTask:
    """Keep the layer's style, labels, map tip and provenance in its file, as what QGIS opens the table with.

    What was learnt of the run since its row in ``runs`` was written goes there too.

    It is written in the background, a moment later. The layer's file must be held until then: while it has no
    write-ahead log, whoever reads during the write finds nothing.
    """
    document = QDomDocument()
    with without_passing_filter(layer):
        layer.exportNamedStyle(document)
    path, table = source_of(layer)
    task = BackgroundTask(
        table,
        partial(_write_style, path, table, document.toString(), run_of(layer)),
        (sqlite3.Error,),
        quiet=True,
    )
    task.start()
    return task


def _write_style(path: Path, table: str, qml: str, run: dict[str, Any]) -> None:
    """Write a style as QGIS does, who would ask whether to replace an older one, and on the GUI thread."""
    with _one_writer, closing(sqlite3.connect(path)) as database, database:
        database.execute("PRAGMA synchronous = NORMAL")  # the GUI may wait for this one
        database.execute(_STYLES)
        database.execute(_STYLES_KNOWN)
        database.execute("DELETE FROM layer_styles WHERE f_table_name = ?", (table,))
        database.execute(_NEW_STYLE, {"table": table, "qml": qml})
        kept = {name for _, name, *_ in database.execute("PRAGMA table_info(runs)")}
        if run.get("warnings") and "warnings" in kept:  # an older file has no such column
            record = json.dumps(run, ensure_ascii=False)
            database.execute(_WARNED, (run["warnings"], record, str(run.get("id"))))


def _tables(path: Path) -> set[str]:
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as database:
        return {name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")}


def _note_run(path: Path, run: dict[str, Any], *, known: bool) -> None:
    if known:
        with closing(sqlite3.connect(path)) as database:
            if database.execute("SELECT 1 FROM runs WHERE id = ?", (str(run.get("id")),)).fetchone():
                return
    fields = fields_of(_RUNS)
    row = feature_of(fields, {**run, "name": run_name(run), "record": json.dumps(run, ensure_ascii=False)})
    _write(path, "runs", fields, compat.NO_GEOMETRY, QgsCoordinateReferenceSystem(), [row], append=known)


def _write(
    path: Path,
    table: str,
    fields: QgsFields,
    geometry: Any,
    crs: QgsCoordinateReferenceSystem,
    rows: Sequence[QgsFeature] = (),
    *,
    append: bool = False,
) -> None:
    """Write rows to a table, which gets the columns that it lacks: an older version had fewer."""
    action = QgsVectorFileWriter.ActionOnExistingFile
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = "GPKG"
    options.layerName = table
    if append:
        options.actionOnExistingFile = action.AppendToLayerAddFields
    elif path.exists():
        options.actionOnExistingFile = action.CreateOrOverwriteLayer
    else:
        options.actionOnExistingFile = action.CreateOrOverwriteFile
    _write_file(path, fields, geometry, crs, rows, options)


def _write_file(
    path: Path,
    fields: QgsFields,
    geometry: Any,
    crs: QgsCoordinateReferenceSystem,
    rows: Sequence[QgsFeature],
    options: QgsVectorFileWriter.SaveVectorOptions,
) -> None:
    context = QgsCoordinateTransformContext()
    writer = QgsVectorFileWriter.create(str(path), fields, geometry, crs, context, options)
    fine = QgsVectorFileWriter.WriterError.NoError
    if writer.hasError() == fine and rows:
        writer.addFeatures(list(rows), QgsFeatureSink.Flag.FastInsert)
    failed, reason = writer.hasError() != fine, writer.errorMessage()
    del writer  # writes what it holds
    if failed:
        raise StorageError(reason.strip().rstrip("."))


@contextmanager
def _quick_commits() -> Iterator[None]:
    """Have what is opened meanwhile commit without waiting for the disk.

    QGIS opens a GeoPackage on a local disk with a write-ahead log: with SQLite's NORMAL even a power cut loses no
    more than the last commits. QGIS's own default costs up to 200 ms a commit.
    """
    option = "OGR_SQLITE_SYNCHRONOUS"
    configure = getattr(gdal, "SetThreadLocalConfigOption", None) or gdal.SetConfigOption
    configure(option, "NORMAL")
    try:
        yield
    finally:
        configure(option, None)

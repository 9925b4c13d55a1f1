"""Where findings are kept: in the project's GeoPackage, from the first to the last, whatever happens to it."""

import json
import sqlite3
import time
from collections import namedtuple
from contextlib import closing
from dataclasses import replace
from datetime import datetime

import pytest
from qgis.core import QgsCoordinateReferenceSystem, QgsProject, QgsSettings, QgsVectorLayer

from fusar_qgis.contract import Finding, Found, MultiPolygon, Polygon, SceneBox
from fusar_qgis.core.setting_names import PLACE
from fusar_qgis.gui.results_relocator import ResultsRelocator
from fusar_qgis.layers import exports, findings_layer, storage
from fusar_qgis.layers.features import outline_in
from fusar_qgis.layers.run_groups import group_name
from fusar_qgis.layers.run_layers import RunLayers
from fusar_qgis.layers.scene import crs_of
from fusar_qgis.layers.wording import time_left

RUN = {
    "id": "run-7", "version": "0.1.0", "model": "tiny", "demonstration": True, "prior": "none", "task": "detect",
    "targets": "ship", "scene": "harbour.tif", "started": "2026-01-02T03:04:05Z", "chip_ground_m": 900.0,
}  # fmt: skip


def finding(number: int, *, layer: str = "detections", **properties) -> Finding:
    x, y = 500000 + 30 * (number % 100), 3999900 - 30 * (number // 100)
    ring = ((x, y), (x + 20, y), (x + 20, y + 9), (x, y + 9), (x, y))
    row = {"label": "ship", "objectness": 0.9, "confidence": 0.5, "length_m": 20.0, "chip": number}
    row |= {"run": "run-7", "model": "tiny"}
    left, bottom = (x - 500000) / 5, (4000000 - y) / 5  # of the scene of write_tiff
    box = SceneBox(left, bottom - 1.8, left + 4, bottom)
    shape = Polygon("Polygon", (ring,))
    return Finding(f"f{number}", layer, shape, "EPSG:32650", None, box, {**row, **properties})


def found(*numbers: int, replaced=()) -> Found:
    replaces = {f"f{new}": old for new, old in zip(numbers, replaced, strict=False)}
    return Found(tuple(finding(number) for number in numbers), replaces)


@pytest.fixture
def project(qgis_new_project, tmp_path) -> QgsProject:
    project = QgsProject.instance()
    assert project.write(str(tmp_path / "survey.qgz"))
    return project


@pytest.fixture
def run(qgis_app, qtbot):
    """Do a whole run, and return its layer of detections and what it warned of."""

    def run(*batches: Found, between=lambda: None):
        layers, warnings = RunLayers(RUN, QgsProject.instance(), "/data/harbour.tif"), []
        layers.warned.connect(warnings.append)
        gone = []
        layers.destroyed.connect(lambda: gone.append(True))
        for batch in batches:
            layers.add(batch)
            qtbot.waitUntil(lambda: not layers._waiting and not layers._leaving)
            between()
        layers.finish()
        qtbot.waitUntil(lambda: bool(gone), timeout=20_000)  # SQLite may wait 5 s for a reader of the file
        (layer,) = findings_layer.findings_layers(QgsProject.instance())
        return layer, warnings

    return run


def ids(layer) -> list[str]:
    return [feature["id"] for feature in layer.getFeatures()]


def tables(path) -> set[str]:
    with closing(sqlite3.connect(path)) as database:
        return {name for (name,) in database.execute("SELECT table_name FROM gpkg_contents")}


def test_the_style_is_written_while_the_write_ahead_log_lets_others_read(project, run, monkeypatch):
    modes, write = [], storage._write_style

    def watched(path, *what):
        with closing(sqlite3.connect(path)) as database:
            modes.extend(database.execute("PRAGMA journal_mode").fetchone())
        write(path, *what)

    monkeypatch.setattr(storage, "_write_style", watched)
    layer, _ = run(found(1))
    assert modes == ["wal"]
    assert ids(layer) == ["f1"]


def test_findings_are_in_the_projects_file_with_style_and_provenance(project, run, tmp_path, qtbot):
    layer, warnings = run(found(1, 2, 3), found(4, replaced=["f2"]))
    file, table = storage.source_of(layer)
    assert (file, warnings) == (tmp_path / "survey_fusar.gpkg", [])
    assert ids(layer) == ["f1", "f3", "f4"]
    assert layer.featureCount() == 3
    assert layer.dataProvider().transaction() is None
    qtbot.waitUntil(lambda: tables(file) == {table, "runs", "layer_styles"})
    with closing(sqlite3.connect(file)) as database:
        ((name, record),) = database.execute("SELECT name, record FROM runs").fetchall()
    assert name == "Detect ship (demonstration model, no prior)"
    assert json.loads(record) == RUN

    elsewhere = QgsVectorLayer(f"{file}|layername={table}", "elsewhere", "ogr")
    assert [category.value() for category in elsewhere.renderer().categories()] == ["ship"]
    assert elsewhere.labelsEnabled()
    assert findings_layer.run_of(elsewhere) == RUN
    first = next(elsewhere.getFeatures())
    edges = [first[name] for name in ("box_left", "box_top", "box_right", "box_bottom")]
    assert edges == pytest.approx([6, 18.2, 10, 20])


def test_a_layer_says_what_became_of_its_run_and_what_it_has_counted(project, run):
    layer, _ = run(
        Found((finding(1, layer="grid", target="ship", hit=True), finding(2, layer="grid", target="ship")))
    )
    assert layer.customProperty(findings_layer.STATUS_PROPERTY) == "successful"
    kept = json.loads(layer.customProperty(findings_layer.RESULT_PROPERTY))
    assert kept == {"counts": [], "cells": {"ship": [1, 2]}}


def test_the_next_run_goes_to_a_table_of_its_own(project, run, tmp_path):
    first, _ = run(found(1))
    (one, two) = (storage.source_of(first)[1], "detections_20260102030405_2")
    project.removeMapLayer(first)
    second, _ = run(found(2))
    assert storage.source_of(second) == (tmp_path / "survey_fusar.gpkg", two)
    assert {one, two, "runs"} <= tables(tmp_path / "survey_fusar.gpkg")


def test_an_unsaved_projects_findings_move_when_it_is_saved(qgis_new_project, qgis_iface, bar, run, tmp_path):
    project = QgsProject.instance()
    moving = ResultsRelocator(qgis_iface, bar)
    layer, warnings = run(found(1, 2))
    assert (layer.isTemporary(), warnings) == (True, [])
    layer_id = layer.id()
    assert project.write(str(tmp_path / "new.qgz"))
    assert storage.source_of(layer)[0] == tmp_path / "new_fusar.gpkg"
    assert "new_fusar.gpkg" in bar.currentItem().text()
    assert not project.isDirty()
    moving.remove()

    project.clear()
    assert project.read(str(tmp_path / "new.qgz"))
    again = project.mapLayer(layer_id)
    assert ids(again) == ["f1", "f2"]
    assert storage.source_of(again)[0] == tmp_path / "new_fusar.gpkg"
    assert findings_layer.run_of(again) == RUN


def test_temporary_by_choice_stays_so(qgis_new_project, qgis_iface, bar, run, tmp_path):
    QgsSettings().setValue(PLACE, "temporary")
    moving = ResultsRelocator(qgis_iface, bar)
    layer, _ = run(found(1))
    assert QgsProject.instance().write(str(tmp_path / "new.qgz"))
    assert layer.isTemporary()
    moving.remove()


@pytest.mark.parametrize("trouble", ["no file", "locked", "no GeoPackage"])
def test_a_file_that_cannot_be_written_is_said_and_nothing_is_lost(project, run, tmp_path, trouble):
    file = tmp_path / "survey_fusar.gpkg"
    holder = None
    if trouble == "no file":
        file.mkdir()
    elif trouble == "no GeoPackage":
        file.write_bytes(b"something else " * 1000)
    else:
        holder = sqlite3.connect(file, isolation_level=None)
        holder.execute("CREATE TABLE x (y)")
        holder.execute("BEGIN IMMEDIATE")
    layer, (warning,) = run(found(1, 2))
    assert str(file) in warning
    assert "temporary file" in warning
    assert layer.isTemporary()
    assert ids(layer) == ["f1", "f2"]
    if holder is not None:
        holder.close()


def test_in_memory_where_nothing_can_be_written(project, run, tmp_path, monkeypatch):
    (tmp_path / "survey_fusar.gpkg").mkdir()
    monkeypatch.setattr(storage.tempfile, "gettempdir", lambda: str(tmp_path / "survey.qgz"))
    layer, warnings = run(found(1, 2), found(3))
    assert layer.providerType() == "memory"
    assert len(warnings) == 2
    assert "safe in memory" in warnings[-1]
    assert ids(layer) == ["f1", "f2", "f3"]


def test_a_disk_without_room_is_seen_before_writing_fails(project, run, monkeypatch):
    usage = namedtuple("Usage", "total used free")

    def fill_up():
        monkeypatch.setattr("fusar_qgis.layers.storage.shutil.disk_usage", lambda _: usage(9, 8, 1))
        (layer,) = findings_layer.findings_layers(QgsProject.instance())
        layer.raiseError.connect(raised.append)

    raised = []
    layer, (warning,) = run(found(1, 2), found(3, replaced=("f1",)), between=fill_up)
    assert warning.startswith("The disk is full:")
    assert layer.providerType() == "memory"
    assert sorted(ids(layer)) == ["f2", "f3"]
    assert raised == []


def test_a_disk_that_fills_up_in_mid_run(project, run, tmp_path):
    def fill_up():
        (layer,) = findings_layer.findings_layers(project)
        file, table = storage.source_of(layer)
        if layer.providerType() == "ogr":
            with closing(sqlite3.connect(file)) as database, database:
                database.execute(
                    f"CREATE TRIGGER IF NOT EXISTS full BEFORE INSERT ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'disk full'); END"
                )

    layer, warnings = run(
        found(1, 2), found(3, 4, replaced=["f1"]), found(5, replaced=["f4"]), between=fill_up
    )
    (warning,) = warnings
    assert warning.startswith("The disk is full:")
    assert "safe in memory" in warning
    assert "SQL" not in warning
    assert sorted(ids(layer)) == ["f2", "f3", "f5"]
    assert layer.crs().authid() == "EPSG:32650"
    assert layer.renderer().categories()[0].value() == "ship"


def test_another_program_that_writes_for_a_while(project, qtbot, qgis_app):
    layers = RunLayers(RUN, project)
    layers.add(found(1))
    qtbot.waitUntil(lambda: not layers._waiting)
    (layer,) = findings_layer.findings_layers(project)
    with sqlite3.connect(storage.source_of(layer)[0], isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        layers.add(found(2))
        began = time.perf_counter()
        layers.flush()
        assert time.perf_counter() - began < 0.5  # SQLite itself would wait for 5 s
        assert ids(layer) == ["f1"]
        other.execute("ROLLBACK")
    other.close()
    with qtbot.waitSignal(layers.destroyed):
        layers.finish()
    assert ids(layer) == ["f1", "f2"]


def test_a_project_closed_before_the_first_finding_is_written(project, qtbot):
    layers = RunLayers(RUN, project)
    layers.add(found(1))
    layers.flush()
    assert layers._making
    with qtbot.waitSignal(layers.destroyed):
        project.clear()
    assert project.mapLayers() == {}


def test_200_chips_with_20_findings_each(project, qtbot, capsys, monkeypatch):
    spent = []
    flush = RunLayers.flush

    def timed(self):
        began = time.perf_counter()
        flush(self)
        spent.append(1000 * (time.perf_counter() - began))

    monkeypatch.setattr(RunLayers, "flush", timed)
    layers = RunLayers(RUN, project)
    for first in range(0, 4000, 20):
        layers.add(found(*range(first, first + 20)))
        qtbot.wait(5)
    with qtbot.waitSignal(layers.destroyed, timeout=20_000):
        layers.finish()
    with capsys.disabled():
        print(f"\nflush: median {sorted(spent)[len(spent) // 2]:.1f} ms, longest {max(spent):.1f} ms")
    (layer,) = findings_layer.findings_layers(project)
    assert layer.featureCount() == 4000


def test_the_time_that_is_left():
    assert [time_left(seconds) for seconds in (0, 58, 61, 5000, 5500)] == [
        "about 5 s left", "about 60 s left", "about 1 min left", "about 83 min left", "about 1.5 h left",
    ]  # fmt: skip


@pytest.mark.parametrize("unit", ["km", "us-ft"])
def test_a_crs_that_a_geopackage_takes_for_another_gives_way_to_wgs84_and_that_is_said(
    project, run, tmp_path, unit
):
    here = QgsCoordinateReferenceSystem()
    here.createFromProj(f"+proj=utm +zone=50 +datum=WGS84 +units={unit} +no_defs")
    ring = ((117.0, 36.0), (117.1, 36.0), (117.1, 36.1), (117.0, 36.1), (117.0, 36.0))
    there = replace(
        finding(1), crs=here.toWkt(QgsCoordinateReferenceSystem.WKT_PREFERRED),
        lonlat=Polygon("Polygon", (ring,)),
    )  # fmt: skip
    layer, warnings = run(Found((there,), {}))
    assert layer.crs().authid() == "EPSG:4326"
    (feature,) = layer.getFeatures()
    assert feature.geometry().boundingBox().center().x() == pytest.approx(117.05)
    assert any("WGS 84" in warning for warning in warnings)
    exported, context = tmp_path / "exported.gpkg", QgsProject.instance().transformContext()
    taken = exports.snapshot(layer, unreviewed_too=True, context=context)
    exports.write(taken, "gpkg", exported)
    (table,) = tables(exported) - {"runs", "layer_styles"}
    assert storage.open_table(str(exported), table, "x").crs().authid() == "EPSG:4326"


def test_a_crs_with_its_own_datum_shift_is_kept(qgis_app):
    shifted = QgsCoordinateReferenceSystem()
    shifted.createFromProj("+proj=utm +zone=33 +ellps=intl +towgs84=-87,-98,-121,0,0,0,0 +units=m +no_defs")
    assert storage.storable(shifted) == shifted


def test_an_outline_across_the_antimeridian_stays_two_parts_in_wgs84(qgis_app):
    parts = tuple(
        (((west, 1.0), (west + 0.1, 1.0), (west + 0.1, 1.1), (west, 1.0)),) for west in (179.9, -180.0)
    )
    across = replace(finding(1), crs="EPSG:32660", lonlat=MultiPolygon("MultiPolygon", parts))
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    assert outline_in(across, wgs84, QgsProject.instance().transformContext()).area() < 0.1
    assert outline_in(across, crs_of("EPSG:32660"), QgsProject.instance().transformContext()).area() == 180


@pytest.mark.parametrize(
    ("area", "crs", "size"),
    [
        ("POLYGON((500000 4000000, 502100 4000000, 502100 3998200, 500000 3998200, 500000 4000000))",
         "EPSG:32650", "2.1 x 1.8 km · "),
        ("POLYGON((117 36, 117.005 36, 117.005 36.005, 117 36.005, 117 36))", "EPSG:4326", "451 x 555 m · "),
        ("", "EPSG:32650", ""),
        ("POLYGON((0 0, 5 0, 5 5, 0 5, 0 0))", "", ""),
    ],
)  # fmt: skip
def test_a_group_is_named_by_time_and_area_first(qgis_app, area, crs, size):
    local = datetime.fromisoformat("2026-01-02T03:04:05+00:00").astimezone()
    named = group_name({**RUN, "area": area, "scene_crs": crs})
    assert named == f"{local:%H:%M} · {size}Detect ship (demonstration model, no prior)"
    assert group_name({**RUN, "started": "", "area": area, "scene_crs": crs}).startswith(size or "Detect")

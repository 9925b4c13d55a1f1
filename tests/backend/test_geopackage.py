"""One GeoPackage, written whole or not at all."""

from __future__ import annotations

import resource
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from findings_samples import all_seen, chips_of, open_sample, run_on, sure_of
from shapely.geometry import shape

from fusar_gpt.contract import Finding, Run
from fusar_gpt.errors import OutputError
from fusar_gpt.findings import (
    check_output,
    check_writable,
    georeference,
    is_findings_file,
    write_geopackage,
)
from fusar_gpt.frames import ChipBox
from fusar_gpt.imagery import Scene, crs_text
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, LabelledBox, Question, Task, Text

SHIP = LabelledBox(ChipBox(10, 20, 40, 30), "ship", (0, 1), ((0, 1),))
LAYERS = ["detections", "grid", "answers", "runs"]


def findings_on(scene: Scene, run: Run) -> list[Finding]:
    asked: list[tuple[Question, Answer]] = [
        (Question(Task.DETECT, target="ship"), Boxes("x", True, (SHIP,))),
        (Question(Task.LOCATE, target="ship"), Grid("1", True, frozenset({1}))),
        (Question(Task.COUNT, target="ship"), Count("7", True, 7)),
        (Question(Task.DESCRIBE), Text("\u7801\u5934", True, "\u7801\u5934 'and' \"quotes\"")),
    ]
    chip = chips_of(scene)[0]
    return [
        f
        for question, answer in asked
        for f in georeference(answer, question, chip, scene, run, sure_of(answer), 3, all_seen(chip))
    ]


def columns(path: Path, layer: str) -> dict[str, list[object]]:
    with sqlite3.connect(path) as database:
        cursor = database.execute(f"SELECT * FROM {layer}")
        names = [name for name, *_ in cursor.description]
        return dict(zip(names, map(list, zip(*cursor, strict=True)), strict=True))


@contextmanager
def disk_full_after(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: the nearest thing to a full disk without being root."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_layers_crs_types_and_nulls(tmp_path: Path) -> None:
    with open_sample(tmp_path, degrees=20.0) as scene:
        run = run_on(scene)
        findings = findings_on(scene, run)
        write_geopackage(tmp_path / "out.gpkg", [run], findings)
    out = tmp_path / "out.gpkg"
    assert [name for name, _ in pyogrio.list_layers(out)] == LAYERS
    assert {pyogrio.read_info(out, layer=layer)["crs"] for layer in LAYERS} == {"EPSG:32631"}

    info = pyogrio.read_info(out, layer="detections")
    ogr = dict(zip(info["fields"], zip(info["ogr_types"], info["ogr_subtypes"], strict=True), strict=True))
    assert ogr["label"] == ("OFTString", "OFSTNone")
    assert ogr["objectness"] == ("OFTReal", "OFSTNone")
    assert ogr["chip"] == ("OFTInteger64", "OFSTNone")
    assert ogr["demonstration"] == ("OFTInteger", "OFSTBoolean")

    _, _, wkb, _ = pyogrio.raw.read(out, layer="detections")
    assert shapely.from_wkb(wkb[0]).equals(shape(findings[0].geometry))
    assert columns(out, "detections")["id"] == [findings[0].id]
    assert columns(out, "grid")["hit"] == [1] + [0] * 8
    answers = columns(out, "answers")
    assert answers["count"] == [7, None]
    assert answers["text"] == [None, "\u7801\u5934 'and' \"quotes\""]
    assert answers["target"] == ["ship", None]
    told = columns(out, "runs")
    assert (told["targets"], told["prior_year"], told["demonstration"]) == (["ship, plane"], [None], [1])
    assert told["prompts"] == ["detect ship\ndetect plane"]
    for layer in LAYERS:
        place = columns(out, layer)
        assert all(3 < lon < 4 for lon in place["lon"])  # type: ignore[operator]
        assert all(51 < lat < 52 for lat in place["lat"])  # type: ignore[operator]


def test_every_property_of_a_finding_and_every_field_of_a_run_has_a_column(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
        findings = findings_on(scene, run)
        write_geopackage(tmp_path / "out.gpkg", [run], findings)
    for finding in findings:
        assert set(finding.properties) <= set(columns(tmp_path / "out.gpkg", finding.layer))
    assert set(run.record()) - {"area"} <= set(columns(tmp_path / "out.gpkg", "runs"))


def test_no_findings_still_give_proper_layers(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        write_geopackage(tmp_path / "out.gpkg", [run_on(scene)], [])
    for layer in LAYERS[:3]:
        info = pyogrio.read_info(tmp_path / "out.gpkg", layer=layer)
        assert (info["features"], info["geometry_type"], info["crs"]) == (0, "Polygon", "EPSG:32631")
        assert {"id", "run", "model", "prior", "lon", "lat"} <= set(info["fields"])


def test_a_crs_without_a_code_survives(tmp_path: Path) -> None:
    local = "+proj=tmerc +lat_0=51.7 +lon_0=3.9 +k=0.99991 +x_0=1234 +y_0=567 +ellps=GRS80 +units=m +no_defs"
    with open_sample(tmp_path, crs=local, origin=(0, 0)) as scene:
        run = run_on(scene)
        write_geopackage(tmp_path / "out.gpkg", [run], findings_on(scene, run))
    assert run.scene_crs.startswith("PROJCRS[")
    written = pyproj.CRS(pyogrio.read_info(tmp_path / "out.gpkg", layer="detections")["crs"])
    x, y = pyproj.Transformer.from_crs(written, "EPSG:4326", always_xy=True).transform(1234, 567)
    assert (x, y) == pytest.approx((3.9, 51.7), abs=1e-6)


def test_crs_text_never_takes_a_nearly_right_code() -> None:
    assert crs_text(pyproj.CRS("EPSG:32631")) == "EPSG:32631"
    shifted = pyproj.CRS("+proj=utm +zone=31 +datum=WGS84 +x_0=500001")
    assert pyproj.CRS(crs_text(shifted)) == shifted


def test_runs_in_different_crs_meet_in_wgs84(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with open_sample(tmp_path) as a, open_sample(tmp_path / "b", crs="EPSG:32731") as b:
        runs = [run_on(a), run_on(b, id="run-2")]
        findings = findings_on(a, runs[0]) + findings_on(b, runs[1])
        write_geopackage(tmp_path / "out.gpkg", runs, findings)
    assert {pyogrio.read_info(tmp_path / "out.gpkg", layer=layer)["crs"] for layer in LAYERS} == {"EPSG:4326"}
    for layer in LAYERS:
        _, _, wkb, _ = pyogrio.raw.read(tmp_path / "out.gpkg", layer=layer)
        told = columns(tmp_path / "out.gpkg", layer)
        places = [shapely.Point(*place) for place in zip(told["lon"], told["lat"], strict=True)]
        assert shapely.distance(shapely.from_wkb(wkb), places).max() == 0
        assert {round(place.y / 10) for place in places} == {5, -4}


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
        findings = findings_on(scene, run)
    folder = tmp_path / "out"
    folder.mkdir()
    out = folder / "out.gpkg"
    write_geopackage(out, [run], findings)
    before = out.read_bytes()
    for size in np.linspace(0, len(before) - 4096, 12, dtype=int):
        with (
            disk_full_after(int(size)),
            pytest.raises(OutputError, match=r"Cannot write .*out\.gpkg") as raised,
        ):
            write_geopackage(out, [run], findings)
        assert "\n" not in str(raised.value)
        assert out.read_bytes() == before
        assert [path.name for path in folder.iterdir()] == ["out.gpkg"]


@pytest.mark.parametrize("where", ["missing/out.gpkg", "file/out.gpkg", "folder", "/proc/out.gpkg"])
def test_an_unwritable_place_is_one_line(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with open_sample(tmp_path) as scene, pytest.raises(OutputError) as raised:
        write_geopackage(tmp_path / where, [run_on(scene)], [])
    assert "\n" not in str(raised.value)
    with pytest.raises(OutputError):
        check_writable(tmp_path / where)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder", "scene.tif"]


def test_a_file_that_is_open_elsewhere_is_not_pulled_away(tmp_path: Path) -> None:
    out = tmp_path / "out.gpkg"
    with open_sample(tmp_path) as scene:
        write_geopackage(out, [run_on(scene)], [])
        check_writable(out)
        reader = sqlite3.connect(out)
        reader.execute("PRAGMA journal_mode = wal")  # what QGIS does when it opens a GeoPackage
        reader.execute("CREATE TABLE busy (x)")
        with pytest.raises(OutputError, match="another program has it open"):
            write_geopackage(out, [run_on(scene)], [])
        reader.close()
        write_geopackage(out, [run_on(scene)], [])


def test_a_failure_while_the_findings_stream_in_leaves_nothing(tmp_path: Path) -> None:
    def broken() -> Iterator[Finding]:
        raise ValueError("stop")
        yield

    with open_sample(tmp_path) as scene, pytest.raises(ValueError, match="stop"):
        write_geopackage(tmp_path / "out.gpkg", [run_on(scene)], broken())
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


@pytest.mark.parametrize(
    ("crs", "origin", "pixel", "kept"),
    [
        ("+proj=utm +zone=33 +datum=WGS84 +units=km", (500, 5000), (0.01, -0.01), False),
        ("+proj=utm +zone=33 +datum=WGS84 +units=us-ft", (1640416, 16404166), (33, -33), False),
        ("+proj=utm +zone=33 +ellps=intl +towgs84=-87,-98,-121", (500_000, 5_000_000), (10, -10), True),
        (
            "+proj=longlat +ellps=bessel +towgs84=598.1,73.7,418.2,0.2,0,-2.4,6.7",
            (15, 45),
            (1e-4, -1e-4),
            True,
        ),
    ],
)
def test_what_is_written_is_where_the_scene_is_or_in_wgs84_and_said(
    tmp_path: Path, crs: str, origin: tuple[float, float], pixel: tuple[float, float], kept: bool
) -> None:
    out = tmp_path / "out.gpkg"
    with open_sample(tmp_path, crs=crs, origin=origin, pixel=pixel) as scene:
        run = run_on(scene, warnings=("Mind the gap.",))
        findings = findings_on(scene, run)
        told = write_geopackage(out, [run], findings)
    assert bool(told) is not kept
    assert columns(out, "runs")["warnings"] == ["\n".join(("Mind the gap.", *told))]
    for layer in LAYERS:
        meta, _, wkb, _ = pyogrio.raw.read(out, layer=layer)
        place = columns(out, layer)
        assert (meta["crs"] == "EPSG:4326") is not kept
        to_degrees = pyproj.Transformer.from_crs(meta["crs"], "EPSG:4326", always_xy=True)
        for shape_, lon, lat in zip(shapely.from_wkb(wkb), place["lon"], place["lat"], strict=True):
            at = to_degrees.transform(shape_.centroid.x, shape_.centroid.y)
            assert at == pytest.approx((lon, lat), abs=1e-6)


def test_a_run_across_the_antimeridian_has_its_middle_there_and_its_area_in_two(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    fiji = {"crs": "EPSG:3832", "origin": (3_338_600, -1_900_000), "pixel": (20, -20)}
    with open_sample(tmp_path, **fiji) as a, open_sample(tmp_path / "b") as b:
        runs = [run_on(a), run_on(b, id="run-2")]
        write_geopackage(tmp_path / "out.gpkg", runs, [])
    _, _, wkb, _ = pyogrio.raw.read(tmp_path / "out.gpkg", layer="runs")
    assert shapely.area(shapely.from_wkb(wkb)).max() < 0.01
    assert abs(columns(tmp_path / "out.gpkg", "runs")["lon"][0]) > 179.9  # type: ignore[operator, arg-type]


NAMES = [
    "a!b", "!a", "a;b", "a#b?c=d&e %20", "a\nb", " a", "-a", "a'b\"c", "a:b", "港口" * 40, "s.zip!", "zip:a", "a?",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("relative", [False, True])
def test_only_the_named_file_is_written_whatever_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, relative: bool
) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
    folder = name[:40]  # SQLite, and so QGIS, opens no path of more than 512 bytes
    (tmp_path / folder).mkdir()
    (tmp_path / "b.gpkg").write_text("mine")
    out = tmp_path / folder / f"{name}.gpkg"
    before = set(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    path = Path(folder, f"{name}.gpkg") if relative else out
    for _ in range(2):
        assert check_output(path, is_findings_file, inputs={}, overwrite=False) is None
        write_geopackage(path, [run], [])
    assert set(tmp_path.rglob("*")) == before | {out}
    assert (tmp_path / "b.gpkg").read_text() == "mine"
    assert is_findings_file(out)


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="Cannot write") as raised:
        check_writable(tmp_path / ("港" * 90 + ".gpkg"))
    assert "\n" not in str(raised.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("link", ["itself", "symbolic", "hard"])
def test_an_input_is_never_replaced(tmp_path: Path, link: str) -> None:
    scene, out = tmp_path / "scene.gpkg", tmp_path / "out.gpkg"
    scene.write_text("a scene")
    if link == "itself":
        out = scene
    elif link == "symbolic":
        out.symlink_to(scene)
    else:
        out.hardlink_to(scene)
    with pytest.raises(OutputError, match="it is the scene itself"):
        check_output(out, lambda _: True, inputs={"area": None, "scene": scene}, overwrite=True)


@pytest.mark.parametrize("kind", ["text", "empty", "sqlite", "geopackage", "ours with a layer more"])
def test_somebody_elses_file_is_replaced_only_when_that_is_said(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out.gpkg"
    square = shapely.to_wkb(np.array([shapely.box(0, 0, 1, 1)], dtype=object))
    if kind == "text":
        out.write_text("hello")
    elif kind == "empty":
        out.touch()
    elif kind == "sqlite":
        sqlite3.connect(out).execute("CREATE TABLE runs (scene_fingerprint)").connection.close()
    else:
        if kind != "geopackage":
            with open_sample(tmp_path) as scene:
                write_geopackage(out, [run_on(scene)], [])
        pyogrio.raw.write(
            out, square, [], [], layer="mine", driver="GPKG", geometry_type="Polygon", crs="EPSG:4326",
            append=out.exists(),
        )  # fmt: skip
    with pytest.raises(OutputError, match=r"this command did not write it.*--overwrite"):
        check_output(out, is_findings_file, inputs={}, overwrite=False)
    told = check_output(out, is_findings_file, inputs={}, overwrite=True)
    assert told == f"replacing {out}, which this command did not write"

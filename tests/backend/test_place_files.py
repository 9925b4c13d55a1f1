"""The files of a search: places as GeoPackage, GeoJSON and GeoParquet, a heat map as GeoTIFF; and places as an area."""

from __future__ import annotations

import itertools
import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pyogrio
import pyproj
import pytest
import rasterio
import shapely
from findings_samples import detection, open_sample, run_on
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import GCPTransformer
from rasters import speckle, swath_gcps, write
from shapely.geometry import shape

from fusar_gpt import geoparquet
from fusar_gpt.contract import (
    LAYER_COLUMNS,
    NO_HEAT,
    PLACES,
    RUN_COLUMNS,
    SEARCH,
    Finding,
    HeatMap,
    Run,
    to_geojson,
)
from fusar_gpt.errors import AreaError, OutputError
from fusar_gpt.findings import (
    ReportedRun,
    check_output,
    count_by_kind,
    is_findings_file,
    is_heat_file,
    is_places_file,
    read_places,
    write_geopackage,
    write_heat,
    write_places,
    write_report,
)
from fusar_gpt.findings.caption import warnings_of
from fusar_gpt.findings.georeference import finding_at
from fusar_gpt.frames import GroundPoints, SceneBox
from fusar_gpt.imagery import ChipFormat, Scene, crs_text, open_scene
from fusar_gpt.planning import plan_parts
from fusar_gpt.retrieval.heat import heat_map

SUFFIXES = [".gpkg", ".geojson", ".parquet"]
BOXES = [(0, 0, 60, 60), (60, 0, 120, 60), (150, 90, 210, 150), (120, 50, 180, 110)]
"""The second touches the first, the last overlaps the third and touches the second in a corner region."""


@contextmanager
def scene_of(kind: str, folder: Path) -> Iterator[Scene]:
    if kind == "gcps":
        path = write(folder / "scene.tif", speckle(180, 240), gcps=swath_gcps(240, 180, size=0.01))
        with open_scene(path) as scene:
            yield scene
    else:
        with open_sample(folder, degrees={"north up": 0.0, "rotated": 103.0}[kind]) as scene:
            yield scene


def search_on(scene: Scene, **changes: object) -> Run:
    return replace(run_on(scene), task=SEARCH, targets=(), prompts=("ships", "码头"), **changes)  # type: ignore[arg-type]


def places_on(scene: Scene, run: Run) -> list[Finding]:
    return [
        finding_at(
            SceneBox(*box), scene, run, PLACES,
            {"rank": rank, "percentile": 100.0 - rank, "similarity": 0.5, "query": "ships; 码头", "matched": None,
             "side_m": 120.0, "data_share": 1.0, "chip": 7 * rank, "prior_nodes": 0, **run.provenance()},
            f"{run.id} place {rank}",
        )
        for rank, box in enumerate(BOXES, 1)
    ]  # fmt: skip


def on_pixels(area, scene: Scene) -> list[shapely.Polygon]:
    return list(shapely.get_parts(area.on_scene(scene)))


# There and back.


@pytest.mark.parametrize("kind", ["north up", "rotated", "gcps"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_places_come_back_where_they_were_a_part_each(tmp_path: Path, suffix: str, kind: str) -> None:
    out = tmp_path / f"out{suffix}"
    with scene_of(kind, tmp_path) as scene:
        run = search_on(scene)
        write_places(out, [run], places_on(scene, run))
        assert is_places_file(out)
        parts = on_pixels(read_places(out, scene.path), scene)
    assert len(parts) == len(BOXES)
    meant = shapely.union_all([shapely.box(*box) for box in BOXES])
    assert shapely.union_all(parts).symmetric_difference(meant).area < 0.01 * meant.area
    best = min(parts, key=lambda part: part.distance(shapely.Point(30, 30)))
    np.testing.assert_allclose(best.bounds, BOXES[0], atol=0.06)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_best_come_first_whatever_the_order_in_the_file(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        write_places(out, [run], places_on(scene, run)[::-1])
        (first,) = on_pixels(read_places(out, scene.path, top=1), scene)
    np.testing.assert_allclose(first.bounds, BOXES[0], atol=0.06)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 8)] * 2, *[st.integers(1, 4)] * 2), min_size=1, max_size=9))
def test_parts_neither_touch_nor_overlap_and_lose_nothing(tmp_path_factory, boxes) -> None:
    drawn = [shapely.box(x, y, x + width, y + height) for x, y, width, height in boxes]
    file = tmp_path_factory.mktemp("drawn") / "drawn.geojson"
    features = [
        {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(one)} for one in drawn
    ]
    file.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    area = read_places(file, Path("nowhere.tif")).geometry
    parts = shapely.get_parts(area)
    assert all(not one.intersects(other) for i, one in enumerate(parts) for other in parts[:i])
    missing = shapely.union_all(drawn).difference(area)
    assert missing.area < 1e-3
    assert missing.buffer(-1e-4).is_empty


# What is in the files.


def test_a_geopackage_has_the_places_and_their_run_alone(tmp_path: Path) -> None:
    out = tmp_path / "out.gpkg"
    with scene_of("rotated", tmp_path) as scene:
        run = search_on(scene)
        assert write_places(out, [run], places_on(scene, run)) == ()
    assert [name for name, _ in pyogrio.list_layers(out)] == [PLACES, "runs"]
    info = pyogrio.read_info(out, layer=PLACES)
    assert (list(info["fields"]), info["features"], info["crs"]) == (
        list(LAYER_COLUMNS[PLACES]),
        4,
        "EPSG:32631",
    )
    assert is_findings_file(out)


def test_runs_of_both_kinds_in_one_geopackage_have_all_layers(tmp_path: Path) -> None:
    out = tmp_path / "out.gpkg"
    with open_sample(tmp_path) as scene:
        run, search = run_on(scene), search_on(scene, id="run-2")
        write_geopackage(out, [run, search], places_on(scene, search))
    assert [name for name, _ in pyogrio.list_layers(out)] == [*LAYER_COLUMNS, "runs"]
    assert is_findings_file(out)
    assert not is_places_file(out)


def test_geojson_is_what_the_api_gives(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        one, two = search_on(scene), search_on(scene, id="run-2")
        places = places_on(scene, one)
        write_places(tmp_path / "one.geojson", [one], places)
        write_places(tmp_path / "two.geojson", [one, two], [*places, *places_on(scene, two)])
    text = (tmp_path / "one.geojson").read_text("utf-8")
    assert json.loads(text) == json.loads(json.dumps({**to_geojson(places), "run": one.record()}))
    assert "码头" in text
    assert [run["id"] for run in json.loads((tmp_path / "two.geojson").read_text("utf-8"))["runs"]] == [
        "run-1",
        "run-2",
    ]
    assert pyogrio.read_info(tmp_path / "one.geojson")["features"] == 4


def test_geoparquet_is_one_table_with_the_provenance_of_each_row(tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    with scene_of("gcps", tmp_path) as scene:
        run = search_on(scene)
        places = places_on(scene, run)
        write_places(out, [run], places)
    table = pq.read_table(out)
    assert set(LAYER_COLUMNS[PLACES]) | set(RUN_COLUMNS) | {"geometry"} == set(table.column_names)
    geo = json.loads(table.schema.metadata[b"geo"])
    assert (geo["version"], geo["columns"]["geometry"]["encoding"]) == ("1.1.0", "WKB")
    assert pyproj.CRS(geo["columns"]["geometry"]["crs"]) == pyproj.CRS("EPSG:4326")
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [place.id for place in places]
    assert rows[0]["matched"] is None
    assert {(row["run"], row["scene_fingerprint"], row["demonstration"]) for row in rows} == {
        (run.id, run.scene_fingerprint, True)
    }
    for row, place in zip(rows, places, strict=True):
        assert shapely.from_wkb(row["geometry"]).equals(shape(place.lonlat))
        assert shapely.from_wkb(row["geometry"]).contains(shapely.Point(row["lon"], row["lat"]))


def test_without_pyarrow_geoparquet_is_refused_and_the_rest_works(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(geoparquet, "find_spec", lambda name: None)
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        with pytest.raises(OutputError, match=r"fusar-gpt\[parquet\]"):
            write_places(tmp_path / "out.parquet", [run], places_on(scene, run))
        write_places(tmp_path / "out.geojson", [run], places_on(scene, run))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.geojson", "scene.tif"]


# Whose file it is.


def test_a_search_knows_its_own_files_from_those_of_others(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = run_on(scene)
        write_geopackage(tmp_path / "interpreted.gpkg", [run], [])
        (tmp_path / "api.geojson").write_text(json.dumps({**to_geojson([]), "run": run.record()}))
    (tmp_path / "text.gpkg").write_text("notes")
    (tmp_path / "text.geojson").write_text("notes")
    (tmp_path / "list.geojson").write_text("[1]")
    (tmp_path / "drawn.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    (tmp_path / "text.parquet").write_text("notes")
    (tmp_path / "text.tif").write_text("notes")
    for path in tmp_path.iterdir():
        assert not is_places_file(path), path
        assert not is_heat_file(path), path
    assert is_findings_file(tmp_path / "interpreted.gpkg")
    with pytest.raises(OutputError, match="did not write it"):
        check_output(tmp_path / "interpreted.gpkg", is_places_file, inputs={}, overwrite=False)


@pytest.mark.parametrize("suffix", [*SUFFIXES, ".tif"])
def test_a_full_disk_leaves_what_was_there(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"out{suffix}"
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        places, heat = places_on(scene, run), heat_on(scene)
        out.write_text("before")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256, hard))
        try:
            with pytest.raises(OutputError, match="Cannot write"):
                write_heat(out, heat, run) if suffix == ".tif" else write_places(out, [run], places)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert out.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([out.name, "scene.tif"])


# Of which scene they are.


def test_places_of_another_scene_are_refused_and_left_out_where_others_are_of_this(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    with open_sample(tmp_path) as a, open_sample(tmp_path / "b", size=(200, 200)) as b:
        here, there = search_on(a), replace(search_on(b, id="run-2"), scene="other.tif")
        for suffix in SUFFIXES:
            other, both = tmp_path / f"other{suffix}", tmp_path / f"both{suffix}"
            write_places(other, [there], places_on(b, there))
            write_places(both, [here, there], [*places_on(a, here), *places_on(b, there)])
            with pytest.raises(AreaError, match=r"found in 'other.tif', and 'scene.tif' is another scene"):
                read_places(other, a.path)
            told: list[str] = []
            assert len(on_pixels(read_places(both, a.path, report=told.append), a)) == 4
            assert told == [f"places 'both{suffix}': left out 4 of other scenes"]


def test_places_found_in_another_band_are_of_the_same_scene(tmp_path: Path) -> None:
    path = write(tmp_path / "s.tif", [speckle(180, 240), speckle(180, 240, seed=1)], names=("VV", "VH"))
    with open_scene(path, band="VH") as scene:
        run = search_on(scene)
        write_places(tmp_path / "out.gpkg", [run], places_on(scene, run))
        assert len(on_pixels(read_places(tmp_path / "out.gpkg", path), scene)) == 4


def test_a_scene_on_a_server_is_known_by_its_name(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        write_places(tmp_path / "out.geojson", [run], places_on(scene, run))
        assert (
            len(on_pixels(read_places(tmp_path / "out.geojson", Path("server:/data/scene.tif")), scene)) == 4
        )
    with pytest.raises(AreaError, match="another scene"):
        read_places(tmp_path / "out.geojson", Path("server:/data/other.tif"))


def test_what_cannot_be_an_area_is_refused(tmp_path: Path) -> None:
    drawn = {
        "type": "Feature",
        "properties": {},
        "geometry": shapely.geometry.mapping(shapely.box(3, 51, 4, 52)),
    }
    (tmp_path / "drawn.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [drawn]}))
    (tmp_path / "text.parquet").write_text("notes")
    for name, top, reason in (
        ("drawn.geojson", 3, "nothing ranks the polygons in 'drawn.geojson'"),
        ("text.parquet", None, "'text.parquet' is no GeoParquet"),
        ("missing.gpkg", None, "does not exist"),
    ):
        with pytest.raises(AreaError, match=reason):
            read_places(tmp_path / name, Path("nowhere.tif"), top)


# The chips of an interpretation.

FRAME = ChipFormat(224, 224, 28, 672.0)


class Extent:
    width = height = 20_000
    pixel_size_m = 3.0


@pytest.mark.parametrize("overlap", [0.25, 0.0])
def test_an_interpretation_asks_about_a_chip_a_place(overlap: float) -> None:
    corners = np.random.default_rng(0).choice(170 * 170, 20, replace=False)
    boxes = [shapely.box(*(112 * at), *(112 * at + 224)) for at in np.stack(divmod(corners, 170), axis=1)]
    area = shapely.union_all([box.buffer(-1e-3, join_style="mitre") for box in boxes])
    assert len(plan_parts(Extent(), area, FRAME, overlap)) <= 24


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 1500)] * 2, *[st.integers(1, 700)] * 2), min_size=1, max_size=6),
    st.sampled_from([0.0, 0.25]),
)
def test_chips_cover_every_part_row_by_row_and_see_ground_twice_only_where_they_may(boxes, overlap) -> None:
    area = shapely.union_all([shapely.box(x, y, x + width, y + height) for x, y, width, height in boxes])
    plan = plan_parts(Extent(), area, FRAME, overlap)
    chips = list(plan)
    assert [chip.index for chip in chips] == list(range(len(plan)))
    windows = [chip.plan.window for chip in chips]
    assert all(one.row <= two.row for one, two in itertools.pairwise(windows))
    covered = shapely.union_all([chip.footprint for chip in chips])
    assert area.difference(covered.buffer(0.3)).is_empty
    if overlap == 0:
        twice = sum(chip.footprint.area for chip in chips) - covered.area
        assert twice <= 0.05 * covered.area


# The heat map.


def heat_on(scene: Scene) -> HeatMap:
    """Of nine slices, the last without data."""
    x, y = (axis.ravel() for axis in np.meshgrid([0.0, 80.0, 160.0], [0.0, 60.0, 120.0]))
    boxes = np.stack([x, y, x + 80, y + 60], axis=1)
    similarities = np.linspace(0, 1, 9, dtype=np.float32)
    similarities[-1] = np.nan
    return heat_map(similarities, boxes, scene)


@pytest.mark.parametrize("kind", ["north up", "rotated", "gcps"])
def test_a_heat_map_lies_where_the_scene_does(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "heat.tif"
    with scene_of(kind, tmp_path) as scene:
        heat = heat_on(scene)
        write_heat(out, heat, search_on(scene))
        with rasterio.open(out) as raster:
            values = raster.read(1)
            columns, rows = (
                axis.ravel() for axis in np.meshgrid(np.arange(heat.width), np.arange(heat.height))
            )
            gcps, crs = raster.gcps
            place = GCPTransformer(gcps, tps=True) if gcps else raster
            x, y = place.xy(rows, columns) if gcps else rasterio.transform.xy(raster.transform, rows, columns)
            assert (crs or raster.crs).to_epsg() == (4326 if gcps else 32631)
        back = scene.to_scene(GroundPoints(np.array(x), np.array(y))).xy()
    meant = (np.stack([columns, rows], axis=1) + 0.5) * heat.cell_px
    np.testing.assert_allclose(back, meant, atol=0.5)
    assert values.tobytes() == heat.values
    assert (values[0, 0], values[-1, -1]) == (0, NO_HEAT)


def test_a_heat_map_says_what_it_is(tmp_path: Path) -> None:
    out = tmp_path / "heat.tif"
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        write_heat(out, heat_on(scene), run)
    with rasterio.open(out) as raster:
        tags = raster.tags()
        assert (raster.dtypes, raster.nodata, raster.descriptions) == (("uint8",), NO_HEAT, ("percentile",))
    assert "percent" in tags["FUSAR_HEAT"]
    assert tags["FUSAR_QUERY"] == "ships; 码头"
    assert (tags["FUSAR_SIMULATED"], tags["FUSAR_DEMONSTRATION"]) == ("YES", "YES")
    assert run.model_hash in tags["FUSAR_MODEL"]
    assert is_heat_file(out)
    with pytest.raises(OutputError, match="did not write it"):
        check_output(tmp_path / "scene.tif", is_heat_file, inputs={}, overwrite=False)


def test_a_heat_map_that_would_lie_nowhere_is_not_written(tmp_path: Path) -> None:
    turned = pyproj.CRS("+proj=ob_tran +o_proj=longlat +o_lat_p=40 +o_lon_p=20 +datum=WGS84")
    with open_sample(tmp_path) as scene:
        heat = replace(heat_on(scene), crs=crs_text(turned), transform=(5.0, 0.01, 0.0, 50.0, 0.0, -0.01))
        with pytest.raises(OutputError, match="cannot hold the scene's CRS"):
            write_heat(tmp_path / "heat.tif", heat, search_on(scene))
    assert not (tmp_path / "heat.tif").exists()


# What findings come to where some are places.


def test_counts_and_chips_do_not_mistake_places_for_answers(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        places = places_on(scene, run)
    assert count_by_kind(places) == {"places found": 4}
    assert count_by_kind([*places, detection("a", (0, 0, 9, 9))]) == {"places found": 4, "ship detected": 1}


def test_a_report_of_a_search_tells_its_places_and_misses_no_prior(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        run = search_on(scene)
        write_report(tmp_path / "report.html", [ReportedRun(run, places_on(scene, run), b"")])
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "<b>4</b>places found" in page
    assert "No prior" not in page
    assert warnings_of(run) == ["Simulated scene", "Demonstration model"]

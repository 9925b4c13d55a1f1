"""Answers land where the chip's pixels lie, on every kind of scene."""

from __future__ import annotations

import json
import math
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pyproj
import pytest
import rasterio
import rasterio.warp
import shapely
from findings_samples import all_seen, chips_of, open_sample, run_on, sure_of, write_scene
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.geometry import shape

from fusar_gpt.contract import Finding, to_geojson
from fusar_gpt.findings import georeference
from fusar_gpt.findings.georeference import lonlat_polygon
from fusar_gpt.frames import ChipBox, GroundPoints, LonLatPoints, SceneBox, corner_array, scene_corners
from fusar_gpt.imagery import Chip, Scene, open_scene
from fusar_gpt.tasks import Answer, Boxes, Count, Grid, Label, LabelledBox, Question, Task, Text

KOCHI = Path(__file__).parents[3] / "shared/data/georef/s1_grd_gcp_kochi/iw-vv.tiff"
DETECT = Question(Task.DETECT, target="ship")
LOCATE = Question(Task.LOCATE, target="ship")


def ask(
    scene: Scene, chip: Chip, answer: Answer, question: Question = DETECT, score: float = 0.5
) -> list[Finding]:
    return georeference(
        answer, question, chip, scene, run_on(scene), sure_of(answer, score), 7, all_seen(chip)
    )


def boxes(*corners: tuple[float, float, float, float], complete: bool = True) -> Boxes:
    found = tuple(LabelledBox(ChipBox(*corner), "ship", (0, 1), ((0, 1),)) for corner in corners)
    return Boxes("5 ship 1 2 3 4", complete, found)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> list[Scene]:
    """North-up, rotated, south-up and geographic."""
    ways: list[dict[str, object]] = [
        {},
        {"degrees": 33.0},
        {"pixel": (2.0, 2.0)},
        {"crs": "EPSG:4326", "origin": (4.3, 51.9), "pixel": (2e-5, -2e-5)},
    ]
    return [open_sample(tmp_path_factory.mktemp("scene"), **way) for way in ways]


@settings(max_examples=60, deadline=None)
@given(
    kind=st.integers(0, 3),
    chip=st.integers(0, 5),
    left=st.floats(0, 80), top=st.floats(0, 80), width=st.floats(1, 16), height=st.floats(1, 16),
)  # fmt: skip
def test_a_box_and_its_polygon_are_the_same_place(
    scenes: list[Scene], kind: int, chip: int, left: float, top: float, width: float, height: float
) -> None:
    scene = scenes[kind]
    chosen = chips_of(scene)[chip]
    said = ChipBox(left, top, left + width, top + height)
    (found,) = ask(scene, chosen, boxes((said.left, said.top, said.right, said.bottom)))
    plan = chosen.plan
    for points in (
        scene.to_scene(GroundPoints.of(shapely.get_coordinates(shape(found.geometry))[:4])),
        scene.from_lonlat(LonLatPoints.of(shapely.get_coordinates(shape(found.lonlat))[:4])),
    ):
        back = plan.scene_to_chip(points).xy()
        distance = np.abs(back[:, None] - corner_array(said)[None]).max(axis=2)
        assert (distance.min(axis=0) < 0.01).all()
    assert shape(found.geometry).exterior.is_ccw
    assert shape(found.lonlat).exterior.is_ccw
    assert found.properties["length_m"] >= found.properties["width_m"] > 0  # type: ignore[operator]


def test_rotated_scene_gives_a_true_polygon_with_gdals_corners(tmp_path: Path) -> None:
    with open_sample(tmp_path, degrees=30.0) as scene, rasterio.open(scene.path) as gdal:
        (found,) = ask(scene, chips_of(scene)[0], boxes((10, 20, 40, 30)))
        x, y = gdal.xy([20, 20, 30, 30], [10, 40, 40, 10], offset="ul")
    expected = shapely.Polygon(zip(x, y, strict=True))
    assert shape(found.geometry).normalize().equals_exact(expected.normalize(), 1e-6)
    # Not a box in the CRS: it fills less than its envelope.
    assert shape(found.geometry).area < 0.8 * shape(found.geometry).envelope.area


def test_size_is_measured_on_the_ellipsoid(tmp_path: Path) -> None:
    # Far north, where a Mercator metre is a third of a metre on the ground.
    with open_sample(tmp_path, crs="EPSG:3857", origin=(2_000_000, 11_000_000)) as scene:
        (found,) = ask(scene, chips_of(scene)[0], boxes((10, 20, 40, 30)))
    corners = shapely.get_coordinates(shape(found.lonlat))
    sides = [pyproj.Geod(ellps="WGS84").line_length(*corners[[i, i + 1]].T) for i in range(4)]
    assert found.properties["length_m"] == pytest.approx(max(sides), rel=1e-4)
    assert found.properties["width_m"] == pytest.approx(min(sides), rel=1e-4)
    assert found.properties["length_m"] < 0.5 * 60  # type: ignore[operator]


@pytest.mark.skipif(not KOCHI.exists(), reason="needs ../shared/data/georef")
def test_gcp_scene_agrees_with_gdals_gcp_transform() -> None:
    with open_scene(KOCHI) as scene:
        chip = chips_of(scene)[20]
        (found,) = ask(scene, chip, boxes((10, 20, 40, 30)))
    with rasterio.open(KOCHI) as gdal:
        transformer = rasterio.transform.GCPTransformer(gdal.gcps[0])
    x, y = shapely.get_coordinates(shape(found.geometry)).T
    rows, columns = transformer.rowcol(x, y, op=np.positive)
    window = chip.plan.window
    assert min(columns) == pytest.approx(window.col + 10, abs=0.1)
    assert max(columns) == pytest.approx(window.col + 40, abs=0.1)
    assert (min(rows), max(rows)) == pytest.approx((window.row + 20, window.row + 30), abs=0.1)


def test_grid_is_nine_cells_row_by_row_that_tile_the_chip(tmp_path: Path) -> None:
    with open_sample(tmp_path, degrees=-20.0) as scene:
        chip = chips_of(scene)[1]
        cells = ask(scene, chip, Grid("1 6", True, frozenset({1, 6})), LOCATE)
        outline = shapely.Polygon(scene.to_ground(scene_corners(chip.plan.window.box())).xy())
    assert [cell.properties["cell"] for cell in cells] == list(range(1, 10))
    assert [cell.properties["cell"] for cell in cells if cell.properties["hit"]] == [1, 6]
    tiled = shapely.union_all([shape(cell.geometry) for cell in cells], grid_size=1e-6)
    assert tiled.symmetric_difference(outline).area < 1e-3 * outline.area
    assert sum(shape(cell.geometry).area for cell in cells) == pytest.approx(outline.area)
    window = chip.plan.window
    assert (cells[1].box.left, cells[1].box.top) == (window.col + 32, window.row)
    assert (cells[3].box.left, cells[3].box.top) == (window.col, window.row + 32)


def test_silence_is_not_an_empty_sea(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        chip = chips_of(scene)[0]
        (grid,) = ask(
            scene, chip, Grid("1 2 z", False, frozenset({1, 2})), Question(Task.LOCATE, target="ship")
        )
        *kept, cut = ask(scene, chip, boxes((1, 2, 30, 40), complete=False))
        none = ask(scene, chip, boxes())
    assert (grid.layer, grid.properties["complete"], grid.properties["text"]) == ("answers", False, "1 2 z")
    assert [finding.layer for finding in kept] == ["detections"]
    assert (cut.layer, cut.properties["complete"]) == ("answers", False)
    assert none == []


@pytest.mark.parametrize(
    ("answer", "question", "column", "value"),
    [
        (Count("7", True, 7), Question(Task.COUNT, target="ship"), "count", 7),
        (Count("many", False, None), Question(Task.COUNT, target="ship"), "text", "many"),
        (Label("ship", True, "ship"), Question(Task.CLASSIFY, box=ChipBox(8, 8, 20, 30)), "label", "ship"),
        (Text("A pier.", True, "A pier."), Question(Task.ASK, text="What is it?"), "text", "A pier."),
    ],
)
def test_other_answers_are_one_row(
    tmp_path: Path, answer: Answer, question: Question, column: str, value: object
) -> None:
    with open_sample(tmp_path) as scene:
        chip = chips_of(scene)[0]
        (row,) = ask(scene, chip, answer, question)
    expected = corner_array(question.box)[[0, 2]].ravel() if question.box else chip.footprint.bounds
    assert (row.box.left, row.box.top, row.box.right, row.box.bottom) == pytest.approx(tuple(expected))
    assert row.properties[column] == value
    assert row.properties["question"] == question.text
    assert row.properties["score"] == 0.5


def test_every_finding_carries_its_provenance_and_a_stable_id(tmp_path: Path) -> None:
    with open_sample(tmp_path) as scene:
        first, second = chips_of(scene)[:2]
        found = ask(scene, first, boxes((1, 2, 30, 40), (1, 2, 30, 40))) + ask(
            scene, second, boxes((1, 2, 30, 40))
        )
        again = ask(scene, first, boxes((1, 2, 30, 40), (1, 2, 30, 40)))
    assert len({finding.id for finding in found}) == 3
    assert [finding.id for finding in again] == [finding.id for finding in found[:2]]
    for finding in found:
        told = {"run": "run-1", "model": "tiny", "demonstration": True, "prior": "none", "simulated": True}
        assert told.items() <= finding.properties.items()
        assert finding.properties["prior_nodes"] == 7


def test_boxes_are_kept_to_the_scene(tmp_path: Path) -> None:
    with open_sample(tmp_path, size=(60, 50)) as scene:
        (chip,) = chips_of(scene)
        found = ask(
            scene, chip, boxes((-20, -20, 40, 40), (80, 80, 95, 95), (-9e9, -9e9, -8e9, -8e9)), score=math.nan
        )
    assert (found[0].box.left, found[0].box.top) == (0, 0)
    assert len(found) == 1
    assert found[0].properties["objectness"] is None


def test_geojson_is_rfc_7946_with_the_exact_scene_geometry_beside_it(tmp_path: Path) -> None:
    with open_sample(tmp_path, degrees=10.0) as scene:
        found = ask(scene, chips_of(scene)[0], boxes((10, 20, 40, 30)))
        run = run_on(scene)
    collection = json.loads(json.dumps(to_geojson(found), allow_nan=False))
    (feature,) = collection["features"]
    assert run.record()["targets"] == "ship, plane"
    assert (feature["id"], feature["properties"]["layer"]) == (found[0].id, "detections")
    assert feature["scene_crs"] == "EPSG:32631"
    assert shapely.geometry.shape(feature["scene_geometry"]).equals(shape(found[0].geometry))
    ring = shapely.geometry.shape(feature["geometry"]).exterior
    assert ring.is_ccw
    lon, lat = feature["properties"]["lon"], feature["properties"]["lat"]
    assert shapely.Polygon(ring).contains(shapely.Point(lon, lat))
    assert 3 < lon < 4
    assert 51 < lat < 52


def test_a_box_across_the_antimeridian_is_cut_in_two(tmp_path: Path) -> None:
    path = write_scene(
        tmp_path / "fiji.tif", crs="EPSG:3832", origin=(3_338_600, -1_900_000), pixel=(20, -20)
    )
    with open_scene(path) as scene:
        (found,) = ask(scene, chips_of(scene)[0], boxes((5, 10, 95, 60)))
    west, east = shape(found.lonlat).geoms
    assert west.bounds[2] == 180
    assert east.bounds[0] == -180
    assert all(part.is_valid and part.exterior.is_ccw for part in shape(found.lonlat).geoms)
    assert west.bounds[2] - west.bounds[0] + east.bounds[2] - east.bounds[0] < 0.1
    assert shape(found.geometry).geom_type == "Polygon"


PLACES = {
    "south pole": {"crs": "EPSG:3031", "origin": (-1200, 900), "pixel": (10, -10)},
    "north pole": {"crs": "EPSG:3413", "origin": (-1200, 900), "pixel": (10, -10)},
    "right of the antimeridian, polar": {"crs": "EPSG:3031", "origin": (0, -1_300_000), "pixel": (10, -10)},
    "across it, polar": {"crs": "EPSG:3031", "origin": (-1200, -1_300_000), "pixel": (10, -10)},
    "across it, utm": {"crs": "EPSG:32660", "origin": (830_000, 2_000_000), "pixel": (200, -200)},
    "across it, degrees": {"crs": "EPSG:4326", "origin": (179.988, 10), "pixel": (1e-4, -1e-4)},
    "counted from 0": {"crs": "EPSG:4326", "origin": (190, 10), "pixel": (1e-4, -1e-4)},
    "long edges": {"crs": "EPSG:32633", "origin": (400_000, 8_000_000), "pixel": (400, -400)},
}
edges = st.tuples(st.integers(0, 24), st.integers(0, 24)).filter(lambda edge: edge[0] != edge[1]).map(sorted)


@pytest.mark.parametrize("place", PLACES)
@given(across=edges, down=edges)
@settings(deadline=None, max_examples=12)
def test_any_box_lies_in_degrees_where_gdal_places_its_pixels(
    tmp_path_factory: pytest.TempPathFactory, place: str, across: list[int], down: list[int]
) -> None:
    how = PLACES[place]
    path = tmp_path_factory.getbasetemp() / f"{place}.tif"
    if not path.exists():
        write_scene(path, **how)  # type: ignore[arg-type]
    # A step of 10 x 7.5 pixels: edges run through the poles and along the antimeridian too.
    box = SceneBox(across[0] * 10, down[0] * 7.5, across[1] * 10, down[1] * 7.5)
    with open_scene(path) as scene:
        outline = lonlat_polygon(box, scene)
    assert outline.is_valid
    assert outline.bounds[0] >= -180
    assert outline.bounds[2] <= 180
    back = shapely.union_all([in_pixels(part, how) for part in shapely.get_parts(outline)])
    expected = shapely.box(*astuple(box))
    assert shapely.hausdorff_distance(back.buffer(0.002).buffer(-0.002), expected, densify=0.1) < 0.1


def in_pixels(part: shapely.Polygon, how: dict[str, object]) -> shapely.Geometry:
    """By GDAL; an edge in degrees is straight there."""
    piece = max(part.bounds[2] - part.bounds[0], part.bounds[3] - part.bounds[1]) / 300
    lon, lat = shapely.get_coordinates(shapely.segmentize(part, piece)).T
    x, y = rasterio.warp.transform("EPSG:4326", how["crs"], lon, lat)
    (left, top), (width, height) = how["origin"], how["pixel"]  # type: ignore[misc]
    across = (np.array(x) - left) / width
    if how["crs"] == "EPSG:4326":
        across = np.where(across < -1e6, across + 360 / width, across)
    return shapely.make_valid(shapely.Polygon(np.stack([across, (np.array(y) - top) / height], axis=1)))


@pytest.mark.parametrize("left", [-4480, 0, -2240])
def test_answers_that_touch_the_antimeridian_are_on_earth(tmp_path: Path, left: int) -> None:
    path = write_scene(tmp_path / "tile.tif", crs="EPSG:3031", origin=(left, -1_300_000), pixel=(20, -20))
    with open_scene(path) as scene:
        for chip in chips_of(scene):
            for finding in ask(scene, chip, Grid("1", True, frozenset({1})), LOCATE):
                west, _, east, _ = shape(finding.lonlat).bounds
                assert -180 <= west < east <= 180
                assert shape(finding.lonlat).is_valid
                assert -180 <= float(finding.properties["lon"]) <= 180  # type: ignore[arg-type]

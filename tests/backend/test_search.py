"""The main path from words or examples to ranked places on the ground, with the real encoder on real files."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from index_scenes import CountingEncoder
from pyproj import Transformer
from rasters import speckle, swath_gcps, write
from shapely.geometry import shape

from fusar_gpt.contract import NO_HEAT, Finished, Found, Progress, Run, SearchRequest, Started
from fusar_gpt.errors import AreaError, Cancelled, SceneError, TaskError, TooLarge
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Area, open_scene
from fusar_gpt.interpret import RunIdentity
from fusar_gpt.retrieval.encoder import open_encoder
from fusar_gpt.samples import HARBOUR as SAMPLE
from fusar_gpt.search import STEPS, find, plan_search, search

HARBOUR = SAMPLE.scene
THREE_M = Affine(3.0, 0.0, 593000.0, 0.0, -3.0, 5749000.0)


@pytest.fixture(scope="module")
def klip():
    return open_encoder("klip-tiny", device="cpu")


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))


def made(folder, height=300, width=360, **options):
    return write(folder / "scene.tif", speckle(height, width), **{"transform": THREE_M, **options})


def in_metres(left, top, right, bottom):
    """An area of a scene of ``THREE_M`` from its pixels."""
    x, y = 593000 + 3 * np.array([left, right]), 5749000 - 3 * np.array([bottom, top])
    return Area.from_bbox(x[0], y[0], x[1], y[1], "EPSG:32631")


def test_a_search_of_the_sample_finds_ships_at_the_docks(klip):
    request = SearchRequest(str(HARBOUR), ("ships at a quay", "no planes at the docks"), top=4, explain=True)
    planned = plan_search(request, klip)
    started, *progress, found, finished = search(request, klip)
    assert isinstance(started, Started)
    assert (planned.slices, planned.ready) == (started.chips, 0)
    assert [event.done for event in progress] == [n * started.chips // STEPS for n in range(1, STEPS + 1)]
    assert all(isinstance(event, Progress) for event in progress)
    assert isinstance(found, Found)
    assert isinstance(finished, Finished)
    assert found.added == finished.findings

    run = finished.run
    assert (run.task, run.prompts, run.model) == ("search", request.texts, "klip-tiny")
    assert run.demonstration
    assert run.data_share == 1
    assert "klip-tiny does not know every word: it read 'quay' as 'quays'." in run.warnings
    assert "Searched for 'the docks', away from 'planes'." in run.warnings
    assert replace(run, data_share=None) == started.run

    rows = [finding.properties for finding in finished.findings]
    assert [row["rank"] for row in rows] == [1, 2, 3, 4]
    assert [row["similarity"] for row in rows] == sorted((row["similarity"] for row in rows), reverse=True)
    assert all(0 <= row["percentile"] < 100 for row in rows)
    assert all(row["side_m"] == pytest.approx(672, rel=0.01) for row in rows)
    assert "docks" in (rows[0]["matched"] or "") or "码头" in rows[0]["matched"]
    with open_scene(HARBOUR) as scene:
        for finding in finished.findings:
            x, y = finding.box.left, finding.box.top
            assert (finding.box.right - x, finding.box.bottom - y) == (224, 224)
            assert shape(finding.geometry).contains(
                shapely.Point(scene.to_ground(ScenePoints.of([(x + 112, y + 112)])).xy()[0])
            )
    heat = finished.heat
    assert heat is not None
    assert max(heat.values) == round(rows[0]["percentile"])

    ready = plan_search(request, klip)
    assert (ready.ready, ready.seconds) == (planned.slices, 0)
    *again, _ = search(request, klip, identity=RunIdentity(run.id, run.started))
    assert again == [started, *progress, found]  # as a job does that begins again


def test_more_like_a_place_finds_the_place_itself_and_less_like_it_does_not(klip):
    first = find(HARBOUR, "open sea", encoder=klip, top=1, heat=False)
    assert first.heat is None
    (place,) = first.findings
    lon, lat = place.properties["lon"], place.properties["lat"]
    best = find(HARBOUR, like=[(lon, lat)], encoder=klip, top=1).findings[0]
    assert best.box == place.box
    assert best.properties["similarity"] == pytest.approx(1, abs=0.01)
    assert best.properties["matched"] is None
    area = Area.from_geojson(place.geometry, place.crs)
    assert find(HARBOUR, like=[area], encoder=klip, top=1).findings[0].box == place.box
    less = find(HARBOUR, "open sea", unlike=[(lon, lat)], encoder=klip, top=48).findings
    (same,) = [finding for finding in less if finding.box == place.box] or [None]
    assert same is None or same.properties["similarity"] < place.properties["similarity"] - 0.1


def test_an_area_is_all_that_is_indexed_found_and_drawn(tmp_path, klip):
    path = made(tmp_path, 700, 700)
    done = find(path, "ships", encoder=klip, area=in_metres(10, 10, 60, 60))
    assert len(done.findings) == 1
    assert done.findings[0].box.left == done.findings[0].box.top == 0
    cells = np.frombuffer(done.heat.values, np.uint8).reshape(done.heat.height, done.heat.width)
    assert 0 < (cells != NO_HEAT).sum() <= 9
    plan = plan_search(SearchRequest(str(path), ("ships",)), klip)
    assert 0 < plan.ready < plan.slices / 4


@pytest.mark.parametrize(
    ("columns", "share"), [(range(0, 180), 0.5), (range(180, 360), 0.5)], ids=["left", "right"]
)
def test_ground_without_data_is_told_and_never_found(tmp_path, klip, columns, share):
    power = speckle(300, 360)
    power[:, columns] = np.nan
    path = write(tmp_path / "scene.tif", power, transform=THREE_M)
    done = find(path, "open sea", encoder=klip)
    assert done.run.data_share == pytest.approx(share, abs=0.02)
    assert re.fullmatch(r"No data on (49|50|51) % of the area: nothing is known.*", done.run.warnings[-1])
    assert all(finding.properties["data_share"] >= 0.5 for finding in done.findings)
    empty = in_metres(columns[0] + 60, 0, columns[-1] - 60, 300)
    with pytest.raises(AreaError, match=r"too little data at .*, so nothing can be like it"):
        find(path, like=[(593000 + 3 * (columns[0] + 90), 5748550)], examples_crs="EPSG:32631", encoder=klip)
    with pytest.raises(AreaError, match="too little data in an example's polygon"):
        find(path, "open sea", unlike=[empty], encoder=klip)


def test_an_area_without_data_is_refused(tmp_path, klip):
    power = speckle(300, 800)
    power[:, 300:] = np.nan
    path = write(tmp_path / "scene.tif", power, transform=THREE_M)
    with pytest.raises(SceneError, match=r"no data on 100 % of the area.*nothing to search: draw the area"):
        find(path, "open sea", encoder=klip, area=in_metres(560, 0, 800, 300))


def test_a_scene_smaller_than_a_slice_is_one_place_and_says_so(tmp_path, klip):
    done = find(made(tmp_path, 200, 190), "open sea", encoder=klip)
    (place,) = done.findings
    assert (place.box.right, place.box.bottom) == (190, 200)
    assert any("reaches beyond the scene, which is smaller" in warning for warning in done.run.warnings)
    assert done.run.data_share == 1
    with pytest.raises(SceneError, match=r"no slice has data on half of its 67\d m"):
        find(made(tmp_path, 90, 100), "open sea", encoder=klip)


def test_sizes_of_ground_compete_and_those_not_taught_are_told(tmp_path, klip):
    path = made(tmp_path, 500, 500)
    done = find(path, "open sea", encoder=klip, ground_m=(672, 1344, 100), top=50)
    warnings = "\n".join(done.run.warnings)
    assert "pixels of 6 m, a size that klip-tiny was not taught (3 m)" in warnings
    assert "at least 67" in warnings
    assert "not 100 m: its pixels are not magnified" in warnings
    boxes = [shapely.box(*np.array(shape(finding.geometry).bounds)) for finding in done.findings]
    for number, one in enumerate(boxes):
        for other in boxes[:number]:
            assert one.intersection(other).area <= 0.2 * min(one.area, other.area) + 1
    coarse = write(
        tmp_path / "coarse.tif", speckle(300, 300), transform=Affine(10, 0, 593000, 0, -10, 5749000)
    )
    assert any("pixels of 10 m" in warning for warning in find(coarse, "sea", encoder=klip).run.warnings)


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32631"])
def test_an_example_may_be_in_any_crs(tmp_path, klip, crs):
    path = made(tmp_path, 700, 700)
    at = (593000 + 3 * 350.0, 5749000 - 3 * 360.0)
    x, y = Transformer.from_crs("EPSG:32631", crs, always_xy=True).transform(*at)
    found = find(path, like=[(x, y)], examples_crs=crs, encoder=klip, top=1).findings[0]
    expected = find(path, like=[at], examples_crs="EPSG:32631", encoder=klip, top=1).findings[0]
    assert found.box == expected.box
    assert found.properties["similarity"] == pytest.approx(expected.properties["similarity"], abs=1e-3)


@pytest.mark.parametrize(
    "placed",
    [
        {"transform": Affine(3, 0, 818_400 + 3 * 150, 0, -3, 8_120_800), "crs": "EPSG:32760"},
        {"transform": Affine(2.8e-5, 0, 179.996, 0, -2.7e-5, -16.9), "crs": "EPSG:4326"},
        {"gcps": swath_gcps(360, 300, size=0.02)},
    ],
    ids=["beside the antimeridian", "across the antimeridian", "control points"],
)
def test_a_place_found_is_an_example_again_wherever_the_scene_lies(tmp_path, klip, placed):
    path = made(tmp_path, **placed)
    for place in find(path, "open sea", encoder=klip, top=3).findings:
        lonlat = place.properties["lon"], place.properties["lat"]
        best = find(path, like=[lonlat], encoder=klip, top=1).findings[0]
        assert best.box == place.box
        assert best.properties["similarity"] > 0.98


def test_an_example_larger_than_a_slice_is_shown_smaller_and_that_is_told(tmp_path, klip):
    done = find(made(tmp_path, 700, 700), like=[in_metres(0, 0, 500, 400)], encoder=klip)
    assert any("An example is 150" in warning for warning in done.run.warnings)


@pytest.mark.parametrize(
    ("choices", "error", "message"),
    [
        ({}, TaskError, "nothing to search for"),
        ({"texts": [" "]}, TaskError, "nothing to search for"),
        ({"texts": ["refinery"]}, TaskError, "knows none of the words"),
        ({"texts": ["ship " * 2000]}, TooLarge, "10000 characters"),
        ({"like": [(0, 0)]}, AreaError, "at 0, 0 lies outside the scene"),
        ({"like": [(593000, 5749000)]}, AreaError, r"at 593000, 5749000 lies outside.*taken for EPSG:4326"),
        (
            {"texts": ["ship"], "unlike": [Area.from_bbox(9, 9, 9.1, 9.1)]},
            AreaError,
            "example cannot be used",
        ),
        (
            {"texts": ["ship"], "area": Area.from_bbox(9, 9, 9.1, 9.1)},
            AreaError,
            "area lies outside the scene",
        ),
        ({"like": [(0, 0)], "examples_crs": "EPSG:999999"}, AreaError, "unknown"),
    ],
)
def test_bad_input_is_refused_in_a_line_before_anything_is_embedded(tmp_path, choices, error, message):
    class Unused(CountingEncoder):
        words, name = frozenset({"ship"}), "it"

        def embed_images(self, images):
            assert not len(images)
            return np.zeros((0, 16), np.float32)

    texts = choices.pop("texts", ())
    with pytest.raises(error, match=message) as refused:
        find(made(tmp_path), *texts, encoder=Unused(), **choices)
    assert "\n" not in str(refused.value)


def test_a_stopped_search_keeps_what_it_has(tmp_path, klip):
    request = SearchRequest(str(made(tmp_path, 1200, 1500)), ("ships",))
    seen = []
    events = search(request, klip, lambda: len(seen) > 1)
    with pytest.raises(Cancelled):
        seen.extend(events)
    assert plan_search(request, klip).ready > 0


def test_an_encoder_that_cannot_write_explains_nothing_and_says_so(tmp_path):
    done = find(made(tmp_path, 100, 100), "whatever it may be", encoder=CountingEncoder(), explain=True)
    assert done.run.warnings[-1] == "counting cannot say what it sees: no place is explained."
    assert {finding.properties["matched"] for finding in done.findings} == {None}


def test_a_run_comes_back_from_json_with_its_heat(klip):
    done = find(HARBOUR, "open sea", encoder=klip, top=2)
    again = Finished.from_json(done.to_json())
    assert isinstance(again.run, Run)
    assert again.heat == done.heat
    assert again.findings == done.findings

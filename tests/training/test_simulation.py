"""Simulated chips: the same every time, boxes that fit the pixels, priors that fit the land, files that GIS reads."""

import json

import numpy as np
import pytest
import rasterio

from fusar_gpt.frames import LonLatPoints
from fusar_gpt.imagery import open_scene
from fusar_train.simulation import CHIP_PX, simulate_chip, spoil_prior
from fusar_train.simulation.chip import canvas_of
from fusar_train.simulation.land import COVER, Surface, airfield, at, frame, open_sea, port
from fusar_train.simulation.prior import CELL, library, prior_raster
from fusar_train.simulation.scene import encode, write_scene
from fusar_train.simulation.targets import draw_plane, draw_ship, place_planes, place_ships


def test_a_chip_is_the_same_every_time_and_no_other():
    first, again, other = simulate_chip(5, 1), simulate_chip(5, 1), simulate_chip(5, 2)
    assert (first.image == again.image).all()
    assert (first.values == again.values).all()
    assert first.objects == again.objects
    assert (first.image != other.image).any()


def test_chips_are_varied_and_well_formed():
    chips = [simulate_chip(number) for number in range(40)]
    counts = [len(chip.objects) for chip in chips]
    assert min(counts) == 0 < 3 < max(counts)
    assert {item.label for chip in chips for item in chip.objects} == {"ship", "plane"}
    for chip in chips:
        assert chip.image.shape == (CHIP_PX, CHIP_PX)
        assert np.allclose(np.linalg.norm(chip.values, axis=1), 1, atol=1e-4)
        assert ((chip.positions >= 0) & (chip.positions <= 1)).all()
        for item in chip.objects:
            box = item.box
            assert 0 <= box.left < box.right <= CHIP_PX
            assert 0 <= box.top < box.bottom <= CHIP_PX


@pytest.mark.parametrize("heading", [0.0, 0.6, 2.0])
def test_a_ships_box_is_exactly_where_its_echo_is(heading):
    rng = np.random.default_rng(1)
    canvas = canvas_of(open_sea((CHIP_PX, CHIP_PX), rng))
    assert draw_ship(canvas, 100, 80, heading, rng, size=50)
    rows, cols = np.nonzero(canvas.echo)
    assert canvas.boxes == [(cols.min(), rows.min(), cols.max() + 1, rows.max() + 1)]
    left, top, right, bottom = canvas.boxes[0]
    assert abs((left + right) / 2 - 100) < 3
    assert max(right - left, bottom - top) == pytest.approx(
        50 * max(abs(np.cos(heading)), abs(np.sin(heading))), abs=9
    )


def test_ships_float_and_planes_stand_on_paved_ground():
    for seed in range(5):
        rng = np.random.default_rng(seed)
        canvas = canvas_of(port((CHIP_PX, CHIP_PX), rng))
        place_ships(canvas, 6, rng)
        assert not (canvas.echo[canvas.land.surface != Surface.WATER]).any()
        canvas = canvas_of(airfield((CHIP_PX, CHIP_PX), rng))
        place_planes(canvas, 6, rng)
        assert canvas.labels == ["plane"] * len(canvas.boxes)
        assert not draw_ship(canvas, 112, 112, 0.0, rng, 300), "no ship fits on an airfield"
    assert not draw_plane(canvas_of(open_sea((99, 99), rng)), 50, 50, 0.0, rng, 20)


def test_at_inverts_frame():
    u, v = frame((40, 60), 12.0, 7.0, 0.7)
    x, y = at(12.0, 7.0, 0.7, float(u[30, 20]), float(v[30, 20]))
    assert (x, y) == pytest.approx((20.5, 30.5), abs=1e-4)


def test_the_prior_tells_the_land_cover():
    """Most cells are nearest to a real vector of their own cover: the prior informs, though not perfectly."""
    vectors = library()
    hits = total = 0
    for seed in range(6):
        rng = np.random.default_rng(seed)
        land = port((CHIP_PX, CHIP_PX), rng)
        raster = prior_raster(land.surface, rng)
        assert raster.shape == (23, 23, 64)
        cover = COVER[land.surface[CELL // 2 :: CELL, CELL // 2 :: CELL]]
        raster = raster[: cover.shape[0], : cover.shape[1]]
        near = np.einsum("rcd,aked->rcake", raster, vectors).max(axis=(2, 4)).argmax(-1)
        water = cover == Surface.WATER
        hits, total = hits + (near[water] == Surface.WATER).sum(), total + water.sum()
    assert 0.6 < hits / total < 1


def test_priors_are_spoilt_as_often_as_asked():
    record, other = simulate_chip(1), simulate_chip(2)
    rng = np.random.default_rng(0)
    spoilt = [spoil_prior(record, other, rng, drop=0.2, swap=0.3) for _ in range(400)]
    none = sum(len(chip.values) == 0 for chip in spoilt)
    wrong = sum(chip.values is other.values for chip in spoilt)
    assert 50 < none < 110
    assert 85 < wrong < 155
    assert all(chip.image is record.image for chip in spoilt)


def test_the_sample_scene_opens_and_says_that_it_is_simulated(tmp_path):
    scene_path, prior_path, truth_path = write_scene(tmp_path)
    assert scene_path.stat().st_size < 1_500_000
    assert prior_path.stat().st_size < 1_000_000
    truth = json.loads(truth_path.read_text())
    labels = [feature["properties"]["label"] for feature in truth["features"]]
    assert labels.count("ship") > 10 < labels.count("ship") + labels.count("plane")
    with open_scene(scene_path) as scene:
        assert scene.simulated
        assert scene.pixel_size_m == pytest.approx(3, abs=0.02)
        for feature in truth["features"]:
            corner = scene.from_lonlat(LonLatPoints.of(feature["geometry"]["coordinates"][0][0]))
            left, top = feature["properties"]["scene_box"][:2]
            assert (corner.x[0], corner.y[0]) == pytest.approx((left, top), abs=0.02)
    with rasterio.open(prior_path) as prior:
        assert (prior.count, prior.dtypes[0], prior.nodata) == (64, "int8", -128)
        assert prior.tags()["FUSAR_SIMULATED"] == "YES"
        assert "Google DeepMind" in prior.tags()["AEF_ATTRIBUTION"]


def test_codes_keep_the_vectors():
    vectors = library()[0, :, :10]
    codes = encode(vectors).transpose(1, 2, 0).astype(np.float32)
    assert np.abs((codes / 127.5) ** 2 * np.sign(codes) - vectors).max() < 0.005

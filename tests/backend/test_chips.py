"""Chips: the resize plan is exact, the windows cover the area, and pixels land where the plan says."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasters import NORTH_UP, ROTATED, SOUTH_UP, UTM, speckle, swath_gcps, write

from fusar_gpt.contract.radiometry import Radiometry
from fusar_gpt.errors import Cancelled
from fusar_gpt.frames import ChipPoints, ScenePoints, SceneWindow, TokenPoints, scene_corners
from fusar_gpt.imagery import ChipFormat, ResizePlan, Stretch, open_scene, plan_chips, read_chip
from fusar_gpt.imagery.chips import Chip, chip_starts, pieces, window_size
from fusar_gpt.imagery.scene import Scene

FRAME = ChipFormat(width=64, height=64, token_px=16)
sides = st.integers(1, 5000)
plans = st.builds(
    lambda col, row, w, h, size, tokens: ResizePlan(SceneWindow(col, row, w, h), *size, *tokens),
    st.integers(-500, 50_000),
    st.integers(-500, 50_000),
    sides,
    sides,
    st.tuples(st.integers(14, 1024), st.integers(14, 1024)),
    st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
spots = st.lists(st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5)), min_size=1, max_size=20)


@dataclass
class Extent:
    """All that planning asks of a scene."""

    width: int
    height: int
    pixel_size_m: float = 10.0


@given(plans, spots)
@settings(deadline=None)
def test_every_mapping_of_a_plan_has_an_exact_inverse(plan, where):
    chip = ChipPoints.of(np.array(where) * (plan.width, plan.height))
    np.testing.assert_allclose(plan.scene_to_chip(plan.chip_to_scene(chip)).xy(), chip.xy(), atol=1e-6)
    np.testing.assert_allclose(plan.tokens_to_chip(plan.chip_to_tokens(chip)).xy(), chip.xy(), atol=1e-9)
    scene = ScenePoints.of(np.array(where) * (plan.window.width, plan.window.height))
    np.testing.assert_allclose(plan.chip_to_scene(plan.scene_to_chip(scene)).xy(), scene.xy(), atol=1e-6)


@given(plans)
@settings(deadline=None)
def test_the_corners_of_window_chip_and_token_grid_are_the_same_place(plan):
    chip = plan.scene_to_chip(scene_corners(plan.window.box()))
    w, h = plan.width, plan.height
    np.testing.assert_allclose(chip.xy(), [(0, 0), (w, 0), (w, h), (0, h)], atol=1e-9)
    tokens = plan.chip_to_tokens(chip)
    assert type(tokens) is TokenPoints
    assert tokens.xy()[2] == pytest.approx((plan.token_cols, plan.token_rows))


@pytest.mark.parametrize(
    "where", [{"transform": ROTATED}, {"transform": SOUTH_UP}, {"gcps": swath_gcps(400, 300)}]
)
def test_a_token_comes_back_from_the_ground_on_any_scene(tmp_path, where):
    with open_scene(write(tmp_path / "s.tif", speckle(300, 400), **where)) as scene:
        for chip in plan_chips(scene, shapely.box(0, 0, 400, 300), FRAME, overlap=0.2):
            plan = chip.plan
            tokens = TokenPoints.of([(0, 0), (1.25, 3.5), (4, 4)])
            ground = scene.to_ground(plan.chip_to_scene(plan.tokens_to_chip(tokens)))
            back = plan.chip_to_tokens(plan.scene_to_chip(scene.to_scene(ground)))
            np.testing.assert_allclose(back.xy(), tokens.xy(), atol=1e-5)


@given(st.floats(0, 3000), st.floats(0.01, 3000), st.integers(1, 900), st.floats(0.01, 0.9))
@settings(deadline=None)
def test_windows_cover_an_axis_with_at_least_the_overlap_and_no_more_than_needed(low, length, side, overlap):
    high = min(low + length, 4000.0)
    starts = chip_starts(low, high, side, overlap, 4000)
    assert starts[0] <= low + 1e-3
    assert starts[-1] + side >= high - 1e-3
    assert starts[0] >= 0
    assert starts[-1] + side <= 4000
    shared = side - np.diff(starts)
    assert (shared >= min(overlap * side, side - 1) - 1e-6).all()
    if len(starts) > 1:
        step = side - int(np.ceil(overlap * side))
        assert (len(starts) - 2) * max(step, 1) + side < high - low + 2


@given(st.floats(0, 3000), st.floats(0.01, 3000), st.integers(1, 900))
@settings(deadline=None)
def test_windows_without_overlap_lie_side_by_side_as_few_as_can_be(low, length, side):
    high = min(low + length, 4000.0)
    starts = chip_starts(low, high, side, 0.0, 4000)
    assert starts[0] <= low + 1e-3
    assert starts[-1] + side >= high - 1e-3
    assert (np.diff(starts) == side).all()
    assert (len(starts) - 1) * side < high - low + 2
    if len(starts) * side <= 4000:
        assert starts[0] >= 0
        assert starts[-1] + side <= 4000


@pytest.mark.parametrize(
    ("area", "chips", "side"), [((900, 700), 4 * 3, 234), ((70, 64), 1, 70), ((80, 64), 2, 64)]
)
def test_a_small_rest_makes_chips_larger_rather_than_more(area, chips, side):
    frame = FRAME if area[0] < 100 else ChipFormat(224, 224, 16)
    plan = plan_chips(Extent(2000, 2000), shapely.box(500, 500, 500 + area[0], 500 + area[1]), frame)
    assert len(plan) == chips
    assert {chip.plan.window.width for chip in plan} == {side}


@given(
    st.lists(st.tuples(st.floats(0, 500), st.floats(0, 400)), min_size=3, max_size=8),
    st.sampled_from([0.0, 0.3]),
)
@settings(deadline=None)
def test_chips_cover_the_area_touch_it_and_come_in_reading_order(points, overlap):
    area = shapely.MultiPoint(points).convex_hull.buffer(1).intersection(shapely.box(0, 0, 500, 400))
    plan = plan_chips(Extent(500, 400), area, FRAME, overlap=overlap)
    chips = list(plan)
    assert len(chips) == len(plan)
    assert [chip.index for chip in chips] == list(range(len(plan)))
    assert all(chip.footprint.intersects(area) for chip in chips)
    assert shapely.union_all([chip.footprint for chip in chips]).buffer(0.01).covers(area)
    places = [(chip.plan.window.row, chip.plan.window.col) for chip in chips]
    assert places == sorted(places)
    assert list(plan) == chips


def test_a_hole_gets_no_chips():
    ring = shapely.box(0, 0, 640, 640).difference(shapely.box(64, 64, 576, 576))
    assert len(plan_chips(Extent(640, 640), ring, FRAME)) == 10 * 10 - 8 * 8 + 4 * 7
    parts = shapely.union(shapely.box(1, 1, 60, 60), shapely.box(580, 580, 639, 639))
    assert [chip.plan.window.col for chip in plan_chips(Extent(640, 640), parts, FRAME)] == [0, 576]


@pytest.mark.parametrize(
    ("area", "scene", "window"),
    [
        (shapely.box(100, 100, 120, 110), (500, 500), SceneWindow(78, 73, 64, 64)),
        (shapely.box(0, 490, 10, 500), (500, 500), SceneWindow(0, 436, 64, 64)),
        (shapely.box(0, 0, 40, 500), (40, 500), SceneWindow(-12, -6, 64, 64)),
        (shapely.box(30, 0, 40, 20), (40, 20), SceneWindow(0, -22, 64, 64)),
    ],
)
def test_a_small_area_gets_one_chip_around_it_inside_the_scene_if_it_fits(area, scene, window):
    first = next(iter(plan_chips(Extent(*scene), area, FRAME)))
    assert first.plan.window == window
    assert first.footprint.equals(shapely.box(*shapely.box(*window_bounds(window)).bounds))


def window_bounds(window: SceneWindow) -> tuple[int, int, int, int]:
    return window.col, window.row, window.col + window.width, window.row + window.height


@pytest.mark.parametrize(
    ("pixel_m", "frame", "ground_m", "size"),
    [
        (0.2, ChipFormat(512, 512, 28), 1024, (5120, 5120)),
        (1.0, ChipFormat(512, 512, 28), 1024, (1024, 1024)),
        (10.0, ChipFormat(512, 512, 28), 1024, (512, 512)),  # more ground: pixels are never magnified
        (30.0, ChipFormat(512, 512, 28), None, (512, 512)),
        (2.0, ChipFormat(512, 256, 28), 1024, (512, 256)),
    ],
)
def test_a_chip_shows_the_same_ground_whatever_the_sensor(pixel_m, frame, ground_m, size):
    assert window_size(pixel_m, frame, ground_m) == size


@given(
    st.floats(0.01, 1e4),
    st.none() | st.floats(1, 1e5),
    st.sampled_from([(64, 64), (224, 224), (512, 256)]),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.sampled_from([0.0, 0.25]),
)
@settings(deadline=None)
def test_a_scene_pixel_never_becomes_more_than_one_chip_pixel(pixel_m, ground_m, size, sides, overlap):
    scene = Extent(*sides, pixel_size_m=pixel_m)
    plan = plan_chips(scene, shapely.box(0, 0, *sides), ChipFormat(*size, 16, ground_m), overlap=overlap)
    window = next(iter(plan)).plan.window
    assert (window.width >= size[0], window.height >= size[1]) == (True, True)


def test_a_scene_smaller_than_a_chip_lies_in_its_middle_among_no_data(tmp_path):
    with open_scene(write(tmp_path / "s.tif", speckle(30, 20))) as scene:
        stretch = scene.stretch()
        (chip,) = plan_chips(scene, shapely.box(0, 0, 20, 30), FRAME, ground_m=20 * scene.pixel_size_m)
        seen = read_chip(scene, chip, stretch)
        inside = np.s_[17:47, 22:42]
        np.testing.assert_array_equal(
            seen.grey[inside], stretch.quantise(scene.read(SceneWindow(0, 0, 20, 30)))
        )
    assert seen.grey.astype(int).sum() == seen.grey[inside].astype(int).sum()
    assert seen.has_data[inside].all()
    assert not seen.has_data[:15].any()
    assert not seen.has_data[:, :20].any()


def test_the_chips_own_ground_size_rules_over_the_frames():
    frame = ChipFormat(64, 64, 16, ground_m=640)
    assert (
        plan_chips(Extent(999, 999), shapely.box(0, 0, 999, 999), frame, ground_m=1280).chip_ground_m == 1280
    )


def test_a_huge_scene_is_planned_lazily():
    plan = plan_chips(Extent(10_000_000, 10_000_000), shapely.box(0, 0, 1e7, 1e6), FRAME)
    assert [chip.plan.window.col for chip in itertools.islice(plan, 3)] == [0, 64, 128]


@pytest.mark.parametrize("side", [40, 64, 100, 128, 300, 700])
def test_a_bright_spot_lands_where_the_plan_says(tmp_path, side):
    grey = np.zeros((760, 760), dtype=np.uint8)
    grey[310:324, 402:411] = 200
    centre = ScenePoints.of([(406.5, 317.0)])
    frame = ChipFormat(64, 64, 16, ground_m=float(side))
    with open_scene(write(tmp_path / "s.tif", grey)) as scene:
        area = shapely.box(406, 316, 407, 318)
        chip = next(iter(plan_chips(scene, area, frame, ground_m=side * scene.pixel_size_m)))
        image = read_chip(scene, chip, scene.stretch()).grey.astype(float)
    rows, cols = np.mgrid[0:64, 0:64] + 0.5
    found = [(image * cols).sum() / image.sum(), (image * rows).sum() / image.sum()]
    np.testing.assert_allclose(found, chip.plan.scene_to_chip(centre).xy()[0], atol=0.1)


@pytest.mark.parametrize(
    "layout", [{}, {"tiled": True, "blockxsize": 256, "blockysize": 128}, {"blockysize": 700}]
)
def test_pieces_and_factors_change_nothing_but_rounding(tmp_path, monkeypatch, layout):
    monkeypatch.setattr("fusar_gpt.imagery.chips._PIECE_PIXELS", 20_000)
    with open_scene(write(tmp_path / "s.tif", speckle(700, 700), **layout)) as scene:
        stretch = scene.stretch()
        chip = next(
            iter(plan_chips(scene, shapely.box(0, 0, 689, 689), FRAME, ground_m=689 * scene.pixel_size_m))
        )
        got = read_chip(scene, chip, stretch).grey.astype(int)
        whole = Image.fromarray(stretch.quantise(scene.read(chip.plan.window)))
        once = np.asarray(whole.resize((64, 64), Image.Resampling.BICUBIC)).astype(int)
    assert chip.plan.window.width == 689
    assert np.abs(got - once).mean() < 2
    assert np.abs(got - once).max() < 12


def test_native_pixels_are_not_touched_and_the_edge_is_black(tmp_path):
    with open_scene(write(tmp_path / "s.tif", speckle(40, 200))) as scene:
        stretch = Stretch(-60, 0)
        chip = next(iter(plan_chips(scene, shapely.box(100, 0, 110, 40), FRAME)))
        image = read_chip(scene, chip, stretch).grey
        np.testing.assert_array_equal(image[12:52], stretch.quantise(scene.read(SceneWindow(73, 0, 64, 40))))
    assert image.dtype == np.uint8
    assert not image[:12].any()
    assert not image[52:].any()


def test_an_overlap_of_everything_is_refused():
    with pytest.raises(ValueError, match="overlap"):
        plan_chips(Extent(100, 100), shapely.box(0, 0, 100, 100), FRAME, overlap=1.0)


STRETCHED = ChipFormat(width=64, height=64, token_px=16, stretched=True)


@pytest.mark.parametrize(
    ("area", "windows"),
    [
        (shapely.box(100, 200, 160, 240), [(100, 200, 160, 240)]),  # less than a chip: the area itself
        (shapely.box(100, 200, 110, 264), [(89, 200, 121, 264)]),  # no pixel is magnified more than twofold
        (shapely.box(100, 200, 170, 240), [(100, 200, 170, 240)]),  # a small rest is taken along
        (shapely.box(100, 200, 220, 240), [(96, 200, 160, 240), (160, 200, 224, 240)]),
    ],
)
def test_a_stretched_chip_shows_the_area_and_nothing_else(area, windows):
    chips = list(plan_chips(Extent(999, 999), area, STRETCHED))
    assert [window_bounds(chip.plan.window) for chip in chips] == windows
    assert all((chip.plan.width, chip.plan.height) == (64, 64) for chip in chips)


@pytest.mark.parametrize(
    "where", [{"transform": ROTATED}, {"transform": SOUTH_UP}, {"gcps": swath_gcps(400, 300)}]
)
def test_a_box_in_a_stretched_frame_comes_back_to_the_ground_even_from_outside_it(tmp_path, where):
    with open_scene(write(tmp_path / "s.tif", speckle(300, 400), **where)) as scene:
        (chip,) = plan_chips(scene, shapely.box(100, 50, 160, 90), STRETCHED)
        corners = ChipPoints.of([(0, 0), (64, 64), (-12.8, 70.4)])
        ground = scene.to_ground(chip.plan.chip_to_scene(corners))
        expected = scene.to_ground(ScenePoints.of([(100, 50), (160, 90), (88, 94)]))
        np.testing.assert_allclose(ground.xy(), expected.xy(), atol=1e-9)


def test_stretched_detection_chips_still_overlap(tmp_path):
    plan = plan_chips(Extent(999, 999), shapely.box(0, 0, 300, 40), STRETCHED, overlap=0.25)
    windows = [chip.plan.window for chip in plan]
    assert {(window.width, window.height) for window in windows} == {(64, 40)}
    assert all(after.col - before.col <= 48 for before, after in itertools.pairwise(windows))


def test_a_stretched_chip_is_resized_with_the_bicubic_filter_alone(tmp_path):
    with open_scene(write(tmp_path / "s.tif", speckle(300, 400))) as scene:
        stretch = Stretch(-60, 0)
        (chip,) = plan_chips(scene, shapely.box(100, 50, 160, 90), STRETCHED)
        grey = Image.fromarray(stretch.quantise(scene.read(SceneWindow(100, 50, 60, 40))))
        expected = np.asarray(grey.resize((64, 64), Image.Resampling.BICUBIC))
        np.testing.assert_array_equal(read_chip(scene, chip, stretch).grey, expected)


LARGE = 2**15


@pytest.mark.parametrize(
    "layout",
    [
        {"tiled": True, "blockxsize": 512, "blockysize": 512},
        {"tiled": True, "blockxsize": 8192, "blockysize": 8192},
        {"blockysize": 1},
        {"blockysize": 2048},
    ],
)
def test_a_cancel_reaches_into_a_large_chip_and_its_stretch(tmp_path, monkeypatch, layout):
    """Reads are small whatever the blocks, so the flag is looked at often; it took 100 s for one chip."""
    path = tmp_path / "large.tif"
    profile = {"driver": "GTiff", "width": LARGE, "height": LARGE, "count": 1, "dtype": "uint8"}
    profile |= {"crs": UTM, "transform": NORTH_UP, "sparse_ok": True, "compress": "deflate"}
    with rasterio.open(path, "w", **(profile | layout)):
        pass
    reads: list[int] = []
    real = Scene._stored

    def counted(scene, window, shape, **options):
        reads.append(window.width * window.height)
        return real(scene, window, shape, **options)

    monkeypatch.setattr(Scene, "_stored", counted)
    with open_scene(path, cancelled=lambda: len(reads) > 3) as scene:
        (chip,) = plan_chips(
            scene, shapely.box(0, 0, LARGE, LARGE), FRAME, ground_m=LARGE * scene.pixel_size_m
        )
        assert chip.plan.window.width == LARGE
        with pytest.raises(Cancelled):
            scene.stretch()
        assert len(reads) == 4
        reads.clear()
        scene.__dict__["radiometry"] = Radiometry("grey", reason="")
        with pytest.raises(Cancelled):
            read_chip(scene, chip, Stretch(0, 255))
    assert len(reads) == 4
    assert max(reads) <= 2**23


@given(
    st.tuples(st.integers(-300, 900), st.integers(-300, 900), st.integers(1, 700), st.integers(1, 700)),
    st.sampled_from([(1, 800), (16, 16), (64, 32), (800, 800), (300, 700)]),
    st.sampled_from([1, 500, 20_000, 10**6]),
)
@settings(deadline=None)
def test_pieces_cover_a_window_once(window, block, most):
    extent = Extent(800, 600)
    extent.block = block
    seen = np.zeros((600, 800), int)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("fusar_gpt.imagery.chips._PIECE_PIXELS", most)
        for piece in pieces(SceneWindow(*window), extent):
            assert piece.width * piece.height <= max(most, block[1])
            seen[piece.row : piece.row + piece.height, piece.col : piece.col + piece.width] += 1
    col, row, width, height = window
    expected = np.zeros((600, 800), int)
    expected[max(row, 0) : max(row + height, 0), max(col, 0) : max(col + width, 0)] = 1
    np.testing.assert_array_equal(seen, expected)


def test_a_window_far_larger_than_its_scene_costs_no_memory(tmp_path):
    """A hostile pixel size makes a chip's window as large as it likes."""
    with open_scene(write(tmp_path / "s.tif", speckle(40, 200))) as scene:
        plan = ResizePlan(SceneWindow(-(10**9), -(10**9), 2 * 10**9, 2 * 10**9), 64, 64, 4, 4)
        seen = read_chip(scene, Chip(0, plan, shapely.box(0, 0, 1, 1)), scene.stretch())
    assert not seen.grey.any()

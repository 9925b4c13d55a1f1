"""SRC: slices of equal ground that tile a scene at three scales, whatever its pixels, CRS and turn."""

import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyproj import Geod
from rasterio.control import GroundControlPoint

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import ScenePoints, SceneWindow, corner_array
from fusar_gpt.imagery import open_scene, read_chip
from fusar_gpt.lonlat import transformer
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.slices.slice import SCALES
from fusar_train.corpus.slices.src import (
    BlockPixels,
    SlicePlan,
    SrcOptions,
    chip_of,
    data_bounds,
    plan_slices,
    share_within,
    too_small,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "backend"))
from rasters import speckle, swath_gcps, write

GEOD = Geod(ellps="WGS84")
M_PER_DEGREE = 111_320


def entry(path):
    return SimpleNamespace(name=path.stem, sensor="Sentinel-1A", polarisation="VV", acquired="2024-05-06")


def opened(path, width, height, transform, crs, gcps=None):
    """A scene of so many pixels of which none is ever stored: a sparse file."""
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": width, "height": height}
    placed = {"transform": transform, "crs": crs} if gcps is None else {}
    with rasterio.open(path, "w", **profile, **placed, sparse_ok=True, tiled=True) as dataset:
        if gcps is not None:
            dataset.gcps = gcps, rasterio.crs.CRS.from_epsg(4326)
    return open_scene(path)


def planned(scene, options):
    bounds = SceneWindow(0, 0, scene.width, scene.height)
    return SlicePlan(scene, entry(scene.path), options, bounds)


def by_scale(blocks):
    slices = [one for block in blocks for one in block.slices]
    return {scale: [one for one in slices if one.scale == scale] for scale in SCALES}


def check_tiling(scene, slices):
    """Every pixel of the scene lies in exactly one slice, up to the sliver beyond the last one."""
    times = np.zeros((scene.height, scene.width), np.uint8)
    for one in slices:
        at = one.window
        times[max(at.row, 0) : at.row + at.height, max(at.col, 0) : at.col + at.width] += 1
    assert times.max() == 1
    missing = times == 0
    across, down = (~missing).any(axis=0), (~missing).any(axis=1)
    assert not missing[np.ix_(down, across)].any()
    return 1 - across.mean(), 1 - down.mean()


def ground_sides(scene, one):
    at = one.window
    x, y = at.col + at.width / 2, at.row + at.height / 2
    cross = [(at.col, y), (at.col + at.width, y), (x, at.row), (x, at.row + at.height)]
    points = scene.to_lonlat(ScenePoints.of(cross))
    return GEOD.inv(points.x[[0, 2]], points.y[[0, 2]], points.x[[1, 3]], points.y[[1, 3]])[2]


def check_ground(scene, blocks, options, bent=0.0):
    """Sides within a pixel of what was asked for, ids and parents that agree, footprints where the pixels are."""
    for scale, wanted in zip(SCALES, options.sides_m, strict=True):
        for one in by_scale(blocks)[scale]:
            for got, pixels in zip(
                ground_sides(scene, one), (one.window.width, one.window.height), strict=True
            ):
                assert abs(got - wanted) <= 1.02 * got / pixels + bent * wanted, (one.id, got, pixels)
            corners = scene.to_lonlat(ScenePoints.of(corner_array(one.window.box()))).xy()
            off = np.abs((np.array(one.footprint)[:-1] - corners + 180) % 360 - 180)
            assert off.max() < 1e-9
            assert one.footprint[0] == one.footprint[-1]
    known = {one.id: one for block in blocks for one in block.slices}
    assert len(known) == sum(len(block.slices) for block in blocks)
    for block in blocks:
        seen = set()
        for one in block.slices:
            assert (one.parent is None) == (one.scale == "large")
            assert one.parent is None or one.parent in seen
            seen.add(one.id)
            if one.parent:
                outer, inner = known[one.parent].window, one.window
                assert outer.col <= inner.col
                assert inner.col + inner.width <= outer.col + outer.width
                assert outer.row <= inner.row
                assert inner.row + inner.height <= outer.row + outer.height


OPTIONS = SrcOptions()
few = settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@few
@given(
    pixel=st.floats(0.2, 30),
    aspect=st.floats(0.5, 2),
    turn=st.floats(0, 360),
    km=st.tuples(st.floats(0.3, 5), st.floats(0.3, 5)),
    flip=st.sampled_from([1, -1]),
)
def test_turned_and_oblong_pixels_of_any_size(tmp_path, pixel, aspect, turn, km, flip):
    across, down = pixel * math.sqrt(aspect), pixel / math.sqrt(aspect)
    place = Affine.translation(593000, 5749000) @ Affine.rotation(turn) @ Affine.scale(across, -flip * down)
    width, height = (max(round(1000 * side / step), 1) for side, step in zip(km, (across, down), strict=True))
    with opened(tmp_path / "s.tif", width, height, place, "EPSG:32631") as scene:
        plan = planned(scene, OPTIONS)
        blocks = list(plan)
        assert len(plan) == len(blocks)
        check_ground(scene, blocks, OPTIONS)
        if width * height < 4e6:
            for scale, slices in by_scale(blocks).items():
                loss = max(check_tiling(scene, slices))
                assert loss * 1000 * max(km) < 0.03 * OPTIONS.sides_m[SCALES.index(scale)] + 2 * max(
                    across, down
                )
        for one in (one for block in blocks for one in block.slices):
            x, y = Affine(*one.affine) @ (one.width, one.height)
            far = place @ (one.window.col + one.window.width, one.window.row + one.window.height)
            assert np.hypot(x - far[0], y - far[1]) < 1e-6
            assert one.pixel_m == pytest.approx(pixel * one.window.width / one.width, rel=3e-3)
            assert max(one.width, one.height) <= OPTIONS.max_px


@few
@given(pixel=st.floats(0.5, 30), lat=st.floats(-65, 65), lon=st.sampled_from([-179.99, 4.0, 179.98]))
def test_degrees_whose_columns_grow_narrow_towards_the_pole(tmp_path, pixel, lat, lon):
    step = pixel / M_PER_DEGREE
    width, height = round(6000 / pixel), round(15_000 / pixel)
    with opened(tmp_path / "s.tif", width, height, Affine(step, 0, lon, 0, -step, lat), "EPSG:4326") as scene:
        blocks = list(planned(scene, OPTIONS))
        check_ground(scene, blocks, OPTIONS)
        lons = np.array([one.footprint for block in blocks for one in block.slices])[..., 0]
        assert np.ptp(lons, axis=1).max() < 0.2  # none goes round the globe the other way


def test_mercator_whose_pixels_grow_with_latitude(tmp_path):
    place = Affine(10, 0, 1_000_000, 0, -10, 9_500_000)
    with opened(tmp_path / "s.tif", 1500, 6000, place, "EPSG:3857") as scene:
        blocks = list(planned(scene, OPTIONS))
        check_ground(scene, blocks, OPTIONS)
        heights = {one.window.height for one in by_scale(blocks)["large"]}
        assert max(heights) - min(heights) >= 3


def test_a_scene_with_control_points_only_is_tiled_by_them(tmp_path):
    """As a Sentinel-1 GRD's, pixels of 10 m lie on a turned grid; nothing but points in degrees says so."""
    place = Affine.translation(593000, 5749000) @ Affine.rotation(193) @ Affine.scale(10, -10)
    cols, rows = (grid.ravel() for grid in np.meshgrid(np.linspace(0, 1500, 9), np.linspace(0, 1200, 9)))
    lon, lat = transformer("EPSG:32631", "OGC:CRS84").transform(*(place @ (cols, rows)))
    gcps = [
        GroundControlPoint(row=row, col=col, x=x, y=y, z=0.0)
        for row, col, x, y in zip(rows, cols, lon, lat, strict=True)
    ]
    with opened(tmp_path / "s.tif", 1500, 1200, None, None, gcps) as scene:
        blocks = list(planned(scene, OPTIONS))
        check_ground(scene, blocks, OPTIONS)
        assert max(check_tiling(scene, by_scale(blocks)["small"])) < 0.01
        assert all(one.affine is None for block in blocks for one in block.slices)


def test_a_bent_swath_is_tiled_without_gaps(tmp_path):
    with opened(tmp_path / "s.tif", 1500, 1200, None, None, swath_gcps(1500, 1200, size=0.15)) as scene:
        blocks = list(planned(scene, OPTIONS))
        check_ground(scene, blocks, OPTIONS, bent=0.015)
        assert max(check_tiling(scene, by_scale(blocks)["small"])) < 0.01


def test_the_medium_slice_of_two_sensors_shows_the_same_ground(tmp_path):
    """FUSAR-KLIP 3.1: 1 m -> 1024 px, 0.2 m -> 5120 px, a square kilometre each."""
    sides = {}
    for pixel in (1.0, 0.2):
        path, size = tmp_path / f"{pixel}.tif", round(3000 / pixel)
        with opened(path, size, size, Affine(pixel, 0, 500_000, 0, -pixel, 5_749_000), "EPSG:32631") as scene:
            medium = by_scale(planned(scene, OPTIONS))["medium"][0]
            sides[pixel] = medium.window.width, medium.width
            large = by_scale(planned(scene, OPTIONS))["large"][0]
            assert (large.width, large.pixel_m) == (
                min(large.window.width, 5120),
                pytest.approx(max(pixel, 0.4), rel=1e-3),
            )
    assert sides[1.0] == (pytest.approx(1024, abs=1), pytest.approx(1024, abs=1))
    assert sides[0.2] == (pytest.approx(5120, abs=3), pytest.approx(5120, abs=3))


def test_slices_begin_where_the_scene_has_data(tmp_path):
    data = np.zeros((900, 1200), np.float32)
    data[300:800, 400:1100] = speckle(500, 700)
    path = write(tmp_path / "s.tif", data, nodata=0)
    with open_scene(path) as scene:
        at = data_bounds(scene)
        assert at.col in range(396, 401)
        assert at.row in range(296, 301)
        assert at.col + at.width in range(1100, 1104)
        first = by_scale(plan_slices(scene, entry(path), OPTIONS))["large"][0]
        assert (first.window.col, first.window.row) == (at.col, at.row)


def test_what_is_read_is_what_the_backend_reads(tmp_path):
    path = write(tmp_path / "s.tif", speckle(700, 700), transform=Affine(2.9, 0, 500_000, 0, -2.9, 5_749_000))
    with open_scene(path) as scene:
        stretch = scene.stretch()
        for most in (5120, 300):
            options = SrcOptions(max_px=most)
            (block,) = plan_slices(scene, entry(path), options)
            pixels = BlockPixels(scene, stretch)
            for one in block.slices:
                got, wanted = pixels.of(one), read_chip(scene, chip_of(one), stretch)
                np.testing.assert_array_equal(got.grey, wanted.grey)
                assert got.grey.shape == got.has_data.shape == (one.height, one.width)
                assert max(got.grey.shape) <= most
                if one.window.col + one.window.width <= 690 and one.window.row + one.window.height <= 690:
                    assert got.has_data.all()


def test_a_block_at_native_resolution_is_read_once(tmp_path, monkeypatch):
    path = write(tmp_path / "s.tif", speckle(700, 700), transform=Affine(2.9, 0, 500_000, 0, -2.9, 5_749_000))
    with open_scene(path) as scene:
        (block,) = plan_slices(scene, entry(path), OPTIONS)
        stretch, read = scene.stretch(), []
        monkeypatch.setattr(
            scene, "read", lambda window, inner=scene.read: (read.append(window), inner(window))[1]
        )
        pixels = BlockPixels(scene, stretch)
        for one in block.slices:
            pixels.of(one)
        assert sum(window.width * window.height for window in read) == 683 * 683 or len(read) == 1


def test_a_coarse_scene_has_slices_of_too_few_pixels(tmp_path):
    path = write(tmp_path / "s.tif", speckle(400, 400), transform=Affine(10, 0, 500_000, 0, -10, 5_749_000))
    with open_scene(path) as scene:
        slices = by_scale(plan_slices(scene, entry(path), OPTIONS))
        assert [{too_small(one) for one in slices[scale]} for scale in SCALES] == [{False}, {False}, {True}]


def test_the_share_of_a_slice_on_its_scene(tmp_path):
    path = write(tmp_path / "s.tif", speckle(256, 128), transform=Affine(4, 0, 500_000, 0, -4, 5_749_000))
    with open_scene(path) as scene:
        first = by_scale(plan_slices(scene, entry(path), OPTIONS))["large"][0]
        assert share_within(first, SceneWindow(0, 0, 128, 256)) == pytest.approx(1 / 8, rel=0.01)


@pytest.mark.parametrize(
    ("sides", "most", "said"),
    [
        ((2000, 1024, 512), 5120, "whole multiple"),
        ((1024, 1024, 512), 5120, "whole multiple"),
        ((512, 1024, 2048), 5120, "whole multiple"),
        ((2048, 1024, 0), 5120, "50 to 100000 m"),
        ((math.inf, 1024, 512), 5120, "50 to 100000 m"),
        ((2048, 1024, 512), 20, "64 to 9000 px"),
    ],
)
def test_scales_that_cannot_nest_are_refused(sides, most, said):
    with pytest.raises(CorpusError, match=said):
        SrcOptions(sides, most)


def test_a_scene_without_data_is_refused(tmp_path):
    path = write(tmp_path / "s.tif", np.zeros((300, 300), np.float32), nodata=0)
    with open_scene(path) as scene, pytest.raises(SceneError):
        plan_slices(scene, entry(path), OPTIONS)

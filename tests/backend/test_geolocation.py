"""Georeference: pixels land where GDAL puts them, and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.transform
import rasterio.warp
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasters import NORTH_UP, ROTATED, SOUTH_UP, UTM, speckle, swath_gcps, write

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import GroundPoints, ScenePoints
from fusar_gpt.imagery import open_scene
from fusar_gpt.imagery.geolocation import AffineGeolocation, GcpGeolocation

WIDTH, HEIGHT = 400, 300
GCPS = swath_gcps(WIDTH, HEIGHT)
GEOREF = Path(__file__).parents[3] / "shared" / "data" / "georef"
needs_georef = pytest.mark.skipif(not GEOREF.is_dir(), reason=f"real scenes are not in {GEOREF}")

pixel = st.tuples(st.floats(-50, 450), st.floats(-50, 350))
pixels = st.lists(pixel, min_size=1, max_size=20).map(ScenePoints.of)
affines = st.builds(
    lambda turn, shear, x, y, flip: (
        Affine.translation(593000.0, 5749000.0)
        @ Affine.rotation(turn)
        @ Affine.shear(shear, 0)
        @ Affine.scale(x, y if flip else -y)
    ),
    st.floats(0, 360),
    st.floats(-40, 40),
    st.floats(0.2, 200),
    st.floats(0.2, 200),
    st.booleans(),
)


@given(affines, pixels)
@settings(deadline=None)
def test_any_geotransform_is_gdals_and_inverts(affine, points):
    here = AffineGeolocation(affine, CRS(UTM))
    ground = here.to_ground(points)
    xs, ys = rasterio.transform.xy(affine, points.y, points.x, offset="ul")
    np.testing.assert_allclose(ground.xy(), np.stack([xs, ys], axis=1), rtol=0, atol=1e-6)
    np.testing.assert_allclose(here.to_scene(ground).xy(), points.xy(), atol=1e-6)


@given(pixels)
@settings(deadline=None)
def test_control_points_invert_each_other_and_follow_gdal(points):
    here = GcpGeolocation(GCPS, CRS(4326))
    ground = here.to_ground(points)
    np.testing.assert_allclose(here.to_scene(ground).xy(), points.xy(), atol=1e-6)
    rows, cols = rasterio.transform.GCPTransformer(GCPS).rowcol(ground.x, ground.y, op=np.positive)
    np.testing.assert_allclose(np.stack([cols, rows], axis=1), points.xy(), atol=0.01)


def test_the_bend_is_one_that_gdals_own_two_directions_disagree_on():
    gdal = rasterio.transform.GCPTransformer(GCPS)
    rows, cols = np.mgrid[0 : HEIGHT + 1 : 20, 0 : WIDTH + 1 : 20].reshape(2, -1).astype(float)
    back_rows, back_cols = gdal.rowcol(*gdal.xy(rows, cols, offset="ul"), op=np.positive)
    assert 0.02 < np.hypot(back_rows - rows, back_cols - cols).max() < 5


def test_control_points_are_where_gdals_warp_puts_the_pixels():
    rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float64) + 0.5
    grid = Affine(0.001, 0.0, 76.1, 0.0, -0.001, 9.95)
    warped = np.zeros((2, 250, 350))
    rasterio.warp.reproject(
        np.stack([cols, rows]),
        warped,
        gcps=GCPS,
        src_crs="EPSG:4326",
        dst_transform=grid,
        dst_crs="EPSG:4326",
        resampling=rasterio.warp.Resampling.bilinear,
        init_dest_nodata=True,
        dst_nodata=-1,
        tolerance=0.001,
    )
    inside = (warped > 2).all(axis=0) & (warped[0] < WIDTH - 2) & (warped[1] < HEIGHT - 2)
    assert inside.sum() > 20_000
    dst_rows, dst_cols = np.nonzero(inside)
    lon, lat = rasterio.transform.xy(grid, dst_rows, dst_cols)
    placed = GcpGeolocation(GCPS, CRS(4326)).to_scene(GroundPoints(lon, lat))
    np.testing.assert_allclose(placed.xy(), warped[:, inside].T, atol=0.1)


def test_what_cannot_be_placed_is_nan_and_warns_of_nothing():
    here = GcpGeolocation(GCPS, CRS(4326))
    ground = here.to_ground(ScenePoints.of([(1e9, -1e9), (np.nan, 3), (10, 10)]))
    assert np.isnan(ground.xy()).all(axis=1).tolist() == [True, True, False]
    assert np.isnan(here.to_scene(GroundPoints.of([(np.inf, 10)])).xy()).all()


@pytest.mark.parametrize("transform", [NORTH_UP, SOUTH_UP, ROTATED])
def test_lonlat_is_what_gdal_says(tmp_path, transform):
    with open_scene(write(tmp_path / "s.tif", speckle(30, 40), transform=transform)) as scene:
        points = ScenePoints.of([(0, 0), (40, 30), (12.5, 7.25)])
        lonlat = scene.to_lonlat(points)
        xs, ys = rasterio.transform.xy(transform, points.y, points.x, offset="ul")
        lon, lat = rasterio.warp.transform(UTM, "EPSG:4326", xs, ys)
        np.testing.assert_allclose(lonlat.xy(), np.stack([lon, lat], axis=1), rtol=0, atol=1e-9)
        np.testing.assert_allclose(scene.from_lonlat(lonlat).xy(), points.xy(), atol=1e-5)


def test_pixel_size_is_measured_on_the_ground(tmp_path):
    metres = Affine(10.0, 0.0, 499800.0, 0.0, -5.0, 5749000.0)
    with open_scene(write(tmp_path / "utm.tif", speckle(40, 40), transform=metres)) as scene:
        assert scene.pixel_size_m == pytest.approx(50**0.5 / 0.9996, rel=1e-4)
    degrees = Affine(1e-4, 0.0, 20.0, 0.0, -1e-4, 60.002)
    with open_scene(
        write(tmp_path / "deg.tif", speckle(40, 40), transform=degrees, crs="EPSG:4326")
    ) as scene:
        assert scene.pixel_size_m == pytest.approx((5.580 * 11.141) ** 0.5, rel=1e-3)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"transform": Affine.identity(), "crs": None}, "no georeferencing.*georeference it in QGIS"),
        ({"crs": None}, "a geotransform but no CRS: assign one"),
        ({"transform": Affine(1, 2, 5, 2, 4, 6)}, "degenerate"),
        ({"gcps": [GroundControlPoint(row=0, col=0, x=1, y=1)]}, "1 ground control points do not place it"),
        ({"gcps": [GroundControlPoint(row=i, col=i, x=i, y=i) for i in range(5)]}, "on one line"),
        ({"transform": Affine(1, 0, 5e9, 0, -1, 5e9)}, "outside its CRS"),
    ],
)
def test_a_scene_that_is_nowhere_says_what_to_do(tmp_path, capfd, where, message):
    path = write(tmp_path / "s.tif", speckle(8, 8), **where)
    with pytest.raises(SceneError, match=message) as caught:
        open_scene(path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr().err == ""


@needs_georef
def test_a_real_sentinel_1_grd_is_placed_as_gdal_places_it():
    path = GEOREF / "s1_grd_gcp_kochi" / "iw-vv.tiff"
    with open_scene(path) as scene, rasterio.open(path) as dataset:
        rows, cols = np.mgrid[0:838:30, 0:1281:30].reshape(2, -1).astype(float)
        points = ScenePoints(cols, rows)
        ground = scene.to_ground(points)
        assert np.abs(scene.to_scene(ground).xy() - points.xy()).max() < 0.01
        gdal = rasterio.transform.GCPTransformer(dataset.gcps[0])
        assert np.abs(np.stack(gdal.rowcol(ground.x, ground.y, op=np.positive)) - [rows, cols]).max() < 0.1
        forward = GroundPoints(*gdal.xy(rows, cols, offset="ul"))
        assert np.abs(scene.to_scene(forward).xy() - points.xy()).max() < 0.1
        assert scene.pixel_size_m == pytest.approx(202, abs=2)


@needs_georef
def test_a_real_rotated_scene_is_placed_as_gdal_places_it():
    path = GEOREF / "umbra_yasur" / "umbra_mount_yasur.tiff"
    with open_scene(path) as scene, rasterio.open(path) as dataset:
        points = ScenePoints.of([(0, 0), (2000, 0), (2000, 2000), (777.5, 123.25)])
        xs, ys = dataset.xy(points.y, points.x, offset="ul")
        np.testing.assert_allclose(scene.to_ground(points).xy(), np.stack([xs, ys], axis=1), atol=1e-6)
        assert scene.pixel_size_m == pytest.approx(0.594, abs=0.001)

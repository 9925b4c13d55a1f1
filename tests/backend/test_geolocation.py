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
from pyproj import CRS, Geod, Transformer
from rasterio.control import GroundControlPoint
from rasters import NORTH_UP, ROTATED, SOUTH_UP, UTM, speckle, swath_gcps, write

from fusar_gpt.errors import SceneError
from fusar_gpt.frames import GroundPoints, LonLatPoints, ScenePoints
from fusar_gpt.imagery import Area, crs_text, open_scene
from fusar_gpt.imagery.geolocation import AffineGeolocation, GcpGeolocation

WIDTH, HEIGHT = 400, 300
GCPS = swath_gcps(WIDTH, HEIGHT)
GEOREF = Path(__file__).parents[3] / "shared" / "data" / "georef"
needs_georef = pytest.mark.skipif(not GEOREF.is_dir(), reason=f"real scenes are not in {GEOREF}")

POLAR_GCPS = [
    GroundControlPoint(row=y, col=x, x=float(np.degrees(np.arctan2(y - 4, x - 4))), y=89 - 0.01 * x * y)
    for x, y in [(0, 0), (8, 0), (0, 8), (8, 8), (4, 0), (0, 5), (7, 4)]
]

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
        ({"transform": Affine(np.nan, 0, 5e5, 0, -1, 5e6)}, "not finite"),
        ({"transform": Affine(1, 0, np.inf, 0, -1, 5e6)}, "not finite"),
        ({"gcps": [GroundControlPoint(row=i, col=i * i, x=np.nan, y=i) for i in range(5)]}, "not finite"),
        (
            {"gcps": [GroundControlPoint(row=i, col=i * i, x=3, y=4) for i in range(5)]},
            "do not place it|outside",
        ),
        ({"gcps": POLAR_GCPS}, "go round a pole"),
        ({"crs": "EPSG:4978"}, "is none of a map"),
        ({"transform": Affine(10, 0, 5e5, 0, -10, 5e6), "crs": "EPSG:4326"}, "no longitudes and latitudes"),
        (
            {"transform": Affine(1e-4, 0, 30, 0, -1e-4, 120), "crs": "EPSG:4326"},
            "no longitudes and latitudes",
        ),
        ({"transform": Affine(1e-4, 0, 15, 0, -1e-4, 90.01), "crs": "EPSG:4326"}, "beyond the pole"),
        ({"transform": Affine(60, 0, 0, 0, -1, 8), "crs": "EPSG:4326"}, "no longitudes and latitudes"),
        ({"transform": Affine(1, 0, 0, 0, -1, 8), "crs": "EPSG:4326"}, "a pixel .* would be 1.11e\\+05 m"),
        ({"transform": Affine(1e-4, 0, 15, 0, -1e-4, 45)}, "a pixel .* would be .* as no radar image has it"),
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


# The datums, units and projections that no EPSG code may stand for.
PROJECTIONS = [
    "tmerc +lat_0=0 +lon_0=15 +k=0.9996",
    "utm +zone=33",
    "laea +lat_0=52 +lon_0=10",
    "longlat",
    "lcc +lat_1=40 +lat_2=50 +lon_0=12",
]
DATUMS = [
    "+datum=WGS84",
    "+ellps=intl",
    "+ellps=bessel",
    "+ellps=aust_SA",
    "+datum=NAD27",
    "+ellps=GRS80",
]
UNITS = {"m": 1.0, "km": 1e-3, "us-ft": 1 / 0.3048006096, "ft": 1 / 0.3048}
shifts = st.none() | st.tuples(*[st.floats(-800, 800)] * 3, *[st.floats(-5, 5)] * 3, st.floats(-20, 20))


@given(st.sampled_from(PROJECTIONS), st.sampled_from(DATUMS), st.sampled_from(list(UNITS)), shifts)
@settings(deadline=None, max_examples=8)
def test_any_crs_of_a_file_places_it_where_gdal_does(tmp_path_factory, projection, datum, unit, shift):
    text = f"+proj={projection} {datum}"
    text += "" if projection == "longlat" else f" +units={unit}"
    text += "" if shift is None or "datum" in datum else f" +towgs84={','.join(map(str, shift))}"
    size = 1e-4 if projection == "longlat" else 10 * UNITS[unit]
    here = (15.0, 45.0) if projection == "longlat" else (500_000 * UNITS[unit], 500_000 * UNITS[unit])
    path = tmp_path_factory.mktemp("crs") / "s.tif"
    write(path, speckle(30, 40), transform=Affine(size, 0, here[0], 0, -size, here[1]), crs=text)
    with open_scene(path) as scene, rasterio.open(path) as dataset:
        points = ScenePoints.of([(0, 0), (40, 30), (12.5, 7.25)])
        xs, ys = dataset.xy(points.y, points.x, offset="ul")
        placed = scene.to_lonlat(points)
        told = Transformer.from_crs(crs_text(scene.crs), "EPSG:4326", always_xy=True)
        # By GDAL with the file's own CRS, and by whoever reads what the run says of the CRS.
        for lon, lat in (
            rasterio.warp.transform(dataset.crs, "EPSG:4326", xs, ys),
            told.transform(xs, ys),
        ):
            _, _, metres = Geod(ellps="WGS84").inv(placed.x, placed.y, lon, lat)
            assert max(metres) < 0.1 * scene.pixel_size_m
        assert np.abs(scene.from_lonlat(placed).xy() - points.xy()).max() < 0.1


@pytest.mark.parametrize(
    "code", [32633, 32760, 3031, 3413, 28992, 23033, 27700, 27572, 4326, 4258, 2193, 3857]
)
def test_a_crs_with_a_code_is_called_by_it(tmp_path, code):
    crs = CRS(code)
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(
        *np.mean(np.reshape(crs.area_of_use.bounds, (2, 2)), axis=0)
    )
    size = 1e-4 if crs.is_geographic else 10.0
    path = write(
        tmp_path / "s.tif", speckle(8, 8), transform=Affine(size, 0, x, 0, -size, y), crs=f"EPSG:{code}"
    )
    with open_scene(path) as scene:
        assert crs_text(scene.crs) == f"EPSG:{code}"


def test_a_code_that_does_not_say_all_is_not_passed_on():
    lying = CRS(32633).to_json_dict()
    lying["coordinate_system"]["axis"][0]["unit"] = lying["coordinate_system"]["axis"][1]["unit"] = {
        "type": "LinearUnit", "name": "kilometre", "conversion_factor": 1000,
    }  # fmt: skip
    text = crs_text(CRS.from_json_dict(lying))
    assert "32633" not in text
    assert CRS(text).axis_info[0].unit_name == "kilometre"


def across(lon: float) -> list[GroundControlPoint]:
    """The swath moved to a longitude, with the jump at 180 that products have."""
    return [GroundControlPoint(g.row, g.col, (g.x - 76.3 + lon + 180) % 360 - 180, g.y, g.z) for g in GCPS]


@pytest.mark.parametrize("lon", [180.0, -179.9, 179.5])
def test_control_points_across_the_antimeridian_are_those_of_a_scene_elsewhere(tmp_path, lon):
    here = GcpGeolocation(GCPS, CRS(4326))
    points = ScenePoints.of([(0, 0), (400, 300), (200, 150), (399, 1), (0, 299)])
    elsewhere = here.to_ground(points)
    with open_scene(write(tmp_path / "s.tif", speckle(300, 400), gcps=across(lon))) as scene:
        placed = scene.to_lonlat(points)
        assert (np.abs(placed.x) <= 180).all()
        np.testing.assert_allclose((placed.x - lon - elsewhere.x + 76.3 + 180) % 360, 180, atol=1e-6)
        np.testing.assert_allclose(placed.y, elsewhere.y, atol=1e-6)
        for turn in (-360, 0, 360):
            np.testing.assert_allclose(
                scene.from_lonlat(LonLatPoints(placed.x + turn, placed.y)).xy(), points.xy(), atol=1e-3
            )


@pytest.mark.parametrize(
    ("crs", "x"), [("EPSG:3857", 20_037_508.34), ("EPSG:3395", -20_037_508.34), ("EPSG:3832", 3_339_584.7)]
)
@pytest.mark.parametrize("offset", [-2000, -1500, 500, -20_000])
def test_a_scene_in_mercator_may_run_past_180(tmp_path, crs, x, offset):
    path = write(
        tmp_path / "s.tif", speckle(200, 200), transform=Affine(10, 0, x + offset, 0, -10, 1e6), crs=crs
    )
    with open_scene(path) as scene:
        points = ScenePoints.of([(0, 0), (200, 200), (100, 50)])
        placed = scene.to_lonlat(points)
        assert (np.abs(placed.x) <= 180).all()
        np.testing.assert_allclose(scene.from_lonlat(placed).xy(), points.xy(), atol=1e-3)
        assert Area.whole(scene).on_scene(scene).area == pytest.approx(40_000)


@pytest.mark.parametrize("west", [179.99, 190.0, -180.01, 359.99, -0.01])
def test_longitudes_may_be_counted_from_anywhere(tmp_path, west):
    degrees = Affine(1e-4, 0, west, 0, -1e-4, 10)
    with open_scene(
        write(tmp_path / "s.tif", speckle(200, 200), transform=degrees, crs="EPSG:4326")
    ) as scene:
        points = ScenePoints.of([(0, 0), (200, 200), (100, 50)])
        placed = scene.to_lonlat(points)
        assert (np.abs(placed.x) <= 180).all()
        for turn in (-360, 0, 360):
            np.testing.assert_allclose(
                scene.from_lonlat(LonLatPoints(placed.x + turn, placed.y)).xy(), points.xy(), atol=1e-6
            )

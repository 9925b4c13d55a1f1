"""Area: polygons of any CRS land on the scene's pixels, or one line says why not."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pyogrio
import pytest
import rasterio.transform
import rasterio.warp
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from rasters import NORTH_UP, ROTATED, SOUTH_UP, UTM, speckle, swath_gcps, write

from fusar_gpt import lonlat
from fusar_gpt.errors import AreaError
from fusar_gpt.frames import GroundPoints, LonLatPoints, SceneBox, ScenePoints, scene_corners
from fusar_gpt.imagery import Area, area_from_file, open_scene, read_polygons

PLACES = {
    "north": {"transform": NORTH_UP},
    "south": {"transform": SOUTH_UP},
    "rotated": {"transform": ROTATED},
    "gcps": {"gcps": swath_gcps(200, 160)},
}


@pytest.fixture(scope="module", params=PLACES)
def scene(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("scene") / "s.tif"
    with open_scene(write(path, speckle(160, 200), **PLACES[request.param])) as opened:
        yield opened


def save(path, geometries, crs="EPSG:4326", kind="Polygon", driver="GPKG", **how):
    pyogrio.raw.write(
        path,
        geometry=shapely.to_wkb(np.array(geometries, dtype=object)),
        field_data=[],
        fields=[],
        crs=crs,
        geometry_type=kind,
        driver=driver,
        **how,
    )
    return path


def geojson(path, geometry):
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature] if geometry else []}))
    return path


def lonlat_polygon(scene, corners):
    """What an analyst who follows straight pixel lines draws in degrees; they bend, so in short pieces."""
    pixels = shapely.segmentize(shapely.Polygon(corners), 2.0)
    return shapely.transform(pixels, lambda xy: scene.to_lonlat(ScenePoints.of(xy)).xy())


def bounds(geometry):
    return pytest.approx(geometry, abs=0.1)


def test_a_polygon_in_degrees_lands_where_it_was_drawn(scene):
    corners = [(20, 30), (150, 40), (140, 120), (30, 110)]
    area = Area(lonlat_polygon(scene, corners), CRS(4326)).on_scene(scene)
    expected = shapely.Polygon(corners)
    assert area.is_valid
    assert area.symmetric_difference(expected).area < 0.01 * expected.length
    assert area.hausdorff_distance(expected) < 0.1


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:3857", "EPSG:32632", "OGC:CRS84", "EPSG:3035"])
def test_axis_order_is_x_first_in_every_crs(utm_scene, crs):
    lon, lat = utm_scene.to_lonlat(scene_corners(SceneBox(50, 40, 60, 48))).xy().T
    xs, ys = rasterio.warp.transform("EPSG:4326", crs, lon, lat)
    area = Area.from_geojson(shapely.geometry.mapping(shapely.Polygon(zip(xs, ys, strict=True))), crs)
    assert area.on_scene(utm_scene).bounds == bounds((50, 40, 60, 48))


def test_long_edges_bend_as_the_ground_does(tmp_path):
    wide = Affine(2000.0, 0.0, 200_000.0, 0.0, -2000.0, 7_600_000.0)
    with open_scene(write(tmp_path / "wide.tif", speckle(300, 300), transform=wide)) as scene:
        west, south, east, north = -1.0, 65.0, 8.0, 68.0
        area = Area.from_bbox(west, south, east, north).on_scene(scene)
        lon = np.linspace(west, east, 50)
        xs, ys = rasterio.warp.transform("EPSG:4326", UTM, lon, np.full(50, north))
        rows, cols = rasterio.transform.rowcol(wide, xs, ys, op=np.positive)
        inside = (cols > 0) & (cols < 300)
        edge = shapely.points(np.array(cols)[inside], np.array(rows)[inside])
        assert inside.sum() > 30
        assert shapely.distance(area.exterior, edge).max() < 0.1


def test_holes_and_parts_survive(utm_scene):
    ring = shapely.Polygon(
        [(10, 10), (90, 10), (90, 90), (10, 90)], [[(30, 30), (60, 30), (60, 60), (30, 60)]]
    )
    drawn = shapely.MultiPolygon([ring, shapely.box(100, 100, 120, 110)])
    pixels = Area(shapely.transform(drawn, lambda xy: on_ground(utm_scene, xy)), utm_scene.crs).on_scene(
        utm_scene
    )
    assert pixels.symmetric_difference(drawn).area < 0.01
    assert sum(len(part.interiors) for part in pixels.geoms) == 1


def on_ground(scene, xy):
    return scene.to_ground(ScenePoints.of(xy)).xy()


def test_the_whole_scene_is_all_of_it_and_no_more(scene):
    assert Area.whole(scene).on_scene(scene).bounds == pytest.approx((0, 0, 200, 160), abs=1e-6)


def test_what_reaches_beyond_the_scene_is_cut_even_the_whole_world(scene):
    world = Area.from_bbox(-180, -90, 180, 90).on_scene(scene)
    assert world.area == pytest.approx(200 * 160, rel=1e-6)
    half = lonlat_polygon(scene, [(100, -40), (260, -40), (260, 200), (100, 200)])
    assert Area(half, CRS(4326)).on_scene(scene).bounds == bounds((100, 0, 200, 160))


# Rounded: GEOS itself clips a polygon wrongly whose corner lies 1e-225 beside the edge of the box.
places = st.floats(-300, 500).map(lambda place: round(place, 6))


@given(st.lists(st.tuples(places, places), min_size=3, max_size=9))
@settings(deadline=None, max_examples=40)
def test_any_polygon_ends_inside_the_scene_and_valid_or_is_refused(tmp_path_factory, points):
    drawn = shapely.MultiPoint(points).convex_hull
    path = tmp_path_factory.getbasetemp() / "any.tif"
    if not path.exists():
        write(path, speckle(160, 200), transform=ROTATED)
    with open_scene(path) as scene:
        if drawn.geom_type != "Polygon":
            return
        lonlat = shapely.transform(drawn, lambda xy: scene.to_lonlat(ScenePoints.of(xy)).xy())
        expected = drawn.intersection(shapely.box(0, 0, 200, 160))
        try:
            pixels = Area(lonlat, CRS(4326)).on_scene(scene)
        except AreaError:
            assert expected.area < 1 or not lonlat.is_valid
            return
        assert pixels.is_valid
        assert pixels.geom_type in ("Polygon", "MultiPolygon")
        assert shapely.box(0, 0, 200, 160).buffer(1e-6).covers(pixels)
        assert pixels.symmetric_difference(expected).area < 0.1 * (drawn.length + 1)


@pytest.mark.parametrize(
    ("name", "driver"), [("a.gpkg", "GPKG"), ("a.geojson", "GeoJSON"), ("a.shp", "ESRI Shapefile")]
)
def test_files_of_any_vector_format_are_one_area(utm_scene, tmp_path, name, driver):
    parts = [
        lonlat_polygon(utm_scene, [(10, 10), (60, 10), (60, 60), (10, 60)]),
        lonlat_polygon(utm_scene, [(50, 50), (90, 50), (90, 90), (50, 90)]),
    ]
    path = save(tmp_path / name, parts, driver=driver)
    area = area_from_file(path).on_scene(utm_scene)
    assert area.geom_type == "Polygon"
    assert area.area == pytest.approx(50 * 50 + 40 * 40 - 100, rel=1e-3)
    each = [part.on_scene(utm_scene).bounds for part in read_polygons(path)]
    assert each == [bounds((10, 10, 60, 60)), bounds((50, 50, 90, 90))]


def test_a_file_in_another_crs_with_heights(utm_scene, tmp_path):
    ground = utm_scene.to_ground(scene_corners(SceneBox(10, 20, 70, 60))).xy()
    solid = shapely.force_3d(shapely.Polygon(ground), 12.0)
    path = save(tmp_path / "z.gpkg", [solid], crs=UTM, kind="Polygon Z")
    assert area_from_file(path).on_scene(utm_scene).bounds == bounds((10, 20, 70, 60))


BOW_TIE = {"type": "Polygon", "coordinates": [[[4, 51], [5, 52], [5, 51], [4, 52], [4, 51]]]}
LINE = {"type": "LineString", "coordinates": [[4, 51], [5, 52]]}
POINT = {"type": "Point", "coordinates": [4, 51]}


@pytest.mark.parametrize(
    ("geometry", "message"),
    [
        (BOW_TIE, "not a valid polygon .*Self-intersection.*draw it again"),
        (LINE, "holds a LineString, not polygons"),
        (POINT, "holds a Point, not polygons"),
        ({"type": "Polygon", "coordinates": []}, "is empty"),
    ],
)
def test_what_is_no_area_is_refused_from_file_and_from_geojson(tmp_path, geometry, message):
    for make in (
        lambda: Area.from_geojson(geometry),
        lambda: area_from_file(geojson(tmp_path / "a.geojson", geometry)),
    ):
        with pytest.raises(AreaError, match=message) as caught:
            make()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "mapping",
    [{}, {"type": "Polygon"}, {"type": "Nonsense", "coordinates": []}, {"type": "Polygon", "coordinates": 7}],
)
def test_what_is_no_geojson_is_refused(mapping):
    with pytest.raises(AreaError, match="not a GeoJSON geometry"):
        Area.from_geojson(mapping)


def test_files_that_hold_no_area_are_refused(tmp_path):
    with pytest.raises(AreaError, match="does not exist"):
        area_from_file(tmp_path / "none.gpkg")
    with pytest.raises(AreaError, match="not a local file"):
        area_from_file("https://x.org/a.geojson")
    (tmp_path / "note.gpkg").write_text("hello")
    with pytest.raises(AreaError, match="not a vector file"):
        area_from_file(tmp_path / "note.gpkg")
    with pytest.raises(AreaError, match="is empty"):
        area_from_file(geojson(tmp_path / "empty.geojson", None))
    with zipfile.ZipFile(tmp_path / "a.zip", "w"), pytest.raises(AreaError, match="not a vector file"):
        area_from_file(tmp_path / "a.zip")


def test_a_file_without_a_crs_is_refused(tmp_path):
    with pytest.warns(UserWarning, match="crs"):
        path = save(tmp_path / "a.shp", [shapely.box(0, 0, 1, 1)], crs=None, driver="ESRI Shapefile")
    with pytest.raises(AreaError, match="has no CRS: save it again with one"):
        area_from_file(path)


@pytest.mark.parametrize("box", [(5, 51, 4, 52), (4, 52, 5, 51), (4, 51, float("nan"), 52), (4, 51, 4, 52)])
def test_a_box_without_area_is_refused(box):
    with pytest.raises(AreaError, match=r"Invalid bounding box .*: expected west,south,east,north"):
        Area.from_bbox(*box)


@pytest.mark.parametrize("crs", ["EPSG:4978", "EPSG:5773"])
def test_a_crs_that_no_map_has_is_refused(crs):
    with pytest.raises(AreaError, match="is none that maps are drawn in"):
        Area.from_bbox(4, 51, 5, 52, crs)


def test_an_unknown_crs_is_refused():
    with pytest.raises(AreaError, match="CRS 'EPSG:99999999' is unknown"):
        Area.from_bbox(4, 51, 5, 52, "EPSG:99999999")


@pytest.mark.parametrize("box", [(-70, -30, -69, -29), (100, 10, 101, 11), (4.0, 51.0, 4.1, 51.1)])
def test_an_area_beside_the_scene_says_where_the_scene_is(utm_scene, box):
    with pytest.raises(AreaError, match=r"covers longitude 4\.\d+ to 4\.\d+, latitude 51\.\d+ to 51\.\d+"):
        Area.from_bbox(*box).on_scene(utm_scene)


def test_an_area_that_only_touches_the_scene_is_outside(scene):
    beside = shapely.segmentize(shapely.box(200, 0, 240, 160), 1.0)
    touching = shapely.transform(beside, lambda xy: on_ground(scene, xy))
    with pytest.raises(AreaError, match="outside the scene"):
        Area(touching, scene.crs).on_scene(scene)


@pytest.mark.parametrize(("lon", "lat"), [(85, -10), (71, -1.5), (100, 12.5)])
def test_far_places_that_gdals_polynomial_folds_onto_the_scene_are_outside(tmp_path, lon, lat):
    with open_scene(write(tmp_path / "s.tif", speckle(160, 200), **PLACES["gcps"])) as scene:
        folded = scene.to_scene(GroundPoints.of([(lon, lat)])).xy()[0]
        assert (folded > 0).all()
        assert (folded < (200, 160)).all()
        with pytest.raises(AreaError, match="outside the scene"):
            Area.from_bbox(lon - 0.01, lat - 0.01, lon + 0.01, lat + 0.01).on_scene(scene)


DEGREES = {"crs": "EPSG:4326", "transform": Affine(1e-3, 0, 179.9, 0, -1e-3, 10)}
FROM_0 = {"crs": "EPSG:4326", "transform": Affine(1e-3, 0, -180.1, 0, -1e-3, 10)}
ACROSS = {
    "past 180": DEGREES,
    "before -180": FROM_0,
    "utm": {"crs": "EPSG:32660", "transform": Affine(100, 0, 819_000, 0, -100, 1_106_000)},
}


@pytest.mark.parametrize("place", ACROSS)
@given(st.floats(-0.08, 0.04), st.floats(0.005, 0.05))
@settings(deadline=None, max_examples=10)
def test_a_box_across_180_is_found_however_it_is_written(tmp_path_factory, place, offset, width):
    path = tmp_path_factory.getbasetemp() / f"{place}.tif"
    if not path.exists():
        write(path, speckle(160, 200), **ACROSS[place])
    west, east = 180 + offset, 180 + offset + width
    jumping = [
        (x if x <= 180 else x - 360, y) for x, y in [(west, 9.9), (east, 9.9), (east, 9.95), (west, 9.95)]
    ]
    with open_scene(path) as scene:
        found = [
            Area.from_bbox(west, 9.9, east, 9.95),
            Area.from_bbox(west - 360, 9.9, east - 360, 9.95),
            Area.from_bbox(*(x if x <= 180 else x - 360 for x in (west, 9.9, east, 9.95))),
            Area(shapely.Polygon(jumping), CRS(4326)),
            Area(lonlat.split(shapely.Polygon(jumping)), CRS(4326)),
        ]
        first, *others = [area.on_scene(scene) for area in found]
    assert place == "utm" or first.area == pytest.approx(width * 1e3 * 50, rel=1e-6)
    for other in others:
        assert other.symmetric_difference(first).area < 1e-3 * first.length


@pytest.mark.parametrize("crs", ["EPSG:3031", "EPSG:3413"])
def test_an_area_round_the_pole_holds_the_pole(tmp_path, crs):
    polar = Affine(1000, 0, -100_000, 0, -1000, 80_000)
    lat = -89.5 if crs == "EPSG:3031" else 89.5
    with open_scene(write(tmp_path / "s.tif", speckle(160, 200), transform=polar, crs=crs)) as scene:
        radius = np.hypot(*(scene.from_lonlat(LonLatPoints(0.0, lat)).xy()[0] - (100, 80)))
        circle = shapely.Point(100, 80).buffer(radius, quad_segs=256)
        ring = [(lon, lat) for lon in range(-180, 180, 20)]
        south, north = sorted((lat, np.sign(lat) * 90))
        band = Area.from_bbox(-180, south, 180, north)
        for area in (Area(shapely.Polygon(ring), CRS(4326)), band):
            assert area.on_scene(scene).symmetric_difference(circle).area < 0.1 * circle.length
        assert Area.from_bbox(-180, -90, 180, 90).on_scene(scene).area == pytest.approx(200 * 160)
        assert Area.whole(scene).on_scene(scene).area == pytest.approx(200 * 160)


@pytest.mark.parametrize("box", [(500_000, 4_900_000, 501_000, 4_901_000), (4, 89, 5, 91), (600, 1, 601, 2)])
def test_what_are_no_degrees_is_refused(box):
    with pytest.raises(AreaError, match="are no longitudes and latitudes: give the CRS") as caught:
        Area.from_bbox(*box)
    assert "\n" not in str(caught.value)


def test_metres_may_not_be_swapped():
    with pytest.raises(AreaError, match="only longitudes may have west > east"):
        Area.from_bbox(600_000, 1, 500_000, 2, UTM)

"""Area files as people have them: several layers, unclosed rings, odd names, missing parts, CRSs of their own."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import pytest
import rasterio.warp
import shapely
from pyproj import CRS
from rasters import UTM
from test_area import LINE, POINT, bounds, lonlat_polygon, on_ground, save

from fusar_gpt.errors import AreaError
from fusar_gpt.imagery import area_from_file, read_polygons


def square(west, east):
    return shapely.box(west, 51.7, east, 51.8)


def one_or_more(path, report=lambda line: None):
    return area_from_file(path, report).geometry.area


@pytest.mark.parametrize("form", ["kml", "gpkg", "folder"])
def test_every_layer_is_used_and_one_can_be_named(tmp_path, form):
    layers = {"berths": square(4.0, 4.1), "anchor:age": square(4.2, 4.5)}
    path = tmp_path / f"x.{form}"
    if form == "kml":
        folder = "<Folder><name>{}</name><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>{}" \
            "</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></Folder>"  # fmt: skip
        drawn = [
            folder.format(name, " ".join(f"{x},{y},0" for x, y in polygon.exterior.coords))
            for name, polygon in layers.items()
        ]
        kml = '<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{}</Document></kml>'
        path.write_text(kml.format("".join(drawn)))
    elif form == "gpkg":
        for name, polygon in layers.items():
            save(path, [polygon], layer=name, append=path.exists())
    else:
        path.mkdir()
        layers = {"berths": layers["berths"], "anchorage": layers["anchor:age"]}
        for name, polygon in layers.items():
            save(path / f"{name}.shp", [polygon], driver="ESRI Shapefile")
    said = []
    assert one_or_more(path, said.append) == pytest.approx(0.04)
    assert len(said) == 1
    assert "the polygons of 2 layers are used" in said[0]
    for name, polygon in layers.items():
        assert one_or_more(f"{path}:{name}") == pytest.approx(polygon.area)
    with pytest.raises(AreaError, match="has no layer 'pier': choose one of "):
        one_or_more(f"{path}:pier")


def test_layers_in_two_crs_are_one_area(tmp_path, utm_scene):
    path = save(
        tmp_path / "x.gpkg", [lonlat_polygon(utm_scene, [(0, 0), (50, 0), (50, 50), (0, 50)])], layer="a"
    )
    ground = shapely.Polygon(on_ground(utm_scene, [(60, 60), (90, 60), (90, 90), (60, 90)]))
    save(path, [ground], crs=UTM, layer="b", append=True)
    areas = read_polygons(path)
    assert {area.crs for area in areas} == {CRS(4326)}
    found = shapely.get_parts(area_from_file(path).on_scene(utm_scene))
    assert sorted(part.bounds for part in found) == [bounds((0, 0, 50, 50)), bounds((60, 60, 90, 90))]


def test_rings_are_closed_and_what_is_no_polygon_is_left_out_and_said(tmp_path):
    ring = [[4, 51], [5, 51], [5, 52], [4, 52]]
    polygon = {"type": "Polygon", "coordinates": [ring]}
    shapes = [
        {"type": "GeometryCollection", "geometries": [polygon, POINT]}, POINT, LINE,
        {"type": "Polygon", "coordinates": []}, None,
    ]  # fmt: skip
    features = [{"type": "Feature", "properties": {}, "geometry": shape} for shape in shapes]
    path = tmp_path / "x.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    said = []
    assert one_or_more(path, said.append) == 1
    assert said == ["area 'x.geojson': left out 1 Point, 1 LineString, 2 empty, as only polygons are areas"]


NAMES = [
    "a!b", "!a", "a;b", "a#b?c=d&e %20", "a\nb", " a", "-a", "a'b\"c", "a:b", "港口" * 40, "a.zip!", "zip:a", "a?",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("driver", ["GPKG", "ESRI Shapefile"])
def test_any_name_of_a_file_is_only_its_name(tmp_path, monkeypatch, name, driver):
    suffix = ".gpkg" if driver == "GPKG" else ".shp"
    folder = tmp_path / name
    folder.mkdir()
    plain = save(tmp_path / f"x{suffix}", [square(4, 5)], driver=driver)
    decoy = save(tmp_path / f"b{suffix}", [square(4, 9)], driver=driver)
    for file in tmp_path.glob("x.*"):
        file.rename(folder / (name + file.suffix))
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.chdir(tmp_path)
    assert one_or_more(folder / f"{name}{suffix}") == pytest.approx(0.1)
    assert one_or_more(Path(name, f"{name}{suffix}")) == pytest.approx(0.1)
    assert sorted(tmp_path.rglob("*")) == before
    assert not plain.exists()
    assert decoy.exists()


def test_a_shapefile_without_its_index_is_read_and_none_is_made(tmp_path):
    path = save(tmp_path / "x.shp", [square(4, 5)], driver="ESRI Shapefile")
    path.with_suffix(".shx").unlink()
    path.with_suffix(".cpg").write_text("NONSENSE-8")
    before = sorted(tmp_path.iterdir())
    assert one_or_more(path) == pytest.approx(0.1)
    assert sorted(tmp_path.iterdir()) == before


def test_what_no_area_comes_out_of_says_what_to_do(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AreaError, match="is a folder without a vector file that can be read: name a file"):
        one_or_more(tmp_path / "empty")
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("inner/side/x.shp", b"")
    with pytest.raises(AreaError, match=r"unpack it and give the file inside, such as 'inner/side/x.shp'"):
        one_or_more(tmp_path / "x.zip")


@pytest.mark.parametrize("driver", ["GPKG", "ESRI Shapefile"])
@pytest.mark.parametrize(
    "own",
    ["+proj=utm +zone=31 +datum=WGS84 +units=km", "+proj=utm +zone=31 +ellps=intl +towgs84=-87,-98,-121"],
)
def test_a_file_keeps_its_own_crs(utm_scene, tmp_path, driver, own):
    ground = shapely.Polygon(on_ground(utm_scene, [(10, 20), (70, 20), (70, 60), (10, 60)]))
    xs, ys = rasterio.warp.transform(UTM, own, *shapely.get_coordinates(ground).T)
    path = tmp_path / ("x.gpkg" if driver == "GPKG" else "x.shp")
    if driver == "GPKG":
        # A GeoPackage whose writer did not fall for the look-alike.
        save(path, [shapely.Polygon(zip(xs, ys, strict=True))], crs="+proj=tmerc +lat_0=1 +lon_0=2")
        with sqlite3.connect(path) as database:
            definition = CRS(own).to_wkt("WKT1_GDAL")
            database.execute(
                "UPDATE gpkg_spatial_ref_sys SET definition = ? WHERE srs_id > 99999", (definition,)
            )
    else:
        save(path, [shapely.Polygon(zip(xs, ys, strict=True))], driver=driver)
        path.with_suffix(".prj").write_text(CRS(own).to_wkt("WKT1_GDAL"))
    assert area_from_file(path).on_scene(utm_scene).bounds == bounds((10, 20, 70, 60))

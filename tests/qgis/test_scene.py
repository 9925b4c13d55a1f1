"""Which layers are scenes, how a backend gets at them, and one clear reason where they are none."""

import zipfile
from datetime import date

import pytest
from conftest import write_tiff
from osgeo import gdal, osr
from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer, QgsVectorLayer

from fusar_qgis.layers.scene import SceneError, scene_of


def swath(path, crs="EPSG:4326"):
    """A raster that control points alone place, as Sentinel-1 GRD: turned and bent."""
    source = gdal.Open(str(write_tiff(path.with_suffix(".plain.tif"), bands=2, epsg=None)))
    gcps = [
        gdal.GCP(76 + 0.01 * u + 0.002 * v + 0.0005 * u * v, 10 + 0.002 * u - 0.008 * v, 0, 200 * u, 160 * v)
        for u in (0, 0.5, 1)
        for v in (0, 0.5, 1)
    ]
    # A CRS-less set of points cannot be given to Translate.
    gdal.Translate(
        str(path),
        source,
        GCPs=gcps,
        outputSRS="EPSG:4326",
        metadataOptions=["TIFFTAG_DATETIME=2018:07:16 06:05:22"],
    )
    if not crs:
        dataset = gdal.Open(str(path), gdal.GA_Update)
        dataset.SetGCPs(gcps, "")
        dataset = None
    return path


def reason(layer):
    with pytest.raises(SceneError) as error:
        scene_of(layer)
    return str(error.value)


def test_a_plain_file_goes_by_its_path(tmp_path):
    path = write_tiff(tmp_path / "S1A_IW_20180305T054235.tif", bands=2)
    layer = QgsRasterLayer(str(path), "harbour")
    scene = scene_of(layer)
    assert (scene.path, scene.band, scene.bands, scene.name) == (str(path), 1, 2, "harbour")
    assert scene.acquired.day == date(2018, 3, 5)
    assert scene.layer_id == layer.id()


@pytest.mark.parametrize(
    ("names", "band"),
    [(("VH", "VV"), 2), (("Phase_VV", "Intensity_VV"), 2), (("i_VV", "q_VV"), 1), (("angle", "VH"), 2)],
)
def test_a_band_that_shows_no_ground_is_not_taken_by_itself(tmp_path, names, band):
    path = write_tiff(tmp_path / "s.tif", bands=2)
    dataset = gdal.Open(str(path), gdal.GA_Update)
    for number, name in enumerate(names, 1):
        dataset.GetRasterBand(number).SetDescription(name)
    dataset = None
    assert scene_of(QgsRasterLayer(str(path), "s")).band == band


def test_control_points_place_a_file_where_qgis_shows_it(tmp_path):
    scene = scene_of(QgsRasterLayer(str(swath(tmp_path / "swath.tif")), "swath"))
    assert scene.path
    assert scene.crs.authid() == "EPSG:4326"
    assert (scene.acquired.day, scene.acquired.certain) == (date(2018, 7, 16), False)


def test_control_points_without_a_crs_want_one(tmp_path):
    layer = QgsRasterLayer(str(swath(tmp_path / "swath.tif", crs="")), "swath")
    assert "has no CRS" in reason(layer)
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:4326"))
    assert scene_of(layer).path is None  # the backend would not know it


@pytest.mark.parametrize("crs", ["", "EPSG:32650"])
def test_pixels_without_a_place_are_refused_whatever_crs_they_are_given(tmp_path, crs):
    layer = QgsRasterLayer(str(write_tiff(tmp_path / "x.tif", epsg=None)), "x")
    layer.setCrs(QgsCoordinateReferenceSystem(crs))
    assert "has no georeferencing" in reason(layer)


def test_a_layer_with_another_crs_than_its_file_does_not_go_by_path(tmp_path):
    layer = QgsRasterLayer(str(write_tiff(tmp_path / "x.tif")), "x")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32651"))
    assert scene_of(layer).path is None
    assert scene_of(layer).crs.authid() == "EPSG:32651"


@pytest.mark.parametrize("kind", ["archive", "vrt", "netcdf", "virtual"])
def test_what_a_backend_refuses_does_not_go_by_path(tmp_path, kind):
    path = write_tiff(tmp_path / "x.tif")
    provider, source = "gdal", str(tmp_path / "x.vrt")
    if kind == "archive":
        with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
            archive.write(path, "x.tif")
        source = f"/vsizip/{tmp_path}/x.zip/x.tif"
    elif kind == "vrt":
        gdal.Translate(source, str(path))
    elif kind == "netcdf":
        source = str(tmp_path / "x.nc")
        gdal.Translate(source, str(path), format="netCDF")
    else:
        provider = "virtualraster"
        file = QgsRasterLayer(str(path), "base")
        extent = file.extent().toString(9).replace(" : ", ",")
        box = ",".join(extent.split(","))
        source = (
            f"?crs=EPSG:32650&extent={box}&width=200&height=160&formula=%22base@1%22 * 2"
            f"&base:uri={path}&base:provider=gdal"
        )
    layer = QgsRasterLayer(source, "x_20200102", provider)
    assert layer.isValid()
    scene = scene_of(layer)
    assert scene.path is None
    assert scene.acquired.day == date(2020, 1, 2)


def test_what_is_no_raster(tmp_path):
    assert "No layer is active" in reason(None)
    assert "is not a raster" in reason(QgsVectorLayer("Point", "x", "memory"))
    assert "cannot be read" in reason(QgsRasterLayer(str(tmp_path / "gone.tif"), "x"))


def test_a_crs_that_qgis_takes_for_another_does_not_go_by_path(tmp_path):
    path = write_tiff(tmp_path / "x.tif", epsg=None)
    dataset = gdal.Open(str(path), gdal.GA_Update)
    srs = osr.SpatialReference()
    srs.ImportFromProj4("+proj=utm +zone=33 +ellps=intl +units=m +no_defs")
    dataset.SetProjection(srs.ExportToWkt())
    dataset.SetGeoTransform((500000, 5, 0, 4000000, 0, -5))
    dataset = None
    layer = QgsRasterLayer(str(path), "x")
    scene = scene_of(layer)
    # Some releases of QGIS show it by an EPSG code's datum shift; then the backend gets what QGIS shows.
    assert (scene.path is None) == layer.crs().authid().startswith("EPSG:")

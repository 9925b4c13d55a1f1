"""What is cut out holds the very numbers that are stored, and lies where they lie."""

import numpy as np
import pytest
from conftest import write_tiff
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransform,
    QgsGeometry,
    QgsProject,
    QgsRasterBlockFeedback,
    QgsRasterLayer,
    QgsRectangle,
)
from test_scene import swath

from fusar_qgis.layers import clipping
from fusar_qgis.layers.clipping import ClipError, clip, source_of

WGS84 = QgsCoordinateReferenceSystem("EPSG:4326")


@pytest.fixture(autouse=True)
def _narrow_margin(monkeypatch):
    monkeypatch.setattr(clipping, "_MARGIN_PX", 3)


def cut(layer, area, crs, out):
    return gdal.Open(str(clip(source_of(layer), area, crs, out, QgsRasterBlockFeedback())))


def around(layer, share=0.1):
    """A rectangle in the middle of a layer."""
    box = layer.extent()
    box.scale(share)
    return QgsGeometry.fromRect(box)


def complex_tiff(path):
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 100, 80, 1, gdal.GDT_CFloat32)
    values = np.random.default_rng(0).normal(size=(80, 100, 2)).view(complex)[..., 0]
    dataset.GetRasterBand(1).WriteArray(values.astype("complex64"))
    dataset.GetRasterBand(1).SetDescription("HH")
    dataset.SetProjection(QgsCoordinateReferenceSystem("EPSG:32650").toWkt())
    dataset.SetGeoTransform((500000, 1, 4, 4000000, 4, -1))  # turned by 76 degrees
    dataset.SetMetadataItem("ACQUISITION_START_TIME", "2020-01-02")
    return values.astype("complex64")


def test_turned_complex_numbers_stay_what_they_are(tmp_path):
    stored = complex_tiff(tmp_path / "slc.tif")
    gdal.Translate(str(tmp_path / "slc.vrt"), str(tmp_path / "slc.tif"))
    layer = QgsRasterLayer(str(tmp_path / "slc.vrt"), "slc")
    corner = QgsGeometry.fromRect(QgsRectangle(500000 + 250, 4000000 + 130, 500000 + 252, 4000000 + 132))
    clipped = cut(layer, corner, layer.crs(), tmp_path / "clip.tif")
    transform = clipped.GetGeoTransform()
    column, row = (
        round(v)
        for v in gdal.ApplyGeoTransform(
            gdal.InvGeoTransform((500000, 1, 4, 4000000, 4, -1)), *gdal.ApplyGeoTransform(transform, 0, 0)
        )
    )
    assert clipped.RasterXSize < 15
    assert transform[1:3] + transform[4:] == (1, 4, 4, -1)
    part = stored[row : row + clipped.RasterYSize, column : column + clipped.RasterXSize]
    assert np.array_equal(clipped.ReadAsArray(), part)
    assert clipped.GetRasterBand(1).GetDescription() == "HH"
    assert clipped.GetMetadataItem("ACQUISITION_START_TIME") == "2020-01-02"


def test_control_points_are_kept_and_the_area_is_found_by_them(tmp_path):
    path = swath(tmp_path / "swath.tif")
    whole = gdal.Open(str(path))
    placing = gdal.Transformer(whole, None, ["METHOD=GCP_POLYNOMIAL"])
    ((x, y, _),) = placing.TransformPoints(0, [(120.0, 70.0)])[0]
    area = QgsGeometry.fromRect(QgsRectangle(x - 1e-4, y - 1e-4, x + 1e-4, y + 1e-4))
    utm = QgsCoordinateReferenceSystem("EPSG:32643")
    area.transform(QgsCoordinateTransform(WGS84, utm, QgsProject.instance()))
    clipped = cut(QgsRasterLayer(str(path), "swath"), area, utm, tmp_path / "clip.tif")
    assert clipped.GetGCPCount() == whole.GetGCPCount()
    assert max(clipped.RasterXSize, clipped.RasterYSize) < 20
    again = gdal.Transformer(clipped, None, ["METHOD=GCP_POLYNOMIAL"]).TransformPoints(1, [(x, y)])[0][0]
    column, row = round(120 - again[0]), round(70 - again[1])
    part = whole.ReadAsArray()[:, row : row + clipped.RasterYSize, column : column + clipped.RasterXSize]
    assert np.array_equal(clipped.ReadAsArray(), part)
    assert clipped.RasterCount == 2


def test_a_crs_that_the_analyst_has_set_goes_along(tmp_path):
    layer = QgsRasterLayer(str(write_tiff(tmp_path / "x.tif")), "x")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32651"))
    clipped = cut(layer, around(layer), layer.crs(), tmp_path / "clip.tif")
    assert QgsCoordinateReferenceSystem.fromWkt(clipped.GetProjection()).authid() == "EPSG:32651"
    path = swath(tmp_path / "swath.tif", crs="")
    layer = QgsRasterLayer(str(path), "swath")
    layer.setCrs(WGS84)
    clipped = cut(layer, around(layer, 0.5), WGS84, tmp_path / "clip2.tif")  # as QGIS has warped it
    assert clipped.GetGeoTransform(can_return_null=True) is not None
    assert QgsCoordinateReferenceSystem.fromWkt(clipped.GetProjection()) == WGS84


def virtual_layer(path, formula="%22base@1%22 * 2"):
    extent = QgsRasterLayer(str(path), "base").extent()
    box = f"{extent.xMinimum()},{extent.yMinimum()},{extent.xMaximum()},{extent.yMaximum()}"
    source = (
        f"?crs=EPSG:32650&extent={box}&width=200&height=160&formula={formula}"
        f"&base:uri={path}&base:provider=gdal"
    )
    return QgsRasterLayer(source, "computed", "virtualraster")


def test_what_only_qgis_can_read_is_written_pixel_by_pixel(tmp_path):
    path = write_tiff(tmp_path / "x.tif")
    layer = virtual_layer(path)
    clipped = cut(layer, around(layer, 0.3), layer.crs(), tmp_path / "clip.tif")
    left, top = gdal.ApplyGeoTransform(
        gdal.InvGeoTransform((500000, 5, 0, 4000000, 0, -5)),
        *gdal.ApplyGeoTransform(clipped.GetGeoTransform(), 0, 0),
    )
    column, row = round(left), round(top)
    assert (left, top) == pytest.approx((column, row), abs=1e-6)
    rows, columns = clipped.RasterYSize, clipped.RasterXSize
    part = gdal.Open(str(path)).ReadAsArray()[row : row + rows, column : column + columns]
    assert np.array_equal(clipped.ReadAsArray(), part * 2.0)


def test_a_map_service_gives_its_picture(tmp_path):
    tile = tmp_path / "0" / "0" / "0.png"
    tile.parent.mkdir(parents=True)
    dataset = gdal.GetDriverByName("MEM").Create("", 256, 256, 3)
    for band in (1, 2, 3):
        dataset.GetRasterBand(band).Fill(70 * band)
    gdal.Translate(str(tile), dataset, format="PNG")
    layer = QgsRasterLayer(
        f"type=xyz&url=file://{tmp_path}/{{z}}/{{x}}/{{y}}.png&zmax=0&zmin=0", "map", "wms"
    )
    assert layer.isValid()
    area = QgsGeometry.fromRect(QgsRectangle(-1e6, -1e6, 1e6, 1e6))
    clipped = cut(layer, area, layer.crs(), tmp_path / "clip.tif")
    assert clipped.RasterCount == 4
    assert clipped.ReadAsArray()[:, 1000, 1000].tolist() == [70, 140, 210, 255]
    assert QgsCoordinateReferenceSystem.fromWkt(clipped.GetProjection()).authid() == "EPSG:3857"


def test_off_the_layer_too_large_and_cancelled(tmp_path, monkeypatch):
    layer = QgsRasterLayer(str(write_tiff(tmp_path / "x.tif")), "x")
    with pytest.raises(ClipError, match="outside “x”"):
        cut(layer, QgsGeometry.fromRect(QgsRectangle(0, 0, 1, 1)), WGS84, tmp_path / "a.tif")
    feedback = QgsRasterBlockFeedback()
    feedback.cancel()
    with pytest.raises(ClipError, match="Cancelled"):
        clip(source_of(layer), around(layer), layer.crs(), tmp_path / "b.tif", feedback)
    world = QgsGeometry.fromRect(QgsRectangle(-180, -90, 180, 90))
    assert cut(layer, world, WGS84, tmp_path / "d.tif").RasterXSize == 200  # far away nothing transforms
    monkeypatch.setattr(clipping, "LIMIT_BYTES", 10_000)
    for each in (layer, virtual_layer(tmp_path / "x.tif")):
        with pytest.raises(ClipError, match="Draw a smaller one"):
            cut(each, around(each, 1.0), each.crs(), tmp_path / "c.tif")

"""A layer in the model's grey: what QGIS draws is what the backend's stretch makes, and one press takes it back."""

import json

import numpy as np
import pytest
from conftest import write_tiff
from osgeo import gdal, osr
from qgis.core import (
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
    QgsVectorLayer,
)
from qgis.PyQt.QtWidgets import QAction
from qgis.PyQt.QtXml import QDomDocument

from fusar_qgis.contract import Task
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.model_grey import ModelGreyAction
from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.model_grey import grey_scale, is_shown, picture_of, show, show_as_before
from fusar_qgis.layers.sar_file import SarFile
from fusar_qgis.layers.scene import SceneError, original_of, scene_of
from fusar_qgis.processing.items import raster_sources

SPECKLE = np.random.default_rng(0).rayleigh(1.0, (120, 150)).astype(np.float32)
KINDS = {
    "amplitude": (SPECKLE * 300, gdal.GDT_UInt16, 1.0),
    "power": (SPECKLE**2 * 0.05, gdal.GDT_Float32, 1.0),
    "dB": (20 * np.log10(SPECKLE) - 15, gdal.GDT_Float32, 1.0),
    "scaled dB": ((20 * np.log10(SPECKLE) - 15) * 100, gdal.GDT_Int16, 0.01),
    "grey": (np.clip(SPECKLE * 60, 0, 255), gdal.GDT_Byte, 1.0),
}
PHASES = np.exp(2j * np.pi * np.random.default_rng(1).random(SPECKLE.shape))
COMPLEX = {
    "CFloat32": (SPECKLE * PHASES, gdal.GDT_CFloat32, 1.0),
    "CInt16": (SPECKLE * PHASES * 300, gdal.GDT_CInt16, 1.0),
}


def write(path, kind, gap=0):
    """``gap`` columns at the left edge are zero, which no tag declares."""
    numbers, stored_as, scale = {**KINDS, **COMPLEX}[kind]
    numbers = numbers.copy()
    numbers[:, :gap] = 0
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 150, 120, 1, stored_as)
    srs = osr.SpatialReference()
    srs.ImportFromEPSG(32650)
    dataset.SetProjection(srs.ExportToWkt())
    dataset.SetGeoTransform((500000, 5, 0, 4000000, 0, -5))
    dataset.GetRasterBand(1).WriteArray(numbers)
    if scale != 1:
        dataset.GetRasterBand(1).SetScale(scale)
    dataset = None
    return str(path)


def drawn(layer) -> np.ndarray:
    block = layer.renderer().block(1, layer.extent(), 150, 120)
    return np.array([[block.color(row, col) & 255 for col in range(150)] for row in range(120)], int)


def added(path, qgis_iface) -> QgsRasterLayer:
    layer = QgsRasterLayer(str(path), "scene")
    QgsProject.instance().addMapLayer(layer)
    qgis_iface.setActiveLayer(layer)
    return layer


@pytest.fixture
def entry(qgis_iface, bar):
    entry = QAction("Show", qgis_iface.mainWindow())
    action = ModelGreyAction(qgis_iface, entry)
    yield entry
    action.remove()
    entry.deleteLater()


@pytest.mark.parametrize("kind", KINDS)
def test_one_press_draws_what_the_model_sees_and_the_next_takes_it_back(
    entry, qgis_iface, tmp_path, qtbot, kind
):
    path = write(tmp_path / "scene.tif", kind)
    layer = added(path, qgis_iface)
    before = layer.renderer().type()
    entry.trigger()
    qtbot.waitUntil(lambda: isinstance(layer.renderer(), QgsSingleBandPseudoColorRenderer))
    seen = SarFile(path, None).grey(0, 0, 150, 120).astype(int)
    assert np.abs(drawn(layer) - seen).max() <= 1
    assert np.ptp(seen) > 100
    entry.trigger()
    assert layer.renderer().type() == before
    assert not is_shown(layer)
    assert layer.styleManager().styles() == ["default"]


@pytest.mark.parametrize("kind", COMPLEX)
def test_complex_numbers_are_seen_in_a_layer_above_their_own(entry, qgis_iface, tmp_path, qtbot, kind):
    path = write(tmp_path / "slc & co.tif", kind)
    layer = added(path, qgis_iface)
    entry.trigger()
    qtbot.waitUntil(lambda: is_shown(layer))
    picture = picture_of(layer)
    seen = SarFile(path, None).grey(0, 0, 150, 120).astype(int)
    assert np.abs(drawn(picture) - seen).max() <= 1
    assert [node.name() for node in QgsProject.instance().layerTreeRoot().findLayers()] == [
        "scene (as the model sees)",
        "scene",
    ]
    scene = scene_of(picture)  # whoever interprets the picture interprets the file
    assert (scene.layer, scene.path) == (layer, path)
    qgis_iface.setActiveLayer(picture)
    entry.trigger()
    assert not is_shown(layer)
    assert list(QgsProject.instance().mapLayers().values()) == [layer]


def test_two_bands_of_complex_parts_are_one_picture(tmp_path, qgis_new_project, qgis_iface):
    path = write_tiff(tmp_path / "parts.tif", bands=2)
    dataset = gdal.Open(str(path), gdal.GA_Update)
    for number, name in ((1, "i_VV"), (2, "q_VV")):
        dataset.GetRasterBand(number).SetDescription(name)
    stored = dataset.ReadAsArray().astype(float)
    dataset = None
    layer = added(path, qgis_iface)
    show(layer, grey_scale(str(path), None))
    block = picture_of(layer).dataProvider().block(1, layer.extent(), 200, 160)
    assert block.value(3, 5) == pytest.approx(np.hypot(*stored[:, 3, 5]))


def test_a_swath_placed_by_control_points_is_seen_in_its_place(tmp_path, qgis_new_project, qgis_iface):
    path = write_tiff(tmp_path / "swath.tif", epsg=None, stored_as=gdal.GDT_CInt16)
    dataset = gdal.Open(str(path), gdal.GA_Update)
    wgs84 = osr.SpatialReference()
    wgs84.ImportFromEPSG(4326)
    corners = ((0, 0), (200, 0), (0, 160), (200, 160), (100, 80))
    points = [gdal.GCP(117 + x * 1e-4 + y * 2e-5, 36 - y * 1e-4, 0, x, y) for x, y in corners]
    dataset.SetGCPs(points, wgs84.ExportToWkt())
    dataset = None
    layer = added(path, qgis_iface)
    show(layer, grey_scale(str(path), None))
    picture = picture_of(layer)
    assert picture.crs() == layer.crs()
    for edge in ("xMinimum", "xMaximum", "yMinimum", "yMaximum"):
        assert getattr(picture.extent(), edge)() == pytest.approx(getattr(layer.extent(), edge)(), abs=1e-6)
    assert 116.9 < picture.extent().xMinimum() < picture.extent().xMaximum() < 117.1


def test_a_picture_outlives_the_session_and_goes_with_its_layer(entry, qgis_iface, tmp_path, qtbot):
    layer = added(write(tmp_path / "slc.tif", "CInt16"), qgis_iface)
    show(layer, grey_scale(layer.source(), None))
    project = QgsProject.instance()
    assert project.write(str(tmp_path / "project.qgz"))
    project.clear()
    assert project.read(str(tmp_path / "project.qgz"))
    (layer,) = project.mapLayersByName("scene")
    picture = picture_of(layer)
    assert picture.isValid()
    assert scene_of(picture).path == layer.source()
    picture.setDataSource("/gone.vrt", "scene (as the model sees)", "gdal")
    project.readProject.emit(QDomDocument())  # as from a project whose files were moved
    qtbot.waitUntil(lambda: picture_of(layer).isValid())
    project.removeMapLayer(layer.id())
    assert not project.mapLayers()


def test_what_a_picture_shows_must_still_be_there(tmp_path, qgis_iface, qgis_new_project):
    layer = added(write(tmp_path / "slc.tif", "CInt16"), qgis_iface)
    show(layer, grey_scale(layer.source(), None))
    picture = picture_of(layer)
    QgsProject.instance().removeMapLayer(layer.id())
    assert original_of(picture) is None
    with pytest.raises(SceneError, match="not in the project any more"):
        scene_of(picture)


@pytest.mark.parametrize("kind", ["amplitude", "power", "dB", "CFloat32"])
def test_undeclared_fill_is_transparent(qgis_iface, qgis_new_project, tmp_path, kind):
    path = write(tmp_path / "scene.tif", kind, gap=40)
    layer = added(path, qgis_iface)
    show(layer, grey_scale(path, None))
    layer = picture_of(layer) or layer
    block = layer.renderer().block(1, layer.extent(), 150, 120)
    opaque = [[block.color(row, col) >> 24 > 0 for col in range(150)] for row in range(120)]
    assert not np.any(np.array(opaque)[:, :40])
    assert np.all(np.array(opaque)[:, 40:])


def test_what_the_newest_request_said_of_the_numbers_is_so_on_the_map(entry, qgis_iface, tmp_path, qtbot):
    layer = added(write(tmp_path / "scene.tif", "amplitude"), qgis_iface)
    for started, quantity in (("2026-05-02", "grey"), ("2026-05-01", "dB")):
        found = QgsVectorLayer("Polygon", "Detections", "memory")
        found.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps({"id": started, "started": started}))
        request = LayerRequest("scene", Task.DETECT, quantity=quantity, layer_id=layer.id())
        kept = {**request.to_json(), "layer_id": layer.id()}
        found.setCustomProperty(findings_layer.REQUEST_PROPERTY, json.dumps(kept))
        QgsProject.instance().addMapLayer(found)
    qgis_iface.setActiveLayer(layer)
    entry.trigger()
    qtbot.waitUntil(lambda: is_shown(layer))
    seen, judged = (
        SarFile(layer.source(), None, said).grey(0, 0, 150, 120).astype(int) for said in ("grey", None)
    )
    assert np.abs(drawn(layer) - seen).max() <= 1
    assert np.abs(judged - seen).max() > 10


def test_processing_reads_the_file_of_a_picture(qgis_iface, qgis_new_project, tmp_path):
    layer = added(write(tmp_path / "slc.tif", "CInt16"), qgis_iface)
    show(layer, grey_scale(layer.source(), None))
    picture = picture_of(layer)
    for value in (picture, picture.id(), [layer.id(), picture.id()]):
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        (source,) = raster_sources({"INPUT": value}, "INPUT", context)
        assert source.source == layer.source()


def test_without_a_sar_layer_it_says_so(entry, bar, qgis_iface, monkeypatch):
    monkeypatch.setattr(qgis_iface, "activeLayer", lambda: None)
    entry.trigger()
    assert "No layer is active" in bar.currentItem().text()


def test_the_band_that_is_shown_stays_the_one_to_interpret(tmp_path, qgis_new_project, qgis_iface):
    path = write_tiff(tmp_path / "two.tif", bands=2)
    layer = added(path, qgis_iface)
    show(layer, grey_scale(str(path), 2))
    assert scene_of(layer).band == 2
    show(layer, grey_scale(str(path), 2))  # once more: the style from before stays the one to go back to
    show_as_before(layer)
    assert layer.styleManager().styles() == ["default"]

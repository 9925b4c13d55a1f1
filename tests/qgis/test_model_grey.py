"""A layer in the model's grey: what QGIS draws is what the backend's stretch makes, and one press takes it back."""

import numpy as np
import pytest
from conftest import write_tiff
from osgeo import gdal, osr
from qgis.core import QgsProject, QgsRasterLayer, QgsSingleBandPseudoColorRenderer
from qgis.PyQt.QtWidgets import QAction

from fusar_qgis.gui.model_grey import ModelGreyAction
from fusar_qgis.layers.model_grey import grey_limits, is_shown, show, show_as_before
from fusar_qgis.layers.sar_file import SarFile
from fusar_qgis.layers.scene import SceneError, scene_of

SPECKLE = np.random.default_rng(0).rayleigh(1.0, (120, 150)).astype(np.float32)
KINDS = {
    "amplitude": (SPECKLE * 300, gdal.GDT_UInt16, 1.0),
    "power": (SPECKLE**2 * 0.05, gdal.GDT_Float32, 1.0),
    "dB": (20 * np.log10(SPECKLE) - 15, gdal.GDT_Float32, 1.0),
    "scaled dB": ((20 * np.log10(SPECKLE) - 15) * 100, gdal.GDT_Int16, 0.01),
    "grey": (np.clip(SPECKLE * 60, 0, 255), gdal.GDT_Byte, 1.0),
    "complex": (SPECKLE * (1 + 1j), gdal.GDT_CFloat32, 1.0),
}


def write(path, kind):
    numbers, stored_as, scale = KINDS[kind]
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


@pytest.fixture
def entry(qgis_iface, bar):
    entry = QAction("Show", qgis_iface.mainWindow())
    action = ModelGreyAction(qgis_iface, entry)
    yield entry
    action.remove()
    entry.deleteLater()


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "complex"])
def test_one_press_draws_what_the_model_sees_and_the_next_takes_it_back(
    entry, qgis_iface, tmp_path, qtbot, kind
):
    path = write(tmp_path / "scene.tif", kind)
    layer = QgsRasterLayer(path, "scene")
    QgsProject.instance().addMapLayer(layer)
    qgis_iface.setActiveLayer(layer)
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


def test_complex_numbers_say_what_to_do(tmp_path):
    with pytest.raises(SceneError, match="complex numbers"):
        grey_limits(write(tmp_path / "slc.tif", "complex"), None)


def test_without_a_sar_layer_it_says_so(entry, bar, qgis_iface, monkeypatch):
    monkeypatch.setattr(qgis_iface, "activeLayer", lambda: None)
    entry.trigger()
    assert "No layer is active" in bar.currentItem().text()


def test_the_band_that_is_shown_stays_the_one_to_interpret(tmp_path, qgis_new_project):
    path = write_tiff(tmp_path / "two.tif", bands=2)
    layer = QgsRasterLayer(str(path), "two")
    QgsProject.instance().addMapLayer(layer)
    show(layer, *grey_limits(str(path), 2))
    assert scene_of(layer).band == 2
    show(layer, *grey_limits(str(path), 2))  # once more: the style from before stays the one to go back to
    show_as_before(layer)
    assert layer.styleManager().styles() == ["default"]

"""The question's fields become the order, and nothing incomplete can be started."""

import pytest
from conftest import write_tiff
from qgis.core import QgsGeometry, QgsRasterLayer, QgsRectangle
from qgis.PyQt.QtWidgets import QWidget

from fusar_qgis.core.events import Info, Model
from fusar_qgis.gui.order_dialog import OrderDialog
from fusar_qgis.layers.scene import scene_of

TINY = Model("tiny", "FUSAR tiny", True, ("ship", "tank"), (2017, 2024))
LARGE = Model("large", "FUSAR 7B", False, ("ship", "aircraft"), None)


@pytest.fixture
def dialog(qtbot, tmp_path):
    parent = QWidget()
    qtbot.addWidget(parent)
    dialog = OrderDialog(parent)
    layer = QgsRasterLayer(str(write_tiff(tmp_path / "two.tif", bands=2)), "two")
    dialog.layer = layer
    dialog.ask(scene_of(layer), QgsGeometry.fromRect(QgsRectangle(0.1, 1, 2, 3)), "EPSG:32650")
    yield dialog
    dialog.close()


def test_it_waits_for_the_backend(dialog):
    assert dialog.order() is None
    assert not dialog._start.isEnabled()
    assert dialog._waiting.isVisible()
    dialog.offer(Info("0.1.0", "cpu", (TINY,)))
    assert dialog._start.isEnabled()
    assert not dialog._waiting.isVisible()
    assert dialog._caution.isVisible()


def test_the_order_is_what_was_chosen(dialog, tmp_path):
    dialog.offer(Info("0.1.0", "cpu", (TINY, LARGE)))
    dialog._prior.setFilePath(str(tmp_path / "aef.tif"))
    dialog._year.setValue(2021)
    dialog._band.setBand(2)
    order = dialog.order()
    assert (order.task, order.targets, order.model) == ("detect", ("ship",), "tiny")
    assert (order.prior, order.year, order.band) == (str(tmp_path / "aef.tif"), 2021, 2)
    assert order.area["coordinates"][0][0] == [0.1, 1.0]
    assert order.scene == str(tmp_path / "two.tif")


def test_a_year_without_a_prior_and_a_target_without_need_are_not_sent(dialog):
    dialog.offer(Info("0.1.0", "cpu", (TINY,)))
    dialog._year.setValue(2021)
    dialog._task.setCurrentIndex(dialog._task.findData("describe"))
    order = dialog.order()
    assert (order.targets, order.prior, order.year) == ((), "none", None)
    assert not dialog._targets.isEnabled()


def test_another_model_keeps_the_targets_it_knows(dialog):
    dialog.offer(Info("0.1.0", "cpu", (TINY, LARGE)))
    dialog._targets.setCheckedItems(["ship", "tank"])
    dialog._model.setCurrentIndex(1)
    assert dialog.order().targets == ("ship",)
    assert not dialog._caution.isVisible()
    dialog.offer(Info("0.1.0", "cpu", (TINY, LARGE)))
    assert dialog.order().model == "large"

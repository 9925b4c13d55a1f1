"""The first steps: one welcome, the sample scene at a press, the backend's state in the status bar."""

import json
import os

import pytest
from qgis.core import QgsProject, QgsRasterLayer, QgsSettings
from qgis.PyQt.QtWidgets import QAction, QPushButton, QToolButton

from fusar_qgis.gui.options import Options
from fusar_qgis.gui.status import Status
from fusar_qgis.gui.welcome import Welcome
from fusar_qgis.layers.model_grey import is_shown


@pytest.fixture
def options(qgis_iface, bar, backend):
    QgsSettings().remove("fusar/welcome/seen")
    options = Options(qgis_iface, backend)
    yield options
    options.remove()


@pytest.fixture
def button(qgis_iface):
    button = QAction("Interpret SAR", qgis_iface.mainWindow())
    yield button
    button.deleteLater()


@pytest.fixture
def entry(qgis_iface):
    entry = QAction("Open the sample scene", qgis_iface.mainWindow())
    yield entry
    entry.deleteLater()


@pytest.fixture
def welcome(qgis_iface, bar, backend, options, button, entry):
    welcome = Welcome(qgis_iface, backend, options, button, entry)
    yield welcome
    welcome.remove()


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """A ``fusar`` whose samples are these."""
    monkeypatch.setenv("PATH", os.defpath)

    def samples(*listed, status=0):
        script = tmp_path / "fusar"
        words = f'#!/bin/sh\n[ "$*" = "samples --json" ] || exit 2\necho \'{json.dumps(listed)}\'\n'
        script.write_text(f"{words}exit {status}\n")
        script.chmod(0o755)
        monkeypatch.setenv("FUSAR_EXECUTABLE", str(script))

    return samples


def said(bar) -> list[str]:
    return [item.text() for item in bar.items()]


def press(bar, words):
    next(b for item in bar.items() for b in item.findChildren(QPushButton) if b.text() == words).click()


def test_one_welcome_on_the_first_press(welcome, bar, button, options, qgis_iface):
    assert bar.items() == []
    button.trigger()
    assert bar.currentItem().title() == "Welcome to FUSAR-GPT"
    press(bar, "Set up…")
    assert qgis_iface.showOptionsDialog.called
    bar.clearWidgets()
    button.trigger()
    assert bar.items() == []


def test_the_welcome_can_be_called_back(welcome, bar, button):
    button.trigger()
    bar.clearWidgets()
    for _ in range(2):  # never two of them
        welcome.show_again()
        assert [item.title() for item in bar.items()] == ["Welcome to FUSAR-GPT"]


def test_the_sample_is_opened_on_the_map_and_says_that_it_is_simulated(
    welcome, bar, button, samples, standin, scene_path, qgis_iface, qtbot, backend
):
    samples({"scene": str(scene_path), "title": "Harbour", "simulated": True})
    button.trigger()
    press(bar, "Open the sample scene")
    with qtbot.waitSignal(backend.ready):
        pass
    (layer,) = QgsProject.instance().mapLayers().values()
    assert isinstance(layer, QgsRasterLayer)
    assert layer.name() == "Harbour (simulated)"
    assert qgis_iface.activeLayer() is layer
    canvas = qgis_iface.mapCanvas()
    assert canvas.extent().contains(canvas.mapSettings().layerExtentToOutputExtent(layer, layer.extent()))
    assert "press “Interpret SAR” and drag" in bar.currentItem().text()
    assert len(bar.items()) == 1  # the welcome has gone
    qtbot.waitUntil(lambda: is_shown(layer))  # well lit: in the model's grey


def test_the_menu_opens_the_sample_too_and_keeps_the_maps_crs(
    welcome, entry, samples, standin, scene_layer, qtbot, backend
):
    project = QgsProject.instance()
    before = project.crs()
    samples({"scene": scene_layer.source(), "title": "Harbour", "simulated": False})
    with qtbot.waitSignal(backend.ready):
        entry.trigger()
    assert len(project.mapLayers()) == 2
    assert project.crs() == before


def test_without_a_backend_it_says_how_to_get_one(welcome, entry, bar):
    entry.trigger()
    assert "press Install" in bar.currentItem().text()


@pytest.mark.parametrize(
    ("listed", "status", "words"),
    [
        ([], 0, "has no sample scene"),
        ([{"scene": "/gone.tif", "title": "x", "simulated": True}], 0, "has no sample scene"),
        ([{}], 0, "has no sample scene"),
        ([], 1, "does not answer"),
    ],
)
def test_a_backend_without_samples(welcome, entry, bar, samples, qtbot, listed, status, words):
    samples(*listed, status=status)
    entry.trigger()
    qtbot.waitUntil(lambda: bool(said(bar)))
    assert words in said(bar)[0]
    assert QgsProject.instance().mapLayers() == {}


def test_the_status_bar_follows_the_backend(qgis_iface, backend, options, standin, qtbot, bar, monkeypatch):
    status = Status(qgis_iface, backend, options)
    button = qgis_iface.mainWindow().findChild(QToolButton, "FusarStatus")
    assert button.text() == "FUSAR-GPT: not started"
    standin.info = standin.info | {"device": "loading"}
    with qtbot.waitSignal(backend.ready):
        backend.open()
    assert button.text() == "FUSAR-GPT: starting…"
    standin.info = standin.info | {"device": "cuda:0"}
    qtbot.waitUntil(lambda: button.text() == "FUSAR-GPT: ready (cuda:0)")
    assert "FUSAR tiny (demonstration)" in button.toolTip()
    monkeypatch.setenv("FUSAR_URL", "http://127.0.0.1:9")
    with qtbot.waitSignal(backend.failed):
        backend.open()
    assert button.text() == "FUSAR-GPT: stopped"
    assert "nothing listens there" in button.toolTip()
    backend.restarted.emit()
    assert "started again" in bar.currentItem().text()
    button.click()
    assert qgis_iface.showOptionsDialog.called
    status.remove()

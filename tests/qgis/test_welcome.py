"""The first steps: one welcome, the sample scene at a press, the backend's state in the status bar."""

import json
import os

import pytest
from qgis.core import QgsProject, QgsRasterLayer, QgsSettings, QgsVectorLayer
from qgis.PyQt.QtWidgets import QAction, QPushButton, QToolButton

from fusar_qgis.gui.options import Options
from fusar_qgis.gui.status import Status
from fusar_qgis.gui.welcome import Welcome
from fusar_qgis.layers.findings_layer import RUN_PROPERTY
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
def findings(qgis_iface):
    findings = QAction("Findings", qgis_iface.mainWindow())
    findings.setCheckable(True)
    yield findings
    findings.deleteLater()


@pytest.fixture
def welcome(qgis_iface, bar, backend, options, button, entry, findings):
    welcome = Welcome(qgis_iface, backend, options, button, entry, findings)
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


def buttons(bar, item=None) -> list[str]:
    found = (item or bar.currentItem()).findChildren(QPushButton)
    return [button.text() for button in found if not button.isHidden()]


def test_one_welcome_on_the_first_press(welcome, bar, button, options, qgis_iface, standin):
    assert bar.items() == []
    button.trigger()
    assert bar.currentItem().title() == "Welcome to FUSAR-GPT"
    press(bar, "Set up…")
    assert qgis_iface.showOptionsDialog.called
    bar.clearWidgets()
    button.trigger()
    assert bar.items() == []


def test_the_first_press_is_answered_once(plugin, action, bar):
    QgsSettings().remove("fusar/welcome/seen")
    action.trigger()
    assert [item.title() for item in bar.items()] == ["Welcome to FUSAR-GPT"]
    bar.clearWidgets()
    action.trigger()
    assert [item.title() for item in bar.items()] == ["Interpret SAR"]
    assert "Select a SAR layer" in bar.currentItem().text()


def test_a_backend_that_is_missing_has_a_button_wherever_it_is_missed(plugin, action, bar, scene_layer):
    action.trigger()
    assert "No FUSAR-GPT backend was found" in bar.currentItem().text()
    assert {"Install…", "Choose a server…"} <= set(buttons(bar))


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
    assert bar.currentItem().text().startswith("Press “Interpret SAR”, drag a box over the harbour")
    assert buttons(bar) == []
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


def test_without_a_backend_there_is_a_button_to_one(welcome, entry, button, bar, options, qgis_iface):
    entry.trigger()
    assert "press Install" in bar.currentItem().text()
    assert buttons(bar) == ["Install…", "Choose a server…"]
    bar.clearWidgets()
    QgsSettings().remove("fusar/welcome/seen")
    button.trigger()
    assert bar.currentItem().text() == "The program that runs the model is not installed yet."
    assert buttons(bar) == ["Install…", "Choose a server…"]
    chosen = []
    qgis_iface.showOptionsDialog.side_effect = lambda *_: chosen.append(
        options.make_page(None).tabs.currentIndex()
    )
    press(bar, "Choose a server…")
    press(bar, "Install…")
    assert chosen == [1, 0]


def test_the_next_step_follows_what_has_been_done(
    welcome, bar, options, samples, scene_path, findings, qgis_iface, qtbot
):
    welcome.show_again()
    item = bar.currentItem()
    samples({"scene": str(scene_path), "title": "Harbour", "simulated": True})  # there is a backend now
    options.environment.ended.emit(True, "The backend is installed and works.")
    qtbot.waitUntil(lambda: item.text() == "Add a SAR image as a layer, or try the plugin on a sample.")
    assert buttons(bar, item) == ["Open the sample scene", "Set up…"]
    layer = QgsRasterLayer(str(scene_path), "mine")
    QgsProject.instance().addMapLayer(layer)
    qtbot.waitUntil(lambda: "part of your SAR layer" in item.text())
    found = QgsVectorLayer("Polygon?crs=EPSG:32650", "detections", "memory")
    found.setCustomProperty(RUN_PROPERTY, json.dumps({"id": "1"}))
    QgsProject.instance().addMapLayer(found)
    qtbot.waitUntil(lambda: buttons(bar, item) == ["Show the findings"])
    press(bar, "Show the findings")
    assert findings.isChecked()
    assert item not in bar.items()
    QgsProject.instance().removeMapLayer(found)
    welcome.show_again()
    assert "part of your SAR layer" in bar.currentItem().text()


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
    assert buttons(bar)[-1] == "Set up…"
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


def test_the_status_bar_says_that_nothing_is_installed(qgis_iface, backend, options, tmp_path, monkeypatch):
    status = Status(qgis_iface, backend, options)
    button = qgis_iface.mainWindow().findChild(QToolButton, "FusarStatus")
    assert button.text() == "FUSAR-GPT: not installed"
    (tmp_path / "fusar").touch(mode=0o755)
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(tmp_path / "fusar"))
    options.environment.ended.emit(True, "The backend is installed and works.")
    assert button.text() == "FUSAR-GPT: not started"
    status.remove()

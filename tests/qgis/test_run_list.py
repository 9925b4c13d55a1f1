"""The list of runs: what it says of each, and what its buttons do."""

import json

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QInputDialog, QMessageBox, QWidget

from fusar_qgis.contract import Task
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.findings.run_list import RunList
from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.project_runs import ProjectRuns

REQUEST = LayerRequest("/data/harbour.tif", Task.DETECT, ("ship",), None, "EPSG:32650").to_json()


def add(name: str, started: str, boxes: int, seconds: str) -> QgsVectorLayer:
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32650", "Detections", "memory")
    run = {"id": name, "task": "detect", "targets": "ship", "started": started, "scene": "harbour.tif"}
    run |= {"model": "tiny", "demonstration": True, "prior": "none"}
    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps(run))
    layer.setCustomProperty(findings_layer.KIND_PROPERTY, "detections")
    layer.setCustomProperty(findings_layer.REQUEST_PROPERTY, json.dumps(REQUEST))
    layer.setCustomProperty(findings_layer.SECONDS_PROPERTY, seconds)
    for number in range(boxes):
        box = QgsFeature()
        left = 500000 + 100 * number
        box.setGeometry(QgsGeometry.fromRect(QgsRectangle(left, 3999000, left + 20, 3999010)))
        layer.dataProvider().addFeatures([box])
    layer.updateExtents()
    QgsProject.instance().addMapLayer(layer, False)
    QgsProject.instance().layerTreeRoot().addGroup(f"Detect ship {name}").addLayer(layer)
    return layer


@pytest.fixture
def again() -> list:
    return []


@pytest.fixture
def shown(qgis_iface, qgis_new_project, qtbot, again):
    add("early", "2026-01-02T03:04:05Z", 3, "9.5")
    add("late", "2026-01-03T03:04:05Z", 12, "100.0")
    runs, parent = ProjectRuns(QgsProject.instance()), QWidget()
    qtbot.addWidget(parent)
    yield RunList(qgis_iface, runs, again.append, parent)
    runs.remove()


def column(shown: RunList, number: int) -> list[str]:
    return [shown.table.topLevelItem(row).text(number) for row in range(shown.table.topLevelItemCount())]


def choose(shown: RunList, row: int) -> None:
    shown.table.setCurrentItem(shown.table.topLevelItem(row))


def test_the_newest_stands_first_with_what_came_out(shown):
    assert column(shown, 1) == ["Detect ship late", "Detect ship early"]
    assert column(shown, 2) == ["12", "3"]
    assert column(shown, 4) == ["tiny (demonstration)"] * 2
    assert column(shown, 6) == ["100.0 s", "9.5 s"]


def test_numbers_sort_as_numbers(shown):
    for number in (2, 6):
        shown.table.sortByColumn(number, Qt.SortOrder.AscendingOrder)
        assert column(shown, 2) == ["3", "12"]


def test_a_run_that_comes_or_goes_is_listed_or_not(shown, qtbot):
    layer = add("third", "2026-01-04T03:04:05Z", 1, "1")
    qtbot.waitUntil(lambda: shown.table.topLevelItemCount() == 3)
    QgsProject.instance().removeMapLayer(layer.id())
    qtbot.waitUntil(lambda: shown.table.topLevelItemCount() == 2)


def test_its_ground_is_shown(shown, qgis_iface):
    canvas = qgis_iface.mapCanvas()
    canvas.setDestinationCrs(next(iter(QgsProject.instance().mapLayers().values())).crs())
    canvas.setExtent(QgsRectangle(0, 0, 10, 10))
    choose(shown, 0)
    shown.open()
    assert canvas.extent().contains(QgsRectangle(500000, 3999000, 501120, 3999010))


def test_the_same_is_asked_again(shown, again):
    choose(shown, 1)
    shown.repeat()
    assert [(request.task, request.targets) for request in again] == [(Task.DETECT, ("ship",))]


def test_a_new_name_is_the_groups_too(shown, monkeypatch):
    choose(shown, 0)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("North basin", True))
    shown.rename()
    assert column(shown, 1)[0] == "North basin"
    assert QgsProject.instance().layerTreeRoot().findGroup("North basin") is not None


@pytest.mark.parametrize("sure", [True, False])
def test_it_is_removed_only_after_a_yes_that_says_what_is_lost(shown, monkeypatch, qtbot, sure):
    said = []

    def answer(_parent, _title, text, *_):
        said.append(text)
        return QMessageBox.StandardButton.Yes if sure else QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", answer)
    choose(shown, 0)
    shown.discard()
    assert "only in memory and are lost" in said[0]
    if sure:
        qtbot.waitUntil(lambda: column(shown, 1) == ["Detect ship early"])
    assert (QgsProject.instance().layerTreeRoot().findGroup("Detect ship late") is None) == sure


def test_without_a_choice_no_button_can_be_pressed(shown):
    assert not any(button.isEnabled() for button in shown._buttons)
    choose(shown, 0)
    assert all(button.isEnabled() for button in shown._buttons)

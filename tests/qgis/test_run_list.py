"""The list of runs: what it says of each, what can be done with one, and which is in front."""

import json
from types import SimpleNamespace

import pytest
from qgis.core import QgsFeature, QgsGeometry, QgsProject, QgsRectangle, QgsVectorLayer
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtWidgets import QInputDialog, QMessageBox, QPushButton, QWidget

from fusar_qgis import compat
from fusar_qgis.contract import Task
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.exporting import Exporting
from fusar_qgis.gui.findings.repetition import Repetition
from fusar_qgis.gui.findings.run_comparison import RunComparison
from fusar_qgis.gui.findings.run_list import RunList
from fusar_qgis.gui.findings.run_rows import DURATION, MODEL, RESULT, RUN
from fusar_qgis.gui.prior_comparison import EffectTable
from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.features import BOX
from fusar_qgis.layers.project_runs import ProjectRuns, keep_run, runs_in
from fusar_qgis.layers.run_focus import HIDE, RunFocus

REQUEST = LayerRequest("/data/harbour.tif", Task.DETECT, ("ship",), None, "EPSG:32650").to_json()
LEFT, TOP = 500000, 3999000


def properties(name: str, started: str, seconds: str, **about) -> dict[str, str]:
    run = {"id": name, "task": "detect", "targets": "ship", "started": started, "scene": "harbour.tif"}
    run |= {"model": "tiny", "demonstration": True, "prior": "none", "scene_crs": "EPSG:32650"}
    run |= {"scene_fingerprint": "same", "area": area(LEFT - 100, 2000), **about}
    return {
        findings_layer.RUN_PROPERTY: json.dumps(run),
        findings_layer.REQUEST_PROPERTY: json.dumps(REQUEST),
        findings_layer.SECONDS_PROPERTY: seconds,
        findings_layer.STATUS_PROPERTY: "successful",
    }


def area(left: int, width: int) -> str:
    return QgsGeometry.fromRect(QgsRectangle(left, TOP - 1000, left + width, TOP + 1000)).asWkt()


def add(name: str, started: str, boxes: list[int], seconds: str = "9.5", **about) -> QgsVectorLayer:
    """Add a run with a box of 20 x 10 m at each of ``boxes``, in metres from the left."""
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32650", "Detections", "memory")
    fields = [compat.field(one, float) for one in BOX] + [
        compat.field("label", str),
        compat.field("review", str),
    ]
    layer.dataProvider().addAttributes(fields)
    layer.updateFields()
    for key, value in properties(name, started, seconds, **about).items():
        layer.setCustomProperty(key, value)
    layer.setCustomProperty(findings_layer.KIND_PROPERTY, "detections")
    for place in boxes:
        box = QgsFeature(layer.fields())
        box.setGeometry(QgsGeometry.fromRect(QgsRectangle(LEFT + place, TOP, LEFT + place + 20, TOP + 10)))
        box.setAttributes([place, 0.0, place + 20.0, 10.0, "ship", None])
        layer.dataProvider().addFeatures([box])
    layer.updateExtents()
    QgsProject.instance().addMapLayer(layer, False)
    QgsProject.instance().layerTreeRoot().addGroup(f"Detect ship {name}").addLayer(layer)
    return layer


@pytest.fixture
def asked() -> list:
    return []


@pytest.fixture
def shown(qgis_iface, qgis_new_project, qtbot, bar, asked):
    add("early", "2026-01-02T03:04:05Z", [0, 100, 200])
    add("late", "2026-01-03T03:04:05Z", [*range(100, 1300, 100)], "100.0")
    parent = QWidget()
    qtbot.addWidget(parent)
    runs = ProjectRuns(parent)
    focus, comparison = RunFocus(runs, parent), RunComparison(qgis_iface, parent)
    repetition = Repetition(qgis_iface, runs, lambda *what: asked.append(what), comparison, parent)
    exporting = Exporting(qgis_iface, parent)
    made = RunList(qgis_iface, runs, focus, repetition, comparison, exporting, parent)
    made.resize(300, 500)
    yield made
    repetition.remove()
    comparison.remove()
    made.remove()
    focus.remove()
    runs.remove()


def column(shown: RunList, number: int, line: int = 0) -> list[str]:
    rows = range(shown.table.topLevelItemCount())
    return [shown.table.topLevelItem(row).text(number).split("\n")[line] for row in rows]


def choose(shown: RunList, row: int) -> None:
    shown.table.setCurrentItem(shown.table.topLevelItem(row))


def test_the_newest_stands_first_with_what_came_out(shown):
    assert column(shown, RUN) == ["Detect ship late", "Detect ship early"]
    assert column(shown, RUN, 1)[0].endswith(":04 · 2.0 x 2.0 km")
    assert "2026" in shown.table.topLevelItem(0).toolTip(RUN)
    assert column(shown, RESULT) == ["12 detections", "3 detections"]
    assert column(shown, RESULT, 1) == ["finished · 100.0 s", "finished · 9.5 s"]
    assert column(shown, MODEL) == ["tiny (demonstration)"] * 2
    assert column(shown, MODEL, 1) == ["no prior"] * 2
    assert column(shown, DURATION) == ["100.0 s", "9.5 s"]


def test_numbers_sort_as_numbers(shown):
    for number in (RESULT, DURATION):
        shown.table.sortByColumn(number, Qt.SortOrder.AscendingOrder)
        assert column(shown, RESULT) == ["3 detections", "12 detections"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("successful", "nothing found|finished · 1.0 s"),
        ("dismissed", "no findings|cancelled · 1.0 s"),
        ("failed", "no findings|failed · 1.0 s"),
    ],
)
def test_that_nothing_was_found_is_said_only_of_a_run_that_ended(shown, qtbot, status, said):
    kept = properties("empty", "2026-01-04T03:04:05Z", "1.0", prior="file", prior_year=2023)
    keep_run(QgsProject.instance(), kept | {findings_layer.STATUS_PROPERTY: status})
    shown.refresh()
    assert shown.table.topLevelItem(0).text(RESULT) == said.replace("|", "\n")
    assert column(shown, MODEL, 1)[0] == "prior file 2023"
    choose(shown, 0)
    shown.open()  # there is no layer to make the active one
    assert shown.actions_of_run["again"].isEnabled()


def test_counts_and_cells_are_said_as_the_run_has_said_them(shown):
    layer = add("count", "2026-01-04T03:04:05Z", [0, 100])
    counted = {"target": "ship", "number": 7, "complete": False, "method": "", "agreement": None, "chips": 1}
    kept = {"counts": [counted], "cells": {"plane": [0, 36]}}
    layer.setCustomProperty(findings_layer.RESULT_PROPERTY, json.dumps(kept))
    shown.refresh()
    assert column(shown, RESULT)[0] == "ship: at least 7, no plane in 36 cells, 2 detections"
    layer.setCustomProperty(findings_layer.RESULT_PROPERTY, json.dumps({"counts": [7], "cells": 7}))
    shown.refresh()
    assert column(shown, RESULT)[0] == "2 detections"


def test_a_narrow_dock_shows_the_run_and_its_result(shown):
    assert shown.table.columnWidth(RUN) + shown.table.columnWidth(RESULT) <= 290
    assert shown.minimumSizeHint().width() <= 300
    shown.table.setColumnWidth(RUN, 77)
    shown.refresh()
    assert shown.table.columnWidth(RUN) == 77  # as the analyst has left it


def test_a_run_that_comes_or_goes_is_listed_or_not(shown, qtbot):
    layer = add("third", "2026-01-04T03:04:05Z", [1])
    qtbot.waitUntil(lambda: shown.table.topLevelItemCount() == 3)
    QgsProject.instance().removeMapLayer(layer.id())
    qtbot.waitUntil(lambda: shown.table.topLevelItemCount() == 2)


def test_its_ground_is_shown(shown, qgis_iface):
    canvas = qgis_iface.mapCanvas()
    canvas.setDestinationCrs(next(iter(QgsProject.instance().mapLayers().values())).crs())
    canvas.setExtent(QgsRectangle(0, 0, 10, 10))
    choose(shown, 0)
    shown.open()
    assert canvas.extent().contains(QgsRectangle(LEFT - 100, TOP - 1000, LEFT + 1900, TOP + 1000))


def test_the_selected_run_is_in_front_and_the_others_are_dimmed(shown, qtbot):
    early, late = findings_layer.findings_layers(QgsProject.instance())
    choose(shown, 0)
    assert (early.opacity(), late.opacity()) == (0.3, 1)
    assert shown.note.text() == "1 run over the same ground dimmed on the map"
    shown.others.setCurrentIndex(shown.others.findData(HIDE))
    shown.others.activated.emit(shown.others.currentIndex())
    assert (early.opacity(), late.opacity()) == (1, 1)
    assert shown.note.text() == "1 run hidden on the map"
    assert not QgsProject.instance().layerTreeRoot().findLayer(early.id()).isVisible()


def answer(monkeypatch, button: str) -> list[str]:
    """Press the button of the next question; return what it says."""
    said = []

    def press(box):
        said.append(f"{box.text()} {box.informativeText()}")
        next(one for one in box.findChildren(QPushButton) if one.text() == button).click()
        return 0

    monkeypatch.setattr(QMessageBox, "exec", press)
    return said


def over(name: str, succeeded: bool = True) -> SimpleNamespace:
    """What tells of a new run's end."""
    return SimpleNamespace(run={"id": name}, succeeded=succeeded)


def names() -> set[str]:
    return {run.id for run in runs_in(QgsProject.instance())}


def test_the_same_is_asked_again_and_replaces_the_old_run_when_it_has_ended(
    shown, asked, monkeypatch, qtbot, bar
):
    choose(shown, 1)
    layer = findings_layer.findings_layers(QgsProject.instance())[0]
    layer.dataProvider().changeAttributeValues({1: {5: "accepted"}})
    shown._focus.choose("early")
    said = answer(monkeypatch, "Replace")
    shown.repeat()
    assert "1 decision of your review will leave" in said[0]
    ((request, then),) = asked
    assert (request.task, request.targets) == (Task.DETECT, ("ship",))
    add("new", "2026-01-05T03:04:05Z", [0, 100])
    assert names() == {"early", "late", "new"}  # not before
    then(over("new"))
    assert names() == {"late", "new"}
    assert {run.id: run.name for run in runs_in(QgsProject.instance())}["new"] == "Detect ship early"
    assert "has replaced “Detect ship early”" in bar.currentItem().text()


@pytest.mark.parametrize("end", [over("new", succeeded=False), over("never begun", succeeded=False)])
def test_a_run_that_did_not_end_well_replaces_nothing(shown, asked, monkeypatch, bar, end):
    choose(shown, 1)
    answer(monkeypatch, "Replace")
    shown.repeat()
    add("new", "2026-01-05T03:04:05Z", [0])
    asked[0][1](end)
    assert names() == {"early", "late", "new"}
    assert "stay" in bar.currentItem().text()


def test_cancel_asks_nothing_again(shown, asked, monkeypatch):
    choose(shown, 1)
    answer(monkeypatch, "Cancel")
    shown.repeat()
    assert not asked


def changes() -> dict[str, list[float]]:
    """What the layer of a comparison says, by change: how far left the boxes lie."""
    (layer,) = (one for one in QgsProject.instance().mapLayers().values() if "compared with" in one.name())
    found: dict[str, list[float]] = {}
    for feature in layer.getFeatures():
        left = round(feature.geometry().boundingBox().xMinimum() - LEFT)
        found.setdefault(feature["change"], []).append(left)
    return found


def test_both_are_kept_and_compared(shown, asked, monkeypatch, qgis_iface):
    choose(shown, 1)
    answer(monkeypatch, "Keep both and compare")
    shown.repeat()
    add("new", "2026-01-05T03:04:05Z", [100, 205, 300])
    asked[0][1](over("new"))
    assert names() == {"early", "late", "new"}
    assert changes() == {"same": [100], "moved": [205], "added": [300], "removed": [0]}
    (table,) = qgis_iface.mainWindow().findChildren(EffectTable)[-1:]
    assert [table.table.item(0, place).text() for place in range(4)] == ["1", "1", "1", "1"]
    headers = [table.table.horizontalHeaderItem(place).text() for place in range(4)]
    assert headers == ["new", "gone", "moved", "same"]


def test_only_common_ground_is_compared_also_of_another_scene(shown, qgis_iface):
    about = {"area": area(LEFT + 650, 2000), "scene_fingerprint": "another"}
    add("beside", "2026-01-05T03:04:05Z", [700, 1250], **about)
    shown.refresh()
    choose(shown, 0)
    shown._list_counterparts()
    listed = [action.text() for action in shown._compare_menu.actions()]
    assert listed == ["Detect ship early: 3 detections", "Detect ship late: 12 detections"]
    shown._compare_menu.actions()[1].trigger()
    assert {name: sorted(places) for name, places in changes().items()} == {
        "same": [700], "added": [1250], "removed": [800, 900, 1000, 1100, 1200],
    }  # fmt: skip
    table = qgis_iface.mainWindow().findChildren(EffectTable)[-1]
    said = table.layout().itemAt(0).widget().text()
    assert "Not compared, as only one of the runs has looked there: 6 detections." in said
    assert "The scenes are not the same" in said


def test_there_is_nothing_to_compare_with_elsewhere(shown):
    add("far", "2026-01-05T03:04:05Z", [0], area=area(LEFT + 90_000, 100))
    shown.refresh()
    choose(shown, 0)
    assert not shown.actions_of_run["compare"].isEnabled()
    assert "no other run" in shown.actions_of_run["compare"].toolTip()


def test_a_new_name_is_the_groups_too(shown, monkeypatch):
    choose(shown, 0)
    monkeypatch.setattr(QInputDialog, "getText", lambda *_: ("North basin", True))
    shown.rename()
    assert column(shown, RUN)[0] == "North basin"
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
        qtbot.waitUntil(lambda: column(shown, RUN) == ["Detect ship early"])
    assert (QgsProject.instance().layerTreeRoot().findGroup("Detect ship late") is None) == sure


def test_without_a_choice_nothing_can_be_done(shown):
    assert not any(action.isEnabled() for action in shown.actions_of_run.values())
    choose(shown, 0)
    assert all(action.isEnabled() for action in shown.actions_of_run.values())


def test_keys_do_what_the_menu_does(shown, qtbot, monkeypatch):
    done = []
    for name in ("zoom", "rename", "remove"):
        shown.actions_of_run[name].triggered.disconnect()
        shown.actions_of_run[name].triggered.connect(lambda _=False, name=name: done.append(name))
    choose(shown, 0)
    for key in (Qt.Key.Key_Return, Qt.Key.Key_F2, Qt.Key.Key_Delete):
        qtbot.keyClick(shown.table, key)
    assert done == ["zoom", "rename", "remove"]


def test_the_file_of_a_report_is_asked_for_by_the_runs_name(shown):
    choose(shown, 0)
    shown.report()
    dialog = shown._exporting._dialog
    assert dialog.windowTitle() == "Report of “Detect ship late”"
    assert dialog.selectedFiles()[0].endswith("_Detect_ship_late.pdf")
    dialog.reject()

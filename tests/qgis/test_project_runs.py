"""The runs of a project, and word of those that come and go."""

import json
import zipfile

import pytest
from qgis.core import QgsPalLayerSettings, QgsProject, QgsVectorLayer, QgsVectorLayerSimpleLabeling
from qgis.PyQt.QtCore import QObject
from test_results import finding

from fusar_qgis.contract import Found, Task
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.project_runs import (
    ProjectRuns,
    common_ground,
    remove_run,
    rename_run,
    runs_in,
)
from fusar_qgis.layers.run_focus import DIM, HIDE, LEAVE, RunFocus
from fusar_qgis.layers.run_layers import RunLayers

REQUEST = LayerRequest("/data/harbour.tif", Task.DETECT, ("ship",), None, "EPSG:32650").to_json()


def square(left: int, side: int = 100) -> str:
    right = left + side
    return f"POLYGON(({left} 0, {right} 0, {right} {side}, {left} {side}, {left} 0))"


def about(run: str, area: str = "") -> dict:
    return {"id": run, "task": "detect", "area": area, "scene_crs": "EPSG:32650"}


def add(run: str, kind: str, area: str = "") -> QgsVectorLayer:
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32650", kind, "memory")
    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps(about(run, area)))
    layer.setCustomProperty(findings_layer.KIND_PROPERTY, kind)
    layer.setCustomProperty(findings_layer.SCENE_PROPERTY, "/data/harbour.tif")
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_layers_of_one_run_are_one_run_and_others_are_none(qgis_new_project, qgis_app, qtbot):
    runs = ProjectRuns(QgsProject.instance())
    with qtbot.waitSignal(runs.changed):
        add("a", "detections")
        add("a", "answers")
        add("b", "grid")
    QgsProject.instance().addMapLayer(QgsVectorLayer("Point", "towns", "memory"))
    found = {run.id: run for run in runs.all()}
    assert set(found) == {"a", "b"}
    assert set(found["a"].layers) == {"detections", "answers"}
    assert found["a"].scene == "/data/harbour.tif"
    assert found["a"].run["task"] == "detect"
    runs.remove()


def test_what_happens_together_is_told_once(qgis_new_project, qgis_app, qtbot):
    runs, told = ProjectRuns(QgsProject.instance()), []
    runs.changed.connect(lambda: told.append(True))
    layers = [add("a", "detections"), add("b", "detections")]
    qtbot.waitUntil(lambda: bool(told))
    QgsProject.instance().removeMapLayers([layer.id() for layer in layers])
    qtbot.waitUntil(lambda: len(told) == 2)
    qtbot.wait(120)
    assert len(told) == 2
    assert not runs.all()
    runs.remove()


@pytest.fixture
def project(qgis_new_project, qgis_app) -> QgsProject:
    return QgsProject.instance()


def look_and_find_nothing(project, qtbot, status: str = "successful") -> None:
    layers = RunLayers(about("empty", square(0)), project, "/data/harbour.tif", REQUEST)
    with qtbot.waitSignal(layers.destroyed):
        layers.finish(["Half of it has no data."], status)


@pytest.mark.parametrize("status", ["successful", "dismissed", "failed"])
def test_a_run_that_found_nothing_is_one_too_also_when_the_project_is_opened_again(
    project, qtbot, tmp_path, status
):
    look_and_find_nothing(project, qtbot, status)
    assert project.isDirty()
    assert project.write(str(tmp_path / "survey.qgz"))
    project.clear()
    assert not runs_in(project)
    assert project.read(str(tmp_path / "survey.qgz"))
    (run,) = runs_in(project)
    assert (run.id, run.layers, run.status) == ("empty", {}, status)
    assert run.seconds is not None
    assert run.request.targets == ("ship",)
    assert run.run["warnings"] == "Half of it has no data."
    assert run.ground()[0].area() == 100 * 100


def test_a_run_is_there_from_its_start_and_its_layers_take_its_place(project, qtbot):
    layers = RunLayers(about("new"), project)
    (run,) = runs_in(project)
    assert (run.id, run.status, run.layers) == ("new", "", {})
    layers.add(Found((finding(1),)))
    with qtbot.waitSignal(layers.destroyed):
        layers.finish()
    (run,) = runs_in(project)
    assert set(run.layers) == {"detections"}
    assert project.readEntry("fusar", "/runs", "")[0] == "[]"


def test_it_is_renamed_and_removed(project, qtbot):
    look_and_find_nothing(project, qtbot)
    (run,) = runs_in(project)
    assert (run.name, run.is_named) == ("100 x 100 m · Detect", False)
    rename_run(project, run, "North basin")
    (run,) = runs_in(project)
    assert (run.name, run.is_named) == ("North basin", True)
    remove_run(project, run)
    assert not runs_in(project)


def test_a_run_of_a_closed_project_is_not_kept_in_the_next(project, qtbot):
    layers = RunLayers(about("empty"), project)

    def cancel():
        layers.finish((), "dismissed")  # as the run does, too late

    project.cleared.connect(cancel)
    with qtbot.waitSignal(layers.destroyed):
        project.clear()
    project.cleared.disconnect(cancel)
    assert not runs_in(project)


def test_what_is_unreadable_is_no_run(project):
    for kept in ("no JSON", "7", "[7]"):
        project.writeEntry("fusar", "/runs", kept)
        assert not runs_in(project)


def test_the_ground_that_two_runs_looked_at(project):
    for name, left in (("a", 0), ("b", 50), ("c", 100)):
        add(name, "detections", square(left))
    one, over_it, beside = runs_in(project)
    assert common_ground(one, over_it)[0].area() == 50 * 100
    assert common_ground(one, beside)[0].isEmpty()  # they share an edge alone


@pytest.fixture
def focus(project):
    parent = QObject()
    runs = ProjectRuns(parent)
    made = RunFocus(runs, parent)
    yield made
    made.remove()
    runs.remove()


def opacities(*layers) -> list[float]:
    return [round(layer.opacity(), 6) for layer in layers]


def test_runs_over_the_ground_of_the_current_one_are_dimmed_and_no_others(project, focus):
    old, far, new = (
        add(name, "detections", square(left)) for name, left in (("o", 0), ("f", 500), ("n", 50))
    )
    old.setOpacity(0.8)
    project.setDirty(False)
    focus.choose("n")
    assert opacities(old, far, new) == [0.24, 1, 1]
    assert focus.dimmed == 1
    focus.choose("o")
    assert opacities(old, far, new) == [0.8, 1, 0.3]
    focus.treat_others(LEAVE)
    assert opacities(old, far, new) == [0.8, 1, 1]
    assert not project.isDirty()


def test_a_dimmed_layer_is_saved_with_its_own_opacity_and_labels(project, focus, tmp_path):
    old = add("o", "detections", square(0))
    old.setOpacity(0.8)
    old.setLabeling(QgsVectorLayerSimpleLabeling(QgsPalLayerSettings()))
    old.setLabelsEnabled(True)
    add("n", "detections", square(50))
    focus.choose("n")
    assert project.write(str(tmp_path / "survey.qgz"))
    assert opacities(old) == [0.24]
    assert not old.labelsEnabled()
    text = zipfile.ZipFile(tmp_path / "survey.qgz").read("survey.qgs").decode()
    assert "<layerOpacity>0.8</layerOpacity>" in text
    assert "0.24" not in text
    assert text.count('labelsEnabled="1"') == 1
    focus.choose("")
    assert old.labelsEnabled()
    project.clear()
    assert project.read(str(tmp_path / "survey.qgz"))
    (again,) = (layer for layer in project.mapLayers().values() if layer.opacity() != 1)
    assert again.labelsEnabled()


def test_an_opacity_that_the_analyst_sets_meanwhile_stays(project, focus, tmp_path):
    old, _ = add("o", "detections", square(0)), add("n", "detections", square(50))
    focus.choose("n")
    old.setOpacity(0.5)
    assert project.write(str(tmp_path / "survey.qgz"))
    assert (
        "<layerOpacity>0.5</layerOpacity>"
        in zipfile.ZipFile(tmp_path / "survey.qgz").read("survey.qgs").decode()
    )
    focus.choose("")
    assert opacities(old) == [0.5]


def test_others_are_hidden_until_they_are_dimmed_again(project, focus):
    hidden_before, old, new = (add(name, "detections", square(0)) for name in "hon")
    nodes = [project.layerTreeRoot().findLayer(layer.id()) for layer in (hidden_before, old, new)]
    nodes[0].setItemVisibilityChecked(False)
    focus.treat_others(HIDE)
    focus.choose("n")
    assert [node.itemVisibilityChecked() for node in nodes] == [False, False, True]
    focus.choose("o")
    assert [node.itemVisibilityChecked() for node in nodes] == [False, True, False]
    focus.treat_others(DIM)
    assert [node.itemVisibilityChecked() for node in nodes] == [False, True, True]


def test_an_empty_run_in_front_dims_what_it_did_not_find_again(project, focus, qtbot):
    old = add("o", "detections", square(0))
    look_and_find_nothing(project, qtbot)
    focus.choose("empty")
    assert opacities(old) == [0.3]
    focus.choose("")
    assert opacities(old) == [1]


def test_a_run_that_begins_comes_to_the_front_and_is_not_dimmed_while_it_goes_on(project, focus, qtbot):
    old = add("o", "detections", square(0))
    focus.choose("o")
    layers = RunLayers(about("new", square(50)), project)
    new = add("new", "detections", square(50))  # its first finding
    qtbot.waitUntil(lambda: focus.current == "new")
    assert opacities(old, new) == [0.3, 1]
    focus.choose("o")
    assert opacities(old, new) == [1, 1]
    with qtbot.waitSignal(layers.destroyed):
        layers.finish()
    focus._apply()
    assert focus.current == "o"  # as the analyst has chosen
    assert opacities(old, new) == [1, 0.3]

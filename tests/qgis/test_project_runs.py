"""The runs of a project, and word of those that come and go."""

import json

from qgis.core import QgsProject, QgsVectorLayer

from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.project_runs import ProjectRuns


def add(run: str, kind: str) -> QgsVectorLayer:
    layer = QgsVectorLayer("MultiPolygon?crs=EPSG:32650", kind, "memory")
    layer.setCustomProperty(findings_layer.RUN_PROPERTY, json.dumps({"id": run, "task": "detect"}))
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

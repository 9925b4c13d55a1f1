"""A run that pauses, asks before it is long, and goes on after its project or its backend was away."""

import json
from dataclasses import replace

import pytest
from qgis.core import QgsProject
from qgis.PyQt.QtWidgets import QAction, QPushButton
from standin import CHIPS

from fusar_qgis.connection.backend import STARTING, Backend
from fusar_qgis.contract import Task, read_outline
from fusar_qgis.core.request import LayerRequest
from fusar_qgis.gui.interpretation import Interpretation
from fusar_qgis.gui.known_rates import keep_large_run, keep_rate, known_rate, rate_key
from fusar_qgis.layers import findings_layer
from fusar_qgis.layers.unfinished_runs import UnfinishedRun, keep_unfinished, unfinished_runs

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [90, 90], [0, 90], [0, 0]]]}


@pytest.fixture
def runs(standin, bar, qgis_iface):
    backend, action = Backend(), QAction(qgis_iface.mainWindow())
    part = Interpretation(qgis_iface, backend, action)
    yield part.runs
    part.remove()
    backend.close()
    action.deleteLater()


def order(target="ship", **choices):
    asked = LayerRequest("/data/harbour.tif", Task.DETECT, (target,), read_outline(SQUARE), "EPSG:32650")
    return replace(asked, network_settled=True, **choices)


def said(bar, words) -> bool:
    return any(words in item.text() for item in bar.items())


def button(bar, words) -> QPushButton:
    return next(b for item in bar.items() for b in item.findChildren(QPushButton) if b.text() == words)


def detections():
    return [
        layer
        for layer in findings_layer.findings_layers(QgsProject.instance())
        if layer.customProperty(findings_layer.KIND_PROPERTY) == "detections"
    ]


def changes(standin) -> list[str]:
    return [path for method, path, _ in standin.seen if method == "PATCH"]


def test_pause_and_resume(runs, bar, qtbot, standin):
    runs.again(order("endless"))
    qtbot.waitUntil(lambda: said(bar, "detections so far"))
    button(bar, "Pause").click()
    qtbot.waitUntil(lambda: said(bar, "Paused at chip "))
    assert standin.paused == {"0"}
    (kept,) = unfinished_runs(QgsProject.instance())
    assert (kept.job, kept.request.targets, kept.total) == ("0", ("endless",), 1900)
    assert kept.done > 0
    qtbot.wait(300)
    texts = [item.text() for item in bar.items()]
    qtbot.wait(1200)
    assert [item.text() for item in bar.items()] == texts
    button(bar, "Resume").click()
    qtbot.waitUntil(lambda: said(bar, "detections so far"))
    button(bar, "Cancel").click()
    assert said(bar, "Cancelled.")
    assert unfinished_runs(QgsProject.instance()) == []


@pytest.mark.parametrize("known", [False, True])
def test_a_large_run_asks_first(runs, bar, qtbot, standin, known):
    keep_large_run(CHIPS - 1)
    if known:
        backend = runs._backend
        with qtbot.waitSignal(backend.ready) as ready:
            backend.open()
        key = rate_key(ready.args[0].endpoint, "cpu", "tiny", order())
        keep_rate(key, 0.01)
    runs.again(order())
    about = f"This area has {CHIPS} chips, about 10 min here. Start?"
    qtbot.waitUntil(lambda: said(bar, about if known else f"This area has {CHIPS} chips. Start?"))
    qtbot.wait(300)
    assert not said(bar, "detections;")
    button(bar, "Start").click()
    qtbot.waitUntil(lambda: said(bar, "5 detections;"))


@pytest.mark.parametrize(("large", "told"), [(CHIPS, 0), (CHIPS - 1, CHIPS), (0, 0)])
def test_a_run_asks_nothing_that_was_told_or_is_not_large(runs, bar, qtbot, standin, large, told):
    keep_large_run(large)
    runs.again(order(chips_told=told))
    qtbot.waitUntil(lambda: said(bar, "5 detections;"))
    assert changes(standin) == []


def test_a_backend_that_cannot_pause_goes_on_and_says_so(runs, bar, qtbot, standin):
    keep_large_run(1)
    standin.can_pause = False
    runs.again(order())
    qtbot.waitUntil(lambda: said(bar, "5 detections;"))
    assert said(bar, "The run goes on as it was.")


def test_the_speed_is_kept_for_the_next_run(runs, bar, qtbot, standin):
    standin.pause_s = 0.6
    runs.again(order())
    with qtbot.waitSignal(runs._backend.ready) as ready:
        pass
    key = rate_key(ready.args[0].endpoint, "cpu", "tiny", order())
    qtbot.waitUntil(lambda: said(bar, "5 detections;"), timeout=15_000)
    assert known_rate(key) == pytest.approx(1 / 0.6, rel=0.3)
    standin.pause_s = 2.0
    runs.again(order())
    qtbot.waitUntil(lambda: said(bar, ", as last time"))
    button(bar, "Cancel").click()


@pytest.fixture
def project(qgis_new_project, bar, tmp_path) -> QgsProject:
    project = QgsProject.instance()
    assert project.write(str(tmp_path / "survey.qgz"))
    return project


def ids(layer) -> list[str]:
    return sorted(feature["id"] for feature in layer.getFeatures())


def test_a_run_goes_on_after_its_project_was_closed(runs, bar, qtbot, standin, project):
    standin.pause_s = 0.3
    runs.again(order())
    qtbot.waitUntil(lambda: bool(detections()) and detections()[0].featureCount() > 0)
    project.write()
    path = project.fileName()
    project.clear()
    qtbot.waitUntil(lambda: standin.paused == {"0"})
    assert said(bar, "Paused. It can go on when its project is opened again.")
    assert not standin.dismissed.is_set()
    bar.clearWidgets()
    standin.pause_s = 0.02
    assert project.read(path)
    qtbot.waitUntil(lambda: said(bar, "This run has not ended"))
    before = ids(detections()[0])
    assert len(before) > 0
    button(bar, "Resume").click()
    qtbot.waitUntil(lambda: said(bar, "5 detections;"))
    (layer,) = detections()
    qtbot.waitUntil(lambda: len(ids(layer)) == 5)
    assert len(set(ids(layer))) == 5
    assert standin.paused == set()
    assert len(standin.orders) == 1
    assert unfinished_runs(project) == []


def test_a_run_that_the_backend_has_lost_can_be_run_again(runs, bar, qtbot, standin, project):
    run = {"id": "run-9", "task": "detect", "targets": "ship"}
    keep_unfinished(project, UnfinishedRun(run, "17", order(), 3.0, 2, 6))
    project.write()
    path = project.fileName()
    project.clear()
    project.read(path)
    qtbot.waitUntil(lambda: said(bar, "stopped at chip 2 of 6"))
    button(bar, "Resume").click()
    qtbot.waitUntil(lambda: said(bar, "has lost the run"))
    assert unfinished_runs(project) == []
    button(bar, "Run again").click()
    qtbot.waitUntil(lambda: said(bar, "5 detections;"))


def test_a_run_can_be_given_up(runs, bar, qtbot, standin, project):
    keep_unfinished(project, UnfinishedRun({"id": "run-9"}, "17", order()))
    runs._unfinished.offer()
    button(bar, "Give up").click()
    assert unfinished_runs(project) == []


def test_a_run_whose_backend_is_away_says_so_once_and_goes_on(runs, bar, qtbot, standin, monkeypatch):
    monkeypatch.setattr("fusar_qgis.connection.job._AWAY_S", -1.0)
    standin.info["models"][0]["targets"] = ["ship", "cut"]
    runs.again(order("cut"))
    qtbot.waitUntil(lambda: said(bar, "did not come back"))
    assert len(bar.items()) == 1
    assert said(bar, "Interrupted: ")
    assert not standin.dismissed.is_set()
    button(bar, "Resume").click()
    qtbot.waitUntil(lambda: said(bar, "detections;"))
    (layer,) = detections()
    qtbot.waitUntil(lambda: len(ids(layer)) == 5)
    assert len(set(ids(layer))) == 5


def test_a_start_of_the_backend_is_seen_and_can_be_cancelled(runs, bar, qtbot, standin, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("fusar_qgis.gui.runs._TICK_MS", 100)
        patch.setattr(runs._backend, "open", lambda: runs._backend._set(STARTING))
        runs.again(order())
        assert said(bar, "Starting the backend")
        qtbot.waitUntil(lambda: said(bar, "Starting the backend, 1 s"))
        button(bar, "Cancel").click()
        assert bar.items() == []
        assert not runs.are_waiting
        runs.again(order())
    runs._backend.open()
    qtbot.waitUntil(lambda: said(bar, "5 detections;"))
    assert len(bar.items()) == 1


def test_what_a_project_says_of_unfinished_runs_may_be_damaged(qgis_new_project):
    project = QgsProject.instance()
    for text in ("no JSON", "[]", json.dumps({"run-1": {"job": "2"}}), json.dumps({"run-1": None})):
        project.writeEntry("fusar", "unfinished", text)
        assert unfinished_runs(project) == []

"""``from fusar_qgis import api``: what scripts and other plugins call."""

import gc
import inspect
import os
import re
from pathlib import Path

import numpy as np
import pytest
import qgis.utils
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsGeometry,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from standin import CHIPS, GUESSED, UNSEEN

import fusar_qgis
from fusar_qgis import api
from fusar_qgis.core.endpoint import Endpoint
from fusar_qgis.layers.findings_layer import SECONDS_PROPERTY, findings_layers, request_of, run_of

ROOT = Path(__file__).parents[2]
BACKEND = os.environ.get("FUSAR_EXECUTABLE", "")  # before a fixture hides it
AREA = QgsRectangle(500100, 3999300, 500200, 3999400)


class Told:
    """All that an interpretation says, in order."""

    def __init__(self, job):
        self.lines = []
        job.progressed.connect(lambda done, total: self.lines.append(("progressed", done, total)))
        job.found.connect(lambda found: self.lines.append(("found", len(found.added))))
        for name in ("finished", "failed"):
            getattr(job, name).connect(lambda value, name=name: self.lines.append((name, value)))
        job.cancelled.connect(lambda: self.lines.append(("cancelled",)))


def test_status_says_the_model(plugin, standin):
    said = api.status()
    assert (said.installed, said.ready, said.model, said.missing) == (True, True, "tiny", "")


def test_an_interpretation_ends_with_its_layers(plugin, standin, scene_layer, qtbot):
    job = api.interpret(scene_layer, AREA, targets=["ship"])
    told = Told(job)
    assert (job.state, job.is_over, told.lines) == ("waiting", False, [])
    qtbot.waitUntil(lambda: job.is_over)
    assert told.lines[0] == ("progressed", 0, CHIPS)
    assert told.lines[-1] == ("finished", job.layers)
    assert sum(line[0] in ("finished", "failed", "cancelled") for line in told.lines) == 1
    (layer,) = job.layers.values()
    assert list(job.layers) == ["detections"]
    assert layer.featureCount() == len(job.findings) == 5  # of six, one took another's place
    assert {feature["id"] for feature in layer.getFeatures()} == {one.id for one in job.findings}
    assert AREA.contains(layer.extent())
    assert (layer.crs().authid(), run_of(layer)) == ("EPSG:32650", job.run)
    assert QgsProject.instance().mapLayersByName("detections") == []
    (order,) = standin.orders
    assert (order["area_crs"], order["task"], order["prior"]) == ("EPSG:32650", "detect", "auto")
    assert order["prior_network"] is False  # nobody has allowed it
    assert not Path(order["scene"]).name.startswith("scene:")


def test_added_to_the_project_it_is_a_run_like_any_other(plugin, standin, scene_layer, qtbot):
    job = api.interpret(scene_layer, AREA, targets=["ship"])
    with pytest.raises(RuntimeError, match="nothing to add yet"):
        job.add_to_project()
    qtbot.waitUntil(lambda: job.is_over)
    qtbot.wait(600)  # a script may take its time
    job.add_to_project()
    qtbot.waitUntil(lambda: [one.featureCount() for one in findings_layers(QgsProject.instance())] == [5])
    (layer,) = findings_layers(QgsProject.instance())
    assert layer.providerType() == "ogr"
    assert request_of(layer).layer_id == scene_layer.id()
    assert request_of(layer).targets == ("ship",)
    assert float(layer.customProperty(SECONDS_PROPERTY)) == pytest.approx(job._lasted, abs=0.2)


def test_it_goes_on_though_nobody_keeps_it(plugin, standin, scene_layer, qtbot):
    ends = []
    api.interpret(scene_layer, AREA, targets=["ship"]).finished.connect(
        lambda layers: ends.append(set(layers))
    )
    gc.collect()
    qtbot.waitUntil(lambda: ends == [{"detections"}])


def test_an_area_in_another_crs_and_a_question(plugin, standin, scene_layer, qtbot):
    geometry = QgsGeometry.fromWkt("POLYGON((117 36, 117.01 36, 117.01 36.01, 117 36.01, 117 36))")
    wgs84 = QgsCoordinateReferenceSystem("EPSG:4326")
    job = api.interpret(
        scene_layer, geometry, area_crs=wgs84, task="ask", question="how many ships?", prior="none"
    )
    qtbot.waitUntil(lambda: job.is_over)
    assert standin.orders[0]["area"]["coordinates"][0][0] == [117, 36]
    assert (standin.orders[0]["area_crs"], standin.orders[0]["prior"]) == ("EPSG:4326", "none")
    assert next(job.layers["answers"].getFeatures())["understood"] == "count ship"


def test_what_a_reader_must_know_comes_once(plugin, standin, scene_layer, qtbot):
    job, said = api.interpret(scene_layer, AREA, targets=["unseen"]), []
    job.warned.connect(said.append)
    qtbot.waitUntil(lambda: job.is_over)
    assert said == list(job.warnings) == [GUESSED, UNSEEN]


def test_boxes_are_classified(plugin, standin, scene_layer, qtbot):
    job = api.interpret(scene_layer, task="classify", boxes=[QgsGeometry.fromRect(AREA)])
    qtbot.waitUntil(lambda: job.is_over)
    assert [one.properties["label"] for one in job.findings] == ["class 0"]


@pytest.mark.parametrize(("target", "words"), [("refused", "outside the scene"), ("failing", "内存不足")])
def test_one_that_fails_says_why(plugin, standin, scene_layer, qtbot, target, words):
    job = api.interpret(scene_layer, AREA, targets=[target])
    told = Told(job)
    qtbot.waitUntil(lambda: job.is_over)
    assert (job.state, words in job.problem) == ("failed", True)
    assert told.lines[-1] == ("failed", job.problem)
    with qtbot.assertNotEmitted(job.cancelled):
        job.cancel()


def test_without_a_backend_it_says_the_next_step(plugin, scene_layer, qtbot):
    job = api.interpret(scene_layer, AREA)
    told = Told(job)
    qtbot.waitUntil(lambda: job.is_over)
    assert told.lines == [("failed", job.problem)]
    assert job.problem.startswith("No FUSAR-GPT backend was found.")
    with pytest.raises(RuntimeError, match="nothing to add"):
        job.add_to_project()


def test_one_that_is_cancelled_keeps_what_it_has_found(plugin, standin, scene_layer, qtbot):
    job = api.interpret(scene_layer, AREA, targets=["endless"])
    told = Told(job)
    qtbot.waitUntil(lambda: bool(job.findings))
    job.cancel()
    assert told.lines[-1] == ("cancelled",)
    assert job.layers["detections"].featureCount() == len(job.findings)
    qtbot.waitUntil(lambda: ("DELETE", "/jobs/0") in {(method, path) for method, path, _ in standin.seen})
    at_once = api.interpret(scene_layer, AREA)
    told = Told(at_once)
    at_once.cancel()
    qtbot.wait(50)
    assert told.lines == [("cancelled",)]
    assert len(standin.orders) == 1


def test_unloading_the_plugin_cancels_what_runs(qgis_iface, bar, standin, scene_layer, qtbot):
    plugin = fusar_qgis.classFactory(qgis_iface)
    plugin.initGui()
    running, waiting = api.interpret(scene_layer, AREA, targets=["endless"]), None
    qtbot.waitUntil(lambda: running.state == "running")
    waiting = api.interpret(scene_layer, AREA)
    told = [Told(running), Told(waiting)]
    plugin.unload()
    assert [one.lines[-1] for one in told] == [("cancelled",), ("cancelled",)]
    assert ("DELETE", "/jobs/0") in {(method, path) for method, path, _ in standin.seen}
    for call in (api.status, lambda: api.interpret(scene_layer)):
        with pytest.raises(RuntimeError, match="not enabled"):
            call()


def test_a_scene_and_a_prior_go_to_a_server_elsewhere(
    plugin, standin, scene_layer, tmp_path, qtbot, monkeypatch
):
    monkeypatch.setattr(Endpoint, "is_loopback", property(lambda _: False))
    prior = gdal.GetDriverByName("GTiff").Create(str(tmp_path / "prior.tif"), 2, 2, 64, gdal.GDT_Byte)
    prior.WriteArray(np.ones((64, 2, 2), "uint8"))
    prior = None
    job = api.interpret(scene_layer, AREA, targets=["ship"], prior=tmp_path / "prior.tif")
    qtbot.waitUntil(lambda: job.is_over)
    assert job.problem == ""
    assert standin.scene_names == ["harbour.tif", "prior.tif"]
    assert {standin.orders[0]["scene"], standin.orders[0]["prior"]} == set(standin.scenes)
    theirs = api.interpret(scene_layer, AREA, prior="/srv/prior.tif")
    qtbot.waitUntil(lambda: theirs.is_over)
    assert standin.orders[1]["prior"] == "/srv/prior.tif"


def test_what_cannot_be_used(plugin, standin, scene_layer, tmp_path):
    with pytest.raises(ValueError, match="needs a question"):
        api.interpret(scene_layer, task="ask")
    with pytest.raises(ValueError, match="cannot be read"):
        api.interpret(QgsRasterLayer(str(tmp_path / "gone.tif"), "gone"))
    with pytest.raises(ValueError, match="dance"):
        api.interpret(scene_layer, task="dance")


def test_a_layer_that_goes_before_it_begins(plugin, standin, scene_layer, qtbot):
    job = api.interpret(scene_layer, AREA)
    QgsProject.instance().removeMapLayer(scene_layer.id())
    qtbot.waitUntil(lambda: job.is_over)
    assert "was removed" in job.problem


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_the_example_of_the_documentation_on_the_real_backend(plugin, qgis_iface, monkeypatch, qtbot, capsys):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", BACKEND)
    monkeypatch.setattr(qgis.utils, "iface", qgis_iface)
    scene = QgsRasterLayer(str(ROOT / "backend/fusar_gpt/samples/harbour_simulated.tif"), "harbour")
    QgsProject.instance().addMapLayer(scene)
    qgis_iface.setActiveLayer(scene)
    (example,) = re.findall("```python\n(.*?)```", (ROOT / "docs/python.md").read_text("utf-8"), re.DOTALL)
    names = {}
    exec(example, names)
    qtbot.waitUntil(lambda: names["job"].is_over, timeout=90_000)
    assert names["job"].problem == ""
    (found,) = (layer.featureCount() for layer in names["job"].layers.values())
    qtbot.waitUntil(lambda: [one.featureCount() for one in findings_layers(QgsProject.instance())] == [found])
    said = capsys.readouterr().out
    assert "BackendStatus(installed=True, running=False" in said
    assert f"{{'detections': {found}}}" in said
    assert found > 0


def test_the_documentation_names_what_there_is():
    words = (ROOT / "docs/python.md").read_text("utf-8")
    for call in (api.interpret, api.search):
        named = inspect.signature(call).parameters
        assert [name for name in named if f"`{name}" not in words and name not in ("layer", "area")] == []
    for kind in (api.Interpretation, api.Search):
        public = [name for one in kind.__mro__[:2] for name in vars(one)]
        assert [
            name for name in public if name[0] != "_" and name != "start" and f"`{name}" not in words
        ] == []
    assert set(api.__all__) == {
        "BackendStatus", "Finding", "Found", "Interpretation", "Search", "interpret", "search", "status",
    }  # fmt: skip

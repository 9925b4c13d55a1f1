"""The algorithms of the provider on a stand-in backend: results, bad rasters, cancelling, going on."""

import json
import threading
from pathlib import Path

import pytest
from batches import Log, rows, run, write_areas
from conftest import write_tiff
from osgeo import gdal
from qgis.core import (
    NULL,
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
    QgsProject,
    QgsRasterLayer,
    QgsVectorLayer,
)
from standin import CHIPS, FAR_AWAY, REFUSAL

import fusar_qgis
from fusar_qgis.connection.network_consent import keep_consent
from fusar_qgis.contract import PRIOR_SOURCES
from fusar_qgis.core.endpoint import Endpoint, endpoint

RESOURCES = Path(fusar_qgis.__file__).parent / "resources"
LOWER_LEFT = (500100, 3999300)
AREAS = [LOWER_LEFT, (500300, 3999300), (500500, 3999500)]


@pytest.fixture
def provider(plugin):
    return QgsApplication.processingRegistry().providerById("fusar")


@pytest.fixture
def areas(tmp_path):
    return str(write_areas(tmp_path / "areas.geojson", AREAS))


@pytest.fixture
def out(tmp_path):
    return lambda name: str(tmp_path / name)


def test_every_algorithm_says_what_it_is(provider):
    algorithms = provider.algorithms()
    assert {one.name() for one in algorithms} == {
        "search", "interpret", "detect", "locate", "count", "classifyboxes", "describe", "ask",
        "status", "startinterpret", "jobstatus", "canceljob", "jobresults",
        "fetchprior", "preparechips", "comparewithtruth",
    }  # fmt: skip
    for one in algorithms:
        assert one.displayName()
        assert len(one.shortHelpString()) > 100
        assert "sar" in one.tags()
        assert Path(RESOURCES / f"algorithms/{one.name()}.svg").is_file()
        assert not one.icon().pixmap(24).isNull()
        assert [each.name() for each in one.parameterDefinitions() if not each.help()] == []
        assert one.group()
        assert one.create() is not None


@pytest.mark.parametrize(
    "name", ["interpret", "detect", "locate", "count", "classifyboxes", "describe", "ask", "startinterpret"]
)
def test_every_prior_is_a_source_or_a_file(provider, scene_path, tmp_path, name):
    algorithm = QgsApplication.processingRegistry().createAlgorithmById(f"fusar:{name}")
    parameter = algorithm.parameterDefinition("PRIOR")
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    for one in (parameter, parameter.clone()):
        assert (one.type(), one.options(), one.defaultValue()) == ("enum", list(PRIOR_SOURCES), "auto")
        assert one.checkValueIsAcceptable("none", context)
        assert one.checkValueIsAcceptable(str(scene_path), context)
        assert not one.checkValueIsAcceptable(str(tmp_path / "gone.tif"), context)
        assert not one.checkValueIsAcceptable("sometimes", context)


def test_a_prior_from_a_file_a_layer_or_the_old_parameter(
    provider, standin, scene_path, tmp_path, monkeypatch
):
    prior = write_tiff(tmp_path / "prior.tif")
    layer = QgsRasterLayer(str(prior), "the prior")
    QgsProject.instance().addMapLayer(layer)
    ways = [{"PRIOR": str(prior)}, {"PRIOR": layer}, {"PRIOR": "the prior"}, {"PRIOR": layer.id()}]
    for way in [*ways, {"PRIOR_FILE": str(prior)}, {"PRIOR": "none", "PRIOR_FILE": str(prior)}]:
        assert run("detect", INPUT=[str(scene_path)], DETECTIONS="memory:", **way)["DONE"] == 1
        assert standin.orders[-1]["prior"] == str(prior)
    monkeypatch.chdir(tmp_path)
    assert run("detect", INPUT=[str(scene_path)], PRIOR="prior.tif", DETECTIONS="memory:")["DONE"] == 1
    assert standin.orders[-1]["prior"] == str(prior)
    for source in ("none", "cog"):
        run("detect", INPUT=[str(scene_path)], PRIOR=source, DETECTIONS="memory:")
        assert standin.orders[-1]["prior"] == source
    log, before = Log(), len(standin.orders)
    assert (
        run("detect", log, INPUT=[str(scene_path)], PRIOR=str(tmp_path / "gone.tif"), DETECTIONS="memory:")
        is None
    )
    assert "PRIOR" in log.errors[0]
    assert len(standin.orders) == before


@pytest.mark.parametrize("name", ["detect", "startinterpret"])
def test_a_prior_is_sent_once_to_a_server_elsewhere(
    provider, standin, scene_path, areas, tmp_path, monkeypatch, name
):
    monkeypatch.setattr(Endpoint, "is_loopback", property(lambda _: False))
    prior = write_tiff(tmp_path / "prior.tif")
    given = {"INPUT": [str(scene_path)], "AREAS": areas, "PRIOR": str(prior)}
    assert run(name, **given, **({"DETECTIONS": "memory:"} if name == "detect" else {"TASK": "detect"}))
    assert standin.scene_names.count("prior.tif") == 1
    assert {order["prior"] for order in standin.orders} <= set(standin.scenes)
    assert len(standin.orders) == 3


def test_nothing_is_left_when_the_plugin_goes(qgis_iface, bar):
    import fusar_qgis

    loaded = fusar_qgis.classFactory(qgis_iface)
    loaded.initGui()
    assert QgsApplication.processingRegistry().providerById("fusar") is not None
    loaded.unload()
    assert QgsApplication.processingRegistry().providerById("fusar") is None


def test_it_works_without_a_gui():
    import fusar_qgis

    loaded = fusar_qgis.classFactory(None)
    loaded.initProcessing()
    assert QgsApplication.processingRegistry().algorithmById("fusar:detect") is not None
    loaded.unload()


def test_detect_writes_every_pair(provider, standin, scene_path, areas, out):
    log = Log()
    found = run(
        "detect", log, INPUT=[str(scene_path)], AREAS=areas, TARGETS="ship, storage tank", YEAR=2020, BAND=1,
        QUANTITY="amplitude", SCALE=0.5,
        DETECTIONS=out("found.gpkg"), RUNS=out("runs.csv"),
    )  # fmt: skip
    assert found["DONE"] == 3
    assert found["FINDINGS"] == 3 * (CHIPS - 1)
    layer = rows(out("found.gpkg"))
    assert len(layer) == 3 * (CHIPS - 1)
    assert {row["area"] for row in layer} == {0, 1, 2}
    assert {row["scene"] for row in layer} == {"harbour.tif"}
    assert {row["label"] for row in layer} == {"ship", "storage tank"}
    assert {row["demonstration"] for row in layer} == {True}
    assert all(row["wkt"].startswith("MultiPolygon") for row in layer)
    first = standin.orders[0]
    assert (first["scene"], first["task"], first["targets"]) == (
        str(scene_path),
        "detect",
        ["ship", "storage tank"],
    )
    assert (first["year"], first["band"], first["prior"], first.get("model")) == (2020, 1, "auto", None)
    assert (first["quantity"], first["scale"]) == ("amplitude", 0.5)
    assert (first["area_crs"], first["area"]["type"]) == ("EPSG:32650", "Polygon")
    assert [row["status"] for row in rows(out("runs.csv"))] == ["done"] * 3
    assert "demonstration model, no prior, simulated scene" in log.text
    assert "score_meaning: token probability" in log.text
    assert log.errors == []


@pytest.mark.parametrize(
    ("kept", "given", "fetched"),
    [("ask", {}, False), ("never", {}, False), ("always", {}, True), ("ask", {"PRIOR_NETWORK": True}, True)],
)
def test_a_prior_is_fetched_only_if_that_was_answered(
    provider, standin, scene_path, out, kept, given, fetched
):
    standin.prior = FAR_AWAY
    keep_consent(kept)
    log = Log()
    found = run("detect", log, INPUT=[str(scene_path)], TARGETS="ship", DETECTIONS=out("found.gpkg"), **given)
    assert (found["DONE"], standin.orders[0]["prior_network"]) == (1, fetched)
    assert {row["prior"] for row in rows(out("found.gpkg"))} == {"cog" if fetched else "none"}
    assert ("No prior is fetched from the network" in log.text) is not fetched
    assert ("1 without a prior, although one was asked for" in log.text) is not fetched


def test_one_raster_without_areas_is_looked_at_as_a_whole(provider, standin, scene_path, out):
    found = run("describe", INPUT=str(scene_path), ANSWERS=out("said.gpkg"))
    assert found["DONE"] == 1
    (order,) = standin.orders
    assert "area" not in order
    (row,) = rows(out("said.gpkg"))
    assert (row["area"], row["complete"]) == (NULL, True)
    assert "港口" in row["text"]


@pytest.mark.parametrize(
    ("name", "more", "output"),
    [
        ("locate", {"TARGETS": "ship"}, "GRID"),
        ("count", {"TARGETS": "ship"}, "ANSWERS"),
        ("ask", {"QUESTION": "What is built here? 这里有什么?"}, "ANSWERS"),
        ("interpret", {"TASK": "count", "TARGETS": "ship"}, "ANSWERS"),
        ("interpret", {"TASK": "ask", "QUESTION": "What?"}, "ANSWERS"),
    ],
)
def test_each_task_gives_its_layer(provider, standin, scene_path, areas, out, name, more, output):
    found = run(name, INPUT=[str(scene_path)], AREAS=areas, **more, **{output: out("out.gpkg")})
    assert found["DONE"] == 3
    assert len(rows(out("out.gpkg"))) == (27 if output == "GRID" else 3)
    assert standin.orders[0]["task"] == more.get("TASK", name)
    assert standin.orders[0].get("question") == more.get("QUESTION")


def test_interpret_makes_only_what_the_task_gives(provider, standin, scene_path, areas, out):
    temporary = {name: "TEMPORARY_OUTPUT" for name in ("DETECTIONS", "ANSWERS")}
    found = run(
        "interpret", INPUT=[str(scene_path)], AREAS=areas, TASK="locate", GRID="TEMPORARY_OUTPUT", **temporary
    )
    assert "GRID" in found
    assert "DETECTIONS" not in found
    assert "ANSWERS" not in found
    named = run("interpret", INPUT=[str(scene_path)], AREAS=areas, TASK="locate", DETECTIONS=out("none.gpkg"))
    assert rows(named["DETECTIONS"]) == []


def test_a_count_over_chips_brings_its_detections_and_says_its_method(
    provider, standin, scene_path, areas, out
):
    log = Log()
    found = run(
        "count", log, INPUT=[str(scene_path)], AREAS=areas, TARGETS="counted", ANSWERS=out("n.gpkg"),
        DETECTIONS=out("boxes.gpkg"), RUNS=out("runs.csv"),
    )  # fmt: skip
    assert found["DONE"] == 3
    totals = [row for row in rows(out("n.gpkg")) if row["chip"] == NULL]
    assert [(row["count"], row["method"]) for row in totals] == [(CHIPS - 1, "detections")] * 3
    assert len(rows(out("boxes.gpkg"))) == 3 * (CHIPS - 1)
    assert "counted: 5 (from detections; chips that agree: 5 of 6), 5 detections, 7 answers" in log.text
    assert "held-out images" in rows(out("runs.csv"))[0]["confidence_meaning"]


def test_a_question_that_is_refused_fails_in_one_sentence(provider, standin, scene_path):
    log = Log()
    assert run("ask", log, INPUT=[str(scene_path)], QUESTION="Moored? moored", ANSWERS="memory:") is None
    assert log.errors[-1] == f"Nothing could be interpreted: {REFUSAL}"


def test_questions_that_cannot_be_asked(provider, standin, scene_path, areas):
    for name, parameters, words in (
        ("interpret", {"INPUT": [str(scene_path)], "TASK": "ask"}, "needs a question"),
        ("ask", {"INPUT": [str(scene_path)]}, "QUESTION"),
        ("ask", {"INPUT": [str(scene_path)], "QUESTION": "  "}, "needs a question"),
        ("detect", {"INPUT": []}, "at least one raster"),
        ("detect", {"INPUT": [str(scene_path)], "AREAS": "nowhere.gpkg"}, "AREAS"),
    ):
        log = Log()
        sinks = {"DETECTIONS": "TEMPORARY_OUTPUT", "ANSWERS": "TEMPORARY_OUTPUT"}
        assert run(name, log, **{**sinks, **parameters}) is None
        assert words in " ".join(log.errors)


def test_bad_rasters_are_listed_and_cost_no_other(provider, standin, scene_path, areas, tmp_path, out):
    corrupt = tmp_path / "corrupt.tif"
    corrupt.write_bytes(scene_path.read_bytes()[:100])
    nowhere = write_tiff(tmp_path / "nowhere.tif", epsg=None)
    log = Log()
    found = run(
        "detect", log, INPUT=[str(corrupt), str(tmp_path / "missing.tif"), str(nowhere), str(scene_path)],
        AREAS=areas, TARGETS="ship", DETECTIONS=out("found.gpkg"), RUNS=out("runs.csv"),
    )  # fmt: skip
    assert (found["DONE"], found["SKIPPED"], found["FAILED"]) == (3, 3, 0)
    assert len(rows(out("found.gpkg"))) == 3 * (CHIPS - 1)
    assert [name in " ".join(log.errors) for name in ("corrupt.tif", "missing.tif", "nowhere.tif")] == [
        True
    ] * 3
    assert "no georeferencing" in log.errors[2]
    listed = rows(out("runs.csv"))
    assert [row["status"] for row in listed] == ["skipped"] * 3 + ["done"] * 3


def test_only_bad_rasters_is_a_failure(provider, standin, tmp_path):
    log = Log()
    assert run("detect", log, INPUT=[str(tmp_path / "missing.tif")], DETECTIONS="TEMPORARY_OUTPUT") is None
    assert "No raster can be interpreted" in " ".join(log.errors)
    assert standin.orders == []


@pytest.mark.parametrize(("target", "words"), [("refused", "outside the scene"), ("failing", "内存不足")])
def test_what_the_backend_refuses_is_told_in_its_words(provider, standin, scene_path, areas, target, words):
    log = Log()
    found = run(
        "detect", log, INPUT=[str(scene_path)], AREAS=areas, TARGETS=target, DETECTIONS="TEMPORARY_OUTPUT"
    )
    assert found is None
    assert words in log.errors[0]
    assert words in log.errors[-1]


@pytest.mark.parametrize("target", ["cut"])
def test_a_stream_that_breaks_off_goes_on(provider, standin, scene_path, areas, target):
    found = run("detect", INPUT=[str(scene_path)], AREAS=areas, TARGETS=target, DETECTIONS="TEMPORARY_OUTPUT")
    assert (found["DONE"], found["FINDINGS"]) == (3, 3 * (CHIPS - 1))


def test_a_job_that_the_backend_has_lost_fails_alone(provider, standin, scene_path, areas):
    log = Log()
    assert (
        run("detect", log, INPUT=[str(scene_path)], AREAS=areas, TARGETS="dropped", DETECTIONS="memory:")
        is None
    )
    assert "has lost the run" in log.errors[0]


def test_no_backend_at_all(provider, scene_path, monkeypatch):
    log = Log()
    assert run("detect", log, INPUT=[str(scene_path)], TARGETS="ship", DETECTIONS="memory:") is None
    assert "No FUSAR-GPT backend was found" in " ".join(log.errors)
    monkeypatch.setenv("FUSAR_URL", "http://127.0.0.1:9")
    assert run("detect", log, INPUT=[str(scene_path)], TARGETS="ship", DETECTIONS="memory:") is None
    assert "http://127.0.0.1:9 does not answer" in log.errors[-1]
    assert "in the journal" in log.errors[-1]
    monkeypatch.setenv("FUSAR_URL", "nonsense")
    assert run("detect", log, INPUT=[str(scene_path)], TARGETS="ship", DETECTIONS="memory:") is None
    assert "“nonsense” is not a backend address" in log.errors[-1]


def test_wrong_token(provider, standin, scene_path, monkeypatch):
    monkeypatch.setenv("FUSAR_TOKEN", "wrong")
    log = Log()
    assert run("detect", log, INPUT=[str(scene_path)], TARGETS="ship", DETECTIONS="memory:") is None
    assert "does not accept the token" in log.errors[-1]


def test_findings_of_several_crss_meet_in_the_first(provider, standin, scene_path, tmp_path, out):
    other = write_tiff(tmp_path / "other.tif", epsg=32651)
    corners = [LOWER_LEFT]
    areas = write_areas(tmp_path / "one.geojson", corners)
    found = run(
        "detect",
        INPUT=[str(scene_path), str(other)],
        AREAS=str(areas),
        TARGETS="ship",
        DETECTIONS=out("a.gpkg"),
    )
    assert found["DONE"] == 1  # the area lies six degrees beside the other scene
    layer = QgsVectorLayer(out("a.gpkg"), "found")
    assert layer.crs().authid() == "EPSG:32650"
    run("detect", INPUT=[str(scene_path), str(other)], TARGETS="ship", DETECTIONS=out("b.gpkg"))
    assert QgsVectorLayer(out("b.gpkg"), "found").featureCount() == 2 * (CHIPS - 1)


def test_no_area_on_any_raster(provider, standin, scene_path, tmp_path):
    areas = write_areas(tmp_path / "far.geojson", [(900000, 100)])
    log = Log()
    assert run("detect", log, INPUT=[str(scene_path)], AREAS=str(areas), DETECTIONS="memory:") is None
    assert "No polygon lies on a raster" in log.errors[-1]


def test_cancelled_and_started_again_it_goes_on(provider, standin, scene_path, areas, out):
    parameters = {
        "INPUT": [str(scene_path)],
        "AREAS": areas,
        "TARGETS": "ship",
        "DETECTIONS": out("found.gpkg"),
    }
    log = Log(stop_after=1)
    assert run("detect", log, **parameters) == {}
    assert "start the same again" in log.text
    assert standin.dismissed.is_set()
    standin.dismissed.clear()
    before = len(standin.orders)
    log = Log()
    found = run("detect", log, **parameters)
    assert (found["DONE"], found["RESUMED"]) == (3, 1)
    assert len(standin.orders) - before == 2
    layer = rows(out("found.gpkg"))
    assert len({(row["area"], row["id"]) for row in layer}) == len(layer) == 3 * (CHIPS - 1)
    # Complete: the same again starts anew.
    assert run("detect", **parameters)["RESUMED"] == 0


def test_a_named_journal_stays(provider, standin, scene_path, areas, out):
    parameters = {
        "INPUT": [str(scene_path)],
        "AREAS": areas,
        "TARGETS": "ship",
        "JOURNAL": out("new/j.jsonl"),
    }
    first = run("detect", DETECTIONS=out("one.gpkg"), **parameters)
    again = run("detect", DETECTIONS=out("two.gpkg"), **parameters)
    assert (first["RESUMED"], again["RESUMED"]) == (0, 3)
    assert rows(out("one.gpkg")) == rows(out("two.gpkg"))
    assert run("detect", DETECTIONS=out("three.gpkg"), **{**parameters, "TARGETS": "plane"})["RESUMED"] == 0
    write_tiff(scene_path, bands=2)  # another file of that name
    assert run("detect", DETECTIONS=out("four.gpkg"), **parameters)["RESUMED"] == 0


def test_cancel_in_mid_job_reaches_the_backend_at_once(provider, standin, scene_path, areas, qtbot):
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("fusar:detect")
    log = Log()
    parameters = {
        "INPUT": [str(scene_path)],
        "AREAS": areas,
        "TARGETS": "endless",
        "DETECTIONS": "TEMPORARY_OUTPUT",
    }
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, log)
    ended = []
    task.executed.connect(lambda fine, results: ended.append(fine))
    QgsApplication.taskManager().addTask(task)
    qtbot.waitUntil(lambda: len(standin.orders) == 2)
    threading.Timer(0.3, log.cancel).start()
    qtbot.waitUntil(standin.dismissed.is_set)
    qtbot.waitUntil(lambda: bool(ended))
    deleted = [path for method, path, _ in standin.seen if method == "DELETE"]
    assert sorted(deleted) == ["/jobs/0", "/jobs/1"]


def test_boxes_keep_what_they_had(provider, standin, scene_path, tmp_path, out):
    boxes = write_areas(tmp_path / "boxes.geojson", [LOWER_LEFT, (900000, 100), (500300, 3999300)])
    found = run("classifyboxes", INPUT=[str(scene_path)], BOXES=str(boxes), OUTPUT=out("classified.gpkg"))
    assert found["DONE"] == 2
    (order,) = standin.orders
    assert order["task"] == "classify"
    assert len(order["boxes"]["features"]) == 2
    assert "area" not in order
    first, off, last = rows(out("classified.gpkg"))
    assert [row["name"] for row in (first, off, last)] == ["area 0", "area 1", "area 2"]
    assert [row["label"] for row in (first, off, last)] == ["mine"] * 3
    assert [row["label_2"] for row in (first, off, last)] == ["class 0", NULL, "class 1"]
    assert (first["problem"], off["problem"]) == (NULL, "on no raster")
    assert (first["model"], first["demonstration"], first["prior"]) == ("tiny", True, "none")


def test_what_the_backend_cannot_open_is_cut_out_and_sent(provider, standin, scene_path, areas, tmp_path):
    virtual = tmp_path / "port 港.vrt"
    gdal.BuildVRT(str(virtual), [str(scene_path)]).FlushCache()
    found = run("detect", INPUT=[str(virtual)], AREAS=areas, TARGETS="ship", DETECTIONS="memory:")
    assert found["DONE"] == 3
    assert standin.scene_names == ["port_港.tif"] * 3
    assert {order["scene"] for order in standin.orders} == set(standin.scenes)
    assert all(content[:4] == b"II*\0" for content in standin.scenes.values())


def test_a_layer_of_the_project_may_have_a_crs_of_its_own(
    provider, standin, tmp_path, areas, qgis_new_project
):
    layer = QgsRasterLayer(str(write_tiff(tmp_path / "moved.tif", epsg=32651)), "moved")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32650"))
    QgsProject.instance().addMapLayer(layer)
    found = run("detect", INPUT=[layer], AREAS=areas, TARGETS="ship", DETECTIONS="memory:")
    assert found["DONE"] == 3
    assert run("detect", INPUT=["moved"], AREAS=areas, TARGETS="ship", DETECTIONS="memory:")["DONE"] == 3
    assert standin.scene_names == ["moved.tif"] * 6


def test_a_bad_box_costs_no_other(provider, standin, scene_path, tmp_path, out, monkeypatch):
    boxes = write_areas(tmp_path / "boxes.geojson", [(500100 + 120 * n, 3999300) for n in range(5)])
    standin.refuse = lambda order: any(
        box["geometry"]["coordinates"][0][0][0] == 500340 for box in order["boxes"]["features"]
    )
    found = run("classifyboxes", INPUT=[str(scene_path)], BOXES=str(boxes), OUTPUT=out("classified.gpkg"))
    assert (found["DONE"], found["FAILED"]) == (4, 1)
    problems = [row["problem"] for row in rows(out("classified.gpkg"))]
    assert problems == [NULL, NULL, "the area is outside the scene", NULL, NULL]


def test_results_are_styled_when_they_are_loaded(provider, standin, scene_path, areas):
    project = QgsProject.instance()
    context = QgsProcessingContext()
    context.setProject(project)
    results = run(
        "detect", context=context, INPUT=[str(scene_path)], AREAS=areas, TARGETS="ship",
        DETECTIONS=QgsProcessingOutputLayerDefinition("TEMPORARY_OUTPUT", project),
    )  # fmt: skip
    layer = context.takeResultLayer(results["DETECTIONS"])
    details = context.layerToLoadOnCompletionDetails(results["DETECTIONS"])
    details.postProcessor().postProcessLayer(layer, context, Log())
    assert [category.value() for category in layer.renderer().categories()] == ["ship"]
    assert layer.labelsEnabled()
    assert json.loads(layer.customProperty("fusar/run"))["id"] == "run-1"
    assert layer.metadata().rights() == ["Simulated, no radar ever saw it"]


def test_no_second_child_beside_the_toolbars(provider, standin, scene_path, monkeypatch):
    monkeypatch.delenv("FUSAR_URL")
    monkeypatch.setenv("FUSAR_EXECUTABLE", "/not/started")
    provider.child.endpoint = endpoint(standin.url, standin.token)
    assert run("detect", INPUT=[str(scene_path)], TARGETS="ship", DETECTIONS="memory:")["DONE"] == 1

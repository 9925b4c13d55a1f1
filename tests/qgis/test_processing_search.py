"""``fusar:search`` and ``api.search`` on a stand-in backend, and once on the real one."""

import json
import os
import threading
from pathlib import Path

import pytest
from batches import Log, rows, run, write_areas
from osgeo import gdal
from qgis.core import QgsApplication, QgsFeature, QgsGeometry, QgsProject, QgsRasterLayer, QgsVectorLayer
from standin import Door, Standin
from test_search_layers import RUN, heat, search

from fusar_qgis import api
from fusar_qgis.contract import (
    PLACES,
    SEARCH_EXECUTION,
    Finished,
    Found,
    Progress,
    SearchRequest,
    Started,
)
from fusar_qgis.layers.findings_layer import findings_layers, heat_layers, search_of

BACKEND = os.environ.get("FUSAR_EXECUTABLE", "")  # before a test forgets it
SAMPLE = Path(__file__).parents[2] / "backend/fusar_gpt/samples/harbour_simulated.tif"


class SearchDoor(Door):
    """Every search finds the same places, unless its text is ``refused``, ``failing`` or ``endless``."""

    def do_POST(self) -> None:  # noqa: N802 - the library calls it by this name
        if self.path != SEARCH_EXECUTION:
            super().do_POST()
            return
        order = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["inputs"]
        if not self.admitted():
            return
        self.server.orders.append(SearchRequest.from_json(order).to_json())
        if self.server.busy:
            self.server.busy -= 1
            self.reply(429, {"title": "Too Many Requests", "status": 429, "detail": "too many jobs"})
        elif order["texts"] == ["refused"]:
            self.reply(422, {"title": "Not taught", "status": 422, "detail": "It knows none of the words."})
        else:
            self.reply(201, {"jobID": str(len(self.server.orders) - 1), "status": "accepted"})

    def do_GET(self) -> None:  # noqa: N802 - the library calls it by this name
        if self.path.endswith("/results"):
            self.reply(200, self.server.finished.to_json())
        elif self.path.endswith("/events"):
            self.stream()
        else:
            super().do_GET()

    def stream(self) -> None:
        kind = self.server.orders[int(self.path.split("/")[2])]["texts"][:1]
        finished = self.server.finished
        self.seen, self.received = int(self.headers.get("Last-Event-ID") or 0), 0
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.event("started", Started(finished.run, 40).to_json())
        for done in (20, 40):
            self.event("progress", Progress(done, 40).to_json())
        if kind == ["endless"]:
            self.server.dismissed.wait(20)
        elif kind == ["failing"]:
            self.event("end", {"status": "failed", "message": "The scene has changed since."})
        else:
            self.server.end(self.path.split("/")[2])
            self.event("findings", Found(finished.findings).to_json())
            self.event("end", {"status": "successful", "message": "Done."})


@pytest.fixture
def standin(monkeypatch):
    with Standin() as server:
        server.RequestHandlerClass = SearchDoor
        server.finished, server.busy = search(3, heat_map=heat()), 0
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("FUSAR_URL", server.url)
        monkeypatch.setenv("FUSAR_TOKEN", server.token)
        yield server
        server.dismissed.set()
        server.shutdown()


@pytest.fixture
def provider(plugin):
    return QgsApplication.processingRegistry().providerById("fusar")


def layer_of(kind: str, *wkts: str, crs: str = "EPSG:32650") -> QgsVectorLayer:
    layer = QgsVectorLayer(f"{kind}?crs={crs}", "examples", "memory")
    features = [QgsFeature() for _ in wkts]
    for feature, wkt in zip(features, wkts, strict=True):
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
    layer.dataProvider().addFeatures(features)
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_words_in_places_and_heat_out(provider, standin, scene_path, tmp_path):
    out, heat_map, log = tmp_path / "places.gpkg", tmp_path / "heat.tif", Log()
    text = "ships at a dock\n\n boats "
    found = run("search", log, INPUT=str(scene_path), TEXT=text, TOP=7, OUTPUT=str(out), HEAT=str(heat_map))
    assert log.errors == []
    assert (found["FOUND"], found["OUTPUT"], found["HEAT"]) == (3, str(out), str(heat_map))
    assert [(row["rank"], row["percentile"], row["scene"]) for row in rows(out)] == [
        (1, 99.9, "harbour.tif"), (2, 99.8, "harbour.tif"), (3, 99.7, "harbour.tif"),
    ]  # fmt: skip
    dataset = gdal.Open(str(heat_map))
    assert dataset.GetRasterBand(1).ReadAsArray().tobytes() == heat().values
    assert dataset.GetGeoTransform() == heat().transform
    (order,) = standin.orders
    assert (order["scene"], order["texts"]) == (str(scene_path), ["ships at a dock", "boats"])
    assert (order["top"], order["heat"], "area" in order, "encoder" in order) == (7, True, False, False)
    assert "klip-tiny does not know dock." in log.lines  # the run's warning
    assert "demonstration model" in log.text
    assert "3 places" in log.lines
    assert log.texts[-1].startswith("40 of 40 parts of the raster are indexed")


def test_without_a_heat_map_none_is_made(provider, standin, scene_path):
    found = run("search", INPUT=str(scene_path), TEXT="ships", OUTPUT="memory:")
    assert "HEAT" not in found
    assert standin.orders[0]["heat"] is False


def test_examples_and_area_are_told_in_the_rasters_crs(provider, standin, scene_path, tmp_path):
    points = layer_of("MultiPoint", "MULTIPOINT ((117.001 36.14), (117.002 36.141))", crs="EPSG:4326")
    areas = write_areas(tmp_path / "areas.geojson", [(500100, 3999300), (500300, 3999300)])
    log = Log()
    asked = {"INPUT": str(scene_path), "LIKE": points, "UNLIKE": str(areas), "AREA": str(areas)}
    more = {"ENCODER": "other", "GROUND_M": 200, "BAND": 1, "QUANTITY": "amplitude", "SCALE": 0.5}
    run("search", log, **asked, **more, OUTPUT="memory:")
    assert log.errors == []
    (order,) = standin.orders
    assert order["examples_crs"] == order["area_crs"] == "EPSG:32650"
    assert [one["type"] for one in order["like"]] == ["Point", "Point"]
    assert order["like"][0]["coordinates"] == pytest.approx((500090, 3999580), abs=200)
    assert [one["type"] for one in order["unlike"]] == ["Polygon", "Polygon"]
    assert order["area"]["type"] == "MultiPolygon"
    assert (order["encoder"], order["ground_m"], order["band"]) == ("other", [200.0], 1)
    assert (order["quantity"], order["scale"]) == ("amplitude", 0.5)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "Write what to find, or give a layer with places that are like it."),
        ({"TEXT": " \n "}, "Write what to find"),
        ({"TEXT": "a\n" * 21}, "At most 20 texts"),
        ({"TEXT": "refused"}, "It knows none of the words."),
        ({"TEXT": "failing"}, "The scene has changed since."),
        ({"TEXT": "x", "HEAT": "heat.png"}, "ends in .tif"),
        ({"TEXT": "x", "INPUT": "/nowhere.tif"}, "/nowhere.tif"),
        ({"TEXT": "x", "TOP": 0}, "TOP"),
    ],
)
def test_what_cannot_be_searched_is_said_and_nothing_is_written(
    provider, standin, scene_path, tmp_path, asked, words
):
    log, out = Log(), tmp_path / "places.gpkg"
    assert run("search", log, **{"INPUT": str(scene_path), "OUTPUT": str(out), **asked}) is None
    assert words in "\n".join(log.errors)
    assert not out.exists()


def test_examples_that_are_none(provider, standin, scene_path):
    for layer, words in (
        (layer_of("Point"), "The layer of examples is empty."),
        (layer_of("Point", *["POINT (500100 3999900)"] * 101), "At most 100 examples"),
        (layer_of("Point", "POINT (500100 3999900)", crs=""), "has no CRS."),
    ):
        log = Log()
        assert run("search", log, INPUT=str(scene_path), LIKE=layer, OUTPUT="memory:") is None
        assert words in "\n".join(log.errors)
    assert standin.orders == []


def test_cancelled_in_mid_index_the_backend_stops_too(provider, standin, scene_path):
    class Impatient(Log):
        def setProgressText(self, text):  # noqa: N802
            self.cancel()

    log = Impatient()
    run("search", log, INPUT=str(scene_path), TEXT="endless", OUTPUT="memory:")
    assert standin.dismissed.wait(5)
    assert "kept for the next search" in log.text


def test_a_busy_backend_is_asked_again(provider, standin, scene_path):
    standin.busy = 1
    assert run("search", INPUT=str(scene_path), TEXT="ships", OUTPUT="memory:")["FOUND"] == 3
    assert len(standin.orders) == 2


def test_places_are_the_areas_of_an_interpretation(provider, standin, scene_path, tmp_path):
    out = tmp_path / "places.gpkg"
    run("search", INPUT=str(scene_path), TEXT="ships", OUTPUT=str(out))
    standin.RequestHandlerClass = Door
    standin.orders.clear()
    found = run("detect", INPUT=[str(scene_path)], AREAS=str(out), DETECTIONS="memory:")
    assert found["DONE"] == 3
    bounds = sorted(min(x for x, _ in order["area"]["coordinates"][0][0]) for order in standin.orders)
    assert bounds == pytest.approx([500000, 500100, 500200])  # the places and nothing else


def test_a_finding_of_a_search_among_the_results_of_jobs(provider, standin, scene_path, tmp_path):
    standin.orders.append({"targets": [], "texts": ["ships"]})
    standin.over.add("0")
    found = run("jobresults", JOBS="0", PLACES=str(tmp_path / "places.gpkg"))
    assert found["FINDINGS"] == 3
    assert [row["rank"] for row in rows(tmp_path / "places.gpkg")] == [1, 2, 3]


def test_what_finds_nothing_is_said(provider, standin, scene_path, tmp_path):
    standin.finished = Finished(RUN, ())
    log, out = Log(), tmp_path / "places.gpkg"
    assert run("search", log, INPUT=str(scene_path), TEXT="ships", OUTPUT=str(out))["FOUND"] == 0
    assert "nothing found" in log.lines
    assert rows(out) == []


def test_a_script_searches_and_adds_what_it_found(plugin, standin, scene_layer, qtbot):
    steps = []
    around = QgsGeometry.fromWkt("POINT (500100 3999900)")
    job = api.search(scene_layer, "ships at a dock", like=[around], area=scene_layer.extent(), top=3)
    job.progressed.connect(lambda *step: steps.append(step))
    job.finished.connect(steps.append)
    with pytest.raises(RuntimeError, match="nothing to add yet"):
        job.add_to_project()
    qtbot.waitUntil(lambda: job.is_over)
    assert job.problem == ""
    assert steps == [(0, 40), (20, 40), (40, 40), job.layers]
    assert [feature["rank"] for feature in job.layers[PLACES].getFeatures()] == [1, 2, 3]
    assert (job.heat, job.warnings) == (heat(), RUN.warnings)
    (order,) = standin.orders
    assert (order["scene"], order["texts"], order["top"]) == (scene_layer.source(), ["ships at a dock"], 3)
    assert order["like"] == ({"type": "Point", "coordinates": (500100.0, 3999900.0)},)
    assert order["area"]["type"] == "Polygon"
    job.add_to_project()
    project = QgsProject.instance()
    qtbot.waitUntil(lambda: [one.featureCount() for one in findings_layers(project)] == [3])
    qtbot.waitUntil(lambda: len(heat_layers(project)) == 1)
    assert search_of(*findings_layers(project)).texts == ("ships at a dock",)


@pytest.mark.parametrize("text", ["refused", "failing", "endless"])
def test_a_search_of_a_script_that_does_not_end_well(plugin, standin, scene_layer, qtbot, text):
    ends = []
    job = api.search(scene_layer, text)
    job.failed.connect(ends.append)
    job.cancelled.connect(lambda: ends.append("cancelled"))
    if text == "endless":
        qtbot.waitUntil(lambda: job.state == "running")
        job.cancel()
        assert standin.dismissed.wait(5)
    qtbot.waitUntil(lambda: job.is_over)
    words = {
        "refused": "It knows none of the words.",
        "failing": "The scene has changed since.",
        "endless": "cancelled",
    }
    assert ends == [words[text]]
    with pytest.raises(RuntimeError, match="nothing to add"):
        job.add_to_project()


def test_a_search_for_nothing_is_refused_at_once(plugin, scene_layer):
    with pytest.raises(ValueError, match="nothing to search for"):
        api.search(scene_layer, " ")


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend")
def test_on_the_real_backend(provider, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", BACKEND)
    monkeypatch.setenv("FUSAR_CACHE", str(tmp_path / "cache"))
    out, heat_map, log = tmp_path / "places.gpkg", tmp_path / "heat.tif", Log()
    found = run(
        "search",
        log,
        INPUT=str(SAMPLE),
        TEXT="ships in a harbour",
        TOP=5,
        OUTPUT=str(out),
        HEAT=str(heat_map),
    )
    assert log.errors == []
    assert [row["rank"] for row in rows(out)] == list(range(1, found["FOUND"] + 1))
    percentiles = [row["percentile"] for row in rows(out)]
    assert percentiles == sorted(percentiles, reverse=True)
    shown = QgsRasterLayer(str(heat_map), "heat")
    assert shown.extent().intersects(QgsRasterLayer(str(SAMPLE), "scene").extent())
    # What is found first is found again by its own example.
    place = layer_of(
        "Polygon", rows(out)[0]["wkt"].replace("MultiPolygon (((", "Polygon ((")[:-1], crs="EPSG:32631"
    )
    like = run("search", Log(), INPUT=str(SAMPLE), LIKE=place, TOP=1, OUTPUT=str(tmp_path / "like.gpkg"))
    assert like["FOUND"] == 1
    assert rows(tmp_path / "like.gpkg")[0]["chip"] == rows(out)[0]["chip"]
    provider.child.stop()

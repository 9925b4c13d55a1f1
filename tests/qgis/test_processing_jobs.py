"""Starting an interpretation, polling it and fetching its findings; and the state of the backend."""

import os
import time
from pathlib import Path

import pytest
from batches import Log, rows, run, write_areas
from qgis.core import QgsApplication, QgsSettings
from test_processing_child import AREAS, STANDIN, child_pids

from fusar_qgis.core.setting_names import EXECUTABLE

BACKEND = os.environ.get("FUSAR_EXECUTABLE", "")  # before a test forgets it


@pytest.fixture
def provider(plugin):
    return QgsApplication.processingRegistry().providerById("fusar")


@pytest.fixture
def asked(scene_path, tmp_path):
    areas = write_areas(tmp_path / "areas.geojson", AREAS)
    return {"INPUT": [str(scene_path)], "AREAS": str(areas), "TASK": "detect", "TARGETS": "ship"}


@pytest.fixture
def own_child(provider, monkeypatch):
    """The stand-in as the program that QGIS starts itself."""
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(STANDIN))
    yield provider.child
    provider.child.stop()


def test_started_polled_and_fetched(provider, standin, asked, tmp_path):
    started = run("startinterpret", **asked)
    assert (started["JOBS"], started["STARTED"], started["SKIPPED"]) == ("0,1,2", 3, 0)
    assert not [path for _, path, _ in standin.seen if path.endswith("/events")]  # nobody waits for it
    log = Log()
    assert run("jobresults", log, JOBS=started["JOBS"], DETECTIONS="memory:") is None
    assert "Not all jobs have ended: 0: running, 3 of 6 chips" in log.errors[-1]
    standin.over.clear()
    first = run("jobstatus", JOBS=started["JOBS"])
    assert (first["STATUS"], first["ENDED"], first["PROGRESS"]) == ("running", False, 50)
    second = run("jobstatus", JOBS="0, 1, 2")
    assert (second["STATUS"], second["ENDED"], second["PROGRESS"]) == ("successful", True, 100)
    out, table = tmp_path / "found.gpkg", tmp_path / "runs.gpkg"
    found = run("jobresults", JOBS=started["JOBS"], DETECTIONS=str(out), RUNS=str(table))
    assert (found["DONE"], found["FAILED"], found["FINDINGS"]) == (3, 0, 15)
    assert "GRID" not in found  # nothing was found for it, and nobody named its file
    polled = sorted((row["label"], row["wkt"]) for row in rows(out))
    batch = tmp_path / "batch.gpkg"
    run("interpret", **asked, DETECTIONS=str(batch))
    assert polled == sorted((row["label"], row["wkt"]) for row in rows(batch))
    assert {row["demonstration"] for row in rows(table)} == {True}


def test_a_job_that_failed_costs_no_other(provider, standin, asked):
    good, bad = run("startinterpret", **asked), run("startinterpret", **asked | {"TARGETS": "failing"})
    jobs = f"{good['JOBS']},{bad['JOBS']}"
    run("jobstatus", JOBS=jobs)
    assert run("jobstatus", JOBS=jobs)["STATUS"] == "failed"
    log = Log()
    found = run("jobresults", log, JOBS=jobs, DETECTIONS="memory:")
    assert (found["DONE"], found["FAILED"]) == (3, 3)
    assert log.errors == [f"{job}: failed, 内存不足: use a smaller area" for job in (3, 4, 5)]


def test_a_start_that_is_refused_leaves_no_job(provider, standin, asked):
    standin.refuse = lambda _: len(standin.orders) == 3
    log = Log()
    assert run("startinterpret", log, **asked) is None
    assert "Nothing was started: " in log.errors[-1]
    assert "the area is outside the scene" in log.errors[-1]
    assert {path for method, path, _ in standin.seen if method == "DELETE"} == {"/jobs/0", "/jobs/1"}


def test_jobs_are_cancelled_unless_they_have_ended(provider, standin, asked):
    jobs = run("startinterpret", **asked)["JOBS"]
    standin.over = {"0"}
    log = Log()
    said = run("canceljob", log, JOBS=jobs)
    assert said["CANCELLED"] == 2
    assert (
        said["MESSAGE"].splitlines() == ["0: successful, Done.", "1: dismissed", "2: dismissed"] == log.lines
    )
    assert {path for method, path, _ in standin.seen if method == "DELETE"} == {"/jobs/1", "/jobs/2"}
    log = Log()
    assert run("canceljob", log, JOBS="0,17") is None  # nothing is cancelled where one is not known
    assert "no such job" in log.errors[-1]


def test_an_unknown_job_and_no_job(provider, standin):
    for jobs, words in (("17", "no such job"), (" , ", "Name at least one job")):
        log = Log()
        assert run("jobstatus", log, JOBS=jobs) is None
        assert words in log.errors[-1]


def test_the_child_outlives_the_algorithm_that_started_it(own_child, asked):
    log = Log()
    assert run("jobstatus", log, JOBS="0") is None
    assert "No backend of this QGIS is running" in log.errors[-1]
    assert child_pids() == []
    started = run("startinterpret", **asked)
    (pid,) = child_pids()
    assert run("jobstatus", JOBS=started["JOBS"])["STATUS"] == "running"
    assert run("jobstatus", JOBS=started["JOBS"])["ENDED"]
    assert run("jobresults", JOBS=started["JOBS"], DETECTIONS="memory:")["FINDINGS"] == 15
    assert child_pids() == [pid]


def test_a_process_that_ends_at_once_starts_nothing(own_child, asked, monkeypatch):
    monkeypatch.setattr(QgsApplication, "platform", staticmethod(lambda: "qgis_process"))
    log = Log()
    assert run("startinterpret", log, **asked) is None
    assert "Start “fusar serve” and set FUSAR_URL" in log.errors[-1]
    assert child_pids() == []


def test_status_without_a_backend_says_the_next_step(provider, tmp_path):
    said = run("status")
    assert (said["INSTALLED"], said["RUNNING"], said["MODEL"]) == (False, False, "")
    assert said["MISSING"].startswith("No FUSAR-GPT backend was found.")
    assert "press Install" in said["NEXT_STEP"]
    QgsSettings().setValue(EXECUTABLE, str(tmp_path / "gone"))
    said = run("status")
    assert (said["INSTALLED"], said["PLACE"]) == (False, str(tmp_path / "gone"))
    assert "was moved or removed" in said["MISSING"]


def test_status_starts_nothing_and_follows_the_child(own_child, asked):
    said = run("status")
    assert (said["INSTALLED"], said["RUNNING"], said["MISSING"]) == (True, False, "")
    assert "the first interpretation starts it" in said["NEXT_STEP"]
    assert child_pids() == []
    run("startinterpret", **asked)
    said = run("status")
    assert (said["RUNNING"], said["READY"], said["MODEL"]) == (True, True, "tiny")
    assert (said["DEMONSTRATION"], said["DEVICE"], said["VERSION"]) == (True, "cpu", "0.1.0")


def test_status_of_a_server(provider, standin, monkeypatch):
    standin.info = standin.info | {"device": "loading"}
    said = run("status")
    assert (said["RUNNING"], said["READY"], said["PLACE"]) == (True, False, standin.url)
    monkeypatch.setenv("FUSAR_URL", "http://127.0.0.1:9")
    began = time.monotonic()
    said = run("status")
    assert (said["INSTALLED"], said["RUNNING"]) == (True, False)
    assert "127.0.0.1:9" in said["MISSING"]
    assert time.monotonic() - began < 4


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend")
def test_on_the_real_backend(provider, monkeypatch, tmp_path):
    samples = Path(__file__).parents[2] / "backend/fusar_gpt/samples"
    scene = samples / "harbour_simulated.tif"
    area = write_areas(tmp_path / "area.geojson", [(501000, 6098200)], "EPSG:32631", 900)
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("FUSAR_EXECUTABLE", BACKEND)
    started = run(
        "startinterpret", INPUT=[str(scene)], AREAS=str(area), TASK="detect", TARGETS="ship", PRIOR="none"
    )
    until = time.monotonic() + 90
    while not run("jobstatus", JOBS=started["JOBS"])["ENDED"]:
        assert time.monotonic() < until
        time.sleep(0.2)
    log = Log()
    found = run("jobresults", log, JOBS=started["JOBS"], DETECTIONS=str(tmp_path / "found.gpkg"))
    assert log.errors == []
    assert found["FINDINGS"] == len(rows(tmp_path / "found.gpkg")) > 0
    provider.child.stop()

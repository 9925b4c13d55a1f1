"""The backend that algorithms start themselves, and the program that fetches priors."""

import os
import signal
import stat
import threading
from pathlib import Path

import pytest
from batches import Log, run, write_areas
from qgis.core import QgsApplication

STANDIN = Path(__file__).with_name("standin.py")
AREAS = [(500100, 3999300), (500300, 3999300), (500500, 3999500)]


@pytest.fixture
def provider(plugin, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.setenv("STANDIN_PAUSE", "0.05")
    return QgsApplication.processingRegistry().providerById("fusar")


@pytest.fixture
def parameters(scene_path, tmp_path):
    areas = write_areas(tmp_path / "areas.geojson", AREAS)
    return {"INPUT": [str(scene_path)], "AREAS": str(areas), "TARGETS": "ship", "DETECTIONS": "memory:"}


def child_pids() -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            said = (folder / "cmdline").read_bytes()
            mine = int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
        except (OSError, IndexError):
            continue
        if mine and b"standin.py\0serve\0--child" in said:
            found.append(int(folder.name))
    return found


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_one_child_for_all_and_none_is_left(provider, parameters, monkeypatch):
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(STANDIN))
    assert run("detect", **parameters)["DONE"] == 3
    first = child_pids()
    assert len(first) == 1
    assert run("count", **{**parameters, "ANSWERS": "memory:"})["DONE"] == 3
    assert child_pids() == first
    provider.unload()
    assert child_pids() == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("FUSAR-GPT")]


def test_a_child_that_dies_is_started_again(provider, parameters, monkeypatch):
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(STANDIN))
    log = Log()
    killed = []

    def kill(text):
        if not killed:
            killed.extend(child_pids())
            os.kill(killed[0], signal.SIGKILL)

    log.setProgressText = kill
    found = run("detect", log, **parameters)
    assert (found["DONE"], found["FINDINGS"]) == (3, 15)
    assert len(killed) == 1
    assert "goes on when it is back" in log.text
    assert child_pids() != killed


def test_a_child_that_cannot_start_says_why(provider, parameters, monkeypatch, tmp_path):
    for text, words in (
        (
            "echo checkpoint is missing >&2; exit 1",
            "could not start: checkpoint is missing. Open the FUSAR-GPT options",
        ),
        ("echo hello; sleep 5", "could not start: hello"),
    ):
        monkeypatch.setenv("FUSAR_EXECUTABLE", program(tmp_path / "fusar", text))
        log = Log()
        assert run("detect", log, **parameters) is None
        assert words in log.errors[-1]
    monkeypatch.setenv("FUSAR_EXECUTABLE", str(tmp_path / "nothing"))
    log = Log()
    assert run("detect", log, **parameters) is None
    assert "could not start" in log.errors[-1]


def test_cancelled_while_the_child_starts(provider, parameters, monkeypatch, tmp_path):
    monkeypatch.setenv("FUSAR_EXECUTABLE", program(tmp_path / "fusar", "exec sleep 60"))
    log = Log()
    threading.Timer(0.3, log.cancel).start()
    assert run("detect", log, **parameters) == {}


def test_a_prior_is_fetched_by_the_program(provider, monkeypatch, tmp_path, scene_path):
    text = 'echo "fusar: asking the first source" >&2; for last; do true; done; echo "$@" > "$0.said"'
    text += f"; cp {scene_path} {tmp_path / 'prior.tif'}; echo 'written: 99 % covered'"
    fusar = program(tmp_path / "fusar", text)
    monkeypatch.setenv("FUSAR_EXECUTABLE", fusar)
    log = Log()
    out = tmp_path / "prior.tif"
    found = run("fetchprior", log, EXTENT="4.3,4.4,51.8,51.9 [EPSG:4326]", YEAR=2020, OUTPUT=str(out))
    assert found["OUTPUT"] == str(out)
    assert log.lines == ["asking the first source", "written: 99 % covered"]
    said = Path(f"{fusar}.said").read_text().split()
    assert said[:4] == ["prior", "fetch", "--bbox", "4.300000000,51.800000000,4.400000000,51.900000000"]
    assert said[4:] == ["--year", "2020", "--out", str(out), "--source", "auto"]


def test_a_prior_that_cannot_be_had(provider, monkeypatch, tmp_path):
    fetch = {"EXTENT": "4.3,4.4,51.8,51.9 [EPSG:4326]", "YEAR": 2020}
    monkeypatch.setenv(
        "FUSAR_EXECUTABLE", program(tmp_path / "fusar", "echo fusar: nobody has it. >&2; exit 1")
    )
    log = Log()
    assert run("fetchprior", log, **fetch, OUTPUT=str(tmp_path / "p.tif")) is None
    assert "nobody has it." in log.errors[-1]
    log = Log()
    assert run("fetchprior", log, **fetch, OUTPUT=str(tmp_path / "p.img")) is None
    assert ".tif" in log.errors[-1]
    monkeypatch.setenv("FUSAR_EXECUTABLE", program(tmp_path / "fusar", "exec sleep 60"))
    log = Log()
    threading.Timer(0.3, log.cancel).start()
    assert run("fetchprior", log, **fetch, OUTPUT=str(tmp_path / "p.tif")) == {}
    monkeypatch.delenv("FUSAR_EXECUTABLE")
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    log = Log()
    assert run("fetchprior", log, **fetch, OUTPUT=str(tmp_path / "p.tif")) is None
    assert "was not found" in log.errors[-1]

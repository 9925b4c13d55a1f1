"""The real QGIS desktop under Xvfb, with real mouse and keyboard: draw, ask, watch, cancel, unload."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))
from desktop import SAMPLES, drive

from fusar_qgis.contract.run import SCORE_MEANING

STANDIN = Path(__file__).with_name("standin.py")
BACKEND = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it
HARBOUR = SAMPLES / "harbour_simulated.tif"

pytestmark = pytest.mark.timeout(360)


def processes(word: str) -> list[str]:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if word in line]


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("PATH", os.defpath)
    return tmp_path / "home"


def test_draw_ask_and_watch(home, scene_path):
    before = processes("standin.py serve")
    result = drive(home, scene_path, STANDIN)
    assert result["errors"] == []
    assert result["messages"] == [
        "Detect ship: 5 detections; demonstration model, no prior, simulated scene. "
        "Without a prior: it was not fetched from the network."
    ]
    (group,) = result["group"]
    assert group.endswith(" · Detect ship (demonstration model, no prior, simulated scene)")
    (layer,) = result["layers"]
    assert (layer["name"], layer["crs"], len(layer["features"])) == ("Detections", "EPSG:32650", 5)
    assert all(feature["wkt"].startswith("MultiPolygon") for feature in layer["features"])
    assert result["labels"] == 5
    assert result["left"] == {"actions": [], "toolbars": [], "dialogs": []}
    assert processes("standin.py serve") == before


def test_cancel_with_the_mouse(home, scene_path):
    result = drive(home, scene_path, STANDIN, targets=["endless"], cancel=True)
    assert result["errors"] == []
    assert result["messages"] == ["Detect endless: Cancelled. What was found so far stays on the map."]
    assert 0 < len(result["layers"][0]["features"]) < 20


def test_a_wrong_token_is_said_in_plain_words(home, scene_path, standin):
    address = {"FUSAR_URL": standin.url, "FUSAR_TOKEN": "another"}
    result = drive(home, scene_path, STANDIN, backend=address)
    assert result["errors"] == []
    assert result["messages"] == [
        f"Interpret SAR: The backend at {standin.url} does not accept the token. Enter the one that the backend was "
        "started with."
    ]


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_the_real_backend_is_killed_in_mid_run_and_the_run_goes_on(home):
    whole = (0.05, 0.05, 0.95, 0.95)  # long enough to be killed in, however fast the machine
    result = drive(home, HARBOUR, Path(BACKEND), kill=True, targets=["ship", "plane"], corners=whole)
    assert result["errors"] == []
    assert result["killed in mid-run"]
    told = "demonstration model, prior file:harbour_simulated_prior.tif, simulated prior, simulated scene"
    assert any(told in text for text in result["messages"])
    assert any("goes on when it is back" in text for text in result["every message"])
    (layer,) = [layer for layer in result["layers"] if layer["name"] == "Detections"]
    assert layer["features"]
    assert {feature["model"] for feature in layer["features"]} == {"tiny"}
    assert f"score_meaning: {SCORE_MEANING}" in layer["abstract"]

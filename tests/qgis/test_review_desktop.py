"""The real QGIS desktop: interpret, review by key, export, save, open again."""

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))
from desktop import HERE, SAMPLES, make_profile, play, qgis_environment

BACKEND = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it

pytestmark = pytest.mark.timeout(360)


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_review_from_the_first_finding_to_the_reopened_project(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    home = tmp_path / "home"
    make_profile(home / "profiles")
    plan = {"scene": str(SAMPLES / "harbour_simulated.tif"), "out": str(home / "out")}
    backend = {"FUSAR_EXECUTABLE": str(Path(BACKEND).resolve()), "FUSAR_DRIVE": json.dumps(plan)}
    result = play(home, HERE / "review_driver.py", qgis_environment() | backend)
    assert result["errors"] == []
    expected = ["accepted", "accepted", "rejected", "accepted", "rejected", "relabelled", "accepted", "added"]
    assert result["decisions"] == result["decisions_again"] == expected
    assert result["progress"].startswith("8 of ")
    assert result["stayed"]  # undo leaves the map and the current finding where they are
    assert result["given_up"]
    assert result["edited"]["review"] == "accepted"
    left, top, right, bottom = json.loads(result["edited"]["model_box"])
    assert (result["edited"]["box_left"], result["edited"]["box_top"]) == pytest.approx((left, top), abs=0.01)
    assert result["edited"]["box_right"] > right
    assert result["edited"]["box_bottom"] > bottom
    assert all("2 rejected" in text for text in result["exports"])
    assert result["source"].startswith(str(home / "out" / "survey_fusar.gpkg"))
    assert (home / "out" / "records" / "records.jsonl").is_file()

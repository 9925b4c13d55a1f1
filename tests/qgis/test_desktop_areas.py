"""The real QGIS desktop: a polygon clicked on a scene that no backend can open, from the button's menu to answers."""

import json
import os
import sys
import zipfile

import pytest
from conftest import ROOT
from test_scene import swath

sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))
from desktop import HERE, make_profile, play, qgis_environment

pytestmark = pytest.mark.timeout(360)


def test_a_polygon_on_a_scene_in_an_archive_placed_by_control_points(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    home = tmp_path / "home"
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.write(swath(tmp_path / "swath.tif"), "swath.tif")
    make_profile(home / "profiles")
    story = {"scene": f"/vsizip/{tmp_path}/x.zip/swath.tif", "out": str(home / "out")}
    standin = ROOT / "tests" / "qgis" / "standin.py"
    environment = {"FUSAR_EXECUTABLE": str(standin), "FUSAR_DRIVE": json.dumps(story)}
    result = play(home, HERE / "areas_driver.py", qgis_environment() | environment)
    assert result["errors"] == []
    assert result["messages"] == [
        "Count ship: ship: 7 (the model's own count); demonstration model, no prior, simulated scene. "
        "Without a prior: it was not fetched from the network."
    ]
    assert result["crs"] == ["EPSG:4326"]
    assert len(result["answers"]) == 1

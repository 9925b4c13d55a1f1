"""The chat dock in the real QGIS desktop under Xvfb, with real mouse and keyboard."""

import json
import os
import sys
from pathlib import Path

import pytest
from conftest import ROOT
from standin_chat import HOSTILE, WORDS

sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))
from desktop import HERE, SAMPLES, make_profile, play, qgis_environment

STANDIN = Path(__file__).with_name("standin.py")
BACKEND = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it

pytestmark = pytest.mark.timeout(360)


@pytest.fixture
def talk(tmp_path, monkeypatch):
    """Has these questions asked in QGIS; what was noted comes back."""
    monkeypatch.setenv("PATH", os.defpath)

    def talk(executable: Path, *questions: str) -> dict:
        home = tmp_path / "home"
        make_profile(home / "profiles")
        plan = {"scene": str(SAMPLES / "harbour_simulated.tif"), "out": str(home / "out")}
        plan |= {"questions": questions, "corners": (0.2, 0.1, 0.6, 0.45)}
        environment = {"FUSAR_EXECUTABLE": str(executable), "FUSAR_DRIVE": json.dumps(plan)}
        return play(home, HERE / "chat_driver.py", qgis_environment() | environment)

    return talk


def check_story(result: dict) -> None:
    """What holds whoever answers: streamed, followed to the map, kept in the project, gone without a trace."""
    assert result["errors"] == []
    assert result["width"] == 380
    assert {answer["state"] for answer in result["answers"]} == {"answered"}
    assert all(picture > 500 for answer in result["answers"] for picture in answer["pictures"])
    assert any(answer["seen_first"] < len(answer["answer"]) - 20 for answer in result["answers"])
    assert "Detections" in result["layers"]
    assert result["selection"] == "Se&lection (1)"
    assert (result["saved"], result["emptied"], result["same"]) == (True, [0, 0], True)
    assert result["left"] == []


def test_ask_follow_keep(talk):
    result = talk(STANDIN, "where are the ships?", "hostile", "港口里有多少艘船")
    check_story(result)
    where, this, hostile, chinese = result["answers"]
    assert (where["findings"], where["links"]) == (2, 2)
    assert hostile["answer"].startswith(HOSTILE)
    assert chinese["question"] == "港口里有多少艘船"
    assert this["answer"].startswith(WORDS)
    before, after = result["zoomed"]
    assert after < before
    assert result["messages"] == ["FUSAR-GPT: Put on the map: 2 findings of the answer."]


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_the_real_backend_talks_about_the_sample_scene(talk):
    result = talk(Path(BACKEND), "Where are the ships?", "Describe this area.")
    check_story(result)
    where, this, _ = result["answers"]
    assert where["links"] > 3
    prior = "Prior: file:harbour_simulated_prior.tif 2024, simulated."  # it lies beside the scene
    assert f"Model: tiny (demonstration only). {prior}" in where["answer"]
    assert this["answer"].startswith("The model ")

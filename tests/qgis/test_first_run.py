"""The real QGIS desktop and the real backend: a new user's first press leads to a first finding."""

import os
import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "e2e" / "desktop"))
from desktop import first_run

BACKEND = os.environ.get("FUSAR_EXECUTABLE")  # read before a fixture hides it

pytestmark = pytest.mark.timeout(360)


@pytest.mark.skipif(not BACKEND, reason="FUSAR_EXECUTABLE names no backend (make test-qgis does)")
def test_the_first_press_leads_to_a_finding(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.delenv("XDG_DATA_HOME")
    result = first_run(tmp_path / "home", Path(BACKEND))
    assert result["errors"] == []
    assert result["at start"] == {"messages": [], "status": "FUSAR-GPT: not started"}
    assert "simulated" in result["layer"]
    assert result["next step"] == [
        "Next step: Press “Interpret SAR”, drag a box over the harbour, then press Start."
    ]
    assert result["status"] == "FUSAR-GPT: ready (cpu)"
    assert result["first_finding_s"] > 0

"""``fusar samples``: QGIS opens what it names."""

import json
from pathlib import Path


def test_samples_are_named_with_all_that_belongs_to_them(fusar):
    done = fusar("samples", "--json")
    assert done.returncode == 0
    harbour, yasur = json.loads(done.stdout)
    assert all(Path(harbour[part]).is_file() for part in ("scene", "prior", "area"))
    assert (harbour["simulated"], yasur["simulated"]) == (True, False)
    assert yasur["prior"] is None


def test_samples_in_words(fusar):
    done = fusar("samples")
    assert "Simulated harbour" in done.stdout
    assert "harbour_simulated.tif" in done.stdout

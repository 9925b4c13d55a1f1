"""The record of QGIS's names, by which the tests under PyQt6 work, is that of the QGIS that runs here."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from record_qgis_names import as_text, place, record


def test_the_record_is_current(qgis_app):
    here = record()
    if not place(here["version"]).exists():
        pytest.skip("this version of QGIS is not recorded")
    assert place(here["version"]).read_text("utf-8") == as_text(here), (
        "run scripts/record_qgis_names.py again"
    )

"""``fusar demo``: what a new user sees first."""

from __future__ import annotations

import re

import numpy as np
import pyogrio
from PIL import Image

from fusar_gpt.samples import HARBOUR, SAMPLES, YASUR


def test_the_demo_leaves_a_geopackage_a_picture_and_a_report(demo):
    done, out = demo
    assert done.returncode == 0, done.stderr
    progress = [line for line in done.stderr.splitlines() if line.endswith("chips")]
    assert len(progress) >= 4, "no progress was shown"
    assert len(progress) < 12, "progress on a pipe should be rare"
    for sample in SAMPLES:
        assert sample.title in done.stdout

    assert pyogrio.read_info(out / "findings.gpkg", layer="detections")["features"] > 0
    assert pyogrio.read_info(out / "findings.gpkg", layer="grid")["features"] % 9 == 0
    assert pyogrio.read_info(out / "findings.gpkg", layer="runs")["features"] == 3
    assert pyogrio.read_info(out / YASUR.scene.stem / "findings.gpkg", layer="runs")["features"] == 1
    with Image.open(out / "overlay.png") as picture:
        assert min(picture.size) > 500
        colours = np.asarray(picture.convert("RGB")).reshape(-1, 3).astype(int)
        assert (np.ptp(colours, axis=1) > 60).any(), "a grey picture holds no box"

    report = (out / "report.html").read_text(encoding="utf-8")
    assert HARBOUR.scene.name in report
    assert YASUR.scene.name in report
    for said in ("Simulated", "emonstration", "No prior", "Umbra", "AlphaEarth"):
        assert said in report
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)", report), "the report is not self-contained"
    assert "<script" not in report


def test_a_demo_that_cannot_be_written_says_so(fusar, tmp_path):
    (tmp_path / "file").write_text("")
    done = fusar("demo", "--out", tmp_path / "file" / "demo")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fusar: Cannot")

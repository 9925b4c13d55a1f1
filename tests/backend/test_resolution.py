"""Scenes and chips of sizes that a model was not taught: told in the run, refused where no object can be seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from affine import Affine
from rasters import UTM, write
from test_interpret import CARD, ThresholdEngine, run

from fusar_gpt.cli.interpret import request_from
from fusar_gpt.cli.main import build_parser
from fusar_gpt.contract import Task
from fusar_gpt.errors import TaskError
from fusar_gpt.model import Card
from fusar_gpt.planning import request_for


class TaughtEngine(ThresholdEngine):
    """Taught pixels of 1 to 10 m and chips of 500 to 2000 m."""

    card = replace(CARD, pixel_m=[1.0, 10.0], chip_m=[500.0, 2000.0], targets=["ship", "plane"])


def warnings(tmp_path, pixel_m, task=Task.COUNT, card=None, **choices):
    power = np.random.default_rng(0).gamma(20.0, 0.0005, (100, 100)).astype(np.float32)
    path = write(
        tmp_path / "scene.tif", power, transform=Affine(pixel_m, 0, 500000, 0, -pixel_m, 5e6), crs=UTM
    )
    engine = TaughtEngine()
    engine.card = card or engine.card
    return run(request_for(path, task, prior="none", **choices), engine)[0].run.warnings


def test_sizes_that_were_taught_are_not_spoken_of(tmp_path):
    assert warnings(tmp_path, 10.0) == ()
    assert (
        warnings(tmp_path, 0.5, card=replace(TaughtEngine.card, ground_m=1000.0)) == ()
    )  # averaged to the chip
    assert warnings(tmp_path, 20.0, card=CARD) == ()  # the card does not say


@pytest.mark.parametrize("pixel_m", [30.0, 0.5])
def test_other_sizes_are_told_before_the_first_answer(tmp_path, pixel_m):
    pixels, chips = warnings(tmp_path, pixel_m)
    assert f"pixels of {pixel_m:g} m are not of a size that the model was taught (1 to 10 m)" in pixels
    assert "not of a size that the model was taught (500 to 2000 m)" in chips


def test_a_coarse_scene_is_magnified_only_where_the_ground_of_a_chip_is_asked_for(tmp_path):
    def chip_m(**choices):
        write(tmp_path / "s.tif", np.full((300, 300), 0.01, np.float32), crs=UTM)  # 10 m pixels
        request = request_for(tmp_path / "s.tif", Task.COUNT, **choices)
        engine = TaughtEngine()
        engine.card = replace(CARD, ground_m=300.0)
        return run(request, engine)[0].run.chip_ground_m

    coarse = replace(TaughtEngine.card, ground_m=600.0)
    (told,) = warnings(tmp_path, 10.0, card=coarse)
    assert "small objects are easily missed" in told
    assert "--ground-m 600" in told
    assert warnings(tmp_path, 10.0, card=coarse, ground_m=600.0) == ()
    assert warnings(tmp_path, 3.0, card=coarse) == ()
    assert chip_m() == pytest.approx(960, rel=0.05)  # 96 px of 10 m
    assert chip_m(ground_m=700.0) == pytest.approx(700, rel=0.05)
    assert chip_m(ground_m=100.0) == pytest.approx(480, rel=0.05)
    words = ["interpret", "s.tif", "--task", "count", "--out", "o.gpkg", "--ground-m"]
    assert request_from(build_parser().parse_args([*words, "672"])).ground_m == 672
    for wrong in ("0", "nan", "inf", "wide"):
        with pytest.raises(SystemExit):
            build_parser().parse_args([*words, wrong])


def test_a_class_that_cannot_be_two_pixels_long_is_refused_or_left_out(tmp_path):
    assert warnings(tmp_path, 50.0)[-1] == "Not asked for plane: none is two pixels long in this scene."
    for targets, pixel_m in (("plane",), 50.0), (("ship",), 300.0), ((), 300.0):
        with pytest.raises(TaskError, match="not even two of the scene's pixels"):
            warnings(tmp_path, pixel_m, targets=targets)
    assert warnings(tmp_path, 300.0, Task.DESCRIBE)  # told, not refused: a coast is larger


@pytest.mark.parametrize("taught", [[1.0], [0.0, 1.0], [2.0, 1.0]])
def test_a_card_states_a_range(taught):
    with pytest.raises(ValueError, match="a smallest and a greatest size"):
        Card(**{**CARD.__dict__, "pixel_m": taught})

"""The pictures of a finding: its box in the middle where the scene allows it, in the model's grey; and its prior."""

import os
import shutil
from datetime import datetime, timezone

import numpy as np
import pytest
from conftest import ROOT, write_tiff
from hypothesis import given
from hypothesis import strategies as st
from osgeo import gdal

from fusar_qgis.contract import InterpretRequest, SceneBox, Task
from fusar_qgis.gui.findings.pictures import PictureMaker, Wanted
from fusar_qgis.layers.prior_file import PriorError, PriorFile, open_prior
from fusar_qgis.layers.project_runs import ProjectRun
from fusar_qgis.layers.sar_file import SarFile
from fusar_qgis.layers.scene import SceneError
from fusar_qgis.layers.thumbnails import sar_thumbnail, window_around

SAMPLES = ROOT / "backend" / "fusar_gpt" / "samples"
PRIOR = "harbour_simulated_prior.tif"
RUN = {"id": "run-1", "prior": f"file:{PRIOR}", "prior_year": 2024}


@pytest.fixture
def harbour(tmp_path):
    """A scene with its prior beside it, both of yesterday, and the run of today."""
    for name in ("harbour_simulated.tif", PRIOR):
        shutil.copy(SAMPLES / name, tmp_path)
        os.utime(tmp_path / name, (1.7e9, 1.7e9))
    return tmp_path / "harbour_simulated.tif", RUN | {"started": datetime.now(timezone.utc).isoformat()}


def reason(source, run, scene, request=None) -> str:
    with pytest.raises(PriorError) as caught:
        open_prior(source, run, str(scene), request)
    return str(caught.value)


def test_it_shows_the_models_grey_of_the_ground_around_the_box(qgis_app, scene_path):
    scene = SarFile(str(scene_path), None)
    picture = sar_thumbnail(scene, SceneBox(100, 60, 112, 68), 96)
    assert (picture.width(), picture.height()) == (96, 96)
    exact = sar_thumbnail(scene, SceneBox(100, 60, 112, 68), 24)
    grey = scene.grey(*window_around(SceneBox(100, 60, 112, 68), scene.width, scene.height))
    assert [exact.pixelColor(col, 5).red() for col in range(24)] == grey[5].tolist()


@given(st.floats(-50, 250), st.floats(-50, 250), st.floats(0.1, 4000), st.floats(0.1, 4000))
def test_its_window_lies_in_the_scene_whatever_the_box(left, top, across, down):
    col, row, width, height = window_around(SceneBox(left, top, left + across, top + down), 200, 160)
    assert col >= 0
    assert col + width <= 200
    assert row >= 0
    assert row + height <= 160
    assert width >= 24
    assert height >= 24


def test_a_box_well_within_the_scene_is_whole_and_in_the_middle(qgis_app):
    col, row, width, height = window_around(SceneBox(400, 300, 460, 330), 2000, 1000)
    assert width == height == 120
    assert (col + width / 2, row + height / 2) == (430, 315)


def test_a_request_names_its_band_and_its_scale(qgis_app, tmp_path):
    path = write_tiff(tmp_path / "two.tif", bands=2)
    dataset = gdal.Open(str(path), gdal.GA_Update)
    for number, name in ((1, "VV"), (2, "HV")):
        dataset.GetRasterBand(number).SetDescription(name)
    del dataset
    ask = {"scene": str(path), "task": Task.DETECT, "targets": ("ship",)}
    assert SarFile.of_request(str(path), InterpretRequest(**ask, band="HV")).band == 2
    assert SarFile.of_request(str(path), InterpretRequest(**ask)).band == 1
    assert SarFile.of_request(str(path), None).band == 1
    with pytest.raises(SceneError, match="HH"):
        SarFile.of_request(str(path), InterpretRequest(**ask, band="HH"))
    scaled = SarFile.of_request(str(path), InterpretRequest(**ask, quantity="db", scale=0.1))
    assert scaled._radiometry.scale == 0.1


def test_the_prior_is_drawn_as_the_backend_draws_it_and_lies_as_the_scene_does(qgis_app, harbour):
    path, run = harbour
    scene = SarFile(str(path), None)
    prior = open_prior(run["prior"], run, str(path), None)
    col, row, side = scene.width // 2, scene.height // 2, 40
    picture = prior.picture(scene, (col, row, side, side), side)
    assert (picture.width(), picture.height()) == (side, side)
    stored = gdal.Open(str(path.with_name(PRIOR)))
    at, good = scene.pixels_in(stored, [[col + 10.5, row + 20.5]])
    assert good.all()
    x, y = at[0].astype(int).tolist()
    codes = [int(stored.GetRasterBand(n).ReadAsArray(x, y, 1, 1)[0, 0]) for n in (2, 17, 10)]
    codes = [code - 256 if code > 127 else code for code in codes]
    wanted = [np.sign(code) * (code / 127.5) ** 2 for code in codes]
    seen = picture.pixelColor(10, 20)
    assert [seen.red(), seen.green(), seen.blue()] == pytest.approx(
        [min(max((one + 0.3) / 0.6, 0), 1) * 255 for one in wanted], abs=1
    )


def test_a_prior_that_is_not_at_hand_or_another_one_by_now_is_never_drawn(qgis_app, harbour, tmp_path):
    path, run = harbour
    assert "no prior" in reason("none", run, path)
    assert "fetched (cog)" in reason("cog", run, path)
    assert "not there" in reason("file:other.tif", run, path)
    assert "newer than the run" in reason(run["prior"], run | {"started": "2020-01-01T00:00:00Z"}, path)
    assert "another year" in reason(run["prior"], run | {"prior_year": 2021}, path)
    shutil.copy2(path, path.with_name("points.npz"))
    assert "64 bands" in reason("file:points.npz", run, path)


def test_where_the_priors_file_does_not_reach_there_is_no_picture(qgis_app, harbour, scene_path):
    far = SarFile(str(scene_path), None)
    with pytest.raises(PriorError, match="no data at this place"):
        PriorFile(harbour[0].with_name(PRIOR)).picture(far, (0, 0, 40, 40), 40)


def test_both_pictures_come_from_the_background_and_a_scene_that_is_gone_says_so(bar, harbour, qtbot):
    path, run = harbour
    maker = PictureMaker(bar)
    box = SceneBox(200, 200, 220, 210)
    here = Wanted("layer", 1, box, run["prior"])
    gone = Wanted("elsewhere", 1, box, run["prior"])
    assert maker.get(here, ProjectRun("run-1", run, str(path), None)) is None
    assert maker.get(gone, ProjectRun("run-2", run, str(path.with_name("gone.tif")), None)) is None
    with qtbot.waitSignal(maker.arrived):
        pass
    made = maker.known(here)
    assert not made.sar.isNull()
    assert not made.prior.isNull()
    assert (made.sar_said, made.prior_said) == ("", "")
    assert maker.known(gone).sar.isNull()
    assert "gone.tif" in maker.known(gone).sar_said

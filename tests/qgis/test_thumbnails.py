"""The picture of a finding: its box in the middle where the scene allows it, in the grey that the model sees."""

from hypothesis import given
from hypothesis import strategies as st

from fusar_qgis.contract import SceneBox
from fusar_qgis.layers.sar_file import SarFile
from fusar_qgis.layers.thumbnails import sar_thumbnail, window_around


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

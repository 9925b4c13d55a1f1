"""Plain images go through the main path as scenes that lie nowhere: all is in pixels, nothing in degrees or metres."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import shapely
from test_interpret import CHIP, ThresholdEngine

from fusar_gpt.contract import Finished, Found, Progress, Started, to_geojson
from fusar_gpt.engine import Reply
from fusar_gpt.errors import SceneError
from fusar_gpt.frames import SceneBox, SceneWindow, scene_corners
from fusar_gpt.imagery import Area, open_scene
from fusar_gpt.imagery.plain_image import PIXELS, PlainImage, plain_image
from fusar_gpt.server.chat.images import interpret_images
from fusar_gpt.server.security import PathRefused, Roots
from fusar_gpt.tasks import Task

BRIGHT = (100, 40, 130, 56)


def picture(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (2 * CHIP, CHIP)) -> np.ndarray:
    pixels = np.full(size[::-1], 20, np.uint8)
    for left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = 255
    return pixels


def run(images: dict[int, np.ndarray], task: Task, engine: object = None, **asked: object) -> list:
    return list(interpret_images(images, task, engine or ThresholdEngine(), lambda: False, **asked))


def bounds(finding) -> tuple[float, ...]:
    return shapely.geometry.shape(finding.geometry).bounds


def test_an_image_is_found_only_while_it_is_offered() -> None:
    with plain_image(picture(), "image") as path:
        assert not path.exists()
        with open_scene(path) as scene:
            assert (scene.name, scene.width, scene.height) == ("image", 2 * CHIP, CHIP)
    with pytest.raises(SceneError, match="does not exist"):
        open_scene(path)


def test_grey_levels_are_read_as_they_are_and_nothing_beside_the_image() -> None:
    scene = PlainImage(picture(BRIGHT), "image")
    stretch = scene.stretch()
    assert (scene.quantity, stretch.low_db, stretch.high_db) == ("grey", 0.0, 255.0)
    read = scene.read(SceneWindow(90, -10, 20, 60))
    assert np.isnan(read[:10]).all()
    np.testing.assert_array_equal(stretch.quantise(read)[10:], picture(BRIGHT)[:50, 90:110])
    assert scene.read_resampled(SceneWindow(0, 0, 2 * CHIP, CHIP), (12, 24)).shape == (12, 24)
    assert PlainImage(picture(), "a").fingerprint != PlainImage(picture(BRIGHT), "a").fingerprint
    black = PlainImage(np.zeros((8, 8), np.uint8), "black")
    assert black.stretch() == stretch


def test_its_ground_is_its_pixels_and_it_has_no_longitude() -> None:
    scene = PlainImage(picture(), "image")
    assert not scene.georeferenced
    assert np.isnan(scene.to_lonlat(scene_corners(SceneBox(0, 0, 5, 5))).xy()).all()
    whole = Area.whole(scene)
    assert whole.crs == PIXELS
    assert whole.on_scene(scene).equals(shapely.box(0, 0, 2 * CHIP, CHIP))


def test_detections_are_in_pixels_of_their_image_alone() -> None:
    started, first, found, second, finished = run({1: picture(), 2: picture(BRIGHT)}, Task.DETECT)
    assert isinstance(started, Started)
    assert isinstance(finished, Finished)
    assert [first, second] == [Progress(1, 2), Progress(2, 2)]
    (ship,) = finished.findings
    assert found == Found((ship,))
    np.testing.assert_allclose(bounds(ship), BRIGHT, atol=2.01)
    np.testing.assert_allclose(bounds(ship), astuple(ship.box))
    assert (ship.lonlat, ship.crs) == (None, "")
    columns = ship.properties
    assert not {"lon", "lat", "length_m", "width_m"} & set(columns)
    assert (columns["image"], columns["chip"], columns["run"]) == (2, 1, started.run.id)
    row = finished.run
    assert (row.scene, row.scene_crs, row.area, row.chip_ground_m) == ("2 images", "", "", 0.0)
    assert (row.band, row.quantity, row.stretch_low_db, row.stretch_high_db) == ("1", "grey", 0.0, 255.0)
    assert (row.prior, row.prior_note, row.overlap) == ("none", None, 0.0)
    (feature,) = to_geojson(finished.findings)["features"]
    assert (feature["scene_crs"], feature["geometry"]) == ("", None)


def test_findings_of_several_images_have_ids_of_their_own() -> None:
    finished = run({1: picture(BRIGHT), 2: picture(BRIGHT)}, Task.DETECT)[-1]
    assert len({finding.id for finding in finished.findings}) == 2


def test_an_object_is_classified_where_it_is() -> None:
    class Classifier(ThresholdEngine):
        def _reply(self, request):
            self.image = request.image
            return Reply("ship", (4,), np.array([0.0]), finished=True)

    engine = Classifier()
    finished = run({3: picture(BRIGHT)}, Task.CLASSIFY, engine, boxes=[SceneBox(*BRIGHT)])[-1]
    (row,) = finished.findings
    assert (row.properties["label"], row.properties["image"]) == ("ship", 3)
    np.testing.assert_allclose(bounds(row), BRIGHT, atol=1e-6)
    assert (engine.image > 200).any()


def test_an_empty_answer_has_no_score() -> None:
    class Silent(ThresholdEngine):
        def _reply(self, request):
            return Reply("", (), np.zeros(0), finished=True)

    (row,) = run({1: picture()}, Task.COUNT, Silent())[-1].findings
    assert row.properties["score"] is None
    assert row.properties["complete"] is False


@pytest.mark.parametrize("aspect", ["undistorted", "stretched"])
@pytest.mark.parametrize("size", [(CHIP, CHIP), (5 * CHIP, CHIP), (CHIP, 3 * CHIP + 1), (10, 7)])
def test_every_image_is_one_chip_that_shows_all_of_it(
    size: tuple[int, int], aspect: str, monkeypatch
) -> None:
    engine = ThresholdEngine()
    monkeypatch.setattr(
        ThresholdEngine, "card", type(engine.card)(**(vars(engine.card) | {"aspect": aspect}))
    )
    started, _, done, finished = run({1: picture(size=size)}, Task.COUNT, engine)
    assert (started.chips, done.done, engine.asked) == (1, 1, 1)
    left, top, right, bottom = bounds(finished.findings[0])
    assert left <= 0
    assert top <= 0
    assert right >= size[0]
    assert bottom >= size[1]
    assert finished.run.aspect == aspect


def test_no_client_can_name_it() -> None:
    with plain_image(picture(), "image") as path, pytest.raises(PathRefused):
        Roots.of([Path("/")]).resolve(str(path))


def test_an_image_smaller_than_a_chip_is_shown_in_its_own_pixels() -> None:
    class Watching(ThresholdEngine):
        def _reply(self, request):
            self.image = request.image
            return super()._reply(request)

    engine = Watching()
    small = picture((10, 10, 30, 20), size=(CHIP // 2, CHIP // 4))
    (ship,) = run({1: small}, Task.DETECT, engine)[-1].findings
    np.testing.assert_allclose(bounds(ship), (10, 10, 30, 20), atol=1.01)
    top, left = (CHIP - CHIP // 4) // 2, (CHIP - CHIP // 2) // 2
    np.testing.assert_array_equal(engine.image[top : top + CHIP // 4, left : left + CHIP // 2], small)
    assert int(engine.image.astype(int).sum()) == int(small.astype(int).sum())

"""No data is not an empty sea: ground without data is not asked about, and every answer says how much was seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from rasters import write
from test_interpret import CHIP, ThresholdEngine, run

from fusar_gpt.contract import Finished, Task
from fusar_gpt.errors import SceneError
from fusar_gpt.findings import count_by_kind
from fusar_gpt.frames import ScenePoints
from fusar_gpt.imagery import Area, open_scene
from fusar_gpt.planning import request_for

TASKS = (Task.COUNT, Task.DETECT, Task.LOCATE, Task.DESCRIBE)
FILLS = ("zero", "declared", "nan")


class EverywhereEngine(ThresholdEngine):
    """Sees something in every cell."""

    def _reply(self, request):
        return replace(super()._reply(request), text="1 2 3 4 5 6 7 8 9")


def scene(folder, seen_columns, fill="zero", height=2 * CHIP, width=2 * CHIP):
    """Dark sea with a bright block every 48 px, where ``seen_columns`` have data."""
    power = np.random.default_rng(0).gamma(20.0, 0.0005, (height, width)).astype(np.float32)
    for row in range(20, height - 8, 48):
        for column in range(20, width - 8, 48):
            power[row : row + 8, column : column + 8] = 30.0
    empty = np.ones(width, dtype=bool)
    empty[seen_columns] = False
    power[:, empty] = np.nan if fill == "nan" else 0.0
    return write(folder / "scene.tif", power, nodata=0.0 if fill == "declared" else None)


def in_pixels(path, left, top, right, bottom):
    """An area in the scene's own CRS from scene pixels."""
    with open_scene(path) as scene:
        ground = scene.to_ground(ScenePoints.of([(left, top), (right, bottom)]))
        return Area.from_bbox(ground.x.min(), ground.y.min(), ground.x.max(), ground.y.max(), scene.crs)


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("task", TASKS)
def test_an_area_without_data_is_refused_and_nobody_is_asked(tmp_path, task, fill):
    path = scene(tmp_path, slice(0, CHIP - 10), fill)
    engine = ThresholdEngine()
    with pytest.raises(SceneError, match="no data on 100 % of the area"):
        run(request_for(path, task, area=in_pixels(path, CHIP, 0, 2 * CHIP, 2 * CHIP)), engine)
    assert engine.asked == 0


@pytest.mark.parametrize("fill", FILLS)
def test_chips_without_data_have_no_count_and_the_total_says_what_was_seen(tmp_path, fill):
    path = scene(tmp_path, slice(0, CHIP), fill)
    engine = ThresholdEngine()
    engine.card = replace(engine.card, tasks=["count"])
    *_, last = run(request_for(path, Task.COUNT, prior="none"), engine)
    assert isinstance(last, Finished)
    rows = [finding.properties for finding in last.findings]
    chips = [row for row in rows if "chip" in row]
    assert engine.asked == 2
    assert [row["count"] for row in chips] == [4, None, 4, None]
    assert [round(row["data_share"], 1) for row in chips] == [1.0, 0.0, 1.0, 0.0]
    assert chips[1]["text"].startswith("no data on")
    (total,) = [row for row in rows if "chip" not in row]
    assert total["count"] == 8
    assert not total["complete"]
    assert "of the area has no data" in total["text"]
    assert last.run.data_share == pytest.approx(0.5, abs=0.02)
    assert last.run.warnings == ("No data on 50 % of the area: nothing is known of that ground.",)
    assert count_by_kind(last.findings) == {"ship counted": 8, "chips with too little data": 2}


def test_an_area_half_without_data_has_the_objects_that_are_detected_in_the_other_half(tmp_path):
    *_, last = run(request_for(scene(tmp_path, slice(0, CHIP)), Task.COUNT))
    rows = [finding.properties for finding in last.findings if finding.layer == "answers"]
    (total,) = [row for row in rows if "chip" not in row]
    assert (total["count"], total["method"], total["complete"]) == (8, "detections", False)
    assert total["agreement"] == 1.0, "chips that were not asked do not disagree"
    assert total["text"].endswith("of the area has no data")
    unseen = {row["chip"] for row in rows if "chip" in row and row["data_share"] < 0.5}
    assert count_by_kind(last.findings)["chips with too little data"] == len(unseen) > 0


def test_a_description_of_ground_without_data_is_absent(tmp_path):
    *_, last = run(request_for(scene(tmp_path, slice(0, CHIP)), Task.DESCRIBE))
    texts = [finding.properties["text"] for finding in last.findings]
    assert texts[::2] == ["dark sea", "dark sea"]
    assert all(text.startswith("no data on") for text in texts[1::2])


def test_objects_are_found_beside_the_edge_of_the_data_and_the_chip_says_how_little_was_seen(tmp_path):
    path = scene(tmp_path, slice(0, 36))  # three eighths of a chip
    *_, last = run(request_for(path, Task.DETECT, area=in_pixels(path, 0, 0, CHIP, CHIP)))
    assert [finding.layer for finding in last.findings].count("detections") == 2
    (row,) = [finding for finding in last.findings if finding.layer == "answers"]
    assert row.lacks_data
    assert row.properties["text"].endswith("so little was seen of it")


def test_cells_without_data_are_absent_whatever_the_model_says(tmp_path):
    path = scene(tmp_path, slice(0, 60))
    request = request_for(path, Task.LOCATE, area=in_pixels(path, 0, 0, CHIP, CHIP))
    *_, last = run(request, EverywhereEngine())
    assert {finding.properties["cell"] for finding in last.findings} == {1, 2, 4, 5, 7, 8}
    assert last.run.data_share == pytest.approx(60 / CHIP, abs=0.03)


def test_an_object_to_classify_that_has_no_data_is_not_asked_about(tmp_path):
    path = scene(tmp_path, slice(0, CHIP))
    boxes = [in_pixels(path, left, 20, left + 12, 32) for left in (20, CHIP + 40)]
    engine = ThresholdEngine()
    *_, last = run(request_for(path, Task.CLASSIFY, boxes=boxes), engine)
    assert engine.asked == 1
    assert [finding.lacks_data for finding in last.findings] == [False, True]


def test_fades_of_speckle_are_no_missing_data(tmp_path):
    power = np.random.default_rng(0).gamma(1.0, 0.6, (CHIP, CHIP))
    path = write(tmp_path / "dark.tif", np.floor(power).astype(np.uint16))  # four fifths of it are 0
    *_, last = run(request_for(path, Task.COUNT, prior="none"))
    assert last.run.data_share > 0.99
    assert last.run.warnings == ()


def test_a_prior_that_does_not_cover_the_area_is_told(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(20, 64))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.savez(tmp_path / "away.npz", features=vectors, lon=np.full(20, 100.0), lat=np.full(20, 10.0))
    request = request_for(scene(tmp_path, slice(None)), Task.LOCATE, prior=str(tmp_path / "away.npz"))
    *_, last = run(request)
    assert last.run.warnings == (
        "The prior has no vectors on 4 of 4 chips: there the model saw the radar image alone.",
    )


@pytest.mark.parametrize(("floor", "has_data"), [(80, False), (0, True)])
def test_a_black_frame_of_greys_is_no_data_and_dark_water_is_some(tmp_path, floor, has_data):
    noise = np.random.default_rng(0).normal(20, 30, (600, 600))
    grey = np.clip(noise + floor, floor and 1, 255).astype(np.uint8)
    grey[:, :200] = 0
    path = write(tmp_path / "grey.tif", grey)
    request = request_for(path, Task.COUNT, area=in_pixels(path, 0, 0, 150, 150), prior="none")
    if has_data:
        assert run(request)[-1].run.warnings == ()
    else:
        with pytest.raises(SceneError, match="no data"):
            run(request)

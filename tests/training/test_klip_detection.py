"""KLIP's detection benchmark: boxes survive targets and decoding, truth is what is complete, a small network learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from klip_vision_samples import SIDE, asked, klip
from PIL import Image

from fusar_gpt.frames import ChipBox, SceneBox
from fusar_train.corpus.chip import LABELS, LabelledBox
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.klip.benchmarks import detection
from fusar_train.klip.benchmarks.detection import (
    BoxData,
    Detector,
    decoded,
    detect,
    read_boxes,
    scored,
    targets_of,
)
from fusar_train.klip.benchmarks.encoders import TowerEncoder, starts_of
from fusar_train.klip.benchmarks.simulated_scenes import simulated_scenes
from fusar_train.klip.settings import KlipError
from fusar_train.simulation.looks import NAMES

SMALL = Detector(TowerEncoder(klip().model.image))


def squares(number):
    """A dark image with a bright square of 8 to 14 px, or none, and its box."""
    rng = np.random.default_rng(number)
    image = rng.integers(0, 30, (SIDE, SIDE), np.uint8)
    if number % 5 == 0:
        return image, None
    size, (row, col) = int(rng.integers(8, 15)), rng.integers(0, SIDE - 15, 2).tolist()
    image[row : row + size, col : col + size] = 230
    return image, (col, row, col + size, row + size)


def in_memory(count, boxes=None):
    made = [squares(number) for number in range(count)]
    objects = [[] if box is None else [LabelledBox(ChipBox(*map(float, box)), "ship")] for _, box in made]
    return BoxData(
        title="squares",
        images=np.stack([image for image, _ in made]),
        boxes=boxes or objects,
        difficult=[[False] * len(one) for one in boxes or objects],
        side=SIDE,
        labels=("ship",),
        held_out=np.arange(count) >= count * 3 // 4,
        groups=np.arange(count),
        notes=(),
    )


@given(
    st.integers(2, 28), st.integers(2, 28), st.integers(3, 20), st.integers(3, 20), st.sampled_from(LABELS)
)
def test_a_box_is_decoded_from_its_own_targets(x, y, width, height, label):
    box = ChipBox(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    data = in_memory(4, [[LabelledBox(box, label)]] + [[]] * 3)
    truth = targets_of(data, [0, 1], SMALL, SIDE)
    assert not truth["classes"][1].any()
    ((name, score, found),) = decoded(
        truth["classes"][0] * 0.9, truth["boxes"][0], SMALL.neck.cells, SMALL.neck.cell_px
    )
    assert name == label
    assert score == pytest.approx(0.9)
    assert detection.edges(found) == pytest.approx(detection.edges(box), abs=1e-4)


def test_targets_follow_the_size_of_the_encoders_image():
    data = in_memory(4, [[LabelledBox(ChipBox(8, 8, 24, 24), "plane")]] + [[]] * 3)
    wide = replace(data, side=64)  # told in pixels of 64, seen in 32
    truth = targets_of(wide, [0], SMALL, SIDE)
    ((_, _, found),) = decoded(truth["classes"][0], truth["boxes"][0], SMALL.neck.cells, SMALL.neck.cell_px)
    assert detection.edges(found) == pytest.approx((4, 4, 12, 12), abs=1e-4)


def test_of_boxes_that_overlap_by_half_the_surest_stays():
    scores = torch.zeros(16, 2)
    scores[5, 0], scores[7, 0], scores[5, 1] = 0.8, 0.9, 0.5
    sides = torch.full((16, 4), 0.5)
    sides[5] = torch.tensor([0.0, 1.0, 3.0, 1.0])  # nearly the same box from two cells that are no neighbours
    sides[7] = torch.tensor([2.0, 1.0, 1.0, 1.0])
    found = decoded(scores, sides, 4, 8.0)
    assert [(label, round(score, 2)) for label, score, _ in found] == [("ship", 0.9), ("plane", 0.5)]


def test_right_boxes_score_one_and_missed_ones_less():
    data = in_memory(20)
    tested = np.flatnonzero(data.held_out).tolist()
    right = [[(one.label, 0.9, one.box) for one in data.boxes[number]] for number in tested]
    assert scored(data, right, SIDE, ("AP50",), 0)["AP50"].value == 1.0
    assert scored(data, [[] for _ in tested], SIDE, ("AP50",), 0)["AP50"].value == 0.0
    hard = replace(data, difficult=[[True] * len(one) for one in data.boxes])
    assert "AP50" not in scored(hard, right, SIDE, ("AP50",), 0)  # nothing that counts


def test_a_small_network_learns_to_find_squares():
    data, options = in_memory(160), asked(vision_epochs=12)
    found = detect(data, starts_of(options).those[1], data.pixels(SIDE), options)
    assert scored(data, found, SIDE, ("AP50",), 0)["AP50"].value > 0.2


def record(folder, number, label="ship", complete=("ship", "plane"), **more):
    image, box = squares(number)
    folder.mkdir(exist_ok=True)
    Image.fromarray(image[:24]).save(folder / f"{number}.png")
    item = None if box is None else RecordObject(SceneBox(*box), label, difficult=number % 7 == 0)
    return Record(
        **{
            "id": f"squares/{number}",
            "image": folder / f"{number}.png",
            "objects": () if item is None else (item,),
            "scene": f"scene-{number}",
            "provenance": {"complete": list(complete)},
            **more,
        }
    )


def stored(tmp_path, records):
    write_records(records, tmp_path / "data")
    return tmp_path / "data"


def test_records_are_asked_for_the_classes_that_they_list_completely(tmp_path):
    raw = tmp_path / "raw"
    records = [record(raw, n, "plane" if n % 2 else "ship", ["ship"]) for n in range(20)]
    data = read_boxes(stored(tmp_path, records), 0)
    assert data.labels == ("ship",)
    assert all(one.label == "ship" for several in data.boxes for one in several)
    assert any("plane" in note for note in data.notes)
    assert any(any(one) for one in data.difficult)
    assert data.pixels(16).shape == (20, 16, 16)
    (box,) = data.scaled(2, SIDE)  # 32 x 24 px are stretched to a square
    left, top, right, bottom = squares(2)[1]
    assert detection.edges(box.box) == pytest.approx((left, top * 4 / 3, right, bottom * 4 / 3))


def test_records_without_a_class_that_is_complete_are_refused(tmp_path):
    records = [record(tmp_path / "raw", n, complete=[]) for n in range(10)]
    with pytest.raises(KlipError, match="neither ships nor planes"):
        read_boxes(stored(tmp_path, records), 0)


def test_records_of_one_scene_cannot_be_divided(tmp_path):
    records = [record(tmp_path / "raw", n, scene="one") for n in range(6)]
    with pytest.raises(KlipError, match="give more scenes"):
        read_boxes(stored(tmp_path, records), 0)


def test_a_table_of_records_and_nothing_to_measure_on(tmp_path):
    path = stored(tmp_path, [record(tmp_path / "raw", n) for n in range(20)])
    (table,) = detection.sections(asked(boxes=path, vision_epochs=1))
    assert [row.name for row in table.rows] == ["FUSAR-KLIP", "the same network from scratch"]
    assert "Not asked for: plane" in " ".join(table.notes)
    with pytest.raises(KlipError, match="--boxes DATA"):
        detection.sections(asked())


def test_simulated_scenes_are_the_same_every_time_and_their_parts_differ():
    scenes = simulated_scenes(3, 0)
    assert scenes.held_out.tolist() == [False, False, False, True]
    assert scenes.images.shape == scenes.cover.shape == (4, 224, 224)
    simulated_scenes.cache_clear()
    again = simulated_scenes(3, 0)
    np.testing.assert_array_equal(scenes.images, again.images)
    assert (scenes.images[0] != scenes.images[3]).any()
    assert scenes.cover.max() < len(NAMES)
    assert (simulated_scenes(3, 1).images[0] != scenes.images[0]).any()

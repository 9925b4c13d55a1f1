"""Exports in scene pixels: what the plugin writes, the training code reads."""

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from fusar_qgis.core import export
from fusar_qgis.core.export import Labelled, Window
from fusar_qgis.core.review import KEPT, RANKINGS, Item, Queue, is_kept, left_out, ranking
from fusar_train.corpus.check import check
from fusar_train.corpus.coco import read_coco
from fusar_train.corpus.dataset import Dataset
from fusar_train.corpus.records import read_records

RUN = {
    "id": "3f2a9c1e77", "scene": "S1A 港口 (v2).tif", "targets": "ship, plane", "model": "tiny",
    "scene_simulated": True, "attribution": "Somebody",
}  # fmt: skip
OBJECTS = [
    Labelled("a", (10.0, 20.0, 30.5, 28.0), "ship", 0.9, "accepted"),
    Labelled("b", (4090.0, 5.0, 4110.0, 15.0), "tug", None, "added"),
]


def write(folder, window, *, complete=True):
    record, image = export.record(window, OBJECTS, RUN, complete=complete, pixel_m=1.5)
    (folder / image).parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(window.col).integers(0, 255, (window.height, window.width), np.uint8)
    Image.fromarray(noise).save(folder / image)
    return export.line(record)


def test_the_training_code_reads_the_records(tmp_path):
    windows = list(export.windows((0, 0, 4200, 60), (5000, 60)))
    assert windows == [Window(0, 0, 4096, 60), Window(4096, 0, 104, 60)]
    (tmp_path / "records.jsonl").write_text("".join(write(tmp_path, window) for window in windows))
    first, second = read_records(tmp_path)
    assert [(item.label, item.box.left, item.box.right) for item in first.objects] == [
        ("ship", 10.0, 30.5),
        ("tug", 4090.0, 4110.0),  # what reaches over the edge is in both
    ]
    assert [(item.box.left, item.box.right) for item in second.objects] == [(-6.0, 14.0)]
    assert first.complete() == ["ship", "plane"]
    assert first.scene == second.scene
    assert first.provenance["simulated"] is True
    assert first.pixels().shape == (60, 4096)
    assert check([tmp_path]).faults == []


def test_nothing_is_complete_before_all_is_reviewed(tmp_path):
    (tmp_path / "records.jsonl").write_text(write(tmp_path, Window(0, 0, 100, 60), complete=False))
    (record,) = read_records(tmp_path)
    assert record.complete() == []


def test_the_training_code_reads_coco(tmp_path):
    Image.fromarray(np.zeros((60, 5000), np.uint8)).save(tmp_path / "scene.png")
    coco = export.coco("scene.png", (5000, 60), OBJECTS, RUN)
    (tmp_path / "annotations.json").write_text(json.dumps(coco))
    (record,) = read_coco(tmp_path / "annotations.json", Dataset("review"))
    assert [(item.label, item.box.left, item.box.bottom) for item in record.objects] == [
        ("ship", 10.0, 28.0),
        ("tug", 4090.0, 15.0),
    ]
    assert "score" not in coco["annotations"][1]
    assert "score" not in coco["info"]


def test_coco_says_what_its_scores_are():
    for name in RANKINGS:
        coco = export.coco("scene.png", (5000, 60), OBJECTS, RUN, name)
        assert coco["info"]["score"].startswith(name)
    assert "not a probability of being right" in export.SCORES["objectness"]


@pytest.mark.parametrize(
    ("known", "by"),
    [
        ({"objectness", "confidence"}, "confidence"),
        ({"objectness"}, "objectness"),
        ({"score", "review"}, "score"),
        ({"review"}, ""),
    ],
)
def test_a_layer_is_ranked_by_one_number(known, by):
    assert ranking(known) == by


@given(
    st.lists(
        st.tuples(st.floats(-5, 25), st.floats(-5, 25)).filter(lambda p: all(x % 1 != 0.5 for x in p)),
        min_size=3,
        max_size=6,
    ),
    st.integers(-3, 3),
)
def test_inside_is_the_even_odd_rule(corners, shift):
    ring = [*corners, corners[0]]
    window = Window(shift, shift, 9, 7)
    mask = export.inside([ring], window)
    for row in range(7):
        for col in range(9):
            x, y = col + shift + 0.5, row + shift + 0.5
            crossed = [
                x1 + (y - y1) * ((x2 - x1) / (y2 - y1))
                for (x1, y1), (x2, y2) in itertools.pairwise(ring)
                if (y1 <= y) != (y2 <= y)
            ]
            if all(abs(at - x) > 1e-6 for at in crossed):
                assert mask[row, col] == sum(at <= x for at in crossed) % 2


def test_windows_stay_on_the_scene():
    assert list(export.windows((-5, -5, 10, 10), (8, 6))) == [Window(0, 0, 8, 6)]
    assert list(export.windows((20, 20, 30, 30), (8, 6))) == []


def test_queue_goes_round_and_passes_over_low_scores_only():
    queue = Queue([Item(3, 0.9), Item(1, 0.2), Item(2, None), Item(5, 0.4, "accepted")])
    assert (queue.next(None), queue.next(5), queue.previous(1)) == (1, 1, 5)
    queue.least_score = 0.3
    assert queue.shown() == [2, 3, 5]
    assert (queue.reviewed(), queue.unscored()) == (1, 1)
    assert queue.next_undecided(3) == 2
    queue.put(Item(2, None, "rejected"))
    queue.put(Item(3, 0.9, "accepted"))
    assert queue.next_undecided(3) is None
    queue.drop(5)
    assert queue.get(5) is None
    assert queue.next(1) == 2  # a key that is passed over still has a place
    assert Queue().next(None) is None


@pytest.mark.parametrize("unreviewed_too", [True, False])
def test_what_is_left_out(unreviewed_too):
    reviews = ["accepted", "rejected", None, None, "added", "relabelled"]
    assert left_out(reviews, unreviewed_too=unreviewed_too) == (1, 0 if unreviewed_too else 2)
    kept = [review for review in reviews if is_kept(review, unreviewed_too=unreviewed_too)]
    assert set(kept) - {None} == set(KEPT)
    assert len(kept) + sum(left_out(reviews, unreviewed_too=unreviewed_too)) == len(reviews)
    assert math.isclose(len(kept), 5 if unreviewed_too else 3)

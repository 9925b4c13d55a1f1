"""KLIP's classification benchmark: groups of like images apart, scores right, both ways to use an encoder learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from klip_vision_samples import SIDE, asked
from PIL import Image

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.klip.benchmarks import classification
from fusar_train.klip.benchmarks.classification import ClassData, fine_tune, probe, read_classes, scored
from fusar_train.klip.benchmarks.encoders import starts_of
from fusar_train.klip.benchmarks.held_out import folds
from fusar_train.klip.benchmarks.simulated_ships import ship_chips
from fusar_train.klip.settings import KlipError
from fusar_train.simulation.models import SHIPS

NAMES = ("dark", "medium", "light")


def chip(number):
    """One of three grey levels with speckle."""
    rng = np.random.default_rng(number)
    return np.clip(60 + 60 * (number % 3) + rng.normal(0, 10, (SIDE, SIDE)), 0, 255).astype(np.uint8)


def record(folder, number, *, fine=..., objects=1, scene=None, split=None):
    path = folder / f"{number}.png"
    folder.mkdir(exist_ok=True)
    Image.fromarray(chip(number)).save(path)
    kind = NAMES[number % 3] if fine is ... else fine
    return Record(
        id=f"chips/{number}",
        image=path,
        objects=(RecordObject(SceneBox(0, 0, SIDE, SIDE), "plane", kind),) * objects,
        scene=scene or f"scene-{number // 2}",
        split=split,
    )


def stored(tmp_path, records):
    write_records(records, tmp_path / "data")
    return tmp_path / "data"


def in_memory(count=48):
    labels = np.arange(count) % 3
    held_out = np.arange(count) >= count * 3 // 4
    chips = np.stack([chip(number) for number in range(count)])
    return ClassData("chips", chips, labels, np.arange(count) // 2, held_out, NAMES, ())


def test_groups_are_apart_and_every_class_is_in_both_parts(tmp_path):
    data = read_classes(stored(tmp_path, [record(tmp_path / "raw", n) for n in range(40)]), 0)
    assert data.names == ("dark", "light", "medium")
    assert not set(data.groups[data.held_out]) & set(data.groups[~data.held_out])
    assert set(data.labels[data.held_out]) == set(data.labels[~data.held_out]) == {0, 1, 2}
    assert 4 <= data.held_out.sum() <= 14
    assert data.images(16).shape == (40, 16, 16)
    np.testing.assert_array_equal(data.images(SIDE)[3], chip(3))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=6, max_size=60), st.integers(2, 5))
def test_no_group_is_in_both_parts_of_a_fold(pairs, count):
    labels, groups = (np.array(one) for one in zip(*pairs, strict=True))
    tested = []
    for learned, test in folds(labels, groups, count, 0):
        assert not set(groups[learned]) & set(groups[test])
        tested += test.tolist()
    assert len(set(groups.tolist())) < 2 or sorted(tested) == list(range(len(labels)))


def test_a_split_that_the_records_state_is_kept_and_its_leaks_are_told(tmp_path):
    raw = tmp_path / "raw"
    records = [record(raw, n, split="test" if n % 4 == 0 else "train") for n in range(24)]
    data = read_classes(stored(tmp_path, records), 0)
    np.testing.assert_array_equal(data.held_out, np.arange(24) % 4 == 0)
    assert any("6 of them are of scenes that are learned from" in note for note in data.notes)


def test_what_cannot_be_classified_is_left_out_and_told(tmp_path):
    raw = tmp_path / "raw"
    records = [record(raw, n) for n in range(30)]
    records += [record(raw, 30, objects=0), record(raw, 31, objects=2), record(raw, 32, fine="rare")]
    data = read_classes(stored(tmp_path, records), 0)
    assert len(data.labels) == 30
    assert any("2 records do not show exactly one object" in note for note in data.notes)
    assert any("rare" in note for note in data.notes)


def test_labels_stand_where_no_fine_class_is_known_and_a_single_class_is_refused(tmp_path):
    records = [record(tmp_path / "raw", n, fine=None) for n in range(6)]
    with pytest.raises(KlipError, match="no two classes"):
        read_classes(stored(tmp_path, records), 0)


def test_scores_are_counted_over_images_classes_and_groups():
    held_out = np.ones(6, bool)
    labels, groups = np.array([0, 0, 0, 0, 1, 2]), np.array([7, 7, 7, 8, 8, 9])
    data = ClassData("", np.zeros((6, 1, 1), np.uint8), labels, groups, held_out, ("a", "b", "c", "d"), ())
    said = np.array([0, 0, 3, 0, 1, 0])
    scores = np.eye(4, dtype=np.float32)[said]
    found = scored(data, scores, 0)
    assert found["top-1"].value == pytest.approx(4 / 6, abs=1e-6)
    assert found["balanced"].value == pytest.approx((3 / 4 + 1 + 0) / 3, abs=1e-6)
    assert found["by group"].value == pytest.approx((2 / 3 + 1 + 0) / 3, abs=1e-6)
    assert found["top-3"].value == 1.0
    assert found["top-1"].n == 6
    assert found["by group"].n == 3
    assert 0 <= found["top-1"].low < found["top-1"].value < found["top-1"].high <= 1


def test_probe_and_fine_tuning_learn_grey_levels():
    data, options = in_memory(), asked(vision_epochs=25)
    start = starts_of(options).those[0]
    for scores in (
        probe(data, start, data.images(SIDE), options),
        fine_tune(data, start, data.images(SIDE), options),
    ):
        assert scores.shape == (12, 3)
        assert scored(data, scores, 0)["top-1"].value >= 0.75


def test_a_table_has_each_start_probed_and_fine_tuned_and_tells_chance(tmp_path):
    path = stored(tmp_path, [record(tmp_path / "raw", n) for n in range(30)])
    (table,) = classification.sections(asked(classes=path, vision_epochs=1))
    assert [row.name for row in table.rows] == [
        f"{start}, {way}"
        for start in ("FUSAR-KLIP", "the same network from scratch")
        for way in ("linear probe", "fine-tuned")
    ]
    assert all(set(row.figures) == set(classification.COLUMNS) for row in table.rows)
    assert "33.3% balanced" in table.notes[0]
    assert table.paper


def test_nothing_or_too_little_to_measure_on_is_told():
    with pytest.raises(KlipError, match="nothing to measure on: give --classes"):
        classification.sections(asked())
    with pytest.raises(KlipError, match="--simulated 5 is too few"):
        classification.sections(asked(simulated=5))


def test_simulated_ships_are_of_all_kinds_and_the_same_every_time():
    chips, labels, names = ship_chips(8, 3)
    again, _, _ = ship_chips(9, 3)
    assert names == tuple(SHIPS)
    assert labels.tolist() == list(range(8))
    np.testing.assert_array_equal(chips, again[:8])
    assert (ship_chips(1, 4)[0][0] != chips[0]).any()
    middle = chips[:, 46:66, 46:66].reshape(8, -1).max(1)
    assert (middle > np.median(chips.reshape(8, -1), axis=1) + 60).all()

"""KLIP's segmentation benchmark: masks read as the import reads them, ground apart, scores right, a network learns."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from klip_vision_samples import asked
from test_data_masks import decibels, pair, west_is_water

from fusar_train.corpus.cover_classes import PRODUCTS
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import import_dataset
from fusar_train.corpus.records import read_records
from fusar_train.corpus.texts.cover import TRUTH, Cover, count_cells
from fusar_train.klip.benchmarks import segmentation
from fusar_train.klip.benchmarks.segmentation import Ground, MaskData, read_masks, scored, tiles_of
from fusar_train.klip.settings import KlipError
from fusar_train.simulation.chip import MARGIN, compose
from fusar_train.simulation.looks import NAMES, looks_of, shown_cover

WATER_DB = -22


def scene(root, name, shape=(256, 80), seed=0, **more):
    """Dark water in the west of brighter land."""
    mask = west_is_water(shape, shape[1] // 2)
    image = decibels(seed, shape) + np.where(mask == 1, WATER_DB + 12, 0).astype(np.float32)
    return pair(root, name, mask=mask, image=image, **more)


def test_of_one_scene_the_last_quarter_is_held_out(tmp_path):
    data = read_masks(scene(tmp_path, "1"), "water")
    assert data.names == ("land", "water")
    assert [image.shape for image in data.learned.images] == [(192, 80)]
    assert len(data.tested.images) == 2  # of 64 px, side by side
    assert sum((truth >= 0).sum() for truth in data.tested.classes) == 64 * 80
    assert any("flatter" in note for note in data.notes)
    image, truth = (
        np.concatenate([one.ravel() for one in part]) for part in (data.tested.images, data.tested.classes)
    )
    assert image[truth == 1].mean() < image[truth == 0].mean() - 20


def test_pixels_are_those_that_the_import_stores(tmp_path):
    data = read_masks(scene(tmp_path / "set", "1"), "water")
    import_dataset("masks", tmp_path / "set", tmp_path / "out", {"masks": {"classes": PRODUCTS["water"]}})
    (record,) = read_records(tmp_path / "out")
    np.testing.assert_array_equal(record.pixels()[:192], data.learned.images[0])


def test_of_several_scenes_whole_ones_are_held_out_and_bad_ones_told(tmp_path):
    for number in range(4):
        scene(tmp_path, str(number), (80, 80), number)
    pair(tmp_path, "bad", mask=np.full((60, 90), 9, np.uint8))
    data = read_masks(tmp_path, "water")
    assert len(data.learned.images) == 3
    assert any("Held out: 1 of 4" in note for note in data.notes)
    assert any("code 9" in note for note in data.notes)


def test_what_cannot_be_read_or_is_too_small_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no scene with a mask"):
        read_masks(tmp_path, "water")
    with pytest.raises(KlipError, match="code 9"):
        read_masks(pair(tmp_path / "codes", mask=np.full((60, 90), 9, np.uint8)), "water")
    with pytest.raises(KlipError, match="Too little ground"):
        read_masks(scene(tmp_path / "small", "1", (100, 70)), "water")
    with pytest.raises(CorpusError, match="neither a file of classes nor one of"):
        read_masks(scene(tmp_path / "some", "1"), "nobody")


@settings(deadline=None, max_examples=30)
@given(st.integers(64, 200), st.integers(64, 200))
def test_tiles_show_each_pixel_with_a_class_once(rows, cols):
    truth = np.arange(rows * cols, dtype=np.int64).reshape(rows, cols) % 1000
    numbered = np.arange(rows * cols).reshape(rows, cols)
    seen = [numbers[classes >= 0] for numbers, classes in tiles_of(numbered, truth)]
    np.testing.assert_array_equal(np.sort(np.concatenate(seen)), np.arange(rows * cols))


def ground(truths):
    truths = [np.asarray(one, np.int16) for one in truths]
    tested = Ground([np.zeros(one.shape, np.uint8) for one in truths], truths)
    return MaskData("ground", ("a", "b", "c"), tested, tested, truths[0].shape[0], ())


TRUTHS = arrays(np.int16, (3, 4, 4), elements=st.integers(-1, 2))
SAID = arrays(np.int16, (3, 4, 4), elements=st.integers(0, 2))


@settings(deadline=None, max_examples=30)
@given(TRUTHS, SAID)
def test_scores_are_the_textbooks(truth, said):
    found = scored(ground(truth), said, 0)
    known = truth >= 0
    if not known.any():
        assert not found
        return
    assert found["OA"].value == pytest.approx((said == truth)[known].mean(), abs=1e-5)
    pairs = [((said == k) & known, truth == k) for k in range(3)]
    ious = [(a & b).sum() / (a | b).sum() for a, b in pairs if (a | b).any()]
    assert found["mIoU"].value == pytest.approx(np.mean(ious), abs=1e-5)


def test_a_small_network_learns_water_and_stands_beside_the_most_frequent_class(tmp_path):
    (table,) = segmentation.sections(
        asked(water=scene(tmp_path, "1"), water_classes="water", vision_epochs=1)
    )
    first, *others = table.rows
    assert first.name == "always the most frequent class"
    assert first.figures["OA"].value == pytest.approx(0.5)
    assert first.figures["mIoU"].value == pytest.approx(0.25)
    assert [row.name for row in others] == ["FUSAR-KLIP", "the same network from scratch"]
    assert others[1].figures["mIoU"].value > 0.6
    with pytest.raises(KlipError, match="--water DIR"):
        segmentation.sections(asked())


def test_what_is_shown_at_each_pixel_sums_to_what_the_looks_tell():
    site, _, _ = compose(3, 1)
    shown = shown_cover(site, MARGIN)
    told = looks_of(site, MARGIN).cover
    assert shown.shape == (224, 224)
    assert told == Cover.of_cells(count_cells(shown, len(NAMES)), NAMES, TRUTH).to_json()
    for name, share in told["classes"].items():
        assert (shown == NAMES.index(name)).mean() == pytest.approx(share, abs=2e-3)

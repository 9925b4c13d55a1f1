"""Crops of the same ground are found, whatever was done to them; other ground is not taken for the same."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from corpus_samples import record, save, ship, voc_xml
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from test_data_cli import data

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.check import check
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import import_dataset
from fusar_train.corpus.overlap import Picture, find_overlaps, pair_count, same_ground, texture
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.splits import assign_splits
from fusar_train.corpus.ssdd import read_voc as ssdd_of
from fusar_train.corpus.ssdd import shared_ground, split
from fusar_train.evaluation.labelled_images import SHARED_GROUND, ssdd_images

WHOLE = (700, 900)


@cache
def ground(seed, shape=(300, 400)):
    """Amplitude of correlated single-look speckle over a patchy surface."""
    rng = np.random.default_rng(seed)
    patches = gaussian_filter(rng.normal(size=(shape[0] // 10 + 1, shape[1] // 10 + 1)), 2.5) * 2
    surface = np.exp(patches).repeat(10, 0).repeat(10, 1)[: shape[0], : shape[1]]
    speckle = gaussian_filter(np.sqrt(rng.exponential(size=shape) * surface), 0.7)
    return speckle / np.median(speckle)


def stretched(amplitude, gain=60.0, power=1.0, noise=0.0, seed=0):
    """8-bit grey as one of many display stretches makes it."""
    grey = gain * amplitude**power + noise * np.random.default_rng(seed).normal(size=amplitude.shape)
    return grey.clip(0, 255).astype(np.uint8)


def picture(pixels, boxes=()):
    return Picture(lambda: pixels, (pixels.shape[1], pixels.shape[0]), tuple(boxes))


def found(*pixels, boxes=()):
    shown = [picture(one, boxes if number == 0 else ()) for number, one in enumerate(pixels)]
    return list(find_overlaps(shown, range(len(shown)), jobs=1))


@given(
    x=st.integers(-320, 320),
    y=st.integers(-200, 200),
    gain=st.sampled_from([25.0, 60.0, 110.0]),
    power=st.sampled_from([0.6, 1.0, 1.6]),
)
@settings(max_examples=8, deadline=None)
def test_a_shifted_crop_is_found_with_its_shift(x, y, gain, power):
    whole = ground(1, WHOLE)
    one = stretched(whole[200:500, 330:730])
    other = stretched(whole[200 + y : 500 + y, 330 + x : 730 + x], gain, power, noise=4)
    (overlap,) = found(one, other)
    assert overlap.shift == (x, y)
    assert overlap.correlation > 0.4


@given(st.integers(2, 10**6))
@settings(max_examples=5, deadline=None)
def test_other_ground_is_not_the_same(seed):
    whole, other = ground(1, WHOLE), ground(seed, (630, 400))
    crops = [
        whole[:300, :400],
        whole[330:630, :400],
        whole[:300, 430:830],
        other[:300, :400],
        other[330:630, :400],
    ]
    assert found(*(stretched(crop) for crop in crops)) == []


def test_ships_alone_are_no_ground_and_hide_none():
    rng = np.random.default_rng(0)
    pixels = [stretched(ground(seed)[:300, :400]) for seed in (3, 4)]
    boxes = []
    for left, top in rng.integers(20, 250, (14, 2)).tolist():
        boxes.append(SceneBox(left, top, left + 40, top + 12))
        for one in pixels:
            one[top : top + 12, left : left + 40] = 250
    assert found(*pixels, boxes=boxes) == []
    whole = ground(5, WHOLE)
    one, other = stretched(whole[:300, :400]), stretched(whole[60:360, 90:490])
    for box in boxes:
        one[int(box.top) : int(box.bottom), int(box.left) : int(box.right)] = 250
    (overlap,) = found(one, other, boxes=boxes)
    assert overlap.shift == (90, 60)


def test_copies_in_folders_of_classes_are_found_though_the_box_is_the_whole_chip(tmp_path):
    whole = stretched(ground(5, WHOLE))
    for name, left in (("one", 0), ("shifted", 7), ("other", 400)):
        save(tmp_path / "set" / "A220" / f"{name}.png", whole[:90, left : left + 90])
    import_dataset("class-folders", tmp_path / "set", tmp_path / "out")
    records = list(read_records(tmp_path / "out"))
    pairs = {(records[o.one].id, records[o.other].id) for o in same_ground(records, range(3))}
    assert pairs == {("chips/A220/one", "chips/A220/shifted")}


@pytest.mark.parametrize("fill", [0, 255])
def test_the_same_fill_is_no_ground(fill):
    pixels = [stretched(ground(seed)[:300, :400]) for seed in (3, 4)]
    rows, columns = np.indices((300, 400))
    for one in pixels:
        one[rows + columns < 250] = fill
        one[rows - columns > 150] = fill
    assert found(*pixels) == []
    assert found(np.full((300, 400), fill, np.uint8), np.full((300, 400), fill, np.uint8)) == []
    assert not texture(np.full((30, 40), fill, np.uint8), (), 2, 1.5).any()


def test_a_small_crop_of_a_large_image_is_found():
    whole = ground(6, WHOLE)
    large, crop = stretched(whole), stretched(whole[420:580, 510:720])
    others = [stretched(ground(seed)[:160, :210]) for seed in range(10, 20)]
    (overlap,) = found(crop, *others, large)
    assert (overlap.one, overlap.other, overlap.shift) == (0, 11, (-510, -420))


def test_pairs_known_to_belong_together_are_not_compared():
    shown = [picture(stretched(ground(7)[:200, :300]))] * 4
    scenes, sides = ["a", "a", "b", "c"], ["train", "test", "train", "test"]
    pairs = [(o.one, o.other) for o in find_overlaps(shown, scenes, sides)]
    assert pairs == [(0, 3), (1, 2), (2, 3)]
    assert pair_count(scenes, sides) == len(pairs)
    assert pair_count(scenes) == 5
    assert list(find_overlaps([], [])) == []


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (8, 9), (12, 12)])
def test_images_too_small_to_tell_are_no_pair(shape):
    rng = np.random.default_rng(0)
    assert found(*(rng.integers(0, 255, shape, dtype=np.uint8) for _ in range(6))) == []


@pytest.fixture(scope="module")
def torn(tmp_path_factory):
    """A set whose official split parts crops of one acquisition; two other images stand alone."""
    folder = tmp_path_factory.mktemp("torn")
    whole = ground(8, (500, 480))
    parts = {
        "a": whole[:240, :300], "b": whole[120:360, 100:400], "c": whole[260:500, 180:480],
        "d": ground(9)[:240, :300], "e": ground(10)[:240, :300],
    }  # fmt: skip
    splits = dict(zip("abcde", ("train", "test", "val", "train", "test"), strict=True))
    records = [
        record(folder, name, [ship(9, 9, 30, 20)], stretched(crop), split=splits[name])
        for name, crop in parts.items()
    ]
    write_records(records, folder / "set")
    return folder / "set"


def test_a_check_names_crops_of_one_ground_in_several_splits(torn):
    faults = check([torn]).faults
    assert len(faults) == 2
    assert "set:set/b (test) and set:set/a (train) show the same ground" in faults[0]
    assert "100 px right and 120 px down" in faults[0]
    assert check([torn], compare=None).faults == []
    assert len(check([torn], shared_scenes=True).notes) == 2


def test_a_split_keeps_crops_of_one_ground_together(torn, tmp_path, capsys):
    with pytest.raises(CorpusError, match="show the same scene or ground: give --again"):
        data("split", torn)
    data("split", torn, "--again", "--shares", ".5,.2,.3", "--pairs", tmp_path / "pairs.csv")
    told = capsys.readouterr().out
    assert "2 pairs of images that show the same ground" in told
    assert (tmp_path / "pairs.csv").read_text().splitlines()[1].startswith("set/a,set/b,100,120,0.")
    splits = {one.id[-1]: one.split for one in read_records(torn)}
    assert splits["a"] == splits["b"] == splits["c"]
    data("check", torn)
    alone = [replace(one, split=None) for one in read_records(torn)]
    assert len({one.split for one in assign_splits(alone, (0.4, 0.3, 0.3), 0)}) == 3


def test_held_out_images_of_new_ground_are_measured_apart(tmp_path):
    whole = ground(11, (600, 1300))
    for number in range(20):
        crop = (
            ground(20 + number, (200, 300)) if number % 2 else whole[20 * number :, 50 * number :][:200, :300]
        )
        save(tmp_path / "JPEGImages" / f"{number:02}.jpg", stretched(crop))
        (tmp_path / "Annotations").mkdir(exist_ok=True)
        (tmp_path / "Annotations" / f"{number:02}.xml").write_text(voc_xml([(5, 5, 30, 20)], size=(300, 200)))
    held = {image.name for image in split(ssdd_of(tmp_path))[1]}
    crops = {name for name in held if int(name) % 2 == 0}
    assert crops
    assert held - crops
    assert shared_ground(tmp_path) == crops
    for part, names in (("test", held - crops), (SHARED_GROUND, crops)):
        images = ssdd_images(tmp_path, part, None)
        assert {images.id_of(i) for i in range(len(images))} == {f"ssdd/{name}" for name in names}

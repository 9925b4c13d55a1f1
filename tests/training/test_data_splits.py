"""Splits by scene, leaks across them, and every fault that makes a data set unfit."""

from dataclasses import replace

import numpy as np
import pytest
from corpus_samples import prior_file, record, ship, speckle, write_lines

from fusar_train.corpus.check import check
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records, replace_records, write_records
from fusar_train.corpus.shards import write_shards
from fusar_train.corpus.splits import assign_splits, grouped, identical

SHARES = (0.7, 0.15, 0.15)


@pytest.fixture(scope="module")
def hundred(tmp_path_factory):
    """100 pictures of 25 scenes."""
    folder = tmp_path_factory.mktemp("hundred")
    return [record(folder, f"n{i:03d}", [], speckle(i, (8, 9)), scene=f"scene{i % 25}") for i in range(100)]


def test_a_scene_never_lies_in_two_splits(hundred):
    divided = assign_splits(hundred, SHARES, seed=1)
    assert [one.id for one in divided] == [one.id for one in hundred]
    by_scene = {}
    for one in divided:
        assert by_scene.setdefault(one.scene, one.split) == one.split
    counts = {split: sum(one.split == split for one in divided) for split in ("train", "val", "test")}
    assert all(abs(counts[split] - share) <= 4 for split, share in (("train", 70), ("val", 15), ("test", 15)))


def test_the_seed_decides_and_nothing_else(hundred):
    same = {one.id: one.split for one in assign_splits(hundred[::-1], SHARES, seed=1)}
    for seed, equal in ((1, True), (2, False)):
        divided = {one.id: one.split for one in assign_splits(hundred, SHARES, seed)}
        assert (divided == same) is equal


def test_pictures_that_are_equal_join_their_scenes(tmp_path):
    picture = speckle(shape=(10, 14))
    forms = [picture, np.rot90(picture), picture[::-1], speckle(5, (10, 14))]
    records = [record(tmp_path, f"r{i}", [], form, scene=f"s{i}") for i, form in enumerate(forms)]
    bridge = record(tmp_path, "bridge", [], speckle(6, (10, 14)), scene="s1")
    assert [[one.id for one in twins] for twins in identical(records)] == [["set/r0", "set/r1", "set/r2"]]
    groups = grouped([*records, bridge])
    assert {key: len(group) for key, group in groups.items()} == {"s0": 4, "s3": 1}
    divided = assign_splits([*records, bridge], (0.5, 0.0, 0.5), seed=0)
    assert len({one.split for one in divided if one.id != "set/r3"}) == 1


def test_a_stated_split_is_kept_unless_drawn_again(hundred):
    official = [replace(one, split="test" if one.scene == "scene3" else None) for one in hundred]
    kept = assign_splits(official, (1.0, 0.0, 0.0), seed=0)
    assert {one.scene for one in kept if one.split == "test"} == {"scene3"}
    assert not [one for one in assign_splits(official, (1.0, 0.0, 0.0), 0, again=True) if one.split == "test"]
    torn = [replace(hundred[0], split="train"), replace(hundred[25], split="test")]
    with pytest.raises(CorpusError, match=r"n000 is in train and set/n025 in test.*--again"):
        assign_splits(torn, SHARES, 0)
    assert assign_splits(torn, SHARES, 0, again=True)


@pytest.mark.parametrize("shares", [(0.5, 0.5, 0.5), (1.2, -0.1, -0.1)])
def test_shares_must_sum_to_one(hundred, shares):
    with pytest.raises(CorpusError, match="sum to 1"):
        assign_splits(hundred, shares, 0)


def stored(folder, *records):
    write_records(records, folder)
    return folder


def test_splits_are_written_in_place(tmp_path, hundred):
    folder = stored(tmp_path / "set", *hundred[:10])
    replace_records(assign_splits(list(read_records(folder)), SHARES, 0), folder)
    again = list(read_records(folder))
    assert {one.split for one in again} >= {"train"}
    assert (again[3].pixels() == hundred[3].pixels()).all()
    assert check([folder]).faults == []


def test_shards_are_not_rewritten(tmp_path, hundred):
    write_shards(hundred[:2], tmp_path / "shards")
    with pytest.raises(CorpusError, match="shards came from"):
        replace_records(read_records(tmp_path / "shards"), tmp_path / "shards")


def test_a_sound_set_has_no_faults(tmp_path):
    prior = prior_file(tmp_path / "p.npz", year=2021)
    one = record(tmp_path, "a", [ship(-5, 3, 20, 9)], prior=prior, year=2021)
    other = record(tmp_path, "b", [], speckle(9))
    report = check([stored(tmp_path / "set", one, other)])
    assert report.faults == []
    assert report.notes == []
    assert report.counts["records"] == 2
    assert report.counts["without objects"] == 1
    assert report.counts["with a prior"] == 1
    assert report.counts["objects ship"] == 1


def test_the_same_picture_in_two_splits_is_refused(tmp_path):
    picture = speckle(shape=(10, 14))
    train = record(tmp_path, "a", [], picture, split="train")
    test = record(tmp_path, "b", [], np.rot90(picture[:, ::-1]), split="test")
    twin = replace(train, id="set/c", scene="set/c")
    report = check([stored(tmp_path / "set", train, test, twin)])
    assert len(report.faults) == 1
    assert "set:set/b (test) and set:set/a (train) show the same picture" in report.faults[0]
    assert report.counts["pictures that come again in their split"] == 1


def test_folders_without_splits_are_held_against_each_other(tmp_path):
    one = record(tmp_path, "a")
    here, there = stored(tmp_path / "here", one), stored(tmp_path / "there", replace(one, scene="x"))
    assert check([here]).faults == []
    (fault,) = check([here, there]).faults
    assert "there:set/a (there) and here:set/a (here) show the same picture" in fault


def test_a_scene_in_two_splits_is_refused_or_noted(tmp_path):
    splits = ("train", "test", "train", "test")
    records = [record(tmp_path, f"n{i}", [], speckle(i), "P1", split) for i, split in enumerate(splits)]
    folder = stored(tmp_path / "set", *records)
    (fault,) = check([folder]).faults
    assert "are of one scene, P1" in fault
    report = check([folder], shared_scenes=True)
    assert report.faults == []
    assert len(report.notes) == 1


def test_every_fault_is_named(tmp_path):
    bad_prior = prior_file(tmp_path / "p.npz", year=2020)
    records = [
        record(tmp_path, "outside", [ship(1, 1, 5, 5), ship(300, 10, 320, 30)], speckle(1)),
        record(tmp_path, "flat", [ship(10, 10, 10, 30)], speckle(2)),
        record(tmp_path, "year", [], speckle(3), prior=bad_prior, year=2023),
        record(tmp_path, "early", [], speckle(4), prior=prior_file(tmp_path / "q.npz", year=2001)),
        record(tmp_path, "empty", [], speckle(5), prior=prior_file(tmp_path / "e.npz", rows=0)),
        record(tmp_path, "lost", [], speckle(6)),
        record(tmp_path, "cut", [], speckle(7)),
    ]
    folder = stored(tmp_path / "set", *records)
    (folder / "images" / "set" / "lost.png").unlink()
    whole = (folder / "images" / "set" / "cut.png").read_bytes()
    (folder / "images" / "set" / "cut.png").write_bytes(whole[:3000])
    lines = (folder / "records.jsonl").read_text().splitlines(keepends=True)
    inverted = lines[1].replace("[10, 10, 10, 30]", "[10, 10, 5, 30]").replace("set/flat", "set/inverted")
    write_lines(folder / "records.jsonl", [*lines, lines[1], inverted, "nothing\n"])
    faults = "\n".join(check([folder]).faults)
    for said in (
        "set/outside: object 2, 300, 10, 320, 30, lies outside its 200 x 120 px",
        "set/flat: object 1, 10, 10, 10, 30, has no area",
        "set/year: its prior is of 2020 and its image of 2023",
        "set/early: AEF has no year 2001",
        "set/empty: its prior holds no vector",
        "lost.png does not exist",
        "cut.png is no readable image",
        "the id set/flat comes twice",
        "line 9, makes no sense: object 1, box: box [10, 10, 5, 30] is inverted",
        "line 10, is no JSON",
    ):
        assert said in faults, said
    assert len(faults.splitlines()) == 11  # an empty box is named each time it comes


def test_an_empty_set_is_a_fault(tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "records.jsonl").write_text("\n")
    (fault,) = check([tmp_path / "set"]).faults
    assert "is empty" in fault
    faults = check([tmp_path / "nowhere"]).faults
    assert "holds no records.jsonl and no shards" in faults[0]

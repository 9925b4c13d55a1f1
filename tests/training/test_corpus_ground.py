"""Scenes over the same ground lie in one split, whatever their zone; and a split once given stays."""

import json
from dataclasses import replace

import numpy as np
import pytest
import shapely
from affine import Affine
from corpus_samples import record
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from scene_samples import entry, found, scene, speckle, write, write_json
from scipy.ndimage import gaussian_filter
from test_data_cli import data

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records
from fusar_train.corpus.shards import write_shards
from fusar_train.corpus.sidecars import text_line
from fusar_train.corpus.slices.ground import (
    LEAST_WIDTH,
    assign_scene_splits,
    ground_groups,
    overlapping,
    refused_scenes,
)
from fusar_train.corpus.texts.sub_texts import SubTexts

SHARES = (0.6, 0.2, 0.2)


def groups_of(**footprints):
    """The names of each group, sorted."""
    found = ground_groups([entry(name, footprint) for name, footprint in footprints.items()])
    return sorted(sorted(name for name in found if found[name] == group) for group in set(found.values()))


def test_three_scenes_in_one_zone_and_one_across_two(tmp_path):
    # The border of the zones 31 and 32 is 6 degrees east; the scene across is in zone 31, its neighbour in 32.
    def place(lon, lat, epsg):
        x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
        return {"transform": Affine(100, 0, x, 0, -100, y), "crs": f"EPSG:{epsg}", "size": (40, 60)}

    scene(tmp_path / "one.tif", 1, **place(5.0, 50.0, 32631))
    scene(tmp_path / "over_one.tif", 2, **place(5.05, 50.01, 32631))
    scene(tmp_path / "apart.tif", 3, **place(5.3, 50.0, 32631))
    scene(tmp_path / "across.tif", 4, **place(5.97, 50.0, 32631))
    scene(tmp_path / "beyond.tif", 5, **place(6.03, 50.0, 32632))
    scene(tmp_path / "far.tif", 6, **place(6.2, 50.0, 32632))
    entries, errors, _ = found(tmp_path)
    assert not errors
    groups = ground_groups(list(entries.values()))
    assert groups == {
        "one": "one", "over_one": "one", "apart": "apart", "across": "across", "beyond": "across", "far": "far",
    }  # fmt: skip


def test_a_chain_is_one_group_named_after_its_first_whatever_the_order():
    chain = [entry(name, (lon, 0, lon + 1.2, 1)) for name, lon in (("d", 0), ("a", 1), ("c", 2), ("b", 5))]
    assert ground_groups(chain) == ground_groups(chain[::-1]) == {"d": "a", "a": "a", "c": "a", "b": "b"}
    assert ground_groups([]) == {}


def test_scenes_that_touch_share_nothing():
    assert groups_of(a=(0, 0, 1, 1), b=(1, 0, 2, 1), c=(1, 1, 2, 2)) == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize(("times", "joined"), [(0.5, False), (2.0, True)])
@pytest.mark.parametrize("side", [0.01, 2.0])
def test_an_overlap_counts_from_a_five_thousandth_of_the_smaller_side(side, times, joined):
    wide = LEAST_WIDTH * side * times
    assert (groups_of(a=(0, 0, side, side), b=(side - wide, -side, 2 * side, side)) == [["a", "b"]]) is joined


def test_a_corner_in_which_a_slice_has_room_counts():
    assert groups_of(a=(0, 0, 2.3, 1.5), b=(2.29, 1.49, 4.6, 3)) == [["a", "b"]]  # 1.1 km of 250


def test_frames_of_one_mosaic_that_touch_are_apart_though_their_edges_bend_in_degrees(tmp_path):
    for name, east, rows in (("a", 0, 1000), ("b", 1000, 700)):
        write(
            tmp_path / f"{name}.tif",
            (speckle(rows, 1000, east) * 1e4).astype(np.uint16) + 1,
            transform=Affine(40, 0, 600_000 + 40 * east, 0, -40, 7_600_000 - 40 * (1000 - rows) / 2),
            crs="EPSG:32631",
        )
    entries = list(found(tmp_path)[0].values())
    assert len(entries) == 2
    assert shapely.intersection(*(one.footprint for one in entries)).area > 0
    assert list(overlapping(entries)) == []


def test_the_antimeridian_parts_nothing():
    east, west = shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)
    across = shapely.MultiPolygon([east, west])
    assert groups_of(across=across, east=(179.5, 0, 180, 1), west=(-180, 0, -179.5, 1)) == [
        ["across", "east", "west"]
    ]
    assert groups_of(east=east, west=west) == [["east"], ["west"]]  # they touch
    assert groups_of(beyond=(179.5, 0, 181, 1), west=west, there=(0, 0, 1, 1)) == [
        ["beyond", "west"],
        ["there"],
    ]


def test_scenes_at_the_pole(tmp_path):
    for name, x, y in (("around", -30_000, 20_000), ("beside", -10_000, -5_000), ("away", 51_000, 20_000)):
        scene(
            tmp_path / f"{name}.tif",
            transform=Affine(1000, 0, x, 0, -1000, y),
            crs="EPSG:3413",
            size=(40, 60),
        )
    entries, errors, _ = found(tmp_path)
    assert not errors
    assert ground_groups(list(entries.values())) == {"around": "around", "beside": "around", "away": "away"}


boxes = st.tuples(st.integers(-5, 5), st.integers(-5, 5), st.integers(1, 4), st.integers(1, 4))


@settings(deadline=None, max_examples=60)
@given(st.lists(boxes, min_size=1, max_size=9))
def test_groups_are_those_that_overlap_and_no_new_scene_tears_them(places):
    entries = [entry(f"s{i}", (x, y, x + w, y + h)) for i, (x, y, w, h) in enumerate(places)]
    groups = ground_groups(entries)
    for one in entries:
        for other in entries:
            if shapely.intersection(one.footprint, other.footprint).area:
                assert groups[one.name] == groups[other.name]
    old = entries[: len(entries) // 2]
    kept = assign_scene_splits(ground_groups(old), {one.name: 1 for one in old}, SHARES, seed=1)
    refused = refused_scenes(entries, kept)
    assert not refused.keys() & kept.keys()
    left = [one for one in entries if one.name not in refused]
    splits = assign_scene_splits(ground_groups(left), {one.name: 1 for one in left}, SHARES, 1, kept)
    assert kept.items() <= splits.items()
    for one, other in overlapping(left):
        assert splits[one] == splits[other]


def test_splits_meet_the_shares_by_weight_and_the_seed_decides():
    groups = {f"s{i:02d}": f"s{i - i % 2:02d}" for i in range(40)}
    weights = {name: 10.0 for name in groups}
    splits = assign_scene_splits(groups, weights, SHARES, seed=3)
    assert splits == assign_scene_splits(dict(reversed(groups.items())), weights, SHARES, seed=3)
    assert splits != assign_scene_splits(groups, weights, SHARES, seed=4)
    counted = {split: list(splits.values()).count(split) for split in ("train", "val", "test")}
    assert counted == {"train": 24, "val": 8, "test": 8}
    assert all(splits[name] == splits[group] for name, group in groups.items())
    heavy = assign_scene_splits(
        {"a": "a", "b": "b", "c": "c"}, {"a": 98, "b": 1, "c": 1}, (0.02, 0.49, 0.49), seed=0
    )
    assert set(heavy) == {"a", "b", "c"}
    with pytest.raises(CorpusError, match="sum to 1"):
        assign_scene_splits(groups, weights, (0.5, 0.5, 0.5), seed=0)


def test_scenes_that_come_later_leave_the_splits_given_before():
    first = {f"s{i}": f"s{i}" for i in range(10)}
    kept = assign_scene_splits(first, dict.fromkeys(first, 1), SHARES, seed=0)
    later = first | {"new": "s3", "a": "a"}
    splits = assign_scene_splits(later, dict.fromkeys(later, 1), SHARES, 7, kept | {"gone": "test"})
    assert kept.items() <= splits.items()
    assert splits["new"] == splits["s3"]
    assert splits["gone"] == "test"  # its records may still be there


def test_a_scene_that_would_join_two_splits_is_refused_by_name():
    old = [entry("east", (2, 0, 3, 1)), entry("west", (0, 0, 1, 1))]
    kept = {"west": "train", "east": "test"}
    new = [
        entry("bridge", (0.5, 0, 2.5, 1)),
        entry("more_east", (2.5, 0, 4, 1)),
        entry("a_far", (9, 9, 10, 10)),
    ]
    refused = refused_scenes([*new, *old], kept)
    said = (
        "bridge joins the ground of east, which is in test, and of west, which is in train: leave one of them out, or "
        "draw all splits anew with --again."
    )
    assert {name: str(error) for name, error in refused.items()} == {"bridge": said}
    groups = ground_groups([*new, *old])
    with pytest.raises(CorpusError) as raised:
        assign_scene_splits(groups, {}, SHARES, 0, kept)
    assert str(raised.value).startswith("bridge joins the ground of east, which is in test, and of west")
    again = assign_scene_splits(groups, dict.fromkeys(groups, 1), SHARES, 0, kept, again=True)
    assert again["east"] == again["west"] == again["bridge"]
    with pytest.raises(CorpusError, match="b is in train and c in test, but they share ground"):
        assign_scene_splits({"b": "b", "c": "b"}, {}, SHARES, 0, {"b": "train", "c": "test"})


def test_a_chain_of_new_scenes_is_refused_where_it_would_close():
    old = [entry("west", (0, 0, 1, 1)), entry("east", (3, 0, 4, 1))]
    new = [entry("n1", (0.5, 0, 1.7, 1)), entry("n2", (1.6, 0, 2.7, 1)), entry("n3", (2.6, 0, 3.5, 1))]
    assert list(refused_scenes([*old, *new], {"west": "train", "east": "test"})) == ["n3"]


def corpus_of(folder, crops):
    """Shards of slices of scenes, each a crop of speckle with a part of it as its child; splits and texts beside."""
    records = []
    for name, pixels in crops.items():
        for number, (part, parent) in enumerate(((pixels, None), (pixels[:90, :90], f"{name}/large-0-0"))):
            slice_id = f"{name}/{'medium' if parent else 'large'}-0-0"
            one = record(
                folder / "raw", f"{name}{number}", [], np.ascontiguousarray(part), scene=name, parent=parent
            )
            records.append(replace(one, id=slice_id))
    corpus = folder / "corpus"
    write_shards(records, corpus, per_shard=2)
    write_json(corpus / "splits.json", dict(zip(crops, ("train", "test", "train", "val"), strict=False)))
    texts = SubTexts(keys="terrain", said={"Terrain": "Sea."}, by={})
    (corpus / "texts").mkdir()
    for describer in ("template", "other"):
        (corpus / "texts" / f"{describer}.jsonl").write_text(text_line(records[0].id, texts) + "\n")
    return corpus


@pytest.fixture
def torn_corpus(tmp_path):
    """Scenes a and b say that they lie apart, but show the same speckle, stretched and shifted; c does not."""
    whole, other = (speckle_grey(seed, (260, 300)) for seed in (1, 2))
    crops = {"a": whole[:200, :200], "b": 0.7 * whole[40:240, 60:260] + 9, "c": other[:200, :200]}
    return corpus_of(tmp_path, {name: crop.astype(np.uint8) for name, crop in crops.items()})


def speckle_grey(seed, shape):
    return np.clip(gaussian_filter(np.sqrt(speckle(*shape, seed)), 0.7) * 800, 0, 255)


def test_a_check_of_a_corpus_finds_scenes_that_show_the_same_ground_though_they_say_otherwise(
    torn_corpus, capsys
):
    with pytest.raises(CorpusError, match="1 faults"):
        data("check", torn_corpus)
    told = capsys.readouterr()
    assert "4 in train" in told.out
    assert "2 in test" in told.out
    (fault,) = [line for line in told.err.splitlines() if line.startswith("fault:")]
    assert "corpus:b/large-0-0 (test) and corpus:a/large-0-0 (train) show the same ground" in fault
    assert "60 px right and 40 px down" in fault


def test_splitting_a_corpus_again_mends_it_and_touches_no_shard(torn_corpus, capsys):
    before = {path: path.read_bytes() for path in torn_corpus.glob("*.tar")}
    data("split", torn_corpus, "--again", "--shares", ".5,.0,.5")
    splits = json.loads((torn_corpus / "splits.json").read_text())
    assert splits["a"] == splits["b"]
    assert set(splits) == {"a", "b", "c"}
    data("check", torn_corpus)
    assert before == {path: path.read_bytes() for path in torn_corpus.glob("*.tar")}
    assert {one.scene: one.split for one in read_records(torn_corpus, "template")} == splits


def test_shards_that_state_splits_are_not_split_beside_them(tmp_path):
    one = record(tmp_path / "raw", "a", [], scene="s", split="train")
    write_shards([one], tmp_path / "shards")
    with pytest.raises(CorpusError, match=r"no records\.jsonl to rewrite"):
        data("split", tmp_path / "shards", "--again", "--without-overlaps")
    assert not (tmp_path / "shards/splits.json").exists()

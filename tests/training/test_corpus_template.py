"""Sub-texts by templates: true by construction, grammatical, varied; what cannot be known is left out."""

import json
import re
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from corpus_samples import prior_file, record, ship
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.frames import SceneBox
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.land_cover import cover_prototypes
from fusar_train.corpus.record import Record, RecordObject
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.texts import phrases
from fusar_train.corpus.texts.cover import BUILT, OPEN, WATER, Cover, count_cells
from fusar_train.corpus.texts.facts import Facts
from fusar_train.corpus.texts.sub_texts import KEY_SETS
from fusar_train.corpus.texts.template import TemplateDescriber, describe_facts, describe_record
from fusar_train.corpus.texts.wording import ALL_CELLS, CELL_NAMES, NUMBERS, a, plural, where
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.records import record_of, write_chips

SIZE = (200, 120)
LABELS = ("ship", "plane", "storage tank", "bus", "aircraft carrier")
WORDS = {"ship": "ship|vessel", "plane": "plane|aircraft"}
COVER = {
    "classes": {"water": 0.5, "built-up": 0.3, "crops": 0.2},
    "where": {
        "water": [1, 1, 1, 1, 0.5, 0, 0, 0, 0],
        "built-up": [0, 0, 0, 0, 0.5, 1, 0.6, 0.3, 0.3],
        "crops": [0, 0, 0, 0, 0, 0, 0.4, 0.7, 0.7],
    },
}
LINES = {
    "the upper third": {0, 1, 2}, "the middle band from left to right": {3, 4, 5}, "the lower third": {6, 7, 8},
    "the left third": {0, 3, 6}, "the middle band from top to bottom": {1, 4, 7}, "the right third": {2, 5, 8},
    "the upper two thirds": {0, 1, 2, 3, 4, 5}, "the lower two thirds": {3, 4, 5, 6, 7, 8},
    "the left two thirds": {0, 1, 3, 4, 6, 7}, "the right two thirds": {1, 2, 4, 5, 7, 8},
}  # fmt: skip


def made(objects=(), **provenance):
    """A record without an image file."""
    stated = {"complete": ["ship"], **provenance}
    return Record(id="set/a", image="a.png", objects=tuple(objects), scene="s", provenance=stated)


def said(of, keys="targets", seed=0):
    return describe_facts(Facts.of(of, SIZE), keys, np.random.default_rng(seed))


def every(of, keys, key, seeds=60):
    """The wordings of one key by many seeds."""
    return {said(of, keys, seed).said.get(key, "") for seed in range(seeds)}


def cells_told(text):
    """The cells that the words of a place stand for."""
    text = text.lower()
    named = LINES | {name: {cell} for cell, name in enumerate(CELL_NAMES)}
    if "in all parts of the image" in text:
        return set(ALL_CELLS)
    found = set()
    for name in sorted(named, key=len, reverse=True):
        while re.search(rf"{name}\b", text):
            found |= named[name]
            text = re.sub(rf"{name}\b", "", text, count=1)
    return set(ALL_CELLS) - found if "everywhere but" in text else found


def number_of(word):
    return NUMBERS.index(word) if word in NUMBERS else 1 if word == "a single" else int(word)


def count_told(text, label):
    """The number of a class in a sub-text Count."""
    one = WORDS.get(label, label)
    numbers = "|".join([*NUMBERS, "a single", r"\d+"])
    match = re.search(rf"\b({numbers}) (?:{one})(?:e?s)?\b(?! (?:carrier|or))", text, re.IGNORECASE)
    return match and number_of(match[1].lower())


@st.composite
def records(draw):
    objects = []
    for label in draw(st.lists(st.sampled_from(LABELS), max_size=3, unique=True)):
        for _ in range(draw(st.integers(1, 15))):
            left, top = draw(st.floats(0, 180)), draw(st.floats(0, 100))
            wide, high = draw(st.floats(3, 60)), draw(st.floats(3, 40))
            objects.append(RecordObject(SceneBox(left, top, left + wide, top + high), label))
    seen = {item.label for item in objects}
    absent = draw(
        st.lists(st.sampled_from([label for label in LABELS if label not in seen]), max_size=3, unique=True)
    )
    grid = draw(st.lists(st.integers(0, 3), min_size=36, max_size=36))
    names = (WATER, BUILT, "crops", "trees")
    cover = Cover.of_cells(count_cells(np.array(grid).reshape(6, 6), 4), names, "truth").to_json()
    more = {"pixel_m": draw(st.sampled_from([None, 0.3, 3.0, 20.0]))}
    more |= {"place": draw(st.sampled_from([None, "port", "oil field"]))}
    more |= {"cover": cover} if draw(st.booleans()) else {}
    return made(
        objects, **{key: value for key, value in more.items() if value}, complete=sorted({*seen, *absent})
    )


@settings(max_examples=50, deadline=None)
@given(records(), st.integers(0, 10**6))
def test_every_sub_text_says_the_facts_and_no_other(of, seed):
    facts = Facts.of(of, SIZE)
    by_label = {each.label: each for each in facts.classes}
    for keys in KEY_SETS:
        texts = said(of, keys, seed)
        assert list(texts.by["facts"]) == list(texts.said)
        assert all(texts.by["facts"].values())
        for text in texts.said.values():
            assert re.fullmatch(
                r"(?:[A-Z0-9][^.]*(?:\d\.\d[^.]*)*\.)(?: [A-Z0-9][^.]*(?:\d\.\d[^.]*)*\.)*", text
            ), text
            assert "  " not in text
            assert not re.search(
                r"[{}<>\[\]|]|\b1 [a-z]+s\b| ,|(?<!and )\b(?:one|a single) \w+ are\b", text
            ), text
            assert not re.search(r"\ba [aeio]|\ban [bcdfghjklmnpqrstvwxyz]", text), text
    texts = said(of, "targets", seed).said
    told = texts.get("Count", "")
    for label in LABELS:
        if label in by_label:
            assert count_told(told, label) == by_label[label].count, told
        elif label not in facts.absent:
            assert not re.search(rf"\b(?:{WORDS.get(label, label)})(?:e?s)?\b(?! carrier)", told), told
    if len(by_label) == 1:
        (only,) = by_label.values()
        assert cells_told(texts["Location"]) == set(only.cells), texts["Location"]


@settings(max_examples=100, deadline=None)
@given(st.sets(st.integers(0, 8), min_size=1))
def test_words_of_a_place_are_those_cells(cells):
    text = where(frozenset(cells))
    assert cells_told(text) == cells
    assert text.startswith(("in ", "everywhere but in "))


@settings(max_examples=25, deadline=None)
@given(records(), st.integers(0, 99))
def test_no_sentence_states_a_number_that_is_no_fact(of, seed):
    facts = Facts.of(of, SIZE)
    for keys in KEY_SETS:
        texts = said(of, keys, seed)
        for key, text in texts.said.items():
            if key in ("Count", "Layout"):
                continue
            known = texts.by["facts"][key]
            told = re.sub(r"\ba quarter\b", "25", text)
            told = re.sub(r"\b(?:about|roughly) half\b", "50", re.sub(r"\bthree quarters\b", "75", told))
            for stated in re.findall(r"\d+(?:\.\d+)?", told):
                assert re.search(rf"(?<![\d.]){re.escape(stated)}(?![\d])", known), (text, known)
    assert facts.size == SIZE


def test_no_class_is_counted_unless_every_one_is_listed():
    box = ship(10, 10, 40, 20)
    assert every(made([box], complete=[]), "targets", "Count").isdisjoint(
        every(made([box]), "targets", "Count")
    )
    assert all("at least" in text.lower() for text in every(made([box], complete=[]), "targets", "Count"))
    assert all(
        "no " in text.lower() or "not one" in text.lower() for text in every(made(), "targets", "Count")
    )
    assert said(made(complete=[])).said == {}


def test_uncertain_marks_are_told_apart():
    doubtful = ship(50, 50, 60, 60, difficult=True)
    both = said(made([ship(10, 10, 40, 20), doubtful]))
    assert both.by["facts"]["Count"] == "ship=1;ship?=1"
    assert "one more object" in both.said["Count"].lower()
    alone = said(made([doubtful]))
    assert alone.by["facts"]["Count"] == "ship?=1"
    assert "Location" not in alone.said
    assert "Category" not in alone.said, "there may be a ship or not"


def test_sizes_are_metres_where_a_pixel_is_and_else_shares_of_the_image():
    box = [ship(10, 10, 50, 20)]
    assert all(
        "120 m" in text and "30 m" in text for text in every(made(box, pixel_m=3.0), "targets", "Size")
    )
    for text in every(made(box), "targets", "Size"):
        assert "20 %" in text
        assert "8 %" in text
    cut = [ship(-10, 10, 50, 20)]
    assert "Size" not in said(made(cut, pixel_m=3.0)).said, "the edge cuts it: its size is not known"
    assert said(made(cut)).by["facts"]["Feature"] == "ship:across;cut=one"


def test_only_what_is_known_whole_is_told_to_be_alone():
    lone, other = ship(10, 10, 40, 20), RecordObject(SceneBox(80, 80, 90, 90), "plane")
    assert said(made([lone])).by["facts"]["Distribution"] == "ship:single"
    assert said(made([lone, other], complete=["ship", "plane"])).by["facts"]["Distribution"] == (
        "plane:only one;ship:only one"
    )
    assert "Distribution" not in said(made([lone], complete=[])).said, "there may be more"
    assert "Distribution" not in said(made([lone, ship(50, 50, 60, 60, difficult=True)])).said


def test_a_chip_of_one_class_knows_neither_place_nor_size():
    whole = said(
        made([RecordObject(SceneBox(0, 0, *SIZE), "plane", "A320")], complete=["plane"], pixel_m=1.0)
    )
    assert set(whole.said) == {"Count", "Category", "Region"}
    assert "A320" in whole.said["Category"]


def test_targets_lie_in_a_row_in_a_group_or_scattered():
    def arrangement(*centres):
        return (
            Facts.of(made([ship(x - 2, y - 2, x + 2, y + 2) for x, y in centres]), SIZE)
            .classes[0]
            .arrangement
        )

    assert arrangement((20, 20)) == "single"
    assert arrangement((20, 20), (90, 90)) == "pair"
    assert arrangement((20, 20), (60, 41), (100, 60), (140, 79)) == "row"
    assert arrangement((20, 20), (30, 35), (40, 20)) == "cluster"
    assert arrangement((20, 20), (150, 40), (90, 110), (60, 20)) == "scattered"


def test_land_cover_tells_the_terrain_and_what_is_not_there():
    texts = said(made(cover=COVER), "terrain")
    facts = texts.by["facts"]
    assert facts["Terrain"] == "water 50+built-up land 30+crops 20"
    assert facts["Location"] == "water@01234;built-up land@456;crops@78"
    assert facts["Layout"] == "water 5+built-up land 2+crops 2"
    assert facts["Boundary"] == "water|land@4;water above"
    assert facts["Water"] == "water 50@01234"
    assert "Road" not in texts.said, "nothing tells of roads"
    dry = {"classes": {"crops": 1.0}, "where": {"crops": [1] * 9}}
    assert said(made(cover=dry), "terrain").by["facts"]["Water"] == "water 0"
    mask = {"classes": {"water": 0.3, "land": 0.7}, "where": {"water": [0.3] * 9, "land": [0.7] * 9}}
    assert "Building" not in said(made(cover=mask), "terrain").said, "land may be built up"


def test_truth_and_prior_are_kept_apart(tmp_path):
    water = np.repeat(cover_prototypes()[0, :1], 36, axis=0)
    grid = np.stack(np.meshgrid(*[(np.arange(6) + 0.5) / 6] * 2, indexing="ij"), -1).reshape(-1, 2)
    prior = prior_file(tmp_path / "p.npz", features=water, positions=grid.astype(np.float32))
    of = replace(made(), prior=prior)
    texts = said(of, "terrain")
    assert all("prior" in text for text in texts.said.values())
    assert texts.by["facts"]["Terrain"] == "prior all water"
    assert "Building" not in texts.said, "a likeness is no proof that there is none"
    assert not TemplateDescriber(key_sets=("terrain",), prior=False).describe(of, SIZE), (
        "the image does not tell it"
    )
    assert not any(
        "prior" in text for text in said(replace(of, provenance={"cover": COVER}), "terrain").said.values()
    )


def test_what_the_image_leaves_open_is_called_what_it_looks_like():
    smooth = {"classes": {OPEN: 0.9, "roads": 0.1}, "where": {OPEN: [0.9] * 9, "roads": [0.1] * 9}}
    looks = {"objects": [{"box": [10, 10, 40, 20], "label": "ship"}], "open": ["ship"], "cover": smooth}
    of = made(looks=looks, cover=COVER, place="port")
    for seed in range(30):
        targets, terrain = said(of, "targets", seed), said(of, "terrain", seed)
        assert targets.by["facts"]["Count"] == "ship~=1"
        assert re.search("(?:ship|vessel)-like target", targets.said["Count"])
        assert re.search("look|resembles", targets.said["Region"])
        assert not re.search(r"crops|prior|0 ships", " ".join(terrain.said.values()))
        assert re.search("may be|could be|does not tell", terrain.said["Water"])


@pytest.mark.parametrize(
    "cover",
    [
        "water", {"classes": ["water"]}, {"classes": {"water": "much"}}, {"classes": {"water": 3}},
        {"classes": {"water": 0.5}, "where": {"water": [0.5] * 8}},
    ],
)  # fmt: skip
def test_a_provenance_that_makes_no_sense_is_named(cover):
    with pytest.raises(CorpusError, match="provenance of set/a"):
        said(made(cover=cover), "terrain")


def test_every_key_has_at_least_four_phrasings_that_all_occur():
    tables = {name: table for name, table in vars(phrases).items() if isinstance(table, tuple)}
    for group in ("ARRANGED", "SHORE"):
        tables |= vars(phrases)[group]
    assert min(map(len, tables.values())) >= 4
    of = made([ship(10, 10, 40, 20), ship(80, 80, 90, 100)], place="port", pixel_m=3.0, cover=COVER)
    found = defaultdict(set)
    for seed in range(200):
        for keys in KEY_SETS:
            for key, text in said(of, keys, seed).said.items():
                found[keys, key].add(text)
    assert all(len(texts) >= 8 for texts in found.values()), {key: len(texts) for key, texts in found.items()}
    assert set(found) == {(keys, key) for keys in KEY_SETS for key in KEY_SETS[keys]} - {("terrain", "Road")}


def test_odd_class_names_have_their_plural_and_article():
    words = ("ship", "aircraft", "bus", "ferry", "bridge", "tug boat", "harbors", "glass")
    several = ["ships", "aircraft", "buses", "ferries", "bridges", "tug boats", "harbors", "glasses"]
    assert [plural(word) for word in words] == several
    assert plural("A320") == "A320 targets"
    assert plural("油轮") == "油轮 targets"
    assert [a(word) for word in ("ship", "aircraft", "oil tank", "A320", "unit", "urban area", "F-16")] == [
        "a ship", "an aircraft", "an oil tank", "an A320", "a unit", "an urban area", "an F-16",
    ]  # fmt: skip
    named = said(made([RecordObject(SceneBox(1, 1, 9, 9), "油轮")], complete=["油轮"]))
    assert "油轮 target" in named.said["Count"]


def test_a_folder_is_described_and_read_back(tmp_path):
    folder = tmp_path / "records"
    objects = [ship(10, 10, 40, 20)]
    kept = [record(tmp_path, "one", objects, pixel_m=3.0), record(tmp_path, "two", cover="water")]
    write_records([*kept, record(tmp_path, "three", complete=[])], folder)
    (folder / "records.jsonl").write_text((folder / "records.jsonl").read_text() + '{"id": "four"}\n')
    describer = TemplateDescriber(seed=3)
    first = describer.write(folder).read_bytes()
    assert describer.silent == ["set/three"]
    assert [str(error).count("set/two") + str(error).count("line 4") for error in describer.errors] == [1, 1]
    again = TemplateDescriber(seed=3)
    assert again.write(folder).read_bytes() == first
    assert TemplateDescriber(seed=4).write(folder).read_bytes() != first
    assert dict(again.described) == {"targets": 1}
    (folder / "texts" / "model.jsonl").write_text("")
    again.write(folder)
    read = next(read_records(folder, "template"))
    assert read.texts[0].by["seed"] == 3
    assert read.texts[0] == again.describe(read)[0]


def test_a_folder_without_records_is_refused(tmp_path):
    with pytest.raises(CorpusError, match="no folder"):
        TemplateDescriber().write(tmp_path / "nothing")
    with pytest.raises(CorpusError, match=r"no records\.jsonl"):
        TemplateDescriber().write(tmp_path)
    with pytest.raises(ValueError, match="key set"):
        describe_record(record(tmp_path), "colours", np.random.default_rng(0))


def test_simulated_records_say_what_their_image_shows(tmp_path):
    write_chips(tmp_path / "chips", "test", 0, 4)
    for number, read in enumerate(read_records(tmp_path / "chips")):
        chip = simulate_chip(number, 7)
        assert [texts.keys for texts in read.texts] == list(KEY_SETS)
        cover = read.provenance["cover"]
        shares = np.bincount(chip.cover.ravel(), minlength=8) / chip.cover.size
        assert list(cover["classes"].values()) == pytest.approx(shares, abs=1e-3)
        looks = read.provenance["looks"]
        boxes = [tuple(each["box"]) for each in looks["objects"]]
        assert {(b.left, b.top, b.right, b.bottom) for b in (o.box for o in read.objects)} <= set(boxes)
        counted = re.findall(r"(?:ship|plane)~?=(\d+)", read.texts[0].by["facts"]["Count"])
        assert sum(map(int, counted)) == len(boxes)
        for label in {each["label"] for each in looks["objects"]}:
            real = len(read.boxes(label))
            assert real == sum(each["label"] == label for each in looks["objects"]) or label in looks["open"]
        assert json.loads(json.dumps(looks)) == looks


def test_look_alikes_and_true_ones_get_the_same_texts():
    """Turning every flat into its opposite changes the truth and no word."""
    chip = simulate_chip(5, 1)
    assert chip.looks is not None
    turned = replace(chip, objects=(), cover=(chip.cover + 1) % 8)
    assert record_of(chip, "train", 5).texts == record_of(turned, "train", 5).texts

"""Retrieval of FUSAR-KLIP: ranks, hits by facts, one-fact and typed queries, and the report of them all."""

import json
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from klip_samples import WHERE, made, sub_texts

from fusar_gpt.frames import SceneBox
from fusar_gpt.retrieval import load_klip
from fusar_train.cli import main
from fusar_train.corpus.record import RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.corpus.texts.facts import Facts
from fusar_train.klip.benchmarks import facts, queries, retrieval
from fusar_train.klip.benchmarks.command import slots_of
from fusar_train.klip.benchmarks.options import BenchmarkOptions, checked
from fusar_train.klip.benchmarks.queries import Condition, TypedQuery, read_queries
from fusar_train.klip.benchmarks.retrieval import equal, first_right, true_of
from fusar_train.klip.data import SLOTS, UNKNOWN_FACT
from fusar_train.klip.settings import KlipError
from fusar_train.validation import SettingsError

GROUNDS = ("water", "grass", "trees", "sand")


def truth(number):
    """The provenance and objects that the sample image bears out."""
    col, row = 16 * (number % 2) + 6, 16 * (number % 4 // 2) + 6
    ground = GROUNDS[number // 8 % 4]
    return {
        "objects": (RecordObject(SceneBox(col, row, col + 4, row + 4), "ship"),) if number % 4 else (),
        "split": "test",
        "provenance": {
            "dataset": "sample",
            "licence": "CC0",
            "pixel_m": 3.0,
            "complete": ["ship"],
            "place": "port" if number % 2 else "open sea",
            "cover": {"classes": {ground: 1.0}, "where": {ground: [1.0] * 9}},
        },
    }


@pytest.fixture(scope="module")
def model(learned_klip):
    return learned_klip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """The same images as a test split, with truth."""
    folder = tmp_path_factory.mktemp("test")
    write_records([made(folder / "raw", number, **truth(number)) for number in range(32)], folder / "data")
    return folder / "data"


@pytest.fixture(scope="module")
def options(model, data):
    return BenchmarkOptions(klip=load_klip(model, device="cpu"), name="sample", data=(data,))


def figures(section, name):
    return next(row.figures for row in section.rows if row.name == name)


def test_a_model_that_knows_the_images_finds_them_and_chance_stands_beside(options):
    plain, by_facts = retrieval.sections(options)
    found, chance = figures(plain, "targets"), figures(plain, "targets: chance")
    assert found["text \u2192 image R@1"].value > 0.8
    assert found["image \u2192 text R@5"].value > 0.9
    assert found["mean"].low <= found["mean"].value <= found["mean"].high
    assert chance["text \u2192 image R@5"].value == pytest.approx(5 / 32)
    assert plain.paper[-1].figures["mean"].value == pytest.approx(0.4749)
    # The sample's texts tell neither Count nor Terrain, by which truth decides.
    assert not by_facts.rows
    assert "--facts" in by_facts.notes[0]


def test_retrieval_by_the_facts_of_named_keys(options):
    by_location = replace(options, facts=slots_of("targets Location"))
    _, section = retrieval.sections(by_location)
    chance = figures(section, "targets: chance")["text \u2192 image R@1"].value
    assert chance == pytest.approx(8 / 32)
    assert figures(section, "targets")["text \u2192 image R@1"].value > 0.85
    with pytest.raises(KlipError, match=r"'targets Colour' is no key\. Take some of: targets Count"):
        slots_of("targets Count, targets Colour")


def test_truth_decides_hits_where_the_texts_tell_counts(model, tmp_path):
    def told(number):
        one = sub_texts(number)
        said = {"Count": "one ship" if number % 4 else "no ship", **one.said}
        return (replace(one, said=said, by={}),)

    write_records(
        [made(tmp_path / "raw", number, told(number), **truth(number)) for number in range(32)],
        tmp_path / "data",
    )
    _, section = retrieval.sections(
        BenchmarkOptions(klip=load_klip(model, device="cpu"), name="x", data=(tmp_path / "data",))
    )
    assert "how many of the class ship" in section.notes[0]
    expected = (24 / 32) ** 2 + (8 / 32) ** 2
    assert figures(section, "targets: chance")["text \u2192 image R@1"].value == pytest.approx(expected)


def test_equal_texts_are_one_text_and_ties_stand_before_what_is_right():
    images = np.eye(3, dtype=np.float32)
    ranks = first_right(images, images[[0, 0, 2]], equal(np.arange(3), np.arange(3)))
    assert ranks.first.tolist() == [2, 3, 1]  # the first text is as like the first image as the second is
    nothing = first_right(
        np.zeros((4, 2), np.float32), np.zeros((9, 2), np.float32), equal(np.arange(4), np.arange(9))
    )
    assert nothing.first.tolist() == [9] * 4
    with pytest.raises(KlipError, match="1 of 2 vectors that are not finite"):
        checked(np.array([[1, 0], [np.nan, 0]], np.float32))


@given(
    arrays(np.int64, (4, 3), elements=st.integers(-1, 2)),
    arrays(np.int64, (4, 3), elements=st.integers(-1, 2)),
)
def test_a_text_is_true_where_all_that_it_tells_is_shown(told, shown):
    for text, image, verdict in zip(told, shown, true_of(told, shown), strict=True):
        spoken = [(t, i) for t, i in zip(text, image, strict=True) if t != UNKNOWN_FACT]
        assert verdict == (bool(spoken) and all(t == i for t, i in spoken))


@given(
    arrays(np.float32, 12, elements=st.sampled_from([0.0, 0.5, 1.0])), arrays(bool, 12), st.integers(1, 12)
)
def test_precision_is_a_share_that_no_order_of_ties_decides(alike, right, depth):
    found = facts.precision_at(alike, right, depth)
    worst = np.lexsort((right, -alike))[:depth]
    best = np.lexsort((~right, -alike))[:depth]
    assert right[worst].mean() - 1e-6 <= found <= right[best].mean() + 1e-6
    assert facts.precision_at(np.zeros(12, np.float32), right, depth) == pytest.approx(right.mean())


def test_queries_of_one_fact_have_chance_and_ceiling(options):
    (section,) = facts.sections(options)
    found = figures(section, "targets Location")
    assert found["chance"].value == pytest.approx(0.25)
    assert found["ceiling"].value == pytest.approx(0.8)  # eight images show each place
    assert 0.6 < found["P@10"].value <= 0.8
    assert [row.name for row in section.rows][-1] == "mean over keys"


def test_an_image_told_of_in_two_versions_is_one_image(options):
    described = options.described
    twice = [
        (*several, *(replace(one, version=1) for one in several)) for several in described.data.sub_texts
    ]
    both = replace(described, data=replace(described.data, sub_texts=twice))
    for queries_of_key in facts.draw_queries(both, 0).values():
        assert all(len(set(query.right)) == len(query.right) for query in queries_of_key)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"count": "ship", "least": 1}, True),
        ({"count": "ship", "least": 2}, False),
        ({"count": "plane", "most": 0}, None),  # nobody says that there is none
        ({"count": "ship", "least": 1, "regions": [3]}, True),
        ({"count": "ship", "least": 1, "regions": [1, 7]}, False),
        ({"arrangement": "ship", "words": ["single"]}, True),
        ({"length_m": "ship", "least": 12, "most": 12}, True),
        ({"cover": ["water", "grass"], "least": 0.9}, True),
        ({"cover": ["trees"], "least": 0.1, "regions": [5]}, False),
        ({"place": ["port"]}, True),
    ],
)
def test_conditions_are_judged_by_truth(tmp_path, condition, expected):
    record = made(tmp_path, 1, **truth(1))
    assert Condition(**condition).holds(Facts.of(record)) is expected


def test_a_query_needs_all_one_and_none_of_its_conditions(tmp_path):
    known = Facts.of(made(tmp_path, 1, **truth(1)))
    ship, open_sea = {"count": "ship", "least": 1}, {"place": ["open sea"]}
    unknown = {"count": "plane", "least": 1}
    assert TypedQuery(text="x", all_of=(ship,), none_of=(open_sea,)).right(known) is True
    assert TypedQuery(text="x", any_of=(ship, unknown)).right(known) is True
    assert TypedQuery(text="x", any_of=(open_sea, unknown)).right(known) is None
    assert TypedQuery(text="x", all_of=(open_sea, unknown)).right(known) is False


def test_typed_queries_are_told_one_by_one_and_by_language(options, tmp_path):
    asked = [
        {"text": f"target in the {place}", "all_of": [{"count": "ship", "least": 1, "regions": [region]}]}
        for place, region in zip(WHERE[1:], (3, 7, 9), strict=True)
    ]
    asked.append({"text": "no ship anywhere", "all_of": [{"count": "tank", "least": 1}]})
    asked.append({"text": "nine ships", "all_of": [{"count": "ship", "least": 9}]})
    asked.append({"text": "\u6d77\u4e0a\u7684\u8239", "language": "zh", "all_of": [{"place": ["open sea"]}]})
    (tmp_path / "q.yaml").write_text(yaml.safe_dump({"queries": asked}), encoding="utf-8")
    (section,) = queries.sections(replace(options, queries=tmp_path / "q.yaml"))
    assert figures(section, "mean")["P@10"].value > 0.5
    assert figures(section, "mean")["chance"].value == pytest.approx(0.25)
    first = section.strips[0]
    assert first.title == "target in the upper right"
    shown = sum(picture.right for picture in first.pictures) / len(first.pictures)
    assert shown == pytest.approx(figures(section, first.title)["P@10"].value)
    assert any("do not tell which images are right: no ship anywhere" in note for note in section.notes)
    assert any("no image is right: nine ships" in note for note in section.notes)
    assert any("does not know their language: \u6d77" in note for note in section.notes)


def test_the_queries_that_come_along_make_sense():
    found = read_queries(queries.BUILT_IN)
    assert [sum(one.language == tag for one in found) for tag in ("en", "zh")] == [20, 10]
    assert len({one.text for one in found}) == 30


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("queries: [", "cannot be read as YAML"),
        ("[]", "holds no queries"),
        ("queries: [{text: x}]", "query 1: a query needs conditions"),
        ("queries: [{text: x, all_of: [{count: ship}]}]", "count needs least or most"),
        ("queries: [{text: x, all_of: [{count: ship, least: 1, place: [port]}]}]", "exactly one of"),
        (
            "queries: [{text: x, all_of: [{cover: [water], least: .1, regions: [10]}]}]",
            "less than or equal to 9",
        ),
        ("queries: [{text: x, where: y, all_of: [{place: [port]}]}]", "unknown field 'where'"),
    ],
)
def test_queries_that_make_no_sense_are_told(tmp_path, content, message):
    (tmp_path / "q.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=message):
        read_queries(tmp_path / "q.yaml")


def test_the_report_keeps_what_was_measured_of_the_same_model_and_data(model, data, tmp_path, capsys):
    out = tmp_path / "out"
    call = ["klip", "evaluate", str(model), "--data", str(data), "--out", str(out), "--device", "cpu"]
    assert main([*call, "--only", "retrieval"]) == 0
    assert main([*call, "--only", "facts"]) == 0
    content = json.loads((out / "report.json").read_text())
    assert list(content["benchmarks"]) == ["retrieval", "facts"]
    page, text = (out / "report.html").read_text(), (out / "report.md").read_text()
    for words in ("FUSAR-KLIP, ViT-L", "47.5", "not comparable", "targets Location"):
        assert words in page
        assert words in text
    assert main([*call, "--only", "facts", "--seed", "1"]) == 1
    assert "report of another model or of other data: give another --out" in capsys.readouterr().err
    (out / "report.json").write_text("{}")
    assert main([*call, "--only", "facts"]) == 1
    assert "is no report of this command" in capsys.readouterr().err


def test_figures_go_on_the_card_and_nothing_else_of_it_changes(model, data, tmp_path):
    mine = copytree(model, tmp_path / "mine")
    call = ["klip", "evaluate", str(mine), "--data", str(data), "--only", "retrieval", "--device", "cpu"]
    before = load_klip(mine, device="cpu").card
    assert main([*call, "--out", str(tmp_path / "out"), "--card"]) == 0
    after = load_klip(mine, device="cpu").card
    measured = json.loads((tmp_path / "out" / "report.json").read_text())["benchmarks"]["retrieval"]
    share = measured["sections"][0]["rows"][0]["figures"]["text → image R@1"]["value"]
    (plain, *_) = after.figures.values()
    assert f"text → image R@1 {100 * share:.1f} (" in next(iter(plain.values()))
    assert not [name for name in plain if "chance" in name]
    assert replace(after, figures=before.figures) == before


def test_what_cannot_be_measured_is_told_and_all_else_is_reported(model, data, tmp_path, capsys):
    call = ["klip", "evaluate", str(model), "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main([*call, "--only", "facts"]) == 1
    assert "Say what to measure on with --data" in capsys.readouterr().err
    assert main([*call, "--data", str(data), "--split", "val", "--only", "facts"]) == 1
    assert "no record is of the split val" in capsys.readouterr().err
    absent = [*call, "--data", str(data), "--only", "queries,facts", "--queries", str(tmp_path / "absent")]
    assert main(absent) == 1
    assert "queries was not measured:" in capsys.readouterr().err
    assert list(json.loads((tmp_path / "out/report.json").read_text())["benchmarks"]) == ["facts"]
    with pytest.raises(SystemExit):
        main([*call, "--only", "fact"])


def test_texts_in_another_language_than_the_model_knows_are_refused(model, tmp_path):
    def chinese(number):
        return (replace(sub_texts(number), said={"Count": f"\u5171{number}\u8258\u8239"}, by={}),)

    records = [made(tmp_path / "raw", number, chinese(number), **truth(number)) for number in range(4)]
    write_records(records, tmp_path / "data")
    options = BenchmarkOptions(klip=load_klip(model, device="cpu"), name="x", data=(tmp_path / "data",))
    with pytest.raises(KlipError, match=r"100% of the words .* Give --texts of its language"):
        retrieval.sections(options)


def test_a_limit_draws_the_same_images_again(options):
    few = replace(options, limit=5).described
    assert [one.id for one in few.data.records] == [
        one.id for one in replace(options, limit=5).described.data.records
    ]
    assert len(few) == 5
    assert SLOTS[few.data.sub_texts[0][0].slot] == ("targets", "Location")

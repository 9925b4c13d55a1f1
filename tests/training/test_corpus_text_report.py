"""The report of a corpus's texts: figures by hand, two describers side by side, a page without network."""

import json
import re

import pytest
from corpus_samples import record
from hypothesis import given
from hypothesis import strategies as st

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import write_records
from fusar_train.corpus.sidecars import text_line
from fusar_train.corpus.texts.lexicon import mtld, overlap, sentences, words
from fusar_train.corpus.texts.sub_texts import SubTexts
from fusar_train.corpus.texts.text_report import EXAMPLES, figures_of, write_text_report
from fusar_train.simulation.records import write_chips

PEOPLE = "of the people by the people for the people"
SEA = {"Terrain": "Open water. It is calm.", "Water": "All of it."}


def texts(said, name="template", keys="terrain"):
    return SubTexts(keys=keys, said=said, by={"describer": name})


@pytest.fixture
def folder(tmp_path):
    """Three records: the template describes all, a model two of them."""
    folder = tmp_path / "records"
    write_records([record(tmp_path / "images", name) for name in ("one", "two", "three")], folder)
    (folder / "texts").mkdir()
    other = {"Terrain": "Open water. It is rough.", "Road": "<b>None</b> & no more."}
    for name, lines in {
        "template": [("one", SEA), ("two", SEA), ("three", {"Terrain": "Fields."})],
        "model": [("one", SEA), ("two", other)],
    }.items():
        stored = "".join(text_line(f"set/{at}", texts(said, name)) + "\n" for at, said in lines)
        (folder / "texts" / f"{name}.jsonl").write_text(stored)
    return folder


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (
            PEOPLE,
            9.0,
        ),  # a factor ends at the second "people", 4 of 6; after it no word comes twice: 9 words, 1 factor
        ("a a", 2.0),
        ("a b a", 3.0),
        ("a b c a", 4 / ((1 - 3 / 4) / 0.28)),  # no factor ends: the rest counts in part
        (
            "a a b c d",
            (5 / 1 + 5 / ((1 - 4 / 5) / 0.28)) / 2,
        ),  # forward a factor at "a a", backward a part of one
        ("all words differ", None),
        ("", None),
    ],
)
def test_mtld_is_that_of_mccarthy_and_jarvis(text, value):
    assert mtld(text.split()) == (value if value is None else pytest.approx(value))


@given(st.lists(st.sampled_from("abcdefgh"), max_size=60))
def test_mtld_is_the_same_backwards_and_between_two_and_all_words(tokens):
    value = mtld(tokens)
    assert value == pytest.approx(mtld(tokens[::-1]))
    assert value is None or value >= 2
    assert (value is None) == (len(set(tokens)) == len(tokens))


def test_words_and_sentences_are_counted_in_any_script():
    assert words("A 0.5 m ship-like target; 两艘船。") == [
        "a",
        "0.5",
        "m",
        "ship-like",
        "target",
        "两",
        "艘",
        "船",
    ]
    assert [sentences(text) for text in ("One. Two.", "No stop", "At 0.5 m. And", "海面。两艘船。", "")] == [
        2,
        1,
        2,
        2,
        0,
    ]
    assert overlap("The open sea.", "the Open lake") == pytest.approx(2 / 4)
    assert overlap("", "") == 1


def test_figures_are_those_of_the_texts():
    said = {"a": texts(SEA), "b": texts(SEA), "c": texts({"Terrain": "Fields."})}
    figures = figures_of(said, "terrain")
    assert (figures.slices, figures.vocabulary) == (3, 8)
    assert figures.filled == pytest.approx(5 / 24)
    assert figures.words == pytest.approx((8 + 8 + 1) / 3)
    assert figures.sentences == pytest.approx((3 + 3 + 1) / 3)
    assert figures.distinct == pytest.approx(1 / 3)
    assert sum(n for _, n in figures.lengths) == 3
    assert dict(figures.top) == {"open": 2, "water": 2, "calm": 2, "fields": 1}
    terrain, road = figures.keys["Terrain"], figures.keys["Road"]
    assert (terrain.filled, terrain.vocabulary, terrain.distinct) == (1.0, 6, pytest.approx(1 / 3))
    assert terrain.words == pytest.approx(11 / 3)
    assert (road.filled, road.mtld) == (0.0, None)


def test_two_describers_are_compared_on_what_both_described(folder, tmp_path):
    page, data = write_text_report(folder, [], tmp_path / "out")
    stated = json.loads(data.read_text())
    assert list(stated["describers"]) == ["model", "template"]
    assert stated["describers"]["template"]["terrain"]["slices"] == 3
    (pair,) = stated["agreement"]["terrain"]
    assert (pair["one"], pair["other"]) == ("model", "template")
    assert pair["keys"]["Terrain"] == [2, 0.5, pytest.approx((1 + 4 / 6) / 2)]
    assert pair["keys"]["Water"] == [1, 1.0, 1.0]
    assert "Road" not in pair["keys"], "only one of them fills it"
    assert stated["agreement"]["targets"] == []
    html = page.read_text()
    assert "&lt;b&gt;None&lt;/b&gt; &amp; no more." in html
    assert not re.search(r"https?:|<script|src=\"(?!data:)|\{\{|\{%", html)
    assert html.count("data:image/png;base64,") == 2, "of slices that both have described"
    assert "set/three" not in html


def test_one_describer_is_enough_and_a_lost_image_is_told(folder, tmp_path):
    next((folder / "images").rglob("one.png")).unlink()
    html = write_text_report(folder, ["template"], tmp_path / "out")[0].read_text()
    assert html.count("data:image/png;base64,") == 2
    assert "set/one: its image cannot be read" in html
    assert "beside" not in html


def test_records_with_texts_of_their_own_have_a_report(tmp_path):
    write_chips(tmp_path / "chips", "test", 0, EXAMPLES + 2)
    for describers in ([], ["template"]):
        page, data = write_text_report(tmp_path / "chips", describers, tmp_path / "out")
        assert json.loads(data.read_text())["describers"]["template"]["targets"]["slices"] == EXAMPLES + 2
        assert page.read_text().count("data:image/png;base64,") == EXAMPLES


def test_who_has_described_nothing_is_named(folder, tmp_path):
    with pytest.raises(CorpusError, match="not described by 'nobody', but by model, template"):
        write_text_report(folder, ["nobody"], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for file in (folder / "texts").iterdir():
        file.unlink()
    with pytest.raises(CorpusError, match="described by nobody"):
        write_text_report(folder, [], tmp_path / "out")


def test_sub_texts_of_both_key_sets_stand_side_by_side(folder, tmp_path):
    targets = texts({"Count": "No ships."}, keys="targets")
    with (folder / "texts" / "template.jsonl").open("a") as stream:
        stream.write(text_line("set/one", targets) + "\n")
    html = write_text_report(folder, ["template", "model"], tmp_path / "out")[0].read_text()
    assert html.index("Targets, as template") < html.index("Terrain, as model")
    assert "No ships." in html

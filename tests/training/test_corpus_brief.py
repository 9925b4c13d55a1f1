"""Brief sub-texts: the same coarse facts in a few words of either language."""

import json
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_corpus_template import COVER, SIZE, made

from fusar_gpt.frames import SceneBox
from fusar_train.cli import main
from fusar_train.corpus.record import RecordObject
from fusar_train.corpus.records import read_records
from fusar_train.corpus.texts import noise
from fusar_train.corpus.texts.brief import AREAS, area_of
from fusar_train.corpus.texts.brief_words import LANGUAGES
from fusar_train.corpus.texts.facts import Facts
from fusar_train.corpus.texts.template import TemplateDescriber, describe_briefly
from fusar_train.simulation.land import PLACES
from fusar_train.simulation.looks import NAMES
from fusar_train.simulation.records import write_chips


@pytest.fixture(scope="module")
def chips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("brief") / "chips"
    write_chips(folder, "train", 0, 15)
    assert main(["corpus", "describe", str(folder), "--describer", "brief"]) == 0
    return folder


def briefly(of, language="en", keys="targets", seed=0):
    return describe_briefly(Facts.of(of, SIZE), keys, np.random.default_rng(seed), language)


def test_both_languages_tell_the_same_facts_and_are_read_together(chips):
    both = list(read_records(chips, "brief,brief-zh"))
    for record in both:
        english, chinese = record.texts[:2], record.texts[2:]
        assert [one.by["facts"] for one in english] == [one.by["facts"] for one in chinese]
        assert not re.search(r"[a-z]", "".join("".join(one.said.values()) for one in chinese))
    assert [one.texts for one in read_records(chips, "brief")] == [one.texts[:2] for one in both]


def test_a_few_words_tell_what_is_there():
    ships = [RecordObject(SceneBox(x, 10, x + 30, 20), "ship") for x in (5, 60)]
    of = made(ships, complete=["ship", "plane"], cover=COVER, place="port", pixel_m=3.0)
    texts = briefly(of)
    assert texts.by["facts"] == {
        "Count": "ship=2;plane=0",
        "Location": "ship@012",
        "Feature": "ship:across",
        "Size": "ship:medium",
        "Category": "ship",
        "Distribution": "ship:pair",
        "Region": "port",
        "Environment": "ship:water",
    }
    assert max(len(text.split()) for text in texts.said.values()) <= 12
    assert "2" in texts.said["Count"] or "two" in texts.said["Count"]
    assert briefly(of, "zh").said["Region"] in (
        "港口",
        "港湾",
        "这是港口",
        "这是港湾",
        "港口景象",
        "港湾景象",
    )


def test_classes_and_places_that_no_table_knows_are_told_by_their_names():
    of = made([RecordObject(SceneBox(5, 10, 15, 20), "oil tank")], complete=[], place="mine")
    for language in LANGUAGES:
        said = briefly(of, language).said
        assert "oil tank" in said["Category"]
        assert "mine" in said["Region"]
        assert "1" in said["Count"] or "one" in said["Count"] or "一" in said["Count"]
    assert briefly(of).by["facts"]["Count"] == "oil tank>=1"


def test_every_simulated_word_is_in_both_languages():
    words = {*AREAS.values(), *PLACES, *NAMES}
    for language in LANGUAGES.values():
        assert words <= set(language.terms)
    english, chinese = (set(language.phrases) for language in LANGUAGES.values())
    assert english == chinese


@given(st.dictionaries(st.integers(0, 8), st.floats(0.01, 5), min_size=1))
def test_an_area_holds_most_and_no_smaller_one_does(amounts):
    area = area_of(amounts)

    def held(cells):
        return sum(amounts.get(cell, 0) for cell in cells) / sum(amounts.values())

    assert held(area) >= 0.75
    assert all(held(cells) < 0.75 for cells in AREAS if len(cells) < len(area))


@pytest.mark.parametrize(("across", "down"), [(True, False), (False, True), (True, True)])
def test_a_mirrored_area_is_told_in_mirrored_words(across, down):
    """Noise in Location exchanges words and cells: both must stay the same area."""
    names = {**(noise._ACROSS if across else {}), **(noise._DOWN if down else {})}
    by_name = {name: cells for cells, name in AREAS.items()}
    terms = LANGUAGES["en"].terms
    for name, cells in by_name.items():
        there = "".join(map(str, sorted(cells)))
        mirrored = AREAS[frozenset(map(int, noise._mirrored_cells(there, across, down)))]
        assert {noise._mirrored(term, names) for term in terms[name]} <= set(terms[mirrored])


def test_planted_noise_tells_other_facts(chips):
    texts = {(record.id, one.keys): one for record in read_records(chips, "brief") for one in record.texts}
    _, planted = noise.plant(texts, 0.3, seed=1)
    kinds = Counter(one.kind for one in planted)
    assert set(kinds) == set(noise.KINDS)
    for one in planted:
        assert one.facts != texts[one.id, one.keys].by["facts"][one.key]


def test_the_prior_is_never_told(chips):
    record = next(read_records(chips, "brief"))
    blind = replace(
        record,
        provenance={key: value for key, value in record.provenance.items() if key not in ("cover", "looks")},
    )
    said = TemplateDescriber(brief="en").describe(blind, (224, 224))
    assert not [one for one in said if one.keys == "terrain" and set(one.said) - {"Functionality"}]


def test_templates_refuse_what_only_a_model_takes(chips, capsys):
    assert main(["corpus", "describe", str(chips), "--describer", "brief", "--name", "mine"]) != 0
    assert "brief" in capsys.readouterr().err
    assert (
        json.loads((chips / "texts" / "brief-zh.jsonl").read_text().splitlines()[0])["by"]["language"] == "zh"
    )

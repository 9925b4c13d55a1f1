"""Wrong sub-texts planted among right ones: as many as asked, never right, reproducible, and their truth kept apart."""

import json
import re
from collections import Counter
from dataclasses import replace

import pytest
from corpus_samples import record
from test_corpus_template import cells_told

from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.sidecars import describers, read_texts, text_line
from fusar_train.corpus.texts.noise import COUNT, OTHER, PLACE, plant, write_noise
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts
from fusar_train.corpus.texts.wording import NUMBERS
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.records import record_of


@pytest.fixture(scope="module")
def chips():
    """The sub-texts of some simulated chips."""
    made = [record_of(simulate_chip(number, 7), "test", number) for number in range(30)]
    return {(each.id, texts.keys): texts for each in made for texts in each.texts}


def model(said, name="a", keys="targets"):
    return {(name, keys): SubTexts(keys=keys, said=said, by={"describer": "model"})}


def facts_of(texts, key):
    return texts.by["facts"][key]


def test_as_many_are_planted_as_asked_and_none_is_right(chips):
    spots = sum(len(texts.said) for texts in chips.values())
    noisy, planted = plant(chips, 0.2, seed=1)
    assert len(planted) == round(0.2 * spots)
    assert len({(one.id, one.keys, one.key) for one in planted}) == len(planted)
    assert set(Counter(one.kind for one in planted)) == {COUNT, PLACE, OTHER}
    for one in planted:
        right, wrong = chips[one.id, one.keys], noisy[one.id, one.keys]
        assert right.said[one.key] == one.right != one.wrong == wrong.said[one.key]
        assert facts_of(wrong, one.key) == one.facts
        assert not set(one.facts.replace("~", "").split(";")) <= set(
            facts_of(right, one.key).replace("~", "").split(";")
        )
    changed = {(one.id, one.keys, one.key) for one in planted}
    for at, texts in chips.items():
        for key, text in texts.said.items():
            assert noisy[at].said[key] == text or (*at, key) in changed


def test_the_same_seed_plants_the_same_in_any_order(chips):
    assert plant(chips, 0.1, 5)[1] == plant(dict(reversed(chips.items())), 0.1, 5)[1]
    assert plant(chips, 0.1, 5)[1] != plant(chips, 0.1, 6)[1]


def test_the_texts_do_not_tell_what_was_planted(chips):
    noisy, _ = plant(chips, 0.3, 2)
    assert {json.dumps(texts.by["noise"]) for texts in noisy.values()} == {'{"share": 0.3, "seed": 2}'}
    by_facts = [text for texts in noisy.values() for text in texts.by["facts"].values()]
    assert not any("planted" in text for text in by_facts)


def test_a_changed_sentence_tells_its_changed_facts(chips):
    """What is read back from a mirrored place, or a changed count, are the facts that stand beside it."""
    _, planted = plant(chips, 0.9, 3, [COUNT, PLACE])
    assert {one.key for one in planted} == {"Count", "Location"}
    changed = [one for one in planted if one.donor is None and ";" not in one.facts.replace(";plane=0", "")]
    assert {one.kind for one in changed} == {COUNT, PLACE}
    for one in changed:
        if one.kind == COUNT:
            label, n = re.fullmatch(r"(\w+)~?=(\d+)(?:;plane=0)?", one.facts).groups()
            words = {
                "ship": "(?:ship|vessel)(?:-like target)?",
                "plane": "(?:plane|aircraft)(?:-like target)?",
            }
            assert re.search(
                rf"\b(?:{n}|{NUMBERS[int(n)] if int(n) < 13 else n}) {words[label]}", one.wrong, re.I
            )
        else:
            assert cells_told(one.wrong) == {int(cell) for cell in one.facts.partition("@")[2]}


@pytest.mark.parametrize(
    ("said", "never"),
    [
        ("Three ships are visible near the quay.", "Three"),
        ("About 20-25 buildings line the shore.", "20-25"),
        ("There are 12 aircraft on an apron of 300 m by 120 m.", "12 air"),
    ],
)
def test_counts_of_any_describer_change_in_their_sentence(said, never):
    for seed in range(20):
        noisy, (one,) = plant(model({"Count": said}), 1.0, seed)
        text = noisy["a", "targets"].said["Count"]
        assert one.kind == COUNT
        assert never not in text
        assert text.split()[-3:] == said.split()[-3:]
        assert "facts" not in noisy["a", "targets"].by
    assert "300 m by 120 m" in text or "apron" not in said


@pytest.mark.parametrize(
    "said",
    [
        "Ships lie in the upper left and the centre.", "The port occupies the southeastern corner.",
        "A pier extends along the top of the image.", "In the lower third, a road runs from left to right.",
    ],
)  # fmt: skip
def test_places_of_any_describer_change_in_their_sentence(said):
    for seed in range(10):
        _, (one,) = plant(model({"Location": said}), 1.0, seed)
        assert one.kind == PLACE
        assert one.wrong.lower() != said.lower()
        assert len(one.wrong.split()) == len(said.split())
        assert "from right to left" not in one.wrong


def test_what_cannot_be_made_wrong_stays_right():
    alone = model({"Count": "One ship.", "Location": "In the centre.", "Region": "A port."})
    noisy, planted = plant(alone, 1.0, 0)
    assert planted == []
    assert noisy["a", "targets"].said == alone["a", "targets"].said
    swapped = "Ships in the left and the right third."
    assert all("upper" not in one.wrong for one in plant(model({"Location": swapped}), 1.0, 0)[1])
    same = model({"Region": "A port."}) | model({"Region": "a port."}, "b")
    assert plant(same, 1.0, 0)[1] == []


def test_a_donor_that_says_less_but_right_is_no_noise():
    one = SubTexts(keys="terrain", said={"Water": "Wet."}, by={"facts": {"Water": "water 40@012"}})
    more = replace(one, said={"Water": "Wet, quays."}, by={"facts": {"Water": "water 40@012;quays 5@3"}})
    _, planted = plant({("a", "terrain"): more, ("b", "terrain"): one}, 1.0, 0)
    assert [(each.id, each.wrong) for each in planted] == [("b", "Wet, quays.")]


@pytest.mark.parametrize(
    ("share", "kinds", "words"), [(0, [OTHER], "share"), (1.5, [OTHER], "share"), (0.2, ["x"], "kind")]
)
def test_senseless_noise_is_refused(share, kinds, words):
    with pytest.raises(CorpusError, match=words):
        plant(model({"Region": "A port."}), share, 0, kinds)
    with pytest.raises(CorpusError, match="no sub-texts"):
        plant({}, 0.2, 0)


def test_the_truth_lies_where_no_reader_looks(chips, tmp_path):
    folder = tmp_path / "records"
    write_records([record(tmp_path, "one")], folder)
    (folder / "texts").mkdir()
    with pytest.raises(CorpusError, match="described by nobody"):
        write_noise(folder, None, 0.2, 0)
    lines = [text_line(f"set/{'one' if n == 0 else n}", texts) for n, texts in enumerate(chips.values())]
    (folder / "texts" / "template.jsonl").write_text("".join(f"{line}\n" for line in lines))
    out, truth = write_noise(folder, None, 0.2, 0)
    assert (out.name, truth.name) == ("template-noise20.jsonl", "template-noise20.truth.json")
    assert describers(folder) == ["template", "template-noise20"]
    read = next(read_records(folder, "template-noise20"))
    assert read.texts == (read_texts(out)["set/one", "targets"],)
    stated = json.loads(truth.read_text())
    assert (stated["share"], stated["seed"], stated["texts"]) == (0.2, 0, "template.jsonl")
    assert {one["key"] for one in stated["planted"]} <= {key for keys in KEY_SETS.values() for key in keys}
    for one in stated["planted"]:
        assert read_texts(out)[one["id"], one["keys"]].said[one["key"]] == one["wrong"] != one["right"]
    with pytest.raises(CorpusError, match="there already"):
        write_noise(folder, "template", 0.2, 1)

"""What an analyst types becomes what the encoder can look for, and all that was changed is told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.errors import TaskError, TooLarge
from fusar_gpt.retrieval.encoder import open_encoder
from fusar_gpt.retrieval.explain import matched
from fusar_gpt.retrieval.query import LONGEST, query_vector, read_texts, split_negation
from fusar_gpt.retrieval.words import concepts, in_known_words, plain


@cache
def tiny():
    return open_encoder("klip-tiny", device="cpu")


@pytest.fixture(name="klip")
def _klip():
    return tiny()


@dataclass(frozen=True)
class Knows:
    """An encoder as far as words go."""

    words: frozenset[str] = frozenset()
    name: str = "it"

    def words_of(self, text):
        return re.findall(r"[\u3400-\u9fff]|[a-z]+", text.lower())


@pytest.mark.parametrize(
    ("typed", "read", "replaced"),
    [
        ("three ships in a harbour", "three ships in a harbour", {}),
        ("Quay", "quays", {"quay": "quays"}),
        ("ships by the JETTIES", "ships by the docks", {"jetties": "docks"}),
        (
            "boats near a wharf",
            "ships beside a docks",
            {"boats": "ships", "near": "beside", "wharf": "docks"},
        ),
        ("an aircraft carrier", "an ship", {"aircraft carrier": "ship"}),
        ("marshy ground", "marsh ground", {"marshy": "marsh"}),
        ("a lake beside woodland", "a water beside trees", {"lake": "water", "woodland": "trees"}),
        ("\uff33\uff28\uff29\uff30\uff33", "ships", {}),
        ("3 ships!", "3 ships", {}),
        ("find places like a port", "a port", {}),
        ("停機坪上的客機", "机场上的飞机", {"停机坪": "机场", "客机": "飞机"}),
        ("请找很多船的港口", "大量船的港口", {"很多": "大量"}),
    ],
)
def test_words_that_it_does_not_know_are_read_as_those_it_does(klip, typed, read, replaced):
    found = in_known_words(plain(typed), klip)
    assert (found.text, dict(found.replaced), found.unknown) == (read, replaced, ())


@pytest.mark.parametrize(
    ("typed", "read", "unknown"),
    [
        ("a refinery beside a river", "a beside a river", ("refinery",)),
        ("炼油厂旁边的船", "旁边的船", ("炼油厂",)),
        ("refinery", "", ("refinery",)),
        ("the of", "", ()),
        ("café at the port", "at the port", ("café",)),
    ],
)
def test_words_without_a_synonym_are_left_out(klip, typed, read, unknown):
    found = in_known_words(plain(typed), klip)
    assert (found.text, found.unknown) == (read, unknown)


def test_a_word_is_read_in_the_language_that_the_encoder_knows():
    english = Knows(frozenset({"ship", "harbor", "the", "in"}))
    assert in_known_words("船 in the 港口", english).text == "ship in the harbor"
    assert in_known_words("ports", Knows(frozenset("港口"))).text == "港口"


@pytest.mark.parametrize(
    ("typed", "wanted", "unwanted"),
    [
        ("open sea without ships", "open sea", ["ships"]),
        ("an airport with no planes on it", "an airport", ["planes"]),
        ("ships, not planes", "ships", ["planes"]),
        ("no ships in the harbour", "the harbour", ["ships"]),
        ("neither ships nor planes at an airport", "an airport", ["ships", "planes"]),
        ("farmland away from rivers and the sea", "farmland", ["rivers and the sea"]),
        ("a port without ships but with planes", "a port, but with planes", ["ships"]),
        ("forest without roads, by a river", "forest, by a river", ["roads"]),
        ("ports where there aren\u2019t any ships", "ports", ["any ships"]),
        ("没有飞机的机场", "机场", ["飞机"]),
        ("海面上一条船也没有", "海面上", ["船"]),
        ("港口里没有船", "港口里", ["船"]),
        ("看不到船的港口", "港口", ["船"]),
        ("远离海的农田", "农田", ["海"]),
        # Nothing is denied, or nothing else is said.
        ("three ships in a harbour", "three ships in a harbour", []),
        ("nothing but water", "nothing but water", []),
        ("not only ships", "not only ships", []),
        ("not far from the coast", "not far from the coast", []),
        ("no fewer than three ships", "no fewer than three ships", []),
        ("无人机", "无人机", []),
        ("有没有船", "有没有船", []),
        ("no ships", "no ships", []),
        ("there are no ships", "there are no ships", []),
        ("没有船", "没有船", []),
    ],
)
def test_what_is_said_not_to_be_there_is_split_off(typed, wanted, unwanted):
    assert split_negation(plain(typed)) == (wanted, unwanted)


def test_everything_that_was_changed_is_told(klip):
    read = read_texts(["Ships at a quay", "a refinery in the woods without roads", "no planes", " "], klip)
    assert read.wanted == ("ships at a quays", "a in the woods", "no planes")
    assert read.unwanted == ("roads",)
    assert read.notes == (
        "klip-tiny does not know every word: it read 'quay' as 'quays'.",
        "klip-tiny does not know 'refinery'; it searched for the rest.",
        "Searched for 'a in the woods', away from 'roads'.",
        "'no planes' says only what is not there, which klip-tiny hardly knows: say what is there, too.",
    )
    assert read_texts(["three ships in a harbour"], klip).notes == ()


def test_an_encoder_without_a_list_of_words_gets_them_as_they_are():
    read = read_texts(["A Refinery without ships!", "\t"], Knows())
    assert (read.wanted, read.unwanted, read.notes) == (("A Refinery without ships!",), (), ())


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        (
            "refinery",
            TaskError,
            r"none of the words of 'refinery'.*'ship', 'plane'.*checkpoint show klip-tiny",
        ),
        ("炼油厂", TaskError, r"none of the words of '炼油厂'.*'船', '飞机'"),
        ("no refinery", TaskError, "none of the words"),
        ("find the", TaskError, "none of the words"),
        ("12", TaskError, "holds no words"),
        ("?!", TaskError, "holds no words"),
        ("🚢", TaskError, "holds no words"),
        ("ship " * 2000, TooLarge, f"10000 characters and at most {LONGEST}"),
    ],
)
def test_what_nobody_can_search_for_is_refused_in_a_line(klip, text, error, message):
    with pytest.raises(error, match=message) as refused:
        read_texts(["open sea", text], klip)
    assert len(str(refused.value)) < 400
    if "none of" not in message:
        with pytest.raises(error, match=message):
            read_texts([text], Knows())


SOME = "ships quay refinery no not without with port , ! 3 but and far from aren't 没有 船 的 机场 也 一条 炼 里 海"
pieces = st.sampled_from(SOME.split())
typed = st.one_of(
    st.text(max_size=40),
    st.lists(pieces, max_size=9).map(" ".join),
    st.lists(pieces, max_size=9).map("".join),
)


@settings(deadline=None)
@given(typed)
def test_whatever_is_typed_only_words_that_it_knows_are_searched_for(text):
    klip = tiny()
    try:
        read = read_texts([text], klip)
    except (TaskError, TooLarge):
        return
    assert bool(read.wanted) == bool(text.strip())
    for part in (*read.wanted, *read.unwanted):
        assert part
        assert set(klip.words_of(part)) <= klip.words
        assert in_known_words(plain(part), klip).text  # there is still something in it to look for
    assert all(note.endswith(".") and "\n" not in note for note in read.notes)
    if not read.notes:  # then all that was left out are signs, numbers and words that show nothing
        said, typed = (re.sub(r"\d", "", words) for words in (" ".join(read.wanted), plain(text)))
        assert set(concepts(said)) == set(concepts(typed))


def test_the_vector_of_a_query_leads_to_what_is_wanted_and_away_from_what_is_not():
    wanted, unwanted = np.eye(3, dtype=np.float32)[:2], np.eye(3, dtype=np.float32)[2:]
    assert query_vector(wanted, unwanted[:0]) == pytest.approx([0.5**0.5, 0.5**0.5, 0])
    assert query_vector(wanted, unwanted) == pytest.approx(np.array([1, 1, -1]) / 3**0.5)
    assert np.isfinite(query_vector(0 * wanted, unwanted[:0])).all()


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (("boats in a harbour",), "Category: ships; Region: a view of a port"),
        (("船",), "Category: ships"),
        (("planes",), None),
        (("3 ships", "草地"), "Count: three ships, no planes; Category: ships; Layout: mostly grass"),
        ((), None),
    ],
)
def test_a_place_is_explained_by_what_the_encoder_says_of_what_was_looked_for(wanted, expected):
    said = {
        "targets Count": "three ships, no planes",
        "targets Category": "ships",
        "targets Region": "a view of a port",
        "terrain Layout": "mostly grass",
        "terrain Building": "没有建筑区",
    }
    assert matched(said, wanted) == expected


def test_what_is_said_not_to_be_there_explains_nothing():
    assert matched({"targets Count": "没有飞机"}, ["飞机"]) is None
    assert matched({"terrain Building": "without buildings"}, ["houses"]) is None

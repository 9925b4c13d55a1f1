"""Sub-texts out of answers of every form; what is not there is missing, and never invented."""

# ruff: noqa: E501, RUF001 - models quote and punctuate like this

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_train.corpus.texts.extract import NAMES, extract
from fusar_train.corpus.texts.sub_texts import KEY_SETS, SubTexts

SAID = {"Count": "three ships", "Location": "left side", "Size": "about 60 m long"}

FORMS = {
    "plain": "Count: three ships\nLocation: left side\nSize: about 60 m long",
    "another order": "Size: about 60 m long\nCount: three ships\nLocation: left side",
    "other cases": "COUNT: three ships\nlocation: left side\nSiZe : about 60 m long",
    "bold": "**Count**: three ships\n**Location:** left side\n__Size__: about 60 m long",
    "bold with text": "**Count: three ships**\n**Location: left side**\n**Size: about 60 m long**",
    "numbered": "1. Count: three ships\n2) **Location**: left side\n(3) Size: about 60 m long",
    "bullets": "- Count: three ships\n* Location: left side\n• Size: about 60 m long",
    "headings": "## Count\nthree ships\n\n### Location:\nleft side\n\n#### Size\n\nabout 60 m long",
    "keys alone": "Count\nthree ships\nLocation\nleft side\nSize\nabout 60 m long",
    "quoted keys": "'Count': 'three ships',\n'Location': 'left side',\n'Size': 'about 60 m long'",
    "code": "`Count`: three ships\n`Location`: left side\n`Size`: about 60 m long",
    "full-width": "Count：three ships\nLocation：left side\nSize：about 60 m long",
    "dashes": "Count - three ships\nLocation – left side\nSize — about 60 m long",
    "equals": "Count = three ships\nLocation=left side\nSize = about 60 m long",
    "one line": "Count: three ships; Location: left side; Size: about 60 m long",
    "one line with bars": "Count: three ships | Location: left side | Size: about 60 m long",
    "table": "| Key | Text |\n|:---|---|\n| Count | three ships |\n| **Location** | left side |\n| Size | about 60 m long |",
    "fence": "```\nCount: three ships\nLocation: left side\nSize: about 60 m long\n```",
    "plurals": "Counts: three ships\nLocations: left side\nSizes: about 60 m long",
    "both languages": "Count (数量): three ships\nLocation / 位置: left side\nSize（尺寸）: about 60 m long",
    "windows": "Count: three ships\r\nLocation: left side\r\nSize: about 60 m long\r\n",
    "prose around": (
        "Certainly! Here is the description of the slice.\n\nCount: three ships\nLocation: left side\n"
        "Size: about 60 m long\n\nLet me know if you need anything else: I am glad to help."
    ),
    "a note": "Count: three ships\nLocation: left side\nSize: about 60 m long\nNote: sizes are estimates.",
    "a rule": "Count: three ships\nLocation: left side\nSize: about 60 m long\n---\nDone.",
    "several lines": "Count: three\nships\nLocation: left\n   side\nSize: about 60 m\nlong",
    "thoughts": "<think>Count: maybe five?\nRegion: port</think>\nCount: three ships\nLocation: left side\n"
    "Size: about 60 m long",
    "reasoning first": "Step 1: the place is a port.\nStep 4: Count: some.\nLocation: hard to tell yet, I see echoes\n\n"
    "Answer:\nCount: three ships\nLocation: left side\nSize: about 60 m long",
    "keys of the other set": "Water: all of it\nCount: three ships\nLocation: left side\nRoad: none\n"
    "Size: about 60 m long\nBuilding: none",
    "JSON": json.dumps(SAID),
    "JSON indented": "Here:\n```json\n" + json.dumps(SAID, indent=2) + "\n```\nHope it helps.",
    "JSON within": json.dumps({"answer": {"targets": SAID}}),
    "JSON, a list": json.dumps([{key: text} for key, text in SAID.items()]),
    "JSON, small keys": json.dumps({key.lower(): text for key, text in SAID.items()}),
    "JSON, null": json.dumps(SAID | {"Feature": None, "Region": "N/A", "Category": ""}),
    "JSON, cut off": json.dumps(SAID)[:-1] + ', "Feature": "bright and elo',
    "invisible": "\u200bCount:\u00a0three ships\n\ufeffLocation: left side\nSize: about 60 m long\x00",
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_read(form):
    assert extract(FORMS[form], "targets").said == SAID


def test_chinese():
    answer = "**数量**：三艘船\n2、位置：图像左侧；特征：强散射点。\n尺寸： 约60米\n类别：未知\n分布：无\n"
    assert extract(answer, "targets").said == {
        "Count": "三艘船", "Location": "图像左侧", "Feature": "强散射点。", "Size": "约60米", "Distribution": "无",
    }  # fmt: skip
    answer = "地形：平原\n功能：港口\n建筑物：成排厂房\n道路：一条\n水体：两处港池"
    assert list(extract(answer, "terrain").said) == ["Terrain", "Functionality", "Building", "Road", "Water"]


def test_json_values_of_other_kinds():
    answer = '{"Count": 3, "Location": ["left", "centre"], "Size": {"length": "60 m", "width": 10}, "Region": true}'
    assert extract(answer, "targets").said == {
        "Count": "3", "Location": "left, centre", "Size": "length: 60 m; width: 10", "Region": "yes",
    }  # fmt: skip


@pytest.mark.parametrize("answer", ['{"Location": "left", "Count": 1', '{"Location": "left", "Count": [1, 2'])
def test_a_number_or_list_that_may_go_on_is_not_taken(answer):
    assert extract(answer, "targets").said == {"Location": "left"}


def test_a_list_under_a_key_is_one_text():
    assert (
        extract("Count:\n- 3 ships\n- 2 cranes\nSize: 60 m", "targets").said["Count"] == "3 ships; 2 cranes"
    )


@pytest.mark.parametrize(
    "nothing",
    ["N/A", "n/a.", "NA", "unknown", "Unknown.", "not available", "-", "—", "...", "", "null", "<number>", "(unknown)",
     "cannot be determined", "Cannot be determined from this image.", "未知", "无法判断", "unclear", "**N/A**",
     "I'm sorry, I can't tell."],
)  # fmt: skip
def test_what_says_nothing_is_missing(nothing):
    found = extract(f"Count: {nothing}\nLocation: left", "targets")
    assert found.said == {"Location": "left"}
    assert "Count" in SubTexts(keys="targets", said=found.said).missing


@pytest.mark.parametrize(
    "text",
    ["none", "None visible in this slice", "no targets", "zero", "0", "无", "not visible", "unknown type, perhaps cargo",
     "natural, no man-made objects", "no"],
)  # fmt: skip
def test_that_there_is_none_is_a_text(text):
    assert extract(f"Count: {text}\nLocation: left", "targets").said["Count"] == text


@pytest.mark.parametrize(
    "answer",
    ["I'm sorry, I can't help with that.", "I’m sorry, but I cannot describe satellite images.", "Sorry, no.",
     "I cannot assist with this request.", "As an AI model I do not do this.", "抱歉，我无法描述这张图像。"],
)  # fmt: skip
def test_a_refusal_fills_nothing(answer):
    found = extract(answer, "targets")
    assert (found.said, found.refused) == ({}, True)


@pytest.mark.parametrize(
    "answer", ["", "A port with three ships.", "{", "Counting: I see three.", "Water: all of it"]
)
def test_an_answer_without_keys_is_no_refusal(answer):
    found = extract(answer, "targets")
    assert (found.said, found.refused) == ({}, False)


def test_the_fullest_round_of_keys_counts_and_the_last_of_equals():
    draft, final = "Count: two\nLocation: left\nSize: 5 m\n", "Count: three\nLocation: right\nSize: 6 m\n"
    assert extract(draft + "\nOn second thoughts:\n" + final, "targets").said["Count"] == "three"
    assert extract(draft + "\nMy first idea was\nCount: nine\n", "targets").said["Count"] == "two"
    assert extract("Count:\n" + draft, "targets").said["Count"] == "two"
    assert extract("Region: a port\n" + draft + "Count: four", "targets").said["Region"] == "a port"


def test_an_answer_that_was_cut_loses_its_last_key():
    assert extract("Count: two\nLocation: at the le", "targets", cut=True).said == {"Count": "two"}


def test_a_word_in_the_middle_of_a_text_is_no_key():
    text = "bright echoes, location unclear, the size: large; count them at the region shown"
    assert extract(f"Feature: {text}\nSize: 60 m", "targets").said == {"Feature": text, "Size": "60 m"}


words = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), min_size=1)
plain = st.lists(
    st.sampled_from(["left", "of", "the", "quay", "60", "m", "long,", "bright", "and", "even"]),
    min_size=1,
    max_size=9,
).map(lambda chosen: "the " + " ".join(chosen).strip(","))


@settings(max_examples=50)
@given(st.sampled_from(list(KEY_SETS)), st.data())
def test_what_was_written_is_read_whatever_the_form(keys, data):
    names = data.draw(st.lists(st.sampled_from(KEY_SETS[keys]), unique=True, min_size=1))
    said = {name: data.draw(plain) for name in names}
    begin, end = data.draw(
        st.sampled_from(
            [("", ": "), ("- **", "**: "), ("* ", "： "), ("#. ", ": "), ("## ", "\n"), ("`", "`: ")]
        )
    )
    lines = [
        begin.replace("#.", f"{i}.") + data.draw(st.sampled_from([name, *NAMES[name]])) + end + text
        for i, (name, text) in enumerate(said.items(), 1)
    ]
    assert extract("\n".join(lines), keys).said == said
    assert list(extract("\n".join(lines), keys).said) == [key for key in KEY_SETS[keys] if key in said]


@given(st.sampled_from(list(KEY_SETS)), st.dictionaries(st.sampled_from(sorted(NAMES)), plain), st.data())
def test_of_half_json_what_is_whole_is_taken_and_the_rest_is_not(keys, said, data):
    pairs = [json.dumps({key: text})[1:-1] for key, text in said.items()]
    whole = "{" + ", ".join(pairs) + "}"
    begin = whole[: data.draw(st.integers(0, len(whole)))]
    taken = {
        key: said[key]
        for key, pair in zip(said, pairs, strict=True)
        if pair in begin and key in KEY_SETS[keys]
    }
    assert extract(begin, keys).said == taken


@given(words | st.text(), st.booleans(), st.sampled_from(list(KEY_SETS)))
def test_nothing_is_invented(answer, cut, keys):
    """Every character of a text stands in the answer, and a record can hold and store the texts."""
    pieces = [*KEY_SETS[keys], ":", "：", "\n", "**", '"', "{", "}", "N/A", answer, "|", "- ", "\ud800"]
    chosen = "".join(random.Random(answer).choices(pieces, k=30))
    found = extract(chosen, keys, cut=cut)
    texts = SubTexts(keys=keys, said=found.said)
    json.dumps(dict(texts.said), ensure_ascii=False).encode()
    for text in texts.said.values():
        assert set(text) <= set(chosen) | set("; ")
        assert "\n" not in text
    assert not (found.said and found.refused)


@pytest.mark.parametrize("answer", ["Count: " + "a " * 200_000, '{"Count": ' + "[" * 100_000, "- " * 100_000 + "x",
                                    "*" * 100_000, "Count " * 50_000, "<think>" * 20_000, "<" * 100_000])  # fmt: skip
@pytest.mark.timeout(20)
def test_endless_answers_take_no_time(answer):
    extract(answer, "targets")

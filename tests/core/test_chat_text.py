"""A model's words: nothing of them becomes HTML, every word stays, and its links are ours alone."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fusar_qgis.contract import Finding, Polygon, ProtocolError, SceneBox
from fusar_qgis.core.chat import (
    Answered,
    ChatTarget,
    Conversation,
    Mention,
    ModelOptions,
    Turn,
    read_conversations,
    request,
    write_conversations,
)
from fusar_qgis.core.chat_pages import to_markdown, to_page
from fusar_qgis.core.completions import ChipsDone, Refused, TextPiece, read_piece
from fusar_qgis.core.markdown import Link, clean, tamed, to_html

EVIL = ["<script>alert(1)</script>", "<img src=x onerror=y>", "[a](http://b)", "![i](file:///etc/passwd)"]
EVIL += [
    "<a href='http://b'>",
    "&lt;b&gt;",
    "```\n<b>\n```",
    "**<i>**",
    "`<u>`",
    "\n- <li>",
    "\n1. x <p>",
    "\0",
]
EVIL += ["\ufdd0", "舰船 ", "港口**粗**", "'\"", "_a_b_", "# <h1>", "~~~", "http://b.example/x", "\u202e"]
HOSTILE = st.lists(st.one_of(st.sampled_from(EVIL), st.text(max_size=8)), max_size=12).map("".join)
LINKS = st.lists(st.tuples(st.integers(-3, 90), st.integers(-3, 90)), max_size=4)

RING = (((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 0.0)),)
BOX = SceneBox(0, 0, 1, 1)
SHIP = Finding(
    "d1",
    "detections",
    Polygon("Polygon", RING),
    "EPSG:32650",
    None,
    BOX,
    {"label": "ship", "confidence": 0.9, "target": None},
)
GROUND = ChatTarget("layer", "harbour", {"type": "Polygon", "coordinates": [[[0, 0]]]}, "EPSG:32650")


class Tags(HTMLParser):
    """What a browser would find in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("br", "img", "meta"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def squeezed(text: str) -> str:
    return re.sub(r"[\s\u00a0`*_~#•⌖+-]", "", text)


@settings(max_examples=400, deadline=None)
@given(HOSTILE, LINKS)
@example("a **b** `c`", [(0, 9), (2, 4)])
def test_no_tag_of_the_models_survives_and_no_word_is_lost(text, spans):
    html = to_html(text, [Link(a, b, f"#{n}") for n, (a, b) in enumerate(spans)])
    seen = Tags(html)
    assert seen.open == []
    for tag, attributes in seen.tags:
        assert tag in {"p", "br", "b", "i", "code", "pre", "a"}
        assert set(attributes) <= ({"href"} if tag == "a" else {"style"})
        assert re.fullmatch(r"#\d", attributes.get("href", "#0"))
    shown, said = squeezed(seen.text), squeezed(clean(text))
    rest = iter(said)
    assert all(character in rest for character in shown)  # in this order
    languages = re.findall(r"(?m)^ {0,3}(?:```|~~~)([\w+-]*)\s*$", clean(text))
    assert len(said) - len(shown) <= sum(map(len, languages))  # nothing else is left out


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("a\nb", "<p>a<br>b</p>"),
        ("**a** *b* _c_ __d__ `e*`", "<p><b>a</b> <i>b</i> <i>c</i> <b>d</b> <code>e*</code></p>"),
        ("## a", "<p><b>a</b></p>"),
        ("snake_case_name 2*3*4 * a", "<p>snake_case_name 2*3*4 * a</p>"),
        ("- a", '<p style="margin-left: 16px; text-indent: -16px">•&nbsp;a</p>'),
        ("1. 船", '<p style="margin-left: 16px; text-indent: -16px">1. 船</p>'),
        ("```py\n<a>\n  b\n```", '<pre style="white-space: pre-wrap">&lt;a&gt;\n  b</pre>'),
        ("```\nopen", '<pre style="white-space: pre-wrap">open</pre>'),
    ],
)
def test_the_subset(text, html):
    assert to_html(text) == html


def test_links_are_in_code_points_and_one_stop_each():
    assert to_html("舰🚢 **1** ship.", [Link(3, 13, "#0")]) == '<p>舰🚢 <a href="#0"><b>1</b> ship</a>.</p>'
    long = "word " * 60
    assert to_html(long, [Link(0, len(long), "#7")]).count('<a href="#7">⌖</a>') == 1
    assert to_html("a\nb", [Link(0, 3, "#1")]) == '<p>a<br>b&nbsp;<a href="#1">⌖</a></p>'


@given(HOSTILE)
def test_markdown_of_an_export_has_no_html_and_no_link(text):
    harmless = tamed(text)
    assert "<" not in harmless
    assert not re.search(r"(?<!\\)[][]", harmless)


def conversation(**changes) -> Conversation:
    turn = Turn(
        "how many?", GROUND, ModelOptions("tiny", "none", 2021, 1), state="answered", answer="1 ship. 船"
    )
    rests_on = Answered(
        ({"id": "r", "prior": "none"},), (Mention(SHIP, ((0, 6),)),), agrees=True, understood="count ship"
    )
    return Conversation(
        "", "c1", [replace(turn, **{"rests_on": rests_on, "picture": b"\xff\xd8jpeg", **changes})]
    )


def test_conversations_survive_their_project():
    before = [conversation(), Conversation("leer", "c2"), conversation(state="failed", problem="x\x01")]
    text = write_conversations(before)
    assert text.isascii()
    after = read_conversations(text)
    assert after[:2] == before[:2]
    assert after[2].turns[0].problem == "x\ufffd"
    (((link, found),),) = [after[0].turns[0].places()]
    assert (link, found) == (Link(0, 6, "#0"), (SHIP,))
    assert (
        read_conversations(write_conversations([conversation(state="asked")]))[0].turns[0].state == "stopped"
    )


@given(st.integers(400, 40_000))
def test_a_project_file_never_grows_beyond_the_limit(limit):
    many = [conversation(asked=f"2026-01-{day:02}", picture=b"x" * 900) for day in range(1, 29)]
    text = write_conversations(many[:10], limit) if limit > 4000 else write_conversations(many[:1], limit)
    assert len(text) <= max(limit, 600)
    turns = [turn for one in read_conversations(text) for turn in one.turns]
    assert [turn.picture for turn in turns] == sorted(turn.picture for turn in turns)  # the oldest go first
    assert limit < 30_000 or len(turns) == 10


TAGS = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "p", "small", "img", "br"}
TAGS |= {"b", "i", "code", "pre"}
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=5)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(st.one_of(st.text(), JSON.map(json.dumps)), JSON)
def test_a_foreign_project_breaks_nothing(text, value):
    read_conversations(text)
    data = json.loads(write_conversations([conversation(), conversation()]))
    assert read_conversations(json.dumps(data | {"version": 2})) == []
    for name in data["conversations"][0]["turns"][0]:
        broken = json.loads(json.dumps(data))
        broken["conversations"][0]["turns"][0][name] = value
        assert len(read_conversations(json.dumps(broken))[1].turns) == 1


def test_what_is_sent():
    talk = conversation()
    talk.turns += [
        replace(talk.turns[0], state="failed"),
        Turn("它是什么？", GROUND, ModelOptions(prior="auto")),
    ]
    body = request(talk, "/data/harbour.tif", "tiny")
    assert [message["content"] for message in body["messages"]] == ["how many?", "1 ship. 船", "它是什么？"]
    assert body["fusar"] == {
        "scene": "/data/harbour.tif", "area": GROUND.area, "area_crs": "EPSG:32650", "prior": "auto",
        "prior_network": False,
    }  # fmt: skip
    assert (body["model"], body["stream"]) == ("tiny", True)


def test_titles_come_from_the_first_question():
    assert conversation().title == "how many?"
    assert Conversation("Mine", "c", [Turn("x", GROUND)]).title == "Mine"
    assert Conversation().title == ""
    assert len(Conversation("", "c", [Turn("word " * 40, GROUND)]).title) <= 40


def piece(**fields) -> str:
    return json.dumps({"choices": [{"delta": {}, "finish_reason": None}]} | fields)


def test_pieces_of_a_stream():
    assert read_piece(
        '{"choices": [{"delta": {"content": "港\\u0000"}, "finish_reason": null}]}'
    ) == TextPiece("港\ufffd")
    assert read_piece(piece(fusar={"progress": {"task": "count", "done": 1, "chips": 2}})) == ChipsDone(
        "count", 1, 2
    )
    assert read_piece(piece()) is None
    assert read_piece('{"error": {"message": "the lights went out"}}') == Refused("the lights went out")
    feature = {
        "id": "d1",
        "properties": {"layer": "detections"},
        "scene_crs": "EPSG:32650",
        "scene_box": [0, 0, 1, 1],
        "spans": [[0, 3]],
    }
    feature["scene_geometry"] = {"type": "Polygon", "coordinates": RING[0:1]}
    grounds = {
        "run": {"id": "a"},
        "findings": {"features": [feature]},
        "self_check": {"agree": False, "run": {}},
    }
    end = read_piece(json.dumps({"choices": [{"delta": {}, "finish_reason": "length"}], "fusar": grounds}))
    assert (end.cut, end.agrees, end.runs, end.mentions[0].spans) == (True, False, ({"id": "a"},), ((0, 3),))
    assert end.understood == ""
    feature["properties"]["understood"] = "count plane"
    end = read_piece(json.dumps({"choices": [{"finish_reason": "stop"}], "fusar": grounds}))
    assert end.understood == "count plane"
    said = {"understood": "detect ship\u0000", **grounds}
    end = read_piece(json.dumps({"choices": [{"finish_reason": "stop"}], "fusar": said}))
    assert end.understood == "detect ship\ufffd"
    end = read_piece('{"choices": [{"finish_reason": "stop"}], "fusar": {"run": null, "self_check": null}}')
    assert end == Answered()


@given(st.one_of(st.text(), JSON.map(json.dumps)))
def test_gibberish_is_a_protocol_error(text):
    with contextlib.suppress(ProtocolError):
        read_piece(text)


@given(HOSTILE, HOSTILE)
def test_an_exported_page_loads_and_runs_nothing(question, answer):
    talk = Conversation(
        question, "c", [Turn(question, GROUND, answer=answer, problem=answer, picture=b"\xff\xd8")]
    )
    html = to_page(talk, talk.title, lambda turn: turn.question, lambda turn: turn.answer)
    seen = Tags(html)
    assert {tag for tag, _ in seen.tags} <= TAGS
    assert [a["src"] for tag, a in seen.tags if tag == "img"] == ["data:image/jpeg;base64,/9g="]
    markdown = to_markdown(talk, talk.title, lambda turn: turn.question, lambda turn: turn.answer)
    assert re.findall(r"(?<!\\)\]\(([^)]*)", markdown) == ["data:image/jpeg;base64,/9g="]

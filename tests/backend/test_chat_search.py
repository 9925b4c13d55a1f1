"""Places that a conversation asks for: which questions are searches, what is answered, and how that is stopped."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chat_client import NEAR_FIRST, ChatClient, chat_at, features, meant, outline, text_of, words_of
from hypothesis import given
from hypothesis import strategies as st
from scripted_server import until
from searching import SLICES, HeldEncoder, held_encoders, search_scene

from fusar_gpt.contract import SearchRequest
from fusar_gpt.search import search
from fusar_gpt.server import searcher
from fusar_gpt.server.chat.place_questions import PlaceQuestion, place_question
from fusar_gpt.tasks.vocabulary import Vocabulary

KNOWN = Vocabulary(["ship", "plane"])
HALF = [0, 0, 110, 160]
"""The left half of the scene, in its pixels."""


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ChatClient, HeldEncoder]]:
    folder = tmp_path_factory.mktemp("chat-search")
    encoders, held = held_encoders(folder / "small")
    with chat_at(folder / "root", encoders=encoders, indexes=folder / "indexes") as opened:
        yield opened, held


@pytest.fixture
def chat(searched: tuple[ChatClient, HeldEncoder]) -> ChatClient:
    searched[1].gate.set()
    return searched[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("find places like three ships in a harbour", "three ships in a harbour"),
        ("Could you find areas with many ships, please?", "many ships"),
        ("Search the scene for places that look like a bridge over a river", "a bridge over a river"),
        ("show me scenes where Aircraft are parked", "Aircraft are parked"),
        ("find a place with three ships", "three ships"),
        ("list areas near a runway", "near a runway"),
        ("search for aircraft beside a runway", "aircraft beside a runway"),
        ("look for ships near a pier", "ships near a pier"),
        ("找一找有很多船的港口", "有很多船的港口"),
        ("找有很多船的地方", "有很多船"),
        ("请帮我找一下像机场的地方", "机场"),
        ("找类似三艘船在港口的场景", "三艘船在港口"),
        ("搜索有飞机的区域", "有飞机"),
        ("where else does it look like this?", None),
        ("Are there other places like this one?", None),
        ("more like this", None),
        ("find similar places", None),
        ("还有类似的地方吗？", None),
        ("哪里和这里相似？", None),
        ("找像这里一样的地方", None),
    ],
)
def test_questions_for_places_are_searches(text: str, words: str | None) -> None:
    assert place_question(text, KNOWN) == PlaceQuestion(words)


@pytest.mark.parametrize(
    "text",
    [
        "find ships", "search for ships", "search for ships in the harbour", "look for planes", "where are the ships?",
        "find the locations of ships", "show the positions of all ships", "find the area of interest",
        "how many places like this?", "count the places with ships", "which areas contain ships?", "show me the area",
        "describe the area", "what does this look like?", "what else do you see?", "is this like a harbour?",
        "search for tankers", "where is the second one?", "What is this?",
        "找出船的位置", "找一下船", "找飞机", "找出所有的船", "找所有停靠的船", "有没有船", "还有船吗", "还有什么",
        "这像什么", "多少艘船像这样", "船在什么地方", "这是什么地方",
    ],
)  # fmt: skip
def test_questions_for_objects_and_numbers_stay_what_they_were(text: str) -> None:
    assert place_question(text, KNOWN) is None


def test_no_question_that_the_rules_of_the_tasks_were_tried_with_is_a_search() -> None:
    questions = json.loads((Path(__file__).parent / "questions.json").read_text("utf-8"))
    texts = re.findall(r'"((?:[^"\\]|\\.)*)"', json.dumps(questions, ensure_ascii=False))
    assert len(texts) > 50
    assert [text for text in texts if place_question(text, KNOWN)] == []


@given(
    st.lists(
        st.sampled_from(
            ["find ", "places ", "like ", "this", "search ", "for ", "找", "有", "的", "地方", "x "]
        ),
        max_size=120,
    )
)
def test_whatever_is_typed_is_read(pieces: list[str]) -> None:
    found = place_question("".join(pieces), KNOWN)
    assert found is None or found.words is None or found.words.strip()


def test_places_are_listed_with_rank_and_percentile_and_each_line_is_a_link(chat: ChatClient) -> None:
    completion = chat.ask("find places like three ships in the harbour")
    places = features(completion, "places")
    head, *lines = words_of(completion).splitlines()
    assert head == f'Places like "three ships in the harbour": {len(places)}, the most alike first.'
    assert len(places) > 5
    said = meant(completion)
    for place, line in zip(places[:5], lines, strict=False):
        p = place["properties"]
        at = f"{p['lat']:.5f}° N, {p['lon']:.5f}° E"
        assert line == f"{p['rank']}. {at}, percentile {p['percentile']:.1f}"
        assert said[place["id"]] == [line]
    assert lines[5] == f"and {len(places) - 5} more, all among the findings"
    assert all(said[place["id"]] == [lines[5]] for place in places[5:])
    assert "does not say that one of them is what was asked for" in lines[6]
    last = text_of(completion).rpartition("\n\n")[2].splitlines()
    assert last == [
        'Understood as: a search for places like "three ships in the harbour".',
        "Model: small (demonstration only). Prior: none.",
    ]
    assert completion.fusar["understood"] == "search three ships in the harbour"
    assert completion.fusar["run"]["task"] == "search"
    assert completion.fusar["self_check"] is None


def test_an_area_is_searched_for_words_and_the_whole_scene_for_what_is_like_it(chat: ChatClient) -> None:
    inside = chat.ask("search for ships beside the harbour", area=HALF)
    assert all(place["scene_box"][0] < HALF[2] for place in features(inside, "places"))
    assert "it searched for the rest" in text_of(inside)
    alike = chat.ask("where else does it look like this?", area=NEAR_FIRST)
    assert words_of(alike).startswith("Places like this, in the whole scene: ")
    assert alike.fusar["understood"] == "search like this"
    assert any(place["scene_box"][0] > HALF[2] for place in features(alike, "places"))
    box = {"type": "Feature", "properties": {}, "geometry": outline(*NEAR_FIRST)}
    boxes = {"type": "FeatureCollection", "features": [box]}
    chosen = chat.ask("more like this", fusar={"boxes": boxes})
    assert [place["scene_box"] for place in features(chosen, "places")] == [
        place["scene_box"] for place in features(alike, "places")
    ]


def test_the_answer_is_in_the_language_of_the_question(chat: ChatClient) -> None:
    completion = chat.ask("找像这里一样的地方", area=NEAR_FIRST)
    places = features(completion, "places")
    assert words_of(completion).startswith(
        f"整个场景中与此处相似的地方共 {len(places)} 处，最相似的在前。\n1. "
    )
    assert "理解为：搜索整个场景中与此处相似的地方。" in text_of(completion)
    assert "（仅供演示）" in text_of(completion)


def test_what_cannot_be_searched_is_answered_in_a_sentence(chat: ChatClient) -> None:
    nothing = chat.ask("more like this")
    assert text_of(nothing) == (
        'Nothing says what "this" is: draw an area or select a finding, and ask again.'
    )
    assert "绘制区域" in text_of(chat.ask("还有类似的地方吗"))
    unknown = chat.ask("find places like refineries")
    assert "none of the words" in text_of(unknown)
    assert unknown.fusar["run"] is None


def test_the_second_place_is_not_taken_for_the_second_ship(chat: ChatClient) -> None:
    first = "find places like three ships in the harbour"
    asked = chat.engine.asked
    completion = chat.ask(first, "1. ...\n2. ...", "what is the second one?")
    assert text_of(completion).startswith("That asks about one of the places: follow its link")
    assert chat.engine.asked == asked
    later = chat.ask(first, "...", "find ships", "...", "where is the second one?")
    assert later.fusar["run"]["task"] == "detect"


def test_detections_are_still_detections(chat: ChatClient) -> None:
    for question in ("find ships", "search for ships", "search for ships in the harbour"):
        completion = chat.ask(question)
        assert completion.fusar["run"]["task"] == "detect", question
        assert not features(completion, "places")


def test_indexing_tells_how_far_it_is_and_leaving_the_stream_stops_it(
    searched: tuple[ChatClient, HeldEncoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, encoder = searched
    scene = str(search_scene(chat.scene.parent / "another.tif"))
    stops: list[Callable[[], bool]] = []

    def tapped(request, encoder, cancelled, *more):
        stops.append(cancelled)
        return search(request, encoder, cancelled, *more)

    monkeypatch.setattr(searcher, "search", tapped)
    encoder.gate.clear()
    encoder.reached.clear()
    stream = chat.ask("find places like open sea", stream=True, fusar={"scene": scene})
    assert next(progress_of(stream)) == {"task": "search", "done": 0, "chips": SLICES}
    assert encoder.reached.wait(30)
    stream.response.close()
    until(lambda: stops[0]())
    encoder.gate.set()
    request = SearchRequest(f"server:{scene}", ("open sea",))
    until(lambda: chat.api.client.plan_search(request).ready)
    assert chat.api.client.plan_search(request).ready < SLICES
    stream = chat.ask("find places like open sea", stream=True, fusar={"scene": scene})
    done = [progress["done"] for progress in progress_of(stream)]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (0, SLICES)


def progress_of(stream: object) -> Iterator[dict[str, object]]:
    told = (getattr(chunk, "fusar", None) or {} for chunk in stream)
    return (one["progress"] for one in told if "progress" in one)

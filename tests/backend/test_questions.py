"""Questions to tasks: English, Chinese, follow-ups, what was not taught, and whatever else a keyboard can produce."""

# ruff: noqa: RUF001 - Chinese has its own punctuation

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.errors import CheckpointError, TaskError
from fusar_gpt.tasks import Abilities, Task
from fusar_gpt.tasks.abilities import understood
from fusar_gpt.tasks.questions import is_chinese, understand
from fusar_gpt.tasks.vocabulary import Vocabulary, plural, singular

KNOWN = Vocabulary(["ship", "plane"])
FIVE = ("count", "locate", "classify", "detect", "describe")
TINY = Abilities.claimed("compact", ["ship", "plane"], FIVE, False, ["is there water?"])
FREE = Abilities.claimed("release", [], None, True, None)
QUESTIONS = json.loads((Path(__file__).parent / "questions.json").read_text("utf-8"))


def intent_of(*messages: str, known: Vocabulary = KNOWN) -> tuple[str, tuple[str, ...], object]:
    said = understand(messages, known)
    return said.task.value, said.targets, said.pick


@pytest.mark.parametrize(
    ("text", "task", "targets"),
    [
        ("count the ships here", "count", ("ship",)),
        ("Count ships!", "count", ("ship",)),
        ("How many vessels are in the port?", "count", ("ship",)),
        ("港口里有多少船", "count", ("ship",)),
        ("How many ships and bridges?", "count", ("ship", "bridge")),
        ("How many?", "count", ()),
        ("Can you please count all the objects", "count", ()),
        ("What is the number of aircraft?", "count", ("plane",)),
        ("Are there any planes here?", "count", ("plane",)),
        ("how many ships and planes are there?", "count", ("ship", "plane")),
        ("which cells hold aircraft", "locate", ("plane",)),
        ("locate the ships", "locate", ("ship",)),
        ("Where are the ships?", "detect", ("ship",)),
        ("find all planes", "detect", ("plane",)),
        ("Show me the boats", "detect", ("ship",)),
        ("ships", "detect", ("ship",)),
        ("what is this", "classify", ()),
        ("What kind of object is it?", "classify", ()),
        ("describe the area", "describe", ()),
        ("What do you see?", "describe", ()),
        ("What's in this image?", "describe", ()),
        ("Is this harbour busy?", "ask", ()),
        ("why are there so many ships here?", "ask", ()),
        ("Do you count on rain?", "ask", ()),
        ("hello", "ask", ()),
        ("这里有多少艘船？", "count", ("ship",)),
        ("这里有多少艘船?", "count", ("ship",)),
        ("数一数飞机", "count", ("plane",)),
        ("統計飛機的數量", "count", ("plane",)),
        ("有没有飞机", "count", ("plane",)),
        ("哪些格子里有飞机", "locate", ("plane",)),
        ("请检测船只", "detect", ("ship",)),
        ("飞机在哪里", "detect", ("plane",)),
        ("飞机场在哪", "detect", ("airport",)),
        ("这是什么？", "classify", ()),
        ("描述一下这个区域", "describe", ()),
        ("图中有什么", "describe", ()),
        ("你好", "ask", ()),
        ("港口忙吗", "ask", ()),
    ],
)
def test_one_message(text: str, task: str, targets: tuple[str, ...]) -> None:
    assert intent_of(text) == (task, targets, None)


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        (("how many ships?", "and planes?"), ("count", ("plane",), None)),
        (("how many ships?", "What about the aircraft?"), ("count", ("plane",), None)),
        (("how many ships?", "where are they?"), ("detect", ("ship",), None)),
        (("how many ships?", "thanks, well done", "where are they?"), ("detect", ("ship",), None)),
        (("where are the ships?", "how many?"), ("count", ("ship",), None)),
        (("find ships", "what is the second one?"), ("classify", ("ship",), 2)),
        (("find ships", "What is the 3rd ship?"), ("classify", ("ship",), 3)),
        (("find ships", "where is the last one?"), ("detect", ("ship",), -1)),
        (("find ships", "where is the second one?", "what is it?"), ("classify", ("ship",), 2)),
        (("find ships", "how long is the largest one?"), ("detect", ("ship",), "largest")),
        (("find ships", "#2?"), ("detect", ("ship",), 2)),
        (("what is ship 3?",), ("classify", ("ship",), 3)),
        (("这里有多少艘船？", "飞机呢？"), ("count", ("plane",), None)),
        (("有多少船？", "它们在哪里？", "第二个是什么？"), ("classify", ("ship",), 2)),
        (("找出船", "最大的在哪里"), ("detect", ("ship",), "largest")),
        (("找出船", "最后一个在哪里"), ("detect", ("ship",), -1)),
        (("and planes?",), ("detect", ("plane",), None)),
        (("find ships", "the last time I was here it rained"), ("ask", (), None)),
    ],
)
def test_follow_ups(messages: tuple[str, ...], expected: tuple[str, tuple[str, ...], object]) -> None:
    assert intent_of(*messages) == expected


def test_a_class_that_is_not_known_is_never_replaced_by_one_that_is() -> None:
    assert intent_of("how many tanks are there?") == ("count", ("tank",), None)
    assert intent_of("how many people are there?") == ("count", ("people",), None)
    assert intent_of("how many people live here?") == ("ask", (), None)
    assert intent_of("count the lighthouses") == ("count", ("lighthouse",), None)
    assert intent_of("有多少桌子") == ("ask", (), None)


def test_a_checkpoint_names_its_classes_as_it_likes() -> None:
    aircraft = Vocabulary(["Aircraft", "wind turbine"])
    assert intent_of("how many planes?", known=aircraft) == ("count", ("Aircraft",), None)
    assert intent_of("有多少飞机", known=aircraft) == ("count", ("Aircraft",), None)
    assert intent_of("find the wind turbines", known=aircraft) == ("detect", ("wind turbine",), None)
    assert intent_of("find the oil tanks", known=Vocabulary([])) == ("detect", ("storage tank",), None)


WORDS = st.sampled_from(
    [
        "how many",
        "count",
        "ship",
        "planes",
        "where",
        "second",
        "one",
        "#",
        "12",
        "是什么",
        "多少",
        "船",
        "第二个",
        "?",
        "，",
        "and",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(st.text(max_size=200), st.lists(WORDS, max_size=8).map(" ".join)), max_size=5))
def test_no_text_upsets_the_rules(messages: list[str]) -> None:
    said = understand(messages, KNOWN)
    assert said.task in Task
    assert said.text == (messages[-1] if messages else "")
    assert said.pick in (None, "largest", "smallest") or isinstance(said.pick, int)


@given(st.lists(st.characters(exclude_categories=[]), max_size=60).map("".join))
def test_not_even_lone_surrogates_upset_them(text: str) -> None:
    assert understand([text], KNOWN).text == text
    assert is_chinese(text) in (True, False)


def test_a_long_message_takes_no_long_time() -> None:
    for piece in ("how many ", "any here ", "the last ", "number ", "第", "有什么 ", "the number of the "):
        assert understand([piece * 100_000], KNOWN).task in Task


@pytest.mark.parametrize(
    ("one", "many"),
    [("ship", "ships"), ("box", "boxes"), ("bridge", "bridges"), ("lighthouse", "lighthouses")],
)
def test_plurals(one: str, many: str) -> None:
    assert plural(one) == many
    assert singular(many) == one


@pytest.mark.parametrize(("text", "taken_for"), QUESTIONS["taught"])
def test_a_question_for_what_was_taught_is_taken_for_it(text: str, taken_for: str) -> None:
    intent = TINY.intent([text])
    assert understood(intent.task, intent.targets, chinese=False) == taken_for


@pytest.mark.parametrize("text", QUESTIONS["untaught"])
def test_what_was_not_taught_is_refused_in_the_askers_language(text: str) -> None:
    with pytest.raises(TaskError) as told:
        TINY.intent([text])
    said = str(told.value)
    assert "\n" not in said
    assert is_chinese(said) == is_chinese(text)
    offers = (
        ("舰船、飞机", "计数", "检测") if is_chinese(text) else ("count, locate or detect ships and planes",)
    )
    assert all(offer in said for offer in offers)


def test_a_model_that_answers_freely_gets_what_is_no_task() -> None:
    for text in ("how many ships are moored?", "哪艘船是油轮", "is it busy?"):
        assert FREE.intent([text]).task is Task.ASK
    assert (FREE.intent(["how many oil tanks?"]).task, FREE.intent(["count tanks"]).targets) == (
        Task.COUNT,
        ("tank",),
    )
    only_detection = replace(FREE, tasks=(Task.DETECT, Task.ASK))
    assert only_detection.intent(["how many ships?"]).task is Task.ASK


def test_questions_in_words_that_were_taught_are_put_to_the_model_as_they_were_taught() -> None:
    intent = TINY.intent(["Is there  WATER"])
    assert (intent.task, intent.text) == (Task.ASK, "is there water?")


def test_a_task_that_was_not_taught_is_refused_by_name() -> None:
    counting = replace(TINY, tasks=(Task.COUNT,), questions=())
    with pytest.raises(
        TaskError, match=r"not taught to describe the area; it can be asked to count ships and planes$"
    ):
        counting.intent(["describe the area"])
    with pytest.raises(TaskError, match="没有学过描述区域"):
        counting.intent(["描述这里"])
    with pytest.raises(TaskError, match="not taught to detect"):
        counting.intent(["how long is the largest ship?"])


def test_a_card_that_claims_what_its_prompt_set_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from fusar_gpt.tasks import definitions

    forms = {task: None for task in Task if task is not Task.LOCATE}
    less = replace(definitions.prompt_set("release"), name="less", _forms=forms)
    monkeypatch.setitem(definitions._PROMPT_SETS, "less", less)
    with pytest.raises(CheckpointError, match="claims the task locate"):
        Abilities.claimed("less", [], FIVE, None, None)
    assert Task.LOCATE not in Abilities.claimed("less", [], None, None, None).tasks


def test_a_word_that_is_neither_task_nor_class_nor_harmless_is_never_passed_over() -> None:
    for text, _ in QUESTIONS["taught"]:
        chinese = is_chinese(text)
        with pytest.raises(TaskError):
            TINY.intent([f"停泊{text}" if chinese else f"{text.rstrip('?.!')} moored"])

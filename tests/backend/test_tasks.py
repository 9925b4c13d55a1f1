"""Tasks: questions become prompts, and typical texts become answers."""

from __future__ import annotations

import re
from contextlib import nullcontext

import pytest
from task_samples import BOX, FRAME, QUESTIONS, SETS, corners, one, read

from fusar_gpt.errors import TaskError
from fusar_gpt.tasks import SEARCHES, Question, Task, prompt_set

# --- questions ---


@pytest.mark.parametrize(
    "wrong",
    [
        {"task": Task.COUNT},
        {"task": Task.LOCATE, "text": "ship"},
        {"task": Task.DETECT, "target": ""},
        {"task": Task.DETECT, "target": 'ship"; root ::= "x'},
        {"task": Task.DETECT, "target": "ship\nplane"},
        {"task": Task.DETECT, "target": "9"},
        {"task": Task.DETECT, "target": "None"},
        {"task": Task.CLASSIFY},
        {"task": Task.ASK, "text": "  "},
    ],
)
def test_a_question_that_lacks_something_is_refused_in_one_line(wrong):
    with pytest.raises(TaskError) as error:
        Question(**wrong)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("task", Task)
def test_the_searches_are_the_tasks_that_need_a_target(task):
    refused = pytest.raises(TaskError, match="needs a target") if task in SEARCHES else nullcontext()
    with refused:
        Question(task, box=BOX, text="why?")


def test_an_unknown_prompt_set_is_refused():
    with pytest.raises(TaskError, match="compact, release"):
        prompt_set("qwen")


# --- prompts ---


def test_compact_prompts():
    prompts = prompt_set("compact")
    assert [prompts.prompt(question, FRAME) for question in QUESTIONS.values()] == [
        "count ship",
        "locate ship",
        "classify 12 30 40 52",
        "detect ship",
        "describe",
        "ask Is the harbour busy?",
    ]


def test_the_released_detection_prompt_byte_for_byte():
    fence = "'''"
    example = '{  "bbox_2d": [x1, y1, x2, y2], "label": "category name" }'
    expected = (
        "This is a SAR image. Please carefully check the image and detect the following object: plane. "
        "Output each detected target\N{RIGHT SINGLE QUOTATION MARK}s bbox coordinates in JSON format. "
        f"The format of the bbox coordinates is:  {fence}json [ {example}, {example} ]  {fence}  "
        "If there are no such targets in the image, simply respond with None."
    )
    prompts = prompt_set("release")
    plane = prompts.prompt(Question(Task.DETECT, "plane"), (504, 504))
    assert plane.encode() == expected.encode()
    assert prompts.prompt(QUESTIONS[Task.DETECT], (504, 504)) == expected.replace("plane", "ship")


def test_the_form_of_the_benchmark_words_only_what_the_authors_have_not_published():
    prompts, confirmed = prompt_set("sarchat"), prompt_set("release")
    said = {task: prompts.prompt(question, FRAME) for task, question in QUESTIONS.items()}
    same = {task for task in Task if said[task] == confirmed.prompt(QUESTIONS[task], FRAME)}
    assert same == {Task.DETECT, Task.DESCRIBE, Task.ASK}
    assert [said[task].split()[0] for task in (Task.COUNT, Task.LOCATE, Task.CLASSIFY)] == [
        "[count]", "[grounding]", "[identify]",
    ]  # fmt: skip
    assert "top left, top center, top right, center left" in said[Task.LOCATE]
    assert "{<12><30><40><52>}" in said[Task.CLASSIFY]


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("task", Task)
def test_every_prompt_is_one_line_without_gaps(name, task):
    prompt = prompt_set(name).prompt(QUESTIONS[task], FRAME)
    assert prompt.isprintable()
    assert not re.search(r"\bNone\b.*\bobject\b|\{target|\{box", prompt)
    assert prompt_set(name).max_tokens(QUESTIONS[task]) > 0


# --- answers ---


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        (" 12.\n", 12),
        ("There are 3 ships.", 3),
        ("three ships", 3),
        ("There are no ships here", 0),
        ("None", 0),
        ('```json\n{"count": 4}\n```', 4),
        ("图中有5艘船", 5),
        ("-3", None),
        ("2.5", None),
        ("class P-1", None),
        ("12: 5 in the north and 7 in the south", None),
        ("9" * 5000, None),
        ("", None),
    ],
)
@pytest.mark.parametrize("name", SETS)
def test_counts(name, text, value):
    answer = read(name, Task.COUNT, text)
    assert (answer.value, answer.complete) == (value, value is not None)


@pytest.mark.parametrize(
    ("text", "cells", "complete"),
    [
        ("1 5 9", {1, 5, 9}, True),
        ("none", set(), True),
        ("[]", set(), True),
        ("```json\n[9, 5]\n```", {5, 9}, True),
        ("Of the 9 cells: [2, 3]", {2, 3}, True),
        ("[1, 5", {1, 5}, False),
        ("0 1 10", {1}, False),
        ("anywhere", set(), False),
    ],
)
@pytest.mark.parametrize("name", SETS)
def test_grids(name, text, cells, complete):
    answer = read(name, Task.LOCATE, text)
    assert (answer.cells, answer.complete) == (cells, complete)


@pytest.mark.parametrize(
    ("text", "cells", "complete"),
    [
        ("top left, bottom right", {1, 9}, True),
        ("Top-left and centre.", {1, 5}, True),
        ("{<393><426><470><494>} (bottom right)", {9}, True),
        ("[grounding] There are ships in the lower right corner.", {9}, True),
        ("left; right; top; bottom", {2, 4, 6, 8}, True),
        ("left top", {1}, True),
        ("{<1><2><3><4>} (top)<delim>{<5><6><7><8>} (right)", {2, 6}, True),
        ("upper middle, center center", {2, 5}, True),
        ("top left bottom right", {1, 9}, True),
        ("top left of a pier", {1}, False),
        ("The ship is not at the top left", set(), False),
        ("None at the top", set(), False),
        ("There isn't any at the top", set(), False),
        ("topmost", set(), False),
    ],
)
def test_cells_in_words(text, cells, complete):
    answer = read("sarchat", Task.LOCATE, text)
    assert (answer.cells, answer.complete) == (cells, complete)


@pytest.mark.parametrize(
    ("text", "value", "complete"),
    [
        ("2: {<1><2><3><4>}, {<5><6><7><8>}", 2, True),
        ("2 instances: {<1><2><3><4>} (top left), {<5><6><7><8>} (bottom right)", 2, True),
        ("{<1><2><3><4>} (top left)", 1, True),
        ("<1> <2> <3> <4>, <5><6><7><8>", 2, True),
        ("<p>2 ships</p> {<1><2><3><4>}<delim>{<5><6><7><8>}", 2, True),
        ("There are 3 ships {<1><2><3><4>}", 3, False),
        ("{<1><2><1><2>}", None, False),
        ("[count] 0", 0, True),
    ],
)
def test_a_number_of_instances_with_boxes(text, value, complete):
    answer = read("sarchat", Task.COUNT, text)
    assert (answer.value, answer.complete) == (value, complete)


@pytest.mark.parametrize(
    "text", ["[identify] ship", "It is a ship.", "The category of the object is ship {<1><2><3><4>}"]
)
def test_a_category_in_a_sentence(text):
    answer = read("sarchat", Task.CLASSIFY, text)
    assert (answer.label, answer.complete) == ("ship", True)


@pytest.mark.parametrize(
    ("text", "label", "complete"),
    [
        ("ship", "ship", True),
        ('"Plane".\n', "Plane", True),
        ("```\nP-13\n```", "P-13", True),
        ("飞机。", "飞机", True),
        ("none", None, True),
        ("", None, False),
        ("It is hard to say what kind of an object this may be, given the speckle.", None, False),
    ],
)
@pytest.mark.parametrize("name", SETS)
def test_labels(name, text, label, complete):
    answer = read(name, Task.CLASSIFY, text)
    assert (answer.label, answer.complete) == (label, complete)


@pytest.mark.parametrize(
    ("text", "expected", "complete"),
    [
        ("90 ship l12 u22 r24 d14; 0 ship l15 u14 r3 d4", [(100, 90, 120, 110), (1, 2, 3, 4)], True),
        ("none", [], True),
        ("```\nnone\n```", [], True),
        ("0 ship l15 u14 r3 d4", [(1, 2, 3, 4)], True),
        ("15 ship l400 u40 r800 d40", [(-368, -8, 816, 56)], True),
        ("0 飞机 l15 u14 r3 d4;", [(1, 2, 3, 4)], True),
        ("0 ship l15 u14 r3 d4; 90 ship l5 u6 r7", [(1, 2, 3, 4)], False),
        ("0 ship l15 u14 r3 d4; 0 ship l11 u10 r7 d20", [(1, 2, 3, 4)], False),
        ("0 ship l15 u14 r3 d4; 196 ship l15 u14 r3 d4", [(1, 2, 3, 4)], False),
        ("0 ship l15 u14 r1 d4", [], False),
        ("0 ship l13 u14 r1 d4", [], False),
        ("0 ship l-9 u14 r3 d4", [], False),
        ("0 ship lNaN u2 r3 d4", [], False),
        ("0 ship l1 u2 r3 d4000000000", [], False),
        ("0 ship u14 l15 r3 d4", [], False),
        ("ship l15 u14 r3 d4", [], False),
        ("0 l15 u14 r3 d4", [], False),
        ("", [], False),
    ],
)
def test_compact_boxes(text, expected, complete):
    answer = read("compact", Task.DETECT, text)
    assert (corners(answer), answer.complete) == (expected, complete)


@pytest.mark.parametrize(
    ("text", "expected", "complete"),
    [
        (f"[{one('1, 2, 3, 4')}, {one('-35, 134, 95, 546')}]", [(1, 2, 3, 4), (-35, 134, 95, 546)], True),
        ("None", [], True),
        ("[]", [], True),
        ("There are no such targets: None.", [], True),
        (f"'''json [ {one('1, 2, 3, 4')} ]  '''", [(1, 2, 3, 4)], True),
        (f"Here:\n```json\n[\n\t{one('1,2,3,4')}\n]\n```", [(1, 2, 3, 4)], True),
        (f"[{one('3, 4, 1, 2')}]", [(1, 2, 3, 4)], True),
        ("[{'bbox_2d': [1, 2, 3, 4], 'label': 'plane'},]", [(1, 2, 3, 4)], True),
        ('[{"bbox_2d": ["1", "2.5", "3", "4"]}]', [(1, 2.5, 3, 4)], True),
        ('[{"bbox_2d": [9, 9, 8, 8], "bbox_2d": [1, 2, 3, 4], "label": "a"}]', [(1, 2, 3, 4)], True),
        (f"[{one('1, 2, 3, 4', 'a {brace')}]", [(1, 2, 3, 4)], True),
        (f"[{one('1, 2, 3, 4')}, " + '{"bbox_2d": [5, 6, 7, 8], "la', [(1, 2, 3, 4)], False),
        (f"[{one('1, 2, 3, 4')}, ", [(1, 2, 3, 4)], False),
        (f"[{one('1, 2, 3')}, {one('1, 2, 3, 4')}]", [(1, 2, 3, 4)], False),
        (f"[{one('NaN, 2, 3, 4')}]", [], False),
        (f"[{one('1e400, 2, 3, 4')}]", [], False),
        (f"[{one('9' * 5000 + ', 2, 3, 4')}]", [], False),
        ("[" * 100_000, [], False),
        ("{" * 100_000, [], False),
        ("I see a plane.", [], False),
    ],
)
def test_release_boxes(text, expected, complete):
    answer = read("release", Task.DETECT, text)
    assert (corners(answer), answer.complete) == (expected, complete)


def test_labels_of_boxes():
    text = ", ".join(one("1, 2, 3, 4", label) for label in ("飞机", r"\u8239", r"\ud800x", ""))
    assert [b.label for b in read("release", Task.DETECT, text).boxes] == ["飞机", "船", "x", "ship"]


def test_a_text_that_ran_into_the_limit_loses_its_last_object():
    whole = "0 ship l15 u14 r3 d4; 14 ship l11 u26 r7 d4"
    cut = read("compact", Task.DETECT, whole[:-1], finished=False)
    assert corners(cut) == [(1, 2, 3, 4)]
    assert not cut.complete
    assert corners(read("compact", Task.DETECT, whole)) == [(1, 2, 3, 4), (5, 6, 7, 20)]

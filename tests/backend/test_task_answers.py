"""Any text at all becomes an answer; what is rendered is read back and allowed by the grammar."""

from __future__ import annotations

import itertools
import re

import pytest
import xgrammar
from hypothesis import example, given
from hypothesis import strategies as st
from task_samples import ANSWERS, FRAME, QUESTIONS, SETS, corners, one, patient, read

from fusar_gpt.frames import ChipBox
from fusar_gpt.tasks import Question, Task, cell_of, prompt_set
from fusar_gpt.tasks.compact import render_boxes, render_count, render_grid, render_label, seen_in
from fusar_gpt.tasks.release import render_boxes as render_release_boxes
from fusar_gpt.tasks.sarchat import CELLS, find_boxes, render_cells, render_instances

SHREDS = """
{ } [ ] , : ; " ' \\ ``` ''' json none None NaN -1 0 7 88 1e9 1.5 ship 飞机 "bbox_2d" "label" [1,2,3,4]
{"bbox_2d": {<1><2><3><4>} {< <1> > ( ) [count] [identify] top left -center bottom right not n't
"""
shreds = st.sampled_from([*SHREDS.split(), "\n", "76 ship l15 u14 r3 d4"])
texts = st.one_of(st.text(), st.lists(shreds, max_size=40).map(" ".join), st.lists(shreds).map("".join))


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("task", Task)
@patient
@given(text=texts, finished=st.booleans())
@example(text="5 ship l1 ``` u2 r3 d4", finished=True)
def test_no_text_makes_a_parser_raise(name, task, text, finished):
    answer = read(name, task, text, finished=finished)
    assert type(answer) is ANSWERS[task]
    assert answer.raw == text
    assert finished or not answer.complete


@pytest.mark.parametrize("name", SETS)
@patient
@given(text=texts)
def test_no_box_is_invented_and_the_order_of_the_text_is_kept(name, text):
    boxes = read(name, Task.DETECT, text).boxes
    for found in boxes:
        numbers = re.findall(r"[-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?", text[slice(*found.span)])
        said = {float(number) for number in numbers}
        if name == "compact":
            cell, left, up, right, down = map(int, (numbers[0], *numbers[-4:]))  # a label may hold some, too
            row, col = divmod(cell, 14)
            said = {16 * col + 16 - left, 16 * row + 16 - up, 16 * col + right, 16 * row + down}
        assert {found.box.left, found.box.top, found.box.right, found.box.bottom} <= said
    spans = [found.span for found in boxes]
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))


pixels = st.floats(-20, 244)
chip_boxes = st.tuples(pixels, pixels, pixels, pixels).map(
    lambda v: ChipBox(min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3]))
)
names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_-]{0,8}( [a-z]{1,5})?", fullmatch=True).filter(
    lambda n: n != "none"
)
objects = st.lists(st.tuples(chip_boxes, names), max_size=12)


def allowed(question: Question, text: str, name: str = "compact") -> bool:
    """True when the prompt set's grammar accepts exactly this text."""
    vocabulary = [bytes([value]) for value in range(256)] + [b"<end>"]
    info = xgrammar.TokenizerInfo(vocabulary, xgrammar.VocabType.RAW, stop_token_ids=[256])
    grammar = xgrammar.Grammar.from_ebnf(prompt_set(name).grammar(question))
    matcher = xgrammar.GrammarMatcher(xgrammar.GrammarCompiler(info, max_threads=1).compile_grammar(grammar))
    return matcher.accept_string(text) and matcher.accept_token(256)


@patient
@given(objects)
def test_compact_boxes_survive_render_and_parse(objects):
    question = Question(Task.DETECT, "any")
    text = render_boxes(objects, FRAME)
    answer = prompt_set("compact").parse(question, text, FRAME)
    assert answer.complete
    assert render_boxes([(b.box, b.label) for b in answer.boxes], FRAME) == text
    cells = [int(piece.split()[0]) for piece in text.split("; ") if text != "none"]
    assert cells == sorted({int(render_boxes([one], FRAME).split()[0]) for one in objects})
    assert all(0 <= cell < 196 for cell in cells)
    assert all(0 <= value <= 224 for box in corners(answer) for value in box)
    assert allowed(question, text)


def test_a_rendered_box_is_the_rounded_box():
    text = render_boxes(
        [(ChipBox(129.6, 90, 150.2, 108), "ship"), (ChipBox(-5, -3, 0.2, 300), "ship")], FRAME
    )
    assert text == "92 ship l14 u22 r22 d12; 98 ship l16 u128 r1 d112"


@patient
@given(objects)
def test_release_boxes_survive_render_and_parse(objects):
    text = render_release_boxes(objects)
    answer = read("release", Task.DETECT, text)
    wide = [(box, label) for box, label in objects if round(box.left) < round(box.right)]
    wide = [(box, label) for box, label in wide if round(box.top) < round(box.bottom)]
    assert [b.label for b in answer.boxes] == [label for _, label in wide]
    assert corners(answer) == [tuple(map(round, (b.left, b.top, b.right, b.bottom))) for b, _ in wide]
    assert answer.complete == (len(wide) == len(objects))
    assert allowed(QUESTIONS[Task.DETECT], text, "release")


def test_the_released_answer_byte_for_byte():
    boxes = [(ChipBox(-35, 134, 95, 246), "plane"), (ChipBox(81, 70, 212, 182), "plane")]
    first, second = (one(numbers) for numbers in ("-35, 134, 95, 246", "81, 70, 212, 182"))
    assert render_release_boxes(boxes) == f"[{first}, {second}]"
    assert render_release_boxes([]) == "None"


@patient
@given(st.sets(st.integers(1, 9)), st.lists(chip_boxes, min_size=1, max_size=12))
def test_grids_survive_render_and_parse(cells, boxes):
    for text in (render_grid(cells), render_grid(cells, seen_in(boxes, FRAME))):
        answer = read("compact", Task.LOCATE, text)
        assert (answer.cells, answer.complete, answer.raw) == (cells, True, text)
        assert allowed(QUESTIONS[Task.LOCATE], text) == (bool(cells) or ":" not in text)
    assert allowed(QUESTIONS[Task.LOCATE], str(sorted(cells)) if cells else "None", "release")


@patient
@given(st.sets(st.integers(1, 9)), st.lists(chip_boxes, max_size=12))
def test_the_form_of_the_benchmark_survives_render_and_parse(cells, boxes):
    wide = [b for b in boxes if round(b.left) < round(b.right) and round(b.top) < round(b.bottom)]
    text = render_cells(cells)
    answer = read("sarchat", Task.LOCATE, text)
    assert (answer.cells, answer.complete) == (cells, True)
    assert allowed(QUESTIONS[Task.LOCATE], text, "sarchat")
    text = render_instances(wide)
    answer = read("sarchat", Task.COUNT, text)
    assert (answer.value, answer.complete) == (len(wide), True)
    assert len(find_boxes(text)) == len(wide)
    assert allowed(QUESTIONS[Task.COUNT], text, "sarchat")


@pytest.mark.parametrize("cell", range(1, 10))
def test_every_cell_is_read_by_its_own_name(cell):
    assert read("sarchat", Task.LOCATE, CELLS[cell - 1]).cells == {cell}


@patient
@given(st.integers(0, 999), st.lists(chip_boxes, min_size=1, max_size=12), names)
def test_counts_and_labels_survive_render_and_parse(count, boxes, name):
    for text in (render_count(count), render_count(count, seen_in(boxes, FRAME))):
        answer = read("compact", Task.COUNT, text)
        assert (answer.value, answer.complete, answer.raw) == (count, True, text)
        assert allowed(QUESTIONS[Task.COUNT], text) == (bool(count) or ":" not in text)
    assert read("compact", Task.CLASSIFY, render_label(name)).label == name
    assert allowed(QUESTIONS[Task.CLASSIFY], render_label(name))


def test_the_cells_seen_are_those_that_detect_names():
    boxes = [ChipBox(129.6, 90, 150.2, 108), ChipBox(-5, -3, 0.2, 300), ChipBox(130, 91, 150, 108)]
    assert render_count(3, seen_in(boxes, FRAME)) == "92 98: 3"
    assert render_grid([7, 5], seen_in(boxes, FRAME)) == "92 98: 5 7"
    assert (render_count(0, seen_in([], FRAME)), render_grid([], seen_in([], FRAME))) == ("0", "none")


@pytest.mark.parametrize("task", [Task.COUNT, Task.LOCATE])
@pytest.mark.parametrize("text", ["5", "5 98", "5 98:"])
def test_cells_seen_are_no_answer_yet(task, text):
    answer = read("compact", task, text, finished=False)
    assert not answer.complete
    assert not (answer.value if task is Task.COUNT else answer.cells)


@pytest.mark.parametrize("task", [Task.COUNT, Task.LOCATE])
def test_what_stands_behind_the_cells_may_go_on(task):
    assert not read("compact", task, "5 98: 1 ", finished=False).complete


@pytest.mark.parametrize(
    ("task", "text"),
    [
        (Task.COUNT, "07"),
        (Task.COUNT, "many"),
        (Task.COUNT, "17: 0"),
        (Task.COUNT, "196: 1"),
        (Task.COUNT, "17 18"),
        (Task.LOCATE, "5 1"),
        (Task.LOCATE, "17: 5 1"),
        (Task.LOCATE, "17: 5 5"),
        (Task.LOCATE, "17: none"),
        (Task.DETECT, "75 plane l11 u12 r13 d14"),
        (Task.DETECT, "75 ship l11 u12 r13"),
        (Task.DETECT, "196 ship l11 u12 r13 d14"),
        (Task.DETECT, ""),
    ],
)
def test_the_grammar_refuses_what_is_no_answer(task, text):
    assert not allowed(QUESTIONS[task], text)


@pytest.mark.parametrize("label", ["9", "ship 1", "none", "a;b", "", "ship\n"])
def test_what_could_not_be_read_back_is_not_rendered(label):
    with pytest.raises(ValueError, match="class name"):
        render_label(label)
    for render, wrong in ((render_count, 1000), (render_count, -1), (render_grid, [0])):
        with pytest.raises(ValueError):
            render(wrong)


def test_cells_are_numbered_from_the_top_left_and_a_centre_outside_goes_to_the_nearest():
    centres = [
        (10, 10),
        (150, 10),
        (299, 10),
        (10, 150),
        (150, 150),
        (299, 150),
        (10, 299),
        (150, 299),
        (999, 999),
    ]
    boxes = [ChipBox(x - 4, y - 4, x + 4, y + 4) for x, y in centres]
    assert [cell_of(box, (300, 300)) for box in boxes] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert cell_of(ChipBox(-50, 100, -20, 120), (300, 300)) == 4

"""Chips and questions from boxes: the serving parser reads every answer back, empty chips are empty, seeds hold."""

from dataclasses import replace

import numpy as np
import pytest
from corpus_samples import RELEASE, TINY, prior_file, record, ship, speckle
from hypothesis import given, settings
from hypothesis import strategies as st

from fusar_gpt.frames import ChipBox, SceneBox, ScenePoints, SceneWindow, chip_corners, corner_array
from fusar_gpt.imagery import ResizePlan
from fusar_gpt.tasks import Question, Task, cell_of, prompt_set
from fusar_gpt.tasks.compact import render_boxes
from fusar_train.corpus.derive import DeriveOptions, derive, windows
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.messages import PlacedObject, describe, messages, search
from fusar_train.corpus.record import Message, RecordObject, on_chip
from fusar_train.corpus.records import read_records

edge = st.floats(-20, 520, allow_nan=False)


@st.composite
def chip_objects(draw):
    label = draw(st.sampled_from(["ship", "plane"]))
    left, top = draw(edge), draw(edge)
    right, bottom = left + draw(st.floats(1, 90)), top + draw(st.floats(1, 90))
    box = SceneBox(left, top, right, bottom)
    return PlacedObject(
        RecordObject(box, label, draw(st.none() | st.just("S-1"))), ChipBox(left, top, right, bottom)
    )


@pytest.mark.parametrize("words", ["release", "compact"])
@given(objects=st.lists(chip_objects(), max_size=9))
@settings(max_examples=40, deadline=None)
def test_the_serving_parser_reads_every_answer_back(words, objects):
    size, prompts = (504, 504), prompt_set(words)
    plan = ResizePlan(SceneWindow(0, 0, *size), *size, 18, 18)
    said = messages([one.item for one in objects], plan, ["plane", "ship"], words, np.random.default_rng(0))
    searched = [m for m in said if m.target]
    assert len(searched) == 9
    for message in said:
        wanted = [one for one in objects if message.target in (one.item.label, "any")]
        question = Question(message.task, target=message.target, box=message.box and ChipBox(0, 0, 1, 1))
        answer = prompts.parse(question, message.answer, size)
        assert answer.complete, message
        if message.task is Task.COUNT:
            assert answer.value == len(wanted)
        elif message.task is Task.LOCATE:
            assert answer.cells == {cell_of(one.box, size) for one in wanted}
        elif message.task is Task.CLASSIFY:
            assert answer.label in ("ship", "plane")
        elif message.task is Task.DETECT:
            if words == "compact":  # says a cell once
                alone = (render_boxes([(one.box, one.item.label)], size) for one in wanted)
                assert len(answer.boxes) == len({text.split()[0] for text in alone})
                assert {box.label for box in answer.boxes} <= {one.item.label for one in wanted}
            else:
                assert sorted(box.label for box in answer.boxes) == sorted(one.item.label for one in wanted)
                left = sorted(one.box.left for one in wanted)
                assert np.allclose(sorted(box.box.left for box in answer.boxes), left, atol=0.51)


@given(
    st.integers(-50, 50), st.integers(1, 2000), st.integers(1, 2000),
    st.lists(st.floats(-100, 2100), min_size=4, max_size=4),
)  # fmt: skip
def test_boxes_go_to_the_chip_and_back(origin, width, height, numbers):
    (left, right), (top, bottom) = sorted(numbers[:2]), sorted(numbers[2:])
    plan = ResizePlan(SceneWindow(origin, -origin, width, height), 504, 504, 18, 18)
    box = on_chip(SceneBox(left, top, right, bottom), plan)
    back = plan.chip_to_scene(chip_corners(box))
    assert np.allclose(back.xy(), corner_array(SceneBox(left, top, right, bottom)), atol=1e-6)
    assert box.left == pytest.approx(plan.scene_to_chip(ScenePoints(left, top)).x[0])


def placed(label, x, y, fine=None):
    return PlacedObject(RecordObject(SceneBox(0, 0, 1, 1), label, fine), ChipBox(x, y, x + 10, y + 10))


@pytest.mark.parametrize(
    ("objects", "text"),
    [
        ([], "A SAR image with no ships and no planes."),
        ([placed("ship", 5, 5)], "A SAR image with one ship in the upper left."),
        (
            [placed("ship", 5, 5), placed("ship", 400, 200, "S-2"), placed("plane", 200, 400, "P-1")],
            "A SAR image with two ships (S-2) in the upper left and on the right "
            "and one plane (P-1) at the bottom.",
        ),
        (
            [placed("ship", x, y) for x in (5, 200, 400) for y in (5, 200, 400, 410)],
            "A SAR image with 12 ships in many places.",
        ),
    ],
)
def test_template_captions(objects, text):
    assert describe(objects, ["ship", "plane"], (504, 504), 0) == text


def test_only_labelled_classes_are_counted(tmp_path):
    one = record(tmp_path, objects=[ship(10, 10, 30, 30)], complete=[])
    derive([one], tmp_path / "out", DeriveOptions(RELEASE, "release"))
    (back,) = read_records(tmp_path / "out")
    assert [message.task for message in back.messages] == [Task.CLASSIFY]
    assert back.messages[0].box == SceneBox(10, 10, 30, 30)
    assert "[25, 42, 76, 126]" in back.messages[0].question


def test_fine_labels_on_request_and_the_annotators_caption_and_questions(tmp_path):
    asked = Message(task=Task.ASK, question="Is it windy?", answer="yes")
    stale = Message(task=Task.COUNT, target="ship", question="old words", answer="7")
    one = replace(
        record(tmp_path, objects=[ship(10, 10, 30, 30, fine="S-1"), ship(50, 10, 90, 30, difficult=True)]),
        caption="A quiet bay.", messages=(asked, stale),
    )  # fmt: skip
    for fine, answer in ((False, "ship"), (True, "S-1")):
        derive([one], tmp_path / f"out{fine}", DeriveOptions(TINY, "compact", None, fine=fine))
        (back,) = read_records(tmp_path / f"out{fine}")
        assert [m.answer for m in back.messages if m.task is Task.CLASSIFY] == [answer]
        assert [m.answer for m in back.messages if m.task is Task.DESCRIBE] == ["A quiet bay."]
        assert asked in back.messages
        assert stale not in back.messages
        assert back.provenance["frame"] == [224, 224]


def ocean(folder, count=12, **more):
    """Images of a bright ship each, in an otherwise dark sea."""
    for number in range(count):
        pixels = speckle(number, (240, 300)) // 4
        pixels[20:30, 40 + number : 70 + number] = 255
        objects = [ship(40 + number, 20, 70 + number, 30)]
        yield record(folder, f"n{number:02d}", objects, pixels, split="train", **more)


@pytest.mark.parametrize(("card", "words"), [(RELEASE, "release"), (TINY, "compact")])
def test_empty_chips_show_nothing_and_their_twins_show_a_ship(tmp_path, card, words):
    made = derive(ocean(tmp_path), tmp_path / "out", DeriveOptions(card, words, 0.2, seed=3))
    back = list(read_records(tmp_path / "out"))
    empty = [one for one in back if not one.objects]
    assert made.chips == len(back)
    assert made.empty == len(empty)
    assert made.crops == 2 * len(empty)
    assert 0.15 < len(empty) / len(back) <= 0.2
    for one in empty:
        assert one.pixels().max() < 255
        twin = next(other for other in back if other.id == one.id.replace("empty", "shown"))
        assert twin.size() == one.size()
        assert (twin.pixels() == 255).any()
        assert [m.answer for m in one.messages if m.task is not Task.DESCRIBE] in (
            ["0", "None", "None"], ["0", "none", "none"]
        )  # fmt: skip
        assert one.scene == f"set/{one.provenance['from'].rsplit('/')[-1]}"
        assert one.split == "train"
    for one in back:
        for item in one.objects:
            rows, columns = np.nonzero(one.pixels() == 255)
            edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            assert edges == (item.box.left, item.box.top, item.box.right, item.box.bottom)


def lines_of(folder):
    return (folder / "records.jsonl").read_text()


def test_the_same_seed_gives_the_same_chips(tmp_path):
    records = list(ocean(tmp_path))
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        derive(records, tmp_path / name, DeriveOptions(RELEASE, "release", seed=seed))
    assert lines_of(tmp_path / "a") == lines_of(tmp_path / "b") != lines_of(tmp_path / "c")


def test_a_share_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"0 to 0\.4"):
        DeriveOptions(RELEASE, "release", 0.5)
    with pytest.raises(CorpusError, match="import a data set first"):
        derive([], tmp_path / "out", DeriveOptions(RELEASE, "release"))
    assert not (tmp_path / "out").exists()


def test_large_images_are_cut_to_the_ground_of_the_card(tmp_path):
    """At 2 m, 672 m are 336 px: an image of 1000 x 400 px takes four chips side by side and two rows."""
    pixels = speckle(shape=(400, 1000))
    objects = [ship(100, 100, 140, 120), ship(500, 300, 540, 330)]
    prior = prior_file(tmp_path / "p.npz", rows=200, year=2023)
    one = record(tmp_path, "big", objects, pixels, pixel_m=2.0, prior=prior)
    assert {(w.width, w.height) for w in windows(one, DeriveOptions(TINY, "compact"))} == {(336, 336)}
    derive([one], tmp_path / "out", DeriveOptions(TINY, "compact", None))
    back = list(read_records(tmp_path / "out"))
    assert len(back) >= 6
    assert len({chip.id for chip in back}) == len(back)
    shown = set()
    for chip in back:
        col, row, width, height = chip.provenance["cut"]
        assert (chip.pixels() == pixels[row : row + height, col : col + width]).all()
        shown |= {(b.left + col, b.top + row, b.right + col, b.bottom + row) for b in chip.boxes("ship")}
        features, positions = chip.vectors()
        y, x = one.vectors()[1].T
        inside = (x * 1000 >= col) & (x * 1000 <= col + width) & (y * 400 >= row) & (y * 400 <= row + height)
        assert (features == one.vectors()[0][inside]).all()
        assert np.allclose(positions[:, 1] * width + col, x[inside] * 1000, atol=0.01)
        assert chip.prior_year() == 2023
    assert {(100, 100, 140, 120), (500, 300, 540, 330)} <= shown


def test_surplus_empty_chips_are_left_out_unless_taken_as_they_come(tmp_path):
    one = record(tmp_path, "big", [ship(100, 100, 140, 120)], speckle(shape=(900, 900)))
    made = derive([one], tmp_path / "few", DeriveOptions(RELEASE, "release", 0.2, window_px=300))
    assert made.surplus > 0
    assert made.empty <= 0.2 * made.chips
    made = derive([one], tmp_path / "all", DeriveOptions(RELEASE, "release", None, window_px=300))
    assert made.surplus == 0
    assert made.crops == 0
    assert made.empty > made.chips / 2


def test_chips_that_show_a_sliver_of_a_ship_are_left_out(tmp_path):
    """Windows begin at 0 and 48; of the ship from 30 to 55 the second one shows 28 %."""
    one = record(tmp_path, "big", [ship(30, 100, 55, 120)], speckle(shape=(300, 300)))
    made = derive([one], tmp_path / "out", DeriveOptions(RELEASE, "release", None, window_px=252))
    assert (made.chips, made.doubtful) == (2, 2)
    assert all(chip.provenance["cut"][0] == 0 for chip in read_records(tmp_path / "out"))


def test_whole_images_stay_without_what_is_mostly_outside(tmp_path):
    objects = [ship(-70, 100, 30, 120), ship(280, 10, 320, 30)]
    one = record(tmp_path, objects=objects, pixels=speckle(shape=(300, 300)))
    derive([one], tmp_path / "out", DeriveOptions(RELEASE, "release", None))
    (kept,) = read_records(tmp_path / "out")
    assert kept.boxes("ship") == [SceneBox(280, 10, 300, 30)]


def test_a_class_is_asked_for_in_words_or_named_when_it_has_none(tmp_path):
    for label, asked in (("A320/321", "A320-321"), ("舰船", "舰船"), ("2S1", "type-2S1")):
        one = record(tmp_path, objects=[RecordObject(SceneBox(1, 1, 9, 9), label)], complete=[label])
        derive([one], tmp_path / asked, DeriveOptions(RELEASE, "release", empty_share=None))
        (chip,) = read_records(tmp_path / asked)
        assert chip.objects[0].label == label
        assert {message.target for message in chip.messages} == {asked, None}
        assert f'"label": "{asked}"' in "".join(message.answer for message in chip.messages)
    odd = record(tmp_path, objects=[RecordObject(SceneBox(1, 1, 9, 9), "***")])
    with pytest.raises(CorpusError, match=r"'\*\*\*' is no name of a class"):
        derive([odd], tmp_path / "out", DeriveOptions(RELEASE, "release"))
    chinese = record(tmp_path, objects=[RecordObject(SceneBox(1, 1, 9, 9), "舰船")])
    with pytest.raises(CorpusError, match=r"Record set/a: .* Rename the class"):
        derive([chinese], tmp_path / "out", DeriveOptions(TINY, "compact"))


def test_an_object_of_less_than_a_pixel_keeps_one():
    tiny = PlacedObject(RecordObject(SceneBox(0, 0, 1, 1), "ship"), ChipBox(1.5, 7.2, 2.5, 7.3))
    for words in ("release", "compact"):
        message = search(Task.DETECT, "ship", [tiny], words, (504, 504))
        said = prompt_set(words).parse(Question(Task.DETECT, target="ship"), message.answer, (504, 504))
        assert said.complete
        assert said.boxes[0].box == ChipBox(2, 7, 3, 8)


def test_a_detection_names_objects_in_reading_order():
    objects = [placed("ship", 400, 400), placed("ship", 5, 90), placed("ship", 90, 5)]
    message = search(Task.DETECT, "ship", objects, "release", (504, 504))
    said = prompt_set("release").parse(Question(Task.DETECT, target="ship"), message.answer, (504, 504))
    assert [(box.box.left, box.box.top) for box in said.boxes] == [(90, 5), (5, 90), (400, 400)]

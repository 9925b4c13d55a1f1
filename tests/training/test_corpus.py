"""Real images: boxes read right, split kept apart, chips cut without doubtful truth; answers the server can read."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from fusar_gpt.frames import ChipBox, SceneBox
from fusar_gpt.tasks import Task, prompt_set
from fusar_train.corpus.chip import LabelledBox, LabelledChip, clip_objects, no_prior
from fusar_train.corpus.errors import CorpusError
from fusar_train.corpus.formats import import_dataset
from fusar_train.corpus.record import RecordObject
from fusar_train.corpus.records import read_records, write_records
from fusar_train.corpus.ssdd import Annotated, annotated, cut, random_cut, read_voc, split, turn, whole
from fusar_train.pretrain.batches import Mixture
from fusar_train.pretrain.questions import TEXTS, free, jittered, pairs, vocabulary
from fusar_train.simulation import simulate_chip
from fusar_train.simulation.chip import TEST_STREAM, TRAIN_STREAM


@pytest.fixture
def voc(tmp_path):
    """Ten images with one bright ship each, annotated the VOC way."""
    for folder in ("JPEGImages", "Annotations"):
        (tmp_path / folder).mkdir()
    for number in range(10):
        image = np.zeros((200, 300), np.uint8)
        image[50 + number : 70 + number, 100:160] = 255
        Image.fromarray(image).save(tmp_path / "JPEGImages" / f"{number}.jpg", quality=100)
        box = f"<xmin>101</xmin><ymin>{51 + number}</ymin><xmax>160</xmax><ymax>{70 + number}</ymax>"
        text = f"<annotation><object><name>ship</name><bndbox>{box}</bndbox></object></annotation>"
        (tmp_path / "Annotations" / f"{number}.xml").write_text(text)
    return tmp_path


def bright_extent(image):
    rows, cols = np.nonzero(image > 127)
    return cols.min(), rows.min(), cols.max() + 1, rows.max() + 1


def test_voc_boxes_count_from_one(voc):
    image = read_voc(voc)[3]
    assert image.boxes.tolist() == [[100, 53, 160, 73]]
    assert bright_extent(image.image) == (100, 53, 160, 73)


def test_the_split_is_disjoint_complete_and_stable(voc):
    images = read_voc(voc)
    train, held = split(images)
    assert len(held) == 2
    assert {i.name for i in train} | {i.name for i in held} == {str(n) for n in range(10)}
    assert not {i.name for i in train} & {i.name for i in held}
    assert [i.name for i in split(read_voc(voc))[1]] == [i.name for i in held]


def test_training_draws_only_from_the_training_half(voc):
    rng_positions = {tuple(i.boxes[0]) for i in split(read_voc(voc))[0]}
    assert len(rng_positions) == 8
    records = Mixture(real_share=1.0).chips(0, voc)
    assert {next(records).source for _ in range(5)} == {"ssdd"}
    assert TRAIN_STREAM != TEST_STREAM


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
@pytest.mark.parametrize("mirror", [False, True])
def test_turned_chips_keep_their_boxes(voc, quarters, mirror):
    record = whole(read_voc(voc)[0], 224)
    turned = turn(record, quarters, mirror, np.random.default_rng(0))
    box = turned.objects[0].box
    assert (box.left, box.top, box.right, box.bottom) == pytest.approx(bright_extent(turned.image), abs=1.1)


@pytest.fixture
def records(voc, tmp_path):
    """The same images as records: three held out, and one more ship in each of which nobody is sure."""
    doubt = RecordObject(SceneBox(200, 20, 230, 40), "ship", difficult=True)
    import_dataset("ssdd", voc, tmp_path / "imported")
    changed = [
        replace(one, objects=(*one.objects, doubt), split="train" if n else "test")
        for n, one in enumerate(read_records(tmp_path / "imported"))
    ]
    write_records(changed, tmp_path / "records")
    return tmp_path / "records"


def test_records_are_learned_from_but_for_those_held_out(records):
    images = annotated(records)
    assert len(images) == 9
    assert images[0].boxes.tolist() == [[100, 51, 160, 71]]
    assert images[0].doubtful.tolist() == [[200, 20, 230, 40]]


def test_no_chip_shows_a_ship_of_which_nobody_is_sure(records):
    image, rng = annotated(records)[0], np.random.default_rng(3)
    shown = [cut(image, left, 0, 120, 224) for left in (40, 100, 150)]
    assert [chip is None for chip in shown] == [False, True, True]
    alone = replace(image, doubtful=np.array([[0.0, 0, 300, 200]]))
    assert random_cut(alone, 224, rng) is None


def test_a_mixture_takes_records_and_ssdd_as_it_comes(voc, records):
    chips = Mixture(real_share=1.0).chips(0, voc, records)
    assert {next(chips).source for _ in range(5)} == {"ssdd"}


def test_records_of_another_split_alone_are_refused(records):
    held = [one for one in read_records(records) if one.split == "test"]
    write_records(held, records.parent / "held")
    with pytest.raises(CorpusError, match="no record of the split train"):
        annotated(records.parent / "held")


def test_random_cuts_hold_whole_ships_or_none(voc):
    image, rng = read_voc(voc)[0], np.random.default_rng(3)
    cuts = [random_cut(image, 224, rng) for _ in range(60)]
    empty = [record for record in cuts if not record.objects]
    assert 5 < len(empty) < 30
    assert all(record.image.max() < 127 for record in empty)


def test_a_sliver_of_a_ship_makes_a_chip_doubtful():
    image = Annotated("x", np.zeros((200, 200), np.uint8), np.array([[50.0, 50, 100, 70]]))
    assert cut(image, 90, 0, 100, 224) is None
    assert cut(image, 100, 0, 100, 224).objects == ()
    kept, clean = clip_objects([(-4, 0, 6, 10)], ["ship"], 100, 100)
    assert (kept, clean) == ((LabelledBox(ChipBox(0, 0, 6, 10), "ship"),), True)


def test_the_serving_parser_reads_every_training_answer_back():
    prompts, size = prompt_set("compact"), (224, 224)
    for number in range(25):
        record = simulate_chip(number, stream=3)
        for pair in pairs(record, np.random.default_rng(number)):
            answer = prompts.parse(pair.question, pair.answer, size)
            assert answer.complete, pair
            wanted = record.boxes(pair.question.target or "any")
            if pair.question.task is Task.COUNT:
                assert answer.value == len(wanted)
            elif pair.question.task is Task.DETECT:
                said = sorted((b.box.left, b.box.top, b.box.right, b.box.bottom) for b in answer.boxes)
                truth = sorted((b.left, b.top, b.right, b.bottom) for b in wanted)
                assert np.allclose(said, truth, atol=1.0)


def test_a_sliver_at_the_edge_can_still_be_drawn_around():
    rng = np.random.default_rng(0)
    for x, y in rng.uniform(0, 223.9, (2000, 2)):
        box = jittered(ChipBox(x, y, 224, 224), (224, 224), rng)
        assert 0 <= box.left <= box.right - 2 <= 222
        assert 0 <= box.top <= box.bottom - 2 <= 222


def test_free_questions_are_answered_from_the_truth():
    record = LabelledChip(
        np.zeros((224, 224), np.uint8), (LabelledBox(ChipBox(0, 0, 9, 9), "ship"),), *no_prior(),
        "port", np.full((14, 14), 6), "simulated",
    )  # fmt: skip
    said = {topic: free(record, topic).answer for topic in TEXTS}
    assert said == {"place": "port", "cover": "built-up land", "water": "no", "ship": "yes", "plane": "no"}
    assert {"port", "built", "land", "yes"} <= set(vocabulary())

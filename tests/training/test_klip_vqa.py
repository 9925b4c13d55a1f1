"""What FUSAR-KLIP writes: captions beside captions of other images, and answers in six kinds of questions."""

import copy
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from klip_samples import made, order, sub_texts, write_data

from fusar_gpt.frames import SceneBox
from fusar_gpt.retrieval import load_klip
from fusar_train.corpus.record import RecordObject
from fusar_train.corpus.records import write_records
from fusar_train.corpus.texts.facts import Facts
from fusar_train.evaluation import captions as caption_metrics
from fusar_train.klip.benchmarks import captions, vqa
from fusar_train.klip.benchmarks.options import BenchmarkOptions
from fusar_train.klip.benchmarks.vqa_questions import KINDS, NONE, listed, questions_of
from fusar_train.klip.settings import KlipError
from fusar_train.klip.train import train_klip

GROUNDS = ("water", "grass", "trees", "sand")


def truth(number, split):
    """What the sample image shows: a ship in one of four regions, on one of four grounds."""
    col, row = 16 * (number % 2) + 6, 16 * (number % 4 // 2) + 6
    ground = GROUNDS[number // 8 % 4]
    cover = {"classes": {ground: 0.9, "quays": 0.1}, "where": {ground: [0.9] * 9, "quays": [0.1] * 9}}
    return {
        "id": f"{split}/{number}",
        "objects": (RecordObject(SceneBox(col, row, col + 4, row + 4), "ship"),),
        "split": split,
        "provenance": {"pixel_m": 3.0, "complete": ["ship", "plane"], "cover": cover},
    }


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A model that has learned to write what the images show."""
    folder = tmp_path_factory.mktemp("model")
    data = write_data(folder / "data")
    train_klip(order(data, folder / "out", epochs=80, weights=[0.5, 0.0, 1.0], without_context=1.0))
    return load_klip(folder / "out", device="cpu")


@pytest.fixture(scope="module")
def options(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("both")
    records = [made(folder / "raw", n, **truth(n, split)) for split in ("train", "test") for n in range(32)]
    write_records(records, folder / "data")
    return BenchmarkOptions(klip=model, name="sample", data=(folder / "data",), learning_rate=3e-3)


def figures(section, name):
    return next(row.figures for row in section.rows if row.name == name)


def test_captions_are_better_for_their_own_images_than_for_others(options, monkeypatch):
    monkeypatch.setattr(caption_metrics.shutil, "which", lambda _: None)  # Java takes seconds
    (section,) = captions.sections(options)
    own, others = figures(section, "targets"), figures(section, "targets: written for other images")
    assert own["BLEU-4"].value > others["BLEU-4"].value + 0.2
    assert own["CIDEr"].value > 2 * others["CIDEr"].value
    assert own["BLEU-4"].n == 32
    assert any(note.startswith("METEOR is left out") for note in section.notes)
    assert section.paper[-1].figures["CIDEr"].value == pytest.approx(1.1783)


def test_a_caption_is_compared_with_texts_of_its_own_language(options, monkeypatch, tmp_path):
    monkeypatch.setattr(caption_metrics.shutil, "which", lambda _: None)
    foreign = "\u6c34\u9762\u4e0a\u6709\u8239"

    def told(number):
        one = sub_texts(number)
        return (one, replace(one, said=dict.fromkeys(one.said, foreign)))

    records = [made(tmp_path / "raw", n, told(n), **truth(n, "test")) for n in range(8)]
    write_records(records, tmp_path / "data")
    english = [made(tmp_path / "raw", n, **truth(n, "test")) for n in range(8)]
    write_records(english, tmp_path / "english")
    monkeypatch.setattr("fusar_train.klip.data.TOO_STRANGE", 1.0)
    both, one = (
        captions.sections(replace(options, data=(tmp_path / name,)))[0] for name in ("data", "english")
    )
    assert figures(both, "targets")["BLEU-4"].value == figures(one, "targets")["BLEU-4"].value
    assert captions.spaced(foreign[:2]).split() == list(foreign[:2])


def test_a_network_learns_to_answer(options, model):
    images = vqa.asked_images(options.described.data.records[::2][:8], 0)
    learner = copy.deepcopy(model.model)
    before = vqa.by_kind(images, vqa.answers(learner, model, images))
    vqa.learn(learner, model, images, replace(options, epochs=100), "sample")
    after = vqa.by_kind(images, vqa.answers(learner, model, images))
    right = sum(after[kind][0].sum() for kind in KINDS) / sum(after[kind][1].sum() for kind in KINDS)
    assert sum(before[kind][0].sum() for kind in KINDS) == 0
    assert right > 0.8


def test_the_table_has_the_same_network_from_scratch_and_what_answers_by_rote(options):
    (section,) = vqa.sections(replace(options, epochs=1))
    assert [row.name for row in section.rows] == [
        "sample, fine-tuned",
        "the same from scratch",
        "the commonest answer",
    ]
    rote = figures(section, "the commonest answer")
    assert rote["target position"].value == pytest.approx(0.25)
    assert rote["target count"].value == 1
    assert rote["main landform"].n == 32
    assert section.columns == KINDS
    assert "questions about 32 images" in section.notes[0]


def test_nothing_to_learn_from_or_to_ask_about_is_told(options, tmp_path):
    write_records([made(tmp_path / "raw", n, **truth(n, "test")) for n in range(2)], tmp_path / "test")
    with pytest.raises(KlipError, match="0 records of the split train, and none that tells"):
        vqa.sections(replace(options, data=(tmp_path / "test",)))
    bare = {"provenance": {}, "split": "test", "objects": ()}
    write_records([made(tmp_path / "raw", n, **bare) for n in range(2)], tmp_path / "bare")
    with pytest.raises(KlipError, match="tell neither counts nor land cover"):
        vqa.sections(replace(options, data=(tmp_path / "bare",)))
    with pytest.raises(KlipError, match=r"fine-tuned: the loss is not finite at step \d+\. Lower"):
        vqa.sections(replace(options, learning_rate=1e30))


def asked(tmp_path, number=1, **changes):
    record = made(tmp_path, number, **{**truth(number, "test"), **changes})
    return {one.kind: one for one in questions_of(record, Facts.of(record, prior=False), 0)}


def test_questions_of_six_kinds_are_made_from_truth(tmp_path):
    found = asked(tmp_path)
    answers = [found[kind].answer for kind in KINDS]
    assert answers == ["1", "ship", "3", "water", "quays, water", "water"]
    assert "ships" in found["target count"].text
    assert asked(tmp_path) == found


def test_what_is_not_known_is_not_asked(tmp_path):
    scattered = tuple(RecordObject(SceneBox(x, x, x + 4, x + 4), "ship") for x in (2, 26))
    assert "target position" not in asked(tmp_path, objects=scattered)
    assert asked(tmp_path, objects=scattered)["target count"].answer == "2"
    empty = asked(tmp_path, objects=())
    assert (empty["target count"].answer, empty["target recognition"].answer) == ("0", NONE)
    uncertain = (RecordObject(SceneBox(2, 2, 6, 6), "ship", difficult=True),)
    assert not {"target count", "target recognition"} & asked(tmp_path, objects=uncertain).keys()
    even = {"classes": {"water": 0.5, "grass": 0.5}, "where": {"water": [0.5] * 9, "grass": [0.5] * 9}}
    unclear = asked(tmp_path, provenance={"cover": even})
    assert not {"main landform", "regional landform"} & unclear.keys()
    assert unclear["all landforms"].answer == "grass, water"


@given(st.permutations(["water", "grass", "trees"]))
def test_an_answer_of_several_names_has_one_order(names):
    assert listed(names) == "grass, trees, water"

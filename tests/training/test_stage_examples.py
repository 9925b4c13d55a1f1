"""What a stage learns from: the order and the priors follow the seed, and a bad record is named."""

import numpy as np
import pytest
from stage_samples import (
    SETTINGS,
    command,
    train,
    write_data,
    write_prior,
)

from fusar_gpt.errors import FusarError
from fusar_gpt.model.loaded import load
from fusar_train.corpus.records import read_records
from fusar_train.corpus.shards import write_shards
from fusar_train.stages.examples import Schedule, load_examples
from fusar_train.stages.settings import Settings


def test_the_order_depends_on_the_seed_and_the_place_alone(base, data):
    def shown(**changes):
        settings = Settings(**{**SETTINGS, "max_steps": None, "epochs": 4, **changes})
        return Schedule(load_examples((data,), load(base).card, settings), settings)

    first, again, other = shown(), shown(batch=2, micro_batch=1), shown(seed=1)
    assert len(first) == len(again) == 48
    names = [first[place].name for place in range(48)]
    assert [again[place].name for place in reversed(range(48))] == names[::-1]
    assert [other[place].name for place in range(48)] != names
    assert all(len(set(names[epoch * 12 :][:12])) == 12 for epoch in range(4))


def test_priors_are_dropped_and_swapped_as_often_as_asked(base, data):
    card = load(base).card

    def shown(**changes):
        settings = Settings(**{**SETTINGS, "epochs": 20, "max_steps": None, **changes})
        schedule = Schedule(load_examples((data,), card, settings), settings)
        return [(len(one.prior[0]), one.prior[0].sum()) for one in map(schedule.__getitem__, range(240))]

    right, dropped, swapped = shown(), shown(drop_prior=0.5), shown(swap_prior=0.5)
    assert sum(length > 0 for length, _ in right) == 120
    assert 40 < sum(length > 0 for length, _ in dropped) < 80
    assert 35 < sum(a != b for a, b in zip(right, swapped, strict=True)) < 75
    assert all(length == 0 for length, _ in shown(priors=False, trainables="lora"))


def test_shards_are_read_when_they_are_needed(base, data, tmp_path):
    write_shards(read_records(data), tmp_path / "shards", per_shard=5)
    settings = Settings(**SETTINGS)
    card = load(base).card
    plain, packed = (load_examples((path,), card, settings) for path in (data, tmp_path / "shards"))
    assert plain.fingerprint() == packed.fingerprint()
    assert not any(hasattr(record, "held") for record in packed.records)
    for number in range(len(plain)):
        assert (plain[number].image == packed[number].image).all()
        assert (plain[number].prior[0] == packed[number].prior[0]).all()


def test_captions_and_own_messages_are_learnt_as_they_are(base, tmp_path):
    said = {"task": "ask", "target": None, "box": None, "question": "ask any ships?", "answer": "yes"}

    def change(number, line):
        return {**line, "caption": "A calm sea."} if number else {**line, "messages": [said]}

    data = write_data(tmp_path / "data", change=change)
    settings = Settings(**{**SETTINGS, "tasks": ["ask", "describe"]})
    examples = load_examples((data,), load(base).card, settings)
    assert (examples[0].prompt, examples[0].answer) == ("ask any ships?", "yes")
    assert {examples[number].answer for number in range(1, 12)} == {"A calm sea."}


def only(number, **fields):
    """Changes the record of that number."""
    return lambda at, line: {**line, **fields} if at == number else line


BOX = {"box": [9, 9, 3, 3], "label": "ship"}


FOREIGN = {"provenance": {"prompt_set": "release"}, "messages": [
    {"task": "describe", "target": None, "box": None, "question": "x", "answer": "y"}
]}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (only(3, image="images/none.png"), r"sample/003: .*none.png does not exist"),
        (only(3, objects=[BOX]), r"records.jsonl, line 4, .*inverted"),
        (only(3, prior="priors/wide.npz"), r"sample/003: .*features is float32 \[3, 32\]"),
        (only(3, prior="priors/old.npz"), r"sample/003: .*is of 2017, and the image of 2024"),
        (only(3, **FOREIGN), r"sample/003: its questions are in release words"),
        (lambda number, line: {**line, "split": "test"}, "no record of the split train"),
    ],
)
def test_bad_records_are_named_before_anything_is_trained(base, tmp_path, change, message):
    data = write_data(tmp_path / "data", change=change)
    write_prior(data / "priors/wide.npz", np.zeros((3, 32), np.float32))
    write_prior(data / "priors/old.npz", np.zeros((3, 64), np.float32), year=np.int64(2017))
    with pytest.raises(FusarError, match=message) as caught:
        train(1, base, data, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_an_image_that_breaks_on_the_way_is_named(base, data, tmp_path, monkeypatch, capsys):
    broken = write_data(tmp_path / "data")
    path = broken / "images/5.png"
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(FusarError, match=r"Record sample/005: .*is no readable image") as caught:
        command(1, base, broken, tmp_path / "out", "--set", "workers=1")
    assert "\n" not in str(caught.value)

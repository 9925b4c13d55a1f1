"""A run of FUSAR-KLIP that goes on from a checkpoint: its weights and its tokenizer, and no other's state."""

from dataclasses import replace

import pytest
import torch
from klip_samples import order, write_data
from safetensors.torch import load_file

from fusar_gpt.retrieval import load_klip
from fusar_train.klip.settings import KlipError
from fusar_train.klip.train import prepare, train_klip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("klip") / "data")


@pytest.fixture(scope="module")
def first(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("base") / "first"
    train_klip(order(data, out, max_steps=3))
    return out


def further(data, out, base, **changes):
    return replace(order(data, out, max_steps=2, **changes), base=str(base))


def test_it_begins_with_the_weights_and_the_tokenizer_of_the_base(data, first, tmp_path):
    prepared = prepare(further(data, tmp_path / "out", first, tokenizer=40, seed=9))
    begun, saved = prepared.trainer.model.state_dict(), load_file(first / "model.safetensors")
    assert set(begun) == set(saved)
    assert all(torch.equal(begun[name], saved[name].float()) for name in saved)
    assert prepared.tokenizer.backend.to_str() == load_klip(first, device="cpu").tokenizer.backend.to_str()


def test_its_card_tells_the_base_and_the_base_stays(data, first, tmp_path):
    before = load_klip(first, device="cpu").card
    train_klip(further(data, tmp_path / "out", first))
    made = load_klip(tmp_path / "out", device="cpu").card
    assert made.training["base"] == str(first)
    assert made.hash != before.hash
    assert load_klip(first, device="cpu").card == before


def test_another_base_is_another_run(data, first, tmp_path):
    run = further(data, tmp_path / "out", first)
    prepare(run)
    train_klip(further(data, tmp_path / "second", first))
    with pytest.raises(KlipError):
        prepare(replace(run, base=str(tmp_path / "second"), resume=True))


def test_texts_longer_than_the_base_reads_are_refused_before_anything_is_made(data, first, tmp_path):
    with pytest.raises(KlipError, match=r"first reads 96 tokens: --set longest=96 or less"):
        prepare(further(data, tmp_path / "out", first, longest=120))
    assert not (tmp_path / "out.run").exists()

"""What every test of the training shares."""

from __future__ import annotations

import klip_samples
import pytest
import torch
from evaluation_samples import toy_records

from fusar_train.corpus.records import write_records
from fusar_train.evaluation import captions


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """Small models are fastest so, also beside other work.

    For a module, so that what its fixtures train has it too: on some processors two threads add in another order.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def no_java(monkeypatch):
    """METEOR takes seconds to start; test_metrics runs it."""
    monkeypatch.setattr(captions, "why_missing", lambda name: "not in this test.")


@pytest.fixture
def toy(tmp_path):
    """A folder of stored records; see ``toy_records``."""
    write_records(toy_records(tmp_path / "raw"), tmp_path / "toy")
    return tmp_path / "toy"


@pytest.fixture(scope="session")
def base(tmp_path_factory):
    """A random FUSAR-GPT of two layers."""
    from stage_samples import write_base

    return write_base(tmp_path_factory.mktemp("stages") / "base")


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """Twelve records of random chips; half of them have no prior, and captions, so answers, differ in length."""
    from stage_samples import write_data

    return write_data(tmp_path_factory.mktemp("stages") / "data")


@pytest.fixture(scope="session")
def learned_klip(tmp_path_factory):
    """The folder of a small FUSAR-KLIP that knows the thirty-two images of ``klip_samples`` by heart."""
    from fusar_train.klip.train import train_klip  # not for tests that have nothing to do with it

    folder = tmp_path_factory.mktemp("klip")
    data = klip_samples.write_data(folder / "data")
    learning = {"epochs": 100, "weights": [1.0, 0.0, 1.0], "whole": 0.5, "without_context": 1.0}
    train_klip(klip_samples.order(data, folder / "out", **learning))
    return folder / "out"

"""How a stage trains: the loss is the paper's, gradients are right and finite, figures are logged."""

import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from stage_samples import (
    SETTINGS,
    losses,
    train,
    write_data,
    write_prior,
)
from transformers import Trainer

from fusar_gpt.model.loaded import load
from fusar_train.stages import lora, run_log, trainer
from fusar_train.stages.base_checkpoint import open_base_checkpoint
from fusar_train.stages.examples import Collator, Schedule, load_examples
from fusar_train.stages.settings import Settings, StageError


@pytest.fixture(scope="module")
def stage1(base, data, tmp_path_factory):
    return train(1, base, data, tmp_path_factory.mktemp("stages") / "knows")


def test_the_loss_is_the_mean_over_the_answers_tokens_of_the_whole_batch(stage1, data, tmp_path):
    """However the batch is cut, though answers differ in length; and as counted by hand."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    train(2, stage1, data, whole)
    train(2, stage1, data, cut, micro_batch=1)
    assert losses(cut) == pytest.approx(losses(whole), rel=1e-5)
    settings = Settings(**{**SETTINGS, "tasks": ["count", "locate", "classify", "detect"]})
    loaded = load(stage1).checkpoint
    schedule = Schedule(load_examples((data,), loaded.card, settings), settings)
    total = tokens = 0
    for number in range(settings.batch):
        batch = Collator(loaded.processor)([schedule[number]])
        learnt = batch["labels"][0, 1:] != -100
        del batch["records"]
        with torch.no_grad():
            said = loaded.model(**batch).logits[0, :-1].log_softmax(-1)
        total -= said[learnt, batch["labels"][0, 1:][learnt]].sum().item()
        tokens += int(learnt.sum())
    assert losses(whole)[0] == pytest.approx(total / tokens, rel=1e-5)


def test_tlm_gets_gradients_also_from_a_batch_without_any_prior(base, tmp_path):
    data = write_data(tmp_path / "bare", priors=lambda number: False)
    settings = Settings(**{**SETTINGS, "trainables": "tlm"})
    model, batch = prepared(base, data, settings)
    model(**batch).loss.backward()
    assert all(weight.grad is not None and not weight.grad.any() for weight in lora.trained(model).values())


@pytest.mark.parametrize("trainables", ["tlm", "lora", "tlm+lora"])
def test_checkpointing_stays_on_with_a_frozen_vision_tower_and_changes_no_gradient(base, data, trainables):
    gradients = {}
    for on in (False, True):
        settings = Settings(**{**SETTINGS, "trainables": trainables, "gradient_checkpointing": on})
        model, batch = prepared(base, data, settings)
        passes = []
        layer = model.model.language_model.layers[0].self_attn
        layer.register_forward_hook(lambda *_, passes=passes: passes.append(1))
        model.train()
        model(**batch).loss.backward()
        assert len(passes) == (2 if on else 1)
        gradients[on] = {name: weight.grad for name, weight in lora.trained(model).items()}
    assert all(torch.allclose(gradients[True][name], gradient) for name, gradient in gradients[False].items())


def prepared(base, data, settings):
    """A model ready to train, and a batch."""
    start = open_base_checkpoint(base, settings, device="cpu", dtype=torch.float32, attention="sdpa")
    schedule = Schedule(load_examples((data,), start.card, settings), settings)
    lora.prepare(start.model, settings)
    batch = Collator(start.processor)([schedule[number] for number in range(settings.batch)])
    del batch["records"]
    return start.model, batch


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_record(base, tmp_path):
    data = write_data(tmp_path / "data")
    settings = {"micro_batch": 1, "max_steps": 9, "batch": 1, "save_every": 1, "trainables": "lora"}
    names = run_order(base, data, settings)
    spoilt = int(names[3][7:10])  # of those with a prior, the fourth to be shown
    write_prior(data / f"priors/{spoilt}.npz", np.full((4, 64), 3e38, np.float32))
    out = tmp_path / "out"
    with pytest.raises(
        StageError, match=rf"not finite at step \d+, at sample/{spoilt:03d} \(describe\)"
    ) as caught:
        train(1, base, data, out, **settings)
    step = int(re.search(r"Step (\d+) is saved", str(caught.value))[1])
    kept = trainer.latest(out.with_name("out.run"))
    assert trainer.numbered(out.with_name("out.run"))[-1] == (step, kept)
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(kept / trainer.WEIGHTS_FILE).values())
    assert not out.exists()


def run_order(base, data, settings):
    """The names of the examples that have a prior, as a run shows them."""
    chosen = Settings(**{**SETTINGS, **settings})
    schedule = Schedule(load_examples((data,), load(base).card, chosen), chosen)
    return [one.name for one in map(schedule.__getitem__, range(len(schedule))) if len(one.prior[0])]


def test_gradients_that_are_not_finite_never_reach_the_weights(base, data, tmp_path, monkeypatch):
    def spoil(self, *arguments, **options):
        loss = Trainer.training_step(self, *arguments, **options)
        if self.state.global_step == 2:
            next(iter(lora.trained(self.model).values())).grad[0, 0] = float("inf")
        return loss

    monkeypatch.setattr(trainer.StageTrainer, "training_step", spoil)
    with pytest.raises(StageError, match=r"gradient is not finite at step 3, at sample/.*Step 2 is saved"):
        train(1, base, data, tmp_path / "out")


def test_figures_go_to_tensorboard_or_else_a_notice_says_where(base, data, tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboard")
    train(1, base, data, tmp_path / "out", report="tensorboard", max_steps=2)
    [events] = (tmp_path / "out.run/tensorboard").iterdir()
    assert b"train/loss" in events.read_bytes()
    told = capsys.readouterr().err
    assert "step 2 of 2" in told
    assert "0 min 0 s left" in told
    monkeypatch.setattr(run_log.importlib.util, "find_spec", lambda name: None)
    assert run_log.tensorboard(tmp_path, None) == []
    assert "pip install tensorboard" in capsys.readouterr().err

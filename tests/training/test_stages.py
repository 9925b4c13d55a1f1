"""The two stages: exactly the right weights learn, the loss is the paper's, the result loads, bad input is one line."""

import argparse
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from stage_samples import (
    SETTINGS,
    base_model,
    losses,
    train,
    write_base,
    write_base_of_release,
    write_data,
    write_prior,
    write_processor,
    write_release,
)
from transformers import Trainer, TrainingArguments

from fusar_gpt.errors import FusarError
from fusar_gpt.model.adapter import merge, read_adapter
from fusar_gpt.model.base import current_name
from fusar_gpt.model.loaded import load
from fusar_gpt.model.released import import_release
from fusar_train.cli.train import add_arguments
from fusar_train.corpus.records import read_records
from fusar_train.corpus.shards import write_shards
from fusar_train.stages import lora, run_log, trainer
from fusar_train.stages.base_checkpoint import check_stage, open_base_checkpoint
from fusar_train.stages.examples import Collator, Schedule, load_examples
from fusar_train.stages.settings import RECIPES, Settings, StageError
from fusar_train.validation import SettingsError, read_yaml

LANGUAGE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return write_base(tmp_path_factory.mktemp("stages") / "base")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("stages") / "data")


@pytest.fixture(scope="module")
def stage1(base, data, tmp_path_factory):
    return train(1, base, data, tmp_path_factory.mktemp("stages") / "knows")


def weights(folder):
    """The stored weights under today's names; files use the older, published ones."""
    return {current_name(name): tensor for name, tensor in load_file(folder / "model.safetensors").items()}


def changed(before, after):
    """The names of the weights that are not the same bit for bit."""
    before, after = weights(before), weights(after)
    assert before.keys() == after.keys()
    assert all(before[name].dtype == after[name].dtype for name in before)
    return {name for name in before if not torch.equal(before[name], after[name])}


def named(folder, part, endings):
    names = [name for name in weights(folder) if name.startswith(part)]
    return {name for name in names if name.endswith(tuple(f"{ending}.weight" for ending in endings))}


def test_stage1_trains_tlm_and_the_language_models_linear_layers(base, stage1):
    assert changed(base, stage1) == named(base, "model.language_model", LANGUAGE) | named_tlm(base)


def test_stage1_can_train_tlm_alone(base, data, tmp_path):
    out = train(1, base, data, tmp_path / "tlm", trainables="tlm")
    assert changed(base, out) == named_tlm(base)
    assert [path.name for path in (out / "adapter").iterdir()] == ["tlm.safetensors"]


def test_stage2_leaves_tlm_as_stage1_made_it(stage1, data, tmp_path):
    out = train(2, stage1, data, tmp_path / "acts")
    assert changed(stage1, out) == named(stage1, "model.language_model", LANGUAGE)
    told = json.loads((out / "training.json").read_text())["stages"]
    assert [stage["stage"] for stage in told] == [1, 2]
    assert told[1]["settings"]["learning_rate"] == SETTINGS["learning_rate"]
    assert told[1]["records"] == 12


def test_the_vision_towers_linear_layers_learn_only_where_that_is_set(base, data, tmp_path):
    out = train(1, base, data, tmp_path / "sees", trainables="lora", lora_vision=True)
    vision = named(
        base, "model.visual", ("qkv", "proj", "gate_proj", "up_proj", "down_proj", "mlp.0", "mlp.2")
    )
    vision -= {name for name in vision if "patch_embed" in name}
    assert len(vision) == 12
    assert changed(base, out) == vision | named(base, "model.language_model", LANGUAGE)


def named_tlm(folder):
    return {name for name in weights(folder) if name.startswith("model.tlm.")}


def test_the_result_answers_and_equals_the_base_with_its_adapter(base, stage1):
    adapter = stage1 / "adapter"
    model = load(base).checkpoint.model
    model.model.tlm.load_state_dict(load_file(adapter / "tlm.safetensors"))
    merge(model, read_adapter(adapter))
    loaded = load(stage1, device="cpu")
    state = loaded.checkpoint.model.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert loaded.card.trained_on == "nothing; stage 1: sample"
    assert loaded.card.prior_years == [2024, 2024]
    image = Image.fromarray(np.zeros((48, 64), np.uint8))
    assert isinstance(loaded.answer([image], [None], ["count ship"], 4)[0], str)
    assert "CC0" in (stage1 / "README.md").read_text()


def test_a_half_precision_result_keeps_tlm_in_full(base, data, tmp_path):
    out = train(1, base, data, tmp_path / "half", weights="bfloat16")
    types = {name: tensor.dtype for name, tensor in weights(out).items()}
    assert {types[name] for name in types if not name.startswith("model.tlm.")} == {torch.bfloat16}
    assert {types[name] for name in named_tlm(out)} == {torch.float32}
    again = train(2, out, data, tmp_path / "again")
    assert changed(out, again) <= named(out, "model.language_model", LANGUAGE), "the base's type is kept"


def test_a_plain_qwen_gets_a_fresh_tlm_and_the_card_of_the_settings(data, tmp_path):
    plain = tmp_path / "Qwen2.5-VL-tiny"
    write_plain(plain)
    chip = {"width": 112, "height": 84, "aspect": "stretched", "prompt_set": "release"}
    tlm = {"variant": "release", "fusion": "modulate", "sigma": 2.0, "hidden": 32}
    with pytest.raises(StageError, match="no result of stage 1"):
        train(2, plain, data, tmp_path / "no", chip=chip)
    out = train(1, plain, data, tmp_path / "out", chip=chip, tlm=tlm)
    loaded = load(out)
    assert loaded.checkpoint.model.config.tlm == {**tlm, "vec_dim": 64}
    assert (loaded.card.width, loaded.card.prompt_set, loaded.card.base) == (112, "release", None)
    before, after = weights(plain), weights(out)
    learnt = {name for name in before if not torch.equal(before[name], after[name])}
    assert learnt == named(out, "model.language_model", LANGUAGE)
    assert after.keys() - before.keys() == named_tlm(out)


def write_plain(folder):
    model = base_model()
    model.save_pretrained(folder)
    write_processor(folder)


def test_stage2_starts_from_the_authors_release_and_makes_it_whole(data, tmp_path):
    write_base_of_release(tmp_path / "qwen", base_model(), dtype=torch.bfloat16)
    write_release(tmp_path / "release", base_model())
    import_release(tmp_path / "release", str(tmp_path / "qwen"), tmp_path / "released")
    before = load(tmp_path / "released", dtype="bfloat16").checkpoint.model.state_dict()
    out = train(2, tmp_path / "released", data, tmp_path / "out", without_stage1=True)
    after = weights(out)
    assert load(out).card.base is None
    assert {tensor.dtype for name, tensor in after.items() if name not in named_tlm(out)} == {torch.bfloat16}
    kept = {name for name in after if torch.equal(after[name], before[name])}
    assert after.keys() - kept <= named(out, "model.language_model", LANGUAGE)
    assert after.keys() != kept


def test_a_report_that_is_not_installed_is_one_line(base, data, tmp_path, monkeypatch):
    monkeypatch.setattr("fusar_train.cli.train.PACKAGES", ())
    monkeypatch.setattr("fusar_train.cli.train.importlib.util.find_spec", lambda name: None)
    with pytest.raises(FusarError, match="wandb is not installed: pip install wandb"):
        command(1, base, data, tmp_path / "out", "--report", "wandb")


@pytest.mark.parametrize("kind", ["sum", "concat"])
def test_another_fusion_can_be_tried_on_the_same_base(base, data, tmp_path, kind):
    out = train(1, base, data, tmp_path / "out", tlm={"fusion": kind})
    loaded = load(out).checkpoint.model
    assert loaded.config.tlm["fusion"] == kind
    assert all(not torch.equal(weight, torch.zeros_like(weight)) for weight in loaded.model.tlm.parameters())


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


def command(stage, base, data, out, *more):
    """As ``fusar-train`` would run it, with the tiny settings and few steps."""
    parser = argparse.ArgumentParser()
    add_arguments(stage, parser)
    given = ["--base", base, "--data", data, "--out", out, "--settings", "tiny", "--device", "cpu"]
    given += ["--set", "max_steps=4", "--set", "batch=4", "--set", "micro_batch=4", *more]
    arguments = parser.parse_args(list(map(str, given)))
    arguments.run(arguments)


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


def test_a_stage_refuses_the_checkpoint_of_the_other(base, stage1, data, tmp_path):
    acts = train(2, stage1, data, tmp_path / "acts", max_steps=1)
    check_stage(2, acts, without_stage1=False)
    check_stage(2, base, without_stage1=True)
    check_stage(1, stage1, without_stage1=False)
    with pytest.raises(StageError, match="is a result of stage 2"):
        train(1, acts, data, tmp_path / "no")
    with pytest.raises(StageError, match="is no result of stage 1"):
        train(2, base, data, tmp_path / "no")
    (acts / "training.json").write_text('{"stages": [{"stage": 7}]}')
    with pytest.raises(StageError, match="makes no sense"):
        check_stage(2, acts, without_stage1=False)


def test_the_papers_settings_are_the_papers():
    for stage, epochs, rate in ((1, 30, 1e-4), (2, 5, 1e-5)):
        settings = read_yaml(RECIPES / f"stage{stage}_7b.yaml", Settings)
        assert (settings.epochs, settings.learning_rate) == (epochs, rate)
        assert (settings.lora_rank, settings.lora_alpha, settings.warmup) == (8, 32, 0.05)
        assert settings.trainables == ("tlm+lora" if stage == 1 else "lora")
        read_yaml(RECIPES / f"stage{stage}_tiny.yaml", Settings)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("learning_rate=fast", "could not convert"),
        ("learning_rate=-1", "Input should be greater than 0"),
        ("batch=2.5", "batch: Input should be a valid integer"),
        ("lora_vision=1", "lora_vision: Input should be a valid boolean"),
        ("trainables=all", "trainables: Input should be 'tlm', 'lora' or 'tlm"),
        ("tasks=[sing]", "task 1: Input should be 'count', 'locate'"),
        ("priors=false", "TLM is the identity"),
        ("speed=1", "unknown field 'speed'"),
        ("batch", "NAME=VALUE"),
        ("drop_prior=1.0", "drop_prior: Input should be less than 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(SettingsError, match=message) as caught:
        read_yaml(RECIPES / "stage1_tiny.yaml", Settings, [change])
    assert "\n" not in str(caught.value)


def test_settings_that_do_not_fit_are_refused(base, data, tmp_path, monkeypatch):
    with pytest.raises(StageError, match="fusion: knot"):
        train(1, base, data, tmp_path / "out", tlm={"fusion": "knot"})
    with pytest.raises(StageError, match="batch of 6 cannot be shared out"):
        train(1, base, data, tmp_path / "out", batch=6)
    with pytest.raises(StageError, match="fsdp needs several processes"):
        train(1, base, data, tmp_path / "out", parallel="fsdp")
    with pytest.raises(StageError, match="exists already"):
        train(1, base, data, base)


def test_the_sharding_settings_are_understood_by_the_library(tmp_path):
    zero2 = json.loads((RECIPES / "zero2.json").read_text())
    assert zero2["zero_optimization"]["stage"] == 2
    options = TrainingArguments(
        str(tmp_path), use_cpu=True, fsdp=True, fsdp_config=str(RECIPES / "fsdp.json")
    )
    assert options.fsdp_plugin_args["fsdp_version"] == 2
    wrapped = options.fsdp_plugin_args["transformer_cls_names_to_wrap"].split(",")
    assert wrapped == ["Qwen2_5_VLDecoderLayer", "Qwen2_5_VLVisionBlock"]


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

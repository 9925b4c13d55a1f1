"""The two stages: exactly the right weights learn, from the right base, and the result loads and answers."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from stage_samples import (
    CARD,
    SETTINGS,
    base_model,
    make_images_only,
    train,
    write_base_of_release,
    write_processor,
    write_release,
)

from fusar_gpt.errors import CheckpointError
from fusar_gpt.model.adapter import merge, read_adapter
from fusar_gpt.model.base import current_name
from fusar_gpt.model.loaded import load
from fusar_gpt.model.released import import_release
from fusar_gpt.tasks import Task
from fusar_train.stages.base_checkpoint import check_stage
from fusar_train.stages.result import _card
from fusar_train.stages.settings import StageError

LANGUAGE = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


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
    assert loaded.card.tasks is None, "the base's card does not say what it was taught"
    image = Image.fromarray(np.zeros((48, 64), np.uint8))
    assert isinstance(loaded.answer([image], [None], ["count ship"], 4)[0], str)
    assert "CC0" in (stage1 / "README.md").read_text()


def test_the_card_says_what_base_and_stage_taught():
    records = [SimpleNamespace(objects=(), prior=None, provenance={"sensor": "Gaofen-3"})]
    questions = [
        (records[0], SimpleNamespace(task=task, question="Who?")) for task in (Task.DETECT, Task.ASK)
    ]
    examples = SimpleNamespace(records=records, questions=questions)
    config = SimpleNamespace(out=Path("new"), stage=2)
    base = replace(CARD, tasks=["count"], sensors=["Sentinel-1"], free_questions=False)
    made = _card(config, base, examples)
    assert (made.tasks, made.sensors, made.free_questions) == (
        ["count", "detect"],
        ["Gaofen-3", "Sentinel-1"],
        False,
    )
    assert _card(config, replace(base, tasks=None, free_questions=True), examples).tasks == ["detect"]
    assert _card(config, replace(base, tasks=None, free_questions=None), examples).tasks is None


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


def test_an_adapter_of_images_alone_learns_without_a_prior_or_gets_a_tlm(data, tmp_path):
    write_base_of_release(tmp_path / "qwen", base_model())
    write_release(tmp_path / "stage2", base_model())
    make_images_only(tmp_path / "stage2")
    import_release(tmp_path / "stage2", str(tmp_path / "qwen"), tmp_path / "plain")
    with pytest.raises(StageError, match="has no TLM to train: set trainables to lora"):
        train(1, tmp_path / "plain", data, tmp_path / "no")
    out = train(1, tmp_path / "plain", data, tmp_path / "out", trainables="lora", priors=False)
    card = load(out).card
    assert (card.uses_prior, card.prompt_set, card.unconfirmed_tasks) == (False, "release", None)
    assert card.tasks == ["detect", "describe"]
    assert not named_tlm(out)
    out = train(1, tmp_path / "plain", data, tmp_path / "sees", tlm={"fusion": "modulate", "hidden": 32})
    assert load(out).card.uses_prior
    assert named_tlm(out)


@pytest.mark.parametrize("kind", ["sum", "concat"])
def test_another_fusion_can_be_tried_on_the_same_base(base, data, tmp_path, kind):
    out = train(1, base, data, tmp_path / "out", tlm={"fusion": kind})
    loaded = load(out).checkpoint.model
    assert loaded.config.tlm["fusion"] == kind
    assert all(not torch.equal(weight, torch.zeros_like(weight)) for weight in loaded.model.tlm.parameters())


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


@pytest.mark.parametrize("stage", [1, 2])
def test_no_stage_starts_from_a_fusar_klip(data, tmp_path, stage):
    (tmp_path / "klip").mkdir()
    (tmp_path / "klip/klip.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"is a FUSAR-KLIP, which .* give a FUSAR-GPT"):
        train(stage, tmp_path / "klip", data, tmp_path / "out")


@pytest.mark.parametrize("kind", ["checkpoint", "plain"])
@pytest.mark.parametrize(
    "brought", ["config.json", "preprocessor_config.json", "tokenizer_config.json", "code.py"]
)
def test_a_base_that_wants_code_is_refused_by_name(base, data, tmp_path, kind, brought):
    folder = tmp_path / "base"
    if kind == "plain":
        write_plain(folder)
    else:
        shutil.copytree(base, folder)
    path = folder / brought
    if path.suffix == ".py":
        path.write_text("raise SystemExit('was run')\n")
    else:
        auto_map = {
            "AutoConfig": "code.Config",
            "AutoTokenizer": ["code.Words", None],
            "AutoImageProcessor": "code.P",
        }
        path.write_text(json.dumps({**json.loads(path.read_text()), "auto_map": auto_map}))
    chip = {"chip": {"width": 112, "height": 84}} if kind == "plain" else {}
    with pytest.raises(CheckpointError, match=rf"wants code of its own to be run \({brought}"):
        train(1, folder, data, tmp_path / "out", **chip)
    assert not (tmp_path / "out").exists()
